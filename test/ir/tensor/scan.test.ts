/** The affine scan against loops over tokens written here: orders, forms, parts, blocks, histories. */
import { describe, expect, it } from 'vitest';
import { TensorBuilder, ValueIds } from '../../../ir/tensor/builder.ts';
import { interpretFunction, type Tensor } from '../../../ir/tensor/interpret.ts';
import type { AffineScanOp, Coefficient, FunctionResult, TensorModule, TensorType, TensorValue } from '../../../ir/tensor/ops.ts';
import { verifyModule } from '../../../ir/tensor/verify.ts';
import { scanModule } from './scan-module.ts';
import { seededNumbers } from './seeded.ts';

type Case = {
  readonly order: 'forward' | 'reverse';
  readonly form: AffineScanOp['form'];
  readonly coefficient: 'exponent' | 'value';
  readonly complex: 'real' | 'pair' | 'whole';
  readonly length: number;
  readonly release: boolean;
};

const batch = 2;
const states = 3;
const axes = [{ name: 'S', size: states }];

type Numbers = { readonly re: number; readonly im: number };

const multiply = (x: Numbers, y: Numbers): Numbers => ({ re: x.re * y.re - x.im * y.im, im: x.re * y.im + x.im * y.re });
const add = (x: Numbers, y: Numbers): Numbers => ({ re: x.re + y.re, im: x.im + y.im });

function randomTensor(names: readonly string[], length: number, next: () => number, complex: boolean, scale: number): Tensor {
  const shape = names.map((name) => ({ batch, time: length, S: states })[name]!);
  const count = shape.reduce((product, size) => product * size, 1);
  const draw = (): Float64Array => Float64Array.from({ length: count }, () => scale * next());
  return { axes: names, shape, re: draw(), im: complex ? draw() : null };
}

const numberAt = (tensor: Tensor, at: number): Numbers => ({ re: tensor.re[at]!, im: tensor.im?.[at] ?? 0 });

type Naive = { readonly before: Numbers[][][]; readonly after: Numbers[][][]; readonly final: Numbers[][]; readonly visited: Numbers[][][] };

/** [batch][token][state]; `visited` is the carried state before the k-th visited token. */
function naive(each: Pick<Case, 'order' | 'form' | 'length' | 'release'>, a: (b: number, t: number, s: number) => Numbers, drive: Tensor, initial: Tensor): Naive {
  const empty = (): Numbers[][][] => Array.from({ length: batch }, () => Array.from({ length: each.length }, () => []));
  const result: Naive = { before: empty(), after: empty(), final: Array.from({ length: batch }, () => []), visited: empty() };
  for (let b = 0; b < batch; b++) {
    for (let s = 0; s < states; s++) {
      let h = numberAt(initial, b * states + s);
      for (let k = 0; k < each.length; k++) {
        const t = each.order === 'forward' ? k : each.length - 1 - k;
        const d = numberAt(drive, (b * each.length + t) * states + s);
        const now = each.form === 'decay-then-add' ? add(multiply(a(b, t, s), h), d) : add(h, d);
        result.before[b]![t]![s] = h;
        result.after[b]![t]![s] = now;
        result.visited[b]![k]![s] = h;
        h = each.form === 'decay-then-add' ? now : add(multiply(a(b, t, s), now), each.release ? d : { re: 0, im: 0 });
      }
      result.final[b]![s] = h;
    }
  }
  return result;
}

function buildCase(each: Case, interval: number): TensorModule {
  const ids = new ValueIds();
  const builder = new TensorBuilder(axes, ids);
  const dtype = each.complex === 'whole' ? 'complex' : 'real';
  const parts = each.complex === 'pair' ? (['re', 'im'] as const) : (['whole'] as const);
  const argument = (role: 'input' | 'initial', subject: string, type: TensorType): number[] => parts.map((part) => builder.argument({ role, subject, part, type }));
  const a = each.coefficient === 'exponent'
    ? [builder.argument({ role: 'input', subject: 'a', type: { dtype: 'real', axes: ['time', 'S'] } })]
    : argument('input', 'a', { dtype, axes: ['time', 'S'] });
  const drive = argument('input', 'b', { dtype, axes: ['batch', 'time', 'S'] });
  const initial = argument('initial', 'h', { dtype, axes: ['batch', 'S'] });
  const region = new TensorBuilder(axes, ids);
  const operands = [...a, ...drive] as never[];
  const parameters = operands.map((id) => region.fresh('p', builder.typeOf(id)));
  const [aIn, driveIn] = [parameters.slice(0, a.length).map((value) => value.id), parameters.slice(a.length).map((value) => value.id)];
  const fresh = (name: string): TensorValue[] => parts.map(() => region.fresh(name, { dtype, axes: ['batch', 'time', 'S'] }));
  const [previous, current] = [fresh('before'), fresh('after')];
  const coefficient: Coefficient = each.coefficient === 'exponent' ? { kind: 'exponent', exponent: aIn[0]! } : { kind: 'value', parts: aIn };
  const weighted = region.multiply(current[0]!.id, region.iota('time'));
  const op: AffineScanOp = {
    kind: 'affine-scan', state: 'h', order: each.order, form: each.form, axes: ['S'], operands, parameters, region: region.instructions, coefficient,
    drive: driveIn, release: each.release ? driveIn : null, previous, current, initial: initial as never[], history: null,
    yields: [...[...previous, ...current].map((value) => ({ value: value.id, sumOver: [] })), { value: weighted, sumOver: ['time', 'S'] }],
    emitsFinal: true, checkpointInterval: interval,
  };
  const known = [...parameters, ...previous, ...current, ...region.instructions.flatMap((one) => one.results)];
  const made = builder.scan(op, new Map(known.map((value) => [value.id, value])));
  const name = (role: FunctionResult['role'], subject: string, values: readonly number[]): FunctionResult[] =>
    values.map((value, at) => ({ role, subject, part: parts[at]!, value: value as never }));
  const results = [
    ...name('output', 'before', made.yields.slice(0, parts.length)), ...name('output', 'after', made.yields.slice(parts.length, 2 * parts.length)),
    { role: 'output', subject: 'weighted', part: 'whole', value: made.yields.at(-1)! } as const,
    ...name('final', 'h', made.finals), ...name('saved', 'h', made.checkpoints),
  ];
  return { name: 'm', axes, functions: [{ name: 'forward', instructions: builder.instructions, results }] };
}

function expectNumbers(actual: Tensor, wanted: readonly Numbers[]): void {
  expect(actual.re).toHaveLength(wanted.length);
  wanted.forEach((value, at) => {
    expect(Math.abs(actual.re[at]! - value.re)).toBeLessThan(1e-12);
    expect(Math.abs((actual.im?.[at] ?? 0) - value.im)).toBeLessThan(1e-12);
  });
}

const cases: readonly Case[] = (['forward', 'reverse'] as const).flatMap((order) => (['decay-then-add', 'add-then-decay'] as const).flatMap((form) =>
  (['exponent', 'value'] as const).flatMap((coefficient) => (['real', 'pair', 'whole'] as const).map((complex) =>
    ({ order, form, coefficient, complex, length: 7, release: form === 'add-then-decay' && coefficient === 'value' })))));

describe('affine scan', () => {
  it.each(cases)('$order $form $coefficient $complex', (each) => {
    const module = buildCase(each, 3);
    expect(verifyModule(module)).toEqual([]);
    const next = seededNumbers(5);
    const complex = each.complex !== 'real';
    const a = randomTensor(['time', 'S'], each.length, next, complex && each.coefficient === 'value', 0.7);
    const b = randomTensor(['batch', 'time', 'S'], each.length, next, complex, 1);
    const h = randomTensor(['batch', 'S'], each.length, next, complex, 1);
    const transition = (_: number, t: number, s: number): Numbers => {
      const value = numberAt(a, t * states + s);
      return each.coefficient === 'exponent' ? { re: Math.pow(2, value.re), im: 0 } : value;
    };
    const wanted = naive(each, transition, b, h);
    const out = interpretFunction(module, module.functions[0]!, { batch, length: each.length, arguments: new Map([['input:a', a], ['input:b', b], ['initial:h', h]]) });
    expectNumbers(out.get('output:before')!, wanted.before.flat(2));
    expectNumbers(out.get('output:after')!, wanted.after.flat(2));
    expectNumbers(out.get('final:h')!, wanted.final.flat());
    expect(out.get('saved:h')!.axes).toEqual(['batch', 'checkpoint3', 'S']);
    expectNumbers(out.get('saved:h')!, wanted.visited.flatMap((tokens) => [0, 3, 6].flatMap((k) => tokens[k]!)));
    const sums = wanted.after.map((tokens) => tokens.reduce((sum, now, t) => now.reduce((inner, value) => add(inner, { re: value.re * t, im: value.im * t }), sum), { re: 0, im: 0 }));
    expectNumbers(out.get('output:weighted')!, each.complex === 'pair' ? sums.map(({ re }) => ({ re, im: 0 })) : sums);
  });

  it.each(['forward', 'reverse'] as const)('%s over several blocks of tokens', (order) => {
    const length = 25_000;
    const each: Case = { order, form: 'decay-then-add', coefficient: 'value', complex: 'real', length, release: false };
    const module = buildCase(each, 1000);
    const next = seededNumbers(8);
    const [a, b, h] = [randomTensor(['time', 'S'], length, next, false, 0.9), randomTensor(['batch', 'time', 'S'], length, next, false, 1), randomTensor(['batch', 'S'], length, next, false, 1)];
    const wanted = naive(each, (_, t, s) => numberAt(a, t * states + s), b, h);
    const out = interpretFunction(module, module.functions[0]!, { batch, length, arguments: new Map([['input:a', a], ['input:b', b], ['initial:h', h]]) });
    expect([...out.get('output:before')!.re]).toEqual(wanted.before.flat(2).map(({ re }) => re));
    expect([...out.get('final:h')!.re]).toEqual(wanted.final.flat().map(({ re }) => re));
    expect([...out.get('saved:h')!.re]).toEqual(wanted.visited.flatMap((tokens) => tokens.filter((_, k) => k % 1000 === 0).flat().map(({ re }) => re)));
  });
});

/** A reverse scan that yields the replayed states of a forward (or reverse) one beside its own. */
function historyModule(order: 'forward' | 'reverse', source: 'initial' | 'checkpoints', interval: number): TensorModule {
  const ids = new ValueIds();
  const builder = new TensorBuilder(axes, ids);
  const real = (...names: string[]): TensorType => ({ dtype: 'real', axes: names });
  const a = builder.argument({ role: 'input', subject: 'a', type: real('time', 'S') });
  const b = builder.argument({ role: 'input', subject: 'b', type: real('batch', 'time', 'S') });
  const initial = source === 'initial' ? [builder.argument({ role: 'initial', subject: 'h', type: real('batch', 'S') })] : null;
  const checkpoints = source === 'checkpoints' ? [builder.argument({ role: 'saved', subject: 'h', type: real('batch', `checkpoint${interval}`, 'S') })] : [];
  const region = new TensorBuilder(axes, ids);
  const parameters = [a, b].map((id) => region.fresh('p', builder.typeOf(id)));
  const fresh = (name: string): TensorValue => region.fresh(name, real('batch', 'time', 'S'));
  const [previous, current, before, after] = [fresh('carried'), fresh('lambda'), fresh('h_before'), fresh('h')];
  const doubled = region.add(after.id, after.id);
  const op: AffineScanOp = {
    kind: 'affine-scan', state: 'h', order: 'reverse', form: 'add-then-decay', axes: ['S'], operands: [a, b], parameters, region: region.instructions,
    coefficient: { kind: 'value', parts: [parameters[0]!.id] }, drive: [doubled], release: null, previous: [previous], current: [current], initial: null,
    history: { order, coefficient: { kind: 'value', parts: [parameters[0]!.id] }, drive: [parameters[1]!.id], initial, checkpoints, interval, previous: [before], current: [after] },
    yields: [before, after, current].map((value) => ({ value: value.id, sumOver: [] })), emitsFinal: false, checkpointInterval: null,
  };
  const known = [...parameters, previous, current, before, after, ...region.instructions.flatMap((one) => one.results)];
  const made = builder.scan(op, new Map(known.map((value) => [value.id, value])));
  const results = ['before', 'after', 'lambda'].map((subject, at) => ({ role: 'output', subject, part: 'whole', value: made.yields[at]! }) as const);
  return { name: 'm', axes, functions: [{ name: 'backward', instructions: builder.instructions, results }] };
}

describe('history', () => {
  const length = 25_000;
  it.each([['forward', 'initial'], ['forward', 'checkpoints'], ['reverse', 'initial'], ['reverse', 'checkpoints']] as const)('%s, from the %s', (order, source) => {
    const interval = 64;
    const module = historyModule(order, source, interval);
    expect(verifyModule(module)).toEqual([]);
    const next = seededNumbers(13);
    const [a, b, h] = [randomTensor(['time', 'S'], length, next, false, 0.9), randomTensor(['batch', 'time', 'S'], length, next, false, 1), randomTensor(['batch', 'S'], length, next, false, 1)];
    const transition = (_: number, t: number, s: number): Numbers => numberAt(a, t * states + s);
    const wanted = naive({ order, form: 'decay-then-add', length, release: false }, transition, b, h);
    const saved = Float64Array.from(wanted.visited.flatMap((tokens) => tokens.filter((_, k) => k % interval === 0).flat().map(({ re }) => re)));
    const checkpoints = { axes: ['batch', 'checkpoint64', 'S'], shape: [batch, Math.ceil(length / interval), states], re: saved, im: null };
    const out = interpretFunction(module, module.functions[0]!, { batch, length, arguments: new Map([['input:a', a], ['input:b', b], ['initial:h', h], ['saved:h', checkpoints]]) });
    expect([...out.get('output:before')!.re]).toEqual(wanted.before.flat(2).map(({ re }) => re));
    expect([...out.get('output:after')!.re]).toEqual(wanted.after.flat(2).map(({ re }) => re));
    const doubled: Tensor = { ...b, re: Float64Array.from(wanted.after.flat(2), ({ re }) => 2 * re) };
    const lambda = naive({ order: 'reverse', form: 'add-then-decay', length, release: false }, transition, doubled, { ...h, re: h.re.map(() => 0) });
    expect([...out.get('output:lambda')!.re]).toEqual(lambda.after.flat(2).map(({ re }) => re));
  });

  it('checkpoints win over what the recurrence would carry on', () => {
    const module = historyModule('forward', 'checkpoints', 2);
    const flat = (names: string[], shape: number[], value: number): Tensor => ({ axes: names, shape, re: new Float64Array(shape.reduce((x, y) => x * y, 1)).fill(value), im: null });
    const given = new Map([['input:a', flat(['time', 'S'], [4, 3], 1)], ['input:b', flat(['batch', 'time', 'S'], [2, 4, 3], 1)], ['saved:h', flat(['batch', 'checkpoint2', 'S'], [2, 2, 3], 10)]]);
    const out = interpretFunction(module, module.functions[0]!, { batch, length: 4, arguments: given }).get('output:after')!;
    expect([0, 3, 6, 9].map((at) => out.re[at])).toEqual([11, 12, 11, 12]);
  });
});

describe('speed', () => {
  it('length 4096, 64 × 16 states, in seconds', () => {
    const { module } = scanModule();
    const wide = { ...module, axes: [{ name: 'D', size: 64 }, { name: 'N', size: 16 }] };
    const tensor = (names: string[], shape: number[]): Tensor => ({ axes: names, shape, re: new Float64Array(shape.reduce((x, y) => x * y, 1)).fill(-0.5), im: null });
    const given = new Map([
      ['input:u', tensor(['batch', 'time', 'D'], [1, 4096, 64])], ['input:c', tensor(['batch', 'time', 'N'], [1, 4096, 16])],
      ['param:a', tensor(['D', 'N'], [64, 16])], ['initial:x', tensor(['batch', 'D', 'N'], [1, 64, 16])],
    ]);
    const start = performance.now();
    interpretFunction(wide, wide.functions[0]!, { batch: 1, length: 4096, arguments: given });
    const seconds = (performance.now() - start) / 1000;
    expect(seconds).toBeLessThan(20);
  });
});
