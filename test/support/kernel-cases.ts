/**
 * Every example under every configuration that makes other kernels of it: machines, modes, algorithms.
 * Their kernels run in the sanitizing interpreter of Kernel IR and are judged by the oracle, here with
 * sizes that an interpreter can take. The sanitizer's tests and the mutation run share these cases, so
 * that a mutant is judged by what the ordinary tests run and nothing more.
 */
import { readFileSync } from 'node:fs';
import { planSpec, type CompileOptions } from '../../backends/compile.ts';
import { loadLayer, parse } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { initialParameters } from '../../ir/initial/index.ts';
import { interpretPlan } from '../../ir/kernel/interpret.ts';
import type { EntryName, Plan } from '../../ir/plan.ts';
import { tensorKey } from '../../ir/tensor/interpret.ts';
import { InternalError, required } from '../../support/invariant.ts';
import type { RunSizes } from '../../support/size.ts';
import { evaluateLayer, gradient } from '../oracle/evaluate.ts';
import type { OracleTensor } from '../oracle/node-tensor.ts';
import { planArguments, relativeError } from './compiled-case.ts';
import { packTensor, randomRequest, randomTensor, roundTensor, seededNumbers, unpackTensor } from './oracle-requests.ts';
import type { Tensors } from './pieces.ts';

export type ExampleLayer = {
  readonly name: string;
  /** the example, where the name is not it */
  readonly file?: string;
  readonly sizes: Readonly<Record<string, number>>;
  readonly isTimeInvariant?: true;
  /** states without an inner axis: threads of a GPU's workgroup share 512 tokens of a channel */
  readonly isSegmented?: true;
  /** only convolved, at this length */
  readonly convolvedAt?: number;
};

/** Sizes with whole vectors and shared channels in some, remainders in others. */
export const exampleLayers: readonly ExampleLayer[] = [
  { name: 's4d', sizes: { D: 4, N: 8 }, isTimeInvariant: true },
  // a transform in two rows: more points than a workgroup takes at once
  { name: 's4d of one channel', file: 's4d', sizes: { D: 1, N: 1 }, isTimeInvariant: true, convolvedAt: 1030 },
  { name: 's4d-block', sizes: { D: 4, N: 3 }, isTimeInvariant: true },
  { name: 'dss', sizes: { D: 3, N: 4 }, isTimeInvariant: true },
  // states in two vectors of a transform, and in two workgroups
  { name: 'lru', sizes: { H: 3, N: 8 }, isTimeInvariant: true, isSegmented: true },
  { name: 's5', sizes: { H: 4, P: 3 }, isTimeInvariant: true, isSegmented: true },
  { name: 's5-bidirectional', sizes: { H: 3, P: 4 }, isTimeInvariant: true, isSegmented: true },
  { name: 's5-irregular', sizes: { H: 3, P: 4 }, isSegmented: true },
  { name: 's5-reset', sizes: { H: 3, P: 4 }, isSegmented: true },
  { name: 's6', sizes: { D: 6, N: 8 } },
  { name: 's7', sizes: { H: 4, N: 3 }, isSegmented: true },
  { name: 'rg-lru', sizes: { H: 2, W: 2 }, isSegmented: true },
  { name: 'hgrn', sizes: { D: 3 }, isSegmented: true },
  { name: 'mamba-block', sizes: { D: 3, N: 4, R: 2 } },
  { name: 'mamba-projections', sizes: { D: 5, N: 4, R: 2 } },
  { name: 'digits/s4d-digits', sizes: { D: 3, N: 2, K: 3 } },
  { name: 'digits/mamba-digits', sizes: { D: 2, N: 3, R: 1, K: 3 } },
];

/** One way to compile a layer, and the lengths at which its kernels are worth running. */
export type KernelConfiguration = {
  readonly name: string;
  readonly options: CompileOptions;
  readonly lengths: readonly number[];
};

/** Intervals and pieces so short that a few tokens have whole ones and rests. */
const small = { checkpointInterval: 4, pieceLength: 8 } as const;

/** Workgroups so small that their tiles of time are shorter than a sequence here. */
const narrow = { vectorWidth: 1, maximumWorkgroup: 8, sharedBytes: 16384, fillingThreads: 64 } as const;

type Configured = readonly [name: string, options: Omit<CompileOptions, 'mode'>, modes: readonly ('recurrent' | 'scan' | 'conv')[], lengths: readonly number[]];

/**
 * Lengths around a piece (8, or two tiles), multiples of a tile of 4 or 16, one less and one more, and behind several.
 * Blocks of 4 tokens (GPUs with shuffles) end behind tiles of 16 with one whole, and with two and three of their tokens
 * behind whole ones. Convolutions see two whole blocks of 64, and second blocks that lack one token.
 */
const configured: readonly Configured[] = [
  ['cpu', { ...small, target: 'wasm' }, ['recurrent', 'scan', 'conv'], [13, 9, 8, 7, 1]],
  ['gpu', { ...small, target: 'wgsl' }, ['recurrent'], [37, 1]],
  ['gpu', { ...small, target: 'wgsl' }, ['scan', 'conv'], [13]],
  ['gpu with shuffles', { ...small, target: 'cuda' }, ['recurrent'], [43, 38, 36, 1]],
  ['gpu with shuffles', { ...small, target: 'cuda' }, ['scan'], [13]],
  ['narrow gpu', { ...small, target: 'wgsl', machine: { ...narrow, shuffleWidth: 1 } }, ['recurrent'], [52, 16, 7]],
  ['narrow gpu', { ...small, pieceLength: 32, target: 'wgsl', machine: { ...narrow, shuffleWidth: 1 } }, ['scan'], [67, 33, 31]],
  ['narrow gpu with shuffles', { ...small, target: 'cuda', machine: { ...narrow, shuffleWidth: 32 } }, ['recurrent'], [47, 33, 4]],
  ['narrow gpu with shuffles', { ...small, pieceLength: 32, target: 'cuda', machine: { ...narrow, shuffleWidth: 32 } }, ['scan'], [67, 32]],
];

/** All ways to compile a layer that make other kernels. */
export const kernelConfigurations: readonly KernelConfiguration[] = configured.flatMap(([name, options, modes, lengths]) =>
  modes.flatMap((mode): KernelConfiguration[] => (mode !== 'conv'
    ? [{ name: `${name}, ${mode}`, options: { ...options, mode }, lengths }]
    : (['direct', 'fft'] as const).map((convolution) =>
      ({ name: `${name}, conv ${convolution}`, options: { ...options, mode, convolution }, lengths: convolution === 'direct' ? [131, 127, 126, 13, 1] : [66, 13, 1] })))));

export type KernelCase = { readonly name: string; readonly layer: ExampleLayer; readonly configuration: KernelConfiguration };

/** Every example with every configuration that it can have. */
export const kernelCases: readonly KernelCase[] = exampleLayers.flatMap((layer) => kernelConfigurations
  .filter(({ options }) => (layer.convolvedAt !== undefined ? options.convolution === 'fft' : options.mode !== 'conv' || layer.isTimeInvariant === true))
  .map((configuration) => ({ name: `${layer.name} (${configuration.name})`, layer, configuration })));

/** Whether a case runs sequences longer than a tile of many threads by time. */
export function hasLongSequences({ layer, configuration: { options } }: KernelCase): boolean {
  return layer.isSegmented === true && options.mode === 'recurrent' && options.target !== 'wasm' && options.machine === undefined;
}

/** Lengths at which a case's kernels run. */
export function lengthsOf(each: KernelCase): readonly number[] {
  const { layer, configuration: { lengths } } = each;
  if (layer.convolvedAt !== undefined) return [layer.convolvedAt];
  return hasLongSequences(each) ? [523, ...lengths] : lengths;
}

/** The text with the checked layer at the case's sizes. */
export function loadExample({ name, file, sizes }: ExampleLayer): { readonly text: string; readonly spec: LayerSpec } {
  const text = readFileSync(`examples/${file ?? name}.ssm`, 'utf8');
  const { spec, diagnostics } = loadLayer({ name: `${name}.ssm`, text }, null, { sizes: new Map(Object.entries(sizes)) });
  return { text, spec: required(spec, diagnostics.map((each) => each.message).join('; ')) };
}

/** What entry points are given and what they must give, by `role:subject`. */
export type CaseNumbers = {
  readonly sizes: RunSizes;
  readonly given: Tensors;
  /** gradients of entry `backward` follow cotangents of the outputs alone */
  readonly expected: Readonly<Record<EntryName, Tensors>>;
};

const keyed = (role: string, tensors: Tensors): [string, OracleTensor][] => [...tensors].map(([name, value]) => [tensorKey(role, name), value]);

const disturbance = 0.25;

/** Parameters near their initial values (which are often equal or zero, and would hide an index), random where they have none. */
function disturbedParameters(spec: LayerSpec, random: Tensors, seed: number): Tensors {
  const initial = initialParameters(spec, seed);
  return new Map([...random].map(([name, noise]) => {
    const known = initial.get(name);
    if (known === undefined) return [name, noise];
    const value = unpackTensor(known, noise.axes, noise.shape, noise.im === null ? 'real' : 'complex');
    const near = (numbers: Float64Array, by: Float64Array): Float64Array =>
      numbers.map((each, at) => each * (1 + disturbance * (by.at(-1 - at) ?? 0)) + disturbance * (by[at] ?? 0));
    const im = value.im === null || noise.im === null ? null : near(value.im, noise.im);
    return [name, roundTensor({ ...value, re: near(value.re, noise.re), im }, 'f32')];
  }));
}

/** Every fourth entry zero, since kernels skip weights that are. */
function withZeros(tensor: OracleTensor): OracleTensor {
  const sparse = (numbers: Float64Array): Float64Array => numbers.map((each, at) => (at % 4 === 0 ? 0 : each));
  return { ...tensor, re: sparse(tensor.re), im: tensor.im === null ? null : sparse(tensor.im) };
}

/** Random numbers for a layer and the oracle's answers to them. */
export function drawNumbers(layer: ExampleLayer, sizes: RunSizes, seed: number): CaseNumbers {
  const { text, spec } = loadExample(layer);
  const drawn = randomRequest(parse({ name: `${layer.name}.ssm`, text }).tree, spec, { ...sizes, seed });
  const request = { ...drawn, params: disturbedParameters(spec, drawn.params, seed), initial: new Map([...drawn.initial].map(([name, value]) => [name, withZeros(value)])) };
  const next = seededNumbers(seed + 1);
  const like = (tensors: Tensors): Tensors =>
    new Map([...tensors].map(([name, { axes, shape, im }]) => [name, randomTensor(axes.join(' '), shape, next, im === null ? 'real' : 'complex')]));
  const plain = evaluateLayer(request);
  const [outputs, final] = [like(plain.outputs), like(plain.final)];
  const isDifferentiable = (name: string): boolean => spec.inputs.every((input) => input.name !== name || input.type === 'real' || input.type === 'complex');
  const gradientsFor = (ofFinal: Tensors): Tensors => {
    const { inputs, params, initial } = gradient({ ...request, cotangents: { outputs, final: ofFinal } }).gradients;
    return new Map([inputs, params, initial].flatMap((each) => keyed('gradient', each)).filter(([key]) => isDifferentiable(key.slice('gradient:'.length))));
  };
  const results = new Map([...keyed('output', plain.outputs), ...keyed('final', plain.final)]);
  const given = new Map([
    ...keyed('input', request.inputs), ...keyed('param', request.params), ...keyed('initial', request.initial),
    ...keyed('output-cotangent', outputs), ...keyed('final-cotangent', final),
  ]);
  const expected = { forward: results, forwardSaved: results, step: results, backward: gradientsFor(new Map()), backwardFinal: gradientsFor(final) };
  return { sizes, given, expected };
}

/** Tensors by name that backward reads of an earlier entry. */
export type SavedTensors = ReadonlyMap<string, Float64Array>;

/** Float64 execution leaves the numerics library's f32-grade polynomials as error. */
const bar = 1e-5;

/** How far execution may go before a kernel counts as endless. */
const stepLimit = 2e6;

/**
 * Verifies a plan's kernels, runs them with shuffled invocations and workgroups under the sanitizer and
 * compares every result. Throws an InternalError on a fault; returns what the plan saved for another.
 */
export function checkPlan(plan: Plan, numbers: CaseNumbers, saved: SavedTensors): SavedTensors {
  const given = new Map([...planArguments(plan.tensors, numbers.given), ...saved]);
  const { tensors } = interpretPlan(plan, numbers.sizes, given, { rounding: 'f64', order: 'shuffled', seed: numbers.sizes.length, stepLimit });
  const expected = numbers.expected[plan.entry];
  for (const tensor of plan.tensors) {
    if (!['output', 'final', 'gradient'].includes(tensor.role)) continue;
    const key = tensorKey(tensor.role, tensor.subject ?? '');
    const wanted = packTensor(required(expected.get(key), key), tensor.axes.filter((axis) => axis !== 'complex'));
    const distance = relativeError(required(tensors.get(tensor.name), tensor.name), wanted);
    if (!(distance < bar)) throw new InternalError(`${plan.entry} ${key} is wrong by ${distance.toExponential(1)}`);
  }
  return new Map([...tensors].filter(([name]) => plan.tensors.some((each) => each.name === name && each.role === 'saved')));
}

/** The plans of a case by entry point. */
export function plansOf({ layer, configuration }: KernelCase): ReadonlyMap<EntryName, Plan> {
  return new Map(planSpec(loadExample(layer).spec, configuration.options).map((each) => [each.entry, each]));
}

/** A step takes several sequences per workgroup: more of them show the last ones. Odd, so that launches have rests. */
const batchAt = (length: number): number => (length === 1 ? 5 : length > 500 ? 2 : 3);

const drawn = new Map<string, CaseNumbers>();

/** The numbers of a layer at a length: the same for all configurations, drawn once. */
export function numbersOf(layer: ExampleLayer, length: number): CaseNumbers {
  const key = `${layer.name} ${length}`;
  const known = drawn.get(key) ?? drawNumbers(layer, { batch: batchAt(length), length }, 5);
  drawn.set(key, known);
  return known;
}

/** Entries of a case at a length, in an order in which each finds what it needs; the step takes one token. */
export function entriesAt(plans: ReadonlyMap<EntryName, Plan>, length: number): readonly EntryName[] {
  return (['forward', 'forwardSaved', 'backward', 'backwardFinal', 'step'] as const)
    .filter((each) => plans.has(each) && (each !== 'step' || length === 1));
}

/** Checks all entries at a length and returns which there were. */
export function runCase({ layer }: KernelCase, plans: ReadonlyMap<EntryName, Plan>, length: number): readonly EntryName[] {
  const numbers = numbersOf(layer, length);
  const entries = entriesAt(plans, length);
  let saved: SavedTensors = new Map();
  for (const entry of entries) {
    const made = checkPlan(required(plans.get(entry), entry), numbers, entry.startsWith('backward') ? saved : new Map());
    if (entry === 'forwardSaved') saved = made;
  }
  return entries;
}
