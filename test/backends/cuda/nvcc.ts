/** Compiles CUDA C++ with nvcc when it is installed, and reads what ptxas reports. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const hasNvcc: boolean = spawnSync('nvcc', ['--version']).status === 0;

export type KernelReport = {
  readonly kernel: string;
  readonly registers: number;
  readonly stackBytes: number;
  readonly spillStores: number;
  readonly spillLoads: number;
};

/** Numbers of the lines that ptxas -v prints for each entry function. */
export function parseReport(log: string): readonly KernelReport[] {
  const pattern = /Compiling entry function '(\w+)'[\s\S]*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads[\s\S]*?Used (\d+) registers/g;
  return [...log.matchAll(pattern)].map(([, kernel, stack, stores, loads, registers]) => ({
    kernel: kernel ?? '', stackBytes: Number(stack), spillStores: Number(stores), spillLoads: Number(loads), registers: Number(registers),
  }));
}

/**
 * Throws with the compiler's text when it warns or fails. One report per kernel and architecture (compute capability
 * times ten).
 */
export function compileCuda(
  files: Readonly<Record<string, string>>, main: string, architectures: readonly number[] = [90],
): readonly KernelReport[] {
  const folder = mkdtempSync(join(tmpdir(), 'statefuse-nvcc-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const targets = architectures.map((each) => `-gencode=arch=compute_${each},code=sm_${each}`);
    const flags = ['-std=c++17', ...targets, '-Werror', 'all-warnings', '-Xcompiler', '-Wall,-Wextra', '-Xptxas', '-v', '-c'];
    const result = spawnSync('nvcc', [...flags, main, '-o', 'out.o'], { cwd: folder, encoding: 'utf8' });
    if (result.status !== 0) throw new Error(`nvcc failed:\n${result.stderr}\n${files[main] ?? ''}`);
    return parseReport(result.stderr);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
