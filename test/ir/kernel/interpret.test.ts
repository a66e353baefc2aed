/** The interpreter computes what the twins compute and finds every planted fault. */
import { describe, expect, it } from 'vitest';
import { add, binary, builtin, convert, element, integer, KernelBuilder, less, literal, load, loadShared, multiply, shuffleXor, variable } from '../../../ir/kernel/builder.ts';
import { interpretKernel, interpretPlan, type FindingKind } from '../../../ir/kernel/interpret.ts';
import { f32, i32, type Kernel, type KernelStatement } from '../../../ir/kernel/nodes.ts';
import { mapBodies } from '../../../ir/kernel/walk.ts';
import type { Plan, PlanTensor } from '../../../ir/plan.ts';
import { runSample } from './run-sample.ts';
import { affineScan, samples, tiledTranspose, vectorAdd, vectorRelu, type Sample } from './sample-kernels.ts';

const one = { batch: 1, length: 1 };

describe('clean kernels', () => {
  for (const make of samples) {
    for (const rounding of ['f32', 'f64'] as const) {
      it(`${make.name} equals its twin in ${rounding}, in any order, without findings`, () => {
        const sample = make();
        for (const seed of [0, 1, 2, 3]) {
          const { outputs } = runSample(sample, sample.kernel, { rounding, order: seed === 0 ? 'ascending' : 'shuffled', seed });
          for (const [name, expected] of Object.entries(sample.expected)) {
            outputs[name]!.forEach((value, at) => expect(Math.abs(value - expected[at]!)).toBeLessThanOrEqual(2e-6 * Math.abs(expected[at]!) + 1e-9));
          }
        }
      });
    }
  }

  it('f32 rounding is that of the hardware, f64 does not round', () => {
    const sample = vectorAdd(3);
    const inputs = { a: Float64Array.of(0.1, 1e8, 1), b: Float64Array.of(0.2, 1, 2 ** -30) };
    const run = (rounding: 'f32' | 'f64'): Float64Array => runSample({ ...sample, inputs }, sample.kernel, { rounding }).outputs['y']!;
    expect([...run('f32')]).toEqual([Math.fround(Math.fround(0.1) + Math.fround(0.2)), 1e8, 1]);
    expect([...run('f64')]).toEqual([0.1 + 0.2, 1e8 + 1, 1 + 2 ** -30]);
  });

  it('minimum and maximum see their two operands only', () => {
    const sample = vectorAdd(20);
    const body = rewriteBody(sample.kernel.body, (each) => {
      if (each.kind !== 'store' || each.value.kind !== 'binary') return [each];
      return [{ ...each, value: binary('minimum', binary('maximum', each.value.left, literal(100)), literal(200)) }];
    });
    expect(new Set(runSample(sample, { ...sample.kernel, body }).outputs['y']!)).toEqual(new Set([100]));
  });

  it('narrow storage rounds to nearest even', () => {
    const sample = vectorRelu();
    const inputs = { a: new Float64Array(64).fill(1 + 2 ** -11 + 2 ** -20) };
    expect(runSample({ ...sample, inputs }).outputs['y']![5]).toBe(1 + 2 ** -10);
    expect(runSample({ ...sample, inputs: { a: inputs.a.map(() => 1 + 2 ** -11) } }).outputs['y']![5]).toBe(1);
  });
});

function rewriteBody(body: readonly KernelStatement[], change: (statement: KernelStatement) => readonly KernelStatement[]): readonly KernelStatement[] {
  return body.flatMap((statement) => change(mapBodies(statement, (inner) => rewriteBody(inner, change))));
}

function planted(sample: Sample, change: (statement: KernelStatement) => readonly KernelStatement[]): readonly FindingKind[] {
  const kernel: Kernel = { ...sample.kernel, body: rewriteBody(sample.kernel.body, change) };
  expect(() => runSample(sample, kernel)).toThrow(/in kernel/);
  return runSample(sample, kernel, { findings: 'collect' }).findings.map((each) => each.kind);
}

describe('planted faults in samples', () => {
  it('a dropped barrier is a race', () => {
    expect(planted(tiledTranspose(), (each) => (each.kind === 'barrier' ? [] : [each]))).toContain('race');
  });

  it('a store that is off by one is out of bounds or a race', () => {
    const off = (each: KernelStatement): readonly KernelStatement[] => (each.kind === 'store' ? [{ ...each, index: add(each.index, integer(1)) }] : [each]);
    expect(planted(vectorAdd(), off)).toContain('out-of-bounds');
    expect(planted(affineScan(), off)).toContain('out-of-bounds');
    expect(planted(vectorRelu(), off)).toContain('misaligned');
  });

  it('a missing guard at the tail is out of bounds', () => {
    expect(planted(vectorAdd(), (each) => (each.kind === 'if' ? each.whenTrue : [each]))).toContain('out-of-bounds');
  });

  it('a missing initialisation of registers is found', () => {
    const isInitial = (each: KernelStatement): boolean => each.kind === 'set-element' && each.value.kind === 'literal';
    expect(planted(affineScan(), (each) => (isInitial(each) ? [] : [each]))).toEqual(['uninitialised']);
  });

  it('a barrier under a varying condition is divergent', () => {
    expect(planted(vectorAdd(), (each) => (each.kind === 'store' ? [each, { kind: 'barrier' }] : [each]))).toEqual(['divergent-barrier']);
  });
});

/** Findings of a kernel of four invocations with `a` (4, read) and `y` (4, write). */
function findingsOf(build: (k: KernelBuilder, access: { a: ReturnType<KernelBuilder['buffer']>; y: ReturnType<KernelBuilder['buffer']> }) => void, groups = 1): string[] {
  const k = new KernelBuilder();
  const access = { a: k.buffer('a', 'f32', 'read', 4), y: k.buffer('y', 'f32', 'read-write', 4) };
  build(k, access);
  const kernel = k.finish({ name: 'planted', notes: [], workgroupSize: 4, grid: [groups, 1, 1] });
  const buffers = new Map([['a', Float64Array.of(1, 2, 3, 4)], ['y', new Float64Array(4)]]);
  return interpretKernel(kernel, one, buffers, { rounding: 'f32', findings: 'collect' }).map((each) => each.kind);
}

describe('planted faults, one by one', () => {
  const me = builtin('invocation');
  const cases: readonly [string, readonly FindingKind[], Parameters<typeof findingsOf>[0], number][] = [
    ['nothing', [], (k, { a, y }) => k.store(y, me, load(a, me)), 1],
    ['two invocations write one element', ['race'], (k, { y }) => k.store(y, binary('divide', me, integer(2)), literal(1)), 1],
    ['two workgroups write one element', ['workgroup-race'], (k, { y }) => k.store(y, me, literal(1)), 2],
    ['read of another workgroup\'s element', ['uninitialised', 'workgroup-race'], (k, { y }) => {
      k.if(binary('equal', me, integer(0)), () => {
        k.store(y, builtin('workgroup-x'), load(y, binary('subtract', integer(1), builtin('workgroup-x'))));
      });
    }, 2],
    ['read of an unwritten element', ['uninitialised'], (k, { y }) => k.store(y, me, load(y, me)), 1],
    ['read of unwritten shared memory', ['uninitialised'], (k, { y }) => {
      const shared = k.shared('s', f32, 4);
      k.store(y, me, loadShared(shared, me));
    }, 1],
    ['neighbour read and write without barrier', ['uninitialised', 'race'], (k, { y }) => {
      const shared = k.shared('s', f32, 4);
      k.store(y, me, loadShared(shared, binary('bit-and', add(me, integer(1)), integer(3))));
      k.storeShared(shared, me, literal(1));
    }, 1],
    ['one of several readers writes without barrier', ['race'], (k, { y }) => {
      const shared = k.shared('s', f32, 1);
      k.if(binary('equal', me, integer(3)), () => k.storeShared(shared, integer(0), literal(1)));
      k.barrier();
      k.store(y, me, loadShared(shared, integer(0)));
      k.if(binary('equal', me, integer(0)), () => k.storeShared(shared, integer(0), literal(2)));
    }, 1],
    ['shared memory of the workgroup before', ['uninitialised'], (k) => {
      const shared = k.shared('s', f32, 4);
      k.if(binary('equal', builtin('workgroup-x'), integer(1)), () => void k.var('old', loadShared(shared, me)));
      k.storeShared(shared, me, literal(1));
    }, 2],
    ['write after another workgroup\'s read', ['workgroup-race'], (k, { y }) => {
      k.if(binary('equal', builtin('workgroup-x'), integer(0)), () => void k.var('read', load(y, me)), () => k.store(y, me, literal(1)));
    }, 2],
    ['register array of the iteration before', ['uninitialised'], (k) => {
      k.for('t', { start: integer(0), end: integer(2) }, (t) => {
        const array = k.array('r', f32, 2);
        k.if(binary('equal', t, integer(1)), () => void k.var('old', element(array, integer(1))));
        k.setElement(array, integer(1), literal(1));
      });
    }, 1],
    ['barrier in an if', ['divergent-barrier'], (k) => k.if(less(me, integer(2)), () => k.barrier()), 1],
    ['barrier in a loop of varying length', ['divergent-barrier'], (k) => k.for('i', { start: integer(0), end: me }, () => k.barrier()), 1],
    ['shuffle in an if', ['divergent-shuffle'], (k, { a, y }) => {
      k.if(less(me, integer(2)), () => k.store(y, me, shuffleXor(load(a, me), 1)));
    }, 1],
    ['index before the start', ['out-of-bounds'], (k, { a, y }) => k.store(y, me, load(a, binary('subtract', me, integer(1)))), 1],
    ['register array out of bounds', ['out-of-bounds'], (k) => {
      const array = k.array('r', f32, 3);
      k.setElement(array, me, literal(0));
    }, 1],
    ['register array read before it is written', ['uninitialised'], (k, { y }) => {
      const array = k.array('r', f32, 4);
      k.if(less(me, integer(3)), () => k.setElement(array, integer(0), literal(0)));
      k.store(y, me, element(array, integer(0)));
    }, 1],
    ['overflow of a product', ['integer-overflow'], (k, { y }) => {
      const big = k.let('big', multiply(add(me, integer(65535)), add(me, integer(65535))));
      k.store(y, me, convert(big, f32));
    }, 1],
    ['overflow of a sum', ['integer-overflow'], (k, { y }) => k.store(y, me, convert(add(me, integer(2 ** 31 - 2)), f32)), 1],
    ['conversion out of range', ['integer-overflow'], (k, { y }) => k.store(y, convert(literal(3e9), i32), literal(0)), 1],
    ['division by zero', ['integer-division'], (k, { y }) => k.store(y, binary('divide', integer(0), me), literal(0)), 1],
    ['infinite literal', ['non-finite-literal'], (k, { y }) => k.store(y, me, literal(Infinity)), 1],
    ['misaligned vector', ['misaligned'], (k, { a }) => {
      k.if(less(me, integer(2)), () => void k.var('v', load(a, me, 2, true)));
    }, 1],
  ];
  for (const [name, kinds, build, groups] of cases) {
    it(name, () => {
      const found = new Set(findingsOf(build, groups));
      for (const kind of kinds) expect(found).toContain(kind);
      if (kinds.length === 0) expect([...found]).toEqual([]);
    });
  }

  it('an endless loop ends with an error', () => {
    const k = new KernelBuilder();
    const count = k.var('count', integer(0));
    k.for('i', { start: integer(0), end: integer(2 ** 31 - 1) }, () => k.assign(count, variable(count)));
    const kernel = k.finish({ name: 'endless', notes: [], workgroupSize: 1, grid: [1, 1, 1] });
    expect(() => interpretKernel(kernel, one, new Map(), { rounding: 'f32', stepLimit: 1000 })).toThrow(/more than 1000 steps/);
  });
});

describe('plans', () => {
  const tensor = (name: string, role: PlanTensor['role']): PlanTensor => ({ name, role, subject: name, storage: 'f32', axes: ['time'], dims: ['length'] });
  const copy = (from: string, to: string, skip: number): Kernel => {
    const k = new KernelBuilder();
    const [a, y, size] = [k.buffer(from, 'f32', 'read', 'length'), k.buffer(to, 'f32', 'write', 'length'), k.uniform('L', 'length')];
    const i = k.let('i', add(builtin('workgroup-x'), integer(skip)));
    k.if(less(i, size), () => k.store(y, i, multiply(load(a, i), literal(2))));
    return k.finish({ name: `copy_${to}`, notes: [], workgroupSize: 1, grid: ['length', 1, 1] });
  };
  const plan = (skips: readonly [number, number]): Plan => ({
    entry: 'forward', tensors: [tensor('u', 'input'), tensor('scratch.0', 'scratch'), tensor('y', 'output')],
    kernels: [copy('u', 'scratch.0', skips[0]), copy('scratch.0', 'y', skips[1])],
  });
  const sizes = { batch: 1, length: 3 };
  const given = new Map([['u', Float64Array.of(1, 2, 3)]]);

  it('runs kernels in order', () => {
    const { tensors, findings } = interpretPlan(plan([0, 0]), sizes, given, { rounding: 'f32' });
    expect([...tensors.get('y')!]).toEqual([4, 8, 12]);
    expect(findings).toEqual([]);
  });

  it('finds scratch that no kernel wrote, and outputs that are not complete', () => {
    const collect = { rounding: 'f32', findings: 'collect' } as const;
    expect(interpretPlan(plan([1, 0]), sizes, given, collect).findings).toMatchObject([{ kind: 'uninitialised', buffer: 'scratch.0', index: 0 }]);
    expect(interpretPlan(plan([0, 1]), sizes, given, collect).findings).toMatchObject([{ kind: 'unwritten-output', buffer: 'y', index: 0 }]);
    expect(() => interpretPlan(plan([0, 1]), sizes, given, { rounding: 'f32' })).toThrow(/y is not complete/);
    expect(() => interpretPlan(plan([0, 0]), { batch: 1, length: 4 }, given, { rounding: 'f32' })).toThrow(/has 3 elements/);
  });
});
