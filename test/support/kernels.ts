/** Small kernels built by hand, each with its plan and a plain loop that says what it computes. */
import {
  add, binary, builtin, convert, element, extract, horizontalAdd, integer, KernelBuilder, less, literal, load, loadShared, multiply,
  select, shuffleXor, subtract, unary, variable,
} from '../../ir/kernel/builder.ts';
import { f32, i32, type Buffer, type Kernel, type KernelExpression } from '../../ir/kernel/nodes.ts';
import type { Plan, PlanTensor, TensorRole } from '../../ir/plan.ts';
import { ceilDivideSizes, multiplySizes, type SizeExpression } from '../../support/size.ts';

export type TensorSpec = { readonly name: string; readonly role: TensorRole; readonly dims: readonly SizeExpression[]; readonly storage?: Buffer['storage']; readonly subject?: string };

/** A plan tensor with what tests leave out. */
export function planTensor(of: TensorSpec): PlanTensor {
  return {
    name: of.name, role: of.role, subject: of.role === 'scratch' ? null : (of.subject ?? of.name), storage: of.storage ?? 'f32',
    axes: of.dims.map((_, at) => `axis${at}`), dims: of.dims,
  };
}

export function forwardPlan(tensors: readonly TensorSpec[], kernels: readonly Kernel[]): Plan {
  return { entry: 'forward', tensors: tensors.map(planTensor), kernels };
}

const tokens: SizeExpression = multiplySizes('batch', 'length');

/** y[i] = u[i] + scale[0] * u[i], 64 invocations per workgroup */
export function vectorAdd(names: { kernel: string; u: string; scale: string; y: string; local: string } = { kernel: 'vector-add', u: 'u', scale: 'scale', y: 'y', local: 'at' }): Plan {
  const build = new KernelBuilder();
  const u = build.buffer(names.u, 'f32', 'read', tokens);
  const scale = build.buffer(names.scale, 'f32', 'read', 1);
  const y = build.buffer(names.y, 'f32', 'write', tokens);
  const count = build.uniform('tokens', tokens);
  const at = build.let(names.local, add(multiply(builtin('workgroup-x'), integer(64)), builtin('invocation')));
  build.if(less(at, count), () => {
    const value = build.let(names.local, load(u, at));
    build.comment(`y = u + scale u`);
    build.store(y, at, add(value, multiply(load(scale, integer(0)), value)));
  });
  const kernel = build.finish({ name: names.kernel, notes: [], workgroupSize: 64, grid: [ceilDivideSizes(tokens, 64), 1, 1] });
  return forwardPlan([
    { name: names.u, role: 'input', dims: ['batch', 'length'] },
    { name: names.scale, role: 'param', dims: [1] },
    { name: names.y, role: 'output', dims: ['batch', 'length'] },
  ], [kernel]);
}

/** Reverses each tile of 64 through workgroup memory; tokens must be a multiple of 64. */
export function reverseTiles(): Plan {
  const build = new KernelBuilder();
  const u = build.buffer('u', 'f32', 'read', tokens);
  const y = build.buffer('y', 'f32', 'write', tokens);
  const tile = build.shared('tile', f32, 64);
  const at = build.let('at', add(multiply(builtin('workgroup-x'), integer(64)), builtin('invocation')));
  build.storeShared(tile, builtin('invocation'), load(u, at));
  build.barrier();
  build.store(y, at, loadShared(tile, subtract(integer(63), builtin('invocation'))));
  const kernel = build.finish({ name: 'reverse', notes: [], workgroupSize: 64, grid: [ceilDivideSizes(tokens, 64), 1, 1] });
  return forwardPlan([
    { name: 'u', role: 'input', dims: ['batch', 'length'] }, { name: 'y', role: 'output', dims: ['batch', 'length'] },
  ], [kernel]);
}

/** y[b, r] = sum over 32 lanes of u[b, r, lane] by butterflies, in a loop over `rounds` (an odd number of exchanges each). */
export function shuffleReduction(rounds: number): Plan {
  const build = new KernelBuilder();
  const u = build.buffer('u', 'f32', 'read', multiplySizes('batch', rounds * 32));
  const y = build.buffer('y', 'f32', 'write', multiplySizes('batch', rounds));
  const lane = builtin('invocation');
  build.for('round', { start: integer(0), end: integer(rounds) }, (round) => {
    const row = add(multiply(builtin('workgroup-x'), integer(rounds)), round);
    let sum = build.let('sum', load(u, add(multiply(row, integer(32)), lane)));
    for (const mask of [16, 8, 4, 2, 1]) sum = build.let('sum', add(sum, shuffleXor(sum, mask)));
    build.if(binary('equal', lane, integer(0)), () => build.store(y, row, sum));
  });
  const kernel = build.finish({ name: 'reduce', notes: [], workgroupSize: 32, grid: ['batch', 1, 1] });
  return forwardPlan([
    { name: 'u', role: 'input', dims: ['batch', rounds, 32] }, { name: 'y', role: 'output', dims: ['batch', rounds] },
  ], [kernel]);
}

/** x[t] = a x[t-1] + u[t] per sequence, states of 4 in a register array, y[t] = their sum; final and initial state. */
export function sequentialScan(): Plan {
  const build = new KernelBuilder();
  const u = build.buffer('u', 'f32', 'read', tokens);
  const a = build.buffer('a', 'f32', 'read', 4);
  const initial = build.buffer('x.initial', 'f32', 'read', multiplySizes('batch', 4));
  const y = build.buffer('y', 'f32', 'write', tokens);
  const final = build.buffer('x.final', 'f32', 'write', multiplySizes('batch', 4));
  const length = build.uniform('length', 'length');
  const sequence = builtin('workgroup-x');
  const state = build.array('x', f32, 4);
  build.for('n', { start: integer(0), end: integer(4) }, (n) =>
    build.setElement(state, n, load(initial, add(multiply(sequence, integer(4)), n))));
  build.for('t', { start: integer(0), end: length }, (t) => {
    const at = build.let('at', add(multiply(sequence, length), t));
    const drive = build.let('u', load(u, at));
    const sum = build.var('sum', literal(0));
    build.for('n', { start: integer(0), end: integer(4) }, (n) => {
      const next = build.let('x', add(multiply(load(a, n), element(state, n)), drive));
      build.setElement(state, n, next);
      build.assign(sum, add(variable(sum), next));
    });
    build.store(y, at, variable(sum));
  });
  build.for('n', { start: integer(0), end: integer(4) }, (n) =>
    build.store(final, add(multiply(sequence, integer(4)), n), element(state, n)));
  const kernel = build.finish({ name: 'scan', notes: ['one sequence per workgroup'], workgroupSize: 1, grid: ['batch', 1, 1] });
  return forwardPlan([
    { name: 'u', role: 'input', dims: ['batch', 'length'] }, { name: 'a', role: 'param', dims: [4] },
    { name: 'x.initial', role: 'initial', dims: ['batch', 4], subject: 'x' },
    { name: 'y', role: 'output', dims: ['batch', 'length'] }, { name: 'x.final', role: 'final', dims: ['batch', 4], subject: 'x' },
  ], [kernel]);
}

/** Every operator once on vectors of 4: y = f(u); one vector per invocation. */
export function manyOperators(): { plan: Plan; expected: (u: readonly number[]) => readonly number[] } {
  const build = new KernelBuilder();
  const u = build.buffer('u', 'f32', 'read', multiplySizes(tokens, 4));
  const y = build.buffer('y', 'f32', 'write', multiplySizes(tokens, 8));
  const at = build.let('at', builtin('workgroup-x'));
  const vector = build.let('v', load(u, multiply(at, integer(4)), 4, true));
  const outputs: KernelExpression[] = [
    horizontalAdd(multiply(vector, vector)),
    extract(select(less(vector, literal(0)), unary('negate', vector), vector), 3),
    subtract(extract(vector, 0), subtract(extract(vector, 1), unary('negate', unary('negate', extract(vector, 2))))),
    unary('exp2', unary('floor', extract(vector, 1))),
    convert(binary('bit-or', binary('shift-left', convert(extract(vector, 0), i32), integer(2)), integer(1)), f32),
    select(binary('and', less(extract(vector, 0), literal(1)), binary('or', less(literal(-2), extract(vector, 1)), less(extract(vector, 2), literal(-5)))), literal(1), literal(-1)),
    multiply(add(extract(vector, 0), literal(1)), binary('divide', literal(3), add(literal(2), unary('absolute', extract(vector, 1))))),
    binary('maximum', binary('minimum', extract(vector, 0), extract(vector, 1)), literal(-1.5)),
  ];
  outputs.slice(0, 4).forEach((each, k) => build.store(y, add(multiply(at, integer(8)), integer(k)), each));
  const last = outputs.slice(4);
  last.forEach((each, k) => build.store(y, add(multiply(at, integer(8)), integer(4 + k)), each));
  const kernel = build.finish({ name: 'operators', notes: [], workgroupSize: 1, grid: [tokens, 1, 1] });
  const plan = forwardPlan([
    { name: 'u', role: 'input', dims: ['batch', 'length', 4] }, { name: 'y', role: 'output', dims: ['batch', 'length', 8] },
  ], [kernel]);
  const expected = (numbers: readonly number[]): readonly number[] => Array.from({ length: numbers.length / 4 }, (_, row) => {
    const [a, b, c, d] = numbers.slice(4 * row, 4 * row + 4) as [number, number, number, number];
    return [
      a * a + b * b + c * c + d * d, Math.abs(d), a - (b - c), 2 ** Math.floor(b), (Math.trunc(a) << 2) | 1,
      a < 1 && (-2 < b || c < -5) ? 1 : -1, (a + 1) * (3 / (2 + Math.abs(b))), Math.max(Math.min(a, b), -1.5),
    ];
  }).flat();
  return { plan, expected };
}

/** y[i] = Σ k·p_k[i] + u[i] over `count` parameters, and d_k[i] = k·u[i]: many buffers, read and written. */
export function manyBuffers(count: number): Plan {
  const build = new KernelBuilder();
  const u = build.buffer('u', 'f32', 'read', tokens);
  const params = Array.from({ length: count }, (_, k) => build.buffer(`p${k}`, 'f32', 'read', 'length'));
  const y = build.buffer('y', 'f32', 'write', tokens);
  const written = Array.from({ length: count }, (_, k) => build.buffer(`d${k}`, 'f32', 'write', tokens));
  const t = builtin('workgroup-x');
  const at = build.let('at', add(multiply(builtin('workgroup-y'), build.uniform('length', 'length')), t));
  const value = build.let('u', load(u, at));
  build.store(y, at, params.reduce((sum, each, k) => add(sum, multiply(literal(k), load(each, t))), value));
  written.forEach((each, k) => build.store(each, at, multiply(literal(k), value)));
  const kernel = build.finish({ name: 'many', notes: [], workgroupSize: 1, grid: ['length', 'batch', 1] });
  const second = new KernelBuilder();
  const source = second.buffer('d1', 'f32', 'read', tokens);
  const output = second.buffer('z', 'f32', 'write', tokens);
  const place = second.let('at', builtin('workgroup-x'));
  second.store(output, place, add(load(source, place), literal(1)));
  const follow = second.finish({ name: 'follow', notes: [], workgroupSize: 1, grid: [tokens, 1, 1] });
  const perToken: readonly SizeExpression[] = ['batch', 'length'];
  return forwardPlan([
    { name: 'u', role: 'input', dims: perToken },
    ...params.map((each): TensorSpec => ({ name: each.name, role: 'param', dims: ['length'] })),
    { name: 'y', role: 'output', dims: perToken }, { name: 'z', role: 'output', dims: perToken },
    ...written.map((each, k): TensorSpec => ({ name: each.name, role: k === 1 ? 'scratch' : 'output', dims: perToken })),
  ], [kernel, follow]);
}

/** y[i] = (sin u, cos u, log2 |u|) for each of `count` numbers. */
export function coarsePrimitives(count: number): Plan {
  const build = new KernelBuilder();
  const u = build.buffer('u', 'f32', 'read', count);
  const y = build.buffer('y', 'f32', 'write', 3 * count);
  const at = build.let('at', builtin('workgroup-x'));
  const x = build.let('x', load(u, at));
  const results = [unary('sine', x), unary('cosine', x), unary('log2', unary('absolute', x))];
  results.forEach((each, k) => build.store(y, add(multiply(at, integer(3)), integer(k)), each));
  const kernel = build.finish({ name: 'primitives', notes: [], workgroupSize: 1, grid: [count, 1, 1] });
  return forwardPlan([{ name: 'u', role: 'input', dims: [count] }, { name: 'y', role: 'output', dims: [count, 3] }], [kernel]);
}
