/**
 * The error bounds hold for f32 evaluations of a scan in different orders (a loop and a doubling
 * tree), they are tight enough to refuse small planted faults, and so do the bounds of gradients.
 */
import { describe, expect, it } from 'vitest';
import { compare } from './agreement.ts';
import { evaluateLayer, gradient, type EvaluationRequest, type OracleTensor } from './evaluate.ts';
import { float32Rounding, withStorage, wgslRounding } from './rounding.ts';
import { request, seededNumbers, tensor } from '../support/oracle-requests.ts';

const f = Math.fround;
type Pair = readonly [number, number];

const multiply = ([a, b]: Pair, [c, d]: Pair): Pair => [f(f(a * c) - f(b * d)), f(f(a * d) + f(b * c))];
const add = ([a, b]: Pair, [c, d]: Pair): Pair => [f(a + c), f(b + d)];

/** h_t = a_t h_{t-1} + b_t in f32, token after token. */
function loop(a: readonly Pair[], b: readonly Pair[]): Pair[] {
  let state: Pair = [0, 0];
  return a.map((coefficient, t) => (state = add(multiply(coefficient, state), b[t]!)));
}

/** The same in log₂ L rounds that double the span of each prefix. */
function tree(a: readonly Pair[], b: readonly Pair[]): Pair[] {
  let [products, sums] = [[...a], [...b]];
  for (let span = 1; span < a.length; span *= 2) {
    const [before, drives] = [products, sums];
    sums = drives.map((drive, t) => (t < span ? drive : add(multiply(before[t]!, drives[t - span]!), drive)));
    products = before.map((product, t) => (t < span ? product : multiply(product, before[t - span]!)));
  }
  return sums;
}

/** Name, fault in one entry that must be refused (bounds grow with the memory), coefficient. */
const regimes: readonly [string, number, (next: () => number) => Pair][] = [
  ['contracting', 1e-4, (next) => [0.5 + 0.4 * next(), 0]],
  ['near unit', 1e-2, () => [1 - 1e-3, 0]],
  ['unit', 1e-2, () => [1, 0]],
  ['alternating', 1e-3, (next) => [-0.9 - 0.1 * Math.abs(next()), 0]],
  ['complex near the circle', 1e-2, (next) => {
    const angle = 3 * next();
    return [0.999 * Math.cos(angle), 0.999 * Math.sin(angle)];
  }],
  ['zero', 1e-4, () => [0, 0]],
  ['mildly unstable', 1e-2, () => [1.002, 0]],
];

const lengths = [1, 2, 17, 257, 1000];
const text = `layer Scan() { input a: complex, b: complex
  state h: complex { next h = a * h + b }
  output y: complex = h }`;

type Case = { readonly a: Pair[]; readonly b: Pair[]; readonly given: EvaluationRequest };

function caseOf(length: number, coefficient: (next: () => number) => Pair, seed: number): Case {
  const next = seededNumbers(seed);
  const rounded = ([re, im]: Pair): Pair => [f(re), f(im)];
  const a = Array.from({ length }, () => rounded(coefficient(next)));
  const b = Array.from({ length }, () => rounded([next(), next()]));
  const pack = (pairs: Pair[]): OracleTensor =>
    tensor('batch time', [1, length], pairs.map(([re]) => re), pairs.map(([, im]) => im));
  const given = { ...request(text, { length, inputs: { a: pack(a), b: pack(b) } }), rounding: float32Rounding };
  return { a, b, given };
}

const interleave = (pairs: readonly Pair[]): Float32Array => Float32Array.from(pairs.flat());

describe.each(regimes)('%s', (_name, fault, coefficient) => {
  it.each(lengths)('%i tokens: loop and tree are within the bound, faults are not', (length) => {
    const { a, b, given } = caseOf(length, coefficient, length);
    const expected = evaluateLayer(given).outputs.get('y')!;
    for (const actual of [loop(a, b), tree(a, b)]) {
      const agreement = compare(interleave(actual), expected);
      expect(agreement.worstBoundUse).toBeLessThan(0.6);
      expect(agreement.vacuous).toBe(null);
    }
    const wrong = interleave(loop(a, b));
    wrong[2 * (length >> 1)]! *= 1 + fault;
    wrong[2 * (length >> 1) + 1]! *= 1 + fault;
    expect(compare(wrong, expected).isAccepted).toBe(false);
  });
});

it('the bound of complex scans does not grow with the rotation', () => {
  const { given } = caseOf(1000, regimes[4]![2], 3);
  const { bound } = evaluateLayer(given).outputs.get('y')!;
  expect(bound.at(-1)! / bound[500]!).toBeLessThan(4);
});

it('the rounding models widen in order: f32, WGSL, f16 storage, bf16 storage', () => {
  const scan = `layer S() { input u; param A, dt; state x { dx/dt = -exp(A) * x + u; discretize zoh(softplus(dt)) }; output y = x }`;
  const given = request(scan, {
    length: 5, inputs: { u: tensor('batch time', [1, 5], [1, -2, 3, 1, 1]) },
    params: { A: tensor('', [], [0.5]), dt: tensor('', [], [-1]) },
  });
  const bounds = [float32Rounding, wgslRounding, withStorage(wgslRounding, 'f16'), withStorage(wgslRounding, 'bf16')]
    .map((rounding) => evaluateLayer({ ...given, rounding }).outputs.get('y')!.bound[4]!);
  expect([...bounds].sort((left, right) => left - right)).toEqual(bounds);
  expect(bounds[0]!).toBeGreaterThan(2 ** -24);
  expect(bounds[0]!).toBeLessThan(1e-5);
});

describe('gradients', () => {
  it.each(lengths)('%i tokens: the f32 adjoint loop is within the bounds, 1.01 of it is not', (length) => {
    const { a, b, given } = caseOf(length, (next) => [0.9 + 0.09 * next(), 0], length + 9);
    const next = seededNumbers(length);
    const cotangent = Array.from({ length }, (): Pair => [f(next()), f(next())]);
    const y = tensor('batch time', [1, length], cotangent.map(([re]) => re), cotangent.map(([, im]) => im));
    const { gradients } = gradient({ ...given, cotangents: { outputs: new Map([['y', y]]), final: new Map() } });
    const states = loop(a, b);
    const conjugate = ([re, im]: Pair): Pair => [re, -im];
    const driveGradients: Pair[] = Array.from({ length }, () => [0, 0]);
    const coefficientGradients: Pair[] = Array.from({ length }, () => [0, 0]);
    let adjoint: Pair = [0, 0];
    for (let t = length - 1; t >= 0; t--) {
      adjoint = add(t === length - 1 ? [0, 0] : multiply(conjugate(a[t + 1]!), adjoint), cotangent[t]!);
      driveGradients[t] = adjoint;
      coefficientGradients[t] = multiply(conjugate(t === 0 ? [0, 0] : states[t - 1]!), adjoint);
    }
    for (const [name, found] of [['b', driveGradients], ['a', coefficientGradients]] as const) {
      const agreement = compare(interleave(found), gradients.inputs.get(name)!, { nonVacuity: length === 1 ? 'waived' : 'required' });
      expect(agreement.worstBoundUse).toBeLessThan(0.6);
      expect(agreement.vacuous).toBe(null);
      const wrong = interleave(found).map((each) => each * 1.01);
      if (length > 1) expect(compare(wrong, gradients.inputs.get(name)!).isAccepted).toBe(false);
    }
  });
});
