/** Runs the entry points of an artifact on a device and compares every number with the reference. */
import type { EntryPointName, ManifestEntry, ManifestTensor } from '../../backends/artifact.ts';
import { tensorKey, type Tensor } from '../../ir/tensor/interpret.ts';
import type { DeviceTensor, PreparedLayer, TensorData } from '../../runtime/device.ts';
import { invariant, required } from '../../support/invariant.ts';
import type { RunSizes } from '../../support/size.ts';
import type { Reference, Tensors } from './reference.ts';

export type Comparison = { readonly entry: EntryPointName; readonly tensor: string; readonly relativeError: number };

const givenRoles: ReadonlySet<string> = new Set(['input', 'param', 'initial', 'output-cotangent', 'final-cotangent']);
const resultRoles: ReadonlySet<string> = new Set(['output', 'final', 'gradient']);

/** The numbers in the order of a manifest's tensor, complex ones as pairs. */
function pack(tensor: Tensor, wanted: ManifestTensor): Float64Array {
  const axes = wanted.axes.filter((axis) => axis !== 'complex');
  const order = axes.map((axis) => tensor.axes.indexOf(axis));
  invariant(axes.length === tensor.axes.length && order.every((at) => at >= 0), `axes of ${wanted.name}`);
  const sizes = order.map((at) => tensor.shape[at] ?? 1);
  const strides = tensor.shape.map((_, at) => tensor.shape.slice(at + 1).reduce((product, each) => product * each, 1));
  const steps = order.map((at) => strides[at] ?? 1);
  const { re, im } = tensor;
  const packed = new Float64Array(re.length * (im === null ? 1 : 2));
  for (let at = 0; at < re.length; at++) {
    let rest = at;
    let from = 0;
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      const size = sizes[axis] ?? 1;
      from += (rest % size) * (steps[axis] ?? 0);
      rest = Math.floor(rest / size);
    }
    if (im === null) packed[at] = re[from] ?? NaN;
    else packed.set([re[from] ?? NaN, im[from] ?? NaN], 2 * at);
  }
  return packed;
}

function toStorage(numbers: Float64Array, storage: ManifestTensor['storage']): TensorData {
  if (storage === 'i32') return Int32Array.from(numbers);
  invariant(storage === 'f32', `storage ${storage} of an argument`);
  return Float32Array.from(numbers);
}

function entryArguments(entry: ManifestEntry, given: Tensors): Map<string, TensorData | DeviceTensor> {
  return new Map(entry.tensors.filter((each) => givenRoles.has(each.role)).map((each) => {
    const key = tensorKey(each.role, each.subject ?? '');
    return [each.name, toStorage(pack(required(given.get(key), key), each), each.storage)] as const;
  }));
}

/** ‖actual − expected‖ / ‖expected‖; the absolute error where nothing but zeros is expected. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [error, norm] = [0, 0];
  for (let at = 0; at < expected.length; at++) {
    const wanted = expected[at] ?? 0;
    error += ((actual[at] ?? NaN) - wanted) ** 2;
    norm += wanted ** 2;
  }
  const distance = Math.sqrt(error);
  if (actual.length !== expected.length || Number.isNaN(distance)) return Infinity;
  return norm === 0 ? distance : distance / Math.sqrt(norm);
}

type Held = ReadonlyMap<string, DeviceTensor>;

async function compareResults(entry: ManifestEntry, results: Held, expected: Tensors): Promise<readonly Comparison[]> {
  const found: Comparison[] = [];
  for (const tensor of entry.tensors) {
    if (!resultRoles.has(tensor.role)) continue;
    const wanted = expected.get(tensorKey(tensor.role, tensor.subject ?? ''));
    if (wanted === undefined) continue;
    const actual = await required(results.get(tensor.name), tensor.name).read();
    found.push({ entry: entry.name, tensor: `${tensor.role} ${tensor.subject ?? ''}`, relativeError: relativeError(actual, pack(wanted, tensor)) });
  }
  return found;
}

function entryOf(layer: PreparedLayer, name: EntryPointName): ManifestEntry | undefined {
  return layer.artifact.manifest.entries.find((each) => each.name === name);
}

function dispose(tensors: Held): void {
  for (const each of tensors.values()) each[Symbol.dispose]();
}

/** forward, forwardSaved and backwardFinal at once. */
export async function compareSequence(layer: PreparedLayer, sizes: RunSizes, { given, expected }: Reference): Promise<readonly Comparison[]> {
  const [forward, saving, backward] = (['forward', 'forwardSaved', 'backwardFinal'] as const).map((name) => required(entryOf(layer, name), name));
  invariant(forward !== undefined && saving !== undefined && backward !== undefined, 'entries');
  const plain = await layer.run({ entry: 'forward', sizes, tensors: entryArguments(forward, given) });
  const ofForward = await compareResults(forward, plain.tensors, expected);
  dispose(plain.tensors);
  const kept = await layer.run({ entry: 'forwardSaved', sizes, tensors: entryArguments(saving, given) });
  const ofSaving = await compareResults(saving, kept.tensors, expected);
  const names = new Set(backward.tensors.filter((each) => each.role === 'saved').map((each) => each.name));
  const saved = [...kept.tensors].filter(([name]) => names.has(name));
  const gradients = await layer.run({ entry: 'backwardFinal', sizes, tensors: new Map([...entryArguments(backward, given), ...saved]) });
  const ofBackward = await compareResults(backward, gradients.tensors, expected);
  dispose(kept.tensors);
  dispose(gradients.tensors);
  return [...ofForward, ...ofSaving, ...ofBackward];
}

/** One token of each sequence, `time` of size 1. */
function tokenOf(tensor: Tensor, token: number): Tensor {
  const at = tensor.axes.indexOf('time');
  if (at < 0) return tensor;
  const inner = tensor.shape.slice(at + 1).reduce((product, each) => product * each, 1);
  const outer = tensor.shape.slice(0, at).reduce((product, each) => product * each, 1);
  const length = tensor.shape[at] ?? 1;
  const cut = (numbers: Float64Array): Float64Array => {
    const made = new Float64Array(outer * inner);
    for (let row = 0; row < outer; row++) {
      const start = (row * length + token) * inner;
      made.set(numbers.subarray(start, start + inner), row * inner);
    }
    return made;
  };
  return { axes: tensor.axes, shape: tensor.shape.map((size, axis) => (axis === at ? 1 : size)), re: cut(tensor.re), im: tensor.im === null ? null : cut(tensor.im) };
}

/** The step, token after token, states handed over on the device; null where the artifact has none. */
export async function compareSteps(layer: PreparedLayer, sizes: RunSizes, { given, expected }: Reference): Promise<readonly Comparison[] | null> {
  const entry = entryOf(layer, 'step');
  if (entry === undefined) return null;
  const worst = new Map<string, Comparison>();
  let before: Held = new Map();
  for (let token = 0; token < sizes.length; token++) {
    const cut = (tensors: Tensors): Tensors => new Map([...tensors].map(([key, each]) => [key, tokenOf(each, token)]));
    const tensors = entryArguments(entry, cut(given));
    for (const each of entry.tensors) {
      const handed = each.role === 'initial' ? before.get(finalName(entry, each)) : undefined;
      if (handed !== undefined) tensors.set(each.name, handed);
    }
    const { tensors: after } = await layer.run({ entry: 'step', sizes: { batch: sizes.batch, length: 1 }, tensors });
    const isLast = token === sizes.length - 1;
    const wanted = new Map([...cut(expected)].filter(([key]) => key.startsWith('output:') || (isLast && key.startsWith('final:'))));
    for (const each of await compareResults(entry, after, wanted)) {
      if (each.relativeError >= (worst.get(each.tensor)?.relativeError ?? 0)) worst.set(each.tensor, each);
    }
    dispose(before);
    before = after;
  }
  dispose(before);
  return [...worst.values()];
}

function finalName(entry: ManifestEntry, initial: ManifestTensor): string {
  return entry.tensors.find((each) => each.role === 'final' && each.subject === initial.subject)?.name ?? '';
}
