/** Runs entry points of a compiled golden case on a device, from and to the oracle's tensors. */
import { required } from '../../support/invariant.ts';
import type { Artifact, EntryPointName, ManifestTensor } from '../../backends/artifact.ts';
import type { DeviceTensor, PreparedLayer, TensorData } from '../../runtime/device.ts';
import type { OracleTensor } from '../oracle/node-tensor.ts';
import { packTensor } from './oracle-requests.ts';
import { tensorKey } from '../../ir/tensor/interpret.ts';

const givenRoles: ReadonlySet<string> = new Set(['input', 'param', 'initial', 'output-cotangent', 'final-cotangent']);

/** Tensors of an entry that the caller gives, as device storage. */
export function entryArguments(tensors: readonly ManifestTensor[], given: ReadonlyMap<string, OracleTensor>): Map<string, TensorData> {
  const made = new Map<string, TensorData>();
  for (const tensor of tensors) {
    if (!givenRoles.has(tensor.role)) continue;
    const value = required(given.get(tensorKey(tensor.role, tensor.subject ?? '')), `numbers of ${tensor.name}`);
    const packed = packTensor(value, tensor.axes.filter((axis) => axis !== 'complex'));
    made.set(tensor.name, tensor.storage === 'i32' ? Int32Array.from(packed) : Float32Array.from(packed));
  }
  return made;
}

export function entryOf(artifact: Artifact, name: EntryPointName): Artifact['manifest']['entries'][number] {
  return required(artifact.manifest.entries.find((each) => each.name === name), `entry ${name}`);
}

export type EntryRun = { readonly numbers: ReadonlyMap<string, TensorData>; readonly saved: ReadonlyMap<string, DeviceTensor>; readonly dispose: () => void };

/** Runs an entry and reads everything it wrote; saved tensors stay on the device. */
export async function runEntry(
  layer: PreparedLayer, name: EntryPointName, sizes: { batch: number; length: number },
  given: ReadonlyMap<string, OracleTensor>, saved: ReadonlyMap<string, DeviceTensor> = new Map(),
): Promise<EntryRun> {
  const entry = entryOf(layer.artifact, name);
  const tensors = new Map<string, TensorData | DeviceTensor>(entryArguments(entry.tensors, given));
  for (const tensor of entry.tensors) {
    const kept = saved.get(tensor.name);
    if (tensor.role === 'saved' && kept !== undefined) tensors.set(tensor.name, kept);
  }
  const result = await layer.run({ entry: name, sizes, tensors });
  const numbers = new Map<string, TensorData>();
  const kept = new Map<string, DeviceTensor>();
  for (const [tensor, value] of result.tensors) {
    numbers.set(tensor, await value.read());
    kept.set(tensor, value);
  }
  return { numbers, saved: kept, dispose: () => kept.forEach((each) => each[Symbol.dispose]()) };
}

/** A result's numbers by role and subject. */
export function resultOf(artifact: Artifact, entry: EntryPointName, run: EntryRun, role: ManifestTensor['role'], subject: string): { numbers: TensorData; axes: readonly string[] } {
  const tensor = required(entryOf(artifact, entry).tensors.find((each) => each.role === role && each.subject === subject), `${role} ${subject}`);
  return { numbers: required(run.numbers.get(tensor.name), tensor.name), axes: tensor.axes.filter((axis) => axis !== 'complex') };
}
