/** Every operation of Tensor IR against loops written here from its doc comment. */
import { describe, expect, it } from 'vitest';
import { TensorBuilder, ValueIds } from '../../../ir/tensor/builder.ts';
import { interpretFunction, type Tensor } from '../../../ir/tensor/interpret.ts';
import type { TensorDtype, TensorModule, UnaryFunction, ValueId } from '../../../ir/tensor/ops.ts';
import { verifyModule } from '../../../ir/tensor/verify.ts';
import { seededNumbers } from './seeded.ts';

const sizes: Readonly<Record<string, number>> = { batch: 2, time: 5, D: 3, N: 4, M: 4 };
const axes = [{ name: 'D', size: 3 }, { name: 'N', size: 4 }, { name: 'M', size: 4 }];

type Given = { readonly axes: readonly string[]; readonly dtype?: TensorDtype; readonly values?: readonly number[] };

/** Coordinates by axis name. */
type At = Readonly<Record<string, number>>;

function random(given: Given, seed: number): Tensor {
  const next = seededNumbers(seed);
  const shape = given.axes.map((axis) => sizes[axis]!);
  const count = shape.reduce((product, size) => product * size, 1);
  const draw = (): Float64Array => Float64Array.from({ length: count }, () => next() * 2);
  return { axes: given.axes, shape, re: given.values === undefined ? draw() : Float64Array.from(given.values), im: given.dtype === 'complex' ? draw() : null };
}

function offset(tensor: Tensor, at: At): number {
  return tensor.axes.reduce((sum, axis, k) => sum * tensor.shape[k]! + at[axis]!, 0);
}

const get = (tensor: Tensor, at: At): number => tensor.re[offset(tensor, at)]!;

function places(over: readonly string[]): At[] {
  return over.reduce<At[]>((list, axis) => list.flatMap((at) => Array.from({ length: sizes[axis]! }, (_, k) => ({ ...at, [axis]: k }))), [{}]);
}

/** Builds y (and perhaps more) from arguments a, b, c, verifies, interprets. */
function run(given: Readonly<Record<string, Given>>, build: (b: TensorBuilder, ids: Readonly<Record<string, ValueId>>) => readonly ValueId[]): { tensors: Record<string, Tensor>; results: Tensor[] } {
  const builder = new TensorBuilder(axes, new ValueIds());
  const tensors: Record<string, Tensor> = {};
  const ids: Record<string, ValueId> = {};
  Object.entries(given).forEach(([name, each], seed) => {
    tensors[name] = random(each, seed + 1);
    ids[name] = builder.argument({ role: 'input', subject: name, type: { dtype: each.dtype ?? 'real', axes: each.axes } });
  });
  const made = build(builder, ids);
  const results = made.map((value, at) => ({ role: 'output', subject: `y${at}`, part: 'whole', value }) as const);
  const module: TensorModule = { name: 'm', axes, functions: [{ name: 'forward', instructions: builder.instructions, results }] };
  expect(verifyModule(module)).toEqual([]);
  const given2 = new Map(Object.entries(tensors).map(([name, tensor]) => [`input:${name}`, tensor]));
  const out = interpretFunction(module, module.functions[0]!, { batch: sizes['batch']!, length: sizes['time']!, arguments: given2 });
  return { tensors, results: made.map((_, at) => out.get(`output:y${at}`)!) };
}

function expectValues(tensor: Tensor, wantedAxes: readonly string[], value: (at: At) => number, digits = 13): void {
  expect(tensor.axes).toEqual(wantedAxes);
  for (const at of places(wantedAxes)) {
    const wanted = value(at);
    const error = Math.abs(get(tensor, at) - wanted);
    if (!(Object.is(get(tensor, at), wanted) || error <= 10 ** -digits * Math.max(1, Math.abs(wanted)))) {
      expect.fail(`${get(tensor, at)} instead of ${wanted} at ${JSON.stringify(at)}`);
    }
  }
}

const a: Given = { axes: ['batch', 'time', 'D'] };
const b: Given = { axes: ['batch', 'N'] };

describe('scalars and positions', () => {
  it('constant, length and iota', () => {
    const { results: [c, l, t, n] } = run({}, (builder) => [builder.constant(1.5), builder.length(), builder.iota('time'), builder.iota('N')]);
    expectValues(c!, [], () => 1.5);
    expectValues(l!, [], () => 5);
    expectValues(t!, ['time'], (at) => at['time']!);
    expectValues(n!, ['N'], (at) => at['N']!);
  });
  it('arguments may come with their axes in another order', () => {
    const builder = new TensorBuilder(axes, new ValueIds());
    const u = builder.argument({ role: 'input', subject: 'u', type: { dtype: 'real', axes: ['time', 'D'] } });
    const module: TensorModule = { name: 'm', axes, functions: [{ name: 'f', instructions: builder.instructions, results: [{ role: 'output', subject: 'y', part: 'whole', value: u }] }] };
    const tensor = random({ axes: ['D', 'time'] }, 3);
    const out = interpretFunction(module, module.functions[0]!, { batch: 1, length: 5, arguments: new Map([['input:u', tensor]]) });
    expectValues(out.get('output:y')!, ['time', 'D'], (at) => get(tensor, at));
  });
  it('arguments of a wrong shape are refused', () => {
    const builder = new TensorBuilder(axes, new ValueIds());
    const u = builder.argument({ role: 'input', subject: 'u', type: { dtype: 'real', axes: ['D'] } });
    const module: TensorModule = { name: 'm', axes, functions: [{ name: 'f', instructions: builder.instructions, results: [{ role: 'output', subject: 'y', part: 'whole', value: u }] }] };
    const wrong = { axes: ['D'], shape: [2], re: new Float64Array(2), im: null };
    expect(() => interpretFunction(module, module.functions[0]!, { batch: 1, length: 5, arguments: new Map([['input:u', wrong]]) })).toThrow('input:u has 2 along D');
  });
});

describe('elementwise', () => {
  const scalar: Partial<Record<UnaryFunction, (x: number) => number>> = {
    'negate': (x) => -x, 'absolute': (x) => Math.abs(x), 'sign': (x) => Math.sign(x), 'exp': (x) => Math.exp(x), 'exp2': (x) => Math.pow(2, x),
    'log': (x) => Math.log(x), 'square-root': (x) => Math.sqrt(x), 'sine': (x) => Math.sin(x), 'cosine': (x) => Math.cos(x), 'tanh': (x) => Math.tanh(x),
    'sigmoid': (x) => 1 / (1 + Math.exp(-x)), 'softplus': (x) => Math.log(1 + Math.exp(x)), 'expm1': (x) => Math.exp(x) - 1, 'log1p': (x) => Math.log(1 + x),
    'phi1': (x) => (Math.exp(x) - 1) / x,
  };
  it.each(Object.entries(scalar))('%s', (name, formula) => {
    const { tensors, results: [y] } = run({ a }, (builder, { a: id }) => [builder.unary(name as UnaryFunction, id!)]);
    expectValues(y!, a.axes, (at) => formula(get(tensors['a']!, at)), 12);
  });
  const pairs = {
    add: (x: number, y: number) => x + y, subtract: (x: number, y: number) => x - y, multiply: (x: number, y: number) => x * y, divide: (x: number, y: number) => x / y,
    maximum: (x: number, y: number) => (x > y ? x : y), minimum: (x: number, y: number) => (x < y ? x : y),
  } as const;
  it.each(Object.entries(pairs))('%s broadcasts by name', (name, formula) => {
    const { tensors, results: [y] } = run({ a, b }, (builder, ids) => [builder.binary(name as 'add', ids['a']!, ids['b']!)]);
    expectValues(y!, ['batch', 'time', 'D', 'N'], (at) => formula(get(tensors['a']!, at), get(tensors['b']!, at)));
  });
  it('power of positive numbers and of literal exponents', () => {
    const { tensors, results: [y, z] } = run({ a, b }, (builder, ids) => [
      builder.binary('power', builder.unary('exp', ids['a']!), ids['b']!), builder.binary('power', ids['a']!, builder.constant(3)),
    ]);
    expectValues(y!, ['batch', 'time', 'D', 'N'], (at) => Math.exp(get(tensors['a']!, at) * get(tensors['b']!, at)), 12);
    expectValues(z!, a.axes, (at) => get(tensors['a']!, at) * get(tensors['a']!, at) * get(tensors['a']!, at), 12);
  });
  it('comparisons, logic, to-real and select', () => {
    const { tensors, results: [y, z] } = run({ a, b }, (builder, ids) => {
      const [x, w] = [ids['a']!, ids['b']!];
      const flag = builder.binary('or', builder.binary('less', x, w), builder.binary('and', builder.binary('not-equal', x, w), builder.unary('not', builder.binary('less-equal', w, builder.constant(0)))));
      return [builder.unary('to-real', flag), builder.select(flag, x, w)];
    });
    const truth = (at: At): boolean => get(tensors['a']!, at) < get(tensors['b']!, at) || (get(tensors['a']!, at) !== get(tensors['b']!, at) && !(get(tensors['b']!, at) <= 0));
    expectValues(y!, ['batch', 'time', 'D', 'N'], (at) => (truth(at) ? 1 : 0));
    expectValues(z!, ['batch', 'time', 'D', 'N'], (at) => (truth(at) ? get(tensors['a']!, at) : get(tensors['b']!, at)));
  });
  it('complex arithmetic', () => {
    const z: Given = { axes: ['D', 'N'], dtype: 'complex' };
    const w: Given = { axes: ['N'], dtype: 'complex' };
    const { tensors, results: [product, quotient, sum, mixed, re, im] } = run({ z, w, r: { axes: ['N'] } }, (builder, ids) => [
      builder.multiply(ids['z']!, ids['w']!), builder.divide(ids['z']!, ids['w']!),
      builder.reduce('sum', ['N'], builder.subtract(ids['z']!, ids['w']!)), builder.multiply(ids['z']!, ids['r']!),
      builder.part('re', ids['z']!), builder.part('im', builder.complex(ids['r']!, builder.part('im', ids['z']!))),
    ]);
    const [Z, W, R] = [tensors['z']!, tensors['w']!, tensors['r']!];
    const imaginary = (tensor: Tensor): Tensor => ({ ...tensor, re: tensor.im! });
    const parts = (at: At): [number, number, number, number] => [get(Z, at), get(imaginary(Z), at), get(W, at), get(imaginary(W), at)];
    expectValues(product!, ['D', 'N'], (at) => { const [p, q, r, s] = parts(at); return p * r - q * s; });
    expectValues(imaginary(product!), ['D', 'N'], (at) => { const [p, q, r, s] = parts(at); return p * s + q * r; });
    expectValues(quotient!, ['D', 'N'], (at) => { const [p, q, r, s] = parts(at); return (p * r + q * s) / (r * r + s * s); });
    expectValues(imaginary(quotient!), ['D', 'N'], (at) => { const [p, q, r, s] = parts(at); return (q * r - p * s) / (r * r + s * s); });
    const total = (at: At, im: boolean): number => places(['N']).reduce((t, n) => { const [p, q, r, s] = parts({ ...at, ...n }); return t + (im ? q - s : p - r); }, 0);
    expectValues(sum!, ['D'], (at) => total(at, false));
    expectValues(imaginary(sum!), ['D'], (at) => total(at, true));
    expectValues(imaginary(mixed!), ['D', 'N'], (at) => get(imaginary(Z), at) * get(R, at));
    expectValues(re!, ['D', 'N'], (at) => get(Z, at));
    expectValues(im!, ['D', 'N'], (at) => get(imaginary(Z), at));
  });
});

describe('axes', () => {
  it('broadcast and rename', () => {
    const { tensors, results: [y, z] } = run({ b }, (builder, ids) => [builder.broadcast(ids['b']!, ['time', 'M']), builder.renameAxis(ids['b']!, 'N', 'M')]);
    expectValues(y!, ['batch', 'time', 'N', 'M'], (at) => get(tensors['b']!, at));
    expectValues(z!, ['batch', 'M'], (at) => get(tensors['b']!, { batch: at['batch']!, N: at['M']! }));
  });
  it('rename keeps the canonical order', () => {
    const { tensors, results: [y] } = run({ x: { axes: ['N', 'M'] } }, (builder, ids) => [builder.renameAxis(builder.reduce('sum', ['N'], builder.multiply(ids['x']!, builder.iota('D'))), 'M', 'N')]);
    expectValues(y!, ['D', 'N'], (at) => places(['N']).reduce((sum, n) => sum + get(tensors['x']!, { ...n, M: at['N']! }) * at['D']!, 0));
  });
  it('reduce by sum and maximum over inner, outer and all axes', () => {
    const { tensors, results: [inner, outer, all] } = run({ a }, (builder, ids) => [
      builder.reduce('sum', ['time'], ids['a']!), builder.reduce('maximum', ['batch', 'D'], ids['a']!), builder.reduce('sum', ['batch', 'time', 'D'], ids['a']!),
    ]);
    expectValues(inner!, ['batch', 'D'], (at) => places(['time']).reduce((sum, t) => sum + get(tensors['a']!, { ...at, ...t }), 0));
    expectValues(outer!, ['time'], (at) => Math.max(...places(['batch', 'D']).map((each) => get(tensors['a']!, { ...at, ...each }))));
    expectValues(all!, [], () => tensors['a']!.re.reduce((sum, each) => sum + each, 0));
  });
  it('contract is a matrix product', () => {
    const { tensors, results: [y] } = run({ a, w: { axes: ['D', 'M'] } }, (builder, ids) => [builder.contract(ids['a']!, ids['w']!, ['D'])]);
    expectValues(y!, ['batch', 'time', 'M'], (at) => places(['D']).reduce((sum, d) => sum + get(tensors['a']!, { ...at, ...d }) * get(tensors['w']!, { ...at, ...d }), 0));
  });
});

describe('time', () => {
  it.each([2, -1, 5, -9])('delay by %i tokens with zeros outside', (steps) => {
    const { tensors, results: [y] } = run({ a }, (builder, ids) => [builder.delay(ids['a']!, steps)]);
    expectValues(y!, a.axes, (at) => { const from = at['time']! - steps; return from >= 0 && from < 5 ? get(tensors['a']!, { ...at, time: from }) : 0; });
  });
  it.each([1, 3, 4])('delay by %i tokens with a tail', (steps) => {
    const { tensors, results: [y] } = run({ a, g: { axes: ['batch', 'D', 'N'] } }, (builder, ids) => [builder.delay(ids['a']!, steps, { value: ids['g']!, axis: 'N' })]);
    expectValues(y!, a.axes, (at) => {
      const from = at['time']! - steps;
      return from >= 0 ? get(tensors['a']!, { ...at, time: from }) : get(tensors['g']!, { ...at, N: 4 + from });
    });
  });
  it.each([[0, 0], [2, 0], [-1, 0], [4, -1], [0, -1], [0, 1], [-7, 1], [99, 0]])('slide to an axis by %i and %i lengths, and its transpose', (steps, lengths) => {
    const { tensors, results: [y, z] } = run({ a, g: { axes: ['batch', 'D', 'N'] } }, (builder, ids) => [
      builder.slide(ids['a']!, { from: 'time', to: 'N', steps, lengths }),
      builder.slide(ids['g']!, { from: 'N', to: 'time', steps: -steps, lengths: -lengths }),
    ]);
    const shift = steps + 5 * lengths;
    const N = places(['N']).length;
    expectValues(y!, ['batch', 'D', 'N'], (at) => { const time = at['N']! - shift; return time >= 0 && time < 5 ? get(tensors['a']!, { ...at, time }) : 0; });
    expectValues(z!, ['batch', 'time', 'D'], (at) => { const from = at['time']! + shift; return from >= 0 && from < N ? get(tensors['g']!, { ...at, N: from }) : 0; });
  });
  it('slide along one declared axis', () => {
    const { tensors, results: [y] } = run({ g: { axes: ['batch', 'N'] } }, (builder, ids) => [builder.slide(ids['g']!, { from: 'N', to: 'N', steps: -1, lengths: 0 })]);
    const N = places(['N']).length;
    expectValues(y!, ['batch', 'N'], (at) => (at['N']! + 1 < N ? get(tensors['g']!, { ...at, N: at['N']! + 1 }) : 0));
  });
  it('last and at-last', () => {
    const { tensors, results: [y, z] } = run({ a, b }, (builder, ids) => [builder.last(ids['a']!), builder.atLast(ids['b']!)]);
    expectValues(y!, ['batch', 'D'], (at) => get(tensors['a']!, { ...at, time: 4 }));
    expectValues(z!, ['batch', 'time', 'N'], (at) => (at['time'] === 4 ? get(tensors['b']!, at) : 0));
  });
});

describe('indices', () => {
  const index: Given = { axes: ['batch', 'time'], dtype: 'index', values: [0, 3, 3, 1, 0, 2, 2, 2, 1, 3] };
  it('gather reads rows', () => {
    const { tensors, results: [y] } = run({ index, table: { axes: ['D', 'N'] } }, (builder, ids) => [builder.gather(ids['table']!, 'N', ids['index']!)]);
    expectValues(y!, ['batch', 'time', 'D'], (at) => get(tensors['table']!, { ...at, N: get(tensors['index']!, at) }));
  });
  it('scatter-add is the adjoint of gather', () => {
    const { tensors, results: [y] } = run({ index, a }, (builder, ids) => [builder.scatterAdd(ids['a']!, 'N', ids['index']!, ['batch', 'time'])]);
    expectValues(y!, ['D', 'N'], (at) => places(['batch', 'time']).reduce((sum, t) => sum + (get(tensors['index']!, t) === at['N'] ? get(tensors['a']!, { ...at, ...t }) : 0), 0));
  });
  it('scatter-add of values that the index repeats', () => {
    const { tensors, results: [y] } = run({ index, g: { axes: ['D'] } }, (builder, ids) => [builder.scatterAdd(ids['g']!, 'N', ids['index']!, ['time'])]);
    expectValues(y!, ['batch', 'D', 'N'], (at) => places(['time']).filter((t) => get(tensors['index']!, { ...at, ...t }) === at['N']).length * get(tensors['g']!, at));
  });
  it('an index outside its axis stops', () => {
    const outside: Given = { ...index, values: [0, 4, 3, 1, 0, 2, 2, 2, 1, 3] };
    expect(() => run({ outside, table: { axes: ['N'] } }, (builder, ids) => [builder.gather(ids['table']!, 'N', ids['outside']!)])).toThrow('index 4 outside axis N');
  });
});

describe('results', () => {
  it('parts of one tensor come back as one', () => {
    const builder = new TensorBuilder(axes, new ValueIds());
    const type = { dtype: 'real', axes: ['N'] } as const;
    const [re, im] = (['re', 'im'] as const).map((part) => builder.argument({ role: 'param', subject: 'C', part, type }));
    const [y, z] = builder.analytic('exp', re!, im!);
    const results = [{ role: 'gradient', subject: 'C', part: 'im', value: z }, { role: 'gradient', subject: 'C', part: 're', value: y }] as const;
    const module: TensorModule = { name: 'm', axes, functions: [{ name: 'f', instructions: builder.instructions, results }] };
    expect(verifyModule(module)).toEqual([]);
    const C = random({ axes: ['N'], dtype: 'complex' }, 9);
    const out = interpretFunction(module, module.functions[0]!, { batch: 1, length: 1, arguments: new Map([['param:C', C]]) }).get('gradient:C')!;
    expect([...out.re]).toEqual([...C.re].map((x, at) => Math.exp(x) * Math.cos(C.im![at]!)));
    expect([...out.im!]).toEqual([...C.re].map((x, at) => Math.exp(x) * Math.sin(C.im![at]!)));
  });
});
