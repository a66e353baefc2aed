/** 16-bit floats by arithmetic, independent of the back end's bit operations. */

function roundToBits(
  value: number,
  mantissaBits: number,
  smallestExponent: number,
  largest: number,
): number {
  if (!Number.isFinite(value) || value === 0) return value;
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(value))), smallestExponent);
  const unit = 2 ** (exponent - mantissaBits);
  const scaled = Math.abs(value) / unit;
  const down = Math.floor(scaled);
  const rest = scaled - down;
  const rounded = (rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down) * unit;
  return Math.sign(value) * (rounded > largest ? Infinity : rounded);
}

function bitsOf(value: number, mantissaBits: number, bias: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  const top = ((2 * bias + 1) << mantissaBits) | 0;
  if (Number.isNaN(value)) return top | (1 << (mantissaBits - 1));
  const rounded = roundToBits(size, mantissaBits, 1 - bias, (2 - 2 ** -mantissaBits) * 2 ** bias);
  if (rounded === Infinity) return sign | top;
  if (rounded < 2 ** (1 - bias)) return sign | (rounded / 2 ** (1 - bias - mantissaBits));
  const exponent = Math.floor(Math.log2(rounded));
  return sign | ((exponent + bias) << mantissaBits) | ((rounded / 2 ** exponent - 1) * 2 ** mantissaBits);
}

function valueOf(bits: number, mantissaBits: number, bias: number): number {
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = (bits & 0x7fff) >> mantissaBits;
  const mantissa = (bits & (2 ** mantissaBits - 1)) / 2 ** mantissaBits;
  if (exponent === 2 * bias + 1) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** (1 - bias) : (1 + mantissa) * 2 ** (exponent - bias));
}

export const bitsOfF16 = (value: number): number => bitsOf(value, 10, 15);
export const bitsOfBf16 = (value: number): number => bitsOf(value, 7, 127);
export const f16OfBits = (bits: number): number => valueOf(bits, 10, 15);
export const bf16OfBits = (bits: number): number => valueOf(bits, 7, 127);
