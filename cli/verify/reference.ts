/**
 * Random arguments for a layer and the float64 answer: every function of its Tensor IR, interpreted.
 * Numbers are rounded to f32 first, so that a device and the reference start from the same ones.
 */
import type { LayerSpec } from '../../dsl/spec.ts';
import { initialParameters } from '../../ir/initial/index.ts';
import { axisSizes, interpretFunction, tensorKey, type Tensor } from '../../ir/tensor/interpret.ts';
import type { ArgumentRole, TensorDtype, TensorModule } from '../../ir/tensor/ops.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import type { RunSizes } from '../../support/size.ts';

export type Tensors = ReadonlyMap<string, Tensor>;

export type Reference = {
  /** by `tensorKey` of roles input, param, initial, output-cotangent, final-cotangent */
  readonly given: Tensors;
  /** outputs, final states and gradients by `tensorKey` */
  readonly expected: Tensors;
};

/** Uniform numbers from 0 to 1 (a small mixing generator; their quality is no concern). */
function generator(seed: number): () => number {
  let state = (Math.imul(seed, 2654435761) + 1) >>> 0;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return (Math.imul(state ^ (state >>> 12), 0x297a2d39) >>> 0) / 2 ** 32;
  };
}

type Range = { readonly low: number; readonly high: number };

type Draw = {
  readonly sizeOf: (axis: string) => number;
  readonly next: () => number;
  readonly range: Range;
  /** number of values of index inputs */
  readonly values: ReadonlyMap<string, number>;
};

/** An argument of some function of the module; `dtype` is complex for pairs of parts. */
type Wanted = { readonly role: ArgumentRole; readonly subject: string; readonly axes: readonly string[]; readonly dtype: TensorDtype };

function argumentsOf(module: TensorModule): ReadonlyMap<string, Wanted> {
  const found = new Map<string, Wanted>();
  for (const { op, results } of module.functions.flatMap((each) => each.instructions)) {
    const [value] = results;
    if (op.kind !== 'argument' || op.role === 'saved' || value === undefined) continue;
    const { axes, dtype } = value.type;
    const { role, subject, part } = op;
    found.set(tensorKey(role, subject), { role, subject, axes, dtype: part === 'whole' ? dtype : 'complex' });
  }
  return found;
}

function drawTensor(draw: Draw, { axes, dtype, subject }: Wanted): Tensor {
  const { next, range, sizeOf } = draw;
  const shape = axes.map(sizeOf);
  const count = shape.reduce((product, each) => product * each, 1);
  const uniform = (): number => Math.fround(range.low + (range.high - range.low) * next());
  const index = (): number => Math.floor(next() * (draw.values.get(subject) ?? 1));
  const one = dtype === 'flag' ? () => Number(next() > 0.8) : dtype === 'index' ? index : uniform;
  const numbers = (): Float64Array => Float64Array.from({ length: count }, one);
  return { axes, shape, re: numbers(), im: dtype === 'complex' ? numbers() : null };
}

function initialised(draw: Draw, axes: readonly string[], isComplex: boolean, packed: Float64Array): Tensor {
  const part = (offset: number): Float64Array =>
    Float64Array.from({ length: packed.length / (isComplex ? 2 : 1) }, (_, at) => Math.fround(packed[isComplex ? 2 * at + offset : at] ?? NaN));
  return { axes, shape: axes.map(draw.sizeOf), re: part(0), im: isComplex ? part(1) : null };
}

function drawArguments(spec: LayerSpec, module: TensorModule, draw: Draw, seed: number): Map<string, Tensor> {
  const parameters = initialParameters(spec, seed);
  return new Map([...argumentsOf(module)].map(([key, wanted]) => {
    const known = wanted.role === 'param' ? parameters.get(wanted.subject) : undefined;
    if (known === undefined) return [key, drawTensor(draw, wanted)];
    const declared = required(spec.params.find((each) => each.name === wanted.subject), wanted.subject);
    return [key, initialised(draw, declared.axes, declared.type === 'complex', known)];
  }));
}

function interpret(module: TensorModule, name: string, sizes: RunSizes, given: Tensors): Tensors {
  const body = required(module.functions.find((each) => each.name === name), `function ${name}`);
  return interpretFunction(module, body, { ...sizes, arguments: given });
}

function evaluate(module: TensorModule, sizes: RunSizes, given: Tensors): Tensors {
  const forward = interpret(module, 'forward', sizes, given);
  const saved = interpret(module, 'forwardSaved', sizes, given);
  const kept = [...saved].filter(([key]) => key.startsWith('saved:'));
  const gradients = interpret(module, 'backwardFinal', sizes, new Map([...given, ...kept]));
  return new Map([...forward, ...gradients]);
}

function isFinite(tensors: Tensors): boolean {
  return [...tensors.values()].every(({ re, im }) => [...re, ...(im ?? [])].every((each) => Math.abs(each) < 1e30));
}

/** Draws numbers on both sides of zero, or positive ones where the layer has no finite answer otherwise. */
export function makeReference(spec: LayerSpec, module: TensorModule, sizes: RunSizes, seed: number): Reference {
  const values = new Map(spec.inputs.flatMap((each) => (each.values === null ? [] : [[each.name, each.values] as const])));
  const sizeOf = axisSizes(module, sizes.batch, sizes.length);
  for (const range of [{ low: -1, high: 1 }, { low: 0.1, high: 0.9 }]) {
    const given = drawArguments(spec, module, { sizeOf, next: generator(seed), range, values }, seed);
    const expected = evaluate(module, sizes, given);
    if (isFinite(expected)) return { given, expected };
  }
  throw ssmError('SSM6004', 'the layer has no finite answer for random numbers from -1 to 1, nor from 0.1 to 0.9', 'try fewer tokens, `--length 8`');
}
