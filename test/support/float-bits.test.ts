/** All f16 and bf16 values survive both ways, and every rounding is to the nearest, ties to even. */
import { describe, expect, it } from 'vitest';
import {
  bitsOfF32, decodeBf16, decodeF16, encodeBf16, encodeF16, f32OfBits, roundToBf16, roundToF16,
} from '../../support/float-bits.ts';

const formats = [
  { name: 'f16', encode: encodeF16, decode: decodeF16, round: roundToF16, infinity: 0x7c00 },
  { name: 'bf16', encode: encodeBf16, decode: decodeBf16, round: roundToBf16, infinity: 0x7f80 },
] as const;

for (const { name, encode, decode, round, infinity } of formats) {
  describe(name, () => {
    it('decodes and encodes every bit pattern', () => {
      let wrong = 0;
      for (let bits = 0; bits < 65536; bits += 1) {
        const value = decode(bits);
        const isNan = (bits & 0x7fff) > infinity;
        if (isNan ? !Number.isNaN(value) : encode(value) !== bits || !Object.is(round(value), value)) wrong += 1;
      }
      expect(wrong).toBe(0);
    });

    it('rounds between every two neighbours to nearest, ties to even', () => {
      let wrong = 0;
      for (let bits = 0; bits + 1 < infinity; bits += 1) {
        const [low, high] = [decode(bits), decode(bits + 1)];
        const middle = (low + high) / 2;
        const [above, below] = [middle * (1 + 2 ** -50), middle * (1 - 2 ** -50)];
        const even = bits % 2 === 0 ? low : high;
        for (const [value, expected] of [[middle, even], [above, high], [below, low]] as const) {
          if (round(value) !== expected || round(-value) !== -expected || decode(encode(value)) !== expected) wrong += 1;
        }
      }
      expect(wrong).toBe(0);
    });

    it('overflows to infinity half a step above the greatest value, and keeps NaN', () => {
      const [greatest, before] = [decode(infinity - 1), decode(infinity - 2)];
      const limit = greatest + (greatest - before) / 2;
      expect(round(limit)).toBe(Infinity);
      expect(round(limit * (1 - 2 ** -50))).toBe(greatest);
      expect([encode(-Infinity), encode(1e300), round(NaN)]).toEqual([infinity | 0x8000, infinity, NaN]);
      expect(Number.isNaN(decode(encode(NaN)))).toBe(true);
      expect(Object.is(round(-0), -0)).toBe(true);
    });
  });
}

describe('f32 bits', () => {
  it('are those of the format', () => {
    expect([bitsOfF32(1), bitsOfF32(-2), bitsOfF32(0.1), bitsOfF32(Infinity)]).toEqual([0x3f800000, 0xc0000000, 0x3dcccccd, 0x7f800000]);
    expect([f32OfBits(0x3f800000), f32OfBits(0xc0000000 | 0), f32OfBits(1)]).toEqual([1, -2, 2 ** -149]);
  });

  it('bf16 is the upper half of f32', () => {
    for (let bits = 0; bits <= 0x7f80; bits += 1) if (decodeBf16(bits) !== f32OfBits(bits << 16)) expect(bits).toBe(-1);
  });
});
