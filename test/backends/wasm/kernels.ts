/** Hand-built kernels and plans that the WASM tests share, with their results in plain JavaScript. */
import {
  add,
  binary,
  builtin,
  convert,
  element,
  extract,
  integer,
  KernelBuilder,
  less,
  literal,
  load,
  minimum,
  multiply,
  subtract,
  unary,
  variable,
  horizontalAdd,
} from '../../../ir/kernel/builder.ts';
import { f32, i32, withWidth, type Kernel, type StorageType } from '../../../ir/kernel/nodes.ts';
import type { Plan, PlanTensor } from '../../../ir/plan.ts';
import type { ManifestHeader } from '../../../backends/manifest.ts';
import { ceilDivideSizes, type SizeExpression } from '../../../support/size.ts';

export const header: ManifestHeader = {
  layer: 'Test',
  compiler: 'statefuse 0.1.0',
  contentHash: '0',
  mode: 'recurrent',
  axes: [],
  parameters: [],
  decisions: [],
};

export function tensor(
  name: string,
  role: PlanTensor['role'],
  dims: readonly SizeExpression[],
  storage: StorageType = 'f32',
): PlanTensor {
  return { name, role, subject: name, storage, axes: dims.map((_, at) => `axis${at}`), dims };
}

export const planOf = (tensors: readonly PlanTensor[], kernels: readonly Kernel[]): Plan => ({
  entry: 'forward',
  tensors,
  kernels,
});

/** c = a + b over `length` numbers, 64 per workgroup, vectors of four and a scalar tail. */
export function vectorAdd(): Kernel {
  const builder = new KernelBuilder();
  const length = builder.uniform('length', 'length');
  const a = builder.buffer('a', 'f32', 'read', 'length');
  const b = builder.buffer('b', 'f32', 'read', 'length');
  const c = builder.buffer('c', 'f32', 'write', 'length');
  const start = builder.let('start', multiply(builtin('workgroup-x'), integer(64)));
  const end = builder.let('end', minimum(add(start, integer(64)), length));
  const whole = builder.let('whole', subtract(end, binary('remainder', subtract(end, start), integer(4))));
  builder.for('i', { start, end: whole, step: 4 }, (i) =>
    builder.store(c, i, add(load(a, i, 4), load(b, i, 4))),
  );
  builder.for('i', { start: whole, end }, (i) => builder.store(c, i, add(load(a, i), load(b, i))));
  return builder.finish({
    name: 'vectorAdd',
    notes: ['c = a + b'],
    workgroupSize: 1,
    grid: [ceilDivideSizes('length', 64), 1, 1],
  });
}

export const vectorAddPlan = (): Plan =>
  planOf(
    [tensor('a', 'input', ['length']), tensor('b', 'input', ['length']), tensor('c', 'output', ['length'])],
    [vectorAdd()],
  );

/**
 * A diagonal state of 16 in four vectors per (batch, channel): x = 2^(delta e_n) x + delta B_n u,
 * y = sum over n of C_n x.
 */
export function affineScan(channels: number): Kernel {
  const builder = new KernelBuilder();
  const length = builder.uniform('length', 'length');
  const perToken: SizeExpression = {
    operator: 'multiply',
    left: { operator: 'multiply', left: 'batch', right: 'length' },
    right: channels,
  };
  const u = builder.buffer('u', 'f32', 'read', perToken);
  const delta = builder.buffer('delta', 'f32', 'read', perToken);
  const exponent = builder.buffer('exponent', 'f32', 'read', channels * 16);
  const inputMap = builder.buffer('inputMap', 'f32', 'read', channels * 16);
  const readout = builder.buffer('readout', 'f32', 'read', channels * 16);
  const y = builder.buffer('y', 'f32', 'write', perToken);
  const state = builder.array('state', withWidth(f32, 4), 4);
  const channel = builtin('workgroup-x');
  builder.for('n', { start: integer(0), end: integer(4), unroll: true }, (n) =>
    builder.setElement(state, n, literal(0, withWidth(f32, 4))),
  );
  builder.for('t', { start: integer(0), end: length }, (t) => {
    const row = builder.let(
      'row',
      add(multiply(add(multiply(builtin('workgroup-y'), length), t), integer(channels)), channel),
    );
    const step = builder.let('step', load(delta, row));
    const drive = builder.let('drive', multiply(step, load(u, row)));
    const sum = builder.var('sum', literal(0, withWidth(f32, 4)));
    builder.for('n', { start: integer(0), end: integer(4), unroll: true }, (n) => {
      const at = builder.let('at', add(multiply(channel, integer(16)), multiply(n, integer(4))));
      const decay = unary('exp2', multiply(step, load(exponent, at, 4, true)));
      const next = builder.let(
        'next',
        add(multiply(decay, element(state, n)), multiply(drive, load(inputMap, at, 4, true))),
      );
      builder.setElement(state, n, next);
      builder.assign(sum, add(variable(sum), multiply(next, load(readout, at, 4, true))));
    });
    builder.store(y, row, horizontalAdd(variable(sum)));
  });
  return builder.finish({ name: 'affineScan', notes: [], workgroupSize: 1, grid: [channels, 'batch', 1] });
}

export function affineScanPlan(channels: number): Plan {
  const perToken = ['batch', 'length', channels] as const;
  const map = [channels, 16] as const;
  return planOf(
    [
      tensor('u', 'input', perToken),
      tensor('delta', 'input', perToken),
      tensor('exponent', 'param', map),
      tensor('inputMap', 'param', map),
      tensor('readout', 'param', map),
      tensor('y', 'output', perToken),
    ],
    [affineScan(channels)],
  );
}

/** A histogram of 8 bins in a register array with varying index; grid in three dimensions. */
export function histogram(): Kernel {
  const builder = new KernelBuilder();
  const length = builder.uniform('length', 'length');
  const values = builder.buffer('values', 'i32', 'read', {
    operator: 'multiply',
    left: 'batch',
    right: 'length',
  });
  const counts = builder.buffer('counts', 'i32', 'write', {
    operator: 'multiply',
    left: 'batch',
    right: 48,
  });
  const bins = builder.array('bins', i32, 8);
  const weights = builder.array('weights', withWidth(f32, 4), 3);
  builder.for('k', { start: integer(0), end: integer(8) }, (k) => builder.setElement(bins, k, integer(0)));
  builder.for('k', { start: integer(0), end: integer(3) }, (k) =>
    builder.setElement(weights, k, { kind: 'splat', operand: convert(k, f32), type: withWidth(f32, 4) }),
  );
  builder.for('t', { start: integer(0), end: length }, (t) => {
    const bin = builder.let('bin', load(values, add(multiply(builtin('workgroup-z'), length), t)));
    builder.if(less(bin, integer(8)), () =>
      builder.setElement(bins, bin, add(element(bins, bin), integer(1))),
    );
  });
  // grid (3, 2, batch): counts[z][y][x][k] = bins[k] * (1 + x + 10 y)
  const base = add(
    multiply(add(multiply(builtin('workgroup-z'), integer(2)), builtin('workgroup-y')), integer(3)),
    builtin('workgroup-x'),
  );
  const factor = builder.let('factor', convert(extract(element(weights, builtin('workgroup-x')), 2), i32));
  builder.for('k', { start: integer(0), end: integer(8) }, (k) => {
    const weight = add(add(factor, integer(1)), multiply(builtin('workgroup-y'), integer(10)));
    builder.store(counts, add(multiply(base, integer(8)), k), multiply(element(bins, k), weight));
  });
  return builder.finish({ name: 'histogram', notes: [], workgroupSize: 1, grid: [3, 2, 'batch'] });
}

export const histogramPlan = (): Plan =>
  planOf(
    [
      tensor('values', 'input', ['batch', 'length'], 'i32'),
      tensor('counts', 'output', ['batch', 2, 3, 8], 'i32'),
    ],
    [histogram()],
  );

/** Numbers in [-1, 1) from a linear congruential generator. */
export function randomNumbers(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
