/** Compiles CUDA C++ with nvcc when it is installed, and reads what ptxas reports. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Artifact } from '../../../backends/artifact.ts';
import { cudaPrefix, renderCudaHeader, renderCudaUnit } from '../../../backends/cuda/index.ts';

export const hasNvcc: boolean = spawnSync('nvcc', ['--version']).status === 0;

/** All warnings are errors; ptxas reports what each kernel takes. */
export const nvccFlags: readonly string[] =
  ['-std=c++17', '-Werror', 'all-warnings', '-Xcompiler', '-Wall,-Wextra', '-Xptxas', '-v', '-c'];

export type KernelReport = {
  readonly kernel: string;
  /** sm_90 */
  readonly architecture: string;
  readonly registers: number;
  readonly stackBytes: number;
  readonly spillStores: number;
  readonly spillLoads: number;
};

/** Numbers of the lines that ptxas -v prints for each entry function. */
export function parseReport(log: string): readonly KernelReport[] {
  const pattern = /Compiling entry function '(\w+)' for '(\w+)'[\s\S]*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads[\s\S]*?Used (\d+) registers/g;
  return [...log.matchAll(pattern)].map(([, kernel, architecture, stack, stores, loads, registers]) => ({
    kernel: kernel ?? '', architecture: architecture ?? '', stackBytes: Number(stack), spillStores: Number(stores), spillLoads: Number(loads), registers: Number(registers),
  }));
}

/** Where CUDA's headers are, for compilers that do not know it. */
export const cudaHeaders: string | undefined =
  ['/usr/local/cuda/include', '/usr/local/cuda-13.0/include'].find((each) => existsSync(join(each, 'cuda_fp16.h')));

/** The files of an artifact; `main.cu` is its unit. */
export function unitFiles(artifact: Artifact): Readonly<Record<string, string>> {
  return { 'main.cu': renderCudaUnit(artifact), [`${cudaPrefix(artifact.manifest)}.h`]: renderCudaHeader(artifact.manifest) };
}

/** What a host compiler says of a text beside others; empty where it accepts it without a warning. */
export function compileHost(command: readonly string[], files: Readonly<Record<string, string>>, main: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'statefuse-host-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const [compiler = '', ...flags] = command;
    const all = [...flags, '-Wall', '-Wextra', '-Werror', '-pedantic', '-isystem', cudaHeaders ?? '', '-c', main, '-o', 'out.o'];
    const { status, stderr, error } = spawnSync(compiler, all, { cwd: folder, encoding: 'utf8' });
    return status === 0 ? '' : `${error?.message ?? ''}${stderr ?? ''}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
    const result = spawnSync('nvcc', [...nvccFlags, ...targets, main, '-o', 'out.o'], { cwd: folder, encoding: 'utf8' });
    if (result.status !== 0) throw new Error(`nvcc failed:\n${result.stderr}\n${files[main] ?? ''}`);
    return parseReport(result.stderr);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
