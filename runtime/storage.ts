/** Storage types of tensors as bytes and typed arrays, and the checks of numbers that callers bring. */
import type { StorageName } from '../backends/artifact.ts';
import { ssmError } from '../support/diagnostic.ts';
import { showValue } from '../support/show-value.ts';
import type { TensorData } from './device.ts';

type DataConstructor = {
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer, byteOffset: number, length: number): TensorData;
};

const constructors: Readonly<Record<StorageName, DataConstructor>> = {
  f32: Float32Array, f64: Float64Array, f16: Uint16Array, bf16: Uint16Array,
  i32: Int32Array, u32: Uint32Array, i8: Int8Array, u8: Uint8Array,
};

/** True for the names that a tensor can be stored as. */
export function isStorageName(storage: unknown): storage is StorageName {
  return typeof storage === 'string' && Object.hasOwn(constructors, storage);
}

export function bytesPerElement(storage: StorageName): number {
  return constructors[storage].BYTES_PER_ELEMENT;
}

/** The first `length` elements of a buffer as the storage's typed array. */
export function viewOf(storage: StorageName, buffer: ArrayBuffer, length: number): TensorData {
  return new constructors[storage](buffer, 0, length);
}

/** `Float32Array` and the like, null for what is no typed array; subclasses cannot lie about it. */
export function nameOfArray(data: unknown): string | null {
  const name: unknown = ArrayBuffer.isView(data) ? arrayName?.call(data) : undefined;
  return typeof name === 'string' ? name : null;
}

const arrayName = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)?.get;

/** Whether an array's memory went to another thread: engines tell by refusing views of it. */
export function isDetached(data: TensorData): boolean {
  try {
    return new Uint8Array(data.buffer).length < data.byteOffset + data.byteLength;
  } catch {
    return true;
  }
}

/** Throws SSM6004 unless `data` is the typed array of `storage` with `length` elements. */
export function checkData(
  data: unknown, storage: StorageName, length: number, name: string,
): asserts data is TensorData {
  const expected = constructors[storage];
  // the tag, unlike instanceof, also knows arrays of another realm (a frame, a vm context)
  const found = nameOfArray(data) ?? showValue(data);
  if (found !== expected.name) throw ssmError('SSM6004', `\`${name}\` must be a ${expected.name}, found ${found}`);
  const given = data as TensorData;
  const { length: count, byteLength } = given;
  if (count !== length) throw ssmError('SSM6004', `\`${name}\` needs ${length} numbers, found ${count}`);
  if (isDetached(given) || byteLength !== length * expected.BYTES_PER_ELEMENT) {
    throw ssmError('SSM6004', `the memory of \`${name}\` is gone or not what its length says`, 'bring numbers whose buffer was neither transferred nor resized');
  }
}

/**
 * The numbers as bytes that `writeBuffer` takes: a multiple of 4, in memory of its own where the
 * array's end is odd or its memory is shared between threads.
 */
export function uploadBytes(data: TensorData): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = data;
  if (buffer instanceof ArrayBuffer && byteLength % 4 === 0) return new Uint8Array(buffer, byteOffset, byteLength);
  const copy = new Uint8Array(Math.ceil(byteLength / 4) * 4);
  copy.set(new Uint8Array(buffer, byteOffset, byteLength));
  return copy;
}
