import { describe, expect, it } from 'vitest';
import { assignBindings } from '../../../backends/wgsl/raise/assign-bindings.ts';
import { raiseDepth } from '../../../backends/wgsl/raise/raise-depth.ts';
import { raiseMasks } from '../../../backends/wgsl/raise/raise-masks.ts';
import { raiseLargeGrid } from '../../../backends/wgsl/raise/raise-large-grid.ts';
import { raisePrimitives } from '../../../backends/wgsl/raise/raise-primitives.ts';
import { raiseShared } from '../../../backends/wgsl/raise/raise-shared.ts';
import { raiseShuffle } from '../../../backends/wgsl/raise/raise-shuffle.ts';
import { raiseVectors } from '../../../backends/wgsl/raise/raise-vectors.ts';
import { add, binary, builtin, compose, extract, integer, KernelBuilder, less, literal, load, loadShared, multiply, remainder, shuffleXor, unary, variable } from '../../../ir/kernel/builder.ts';
import { interpretKernel, interpretPlan, type InterpretOptions } from '../../../ir/kernel/interpret.ts';
import { f32, type Kernel, type KernelExpression, type KernelStatement } from '../../../ir/kernel/nodes.ts';
import { verifyKernel } from '../../../ir/kernel/verify.ts';
import { mapBodies, visitExpressions } from '../../../ir/kernel/walk.ts';
import type { Plan } from '../../../ir/plan.ts';
import { evaluateSize, type RunSizes } from '../../../support/size.ts';
import { forwardPlan, manyBuffers, manyOperators, reverseTiles, sequentialScan, shuffleReduction } from '../../support/kernels.ts';

const exact: InterpretOptions = { rounding: 'f64' };

function numbers(count: number): Float64Array {
  let state = 7;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) / 16384 - 2;
  });
}

function givenOf(plan: Plan, sizes: RunSizes): ReadonlyMap<string, Float64Array> {
  return new Map(plan.tensors
    .filter((each) => ['input', 'param', 'initial'].includes(each.role))
    .map((each) => [each.name, numbers(each.dims.reduce<number>((product, size) => product * evaluateSize(size, sizes), 1))]));
}

/** Runs the plan before and after a rewrite; both must be sound and agree. */
function expectSame(plan: Plan, sizes: RunSizes, change: (kernel: Kernel) => Kernel, tolerance = 0): void {
  const given = givenOf(plan, sizes);
  const kernels = plan.kernels.map(change);
  for (const kernel of kernels) expect(verifyKernel(kernel)).toEqual([]);
  const before = interpretPlan(plan, sizes, given, exact).tensors;
  for (const order of ['ascending', 'shuffled'] as const) {
    const after = interpretPlan({ ...plan, kernels }, sizes, given, { ...exact, order }).tensors;
    for (const { name, role } of plan.tensors) {
      if (role === 'scratch') continue;
      const expected = before.get(name)!;
      const worst = after.get(name)!.reduce((most, each, at) => Math.max(most, Math.abs(each - expected[at]!)), 0);
      expect(worst).toBeLessThanOrEqual(tolerance);
    }
  }
}

/** 16 threads store four neighbours each in `written` steps of a width, and read vectors and single numbers of what others stored. */
function sharedTable(written: 'fours' | 'ones'): Plan {
  const build = new KernelBuilder();
  const u = build.buffer('u', 'f32', 'read', multiplyBatch(64));
  const y = build.buffer('y', 'f32', 'write', multiplyBatch(64));
  const table = build.shared('table', f32, 64);
  const first = build.let('first', multiply(builtin('invocation'), integer(4)));
  const at = (place: KernelExpression): KernelExpression => add(multiply(builtin('workgroup-x'), integer(64)), place);
  const own = Array.from({ length: 4 }, (_, lane) => build.let('own', load(u, at(add(first, integer(lane))))));
  if (written === 'fours') build.storeShared(table, first, compose(own));
  else own.forEach((each, lane) => build.storeShared(table, add(first, integer(lane)), each));
  build.barrier();
  const four = build.let('four', loadShared(table, multiply(remainder(add(builtin('invocation'), integer(3)), integer(16)), integer(4)), 4));
  for (let lane = 0; lane < 4; lane++) {
    const single = loadShared(table, remainder(multiply(add(first, integer(lane)), integer(7)), integer(64)));
    build.store(y, at(add(first, integer(lane))), add(extract(four, lane), multiply(literal(3), single)));
  }
  const kernel = build.finish({ name: 'table', notes: [], workgroupSize: 16, grid: ['batch', 1, 1] });
  return forwardPlan([{ name: 'u', role: 'input', dims: ['batch', 64] }, { name: 'y', role: 'output', dims: ['batch', 64] }], [kernel]);
}

function countShuffles(kernel: Kernel): number {
  let count = 0;
  visitExpressions(kernel.body, (expression) => void (count += expression.kind === 'shuffle-xor' ? 1 : 0));
  return count;
}

/** Exchanges in loops of `trips` rounds, nested, conditional and in a row; y[lane] gathers them all. */
function nestedShuffles(trips: number): Plan {
  const build = new KernelBuilder();
  const u = build.buffer('u', 'f32', 'read', multiplyBatch(64));
  const y = build.buffer('y', 'f32', 'write', multiplyBatch(64));
  const at = build.let('at', add(multiply(builtin('workgroup-x'), integer(64)), builtin('invocation')));
  const sum = build.var('sum', load(u, at));
  const exchange = (mask: number): void => build.assign(sum, add(variable(sum), multiply(literal(0.5), shuffleXor(variable(sum), mask))));
  exchange(1);
  build.for('outer', { start: integer(0), end: build.uniform('trips', { operator: 'minimum', left: 'length', right: trips }) }, (outer) => {
    exchange(2);
    build.for('inner', { start: integer(0), end: outer }, () => exchange(4));
    build.if(less(outer, integer(1)), () => exchange(8), () => {
      exchange(16);
      exchange(1);
    });
    exchange(2);
  });
  exchange(4);
  build.store(y, at, add(variable(sum), add(shuffleXor(variable(sum), 8), shuffleXor(variable(sum), 16))));
  const kernel = build.finish({ name: 'nested', notes: [], workgroupSize: 64, grid: ['batch', 1, 1] });
  return forwardPlan([{ name: 'u', role: 'input', dims: ['batch', 64] }, { name: 'y', role: 'output', dims: ['batch', 64] }], [kernel]);
}

function multiplyBatch(by: number): { operator: 'multiply'; left: 'batch'; right: number } {
  return { operator: 'multiply', left: 'batch', right: by };
}

describe('raise-shuffle', () => {
  it('leaves kernels without exchanges alone', () => {
    const [kernel] = reverseTiles().kernels;
    expect(raiseShuffle(kernel!)).toBe(kernel);
  });

  it('computes the same without races, in loops of any length', () => {
    for (const plan of [shuffleReduction(1), shuffleReduction(3)]) expectSame(plan, { batch: 2, length: 1 }, raiseShuffle);
    for (const trips of [0, 1, 2, 3, 4]) {
      const plan = nestedShuffles(trips);
      expectSame(plan, { batch: 2, length: 9 }, raiseShuffle);
      expect(countShuffles(raiseShuffle(plan.kernels[0]!))).toBe(0);
    }
  });

  it('needs the barrier at the end of nested bodies', () => {
    const dropLast = (body: readonly KernelStatement[]): readonly KernelStatement[] =>
      (body.at(-1)?.kind === 'barrier' ? body.slice(0, -1) : body).map((each) => mapBodies(each, dropLast));
    const broken = (kernel: Kernel): Kernel => {
      const raised = raiseShuffle(kernel);
      return { ...raised, body: raised.body.map((each) => mapBodies(each, dropLast)) };
    };
    expect(() => expectSame(nestedShuffles(3), { batch: 1, length: 9 }, broken)).toThrow(/race/);
  });
});

describe('other rewrites', () => {
  it('split vectors and sums of lanes', () => {
    expectSame(manyOperators().plan, { batch: 2, length: 3 }, raiseVectors);
  });

  it('make workgroup arrays of vectors where only vectors are written', () => {
    const plan = sharedTable('fours');
    expectSame(plan, { batch: 2, length: 1 }, raiseShared);
    const [kernel] = plan.kernels;
    expect(raiseShared(kernel!).shared.map(({ type, length }) => [type.width, length])).toEqual([[4, 16]]);
    expectSame(plan, { batch: 2, length: 1 }, (each) => raiseVectors(raiseShared(each)));
  });

  it('leave arrays with single writes: a write to a component may write the whole vector', () => {
    const [kernel] = sharedTable('ones').kernels;
    expect(raiseShared(kernel!).shared).toEqual(kernel!.shared);
    expectSame(sharedTable('ones'), { batch: 2, length: 1 }, (each) => raiseVectors(raiseShared(each)));
  });

  it('move grids to windows', () => {
    const plan = manyBuffers(3);
    expectSame(plan, { batch: 2, length: 5 }, (kernel) => raiseLargeGrid(kernel, 65_535).kernel);
    expect(raiseLargeGrid(plan.kernels[0]!, 65_535).gridBase).toEqual([1, 2, null]);
    const small: Kernel = { ...plan.kernels[0]!, grid: [65_535, 65_536, 1] };
    expect(raiseLargeGrid(small, 65_535).gridBase).toEqual([null, 1, null]);
  });

  it('cut deep expressions without changing what is computed', () => {
    const build = new KernelBuilder();
    const u = build.buffer('u', 'f32', 'read', 300);
    const y = build.buffer('y', 'f32', 'write', 1);
    const deep = Array.from({ length: 300 }, (_, k) => load(u, integer(k))).reduce<KernelExpression>((sum, each) => add(multiply(literal(0.5), each), sum), literal(1));
    build.store(y, integer(0), binary('maximum', deep, unary('negate', deep)));
    const kernel = build.finish({ name: 'deep', notes: [], workgroupSize: 1, grid: [1, 1, 1] });
    const plan = forwardPlan([{ name: 'u', role: 'input', dims: [300] }, { name: 'y', role: 'output', dims: [1] }], [kernel]);
    expectSame(plan, { batch: 1, length: 1 }, raiseDepth);
    expectSame(sequentialScan(), { batch: 2, length: 7 }, raiseDepth);
  });

  it('compute sine, cosine and logarithm to f32 accuracy', () => {
    const build = new KernelBuilder();
    const u = build.buffer('u', 'f32', 'read', 64);
    const y = build.buffer('y', 'f32', 'write', 192);
    const at = builtin('invocation');
    const x = build.let('x', load(u, at));
    build.store(y, at, unary('sine', x));
    build.store(y, add(at, integer(64)), unary('cosine', multiply(x, literal(50))));
    build.store(y, add(at, integer(128)), unary('log2', add(literal(2.5), x)));
    const kernel = build.finish({ name: 'k', notes: [], workgroupSize: 64, grid: [1, 1, 1] });
    expectSame(forwardPlan([{ name: 'u', role: 'input', dims: [64] }, { name: 'y', role: 'output', dims: [192] }], [kernel]), { batch: 1, length: 1 }, raisePrimitives, 3e-7);
  });
});

/** y[at] = u[low bits of a number that is negative for half of the invocations]. */
function masked(mask: number): Plan {
  const build = new KernelBuilder();
  const u = build.buffer('u', 'f32', 'read', 64);
  const y = build.buffer('y', 'f32', 'write', 64);
  const own = builtin('invocation');
  const place = binary('bit-and', binary('subtract', own, integer(32)), integer(mask));
  build.store(y, own, load(u, place));
  return forwardPlan([{ name: 'u', role: 'input', dims: [64] }, { name: 'y', role: 'output', dims: [64] }],
    [build.finish({ name: 'masked', notes: [], workgroupSize: 64, grid: [1, 1, 1] })]);
}

function countMasks(kernel: Kernel): number {
  let count = 0;
  visitExpressions(kernel.body, (each) => void (count += each.kind === 'binary' && each.operator === 'bit-and' ? 1 : 0));
  return count;
}

describe('raise-masks', () => {
  it('keeps the low bits of negative numbers too', () => {
    for (const mask of [1, 7, 63]) {
      expectSame(masked(mask), { batch: 1, length: 1 }, raiseMasks);
      expect(masked(mask).kernels.map((each) => [countMasks(each), countMasks(raiseMasks(each))])).toEqual([[1, 0]]);
    }
  });

  it('leaves other masks alone', () => {
    expect(masked(5).kernels.map(raiseMasks)).toEqual(masked(5).kernels);
  });
});

describe('assign-bindings', () => {
  it('leaves plans within the limit alone', () => {
    const plan = sequentialScan();
    expect(assignBindings(plan, 8).kernels).toBe(plan.kernels);
  });

  it('computes the same through arenas', () => {
    const plan = manyBuffers(12);
    const sizes: RunSizes = { batch: 2, length: 5 };
    const given = givenOf(plan, sizes);
    const expected = interpretPlan(plan, sizes, given, exact).tensors;
    const { kernels, arenas } = assignBindings(plan, 8);
    const memory = new Map([...expected].map(([name, values]) => [name, given.get(name)?.slice() ?? new Float64Array(values.length).fill(NaN)]));
    for (const arena of arenas) {
      const values = new Float64Array(evaluateSize(arena.length, sizes)).fill(NaN);
      for (const { tensor, offset } of arena.members) values.set(memory.get(tensor)!, evaluateSize(offset, sizes));
      memory.set(arena.name, values);
    }
    for (const kernel of kernels) {
      expect(kernel.buffers.length).toBeLessThanOrEqual(8);
      expect(verifyKernel(kernel)).toEqual([]);
      interpretKernel(kernel, sizes, memory, { ...exact, initialised: new Set(memory.keys()) });
    }
    const members = arenas.flatMap((arena) => arena.members.map((each) => ({ ...each, arena: arena.name })));
    for (const { name } of plan.tensors) {
      const member = members.find((each) => each.tensor === name);
      const offset = member === undefined ? 0 : evaluateSize(member.offset, sizes);
      const values = memory.get(member?.arena ?? name)!.slice(offset, offset + expected.get(name)!.length);
      expect([name, values]).toEqual([name, expected.get(name)]);
    }
    expect(members.length).toBeGreaterThan(10);
  });

  it('keeps packed members apart and prefers parameters and scratch', () => {
    const { arenas } = assignBindings(manyBuffers(12), 8);
    expect(arenas[0]?.members.map((each) => each.tensor).sort()).toEqual(Array.from({ length: 12 }, (_, k) => `p${k}`).sort());
    expect(arenas[1]?.members.some((each) => each.tensor === 'd1')).toBe(true);
    const sizes: RunSizes = { batch: 3, length: 7 };
    for (const arena of arenas) {
      const starts = arena.members.map((each) => evaluateSize(each.offset, sizes));
      expect(starts.every((start) => start % 16 === 0)).toBe(true);
      expect(new Set(starts).size).toBe(starts.length);
    }
  });
});
