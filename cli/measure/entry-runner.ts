/**
 * Repeated runs of a prepared layer's entry points on seeded numbers that stay on the device: several
 * sets of streams in turn, so that caches hold none of them, results into the same tensors each time.
 */
import type { EntryPointName, ManifestEntry, ManifestTensor } from '../../backends/artifact.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { initialParameters } from '../../ir/initial/index.ts';
import type { DeviceTensor, ExecutionDevice, PreparedLayer, RunResult, TensorData } from '../../runtime/device.ts';
import { directionOf } from '../../runtime/entry.ts';
import { toStorage } from '../../runtime/layer-values.ts';
import { bytesPerElement } from '../../runtime/storage.ts';
import { required } from '../../support/invariant.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';
import { makeRandom } from './statistics.ts';

/** All streams of all sets together: beyond the caches of today's devices. */
const rotatedBytes = 192 * 2 ** 20;
const mostSets = 8;

/** Seeded tensors of a layer on a device, by set and name; made when they are first asked for. */
export type Arguments = Disposable & {
  readonly sets: number;
  readonly of: (set: number, tensor: ManifestTensor) => DeviceTensor;
};

export type ArgumentRequest = {
  readonly device: ExecutionDevice;
  readonly spec: LayerSpec;
  readonly sizes: RunSizes;
  readonly seed: number;
  /** entries that will be run; what they stream decides the number of sets */
  readonly entries: readonly ManifestEntry[];
};

/** Elements of a tensor at these sizes. */
export function elementsOf(tensor: ManifestTensor, sizes: RunSizes): number {
  return tensor.dims.reduce<number>((product, each) => product * evaluateSize(each, sizes), 1);
}

/** Bytes that an entry must move at least: every tensor that is not scratch, once. */
export function bytesOfEntry(entry: ManifestEntry, sizes: RunSizes): number {
  return entry.tensors.filter((each) => each.role !== 'scratch')
    .reduce((sum, each) => sum + elementsOf(each, sizes) * bytesPerElement(each.storage), 0);
}

/** One token where an entry is the step. */
export function sizesOfEntry(entry: EntryPointName, sizes: RunSizes): RunSizes {
  return entry === 'step' ? { batch: sizes.batch, length: 1 } : sizes;
}

const isStream = (tensor: ManifestTensor): boolean => tensor.role !== 'param';

function nameSeed(text: string): number {
  return [...text].reduce((sum, each) => Math.imul(sum, 31) + (each.codePointAt(0) ?? 0), 7);
}

/** Inputs and cotangents uniform in (−½, ½), flags rare, indices in their range. */
function drawNumbers(spec: LayerSpec, tensor: ManifestTensor, count: number, seed: number): TensorData {
  const random = makeRandom(nameSeed(tensor.name) + Math.imul(seed, 7919));
  const indices = spec.inputs.find((each) => each.name === tensor.subject)?.values ?? null;
  const draw = indices !== null ? () => Math.floor(indices * random()) : tensor.storage === 'i32' ? () => Number(random() < 0.01) : () => random() - 0.5;
  const own = new Float32Array(Math.min(count, period));
  for (let at = 0; at < own.length; at++) own[at] = draw();
  return repeated(toStorage(own, tensor), count);
}

/** Numbers that are drawn; longer tensors repeat them. A prime, so that rows of a tensor differ. */
const period = 1_048_573;

function repeated(own: TensorData, count: number): TensorData {
  if (own.length >= count) return own;
  const whole = new (own.constructor as new (length: number) => TensorData)(count);
  whole.set(own);
  for (let filled = own.length; filled < count; filled *= 2) whole.copyWithin(filled, 0, Math.min(filled, count - filled));
  return whole;
}

/** The caller disposes them. Parameters come from the layer's initialisers, as `run` has them. */
export function makeArguments({ device, spec, sizes, seed, entries }: ArgumentRequest): Arguments {
  const initial = initialParameters(spec, seed);
  const given = new Map(entries.flatMap((entry) =>
    entry.tensors.filter((each) => directionOf(each, entry.name) === 'given' && each.role !== 'saved').map((each) => [each.name, each] as const)));
  const streamed = [...given.values()].filter(isStream).reduce((sum, each) => sum + elementsOf(each, sizes) * bytesPerElement(each.storage), 0);
  const sets = Math.max(1, Math.min(mostSets, Math.ceil(rotatedBytes / Math.max(1, streamed))));
  const made = new Map<string, DeviceTensor>();
  const make = (set: number, tensor: ManifestTensor, count: number): DeviceTensor => {
    const start = tensor.role === 'param' ? initial.get(tensor.subject ?? '') : undefined;
    const numbers = start?.length === count ? toStorage(start, tensor) : drawNumbers(spec, tensor, count, seed + set);
    return device.createTensor(tensor.storage, numbers, `measure/${tensor.name}`);
  };
  return {
    sets,
    of: (set, tensor) => {
      const count = elementsOf(tensor, sizes);
      const key = `${isStream(tensor) ? set : 0} ${tensor.name} ${count}`;
      const found = made.get(key) ?? make(isStream(tensor) ? set : 0, tensor, count);
      made.set(key, found);
      return found;
    },
    [Symbol.dispose]: () => made.forEach((each) => each[Symbol.dispose]()),
  };
}

export type EntryRunner = Disposable & {
  /** one run on the next set of numbers */
  readonly run: (entry: EntryPointName) => Promise<RunResult['timing']>;
  /** results of a run on the first set of numbers, as they are stored */
  readonly results: (entry: EntryPointName) => Promise<ReadonlyMap<string, TensorData>>;
};

export type RunnerRequest = {
  readonly layer: PreparedLayer;
  readonly sizes: RunSizes;
  readonly arguments: Arguments;
};

/** Runs entries of one prepared layer; `backward` gets what a run of `forwardSaved` saved. Disposes its results only. */
export function makeRunner({ layer, sizes, arguments: given }: RunnerRequest): EntryRunner {
  const kept = new Map<EntryPointName, ReadonlyMap<string, DeviceTensor>>();
  let turn = 0;
  const runOn = async (set: number, name: EntryPointName): Promise<RunResult> => {
    const entry = required(layer.artifact.manifest.entries.find((each) => each.name === name), `entry ${name}`);
    const needsSaved = entry.tensors.some((each) => each.role === 'saved') && name !== 'forwardSaved';
    const saved = needsSaved ? (kept.get('forwardSaved') ?? (await runOn(0, 'forwardSaved')).tensors) : null;
    const tensors = new Map(entry.tensors.filter((each) => directionOf(each, name) === 'given').map((each) =>
      [each.name, each.role === 'saved' ? required(saved?.get(each.name), each.name) : given.of(set, each)] as const));
    const into = kept.get(name);
    const result = await layer.run({ entry: name, sizes: sizesOfEntry(name, sizes), tensors, ...(into === undefined ? {} : { into }) });
    kept.set(name, result.tensors);
    return result;
  };
  return {
    run: async (name) => (await runOn(turn++ % given.sets, name)).timing,
    results: async (name) => {
      const { tensors } = await runOn(0, name);
      const read = [...tensors].map(async ([tensor, value]) => [tensor, await value.read()] as const);
      return new Map(await Promise.all(read));
    },
    [Symbol.dispose]: () => kept.forEach((tensors) => tensors.forEach((each) => each[Symbol.dispose]())),
  };
}
