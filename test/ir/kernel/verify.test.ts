/** Well-formed kernels pass; each rule has a kernel that breaks it and nothing else. */
import { describe, expect, it } from 'vitest';
import { add, builtin, element, integer, KernelBuilder, less, literal, load, loadShared, shuffleXor, uniform, variable, type KernelHeader } from '../../../ir/kernel/builder.ts';
import { bool, f32, i32, type ArrayId, type Kernel, type KernelExpression, type UniformId, type VariableId } from '../../../ir/kernel/nodes.ts';
import { assertKernel, verifyKernel } from '../../../ir/kernel/verify.ts';
import { samples } from './sample-kernels.ts';

type Parts = { k: KernelBuilder; a: ReturnType<KernelBuilder['buffer']>; y: ReturnType<KernelBuilder['buffer']> };

function kernelOf(build: (parts: Parts) => void, header: Partial<KernelHeader> = {}): Kernel {
  const k = new KernelBuilder();
  const parts = { k, a: k.buffer('a', 'f32', 'read', 8), y: k.buffer('y', 'f32', 'write', 8) };
  build(parts);
  return k.finish({ name: 'sample', notes: [], workgroupSize: 8, grid: [1, 1, 1], ...header });
}

const me = builtin('invocation');
describe('samples', () => {
  for (const make of samples) it(`${make.name} is fine`, () => expect(verifyKernel(make().kernel)).toEqual([]));
});

const stray = { id: 999 as VariableId, name: 'stray', type: f32 };
const illTyped: KernelExpression = { kind: 'binary', operator: 'add', left: literal(1), right: integer(1), type: f32 };
const mistyped: KernelExpression = { kind: 'convert', operand: literal(1), type: i32 };

const faults: readonly [string, RegExp, Kernel][] = [
  ['variable out of scope', /stray is not in scope/, kernelOf(({ k, y }) => k.store(y, me, variable(stray)))],
  ['variable of an inner scope', /not in scope/, kernelOf(({ k, y, a }) => {
    let inner: KernelExpression = literal(0);
    k.if(less(me, integer(4)), () => {
      inner = k.let('inner', load(a, me));
      k.store(y, me, inner);
    });
    k.store(y, me, inner);
  })],
  ['assignment to a let', /cannot be assigned/, kernelOf(({ k, a }) => {
    const value = k.let('value', load(a, me));
    if (value.kind === 'variable') k.assign(value.variable, literal(1));
  })],
  ['assignment to a loop variable', /cannot be assigned/, kernelOf(({ k }) => {
    k.for('i', { start: integer(0), end: integer(2) }, (i) => i.kind === 'variable' && k.assign(i.variable, integer(1)));
  })],
  ['array out of scope', /array r is not in scope/, kernelOf(({ k, y }) => {
    k.store(y, me, element({ id: 998 as ArrayId, name: 'r', type: f32, length: 2 }, integer(0)));
  })],
  ['constant index past the array', /index 2 outside of length 2/, kernelOf(({ k }) => k.setElement(k.array('r', f32, 2), integer(2), literal(0)))],
  ['constant index past shared memory', /index 4 outside/, kernelOf(({ k, y }) => k.store(y, me, loadShared(k.shared('s', f32, 4), integer(4))))],
  ['constant index past the buffer', /index 6 outside of length 8/, kernelOf(({ k, a }) => void k.var('v', load(a, integer(6), 4)))],
  ['constant index not aligned', /index 2 is not aligned/, kernelOf(({ k, a }) => void k.var('v', load(a, integer(2), 4, true)))],
  ['store to a read buffer', /store to read-only/, kernelOf(({ k, a }) => k.store(a, me, literal(0)))],
  ['load from a write buffer', /load from write-only/, kernelOf(({ k, y }) => k.store(y, me, load(y, me)))],
  ['store of another type', /store of i32 to f32/, kernelOf(({ k, y }) => k.store(y, me, me))],
  ['ill-typed operands', /add of f32 and i32/, kernelOf(({ k, y }) => k.store(y, me, illTyped))],
  ['type that operands do not give', /has type/, kernelOf(({ k, y }) => k.store(y, me, { ...add(literal(1), literal(2)), type: i32 } as KernelExpression))],
  ['float index', /index of type f32/, kernelOf(({ k, y, a }) => k.store(y, me, load(a, literal(1))))],
  ['value of another type in a variable', /i32 in a variable of f32/, kernelOf(({ k }) => k.assign(k.var('v', literal(0)), mistyped))],
  ['infinite literal', /not finite/, kernelOf(({ k, y }) => k.store(y, me, literal(Infinity)))],
  ['fraction as integer', /literal 0.5 is no i32/, kernelOf(({ k, y }) => k.store(y, literal(0.5, i32), literal(0)))],
  ['loop step 0', /loop step 0/, kernelOf(({ k }) => k.for('i', { start: integer(0), end: integer(2), step: 0 }, () => k.comment('body')))],
  ['unrolled loop of unknown length', /without constant bounds/, kernelOf(({ k }) => k.for('i', { start: integer(0), end: me, unroll: true }, () => k.comment('body')))],
  ['loop end that changes', /loop end reads/, kernelOf(({ k }) => {
    const end = k.var('end', integer(3));
    k.for('i', { start: integer(0), end: variable(end) }, () => k.assign(end, integer(1)));
  })],
  ['condition that is a number', /condition of i32/, kernelOf(({ k }) => k.if(me, () => k.comment('here')))],
  ['barrier in a varying branch', /barrier in varying/, kernelOf(({ k }) => k.if(less(me, integer(4)), () => k.barrier()))],
  ['barrier in a varying loop', /barrier in varying/, kernelOf(({ k }) => k.for('i', { start: integer(0), end: me }, () => k.barrier()))],
  ['barrier under a var assigned under a varying branch', /barrier in varying/, kernelOf(({ k }) => {
    const flag = k.var('flag', literal(0, bool));
    k.for('i', { start: integer(0), end: integer(2) }, () => {
      k.if(variable(flag), () => k.barrier());
      k.if(less(me, integer(4)), () => k.assign(flag, literal(1, bool)));
    });
  })],
  ['barrier under a copy of a var that varies only from the second iteration on', /barrier in varying/, kernelOf(({ k }) => {
    const [first, second] = [k.var('first', literal(0, bool)), k.var('second', literal(0, bool))];
    k.for('i', { start: integer(0), end: integer(3) }, () => {
      k.assign(first, variable(second));
      k.if(variable(first), () => k.barrier());
      k.assign(second, less(me, integer(4)));
    });
  })],
  ['barrier under a loaded condition', /barrier in varying/, kernelOf(({ k, a }) => k.if(less(load(a, integer(0)), literal(1)), () => k.barrier()))],
  ['shuffle in a varying branch', /shuffle in varying/, kernelOf(({ k, a, y }) => k.if(less(me, integer(4)), () => k.store(y, me, shuffleXor(load(a, me), 1))))],
  ['shuffle mask that is no power of two', /shuffle mask 3/, kernelOf(({ k, a, y }) => k.store(y, me, shuffleXor(load(a, me), 3)))],
  ['shuffle mask beyond the workgroup', /shuffle mask 8 in a workgroup of 8/, kernelOf(({ k, a, y }) => k.store(y, me, shuffleXor(load(a, me), 8)))],
  ['too much shared memory', /65536 bytes of shared memory/, kernelOf(({ k }) => void k.shared('s', f32, 16384))],
  ['workgroup of 2048', /workgroup of 2048/, kernelOf(() => {}, { workgroupSize: 2048 })],
  ['workgroup of 0', /workgroup of 0/, kernelOf(() => {}, { workgroupSize: 0 })],
  ['foreign uniform', /is not the kernel's/, kernelOf(({ k, y }) => k.store(y, uniform({ id: 997 as UniformId, name: 'L', value: 'length' }), literal(0)))],
  ['comment that ends a comment', /could end a comment/, kernelOf(({ k }) => k.comment('x */ y'))],
  ['note with a line break', /could end a comment/, kernelOf(() => {}, { notes: ['a\nb'] })],
];

describe('faults', () => {
  for (const [name, message, kernel] of faults) {
    it(name, () => {
      const problems = verifyKernel(kernel);
      expect(problems[0]).toMatch(message);
      expect(() => assertKernel(kernel, 'test')).toThrow(/^test: kernel sample is not well formed/);
    });
  }

  it('definition twice', () => {
    const kernel = kernelOf(({ k, a, y }) => k.store(y, me, k.let('v', load(a, me))));
    expect(verifyKernel({ ...kernel, body: [...kernel.body, ...kernel.body] })[0]).toMatch(/v is defined twice/);
  });

  it('too many statements', () => {
    const kernel = kernelOf(({ k }) => Array.from({ length: 11 }, () => k.barrier()));
    expect(verifyKernel(kernel, { sharedBytes: 0, statements: 10 })).toEqual(['11 statements, more than 10']);
  });
});

describe('uniform control flow', () => {
  it('allows barriers under uniforms, workgroup numbers, uniform loops and uniform vars', () => {
    const kernel = kernelOf(({ k }) => {
      const size = k.uniform('L', 'length');
      const count = k.var('count', integer(0));
      k.for('t', { start: integer(0), end: size }, (t) => {
        k.assign(count, add(variable(count), integer(1)));
        k.if(less(add(t, builtin('workgroup-y')), variable(count)), () => k.barrier());
      });
    });
    expect(verifyKernel(kernel)).toEqual([]);
  });

  it('is everywhere in workgroups of one', () => {
    expect(verifyKernel(kernelOf(({ k }) => k.if(less(me, integer(4)), () => k.barrier()), { workgroupSize: 1 }))).toEqual([]);
  });
});
