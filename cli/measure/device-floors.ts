/**
 * What a device can do at best, measured on it with two kernels of our own: a copy larger than the caches
 * for the time of a byte, and nothing but powers of two for the time of an exponential. A layer's kernel
 * cannot beat the larger of its two bounds.
 */
import type { Artifact, TargetName } from '../../backends/artifact.ts';
import { compilerVersion } from '../../backends/compile.ts';
import { emitCuda } from '../../backends/cuda/index.ts';
import { emitWasm } from '../../backends/wasm/index.ts';
import { emitWgsl } from '../../backends/wgsl/index.ts';
import { add, builtin, integer, KernelBuilder, load, multiply, unary, variable } from '../../ir/kernel/builder.ts';
import type { Kernel } from '../../ir/kernel/nodes.ts';
import type { Plan, PlanTensor } from '../../ir/plan.ts';
import type { DeviceTensor, ExecutionDevice } from '../../runtime/device.ts';
import { multiplySizes } from '../../support/size.ts';
import { summarize } from './statistics.ts';

export type Floors = {
  /** nanoseconds of one exponential, all processors of the device at work */
  readonly exponential: number;
  /** nanoseconds of one byte read or written */
  readonly byte: number;
};

const threads = 256;
const perThread = 4;
const chains = 8;
const rounds = 128;
/** numbers that one processor of a CPU keeps in its first cache */
const block = 1024;

function planOf(kernel: Kernel): Plan {
  const tensors = kernel.buffers.map((each): PlanTensor => ({
    name: each.name, role: each.name === 'x' ? 'input' : 'output', subject: each.name, storage: each.storage, axes: ['n'], dims: [each.size],
  }));
  return { entry: 'forward', tensors, kernels: [kernel] };
}

function artifactOf(target: TargetName, kernel: Kernel): Artifact {
  const header = {
    layer: `probe ${kernel.name}`, compiler: compilerVersion, contentHash: '', mode: 'recurrent', axes: [], parameters: [], decisions: [],
  } as const;
  const plans = [planOf(kernel)];
  return target === 'wasm' ? emitWasm(plans, header) : target === 'wgsl' ? emitWgsl(plans, header) : emitCuda(plans, header);
}

/** y = x; `length` workgroups of 1024 numbers. */
function copyKernel(isVector: boolean): Kernel {
  const builder = new KernelBuilder();
  const size = multiplySizes('length', block);
  const [x, y] = [builder.buffer('x', 'f32', 'read', size), builder.buffer('y', 'f32', 'write', size)];
  const first = builder.let('first', multiply(builtin('workgroup-x'), integer(block)));
  if (isVector) builder.for('i', { start: integer(0), end: integer(block), step: 4 }, (at) => builder.store(y, add(first, at), load(x, add(first, at), 4, true), true));
  else for (let part = 0; part < perThread; part++) {
    const at = builder.let('at', add(first, add(integer(part * threads), builtin('invocation'))));
    builder.store(y, at, load(x, at));
  }
  return builder.finish({ name: 'copy', notes: [], workgroupSize: isVector ? 1 : threads, grid: ['length', 1, 1] });
}

/** Powers of two: of numbers in the first cache where vectors are within a thread, else of registers. */
function exponentialKernel(isVector: boolean): Kernel {
  const builder = new KernelBuilder();
  const size = multiplySizes('length', isVector ? block : threads);
  const [x, y] = [builder.buffer('x', 'f32', 'read', size), builder.buffer('y', 'f32', 'write', size)];
  if (isVector) {
    const start = builder.let('first', multiply(builtin('workgroup-x'), integer(block)));
    builder.for('round', { start: integer(0), end: integer(rounds) }, () => {
      builder.for('i', { start: integer(0), end: integer(block), step: 16 }, (first) => {
        for (let vector = 0; vector < 16; vector += 4) {
          const at = add(start, add(first, integer(vector)));
          builder.store(y, at, unary('exp2', load(x, at, 4, true)), true);
        }
      });
    });
  } else {
    const at = builder.let('at', add(multiply(builtin('workgroup-x'), integer(threads)), builtin('invocation')));
    const values = Array.from({ length: chains }, (_, chain) => builder.var(`v${chain}`, multiply(load(x, at), load(x, at))));
    builder.for('round', { start: integer(0), end: integer(rounds) }, () => {
      for (const each of values) builder.assign(each, unary('exp2', unary('negate', variable(each))));
    });
    builder.store(y, at, values.map(variable).reduce(add));
  }
  return builder.finish({ name: 'exponentials', notes: [], workgroupSize: isVector ? 1 : threads, grid: ['length', 1, 1] });
}

/** The least milliseconds of some runs: a floor is what the machine can do. */
async function leastTime(device: ExecutionDevice, kernel: Kernel, length: number, numbers: number, samples: number): Promise<number> {
  using layer = await device.prepare(artifactOf(device.info.target, kernel));
  const values = new Float32Array(numbers);
  for (let at = 0; at < numbers; at++) values[at] = -8 * ((at % block) / block);
  using x = device.createTensor('f32', values, 'probe/x');
  using y = device.createTensor('f32', numbers, 'probe/y');
  const tensors = new Map<string, DeviceTensor>([['x', x]]);
  const times: number[] = [];
  for (let at = 0; at < samples + 2; at++) {
    const { timing } = await layer.run({ entry: 'forward', sizes: { batch: 1, length }, tensors, into: new Map([['y', y]]) });
    if (at >= 2) times.push(timing.milliseconds);
  }
  return summarize(times).least;
}

/** How large probes become: the first size, the largest, and the milliseconds that are enough; small ones for tests. */
export type ProbeSizes = { readonly copiedBytes: readonly [number, number]; readonly groups: readonly [number, number]; readonly enough: number; readonly samples: number };

/** Beyond the caches of a processor or a GPU, up to what fills the fastest; a slow device stops early. */
export const defaultProbes: ProbeSizes = { copiedBytes: [2 ** 25, 2 ** 28], groups: [16, 2 ** 13], enough: 5, samples: 9 };

/** Nanoseconds per unit of the largest size that is needed: sizes grow until a run takes long enough. */
async function grow(sizes: readonly [number, number], factor: number, enough: number, timeOf: (size: number) => Promise<number>): Promise<readonly [size: number, milliseconds: number]> {
  for (let size = sizes[0]; ; size = Math.min(size * factor, sizes[1])) {
    const milliseconds = await timeOf(size);
    if (milliseconds >= enough || size >= sizes[1]) return [size, milliseconds];
  }
}

/** Measures both costs here and now. */
export async function measureFloors(device: ExecutionDevice, { copiedBytes, groups, enough, samples }: ProbeSizes = defaultProbes): Promise<Floors> {
  const isVector = device.info.target === 'wasm';
  const blocksOf = (bytes: number): number => Math.max(1, Math.floor(bytes / (8 * block)));
  const [bytes, copied] = await grow(copiedBytes, 8, enough, (size) => leastTime(device, copyKernel(isVector), blocksOf(size), blocksOf(size) * block, samples));
  const width = isVector ? block : threads;
  const [count, computed] = await grow(groups, 8, enough, (size) => leastTime(device, exponentialKernel(isVector), size, size * width, samples));
  return { exponential: (computed * 1e6) / (count * width * rounds * (isVector ? 1 : chains)), byte: (copied * 1e6) / (blocksOf(bytes) * block * 8) };
}
