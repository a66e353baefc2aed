/**
 * A generated layer with its numbers and the oracle's answers: what every target is given and judged
 * by. Inputs whose results leave the range of f32 are scaled down (the rule of NNSmith): a comparison
 * of overflows proves nothing.
 */
import { loadLayer, parse } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { roundToBf16, roundToF16 } from '../../support/float-bits.ts';
import { required } from '../../support/invariant.ts';
import { evaluateLayer, gradient, type EvaluationRequest, type EvaluationResult, type GradientRequest, type GradientResult, type OracleTensor } from '../oracle/evaluate.ts';
import { float32Rounding, withStorage, type Rounding } from '../oracle/rounding.ts';
import { randomRequest, randomTensor, seededNumbers } from '../support/oracle-requests.ts';
import { buildLayer, type GeneratedLayer } from './build-layer.ts';
import { drawTensor, type Numbers } from './numbers.ts';
import type { LayerRecipe } from './recipe.ts';

export type Storage = LayerRecipe['storage'];
type Tensors = ReadonlyMap<string, OracleTensor>;

export type GeneratedCase = {
  readonly layer: GeneratedLayer;
  readonly spec: LayerSpec;
  /** numbers rounded to f32, streams to the storage type */
  readonly request: GradientRequest;
  readonly storage: Storage;
  /** the oracle's, for arithmetic in f32 */
  readonly answers: GradientResult;
};

const roundings: Readonly<Record<Storage, (value: number) => number>> = { f32: Math.fround, f16: roundToF16, bf16: roundToBf16 };

/** Every entry rounded once to the storage type. */
export function storedTensor(tensor: OracleTensor, storage: Storage): OracleTensor {
  const round = roundings[storage];
  return { ...tensor, re: tensor.re.map((each) => round(each)), im: tensor.im?.map((each) => round(each)) ?? null };
}

function mapTensors(tensors: Tensors, change: (tensor: OracleTensor, name: string) => OracleTensor): Tensors {
  return new Map([...tensors].map(([name, tensor]) => [name, change(tensor, name)]));
}

/** The checked layer of a generated text; a diagnostic is a mistake of the generator and throws. */
export function specOfText(text: string): LayerSpec {
  const { spec, diagnostics } = loadLayer({ name: 'generated.ssm', text }, null, { sizes: new Map() });
  return required(spec, `${diagnostics.map((each) => each.message).join('; ')} in\n${text}`);
}

/** `first.A_raw` and `A_raw` are drawn alike; the seed is that of the application and, for transitions, shared by their parts. */
function drawNamed(layer: GeneratedLayer, path: string, like: OracleTensor): OracleTensor | null {
  const name = path.slice(path.lastIndexOf('.') + 1);
  const numbers: Numbers | undefined = layer.numbers.get(name);
  if (numbers === undefined) return null;
  const key = numbers.kind === 'transition' ? path.slice(0, -name.length) : path;
  const seed = [...key].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 65521, layer.recipe.seed + 17);
  return drawTensor(like, numbers, layer.recipe, seed);
}

/** Tails of flags hold flags. */
const flagTail = /(^|\.)(starts|reset)\.tail$/;

function requestOf(layer: GeneratedLayer, spec: LayerSpec): EvaluationRequest {
  const { recipe, text } = layer;
  const { tree } = parse({ name: 'generated.ssm', text });
  const drawn = randomRequest(tree, spec, { batch: recipe.batch, length: recipe.length, seed: recipe.seed });
  const own = (tensor: OracleTensor, name: string): OracleTensor => drawNamed(layer, name, tensor) ?? tensor;
  const start = (tensor: OracleTensor, name: string): OracleTensor => {
    if (flagTail.test(name)) return { ...tensor, re: tensor.re.map((each) => (each > 0.5 ? 1 : 0)) };
    return recipe.initial === 'random' ? tensor : { ...tensor, re: tensor.re.map(() => 0), im: tensor.im?.map(() => 0) ?? null };
  };
  return {
    ...drawn,
    inputs: mapTensors(drawn.inputs, (tensor, name) => storedTensor(own(tensor, name), recipe.storage)),
    params: mapTensors(drawn.params, (tensor, name) => storedTensor(own(tensor, name), 'f32')),
    initial: mapTensors(drawn.initial, start),
  };
}

/** Random dL/d(output) and, where the recipe wants them, dL/d(final state), like what was computed. */
function cotangentsOf(plain: EvaluationResult, { seed, cotangents, storage }: LayerRecipe): GradientRequest['cotangents'] {
  const next = seededNumbers(seed + 7919);
  const like = (tensor: OracleTensor): OracleTensor => randomTensor(tensor.axes.join(' '), tensor.shape, next, tensor.im === null ? 'real' : 'complex');
  return {
    outputs: mapTensors(plain.outputs, (tensor) => storedTensor(like(tensor), storage)),
    final: mapTensors(plain.final, (tensor) => (cotangents === 'both' ? storedTensor(like(tensor), 'f32') : { ...tensor, re: tensor.re.map(() => 0), im: tensor.im?.map(() => 0) ?? null })),
  };
}

const largest: Readonly<Record<Storage, number>> = { f32: 1e30, bf16: 1e30, f16: 3e4 };

function isInRange(tensors: Iterable<OracleTensor>, limit: number): boolean {
  for (const { re, im } of tensors) {
    if (!re.every((each) => Math.abs(each) < limit) || !(im?.every((each) => Math.abs(each) < limit) ?? true)) return false;
  }
  return true;
}

/** The sequence and the initial states scaled; what steers the layer (steps, coefficients, flags, marks) stays. */
function scaled(request: EvaluationRequest, layer: GeneratedLayer, factor: number): EvaluationRequest {
  const shrink = (tensor: OracleTensor): OracleTensor => ({ ...tensor, re: tensor.re.map((each) => each * factor), im: tensor.im?.map((each) => each * factor) ?? null });
  return {
    ...request,
    inputs: mapTensors(request.inputs, (tensor, name) => (layer.numbers.has(name) || name === 'mark' || name === 'label' ? tensor : storedTensor(shrink(tensor), layer.recipe.storage))),
    initial: mapTensors(request.initial, (tensor, name) => (flagTail.test(name) ? tensor : shrink(tensor))),
  };
}

/** The case of a recipe, or null where no scaling keeps its results representable. */
export function makeCase(recipe: LayerRecipe): GeneratedCase | null {
  return caseOf(buildLayer(recipe));
}

/** The same for a layer whose text is at hand; its recipe says sizes, storage and intervals. */
export function caseOf(layer: GeneratedLayer): GeneratedCase | null {
  const { recipe } = layer;
  const spec = specOfText(layer.text);
  const drawn = requestOf(layer, spec);
  for (const factor of [1, 2 ** -10, 2 ** -40]) {
    const request = factor === 1 ? drawn : scaled(drawn, layer, factor);
    const plain = evaluateLayer(request);
    if (!isInRange([...plain.outputs.values(), ...plain.final.values()], largest[recipe.storage])) continue;
    const made: Omit<GeneratedCase, 'answers'> = { layer, spec, request: { ...request, cotangents: cotangentsOf(plain, recipe) }, storage: recipe.storage };
    const answers = answersOf(made, float32Rounding);
    const { inputs, params, initial } = answers.gradients;
    if (isInRange([...inputs.values(), ...params.values(), ...initial.values()], largest[recipe.storage])) return { ...made, answers };
  }
  return null;
}

/** The oracle's answers and error bounds for an arithmetic, with the case's storage of streams. */
export function answersOf({ request, storage }: Pick<GeneratedCase, 'request' | 'storage'>, rounding: Rounding): GradientResult {
  return gradient({ ...request, rounding: storage === 'f32' ? rounding : withStorage(rounding, storage) });
}
