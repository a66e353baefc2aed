/** The oracle's functions against known values, their series, and differences of themselves. */
import { describe, expect, it } from 'vitest';
import { addComplex, complexOf, divideComplex, erf, modulus, phi1, scalarFunctions, type Complex } from './complex-functions.ts';

describe('erf', () => {
  it.each([
    [0.1, 0.1124629160182848922], [0.5, 0.5204998778130465377], [1, 0.8427007929497148693],
    [2, 0.9953222650189527342], [2.6, 0.9997639655834706], [3.5, 0.9999992569016276586],
  ])('erf(%f)', (x, expected) => {
    expect(Math.abs(erf(x) / expected - 1)).toBeLessThan(4e-15);
    expect(erf(-x)).toBe(-erf(x));
  });

  it('is continuous where the formulas meet', () => {
    expect(Math.abs(erf(2.5 + 1e-12) - erf(2.5))).toBeLessThan(1e-14);
  });
});

it('gelu keeps its relative accuracy far left, where 1 + erf would cancel', () => {
  const gelu = scalarFunctions.get('gelu')!.value(complexOf(-10)).re;
  // -10·Φ(-10), Φ(-10) = 7.61985302416052606597e-24
  expect(Math.abs(gelu / -7.619853024160526e-23 - 1)).toBeLessThan(1e-13);
});

it('phi1 is 1 at 0 and continuous where series and quotient meet', () => {
  expect(phi1.value(complexOf(0))).toEqual(complexOf(1));
  expect(Math.abs(phi1.value(complexOf(1e-9)).re - (1 + 0.5e-9))).toBeLessThan(2e-16);
  for (const angle of [0, 1, 2, 3, 4.5]) {
    const at = (radius: number): Complex => complexOf(radius * Math.cos(angle), radius * Math.sin(angle));
    for (const which of [phi1.value, phi1.derivative]) {
      const [inside, outside] = [which(at(1 - 1e-13)), which(at(1 + 1e-13))];
      expect(modulus(addComplex(inside, complexOf(-outside.re, -outside.im)))).toBeLessThan(2e-12);
    }
  }
});

const complexPoints = [complexOf(0.3, 0.4), complexOf(-1.2, 2.5), complexOf(0.01, -0.02), complexOf(-3, -0.7)];
const realPoints = [0.3, 1.7, 0.02, 4].map((x) => complexOf(x));
const complexFunctions = new Set(['exp', 'log', 'sqrt', 'sin', 'cos', 'expm1', 'square', 'phi1']);

describe('derivatives agree with five-point differences', () => {
  it.each([...scalarFunctions.keys()])('%s', (name) => {
    const { value, derivative } = scalarFunctions.get(name)!;
    const negatives = ['log', 'sqrt', 'log1p'].includes(name) ? [] : realPoints.map(({ re }) => complexOf(-re));
    const points = [...realPoints, ...negatives, ...(complexFunctions.has(name) ? complexPoints : [])];
    for (const point of points) {
      const step = 1e-3 * Math.max(modulus(point), 0.1);
      const directions = point.im === 0 ? [complexOf(1)] : [complexOf(1), complexOf(0, 1)];
      for (const direction of directions) {
        const at = (k: number): Complex =>
          value(addComplex(point, complexOf(k * step * direction.re, k * step * direction.im)));
        const combined = [[1, -1 / 12], [-1, -2 / 3], [1, 2 / 3], [-1, 1 / 12]] as const;
        const terms = [at(2), at(-1), at(1), at(-2)];
        let sum = complexOf(0);
        combined.forEach(([, weight], k) => {
          sum = addComplex(sum, complexOf(weight * terms[k]!.re, weight * terms[k]!.im));
        });
        const difference = divideComplex(sum, complexOf(step * direction.re, step * direction.im));
        const exact = derivative(point);
        const error = modulus(addComplex(difference, complexOf(-exact.re, -exact.im)));
        expect(error / Math.max(modulus(exact), modulus(value(point)), 1e-3), `${point.re}+${point.im}i`).toBeLessThan(2e-8);
      }
    }
  });
});
