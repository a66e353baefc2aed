/** The npy reader and writer: round trips of every dtype and refusals. */
import { describe, expect, it } from 'vitest';
import { readNpy, writeNpy, type NpyArray } from '../../../runtime/io/npy.ts';

const arrays: NpyArray[] = [
  { dtype: '<f4', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
  { dtype: '<f8', shape: [3], data: Float64Array.of(1, 1e-300, -0) },
  { dtype: '<i4', shape: [], data: Int32Array.of(-7) },
  { dtype: '<i8', shape: [1, 1, 2], data: BigInt64Array.of(-1n, 2n ** 62n) },
  { dtype: '|i1', shape: [2], data: Int8Array.of(-128, 127) },
  { dtype: '|u1', shape: [0, 3], data: new Uint8Array(0) },
];

describe('npy', () => {
  it.each(arrays)('reads back $dtype $shape', (array) => {
    const bytes = writeNpy(array);
    expect(readNpy(bytes)).toEqual(array);
    expect((bytes.length - array.data.byteLength) % 64).toBe(0);
  });

  it('reads the header of version 2', () => {
    const one = writeNpy({ dtype: '<f4', shape: [1], data: Float32Array.of(5) });
    const two = new Uint8Array(one.length + 2);
    two.set(one.subarray(0, 8));
    two[6] = 2;
    new DataView(two.buffer).setUint32(8, new DataView(one.buffer).getUint16(8, true), true);
    two.set(one.subarray(10), 12);
    expect(readNpy(two).data).toEqual(Float32Array.of(5));
  });

  it('refuses what it cannot read, with SSM7002', () => {
    const good = writeNpy({ dtype: '<f4', shape: [1], data: Float32Array.of(5) });
    const replaced = (from: string, to: string): Uint8Array => {
      const text = Array.from(good, (byte) => String.fromCharCode(byte)).join('').replace(from, to);
      return Uint8Array.from(text, (each) => each.charCodeAt(0));
    };
    expect(() => readNpy(good.subarray(0, 5))).toThrow(/SSM7002.*magic/);
    expect(() => readNpy(good.subarray(0, 40))).toThrow(/ends inside its header/);
    expect(() => readNpy(good.subarray(0, good.length - 1))).toThrow(/needs 4 bytes, the file has 3/);
    expect(() => readNpy(replaced('False', 'True '))).toThrow(/SSM7002/);
    expect(() => readNpy(replaced('<f4', '>f4'))).toThrow(/`>f4` is not supported/);
    expect(() => readNpy(replaced('(1,)', '(9,)'))).toThrow(/needs 36 bytes/);
  });
});
