/**
 * What callers of a layer bring: plain arrays, typed arrays, arrays with a shape, or tensors that are
 * on the device already; and their way into the storage a kernel reads, with every mismatch named.
 */
import type { ManifestTensor, StorageName } from '../backends/artifact.ts';
import { ssmError } from '../support/diagnostic.ts';
import { encodeBf16, encodeF16 } from '../support/float-bits.ts';
import { showValue } from '../support/show-value.ts';
import { evaluateSize, type RunSizes } from '../support/size.ts';
import type { DeviceTensor, TensorData } from './device.ts';
import { isDetached, nameOfArray } from './storage.ts';

/** Numbers on the host in canonical order (batch, time, declared axes); complex ones as re, im pairs. */
export type HostNumbers = TensorData | readonly number[];

/** Host numbers whose shape shall be checked axis by axis; a complex tensor's last size is 2. */
export type ShapedNumbers = { readonly shape: readonly number[]; readonly data: HostNumbers };

export type LayerValue = HostNumbers | ShapedNumbers | DeviceTensor;

/** Values by the name they have in the layer's text. */
export type LayerRecord = Readonly<Record<string, LayerValue>>;

/** Throws SSM6004 unless the value can be a record: an object, and no list or array of numbers. */
export function checkIsRecord(record: unknown, name: string): asserts record is LayerRecord {
  if (typeof record === 'object' && record !== null && !Array.isArray(record) && !ArrayBuffer.isView(record)) return;
  throw ssmError('SSM6004', `\`${name}\` must be an object of values by name, found ${showValue(record)}`);
}

/** The value a caller gave under a name, whatever else an object inherits. */
export function valueOf(record: LayerRecord, name: string): LayerValue | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** A tensor's name, axes and sizes in one call. */
export type ExpectedTensor = {
  readonly name: string;
  readonly storage: StorageName;
  readonly axes: readonly string[];
  readonly shape: readonly number[];
};

/** What a call of these sizes needs for a tensor of the manifest. */
export function expectedTensor(tensor: ManifestTensor, sizes: RunSizes): ExpectedTensor {
  return {
    name: tensor.subject ?? tensor.name, storage: tensor.storage, axes: tensor.axes,
    shape: tensor.dims.map((each) => evaluateSize(each, sizes)),
  };
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, each) => product * each, 1);
}

/** True for tensors on a device, as opposed to host numbers. */
export function isDeviceTensor(value: unknown): value is DeviceTensor {
  return typeof value === 'object' && value !== null && typeof (value as { read?: unknown }).read === 'function';
}

function isShaped(value: unknown): value is ShapedNumbers {
  return typeof value === 'object' && value !== null && Array.isArray((value as { shape?: unknown }).shape);
}

/** `[2, 64, 16] (batch, time, D)` */
export function describeShape({ axes, shape }: Pick<ExpectedTensor, 'axes' | 'shape'>): string {
  return axes.length === 0 ? 'one number' : `[${shape.join(', ')}] (${axes.join(', ')})`;
}

/** Throws SSM7003 unless the value has as many numbers, and the shape if it tells one, as expected. */
export function checkShape(value: LayerValue, expected: ExpectedTensor): void {
  const needed = elementCount(expected.shape);
  if (isShaped(value)) checkGivenShape(value.shape, expected);
  const given = lengthOf(value, expected.name);
  if (given === needed) return;
  throw ssmError(
    'SSM7003', `\`${expected.name}\` has ${given} numbers, expected ${needed}: ${describeShape(expected)}`,
  );
}

function checkGivenShape(shape: readonly unknown[], expected: ExpectedTensor): void {
  if (shape.length === expected.shape.length && expected.shape.every((size, at) => shape[at] === size)) return;
  throw ssmError('SSM7003', `\`${expected.name}\` has shape [${shape.map(showValue).join(', ')}], expected ${describeShape(expected)}`);
}

/** Number of elements of a value; throws SSM6004 for what is no tensor at all. */
export function lengthOf(value: LayerValue, name: string): number {
  const data: unknown = isShaped(value) ? value.data : value;
  if (isDeviceTensor(data) || Array.isArray(data) || isNumbers(data)) return (data as DeviceTensor | HostNumbers).length;
  throw ssmError('SSM6004', `\`${name}\` must be an array of numbers or a tensor of the device, found ${showValue(data)}`);
}

/** Typed arrays whose elements are numbers; those of bigints are none. */
function isNumbers(data: unknown): boolean {
  const name = nameOfArray(data);
  return name !== null && !name.startsWith('Big');
}

/** The value in a tensor's storage: tensors of the device as they are, numbers as its typed array. */
export function prepareValue(value: LayerValue, expected: ExpectedTensor): TensorData | DeviceTensor {
  checkShape(value, expected);
  const data = isShaped(value) ? value.data : value;
  return isDeviceTensor(data) ? data : toStorage(data as HostNumbers, expected);
}

/** Host numbers as the typed array of a storage; the caller's own array where it fits already. */
export function toStorage(data: HostNumbers, expected: Pick<ExpectedTensor, 'name' | 'storage'>): TensorData {
  const { name, storage } = expected;
  if (Array.isArray(data)) checkNumbers(data, name);
  else if (isDetached(data as TensorData)) throw ssmError('SSM6004', `the memory of \`${name}\` is gone: its buffer was transferred or resized`);
  switch (storage) {
    case 'f32':
      return data instanceof Float32Array ? data : Float32Array.from(data);
    case 'f64':
      return data instanceof Float64Array ? data : Float64Array.from(data);
    case 'f16':
      return data instanceof Uint16Array ? data : Uint16Array.from(data, encodeF16);
    case 'bf16':
      return data instanceof Uint16Array ? data : Uint16Array.from(data, encodeBf16);
    case 'i32':
      return data instanceof Int32Array ? data : Int32Array.from(checkIntegers(data, name, -(2 ** 31), 2 ** 31 - 1));
    case 'u32':
      return data instanceof Uint32Array ? data : Uint32Array.from(checkIntegers(data, name, 0, 2 ** 32 - 1));
    case 'i8':
      return data instanceof Int8Array ? data : Int8Array.from(checkIntegers(data, name, -128, 127));
    case 'u8':
      return data instanceof Uint8Array ? data : Uint8Array.from(checkIntegers(data, name, 0, 255));
    default:
      return storage satisfies never;
  }
}

/** Throws SSM6004 for host numbers that are no index below `values`; tensors of the device are not read. */
export function checkIndices(value: LayerValue, name: string, values: number): void {
  const data = isShaped(value) ? value.data : value;
  if (!isDeviceTensor(data)) checkIntegers(data as HostNumbers, name, 0, values - 1);
}

function checkNumbers(data: readonly unknown[], name: string): void {
  const wrong = data.findIndex((each) => typeof each !== 'number');
  if (wrong >= 0) throw ssmError('SSM6004', `\`${name}\` has ${showValue(data[wrong])} at ${wrong}, expected a number`);
}

function checkIntegers(data: HostNumbers, name: string, lowest: number, highest: number): HostNumbers {
  for (let at = 0; at < data.length; at++) {
    const value = data[at] ?? NaN;
    if (Number.isInteger(value) && value >= lowest && value <= highest) continue;
    throw ssmError('SSM6004', `\`${name}\` has ${value} at ${at}, expected an integer from ${lowest} to ${highest}`);
  }
  return data;
}
