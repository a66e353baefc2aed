/** Scalar functions of the interpreter to float64 accuracy, against values from high-precision arithmetic. */
import { describe, expect, it } from 'vitest';
import { analyticFunction, binaryFunctions, unaryFunctions } from '../../../ir/tensor/interpret-functions.ts';
import { analyticReference, realReference } from './functions-reference.ts';

const ulps = 2 ** -52;

describe('real functions', () => {
  it.each(Object.entries(realReference))('%s within 4 units in the last place', (name, rows) => {
    for (const [x, wanted] of rows) {
      const actual = unaryFunctions[name as 'erf'](x);
      expect(Math.abs(actual - wanted), `${name}(${x}) = ${actual}, not ${wanted}`).toBeLessThanOrEqual(4 * ulps * Math.abs(wanted));
    }
    expect(rows.length).toBeGreaterThan(10);
  });
  it('limits', () => {
    const { phi1, phi2, softplus, sigmoid, erf } = unaryFunctions;
    expect([phi1(0), phi2(0), phi1(-Infinity), phi2(-Infinity), phi1(1e-300), phi2(-1e-300)]).toEqual([1, 0.5, 0, 0, 1, 0.5]);
    expect([softplus(-1000), softplus(1000), softplus(-Infinity), sigmoid(-1000), sigmoid(1000)]).toEqual([0, 1000, 0, 0, 1]);
    expect([erf(0), erf(Infinity), erf(-Infinity), erf(27)]).toEqual([0, 1, -1, 1]);
    for (const name of ['erf', 'phi1', 'phi2', 'softplus', 'sigmoid', 'expm1', 'sign'] as const) expect(unaryFunctions[name](NaN)).toBeNaN();
    expect(binaryFunctions.maximum(NaN, 1)).toBeNaN();
    expect(binaryFunctions.minimum(1, NaN)).toBeNaN();
  });
});

describe('analytic functions', () => {
  it.each(Object.entries(analyticReference))('%s within 6 units in the last place of the modulus', (name, rows) => {
    for (const [x, y, re, im] of rows) {
      const actual = analyticFunction(name as 'exp', { re: x, im: y });
      const error = Math.hypot(actual.re - re, actual.im - im);
      expect(error, `${name}(${x} + ${y}i) = ${actual.re} + ${actual.im}i`).toBeLessThanOrEqual(6 * ulps * Math.hypot(re, im));
    }
    expect(rows.length).toBeGreaterThan(20);
  });
});
