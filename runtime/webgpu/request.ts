/**
 * Checks a run request against the manifest before anything reaches the device: native WebGPU
 * addons abort the process on bad arguments, and out-of-bounds accesses are silent.
 */
import { checkSignal, checkSizes, directionOf, maximumElements } from '../entry.ts';
import type { Manifest, ManifestEntry, ManifestTensor } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { showValue } from '../../support/show-value.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';
import { required } from '../../support/invariant.ts';
import type { DeviceTensor, RunRequest, TensorData } from '../device.ts';
import { planBatchWindows, type BatchWindow } from './batch-windows.ts';
import { bytesForPeople } from './format.ts';
import type { Session } from './session.ts';
import { bytesPerElement, checkData } from '../storage.ts';
import { isWebGpuTensor, type WebGpuTensor } from './tensor.ts';

/** A tensor with its size in this run. */
export type SizedTensor = { readonly tensor: ManifestTensor; readonly length: number };

/** A request that has been checked. */
export type CheckedRequest = {
  readonly entry: ManifestEntry;
  readonly sizes: RunSizes;
  /** in order; the first is the largest */
  readonly windows: readonly BatchWindow[];
  /** of the largest window: scratch and arenas are made for it */
  readonly windowSizes: RunSizes;
  readonly given: ReadonlyMap<string, TensorData | WebGpuTensor>;
  readonly into: ReadonlyMap<string, WebGpuTensor>;
  readonly inputs: readonly SizedTensor[];
  readonly results: readonly SizedTensor[];
  readonly scratch: readonly SizedTensor[];
};

/** Elements of a tensor in this run; throws SSM5002 when they are too many for an index. */
function checkedLength(name: string, length: number): number {
  if (!(length <= maximumElements)) {
    throw ssmError(
      'SSM5002', `\`${name}\` has ${length} elements; kernels index at most ${maximumElements}`,
      'use a smaller batch',
    );
  }
  return length;
}

/** Windows of the batch that the device can bind; throws SSM5001 with both numbers when it cannot. */
function checkedWindows(
  session: Session, all: readonly SizedTensor[], entry: ManifestEntry, sizes: RunSizes,
): readonly BatchWindow[] {
  const { maxBufferSize, minStorageBufferOffsetAlignment } = session.device.limits;
  const bindingBytes = Math.min(session.bindingBytes, maxBufferSize);
  const windows = planBatchWindows(entry, sizes, { bindingBytes, offsetAlignment: minStorageBufferOffsetAlignment });
  const kept = windows === null ? all : all.filter(({ tensor }) => tensor.role !== 'scratch'); // scratch is per window
  const tensors = kept.map(({ tensor, length }) => ({ name: tensor.name, bytes: length * bytesPerElement(tensor.storage) }));
  const arenas = windows !== null ? [] : (entry.arenas ?? []).map(({ name, length, storage }) =>
    ({ name, bytes: evaluateSize(length, sizes) * bytesPerElement(storage) }));
  const [largest] = [...tensors, ...arenas].sort((a, b) => b.bytes - a.bytes);
  const limit = windows === null ? bindingBytes : maxBufferSize;
  if (largest !== undefined && largest.bytes > limit) {
    throw ssmError(
      'SSM5001', `\`${largest.name}\` needs ${bytesForPeople(largest.bytes)}; this device allows ${bytesForPeople(limit)}`,
      'use a smaller batch, or open the device with the adapter\'s limits',
    );
  }
  return required(windows, 'windows of a run that fits');
}

function checkGiven(
  value: unknown, sized: SizedTensor, session: Session, where: string,
): TensorData | WebGpuTensor {
  const { storage } = sized.tensor;
  const name = `${where}.${sized.tensor.name}`;
  if (!isWebGpuTensor(value)) {
    checkData(value, storage, sized.length, name);
    return value;
  }
  if (value.session !== session) throw ssmError('SSM6004', `\`${name}\` lives on another device`);
  value.buffer();
  if (value.storage !== storage) {
    throw ssmError('SSM6004', `\`${name}\` must be ${storage}, found ${value.storage}`);
  }
  if (value.length !== sized.length) {
    throw ssmError('SSM6004', `\`${name}\` needs ${sized.length} numbers, found ${value.length}`);
  }
  return value;
}

function checkNames(
  names: Iterable<string>, allowed: readonly SizedTensor[], entry: string, where: string,
): void {
  const known = new Set(allowed.map((each) => each.tensor.name));
  for (const name of names) {
    if (!known.has(name)) {
      throw ssmError(
        'SSM6004', `\`${where}\` has ${showValue(name)}, which entry \`${entry}\` does not take`,
        `it takes ${[...known].map((each) => `\`${each}\``).join(', ')}`,
      );
    }
  }
}

function checkAliasing(
  given: ReadonlyMap<string, TensorData | WebGpuTensor>, into: ReadonlyMap<string, WebGpuTensor>,
): void {
  const seen = new Set<unknown>([...given.values()].filter(isWebGpuTensor));
  for (const [name, tensor] of into) {
    if (seen.has(tensor)) {
      throw ssmError(
        'SSM6004', `\`into.${name}\` is also used for another tensor of the run`,
        'write into a tensor of its own',
      );
    }
    seen.add(tensor);
  }
}

function checkInto(
  into: ReadonlyMap<string, DeviceTensor>, results: readonly SizedTensor[], session: Session,
): ReadonlyMap<string, WebGpuTensor> {
  const checked = new Map<string, WebGpuTensor>();
  for (const sized of results) {
    const target = into.get(sized.tensor.name);
    if (target === undefined) continue;
    if (!isWebGpuTensor(target)) {
      throw ssmError('SSM6004', `\`into.${sized.tensor.name}\` is not a tensor of this device`);
    }
    checkGiven(target, sized, session, 'into');
    checked.set(sized.tensor.name, target);
  }
  return checked;
}

function sizedTensors(entry: ManifestEntry, sizes: RunSizes): readonly SizedTensor[] {
  return entry.tensors.map((tensor) => {
    const length = tensor.dims.reduce<number>((product, each) => product * evaluateSize(each, sizes), 1);
    return { tensor, length: checkedLength(tensor.name, length) };
  });
}

/** Throws SSM6004, SSM6003, SSM5001 or SSM5002, or returns the request in checked form. */
export function checkRequest(session: Session, manifest: Manifest, request: RunRequest): CheckedRequest {
  session.check();
  if (typeof request !== 'object' || request === null) {
    throw ssmError('SSM6004', 'a run needs a request object');
  }
  checkSignal(request.signal);
  const entry = manifest.entries.find((each) => each.name === request.entry);
  if (entry === undefined) {
    throw ssmError('SSM6004', `layer \`${manifest.layer}\` has no entry ${showValue(request.entry)}`,
      `it has ${manifest.entries.map((each) => `\`${each.name}\``).join(', ')}`);
  }
  const sizes = checkSizes(request.sizes);
  const all = sizedTensors(entry, sizes);
  for (const arena of entry.arenas ?? []) checkedLength(arena.name, evaluateSize(arena.length, sizes));
  const windows = checkedWindows(session, all, entry, sizes);
  const windowSizes: RunSizes = { ...sizes, batch: windows[0]?.count ?? 0 };
  const inputs = all.filter((each) => directionOf(each.tensor, entry.name) === 'given');
  const results = all.filter((each) => directionOf(each.tensor, entry.name) === 'result');
  const scratch = sizedTensors(entry, windowSizes).filter(({ tensor }) => tensor.role === 'scratch');
  if (!(request.tensors instanceof Map)) {
    throw ssmError('SSM6004', '`tensors` must be a Map from tensor names to numbers');
  }
  if (request.into !== undefined && !(request.into instanceof Map)) {
    throw ssmError('SSM6004', '`into` must be a Map from tensor names to tensors');
  }
  checkNames(request.tensors.keys(), inputs, entry.name, 'tensors');
  checkNames(request.into?.keys() ?? [], results, entry.name, 'into');
  const given = new Map<string, TensorData | WebGpuTensor>();
  for (const sized of inputs) {
    const value: unknown = request.tensors.get(sized.tensor.name);
    if (value === undefined) {
      throw ssmError('SSM6004', `entry \`${entry.name}\` needs the tensor \`${sized.tensor.name}\``);
    }
    given.set(sized.tensor.name, checkGiven(value, sized, session, 'tensors'));
  }
  const into = checkInto(request.into ?? new Map(), results, session);
  checkAliasing(given, into);
  return { entry, sizes, windows, windowSizes, given, into, inputs, results, scratch };
}
