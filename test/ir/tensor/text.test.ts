import { describe, expect, it } from 'vitest';
import { TensorBuilder, ValueIds } from '../../../ir/tensor/builder.ts';
import { interpretFunction, type Tensor } from '../../../ir/tensor/interpret.ts';
import type { TensorFunction, TensorModule } from '../../../ir/tensor/ops.ts';
import { parseModule } from '../../../ir/tensor/parse.ts';
import { printFunction, printModule } from '../../../ir/tensor/print.ts';
import { verifyModule } from '../../../ir/tensor/verify.ts';
import { seededNumbers } from './seeded.ts';
import { randomModule } from './random-module.ts';
import { scanModule } from './scan-module.ts';

function parsed(text: string): TensorModule {
  const outcome = parseModule(text);
  if (outcome.kind === 'error') throw new Error(`line ${outcome.line}: ${outcome.message}\n${text.split('\n')[outcome.line - 1]}`);
  return outcome.module;
}

function randomArguments(body: TensorFunction, seed: number): Map<string, Tensor> {
  const next = seededNumbers(seed);
  const sizes: Record<string, number> = { batch: 2, time: 5, D: 3, 'block.N': 2 };
  return new Map(body.instructions.flatMap(({ op, results }) => {
    if (op.kind !== 'argument') return [];
    const { axes, dtype } = results[0]!.type;
    const shape = axes.map((axis) => sizes[axis]!);
    const count = shape.reduce((product, size) => product * size, 1);
    const re = Float64Array.from({ length: count }, () => (dtype === 'index' ? Math.floor(Math.abs(next()) * 2.99) : next()));
    return [[`input:${op.subject}`, { axes, shape, re, im: null }] as const];
  }));
}

const seeds = Array.from({ length: 60 }, (_, seed) => seed + 1);

describe('print', () => {
  it('one instruction a line, scans with their region indented', () => {
    const { module } = scanModule({ interval: 4 });
    expect(printFunction(module.functions[0]!)).toMatchInlineSnapshot(`
      "function forward {
        %0:u[batch, time, D] = argument input u
        %1:c[batch, time, N] = argument input c
        %2:a[D, N] = argument param a
        %3:x[batch, D, N] = argument initial x
        %4:softplus[batch, time, D] = softplus %0
        %16:sum[batch, time, D], %17:multiply[D], %18:x_final[batch, D, N], %19:x_checkpoints[batch, checkpoint4, D, N] = affine-scan x[D, N] forward decay-then-add {
          parameter %5:softplus[batch, time, D] = %4
          parameter %6:u[batch, time, D] = %0
          parameter %7:c[batch, time, N] = %1
          parameter %8:a[D, N] = %2
          previous %9:x_previous[batch, time, D, N]
          current %10:x[batch, time, D, N]
          initial %3
          %11:multiply[batch, time, D, N] = multiply %8, %5
          %12:multiply[batch, time, D] = multiply %5, %6
          %13:multiply[batch, time, D, N] = multiply %7, %10
          %14:sum[batch, time, D] = reduce sum [N] %13
          %15:multiply[batch, time, D, N] = multiply %9, %9
          coefficient exponent %11
          drive %12
          yield %14
          yield %15 sum [batch, time, N]
          final
          checkpoint every 4
        }
        result output y = %16
        result output squares = %17
        result final x = %18
        result saved x = %19
      }
      "
    `);
  });
});

describe('parse', () => {
  it.each(seeds)('reads back what print wrote, module %i', (seed) => {
    const module = randomModule(seed);
    expect(verifyModule(module)).toEqual([]);
    const text = printModule(module);
    const again = parsed(text);
    expect(again).toEqual(module);
    expect(printModule(again)).toBe(text);
  });

  it('covers every operation in those modules', () => {
    const text = seeds.map((seed) => printModule(randomModule(seed))).join('');
    for (const word of [
      'argument', 'constant', 'length', 'iota', 'select', 'complex', 'part', 'analytic', 'broadcast', 'rename', 'reduce', 'contract',
      'delay', 'slide', 'last', 'at-last', 'gather', 'scatter-add', 'affine-scan',
    ]) expect(text).toContain(`= ${word}`);
    for (const clause of [' tail %', 'history forward every', 'history reverse every', 'initial %', 'release %', 'sum [', ' final\n', 'checkpoint every']) {
      expect(text).toContain(clause);
    }
  });

  it.each(seeds)('the interpreter gives the same numbers for the text read back, module %i', (seed) => {
    const module = randomModule(seed);
    const again = parsed(printModule(module));
    module.functions.forEach((body, at) => {
      const request = { batch: 2, length: 5, arguments: randomArguments(body, seed) };
      const wanted = interpretFunction(module, body, request);
      expect(wanted.size).toBe(4);
      expect(interpretFunction(again, again.functions[at]!, request)).toEqual(wanted);
    });
  });

  it.each([NaN, Infinity, -Infinity, -0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2])('keeps the constant %d', (value) => {
    const builder = new TensorBuilder([], new ValueIds());
    const id = builder.constant(value);
    const results = [{ role: 'output', subject: 'y', part: 'whole', value: id }] as const;
    const module: TensorModule = { name: 'm', axes: [], functions: [{ name: 'forward', instructions: builder.instructions, results }] };
    expect(parsed(printModule(module))).toEqual(module);
  });
});

describe('malformed text', () => {
  const start = 'module m {\n  axis D = 4\n  function forward {\n';
  it.each([
    ['', 1, 'expected "module", found the end of the text'],
    ['module m {', 1, 'expected axis or function, found the end of the text'],
    ['module m {\n axis D = 1.5\n}', 2, 'expected an integer, found "1.5"'],
    [`${start}%0:x[] = constant\n}`, 5, 'expected a number, found "}"'],
    [`${start}%0:x[] = frobnicate %1`, 4, 'expected an operation instead of "frobnicate" before it, found "%1"'],
    [`${start}%0:x[] = constructor %1`, 4, 'expected an operation instead of "constructor" before it, found "%1"'],
    [`${start}%0:x text[] = constant 1`, 4, 'expected a dtype, found "text"'],
    [`${start}%0:"x[] = constant 1`, 4, 'a quoted name does not end'],
    [`${start}%0:"\\q"[] = constant 1`, 4, 'a quoted name is not a JSON string'],
    [`${start}%0:x[] = add %1`, 4, 'expected ",", found the end of the text'],
    [`${start}%99999999999999999999:x[] = length`, 4, 'expected a value, found "%99999999999999999999"'],
    [`${start}\n  ; comment`, 5, 'unexpected character ";"'],
    [`${start}result output y = 3`, 4, 'expected a value, found "3"'],
    [`${start}= affine-scan x[D] sideways decay-then-add {`, 4, 'expected an order, found "sideways"'],
    [`${start}= affine-scan x[D] forward decay-then-add {\n  drive %1\n}`, 6, 'expected coefficient before the end of the scan, found "}"'],
    [`${start}= affine-scan x[D] forward decay-then-add {\n  drive %1\n  drive %1\n}`, 6, 'expected drive only once, found "%1"'],
    [`${start}= affine-scan x[D] forward decay-then-add {\n  hope %1\n}`, 5, 'expected a clause of a scan instead of "hope" before it, found "%1"'],
    ['module m {\n}\n}', 3, 'expected the end of the text, found "}"'],
  ])('%j is refused', (text, line, message) => {
    expect(parseModule(text)).toEqual({ kind: 'error', line, message });
  });

  it('nested regions end before the stack does', () => {
    const text = `${start}${'= affine-scan x[D] forward decay-then-add {\n'.repeat(10_000)}`;
    expect(parseModule(text)).toMatchObject({ kind: 'error', line: 12 });
  });

  it('any prefix and any one-character damage gives a module or an error with a line', () => {
    const text = printModule(randomModule(5));
    const next = seededNumbers(11);
    for (let trial = 0; trial < 400; trial++) {
      const at = Math.floor(Math.abs(next()) * text.length);
      const damage = '{}[]%"=,: \nx9-'[trial % 14]!;
      for (const broken of [text.slice(0, at), text.slice(0, at) + damage + text.slice(at + 1)]) {
        const outcome = parseModule(broken);
        if (outcome.kind === 'error') expect(outcome.line).toBeGreaterThanOrEqual(1);
        else expect(printModule(parsed(printModule(outcome.module)))).toBe(printModule(outcome.module));
      }
    }
  });
});
