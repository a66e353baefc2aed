/**
 * The safetensors container, read and written by hand over bytes: a header of JSON (names, dtypes,
 * shapes, offsets) and one buffer. Files come from strangers, so every field is checked before it is
 * used: the length of the header, UTF-8 and JSON apart, products of shapes, and that the tensors
 * cover the buffer without overlap or gap.
 */
import { ssmError } from '../../support/diagnostic.ts';

export type SafetensorsDtype = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

/** Elements as stored; F16 and BF16 stay 16-bit patterns, BOOL stays bytes. */
export type SafetensorsData =
  | Float64Array
  | Float32Array
  | Uint16Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint8Array;

export type SafetensorsTensor = {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly data: SafetensorsData;
};

export type SafetensorsFile = {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>;
};

/** The header's length is refused above this before anything of it is read. */
export const maximumHeaderBytes = 100_000_000;

const bytesOfDtype: ReadonlyMap<string, number> = new Map([
  ['F64', 8], ['F32', 4], ['F16', 2], ['BF16', 2],
  ['I64', 8], ['I32', 4], ['I16', 2], ['I8', 1], ['U8', 1], ['BOOL', 1],
]);

type Entry = {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
};

/** Reads a whole file; the arrays of the result are copies, aligned and independent of `bytes`. */
export function readSafetensors(bytes: Uint8Array): SafetensorsFile {
  const { header, bufferStart } = readHeader(bytes);
  const metadata = new Map<string, string>();
  const entries: Entry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') readMetadata(value, metadata);
    else entries.push(readEntry(name, value));
  }
  checkCoverage(entries, bytes.length - bufferStart);
  const tensors = new Map<string, SafetensorsTensor>();
  for (const { name, dtype, shape, start, end } of entries) {
    // not `bytes.slice`: a Node Buffer, which is a Uint8Array, would share its memory there
    const copy = new Uint8Array(bytes.subarray(bufferStart + start, bufferStart + end));
    tensors.set(name, { dtype, shape, data: viewOf(dtype, copy.buffer) });
  }
  return { metadata, tensors };
}

function malformed(what: string): Error {
  return ssmError('SSM7002', `safetensors: ${what}`);
}

function readHeader(bytes: Uint8Array): { header: Record<string, unknown>; bufferStart: number } {
  if (bytes.length < 8) throw malformed('the file is shorter than the 8 bytes of its header length');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const declared = view.getBigUint64(0, true);
  if (declared > BigInt(maximumHeaderBytes)) {
    throw malformed(`the header claims ${declared} bytes, at most ${maximumHeaderBytes} are allowed`);
  }
  const length = Number(declared);
  if (8 + length > bytes.length) {
    throw malformed(`the header claims ${length} bytes, the file has ${bytes.length - 8} after its length`);
  }
  const header = parseJson(decodeUtf8(bytes.subarray(8, 8 + length)));
  if (!isRecord(header)) throw malformed('the header is not an object');
  return { header, bufferStart: 8 + length };
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformed('the header is not valid UTF-8');
  }
}

function parseJson(text: string): unknown {
  if (!text.startsWith('{')) throw malformed('the header does not start with `{`');
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw malformed('the header is not valid JSON');
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readMetadata(value: unknown, into: Map<string, string>): void {
  if (!isRecord(value)) throw malformed('`__metadata__` is not an object');
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw malformed(`metadata \`${key}\` is not a string`);
    into.set(key, text);
  }
}

function readEntry(name: string, value: unknown): Entry {
  if (!isRecord(value)) throw malformed(`tensor \`${name}\` is not described by an object`);
  const dtype = value['dtype'];
  const size = typeof dtype === 'string' ? bytesOfDtype.get(dtype) : undefined;
  if (size === undefined) throw malformed(`tensor \`${name}\` has ${typeof dtype === 'string' ? `the unknown dtype \`${dtype}\`` : 'no dtype'}`);
  const shape = sizesOf(value['shape'], `the shape of \`${name}\``);
  const offsets = sizesOf(value['data_offsets'], `the offsets of \`${name}\``);
  const [start, end] = offsets;
  if (offsets.length !== 2 || start === undefined || end === undefined || end < start) {
    throw malformed(`the offsets of \`${name}\` are not a pair in order`);
  }
  const expected = checkedProduct([...shape, size], `the shape of \`${name}\``);
  if (end - start !== expected) {
    throw malformed(`tensor \`${name}\` needs ${expected} bytes, its offsets hold ${end - start}`);
  }
  return { name, dtype: dtype as SafetensorsDtype, shape, start, end };
}

function sizesOf(value: unknown, what: string): readonly number[] {
  if (!Array.isArray(value)) throw malformed(`${what} is not a list`);
  return value.map((each: unknown) => {
    if (typeof each !== 'number' || !Number.isSafeInteger(each) || each < 0) {
      throw malformed(`${what} has an entry that is not a size`);
    }
    return each;
  });
}

function checkedProduct(sizes: readonly number[], what: string): number {
  if (sizes.includes(0)) return 0;
  let product = 1;
  for (const size of sizes) {
    product *= size;
    if (!Number.isSafeInteger(product)) throw malformed(`${what} is too large to count`);
  }
  return product;
}

function checkCoverage(entries: readonly Entry[], bufferLength: number): void {
  const ordered = [...entries].sort((left, right) => left.start - right.start || left.end - right.end);
  let covered = 0;
  for (const { name, start, end } of ordered) {
    if (start !== covered) {
      throw malformed(`tensor \`${name}\` starts at ${start}, the one before it ends at ${covered}`);
    }
    covered = end;
  }
  if (covered !== bufferLength) {
    throw malformed(`the tensors cover ${covered} bytes, the buffer has ${bufferLength}`);
  }
}

function viewOf(dtype: SafetensorsDtype, buffer: ArrayBuffer): SafetensorsData {
  switch (dtype) {
    case 'F64': return new Float64Array(buffer);
    case 'F32': return new Float32Array(buffer);
    case 'F16':
    case 'BF16': return new Uint16Array(buffer);
    case 'I64': return new BigInt64Array(buffer);
    case 'I32': return new Int32Array(buffer);
    case 'I16': return new Int16Array(buffer);
    case 'I8': return new Int8Array(buffer);
    case 'U8':
    case 'BOOL': return new Uint8Array(buffer);
  }
}

/** Writes a file whose tensors lie in order of falling element size, then of name. */
export function writeSafetensors(file: SafetensorsFile): Uint8Array {
  const sizeOf = (dtype: string): number => bytesOfDtype.get(dtype) ?? 1;
  const ordered = [...file.tensors].sort(
    ([left, a], [right, b]) => sizeOf(b.dtype) - sizeOf(a.dtype) || (left < right ? -1 : 1),
  );
  const fields: [string, unknown][] = [];
  if (file.metadata.size > 0) fields.push(['__metadata__', Object.fromEntries(file.metadata)]);
  let offset = 0;
  for (const [name, { dtype, shape, data }] of ordered) {
    if (name === '__metadata__') throw ssmError('SSM7002', 'a tensor cannot be named `__metadata__`');
    const expected = checkedProduct([...shape, sizeOf(dtype)], `the shape of \`${name}\``);
    if (expected !== data.byteLength) {
      throw malformed(`tensor \`${name}\` needs ${expected} bytes, its data has ${data.byteLength}`);
    }
    fields.push([name, { dtype, shape, data_offsets: [offset, offset + data.byteLength] }]);
    offset += data.byteLength;
  }
  const text = new TextEncoder().encode(headerText(fields));
  const padded = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded + offset).fill(0x20, 8, 8 + padded);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(text, 8);
  let at = 8 + padded;
  for (const [, { data }] of ordered) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/** Field by field, since an object literal would swallow a tensor named `__proto__`. */
function headerText(fields: readonly [string, unknown][]): string {
  return `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;
}
