/**
 * exp, log and their kin in float64 out of additions, multiplications, divisions and square roots
 * only. Engines differ in the last bit of their own functions; initial values shall be the same numbers
 * on every machine. Errors stay within 2 units in the last place.
 */

const ln2High = 0.6931471803691238; // 32 bits: its product with an exponent is exact
const ln2Low = 1.9082149292705877e-10;
const bits = new DataView(new ArrayBuffer(8));

function powerOfTwo(exponent: number): number {
  if (exponent < -1022) return powerOfTwo(exponent + 1000) / powerOfTwo(1000);
  if (exponent > 1023) return powerOfTwo(exponent - 1000) * powerOfTwo(1000);
  bits.setUint32(0, (exponent + 1023) << 20);
  bits.setUint32(4, 0);
  return bits.getFloat64(0);
}

/** e^x - 1 by its series, for |x| < 0.51. */
function seriesExpm1(x: number): number {
  let sum = 0;
  for (let term = 17; term >= 1; term--) sum = (x / term) * (1 + sum);
  return sum;
}

/** e^x. */
export function exponential(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x > 709.79) return Infinity;
  if (x < -745.14) return 0;
  const steps = Math.round(x / Math.LN2);
  const rest = x - steps * ln2High - steps * ln2Low;
  return (1 + seriesExpm1(rest)) * powerOfTwo(steps);
}

/** e^x - 1, also for small x. */
export function exponentialMinusOne(x: number): number {
  return Math.abs(x) < 0.5 ? seriesExpm1(x) : exponential(x) - 1;
}

/** ln x; NaN below zero. */
export function logarithm(x: number): number {
  if (!(x >= 0) || x === Infinity) return x === Infinity ? x : NaN;
  if (x === 0) return -Infinity;
  if (x < 2 ** -1022) return logarithm(x * 2 ** 54) - 54 * ln2Low - 54 * ln2High;
  bits.setFloat64(0, x);
  let exponent = ((bits.getUint32(0) >>> 20) & 0x7ff) - 1023;
  bits.setUint32(0, (bits.getUint32(0) & 0xfffff) | (1023 << 20));
  let mantissa = bits.getFloat64(0);
  if (mantissa > Math.SQRT2) {
    mantissa /= 2;
    exponent += 1;
  }
  // ln m = 2 artanh(s), s = (m - 1)/(m + 1), |s| < 0.172
  const s = (mantissa - 1) / (mantissa + 1);
  const square = s * s;
  let sum = 0;
  for (let term = 23; term >= 3; term -= 2) sum = (sum + 1 / term) * square;
  return exponent * ln2High + (exponent * ln2Low + 2 * s * sum + 2 * s);
}

/** ln(1 + x), also for small x. */
export function logarithmOnePlus(x: number): number {
  const near = 1 + x;
  if (near === 1) return x;
  return near === Infinity ? near : (logarithm(near) * x) / (near - 1);
}

/** ln(1 + e^x). */
export function softplus(x: number): number {
  return Math.max(x, 0) + logarithmOnePlus(exponential(-Math.abs(x)));
}

/** The x with softplus(x) = y, for y > 0. */
export function inverseSoftplus(y: number): number {
  return y + logarithm(-exponentialMinusOne(-y));
}

/** tanh x. */
export function hyperbolicTangent(x: number): number {
  const shrunk = exponentialMinusOne(-2 * Math.abs(x));
  return Math.sign(x) * (-shrunk / (2 + shrunk));
}

/** cos(2πx) for 0 ≤ x < 1. */
export function cosineOfTurns(x: number): number {
  const eighth = Math.floor(x * 8);
  // the distance to the nearest multiple of a quarter turn, at most an eighth
  const quarter = Math.floor((eighth + 1) / 2);
  const angle = (x - quarter / 4) * 2 * Math.PI;
  const square = angle * angle;
  const isSine = quarter % 2 === 1;
  let sum = 0;
  for (let term = isSine ? 21 : 20; term >= 2; term -= 2) sum = (-square / (term * (term - 1))) * (1 + sum);
  const value = isSine ? angle * (1 + sum) : 1 + sum;
  return quarter === 1 || quarter === 2 ? -value : value;
}
