/** Executes printed CUDA kernels with the host compiler and emulator.h, for machines without a GPU. */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { printCudaKernel } from '../../../backends/cuda/index.ts';
import { raiseForCuda } from '../../../backends/cuda/raise.ts';
import { storageNames } from '../../../backends/cuda/types.ts';
import type { Kernel } from '../../../ir/kernel/nodes.ts';
import { evaluateSize, type RunSizes } from '../../../support/size.ts';
import { required } from '../../../support/invariant.ts';
import { cudaHeaders } from './nvcc.ts';

export const canEmulate: boolean = cudaHeaders !== undefined && spawnSync('g++', ['--version']).status === 0;

function mainText(kernel: Kernel, sizes: RunSizes): string {
  const tensors = kernel.buffers.map((each, at) => `  Tensor<${storageNames[each.storage]}> b${at}(${evaluateSize(each.size, sizes)});`);
  const data = [...kernel.buffers.map((_, at) => `b${at}.data`), ...kernel.uniforms.map((each) => String(evaluateSize(each.value, sizes)))];
  const [x, y, z] = kernel.grid.map((each) => evaluateSize(each, sizes));
  return [
    '#include "emulator.h"', '#include "kernel.cu"', 'int main() {',
    '  numbers_in = std::fopen("in", "rb");', '  numbers_out = std::fopen("out", "wb");', ...tensors,
    `  run_grid({${x}, ${y}, ${z}}, ${kernel.workgroupSize}, [&] { ${kernel.name}(${data.join(', ')}); });`,
    ...kernel.buffers.map((_, at) => `  b${at}.write();`), '  std::fclose(numbers_out);', '}', '',
  ].join('\n');
}

/** All buffers after one launch; what `given` lacks starts as NaN (0 in integers). */
export function emulateKernel(kernel: Kernel, sizes: RunSizes, given: ReadonlyMap<string, Float64Array>): ReadonlyMap<string, Float64Array> {
  const folder = mkdtempSync(join(tmpdir(), 'statefuse-emulate-'));
  try {
    const raised = raiseForCuda(kernel);
    const start = raised.buffers.map((each) => {
      const empty = /^[fb]/.test(each.storage) ? NaN : 0;
      return given.get(each.name) ?? new Float64Array(evaluateSize(each.size, sizes)).fill(empty);
    });
    copyFileSync(new URL('./emulator.h', import.meta.url), join(folder, 'emulator.h'));
    writeFileSync(join(folder, 'kernel.cu'), printCudaKernel(raised));
    writeFileSync(join(folder, 'main.cpp'), mainText(raised, sizes));
    writeFileSync(join(folder, 'in'), Buffer.concat(start.map((each) => Buffer.from(each.buffer, each.byteOffset, each.byteLength))));
    const flags = ['-std=c++20', '-O1', '-w', '-ffp-contract=off', '-pthread', `-I${cudaHeaders ?? ''}`];
    execFileSync('g++', [...flags, 'main.cpp', '-o', 'main'], { cwd: folder, stdio: 'pipe' });
    execFileSync('./main', { cwd: folder, timeout: 60_000 });
    const out = readFileSync(join(folder, 'out'));
    const all = new Float64Array(new Uint8Array(out).buffer);
    let offset = 0;
    return new Map(raised.buffers.map((each, at) => {
      const length = required(start[at], each.name).length;
      offset += length;
      return [each.name, all.slice(offset - length, offset)];
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
