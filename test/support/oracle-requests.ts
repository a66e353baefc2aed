/**
 * Requests to the oracle for tests of every kind: from text and plain numbers, from golden data, or
 * random ones for any checked layer; and the packing of the oracle's tensors into the arrays that
 * devices take.
 */
import { parse } from '../../dsl/index.ts';
import type { SourceTree } from '../../dsl/ast.ts';
import type { InputSpec, LayerSpec, SpecType, Variance } from '../../dsl/spec.ts';
import { required } from '../../support/invariant.ts';
import type { EvaluationRequest, OracleTensor } from '../oracle/evaluate.ts';
import type { GoldenData } from '../oracle/golden.ts';
import { positionsOf } from '../oracle/node-tensor.ts';

export function tensor(
  axes: string,
  shape: readonly number[],
  re: ArrayLike<number>,
  im: ArrayLike<number> | null = null,
): OracleTensor {
  const names = axes.split(' ').filter((axis) => axis !== '');
  return { axes: names, shape, re: Float64Array.from(re), im: im === null ? null : Float64Array.from(im) };
}

export type GivenNumbers = {
  readonly batch?: number;
  readonly length: number;
  readonly inputs?: Readonly<Record<string, OracleTensor>>;
  readonly params?: Readonly<Record<string, OracleTensor>>;
  readonly initial?: Readonly<Record<string, OracleTensor>>;
};

function treeOf(name: string, text: string): SourceTree {
  const { tree, diagnostics } = parse({ name, text });
  const first = diagnostics.find((each) => each.severity === 'error');
  if (first !== undefined) throw new Error(`${first.message} in ${text}`);
  return tree;
}

/** Text and numbers of one evaluation; the text must parse. */
export function request(text: string, given: GivenNumbers): EvaluationRequest {
  return {
    tree: treeOf('test.ssm', text),
    layer: null,
    sizes: new Map(),
    batch: given.batch ?? 1,
    length: given.length,
    inputs: new Map(Object.entries(given.inputs ?? {})),
    params: new Map(Object.entries(given.params ?? {})),
    initial: new Map(Object.entries(given.initial ?? {})),
  };
}

/** The request of a golden case; its expected numbers are in the case. */
export function goldenRequest(data: GoldenData): EvaluationRequest {
  const { sizes, batch, length, inputs, params, initial } = data;
  return { tree: treeOf(`${data.name}.ssm`, data.text), layer: null, sizes, batch, length, inputs, params, initial };
}

/** Uniform numbers in (-1, 1) from a seed (a small mixing generator; quality is no concern). */
export function seededNumbers(seed: number): () => number {
  let state = (seed * 2654435761 + 1) >>> 0;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    const mixed = Math.imul(state ^ (state >>> 12), 0x297a2d39) >>> 0;
    return (mixed / 2 ** 32) * 2 - 1;
  };
}

export function randomTensor(
  axes: string,
  shape: readonly number[],
  next: () => number,
  kind: 'real' | 'complex' = 'real',
): OracleTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  const numbers = (): number[] => Array.from({ length: count }, next);
  return tensor(axes, shape, numbers(), kind === 'complex' ? numbers() : null);
}

/** One tensor of a layer's state record: a state or the tail of a delay; axes without batch. */
export type StateEntry = {
  readonly name: string;
  readonly axes: readonly string[];
  readonly shape: readonly number[];
  readonly type: 'real' | 'complex';
};

/** The state record: states in order, then tails, whose own axis stands first. */
export function stateRecordOf(spec: LayerSpec): readonly StateEntry[] {
  const size = (axis: string): number => required(spec.axes.find((each) => each.name === axis), axis).size;
  const states = spec.body.flatMap((item): StateEntry[] =>
    (item.kind === 'state' ? [{ name: item.name, axes: item.axes, shape: item.axes.map(size), type: item.type }] : []));
  const tails = spec.tails.map(({ name, count, axes, type }): StateEntry =>
    ({ name, axes: [name, ...axes], shape: [count, ...axes.map(size)], type }));
  return [...states, ...tails];
}

export type RandomRequest = { readonly batch: number; readonly length: number; readonly seed: number };

/**
 * Random numbers for every input, parameter and state of a checked layer, once rounded to f32, so
 * that a device and the oracle start from the same numbers. Flags are up at about one token in five.
 * Parameters are uniform in (-1, 1), not initialised: give `params` of your own where that matters.
 */
export function randomRequest(tree: SourceTree, spec: LayerSpec, given: RandomRequest): EvaluationRequest {
  const next = seededNumbers(given.seed);
  const sizes = new Map(spec.axes.map(({ name, size }) => [name, size] as const));
  sizes.set('batch', given.batch).set('time', given.length);
  const make = (axes: readonly string[], type: SpecType, values: number | null): OracleTensor => {
    const shape = axes.map((axis) => required(sizes.get(axis), `size of ${axis}`));
    const made = randomTensor(axes.join(' '), shape, next, type === 'complex' ? 'complex' : 'real');
    if (type === 'flag') return { ...made, re: made.re.map((each) => (each > 0.6 ? 1 : 0)) };
    if (type === 'index') {
      return { ...made, re: made.re.map((each) => Math.floor(((each + 1) / 2) * (values ?? 1))) };
    }
    return roundTensor(made, 'f32');
  };
  const leading = ({ batch, time }: Variance): string[] => [...(batch ? ['batch'] : []), ...(time ? ['time'] : [])];
  const makeInput = (each: InputSpec): OracleTensor =>
    make([...leading(each.variance), ...each.axes], each.type, each.values);
  for (const tail of spec.tails) sizes.set(tail.name, tail.count);
  const record = stateRecordOf(spec);
  return {
    tree,
    layer: spec.name,
    sizes: new Map(spec.axes.filter(({ name }) => !name.includes('.')).map(({ name, size }) => [name, size])),
    batch: given.batch,
    length: given.length,
    inputs: new Map(spec.inputs.map((each) => [each.name, makeInput(each)])),
    params: new Map(spec.params.map((each) => [each.name, make(each.axes, each.type, null)])),
    initial: new Map(record.map((each) => [each.name, make(['batch', ...each.axes], each.type, null)])),
  };
}

/** Every entry rounded once to the storage type. */
export function roundTensor(numbers: OracleTensor, dtype: 'f32' | 'bf16'): OracleTensor {
  const round = dtype === 'f32' ? Math.fround : roundToBfloat16;
  return { ...numbers, re: numbers.re.map((each) => round(each)), im: numbers.im?.map((each) => round(each)) ?? null };
}

/** Nearest bfloat16, ties to even. */
export function roundToBfloat16(value: number): number {
  if (!Number.isFinite(value)) return value;
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  const pattern = bits[0] ?? 0;
  bits[0] = ((pattern + 0x7fff + ((pattern >>> 16) & 1)) & 0xffff0000) >>> 0;
  return new Float32Array(bits.buffer)[0] ?? NaN;
}

/** The entries in the order of `axes`, complex ones interleaved (re, im). */
export function packTensor(numbers: OracleTensor, axes: readonly string[] = numbers.axes): Float64Array {
  const shape = axes.map((axis) => required(numbers.shape[numbers.axes.indexOf(axis)], `axis ${axis}`));
  const positions = positionsOf(numbers, axes, shape);
  const { re, im } = numbers;
  if (im === null) return Float64Array.from(positions, (at) => re[at] ?? NaN);
  const packed = new Float64Array(2 * positions.length);
  positions.forEach((at, to) => {
    packed[2 * to] = re[at] ?? NaN;
    packed[2 * to + 1] = im[at] ?? NaN;
  });
  return packed;
}

/** The inverse of `packTensor`. */
export function unpackTensor(
  values: ArrayLike<number>,
  axes: readonly string[],
  shape: readonly number[],
  kind: 'real' | 'complex',
): OracleTensor {
  const all = Float64Array.from(values);
  if (kind === 'real') return { axes, shape, re: all, im: null };
  return { axes, shape, re: all.filter((_, at) => at % 2 === 0), im: all.filter((_, at) => at % 2 === 1) };
}
