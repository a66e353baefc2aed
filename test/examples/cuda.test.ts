/** The C and C++ examples, compiled as `examples/cuda/build.sh` does it, and the kernels of some examples through nvcc. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compileCuda, compileHost, cudaHeaders, hasNvcc } from '../backends/cuda/nvcc.ts';
import { runCommand } from '../cli/run-command.ts';

if (!hasNvcc) console.warn('nvcc is not installed: the C++ example and the kernels of the examples are not compiled');

async function filesWith(program: string): Promise<Readonly<Record<string, string>>> {
  const folder = await mkdtemp(join(tmpdir(), 'statefuse-example-'));
  try {
    const compiled = await runCommand(['compile', 'examples/s6.ssm', '--target', 'cuda', '--out-dir', folder]);
    expect(compiled).toMatchObject({ code: 0, error: '' });
    const names = ['statefuse_S6.h', 'statefuse_S6.cu'];
    const texts = await Promise.all([...names.map((name) => join(folder, name)), join('examples/cuda', program)].map((file) => readFile(file, 'utf8')));
    return Object.fromEntries([...names, program].map((name, at) => [name, texts[at] ?? '']));
  } finally {
    await rm(folder, { recursive: true });
  }
}

test.skipIf(!hasNvcc)('the C++ program compiles for sm_80 and sm_90 without a warning, and nothing spills', { timeout: 120_000 }, async () => {
  const program = 'prefill-and-decode.cu';
  const main = `#include "statefuse_S6.cu"\n#include "${program}"\n`;
  const reports = compileCuda({ ...await filesWith(program), 'main.cu': main }, 'main.cu', [80, 90]);
  expect(new Set(reports.map((each) => each.kernel))).toContain('x_backward_0');
  expect(reports.length).toBe(2 * new Set(reports.map((each) => each.kernel)).size);
  for (const report of reports) expect(report).toMatchObject({ stackBytes: 0, spillStores: 0, spillLoads: 0 });
});

test.skipIf(cudaHeaders === undefined)('the C program compiles as C11 without a warning', async () => {
  const program = 'against-float64.c';
  expect(compileHost(['gcc', '-std=c11', '-O2'], await filesWith(program), program)).toBe('');
});

/** Examples with the largest kernels of each kind of schedule; `scripts/check-cuda.sh` without names takes all, which is minutes. */
const demanding = ['s6', 'mamba-block', 's4d', 'rg-lru'].map((name) => `examples/${name}.ssm`);

test.skipIf(!hasNvcc)('no kernel of demanding examples in any mode warns or spills', { timeout: 1_800_000 }, async () => {
  const child = spawn('sh', ['scripts/check-cuda.sh', ...demanding]);
  const pieces: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => pieces.push(piece.toString()));
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect({ code, said: pieces.join('') }).toEqual({ code: 0, said: expect.stringMatching(/\n0 kernels failed, 0 spills in \d{3,} kernels for 2 architectures; launch functions of \d+ artifacts, 0 failed/) });
});
