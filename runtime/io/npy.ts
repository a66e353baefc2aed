/**
 * NumPy's `.npy` files, versions 1 and 2, little endian, C order: enough to exchange tensors with
 * Python by hand. The header is a Python dictionary; only the form that NumPy writes is accepted.
 */
import { ssmError } from '../../support/diagnostic.ts';

export type NpyDtype = '<f4' | '<f8' | '<i4' | '<i8' | '|i1' | '|u1';

export type NpyData = Float32Array | Float64Array | Int32Array | BigInt64Array | Int8Array | Uint8Array;

export type NpyArray = {
  readonly dtype: NpyDtype;
  readonly shape: readonly number[];
  readonly data: NpyData;
};

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
const maximumHeaderBytes = 1 << 20;
const bytesOfDtype: ReadonlyMap<string, number> = new Map([
  ['<f4', 4], ['<f8', 8], ['<i4', 4], ['<i8', 8], ['|i1', 1], ['|u1', 1],
]);

function malformed(what: string): Error {
  return ssmError('SSM7002', `npy: ${what}`);
}

/** Reads one array; the data is a copy, independent of `bytes`. */
export function readNpy(bytes: Uint8Array): NpyArray {
  if (bytes.length < 10 || magic.some((byte, at) => bytes[at] !== byte)) throw malformed('the magic bytes are missing');
  const version = bytes[6];
  if (version !== 1 && version !== 2) throw malformed(`version ${version} is not 1 or 2`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = version === 1 ? 10 : 12;
  if (bytes.length < start) throw malformed('the file ends inside its header');
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > maximumHeaderBytes) throw malformed(`the header claims ${length} bytes`);
  if (start + length > bytes.length) throw malformed('the file ends inside its header');
  const { dtype, shape } = parseHeader(new TextDecoder('latin1').decode(bytes.subarray(start, start + length)));
  const expected = productOf(shape) * (bytesOfDtype.get(dtype) ?? 1);
  const found = bytes.length - start - length;
  if (found !== expected) throw malformed(`the shape needs ${expected} bytes, the file has ${found}`);
  return { dtype, shape, data: viewOf(dtype, new Uint8Array(bytes.subarray(start + length)).buffer) };
}

function parseHeader(text: string): { dtype: NpyDtype; shape: readonly number[] } {
  const form = /^\{'descr': '([^']*)', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\),? *\} *\n?$/;
  const found = form.exec(text);
  if (found === null) throw malformed('the header is not the dictionary that NumPy writes');
  const [, written = '', fortran, sizes = ''] = found;
  if (fortran === 'True') throw malformed('Fortran order is not supported; save the array in C order');
  const dtype = written.replace(/^<([iu]1)$/, '|$1');
  if (!bytesOfDtype.has(dtype)) throw malformed(`the dtype \`${written}\` is not supported`);
  const shape = sizes.split(',').map((each) => each.trim()).filter((each) => each !== '').map(Number);
  if (shape.some((size) => !Number.isSafeInteger(size))) throw malformed('the shape has an entry that is not a size');
  return { dtype: dtype as NpyDtype, shape };
}

function productOf(shape: readonly number[]): number {
  if (shape.includes(0)) return 0;
  const product = shape.reduce((total, size) => total * size, 1);
  if (!Number.isSafeInteger(product * 8)) throw malformed('the shape is too large to count');
  return product;
}

function viewOf(dtype: NpyDtype, buffer: ArrayBuffer): NpyData {
  switch (dtype) {
    case '<f4': return new Float32Array(buffer);
    case '<f8': return new Float64Array(buffer);
    case '<i4': return new Int32Array(buffer);
    case '<i8': return new BigInt64Array(buffer);
    case '|i1': return new Int8Array(buffer);
    case '|u1': return new Uint8Array(buffer);
  }
}

/** Writes version 1 where the header fits its 16-bit length, else version 2. */
export function writeNpy(array: NpyArray): Uint8Array {
  const { dtype, shape, data } = array;
  const expected = productOf(shape) * (bytesOfDtype.get(dtype) ?? 1);
  if (expected !== data.byteLength) throw malformed(`the shape needs ${expected} bytes, the data has ${data.byteLength}`);
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${dtype}', 'fortran_order': False, 'shape': (${tuple}), }`;
  const version = text.length + 80 > 0xffff ? 2 : 1;
  const start = version === 1 ? 10 : 12;
  const total = Math.ceil((start + text.length + 1) / 64) * 64;
  const bytes = new Uint8Array(total + data.byteLength).fill(0x20, start, total);
  bytes.set([...magic, version, 0]);
  const view = new DataView(bytes.buffer);
  if (version === 1) view.setUint16(8, total - start, true);
  else view.setUint32(8, total - start, true);
  bytes.set(new TextEncoder().encode(text), start);
  bytes[total - 1] = 0x0a;
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), total);
  return bytes;
}
