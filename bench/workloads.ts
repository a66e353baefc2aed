/** Layers that are measured, and one run of an entry of theirs on a device with seeded numbers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Artifact, EntryPointName, ManifestEntry, ManifestTensor } from '../backends/artifact.ts';
import { loadLayer } from '../dsl/index.ts';
import type { LayerSpec } from '../dsl/spec.ts';
import type { DeviceTensor, PreparedLayer, TensorData } from '../runtime/device.ts';
import { required } from '../support/invariant.ts';
import { evaluateSize } from '../support/size.ts';
import { makeRandom } from './statistics.ts';

export type Workload = {
  readonly name: string;
  readonly file: string;
  readonly sizes: Readonly<Record<string, number>>;
  readonly batch: number;
  readonly length: number;
  /** exponentials per token, channel and state that no kernel can do without */
  readonly exponentials: Readonly<Record<MeasuredEntry, number>>;
  readonly hasPeer: boolean;
};

export type MeasuredEntry = 'forward' | 'forwardSaved' | 'backward';
export const measuredEntries: readonly MeasuredEntry[] = ['forward', 'forwardSaved', 'backward'];

const oneEach = { forward: 1, forwardSaved: 1, backward: 1 };
const none = { forward: 0, forwardSaved: 0, backward: 0 };

export const workloads: readonly Workload[] = [
  { name: 'S6', file: 's6.ssm', sizes: { D: 1536, N: 16 }, batch: 1, length: 256, exponentials: oneEach, hasPeer: true },
  { name: 'S6 long', file: 's6.ssm', sizes: { D: 384, N: 16 }, batch: 1, length: 2048, exponentials: oneEach, hasPeer: true },
  { name: 'S4D', file: 's4d.ssm', sizes: { D: 256, N: 32 }, batch: 1, length: 512, exponentials: none, hasPeer: false },
  { name: 'RG-LRU', file: 'rg-lru.ssm', sizes: { H: 8, W: 32 }, batch: 1, length: 512, exponentials: oneEach, hasPeer: false },
];

/** The checked layer of a workload. */
export function loadWorkload(root: string, { file, sizes }: Workload): LayerSpec {
  const text = readFileSync(join(root, 'examples', file), 'utf8');
  const { spec, diagnostics } = loadLayer({ name: file, text }, null, { sizes: new Map(Object.entries(sizes)) });
  if (spec === null) throw new Error(`${file}: ${diagnostics[0]?.message ?? 'no layer'}`);
  return spec;
}

const given: ReadonlySet<ManifestTensor['role']> = new Set(['input', 'param', 'initial', 'output-cotangent', 'final-cotangent']);

/** Numbers in (−0.5, 0.5), but step sizes below 1 and rates of decay as layers start with. */
function numbersFor({ subject, storage }: ManifestTensor, count: number): TensorData {
  const random = makeRandom(count + (subject?.length ?? 0));
  if (storage === 'i32') return new Int32Array(count);
  const [low, high] = subject === null ? [-0.5, 0.5] : (ranges[subject] ?? [-0.5, 0.5]);
  return Float32Array.from({ length: count }, () => low + (high - low) * random());
}

const ranges: Readonly<Record<string, readonly [number, number]>> = {
  delta: [-1, 1], delta_bias: [-4, -2], A_log: [0, 2.7], log_dt: [-6, -3], a_im: [0, 50], a_param: [-5, -3],
};

export type Runner = {
  readonly run: (entry: MeasuredEntry) => Promise<number>;
  readonly bytesOf: (entry: MeasuredEntry) => number;
  readonly elements: number;
  readonly dispose: () => void;
};

function entryOf(artifact: Artifact, name: EntryPointName): ManifestEntry {
  return required(artifact.manifest.entries.find((each) => each.name === name), `entry ${name}`);
}

/** Runs entries of a prepared layer on the same tensors each time; `run` gives milliseconds. */
export async function makeRunner(layer: PreparedLayer, spec: LayerSpec, { batch, length }: Workload): Promise<Runner> {
  const sizes = { batch, length };
  const kept = new Map<string, TensorData>();
  const sizeOf = (tensor: ManifestTensor): number => tensor.dims.reduce<number>((product, dim) => product * evaluateSize(dim, sizes), 1);
  const argumentsOf = (entry: ManifestEntry): Map<string, TensorData | DeviceTensor> => {
    const tensors = new Map<string, TensorData | DeviceTensor>();
    for (const tensor of entry.tensors.filter((each) => given.has(each.role))) {
      const numbers = kept.get(tensor.name) ?? numbersFor(tensor, sizeOf(tensor));
      kept.set(tensor.name, numbers);
      tensors.set(tensor.name, numbers);
    }
    return tensors;
  };
  const first = await layer.run({ entry: 'forwardSaved', sizes, tensors: argumentsOf(entryOf(layer.artifact, 'forwardSaved')) });
  const run = async (name: MeasuredEntry): Promise<number> => {
    const entry = entryOf(layer.artifact, name);
    const tensors = argumentsOf(entry);
    if (name === 'backward') for (const tensor of entry.tensors) {
      const saved = tensor.role === 'saved' ? first.tensors.get(tensor.name) : undefined;
      if (saved !== undefined) tensors.set(tensor.name, saved);
    }
    const result = await layer.run({ entry: name, sizes, tensors });
    result.tensors.forEach((each) => each[Symbol.dispose]());
    return result.timing.milliseconds;
  };
  const states = spec.body.flatMap((item) => (item.kind === 'state' ? [item.axes] : []));
  const axis = (name: string): number => required(spec.axes.find((each) => each.name === name), name).size;
  const perToken = states.reduce((sum, axes) => sum + axes.reduce((product, name) => product * axis(name), 1), 0);
  return {
    run,
    bytesOf: (name) => entryOf(layer.artifact, name).tensors.filter((each) => each.role !== 'scratch').reduce((sum, each) => sum + 4 * sizeOf(each), 0),
    elements: perToken * batch * length,
    dispose: () => first.tensors.forEach((each) => each[Symbol.dispose]()),
  };
}
