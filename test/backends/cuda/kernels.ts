/**
 * Kernels and plans made by hand with the builder, for the tests of the CUDA back end: small enough to
 * read, together they use every kind of node.
 */
import {
  add, binary, bitcast, builtin, compose, convert, divide, element, extract, horizontalAdd, integer,
  KernelBuilder, less, literal, load, loadShared, minimum, multiply, remainder, select, shuffleXor, splat,
  subtract, unary, variable,
} from '../../../ir/kernel/builder.ts';
import { f32, i32, u32, type Kernel, type KernelExpression, type StorageType } from '../../../ir/kernel/nodes.ts';
import type { Plan, PlanTensor } from '../../../ir/plan.ts';
import type { ManifestHeader } from '../../../backends/manifest.ts';
import { ceilDivideSizes, productOfSizes, type SizeExpression } from '../../../support/size.ts';

export const header: ManifestHeader = {
  layer: 'hand_built', compiler: 'statefuse test', contentHash: '0', mode: 'recurrent', axes: [], parameters: [], decisions: [],
};

/** A tensor of a plan; axes are named after their place where the test does not care. */
export function tensor(
  name: string, role: PlanTensor['role'], storage: StorageType, dims: readonly SizeExpression[], subject: string | null = name,
): PlanTensor {
  return { name, role, subject, storage, dims, axes: dims.map((each, at) => (typeof each === 'string' ? (each === 'batch' ? 'batch' : 'time') : `axis${at}`)) };
}

/** y = 2 u over all elements, one per invocation. */
export function scaleKernel(stem = 'u', storage: StorageType = 'f32'): Kernel {
  const builder = new KernelBuilder();
  const size = productOfSizes(['batch', 'length', 3]);
  const u = builder.buffer(stem, storage, 'read', size);
  const y = builder.buffer(`${stem}.y`, storage, 'write', size);
  const count = builder.uniform(stem, size);
  const at = builder.let(stem, add(multiply(builtin('workgroup-x'), integer(128)), builtin('invocation')));
  builder.if(less(at, count), () => {
    builder.comment('y = 2 u');
    const value = builder.let(stem, multiply(literal(2), load(u, at)));
    builder.store(y, at, value);
  });
  return builder.finish({ name: 'scale', notes: ['vector scale'], workgroupSize: 128, grid: [ceilDivideSizes(size, 128), 1, 1] });
}

export type ScanShape = { readonly channels: number; readonly states: number };

/** Selective scan, one invocation per channel, sequential over time; states in registers. */
export function scanKernel({ channels, states }: ScanShape, storage: StorageType = 'f32'): Kernel {
  const builder = new KernelBuilder();
  const wide = productOfSizes(['batch', 'length', channels]);
  const narrow = productOfSizes(['batch', 'length', states]);
  const [u, delta] = [builder.buffer('u', storage, 'read', wide), builder.buffer('delta', storage, 'read', wide)];
  const A = builder.buffer('A', 'f32', 'read', channels * states);
  const [B, C] = [builder.buffer('B', storage, 'read', narrow), builder.buffer('C', storage, 'read', narrow)];
  const y = builder.buffer('y', storage, 'write', wide);
  const length = builder.uniform('length', 'length');
  const channel = builder.let('channel', add(multiply(builtin('workgroup-x'), integer(64)), builtin('invocation')));
  builder.if(less(channel, integer(channels)), () => {
    const state = builder.array('state', f32, states);
    const rate = builder.array('rate', f32, states);
    const every = { start: integer(0), end: integer(states), unroll: true };
    builder.for('n', every, (n) => {
      builder.setElement(state, n, literal(0));
      builder.setElement(rate, n, multiply(load(A, add(multiply(channel, integer(states)), n)), literal(Math.LOG2E)));
    });
    builder.for('t', { start: integer(0), end: length }, (t) => {
      const token = builder.let('token', add(multiply(builtin('workgroup-y'), length), t));
      const at = builder.let('at', add(multiply(token, integer(channels)), channel));
      const step = builder.let('step', load(delta, at));
      const drive = builder.let('drive', multiply(step, load(u, at)));
      const sum = builder.var('sum', literal(0));
      const inner = { start: integer(0), end: integer(states), step: 4, unroll: true };
      builder.comment('state = exp(delta A) state + delta u B; y = C . state');
      builder.for('n', inner, (n) => {
        const base = add(multiply(token, integer(states)), n);
        const [b, c] = [builder.let('b', load(B, base, 4, true)), builder.let('c', load(C, base, 4, true))];
        for (let lane = 0; lane < 4; lane++) {
          const place = add(n, integer(lane));
          const decay = unary('exp2', multiply(step, element(rate, place)));
          builder.setElement(state, place, add(multiply(decay, element(state, place)), multiply(drive, extract(b, lane))));
          builder.assign(sum, add(variable(sum), multiply(extract(c, lane), element(state, place))));
        }
      });
      builder.store(y, at, variable(sum));
    });
  });
  return builder.finish({ name: 'scan', notes: ['sequential selective scan'], workgroupSize: 64, grid: [Math.ceil(channels / 64), 'batch', 1] });
}

/** Plan of the scan with the scale of its output behind it, through scratch. */
export function scanPlan(shape: ScanShape, storage: StorageType = 'f32'): Plan {
  const wide = ['batch', 'length', shape.channels] as const;
  const narrow = ['batch', 'length', shape.states] as const;
  return {
    entry: 'forward',
    tensors: [
      tensor('u', 'input', storage, wide), tensor('delta', 'input', storage, wide),
      tensor('A', 'param', 'f32', [shape.channels, shape.states]),
      tensor('B', 'input', storage, narrow), tensor('C', 'input', storage, narrow), tensor('y', 'output', storage, wide),
    ],
    kernels: [scanKernel(shape, storage)],
  };
}

/** scratch = 2 u, y = 2 scratch: two launches that meet in scratch memory. */
export function scalePlan(): Plan {
  const dims = ['batch', 'length', 3] as const;
  const [first, second] = [scaleKernel('u'), scaleKernel('scratch.0')];
  const renamed = (kernel: Kernel, from: string, to: string): Kernel => ({
    ...kernel,
    ...JSON.parse(JSON.stringify({ buffers: kernel.buffers, body: kernel.body }).replaceAll(`"name":"${from}"`, `"name":"${to}"`)) as Pick<Kernel, 'buffers' | 'body'>,
  });
  return {
    entry: 'step',
    tensors: [tensor('u', 'input', 'f32', dims), tensor('scratch.0', 'scratch', 'f32', dims, null), tensor('y', 'output', 'f32', dims)],
    kernels: [renamed(first, 'u.y', 'scratch.0'), renamed(second, 'scratch.0.y', 'y')],
  };
}

/** Every storage type, width and operator once; computes nothing of use. */
export function everythingKernel(): Kernel {
  const builder = new KernelBuilder();
  const one = (value: KernelExpression): KernelExpression => (value.type.element === 'f32' ? value : convert(value, { ...f32, width: value.type.width }));
  const output = builder.buffer('out', 'f32', 'write', 64 * 100);
  const at = builder.let('at', builtin('invocation'));
  const four = builder.let('four', multiply(at, integer(4)));
  const sum = builder.var('sum', literal(0));
  let row = 0;
  const take = (value: KernelExpression): void => builder.store(output, add(integer(64 * row++), at), horizontalAdd(one(value)));
  for (const storage of ['f32', 'f64', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8'] as const) {
    const buffer = builder.buffer(`in.${storage}`, storage, 'read', 1024);
    const copy = builder.buffer(`copy.${storage}`, storage, 'read-write', 1024);
    builder.assign(sum, add(variable(sum), one(load(buffer, at))));
    take(variable(sum));
    builder.store(copy, at, load(buffer, at));
    for (const width of [2, 4] as const) {
      builder.store(copy, four, load(buffer, four, width, true), true);
      builder.store(copy, add(four, integer(1)), load(buffer, add(four, integer(1)), width));
    }
  }
  const shared = builder.shared('tile', { ...f32, width: 4 }, 64);
  builder.storeShared(shared, at, splat(variable(sum), 4));
  builder.barrier();
  const v = builder.let('v', loadShared(shared, remainder(add(at, integer(1)), integer(64))));
  const w = builder.let('w', compose([extract(v, 1), extract(v, 0), literal(0.5), variable(sum)]));
  for (const operator of ['negate', 'absolute', 'floor', 'square-root', 'exp2', 'log2', 'sine', 'cosine'] as const) {
    take(unary(operator, v));
    take(unary(operator, extract(v, 2)));
    take(unary(operator, convert(extract(v, 2), { element: 'f64', width: 1 })));
  }
  take(divide(binary('maximum', minimum(v, w), subtract(v, literal(1))), w));
  const condition = binary('and', less(v, w), unary('not', binary('or', binary('equal', v, w), binary('not-equal', v, w))));
  take(select(condition, v, w));
  take(select(binary('less-equal', extract(v, 0), extract(w, 0)), literal(1), literal(-1)));
  const k = builder.let('k', convert(v, { ...i32, width: 4 }));
  for (const operator of ['shift-left', 'shift-right', 'bit-and', 'bit-or', 'add', 'minimum', 'maximum', 'remainder'] as const) {
    take(binary(operator, k, literal(3, { ...i32, width: 4 })));
    take(binary(operator, extract(k, 1), literal(/^shift|^rem/.test(operator) ? 31 : -(2 ** 31), i32)));
  }
  take(bitcast(v, { ...u32, width: 4 }));
  take(bitcast(bitcast(extract(v, 0), i32), f32));
  for (const mask of [1, 2, 4, 8, 16]) take(shuffleXor(mask === 1 ? v : extract(v, 0), mask));
  take(shuffleXor(less(extract(v, 0), literal(0)), 1));
  builder.let('unused', add(at, integer(1)));
  return builder.finish({ name: 'everything', notes: [], workgroupSize: 64, grid: [1, 1, 1] });
}
