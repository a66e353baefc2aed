/**
 * The CUDA runtime over the mock driver in `mock/`: builds both where they are older than their sources,
 * points the runtime at the mock, and steers it. Without a C compiler the tests are skipped with the
 * reason in their titles; where CI is set, that is a failure.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'vitest';
import type { Artifact, ManifestDispatch, ManifestTensor } from '../../../backends/artifact.ts';
import { openCuda, type CudaDevice, type CudaOptions } from '../../../runtime/cuda/index.ts';
import { SsmError, type Diagnostic } from '../../../support/diagnostic.ts';
import { required } from '../../../support/invariant.ts';
import type { SizeExpression } from '../../../support/size.ts';

export type MockState = {
  readonly alive: Readonly<Record<string, number>>;
  readonly calls: Readonly<Record<string, number>>;
  readonly allCalls: number;
  readonly usedBytes: number;
  readonly compilations: number;
  readonly launches: number;
};

export type MockDriver = {
  /** calls and injected failures are forgotten, settings are as at first */
  reset(): void;
  /** the n-th call of a function, or of all (`*`), gives this result; with 1 all later ones too */
  fail(name: string, call: number, code: number, forever: 0 | 1): void;
  set(name: string, value: number): void;
  state(): MockState;
  launched(): readonly { readonly kernel: string; readonly grid: readonly number[]; readonly block: number; readonly sharedBytes: number }[];
};

const folder = resolve('build/cuda');
const mockPath = join(folder, 'mock.node');
const addonPath = join(folder, 'statefuse_cuda.node');

function newest(directory: string): number {
  return Math.max(...readdirSync(directory).map((each) => statSync(join(directory, each)).mtimeMs));
}

function isCurrent(path: string, sources: string): boolean {
  try {
    return statSync(path).mtimeMs > newest(sources);
  } catch {
    return false;
  }
}

function headers(): string {
  const found = [process.env['NODE_INCLUDE'], '/usr/include/node', resolve(process.execPath, '../../include/node')].find((each) => {
    try {
      return each !== undefined && statSync(join(each, 'node_api.h')).isFile();
    } catch {
      return false;
    }
  });
  return required(found, 'headers of Node');
}

function buildMock(): void {
  mkdirSync(folder, { recursive: true });
  const sources = ['control.c', 'driver.c', 'nvrtc.c'].map((each) => resolve('test/runtime/cuda/mock', each));
  const part = `${mockPath}.${process.pid}.part`;
  execFileSync('cc', ['-std=c11', '-D_GNU_SOURCE', '-O1', '-w', '-shared', '-fPIC', `-I${headers()}`, '-o', part, ...sources, '-lpthread'], { stdio: 'pipe' });
  renameSync(part, mockPath);
}

function findReasonAgainst(): string | null {
  if (process.platform !== 'linux') return 'the CUDA runtime is for Linux';
  try {
    if (!isCurrent(mockPath, 'test/runtime/cuda/mock')) buildMock();
    if (!isCurrent(addonPath, 'runtime/cuda/native')) execFileSync('sh', ['scripts/build-cuda.sh'], { stdio: 'pipe' });
    return null;
  } catch (error) {
    const reason = `no C and C++ compiler that builds the addon: ${String(error).split('\n')[0] ?? ''}`;
    if (process.env['CI'] !== undefined) throw new Error(reason, { cause: error });
    return reason;
  }
}

/** Null where the tests can run. */
export const reasonAgainst: string | null = findReasonAgainst();

/** Words for titles of skipped suites. */
export const titleNote: string = reasonAgainst === null ? '' : ` (skipped: ${reasonAgainst})`;

process.env['STATEFUSE_CUDA_DRIVER'] = mockPath;
process.env['STATEFUSE_NVRTC'] = mockPath;
process.env['STATEFUSE_CUDA_ADDON'] = addonPath;

/** The mock; only where `reasonAgainst` is null. */
export const mock: MockDriver = reasonAgainst === null ? createRequire(import.meta.url)(mockPath) as MockDriver : {} as MockDriver;

/** A folder that is gone after the test process. */
export function temporaryFolder(): string {
  const made = mkdtempSync(join(tmpdir(), 'statefuse-cuda-'));
  process.once('exit', () => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** A device over the mock that keeps no machine code. */
export function open(options: CudaOptions = {}): Promise<CudaDevice> {
  return openCuda({ cacheDirectory: null, ...options });
}

/** Everything was given back to the driver. */
export function expectNothingAlive(what = ''): void {
  expect(Object.entries(mock.state().alive).filter(([, count]) => count !== 0), what).toEqual([]);
}

/** The first diagnostic of what the work throws. */
export async function diagnosticOf(work: () => unknown): Promise<Diagnostic> {
  try {
    await work();
  } catch (error) {
    if (error instanceof SsmError) return required(error.diagnostics[0], 'diagnostic');
    throw error;
  }
  throw new Error('nothing was thrown');
}

function tensor(name: string, role: ManifestTensor['role'], subject: string | null, dims: readonly SizeExpression[]): ManifestTensor {
  return { name, role, subject, storage: 'f32', axes: dims.map((each) => (each === 'length' ? 'time' : String(each))), dims };
}

function doubling(kernel: string, from: string, to: string, count: SizeExpression): ManifestDispatch {
  return {
    kernel, workgroupSize: 64, grid: [{ operator: 'ceil-divide', left: count, right: 64 }, 1, 1], uniforms: [{ name: 'count', value: count }],
    bindings: [{ tensor: from, access: 'read' }, { tensor: to, access: 'write' }], sharedBytes: 0,
  };
}

const text = (kernel: string): string => `extern "C" __global__ void ${kernel}(const float* from, float* to, int count) {\n  // doubled\n}\n`;

/**
 * A layer that the mock can compute: `forward` gives y = 2 u and x' = 2 x, `step` moves the state on.
 */
export function doublingArtifact(change: Partial<Artifact['manifest']> = {}): Artifact {
  const tokens: SizeExpression = { operator: 'multiply', left: 'batch', right: 'length' };
  const u = tensor('u', 'input', 'u', ['batch', 'length']);
  const initial = tensor('x_initial', 'initial', 'x', ['batch']);
  const final = tensor('x_final', 'final', 'x', ['batch']);
  const y = tensor('y', 'output', 'y', ['batch', 'length']);
  const scratch = tensor('partial', 'scratch', null, ['batch', 3]);
  const move = doubling('double_x', 'x_initial', 'x_final', 'batch');
  return {
    manifest: {
      schema: 'statefuse-manifest', version: 1, layer: 'Doubling', target: 'cuda', compiler: 'test', contentHash: '0', mode: 'recurrent',
      axes: [], parameters: [], decisions: [], requiredLimits: {}, requiredFeatures: [],
      entries: [
        { name: 'forward', tensors: [u, initial, y, final, scratch], dispatches: [doubling('double_u', 'u', 'y', tokens), move, { ...move, kernel: 'double_again', bindings: [{ tensor: 'x_initial', access: 'read' }, { tensor: 'partial', access: 'write' }] }] },
        { name: 'step', tensors: [initial, final], dispatches: [move] },
      ],
      ...change,
    },
    code: { kind: 'text', kernels: new Map(['double_u', 'double_x', 'double_again'].map((each) => [each, text(each)])) },
  };
}
