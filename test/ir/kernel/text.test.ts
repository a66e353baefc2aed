/** Kernels survive printing and parsing; texts that are no kernels give an error with a line. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { builtin, convert, integer, KernelBuilder, literal, load, select } from '../../../ir/kernel/builder.ts';
import { bool, type KernelStatement } from '../../../ir/kernel/nodes.ts';
import { parseKernel } from '../../../ir/kernel/parse.ts';
import { printKernel, printStatementHead } from '../../../ir/kernel/print.ts';
import { verifyKernel } from '../../../ir/kernel/verify.ts';
import { InternalError } from '../../../support/invariant.ts';
import { randomKernel } from './random-kernel.ts';
import { runSample } from './run-sample.ts';
import { affineScan, samples } from './sample-kernels.ts';

describe('round trip', () => {
  for (const make of samples) {
    it(make.name, () => {
      const { kernel } = make();
      expect(parseKernel(printKernel(kernel))).toEqual(kernel);
    });
  }

  it('random kernels, which are well formed and run without findings', () => {
    let statements = 0;
    for (let seed = 0; seed < 200; seed += 1) {
      const sample = randomKernel(seed);
      const text = printKernel(sample.kernel);
      const again = parseKernel(text);
      expect(isDeepStrictEqual(again, sample.kernel)).toBe(true);
      expect(printKernel(again)).toBe(text);
      expect(verifyKernel(sample.kernel)).toEqual([]);
      runSample(sample);
      statements += text.split('\n').length;
    }
    expect(statements).toBeGreaterThan(7_000);
  });

  it('odd names, numbers and sizes', () => {
    const k = new KernelBuilder();
    const size = { operator: 'multiply', left: 'batch', right: { operator: 'multiply', left: 'length', right: { operator: 'minimum', left: 3, right: { operator: 'add', left: 1, right: 'batch' } } } } as const;
    const a = k.buffer('grad.u "x" \\ %7', 'f32', 'read', size);
    const wide = k.buffer('w', 'f64', 'write', { operator: 'ceil-divide', left: 'length', right: 8 });
    const value = select(literal(0, bool), load(a, integer(-3)), literal(-0));
    k.store(wide, integer(0), convert(value, { element: 'f64', width: 1 }));
    for (const number of [1e21, 1e-7, -1.5e300, 0.1, 5]) k.store(wide, builtin('workgroup-z'), literal(number, { element: 'f64', width: 4 }));
    k.var('größe', literal(4294967295, { element: 'u32', width: 2 }));
    k.comment('quoted " and \\ and {');
    const kernel = k.finish({ name: 'a "b"', notes: ['x = "y"'], workgroupSize: 1, grid: [size, 'length', 1] });
    expect(parseKernel(printKernel(kernel))).toEqual(kernel);
  });

  it('reads well', () => {
    const lines = printKernel(affineScan().kernel).split('\n').map((line) => line.trim());
    expect(lines).toContain('let %5:b = (workgroup-x * 4) + invocation');
    expect(lines).toContain('let %12:decay = exp2(@2:A[%11:n])');
    expect(lines).toContain('for %11:n = 0 .. 4 unroll {');
    const head: KernelStatement = { kind: 'barrier' };
    expect(printStatementHead(head)).toBe('barrier');
  });
});

function readOrFail(text: string): void {
  try {
    parseKernel(text);
  } catch (error) {
    expect(error).toBeInstanceOf(InternalError);
    expect((error as Error).message).toMatch(/^kernel text, line \d+: /);
  }
}

describe('texts that are no kernels', () => {
  const good = printKernel(affineScan().kernel);

  it('name the line', () => {
    const broken = good.replace('exp2(@2:A[%11:n])', 'exp3(@2:A[%11:n])');
    const line = broken.split('\n').findIndex((each) => each.includes('exp3')) + 1;
    expect(() => parseKernel(broken)).toThrow(`kernel text, line ${line}: unknown operation exp3`);
    expect(() => parseKernel('')).toThrow('kernel text, line 1: expected kernel, found the end');
    expect(() => parseKernel(`${good}\nbarrier`)).toThrow(/after the kernel/);
    expect(() => parseKernel(good.replaceAll('%12:decay', '%12:other').replace('%12:other', '%12:decay'))).toThrow(/%12:other is not declared/);
    expect(() => parseKernel(good.replace('+ invocation', '+ 1.5'))).toThrow(/add of i32 and f32/);
  });

  it('nest without end', () => {
    const deep = good.replace('let %5:b = ', `let %5:b = ${'('.repeat(100_000)}`);
    expect(() => parseKernel(deep)).toThrow(/nested deeper/);
    expect(() => parseKernel(`kernel "x" workgroup 1 grid ${'('.repeat(100_000)}`)).toThrow(/nested deeper/);
    expect(() => parseKernel(`kernel "x" workgroup 1 grid 1, 1, 1 body {${'if true {'.repeat(100_000)}`)).toThrow(/nested deeper/);
  });

  it('arise from deletions, doublings and swaps of a good text', () => {
    fc.assert(
      fc.property(fc.nat(good.length), fc.nat(40), fc.nat(good.length), fc.integer({ min: 0, max: 2 }), (at, count, to, how) => {
        const piece = good.slice(at, at + count);
        const rest = good.slice(0, at) + good.slice(at + count);
        readOrFail(how === 0 ? rest : (how === 1 ? good : rest).slice(0, to) + piece + good.slice(to));
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  it('are any characters', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => readOrFail(text)), { numRuns: 500, seed: 2 });
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => readOrFail(good.replace('%12:decay', text))), { numRuns: 500, seed: 3 });
  });
});
