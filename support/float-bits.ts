/**
 * Bit patterns of the small floats. Narrow storage (f16, bf16) rounds to nearest, ties to even; the
 * interpreter, the runtime's uploads and the tests must agree on every bit, so the conversions live
 * here once. All of them go from and to exact float64 values, so no value is ever rounded twice.
 */
const double = new Float64Array(1);
const doubleWords = new Uint32Array(double.buffer);
const single = new Float32Array(1);
const singleWord = new Uint32Array(single.buffer);
double[0] = 1;
const highWord = doubleWords[1] === 0 ? 0 : 1;

/** Binary exponent of a positive normal float64: 2^e <= value < 2^(e+1). */
function exponentOf(value: number): number {
  double[0] = value;
  return (((doubleWords[highWord] ?? 0) >>> 20) & 0x7ff) - 1023;
}

/** A binary format by explicit mantissa bits and the exponents of its smallest and largest normals. */
type FloatFormat = { readonly mantissa: number; readonly least: number; readonly greatest: number };
const half: FloatFormat = { mantissa: 10, least: -14, greatest: 15 };
const brain: FloatFormat = { mantissa: 7, least: -126, greatest: 127 };

function roundTo(format: FloatFormat, value: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  const magnitude = Math.abs(value);
  const quantum = 2 ** (Math.max(exponentOf(magnitude), format.least) - format.mantissa);
  // adding 2^52 leaves no fraction bits: the sum is rounded to nearest even by the hardware
  const rounded = (magnitude / quantum + 2 ** 52 - 2 ** 52) * quantum;
  const result = rounded >= 2 ** (format.greatest + 1) ? Infinity : rounded;
  return value < 0 ? -result : result;
}

function encode(format: FloatFormat, exponentBits: number, value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 1 << (format.mantissa + exponentBits) : 0;
  const infinity = ((1 << exponentBits) - 1) << format.mantissa;
  if (Number.isNaN(value)) return infinity | (1 << (format.mantissa - 1));
  const magnitude = Math.abs(roundTo(format, value));
  if (magnitude === Infinity) return sign | infinity;
  if (magnitude < 2 ** format.least) return sign | (magnitude / 2 ** (format.least - format.mantissa));
  const exponent = exponentOf(magnitude);
  const fraction = magnitude / 2 ** (exponent - format.mantissa) - 2 ** format.mantissa;
  return sign | ((exponent - format.least + 1) << format.mantissa) | fraction;
}

function decode(format: FloatFormat, exponentBits: number, bits: number): number {
  const fraction = bits & ((1 << format.mantissa) - 1);
  const biased = (bits >>> format.mantissa) & ((1 << exponentBits) - 1);
  const sign = (bits >>> (format.mantissa + exponentBits)) & 1 ? -1 : 1;
  if (biased === (1 << exponentBits) - 1) return fraction === 0 ? sign * Infinity : NaN;
  const quantum = 2 ** (Math.max(biased, 1) - 1 + format.least - format.mantissa);
  return sign * (biased === 0 ? fraction : fraction + 2 ** format.mantissa) * quantum;
}

/** Nearest f16 value (ties to even), as a number. */
export function roundToF16(value: number): number {
  return roundTo(half, value);
}

/** Nearest bf16 value (ties to even), as a number. */
export function roundToBf16(value: number): number {
  return roundTo(brain, value);
}

/** The 16 bits of the nearest f16; every NaN becomes 0x7e00. */
export function encodeF16(value: number): number {
  return encode(half, 5, value);
}

/** The 16 bits of the nearest bf16; every NaN becomes 0x7fc0. */
export function encodeBf16(value: number): number {
  return encode(brain, 8, value);
}

/** The value of 16 bits read as f16. */
export function decodeF16(bits: number): number {
  return decode(half, 5, bits);
}

/** The value of 16 bits read as bf16. */
export function decodeBf16(bits: number): number {
  return decode(brain, 8, bits);
}

/** The 32 bits (unsigned) of the nearest f32. */
export function bitsOfF32(value: number): number {
  single[0] = value;
  return singleWord[0] ?? 0;
}

/** The f32 with these 32 bits; signed and unsigned readings of them are both taken. */
export function f32OfBits(bits: number): number {
  singleWord[0] = bits;
  return single[0] ?? 0;
}
