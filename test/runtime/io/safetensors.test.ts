/** The safetensors reader: round trips, and one refusal per rule of the format. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { SsmError } from '../../../support/diagnostic.ts';
import { maximumHeaderBytes, readSafetensors, writeSafetensors } from '../../../runtime/io/safetensors.ts';

function fileOf(header: string | Uint8Array, bufferLength: number, declared?: bigint): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + bufferLength);
  new DataView(bytes.buffer).setBigUint64(0, declared ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const tensor = (start: number, end: number, shape: number[] = [(end - start) / 4], dtype = 'F32'): string =>
  JSON.stringify({ dtype, shape, data_offsets: [start, end] });

describe('readSafetensors', () => {
  it('reads back what writeSafetensors wrote, names like __proto__ included', () => {
    const bytes = writeSafetensors({
      metadata: new Map([['format', 'pt']]),
      tensors: new Map([
        ['a', { dtype: 'F64' as const, shape: [2, 3], data: Float64Array.of(1, -2, 3, 4, 5, 1e300) }],
        ['__proto__', { dtype: 'I8' as const, shape: [3], data: Int8Array.of(1, -1, 7) }],
        ['scalar', { dtype: 'F32' as const, shape: [], data: Float32Array.of(0.5) }],
        ['empty', { dtype: 'I64' as const, shape: [0, 4], data: new BigInt64Array(0) }],
        ['half', { dtype: 'BF16' as const, shape: [1], data: Uint16Array.of(0x3f80) }],
      ]),
    });
    const { metadata, tensors } = readSafetensors(bytes);
    expect(metadata.get('format')).toBe('pt');
    expect([...tensors.keys()].sort()).toEqual(['__proto__', 'a', 'empty', 'half', 'scalar']);
    expect(tensors.get('a')).toEqual({ dtype: 'F64', shape: [2, 3], data: Float64Array.of(1, -2, 3, 4, 5, 1e300) });
    expect(tensors.get('__proto__')!.data).toEqual(Int8Array.of(1, -1, 7));
    expect(tensors.get('scalar')!.shape).toEqual([]);
    expect(tensors.get('empty')!.shape).toEqual([0, 4]);
  });

  it('reads from an unaligned view', () => {
    const bytes = writeSafetensors({
      metadata: new Map(),
      tensors: new Map([['a', { dtype: 'F64' as const, shape: [1], data: Float64Array.of(3) }]]),
    });
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(readSafetensors(shifted.subarray(3)).tensors.get('a')!.data).toEqual(Float64Array.of(3));
  });

  it('copies out of a Buffer, whose slice would be a view', () => {
    const bytes = Buffer.from(writeSafetensors({
      metadata: new Map(),
      tensors: new Map([['a', { dtype: 'F64' as const, shape: [1], data: Float64Array.of(3) }]]),
    }));
    const { data } = readSafetensors(bytes).tensors.get('a')!;
    bytes.fill(0);
    expect(data).toEqual(Float64Array.of(3));
  });

  const refusals: [string, Uint8Array, RegExp][] = [
    ['a short file', new Uint8Array(7), /shorter than the 8 bytes/],
    ['a huge header', fileOf('{}', 0, BigInt(maximumHeaderBytes) + 1n), /at most 100000000/],
    ['a header beyond the file', fileOf('{}', 0, 50n), /claims 50 bytes/],
    ['bad UTF-8', fileOf(Uint8Array.of(0x7b, 0xff, 0x7d), 0), /UTF-8/],
    ['bad JSON', fileOf('{"a":', 0), /JSON/],
    ['no object', fileOf('[]', 0), /start with/],
    ['an unknown dtype', fileOf(`{"a":${tensor(0, 4, [1], 'F8')}}`, 4), /unknown dtype `F8`/],
    ['a negative size', fileOf(`{"a":${tensor(0, 4, [-1])}}`, 4), /not a size/],
    ['a fractional size', fileOf(`{"a":${tensor(0, 4, [1.5])}}`, 4), /not a size/],
    ['an overflowing shape', fileOf(`{"a":${tensor(0, 4, [2 ** 40, 2 ** 40])}}`, 4), /too large/],
    ['offsets out of order', fileOf(`{"a":${tensor(4, 0, [1])}}`, 4), /in order/],
    ['a shape that needs more', fileOf(`{"a":${tensor(0, 4, [2])}}`, 4), /needs 8 bytes/],
    ['a gap', fileOf(`{"a":${tensor(4, 8)}}`, 8), /starts at 4/],
    ['an overlap', fileOf(`{"a":${tensor(0, 8)},"b":${tensor(4, 12)}}`, 12), /starts at 4/],
    ['bytes after the tensors', fileOf(`{"a":${tensor(0, 4)}}`, 8), /cover 4 bytes, the buffer has 8/],
    ['metadata that is not text', fileOf('{"__metadata__":{"a":1}}', 0), /not a string/],
  ];
  it.each(refusals)('refuses %s', (_what, bytes, message) => {
    expect(() => readSafetensors(bytes)).toThrow(SsmError);
    expect(() => readSafetensors(bytes)).toThrow(message);
    expect(() => readSafetensors(bytes)).toThrow(/SSM7002/);
  });

  it('answers damaged files with a diagnostic, never another error', () => {
    const good = writeSafetensors({
      metadata: new Map(),
      tensors: new Map([['a', { dtype: 'F32' as const, shape: [2], data: Float32Array.of(1, 2) }]]),
    });
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, byte, end) => {
        const bytes = good.slice(0, end);
        if (at < bytes.length) bytes[at] = byte;
        try {
          readSafetensors(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(SsmError);
        }
      }),
      { numRuns: 500, seed: 7 },
    );
  });
});
