/**
 * Every pass keeps what a kernel computes, bit for bit, and keeps it well formed; and does what it
 * is for. A pass that has nothing to do returns the same object.
 */
import { describe, expect, it } from 'vitest';
import { add, binary, builtin, convert, element, integer, KernelBuilder, less, literal, load, loadShared, multiply, unary, variable } from '../../../../ir/kernel/builder.ts';
import { f32, i32, type Kernel, type KernelStatement } from '../../../../ir/kernel/nodes.ts';
import { eliminateCommon } from '../../../../ir/kernel/passes/eliminate-common.ts';
import { eliminateDead } from '../../../../ir/kernel/passes/eliminate-dead.ts';
import { hoistInvariant } from '../../../../ir/kernel/passes/hoist-invariant.ts';
import { promoteArrays } from '../../../../ir/kernel/passes/promote-arrays.ts';
import { unrollLoops } from '../../../../ir/kernel/passes/unroll-loops.ts';
import { printKernel } from '../../../../ir/kernel/print.ts';
import { verifyKernel } from '../../../../ir/kernel/verify.ts';
import { visitStatements } from '../../../../ir/kernel/walk.ts';
import { randomKernel } from '../random-kernel.ts';
import { runSample } from '../run-sample.ts';
import { affineScan, samples, tiledTranspose, vectorAdd, type Sample } from '../sample-kernels.ts';

const passes: Readonly<Record<string, (kernel: Kernel) => Kernel>> = {
  unrollLoops,
  promoteArrays,
  hoistInvariant,
  eliminateCommon,
  eliminateDead,
  all: (kernel) => eliminateDead(hoistInvariant(eliminateCommon(promoteArrays(unrollLoops(kernel))))),
  otherOrder: (kernel) => promoteArrays(unrollLoops(eliminateDead(eliminateCommon(hoistInvariant(kernel))))),
};

function expectSame(sample: Sample, changed: Kernel): void {
  expect(verifyKernel(changed), printKernel(changed)).toEqual([]);
  for (const rounding of ['f32', 'f64'] as const) {
    const [before, after] = [runSample(sample, sample.kernel, { rounding }).outputs, runSample(sample, changed, { rounding }).outputs];
    for (const name of Object.keys(sample.outputs)) {
      const isSame = before[name]!.every((value, at) => Object.is(value, after[name]![at]));
      if (!isSame) expect.fail(`${name} differs:\n${printKernel(sample.kernel)}\n${printKernel(changed)}`);
    }
  }
}

describe('results do not change', () => {
  for (const [name, pass] of Object.entries(passes)) {
    it(`${name}: samples`, () => samples.forEach((make) => expectSame(make(), pass(make().kernel))));

    it(`${name}: random kernels, which it changes often, and not again`, () => {
      let changes = 0;
      for (let seed = 1000; seed < 1120; seed += 1) {
        const sample = randomKernel(seed);
        const changed = pass(sample.kernel);
        if (changed === sample.kernel) continue;
        changes += 1;
        expectSame(sample, changed);
        if (name !== 'eliminateCommon' && !name.startsWith('all') && name !== 'otherOrder') expect(pass(changed)).toBe(changed);
      }
      expect(changes).toBeGreaterThan(36);
    });
  }
});

const me = builtin('invocation');

function kernelOf(build: (k: KernelBuilder, y: ReturnType<KernelBuilder['buffer']>) => void): Kernel {
  const k = new KernelBuilder();
  const y = k.buffer('y', 'f32', 'write', 1024);
  build(k, y);
  return k.finish({ name: 'sample', notes: [], workgroupSize: 4, grid: [1, 1, 1] });
}

function bodyText(kernel: Kernel): string[] {
  return printKernel(kernel).split('body {\n')[1]!.trimEnd().split('\n').slice(0, -1).map((line) => line.slice(2));
}

function kinds(kernel: Kernel): KernelStatement['kind'][] {
  const found: KernelStatement['kind'][] = [];
  visitStatements(kernel.body, (each) => void found.push(each.kind));
  return found;
}

describe('unrollLoops', () => {
  it('leaves no marked loop and folds indices and branches', () => {
    const kernel = kernelOf((k, y) => k.for('i', { start: integer(1), end: integer(6), step: 2, unroll: true }, (i) => {
      k.if(less(i, integer(4)), () => k.store(y, add(multiply(i, integer(10)), me), convert(i, f32)), () => k.barrier());
    }));
    expect(bodyText(unrollLoops(kernel))).toEqual(['@0:y[10 + invocation] = 1.0', '@0:y[30 + invocation] = 3.0', 'barrier']);
  });

  it('gives every copy its own names', () => {
    const kernel = kernelOf((k, y) => {
      const sum = k.var('sum', literal(1));
      k.for('i', { start: integer(0), end: integer(2), unroll: true }, (i) => {
        k.assign(sum, add(variable(sum), literal(1)));
        k.store(y, add(i, multiply(me, integer(2))), variable(sum));
      });
    });
    expect(kinds(unrollLoops(kernel))).toEqual(['var', 'assign', 'store', 'assign', 'store']);
    expect(verifyKernel(unrollLoops(affineScan().kernel))).toEqual([]);
  });

  it('keeps the snapshot of a variable that folding makes a bare name', () => {
    const kernel = kernelOf((k, y) => {
      const n = k.var('n', me);
      k.for('i', { start: integer(0), end: integer(2), unroll: true }, (i) => {
        const before = k.let('before', add(variable(n), i));
        k.assign(n, add(variable(n), integer(4)));
        k.store(y, before, convert(variable(n), f32));
      });
    });
    const sample: Sample = { kernel, sizes: { batch: 1, length: 1 }, inputs: {}, outputs: { y: 1024 }, expected: {} };
    expectSame(sample, unrollLoops(kernel));
    expect(kinds(unrollLoops(kernel)).filter((each) => each === 'let')).toHaveLength(2);
  });

  it('keeps loops beyond the limit and loops that are not marked', () => {
    const { kernel } = tiledTranspose();
    expect(unrollLoops(kernel, { limit: 7 })).toBe(kernel);
    expect(kinds(unrollLoops(kernel, { limit: 8 })).filter((each) => each === 'for')).toHaveLength(1);
    expect(unrollLoops(vectorAdd().kernel)).toEqual(vectorAdd().kernel);
  });

  it('an empty range leaves nothing', () => {
    const kernel = kernelOf((k) => k.for('i', { start: integer(3), end: integer(3), unroll: true }, () => k.barrier()));
    expect(unrollLoops(kernel).body).toEqual([]);
  });
});

describe('promoteArrays', () => {
  it('makes variables of arrays with literal indices only', () => {
    const promoted = promoteArrays(unrollLoops(affineScan().kernel));
    expect(kinds(promoted)).not.toContain('array');
    expect(kinds(promoted)).not.toContain('set-element');
    expect(printKernel(promoted).match(/%\d+:x_3 = 0\.0/g)).toHaveLength(1);
    const { kernel } = affineScan();
    expect(promoteArrays(kernel)).toBe(kernel);
  });

  it('starts anew in every iteration', () => {
    const kernel = kernelOf((k, y) => k.for('t', { start: integer(0), end: integer(2) }, (t) => {
      const array = k.array('r', i32, 1);
      k.setElement(array, integer(0), t);
      k.store(y, add(element(array, integer(0)), multiply(me, integer(2))), literal(1));
    }));
    expect(kinds(promoteArrays(kernel))).toEqual(['for', 'var', 'store']);
  });

  it('defines a variable at its first write only if that is always executed and reads nothing of it', () => {
    const kernel = kernelOf((k, y) => {
      const array = k.array('r', f32, 3);
      k.setElement(array, integer(0), literal(1));
      k.if(less(me, integer(2)), () => k.setElement(array, integer(1), literal(2)), () => k.setElement(array, integer(1), literal(3)));
      k.for('t', { start: integer(0), end: integer(2) }, () => k.setElement(array, integer(2), element(array, integer(0))));
      k.store(y, me, add(element(array, integer(1)), element(array, integer(2))));
    });
    const sample: Sample = { kernel, sizes: { batch: 1, length: 1 }, inputs: {}, outputs: { y: 1024 }, expected: {} };
    expectSame(sample, promoteArrays(kernel));
    expect(bodyText(promoteArrays(kernel)).filter((line) => line.includes('var')).map((line) => line.replace(/%\d+/g, '%'))).toEqual([
      'var %:r_1 = 0.0', 'var %:r_2 = 0.0', 'var %:r_0 = 1.0',
    ]);
  });
});

describe('hoistInvariant', () => {
  it('moves index arithmetic and exponentials before the loop, once', () => {
    const kernel = kernelOf((k, y) => {
      const x = k.var('x', convert(me, f32));
      k.for('t', { start: integer(0), end: integer(8) }, (t) => {
        const decay = k.let('decay', unary('exp2', convert(me, f32)));
        k.store(y, add(multiply(me, integer(8)), t), add(decay, variable(x)));
        k.assign(x, multiply(variable(x), unary('exp2', variable(x))));
      });
    });
    const text = bodyText(hoistInvariant(kernel));
    const loop = text.findIndex((line) => line.startsWith('for'));
    expect(text.slice(1, loop).map((line) => line.replace(/%\d+/g, '%'))).toEqual([
      'let %:decay = exp2(convert f32(invocation))', 'let %:base = invocation * 8',
    ]);
    expect(text.slice(loop).join('\n')).toContain('exp2(%1:x)');
  });

  it('climbs out of nested loops', () => {
    const kernel = kernelOf((k, y) => k.for('a', { start: integer(0), end: integer(2) }, (a) => {
      k.for('b', { start: integer(0), end: integer(2) }, (b) => k.store(y, add(add(multiply(me, integer(4)), multiply(a, integer(2))), b), literal(1)));
    }));
    const text = bodyText(hoistInvariant(kernel)).map((line) => line.replace(/%\d+/g, '%'));
    expect(text[0]).toBe('let %:base = invocation * 4');
    expect(text[2]).toBe('  let %:base = %:base + (%:a * 2)');
  });

  it('leaves memory, branches and division that may be undefined', () => {
    const kernel = kernelOf((k, y) => {
      const a = k.buffer('a', 'f32', 'read', 4);
      const n = k.let('n', add(me, integer(-1)));
      k.for('t', { start: integer(0), end: integer(8) }, (t) => {
        k.store(y, add(t, multiply(me, integer(8))), load(a, me));
        k.if(less(t, integer(2)), () => k.store(y, binary('divide', n, me), literal(0)));
        k.store(y, binary('divide', n, integer(2)), literal(0));
      });
    });
    const text = bodyText(hoistInvariant(kernel));
    expect(text.slice(0, text.findIndex((line) => line.startsWith('for')))).toHaveLength(2);
  });
});

describe('eliminateCommon', () => {
  it('names repeated expressions and reuses lets', () => {
    const kernel = kernelOf((k, y) => {
      const index = (): ReturnType<typeof add> => add(multiply(me, integer(8)), builtin('workgroup-x'));
      k.store(y, index(), literal(1));
      k.if(less(me, integer(2)), () => k.store(y, index(), literal(2)));
      const again = k.let('again', index());
      k.store(y, again, convert(again, f32));
    });
    const text = bodyText(eliminateCommon(kernel)).map((line) => line.replace(/%\d+/g, '%'));
    expect(text).toEqual([
      'let %:index = (invocation * 8) + workgroup-x', '@0:y[%:index] = 1.0', 'if invocation < 2 {', '  @0:y[%:index] = 2.0', '}',
      '@0:y[%:index] = convert f32(%:index)',
    ]);
  });

  it('does not share what changes, nor what only branches evaluate', () => {
    const kernel = kernelOf((k, y) => {
      const x = k.var('x', literal(2));
      const square = (): ReturnType<typeof add> => multiply(variable(x), variable(x));
      k.store(y, me, square());
      k.assign(x, literal(3));
      k.store(y, me, square());
      k.if(less(me, integer(1)), () => k.store(y, me, unary('exp2', convert(me, f32))));
      k.if(less(me, integer(2)), () => k.store(y, me, unary('exp2', convert(me, f32))));
    });
    expect(eliminateCommon(kernel)).toBe(kernel);
  });
});

describe('eliminateDead', () => {
  it('removes what nothing sees', () => {
    const kernel = kernelOf((k, y) => {
      const a = k.buffer('a', 'f32', 'read', 4);
      const array = k.array('r', f32, 2);
      const [unused, used] = [k.var('unused', load(a, me)), k.var('used', literal(0))];
      k.for('t', { start: integer(0), end: integer(2) }, (t) => {
        k.assign(unused, add(variable(unused), literal(1)));
        k.setElement(array, t, variable(unused));
        k.let('dead', multiply(t, integer(3)));
      });
      k.for('t', { start: integer(0), end: integer(2) }, () => k.assign(used, add(variable(used), literal(1))));
      k.comment('the result');
      k.store(y, me, variable(used));
    });
    expect(kinds(eliminateDead(kernel))).toEqual(['var', 'for', 'assign', 'comment', 'store']);
    const clean = eliminateDead(kernel);
    expect(eliminateDead(clean)).toBe(clean);
  });

  it('removes stores to shared arrays that nothing reads, with what only they need', () => {
    const kernel = kernelOf((k, y) => {
      const [unread, read] = [k.shared('unread', f32, 4), k.shared('read', f32, 4)];
      k.storeShared(unread, me, k.let('only', add(loadShared(read, me), literal(1))));
      k.storeShared(read, me, literal(2));
      k.barrier();
      k.store(y, me, loadShared(read, me));
    });
    expect(kinds(eliminateDead(kernel))).toEqual(['store-shared', 'barrier', 'store']);
  });
});
