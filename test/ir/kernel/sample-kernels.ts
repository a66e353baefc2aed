/**
 * Small kernels that between them use every kind of statement, each with its plain-TypeScript twin.
 * The tests of the Kernel IR tools run them as they are, with planted faults, and through passes.
 */
import {
  add, binary, builtin, element, integer, KernelBuilder, less, literal, load, loadShared, multiply, select, shuffleXor, unary, variable,
} from '../../../ir/kernel/builder.ts';
import { f32, type Kernel } from '../../../ir/kernel/nodes.ts';
import type { RunSizes } from '../../../support/size.ts';

export type Sample = {
  readonly kernel: Kernel;
  readonly sizes: RunSizes;
  readonly inputs: Readonly<Record<string, Float64Array>>;
  readonly outputs: Readonly<Record<string, number>>;
  /** the twin, from inputs to outputs */
  readonly expected: Readonly<Record<string, Float64Array>>;
};

export function ramp(length: number, scale = 0.25): Float64Array {
  return Float64Array.from({ length }, (_, position) => ((position * 7) % 23 - 11) * scale);
}

/** y = a + b with a guard at the tail; L is not a multiple of the workgroup. */
export function vectorAdd(length = 37): Sample {
  const k = new KernelBuilder();
  const size = k.uniform('L', 'length');
  const a = k.buffer('a', 'f32', 'read', 'length');
  const b = k.buffer('b', 'f32', 'read', 'length');
  const y = k.buffer('y', 'f32', 'write', 'length');
  const i = k.let('i', add(multiply(builtin('workgroup-x'), integer(16)), builtin('invocation')));
  k.if(less(i, size), () => k.store(y, i, add(load(a, i), load(b, i))));
  const grid = { operator: 'ceil-divide', left: 'length', right: 16 } as const;
  const kernel = k.finish({ name: 'vector_add', notes: ['y = a + b'], workgroupSize: 16, grid: [grid, 1, 1] });
  const [left, right] = [ramp(length), ramp(length, 0.5)];
  return { kernel, sizes: { batch: 1, length }, inputs: { a: left, b: right }, outputs: { y: length }, expected: { y: left.map((x, at) => x + right[at]!) } };
}

/** y = transpose of a (16 x 16 tiles through shared memory), 4 rows per pass. */
export function tiledTranspose(): Sample {
  const [n, tile] = [32, 16];
  const k = new KernelBuilder();
  const a = k.buffer('a', 'f32', 'read', n * n);
  const y = k.buffer('y', 'f32', 'write', n * n);
  const shared = k.shared('tile', f32, tile * (tile + 1));
  const column = k.let('column', binary('remainder', builtin('invocation'), integer(tile)));
  const row = k.let('row', binary('divide', builtin('invocation'), integer(tile)));
  const [left, top] = [k.let('left', multiply(builtin('workgroup-x'), integer(tile))), k.let('top', multiply(builtin('workgroup-y'), integer(tile)))];
  k.for('pass', { start: integer(0), end: integer(tile), step: 4, unroll: true }, (pass) => {
    const r = k.let('r', add(row, pass));
    k.storeShared(shared, add(multiply(r, integer(tile + 1)), column), load(a, add(multiply(add(top, r), integer(n)), add(left, column))));
  });
  k.barrier();
  k.for('pass', { start: integer(0), end: integer(tile), step: 4, unroll: false }, (pass) => {
    const r = k.let('r', add(row, pass));
    k.store(y, add(multiply(add(left, r), integer(n)), add(top, column)), loadShared(shared, add(multiply(column, integer(tile + 1)), r)));
  });
  const kernel = k.finish({ name: 'transpose', notes: [], workgroupSize: 64, grid: [n / tile, n / tile, 1] });
  const input = Float64Array.from({ length: n * n }, (_, at) => at);
  const expected = input.map((_, at) => input[(at % n) * n + Math.floor(at / n)]!);
  return { kernel, sizes: { batch: 1, length: 1 }, inputs: { a: input }, outputs: { y: n * n }, expected: { y: expected } };
}

/** One sum per workgroup of 8 by shuffles; invocation 0 writes it. */
export function shuffleReduction(): Sample {
  const k = new KernelBuilder();
  const a = k.buffer('a', 'f32', 'read', 32);
  const y = k.buffer('y', 'f32', 'write', 4);
  const sum = k.var('sum', load(a, add(multiply(builtin('workgroup-x'), integer(8)), builtin('invocation'))));
  for (const mask of [4, 2, 1]) k.assign(sum, add(variable(sum), shuffleXor(variable(sum), mask)));
  k.if(binary('equal', builtin('invocation'), integer(0)), () => k.store(y, builtin('workgroup-x'), variable(sum)));
  const kernel = k.finish({ name: 'shuffle_sum', notes: [], workgroupSize: 8, grid: [4, 1, 1] });
  const input = ramp(32);
  const expected = Float64Array.from({ length: 4 }, (_, group) => input.subarray(group * 8, group * 8 + 8).reduce((left, right) => left + right, 0));
  return { kernel, sizes: { batch: 1, length: 1 }, inputs: { a: input }, outputs: { y: 4 }, expected: { y: expected } };
}

/** x_n[t] = A_n x_n[t-1] + u[t], y[t] = sum_n x_n[t]: state in a register array, time sequential. */
export function affineScan(length = 9, states = 4): Sample {
  const k = new KernelBuilder();
  const [batch, size] = [k.uniform('B', 'batch'), k.uniform('L', 'length')];
  const total = { operator: 'multiply', left: 'batch', right: 'length' } as const;
  const decays = k.buffer('A', 'f32', 'read', states);
  const u = k.buffer('u', 'f32', 'read', total);
  const y = k.buffer('y', 'f32', 'write', total);
  const b = k.let('b', add(multiply(builtin('workgroup-x'), integer(4)), builtin('invocation')));
  k.comment('x_t = A x_{t-1} + u_t');
  k.if(less(b, batch), () => {
    const state = k.array('x', f32, states);
    k.for('n', { start: integer(0), end: integer(states), unroll: true }, (n) => k.setElement(state, n, literal(0)));
    k.for('t', { start: integer(0), end: size }, (t) => {
      const input = k.let('input', load(u, add(multiply(b, size), t)));
      const sum = k.var('sum', literal(0));
      k.for('n', { start: integer(0), end: integer(states), unroll: true }, (n) => {
        const decay = k.let('decay', unary('exp2', load(decays, n)));
        k.setElement(state, n, add(multiply(decay, element(state, n)), input));
        k.assign(sum, add(variable(sum), element(state, n)));
      });
      k.store(y, add(multiply(b, size), t), variable(sum));
    });
  });
  const grid = { operator: 'ceil-divide', left: 'batch', right: 4 } as const;
  const kernel = k.finish({ name: 'affine_scan', notes: ['sequential'], workgroupSize: 4, grid: [grid, 1, 1] });
  const exponents = Float64Array.from({ length: states }, (_, n) => -(n + 1));
  const inputs = ramp(6 * length);
  return { kernel, sizes: { batch: 6, length }, inputs: { A: exponents, u: inputs }, outputs: { y: 6 * length }, expected: { y: scanTwin(exponents, inputs, length) } };
}

function scanTwin(exponents: Float64Array, inputs: Float64Array, length: number): Float64Array {
  const result = new Float64Array(inputs.length);
  for (let start = 0; start < inputs.length; start += length) {
    const state = new Float64Array(exponents.length);
    for (let t = start; t < start + length; t += 1) {
      exponents.forEach((exponent, n) => void (state[n] = 2 ** exponent * state[n]! + inputs[t]!));
      result[t] = state.reduce((left, right) => left + right, 0);
    }
  }
  return result;
}

/** y = max(0, a) four at a time, with f16 storage of the result and a select. */
export function vectorRelu(): Sample {
  const k = new KernelBuilder();
  const a = k.buffer('a', 'f32', 'read', 64);
  const y = k.buffer('y', 'f16', 'write', 64);
  const i = k.let('i', multiply(builtin('invocation'), integer(4)));
  const value = k.let('value', load(a, i, 4, true));
  k.store(y, i, select(less(literal(0), value), value, literal(0)), true);
  const kernel = k.finish({ name: 'relu', notes: [], workgroupSize: 16, grid: [1, 1, 1] });
  const input = ramp(64);
  return { kernel, sizes: { batch: 1, length: 1 }, inputs: { a: input }, outputs: { y: 64 }, expected: { y: input.map((x) => Math.max(0, x)) } };
}

export const samples: readonly (() => Sample)[] = [vectorAdd, tiledTranspose, shuffleReduction, affineScan, vectorRelu];
