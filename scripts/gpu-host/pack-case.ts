/**
 * Test cases for the host program as files: eight bytes `SFCASE01`, the length of a text header (u32),
 * the header, padding to eight bytes, numbers. A case runs entries in order; tensors that one entry
 * writes are there for the next (saved tensors for the backward pass). Little-endian throughout.
 */
import { ssmError } from '../../support/diagnostic.ts';

/** Numbers of a tensor; the host program rounds them to the tensor's storage. */
export type CaseData = Float32Array | Float64Array | Int32Array;

export type GpuCase = {
  /** letters, digits, `.`, `_`, `-` */
  readonly name: string;
  /** entries to run, in order */
  readonly runs: readonly string[];
  readonly batch: number;
  readonly length: number;
  /** greatest relative L2 error of an expected tensor */
  readonly tolerance: number;
  /** by tensor name; canonical order of elements */
  readonly inputs: ReadonlyMap<string, CaseData>;
  /** float64 results, by tensor name; outputs that are absent are only checked for NaN and equal bits */
  readonly expected: ReadonlyMap<string, CaseData>;
  /** ranges of uniform random numbers that the host program draws itself, for sizes too large to carry */
  readonly random: ReadonlyMap<string, readonly [low: number, high: number]>;
};

const safeName: RegExp = /^[A-Za-z0-9._-]+$/;

function checkedName(name: string): string {
  if (!safeName.test(name)) throw ssmError('SSM6004', `\`${name}\` cannot name a tensor or case in a case file`);
  return name;
}

function dtypeOf(data: CaseData): string {
  if (data instanceof Float64Array) return 'f64';
  return data instanceof Float32Array ? 'f32' : 'i32';
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/** The bytes of a case file. */
export function packCase(of: GpuCase): Uint8Array {
  const tensors = [
    ...[...of.inputs].map(([name, data]) => ({ kind: 'input', name, data })),
    ...[...of.expected].map(([name, data]) => ({ kind: 'expected', name, data })),
  ];
  const lines = [`case ${checkedName(of.name)}`, `batch ${of.batch}`, `length ${of.length}`, `tolerance ${of.tolerance}`];
  lines.push(...of.runs.map((each) => `run ${checkedName(each)}`));
  lines.push(...[...of.random].map(([name, [low, high]]) => `random ${checkedName(name)} ${low} ${high}`));
  let size = 0;
  const placed = tensors.map(({ kind, name, data }) => {
    const offset = size;
    size += roundUp(data.byteLength);
    lines.push(`${kind} ${checkedName(name)} ${dtypeOf(data)} ${offset} ${data.length}`);
    return { offset, data };
  });
  const header = new TextEncoder().encode(`${lines.join('\n')}\n`);
  const start = roundUp(12 + header.length);
  const file = new Uint8Array(start + size);
  file.set(new TextEncoder().encode('SFCASE01'));
  new DataView(file.buffer).setUint32(8, header.length, true);
  file.set(header, 12);
  for (const { offset, data } of placed) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start + offset);
  }
  return file;
}
