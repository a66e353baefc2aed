/** Layers that relations are tried on, with their numbers, and runs of changed requests on WASM. */
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import type { CompileResult } from '../../backends/compile.ts';
import { loadLayer, parse } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { initialParameters } from '../../ir/initial/index.ts';
import type { ExecutionDevice } from '../../runtime/device.ts';
import { required } from '../../support/invariant.ts';
import { evaluateLayer, gradient, type GradientRequest, type OracleTensor } from '../oracle/evaluate.ts';
import { randomRequest, randomTensor, seededNumbers, unpackTensor } from '../support/oracle-requests.ts';
import { makeCase, type GeneratedCase } from '../generate/case.ts';
import type { RunResults } from '../generate/judge.ts';
import { choices, recipes, type LayerRecipe } from '../generate/recipe.ts';
import { compileCase, entriesOf, onDevice, runDevice } from '../generate/targets.ts';

export type Subject = { readonly name: string; readonly made: GeneratedCase };
export type Mode = 'recurrent' | 'scan';
type Tensors = ReadonlyMap<string, OracleTensor>;

const simplest = { ...Object.fromEntries(Object.entries(choices).map(([field, values]) => [field, values[0]])), seed: 5 } as unknown as LayerRecipe;
const batch = 3;
const length = 21;
const largestAxis = 4;

/** Initial parameters where the text has them, rounded to f32, over what was drawn. */
function initialised(spec: LayerSpec, drawn: Tensors): Tensors {
  const known = initialParameters(spec, 3);
  return new Map([...drawn].map(([name, tensor]) => {
    const packed = known.get(name);
    return [name, packed === undefined ? tensor : unpackTensor(Float32Array.from(packed), tensor.axes, tensor.shape, tensor.im === null ? 'real' : 'complex')];
  }));
}

/** A text with small axes and random numbers. */
export function subjectOf(name: string, text: string, steps: Partial<LayerRecipe> = {}): Subject {
  const { tree } = parse({ name, text });
  const axes = required(tree.layers.at(-1), 'layer').axes;
  const sizes = new Map(axes.map((each) => [each.name.text, Math.min(largestAxis, each.size?.kind === 'number' ? each.size.value : largestAxis)] as const));
  const { spec, diagnostics } = loadLayer({ name, text }, null, { sizes });
  const checked = required(spec, `${name}: ${diagnostics[0]?.message ?? ''}`);
  const drawn = randomRequest(tree, checked, { batch, length, seed: 11 });
  const whole = { ...drawn, params: initialised(checked, drawn.params) };
  const plain = evaluateLayer(whole);
  const next = seededNumbers(23);
  const like = (tensors: Tensors): Tensors => new Map([...tensors].map(([key, { axes: own, shape, im }]) => {
    const made = randomTensor(own.join(' '), shape, next, im === null ? 'real' : 'complex');
    return [key, { ...made, re: made.re.map(Math.fround), im: made.im?.map(Math.fround) ?? null }];
  }));
  const request: GradientRequest = { ...whole, cotangents: { outputs: like(plain.outputs), final: like(plain.final) } };
  const recipe: LayerRecipe = { ...simplest, interval: 4, piecesPer: 2, ...steps };
  return { name, made: { layer: { recipe, text, numbers: new Map() }, spec: checked, request, storage: 'f32', answers: gradient(request) } };
}

/** Every example of the repository. */
export function exampleSubjects(): readonly Subject[] {
  const folder = new URL('../../examples/', import.meta.url);
  return readdirSync(folder).filter((each) => each.endsWith('.ssm')).sort()
    .map((each) => subjectOf(each.replace('.ssm', ''), readFileSync(new URL(each, folder), 'utf8')));
}

/** Random layers of a kind. */
export function generatedSubjects(count: number, change: (recipe: LayerRecipe) => LayerRecipe): readonly Subject[] {
  return fc.sample(recipes, { seed: 417, numRuns: count }).flatMap((recipe, at) => {
    const made = makeCase(change({ ...recipe, storage: 'f32', batch: 3, length: Math.min(recipe.length, 17) as 17, cotangents: 'both' }));
    return made === null ? [] : [{ name: `random layer ${at}`, made }];
  });
}

const compiled = new WeakMap<GeneratedCase, Map<Mode, CompileResult>>();

/** Once for all relations of a subject. */
function compileOnce(made: GeneratedCase, mode: Mode): CompileResult {
  const known = compiled.get(made) ?? new Map<Mode, CompileResult>();
  compiled.set(made, known);
  const result = known.get(mode) ?? compileCase(made, { target: 'wasm', mode, entries: entriesOf(made) });
  known.set(mode, result);
  return result;
}

/** Runs requests of one layer. */
export async function withRuns<T>(device: ExecutionDevice, { made }: Subject, mode: Mode, use: (run: (request: GradientRequest) => Promise<RunResults>) => Promise<T>): Promise<T> {
  return onDevice(device, compileOnce(made, mode), (layer) => use((request) => runDevice({ ...made, request }, layer)));
}

/** A tensor with its numbers changed by position; `at` gives the place along an axis. */
export function changed(tensor: OracleTensor, change: (value: number, at: (axis: string) => number, part: 're' | 'im') => number): OracleTensor {
  const strides = tensor.shape.map((_, axis) => tensor.shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const place = (index: number) => (axis: string): number => {
    const found = tensor.axes.indexOf(axis);
    return found < 0 ? 0 : Math.floor(index / (strides[found] ?? 1)) % (tensor.shape[found] ?? 1);
  };
  return {
    ...tensor,
    re: tensor.re.map((value, index) => change(value, place(index), 're')),
    im: tensor.im?.map((value, index) => change(value, place(index), 'im')) ?? null,
  };
}

/** A tensor whose entry at i along an axis is the one at order[i]. */
export function permuted(tensor: OracleTensor, axis: string, order: readonly number[]): OracleTensor {
  const found = tensor.axes.indexOf(axis);
  if (found < 0) return tensor;
  const inner = tensor.shape.slice(found + 1).reduce((product, size) => product * size, 1);
  const size = required(tensor.shape[found], axis);
  const from = (index: number): number => {
    const outer = Math.floor(index / (inner * size));
    const at = Math.floor(index / inner) % size;
    return (outer * size + required(order[at], 'place')) * inner + (index % inner);
  };
  const move = (numbers: Float64Array): Float64Array => numbers.map((_, index) => numbers[from(index)] ?? NaN);
  return { ...tensor, re: move(tensor.re), im: tensor.im === null ? null : move(tensor.im) };
}

/** All tensors of a request, the state record and cotangents included, changed by name and role. */
export function mapRequest(request: GradientRequest, change: (tensor: OracleTensor, name: string, role: 'input' | 'param' | 'initial' | 'cotangent') => OracleTensor): GradientRequest {
  const map = (tensors: Tensors, role: 'input' | 'param' | 'initial' | 'cotangent'): Tensors => new Map([...tensors].map(([name, tensor]) => [name, change(tensor, name, role)]));
  return {
    ...request, inputs: map(request.inputs, 'input'), params: map(request.params, 'param'), initial: map(request.initial, 'initial'),
    cotangents: { outputs: map(request.cotangents.outputs, 'cotangent'), final: map(request.cotangents.final, 'cotangent') },
  };
}

/** A run's tensor in the oracle's form, so that it can be moved like its inputs. */
export function tensorOf({ request, spec }: GeneratedCase, results: RunResults, key: string): OracleTensor {
  const { numbers, axes } = required(results.get(key), key);
  const sizes = new Map<string, number>([['batch', request.batch], ['time', request.length], ...spec.axes.map(({ name, size }) => [name, size] as const), ...spec.tails.map(({ name, count }) => [name, count] as const)]);
  const shape = axes.map((axis) => required(sizes.get(axis), axis));
  const count = shape.reduce((product, size) => product * size, 1);
  return unpackTensor(numbers, axes, shape, numbers.length === 2 * count ? 'complex' : 'real');
}
