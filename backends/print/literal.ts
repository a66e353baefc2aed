/**
 * Decimal digits of numbers for generated text. An f32 prints as the shortest decimal that reads back
 * as the same bits.
 */
import { invariant } from '../../support/invariant.ts';

const largestF32 = 3.4028234663852886e38;

/** Shortest decimal that rounds to the f32 nearest to `value`, always with a point or an exponent. */
export function f32Digits(value: number): string {
  const rounded = Math.fround(value);
  invariant(Number.isFinite(rounded), `literal ${value} is not a finite f32`);
  if (rounded === 0) return Object.is(rounded, -0) ? '-0.0' : '0.0';
  for (let digits = 1; digits <= 9; digits++) {
    const shorter = Number(rounded.toPrecision(digits));
    // WGSL refuses decimals above the largest f32, also those that round to it
    if (Math.abs(shorter) <= largestF32 && readsBackAs(shorter, rounded)) return withPoint(shorter);
  }
  return withPoint(rounded);
}

/** Shortest decimal of a float64, always with a point or an exponent. */
export function f64Digits(value: number): string {
  invariant(Number.isFinite(value), `literal ${value} is not finite`);
  return Object.is(value, -0) ? '-0.0' : withPoint(value);
}

/** Digits of an integer that fits the type. */
export function integerDigits(value: number, element: 'i32' | 'u32'): string {
  const [low, high] = element === 'i32' ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  invariant(Number.isInteger(value) && value >= low && value <= high, `literal ${value} is not an ${element}`);
  return String(value === 0 ? 0 : value);
}

/** True also for readers that round the decimal directly: not so near a midpoint that a double hides the side. */
function readsBackAs(decimal: number, rounded: number): boolean {
  const margin = 2 ** -50;
  return [1 - margin, 1, 1 + margin].every((factor) => Math.fround(decimal * factor) === rounded);
}

function withPoint(value: number): string {
  const shown = String(value).replace('e+', 'e');
  return /[.e]/.test(shown) ? shown : `${shown}.0`;
}
