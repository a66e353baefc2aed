import { describe, expect, test } from 'vitest';
import {
  expandCosine,
  expandExp2,
  expandLog2,
  expandSine,
  functionTable,
  type Expansion,
} from '../../../ir/numerics/index.ts';
import { compileExpansion, ulpError } from './evaluate.ts';

const count = 100_000;

function linear(low: number, high: number): number[] {
  return Array.from({ length: count }, (_, at) => Math.fround(low + ((high - low) * at) / (count - 1)));
}
function geometric(low: number, high: number): number[] {
  return Array.from({ length: count }, (_, at) => Math.fround(low * (high / low) ** (at / (count - 1))));
}
const bothSigns = (points: readonly number[]): number[] => [...points, ...points.map((each) => -each)];

/** erf in float64: Taylor series below 2.5, continued fraction above. */
function erf(x: number): number {
  const size = Math.abs(x);
  if (size < 2.5) {
    let [term, sum] = [x, x];
    for (let k = 1; k < 80; k++) {
      term *= (-x * x) / k;
      sum += term / (2 * k + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let k = 100; k >= 1; k--) fraction = k / 2 / (size + fraction);
  return Math.sign(x) * (1 - Math.exp(-x * x) / Math.sqrt(Math.PI) / (size + fraction));
}
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const sigmoid = (x: number): number => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));
const phi1 = (x: number): number => (x === 0 ? 1 : Math.expm1(x) / x);

type Case = readonly [
  name: string,
  expansion: Expansion,
  exact: (x: number) => number,
  points: readonly number[],
  ulps: number,
];

const cases: readonly Case[] = [
  ['exp2', expandExp2, (x) => 2 ** x, linear(-126, 127.9999), 1.1],
  ['exp2 near 0', expandExp2, (x) => 2 ** x, bothSigns(geometric(1e-30, 1)), 1.1],
  ['log2', expandLog2, Math.log2, geometric(1.2e-38, 3.4e38), 2],
  ['log2 near 1', expandLog2, Math.log2, linear(0.5, 2), 2],
  ['log2 at 1', expandLog2, Math.log2, linear(0.9999, 1.0001), 2],
  ['log2 of subnormal numbers', expandLog2, Math.log2, geometric(1.5e-45, 1.2e-38), 2],
  ['expm1', functionTable.expm1, Math.expm1, linear(-30, 88.72), 3],
  ['expm1 near 0', functionTable.expm1, Math.expm1, bothSigns(geometric(1e-30, 2)), 3],
  ['log1p', functionTable.log1p, Math.log1p, geometric(1e-30, 3e38), 3],
  ['log1p below 0', functionTable.log1p, Math.log1p, geometric(1e-30, 0.9999999).map((x) => -x), 3],
  ['softplus', functionTable.softplus, softplus, linear(-87, 0), 64],
  ['softplus above 0', functionTable.softplus, softplus, linear(0, 100), 3],
  ['softplus near 0', functionTable.softplus, softplus, bothSigns(geometric(1e-30, 1)), 3],
  ['softplus of common size', functionTable.softplus, softplus, linear(-8, 8), 9],
  ['tanh', functionTable.tanh, Math.tanh, bothSigns(geometric(1e-30, 30)), 5],
  ['phi1', functionTable.phi1, phi1, bothSigns(geometric(1e-30, 80)), 5],
  ['sigmoid', functionTable.sigmoid, sigmoid, linear(-8, 80), 8],
];

describe('error in units in the last place', () => {
  test.each(cases)('%s', (name, expansion, exact, points, ulps) => {
    const compiled = compileExpansion(expansion);
    let [worst, where] = [0, 0];
    for (const x of points) {
      const error = ulpError(compiled(x), exact(x));
      if (error > worst) [worst, where] = [error, x];
    }
    if (process.env['SHOW_ERRORS'] !== undefined)
      console.log(`${name}: ${worst.toFixed(2)} ulp at ${where}`);
    expect(worst, `at ${where}`).toBeLessThanOrEqual(ulps);
  });
});

const absoluteCases: readonly Case[] = [
  ['sine', expandSine, Math.sin, bothSigns(linear(0, 2 ** 20)), 1.2e-7],
  ['sine of small angles', expandSine, Math.sin, linear(-20, 20), 1.2e-7],
  ['cosine', expandCosine, Math.cos, bothSigns(linear(0, 2 ** 20)), 1.2e-7],
  ['cosine of small angles', expandCosine, Math.cos, linear(-20, 20), 1.2e-7],
  ['erf', functionTable.erf, erf, linear(-6, 6), 1.5e-7],
];

describe('absolute error', () => {
  test.each(absoluteCases)('%s', (name, expansion, exact, points, bound) => {
    const compiled = compileExpansion(expansion);
    let [worst, where] = [0, 0];
    for (const x of points) {
      const error = Math.abs(compiled(x) - exact(x));
      if (!(error <= worst)) [worst, where] = [error, x];
    }
    if (process.env['SHOW_ERRORS'] !== undefined) console.log(`${name}: ${worst} at ${where}`);
    expect(worst, `at ${where}`).toBeLessThanOrEqual(bound);
  });

  test('erf and sine are relatively accurate near 0', () => {
    const [compiledErf, compiledSine] = [compileExpansion(functionTable.erf), compileExpansion(expandSine)];
    const points = bothSigns(geometric(1e-30, 6));
    const relative = (value: number, exact: number): number => Math.abs(value / exact - 1);
    const most = (errors: readonly number[]): number =>
      errors.reduce((worst, each) => (each <= worst ? worst : each), 0);
    expect(most(points.map((x) => relative(compiledErf(x), erf(x))))).toBeLessThan(1e-6);
    const near = points.filter((x) => Math.abs(x) < 0.7);
    expect(most(near.map((x) => relative(compiledSine(x), Math.sin(x))))).toBeLessThan(2e-7);
  });
});

test('values at the ends', () => {
  const at = (expansion: Expansion, x: number): number => compileExpansion(expansion)(x);
  expect([-1e30, -127.001, -127, -Infinity].map((x) => at(expandExp2, x))).toEqual([0, 0, 0, 0]);
  for (const x of linear(-127, -126)) {
    expect(at(expandExp2, x), `at ${x}`).toBeGreaterThanOrEqual(0);
    expect(Math.abs(at(expandExp2, x) - 2 ** x), `at ${x}`).toBeLessThanOrEqual(2 ** -126);
  }
  expect([128, 1e30, Infinity].map((x) => at(expandExp2, x))).toEqual([Infinity, Infinity, Infinity]);
  expect([-126, -3, 0, 1, 127].map((x) => at(expandExp2, x))).toEqual([2 ** -126, 0.125, 1, 2, 2 ** 127]);
  expect([0.25, 1, 2, 2 ** 100, 0, Infinity].map((x) => at(expandLog2, x))).toEqual([
    -2,
    0,
    1,
    100,
    -Infinity,
    Infinity,
  ]);
  expect(at(expandLog2, -1)).toBeNaN();
  expect([-100, -Infinity, 89, 1e30].map((x) => at(functionTable.expm1, x))).toEqual([
    -1,
    -1,
    Infinity,
    Infinity,
  ]);
  expect([-1, Infinity].map((x) => at(functionTable.log1p, x))).toEqual([-Infinity, Infinity]);
  for (const x of [-87.5, -88, -88.03, -89, -200, -1e30, -Infinity]) {
    expect(Math.abs(at(functionTable.softplus, x) - softplus(x)), `at ${x}`).toBeLessThanOrEqual(2 ** -126);
  }
  expect([1e30, Infinity].map((x) => at(functionTable.softplus, x))).toEqual([Math.fround(1e30), Infinity]);
  expect([-1e30, 0, 1e30].map((x) => at(functionTable.sigmoid, x))).toEqual([0, 0.5, 1]);
  expect([-1e30, 0, 1e30].map((x) => at(functionTable.tanh, x))).toEqual([-1, 0, 1]);
  expect([-1e30, 0, 1e30].map((x) => at(functionTable.erf, x))).toEqual([-1, 0, 1]);
  expect(at(functionTable.phi1, 0)).toBe(1);
  expect(at(expandSine, 1e30)).toBe(0);
  expect(at(expandCosine, 1e30)).toBe(1);
  expect(at(expandSine, Infinity)).toBeNaN();
});

test('NaN in, NaN out', () => {
  const expansions = { ...functionTable, expandExp2, expandLog2, expandSine, expandCosine };
  for (const [name, expansion] of Object.entries(expansions)) {
    if (name !== 'sign') expect(compileExpansion(expansion)(NaN), name).toBeNaN();
  }
});
