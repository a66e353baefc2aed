/** The comparison refuses what it must, and says when it proves nothing. */
import { describe, expect, it } from 'vitest';
import { compare, relativeToLargest } from './agreement.ts';
import type { BoundedTensor } from './evaluate.ts';
import { barWithMemory, relativeL2Bars } from './tolerances.ts';

const expected: BoundedTensor = {
  axes: ['batch', 'time'], shape: [2, 2], re: Float64Array.of(1, 2, -3, 4), im: null, bound: Float64Array.of(1e-6, 1e-6, 1e-6, 1e-6),
};

describe('compare', () => {
  it('accepts numbers within the bound, in another order of axes too', () => {
    expect(compare(Float32Array.of(1, 2, -3, 4), expected)).toMatchObject({ worstBoundUse: 0, vacuous: null, isAccepted: true });
    const permuted = compare(Float64Array.of(1, -3, 2, 4 + 5e-7), expected, { axes: ['time', 'batch'] });
    expect(permuted.worstBoundUse).toBeCloseTo(0.5, 6);
    expect(permuted.worstPosition).toBe(3);
    expect(permuted.isAccepted).toBe(true);
    expect(permuted.relativeL2).toBeCloseTo(5e-7 / Math.sqrt(30), 12);
  });

  it.each([
    ['zeros', [0, 0, 0, 0]], ['shifted', [4, 1, 2, -3]], ['1.01 times', [1.01, 2.02, -3.03, 4.04]],
    ['one entry off', [1, 2, -3, 4.00001]], ['NaN', [1, NaN, -3, 4]], ['infinite', [1, 2, -3, Infinity]],
  ])('refuses %s', (_what, numbers) => {
    const agreement = compare(Float64Array.from(numbers), expected);
    expect(agreement.worstBoundUse).toBeGreaterThan(1);
    expect(agreement.isAccepted).toBe(false);
  });

  const vacuous: [string, Partial<BoundedTensor>, RegExp][] = [
    ['a bound that is too wide', { bound: Float64Array.of(1e-6, 1e-6, 1e-6, 0.5) }, /bound exceeds 1 %/],
    ['an infinite bound', { bound: Float64Array.of(1e-6, 1e-6, Infinity, 1e-6) }, /bound exceeds 1 %/],
    ['a NaN bound', { bound: Float64Array.of(1e-6, 1e-6, NaN, 1e-6) }, /bound exceeds 1 %/],
    ['a reference of zeros', { re: new Float64Array(4) }, /bound exceeds 1 %/],
    ['a constant reference', { re: Float64Array.of(2, 2, 2, 2) }, /shifted by one entry would pass/],
    ['a reference that is not finite', { re: Float64Array.of(1, NaN, 2, 3) }, /not finite/],
  ];
  it.each(vacuous)('says that %s proves nothing', (_what, parts, reason) => {
    const reference = { ...expected, ...parts };
    const agreement = compare(Float64Array.from(reference.re), reference);
    expect(agreement.vacuous).toMatch(reason);
    expect(agreement.isAccepted).toBe(false);
    expect(compare(Float64Array.from(reference.re), reference, { nonVacuity: 'waived' }).vacuous).toBe(null);
  });

  it('counts with a wide bound where a relative bar refuses the wrong results', () => {
    const wide = { ...expected, bound: Float64Array.of(1, 1, 1, 1) };
    const options = { relativeL2Bar: 1e-4 };
    expect(compare(expected.re, wide, options)).toMatchObject({ vacuous: null, isAccepted: true });
    expect(compare(expected.re.map((each) => each * 1.001), wide, options)).toMatchObject({ isWithinBar: false, isAccepted: false });
    expect(compare(Float64Array.of(NaN, 2, -3, 4), wide, options).isAccepted).toBe(false);
    expect(compare(expected.re, wide, { relativeL2Bar: 0.1 }).vacuous).toBe('1.01 times the result would pass');
  });

  it('reads complex numbers interleaved', () => {
    const complex = { ...expected, im: Float64Array.of(0, 1, 0, 1) };
    expect(compare(Float32Array.of(1, 0, 2, 1, -3, 0, 4, 1), complex).isAccepted).toBe(true);
    expect(compare(Float32Array.of(1, 0, 2, 1, -3, 0, 4, -1), complex).isAccepted).toBe(false);
    expect(() => compare(Float32Array.of(1, 2, -3, 4), complex)).toThrow(/expected 8/);
  });
});

it('relativeToLargest sees NaN and differences in either part', () => {
  expect(relativeToLargest({ ...expected, re: Float64Array.of(1, 2, -3, 4.4) }, expected)).toBeCloseTo(0.1, 12);
  expect(relativeToLargest({ ...expected, re: Float64Array.of(1, 2, NaN, 4) }, expected)).toBe(Infinity);
  expect(relativeToLargest({ ...expected, im: Float64Array.of(0, 0, 4, 0) }, expected)).toBe(1);
});

it('bars: a long memory widens the one of f32 only as far as its length', () => {
  expect(relativeL2Bars.f32.recurrence).toBe(1e-6);
  expect(barWithMemory('f32', 'recurrence', 10, 1e6)).toBe(1e-6);
  expect(barWithMemory('f32', 'recurrence', 1e4, 65536)).toBeCloseTo(1.49e-4, 6);
});
