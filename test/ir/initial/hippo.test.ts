/** HiPPO matrices and modes against the published code's numbers, and the eigen-solver against what defines it. */
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../../dsl/index.ts';
import { hermitianEigen, type ComplexMatrix } from '../../../ir/initial/hermitian-eigen.ts';
import { hippoMatrices, hippoModes, type HippoMeasure } from '../../../ir/initial/hippo.ts';
import { initialParameters } from '../../../ir/initial/index.ts';
import { readGoldenFile } from '../../oracle/golden.ts';
import { seededNumbers } from '../../support/oracle-requests.ts';

const golden = readGoldenFile('hippo_matrices').tensors;
const numbers = (name: string): number[] => Array.from(golden.get(name)!.data as Float64Array);

function expectClose(found: readonly number[], expected: readonly number[], tolerance = 1e-12): void {
  expect(found.length).toBe(expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  found.forEach((each, at) => expect(Math.abs(each - expected[at]!)).toBeLessThanOrEqual(tolerance * scale));
}

const sizes: readonly (readonly [HippoMeasure, number])[] = [
  ['legs', 3], ['legs', 6], ['legs', 8], ['legs', 15], ['legt', 3], ['legt', 6], ['legt', 9], ['lagt', 6], ['fout', 4], ['fout', 6], ['fout', 10],
];

describe('matrices', () => {
  it.each(sizes)('%s of size %i', (measure, size) => {
    const { A, B, P } = hippoMatrices(measure, size);
    expectClose([...A], numbers(`${measure}_N${size}.A`));
    expectClose([...B], numbers(`${measure}_N${size}.B`));
    expectClose(P.flatMap((row) => [...row]), numbers(`${measure}_N${size}.P`));
  });
});

describe('modes', () => {
  it.each(sizes.filter(([, size]) => size % 2 === 0 && size < 15))('%s of size %i', (measure, size) => {
    const key = `${measure}_N${size}`;
    const { decay, frequencies, input, rank } = hippoModes(measure, size / 2);
    // the published modes have the other sign of the imaginary part, and lie in its order
    const order = numbers(`${key}.w.im`).map((im, at) => ({ im, at })).sort((left, right) => right.im - left.im).map(({ at }) => at);
    const inOrder = (name: string, row = 0): number[] => {
      const all = numbers(`${key}.${name}`);
      return order.map((at) => all[row * order.length + at]!);
    };
    expectClose([...frequencies].map((each) => -each), inOrder('w.im'));
    inOrder('w.re').forEach((each) => expect(decay).toBeCloseTo(each, 12));
    expectClose(input.map(([re, im]) => re * re + im * im), inOrder('absB2'));
    rank.forEach((row, at) => {
      expectClose(row.map(([re, im]) => re * re + im * im), inOrder('absP2', at));
      const products = row.map(([re, im], mode) => {
        const [a, b] = input[mode]!;
        return [a * re + b * im, b * re - a * im] as const;
      });
      const [expectedRe, expectedIm] = [inOrder('BconjP.re', at), inOrder('BconjP.im', at)];
      const scale = Math.max(...expectedRe.map(Math.abs), ...expectedIm.map(Math.abs));
      products.forEach(([re, im], mode) => {
        expect(Math.abs(re - expectedRe[mode]!)).toBeLessThan(1e-12 * scale);
        expect(Math.abs(im + expectedIm[mode]!)).toBeLessThan(1e-12 * scale); // conjugated modes
      });
    });
  });

  it('are reachable from the language, and give a stable diagonal system', () => {
    const text = `layer A(D = 2, N = 4) { input u[D]
      param re[D, N] = real(hippo_legs()), im[D, N] = imag(hippo_legs[N]()), b[N]: complex = hippo_legs_input(), r[N]: complex = lru_ring(0.5, 0.9)
      param inv[N] = imag(s4d_inv()), lin[N] = imag(s4d_lin()), slow[N] = real(s4d_real())
      output y[D] = u * sum[N](re + im + real(b) + real(r) + inv + lin + slow) }`;
    const { spec, diagnostics } = loadLayer({ name: 'a.ssm', text }, null, { sizes: new Map() });
    expect(diagnostics).toEqual([]);
    const made = initialParameters(spec!, 1);
    const { frequencies, input } = hippoModes('legs', 4);
    expect([...made.get('re')!].every((each) => Math.abs(each + 0.5) < 1e-12)).toBe(true);
    expect([...made.get('im')!]).toEqual([...frequencies, ...frequencies]);
    expect([...made.get('b')!]).toEqual(input.flat());
    expect([...made.get('slow')!]).toEqual([-1, -2, -3, -4]);
    expect(made.get('lin')![3]).toBeCloseTo(3 * Math.PI, 12);
    expect(made.get('inv')![0]).toBeCloseTo((4 / Math.PI) * 3, 12);
    const ring = made.get('r')!;
    for (let at = 0; at < 4; at++) {
      expect(Math.hypot(ring[2 * at]!, ring[2 * at + 1]!)).toBeGreaterThanOrEqual(0.5);
      expect(Math.hypot(ring[2 * at]!, ring[2 * at + 1]!)).toBeLessThanOrEqual(0.9);
    }
  });

  it('refuse sizes that would take minutes', () => {
    const text = 'layer A(N = 1000) { input u[N] param a[N] = imag(hippo_legs()) output y[N] = a * u }';
    const { spec } = loadLayer({ name: 'a.ssm', text }, null, { sizes: new Map() });
    expect(() => initialParameters(spec!, 1)).toThrow(/at most 128 modes/);
  });
});

describe('the Hermitian eigen-solver', () => {
  function randomHermitian(size: number, seed: number, rank: number): ComplexMatrix {
    const next = seededNumbers(seed);
    const columns = Array.from({ length: rank }, () => Array.from({ length: size }, () => [next(), next()] as const));
    const [re, im] = [new Float64Array(size * size), new Float64Array(size * size)];
    columns.forEach((column, weight) => column.forEach(([a, b], row) => column.forEach(([c, d], at) => {
      re[row * size + at]! += (weight % 2 === 0 ? 1 : -1) * (a * c + b * d);
      im[row * size + at]! += (weight % 2 === 0 ? 1 : -1) * (b * c - a * d);
    })));
    return { size, re, im };
  }

  it.each([[1, 1], [2, 2], [5, 5], [8, 3], [17, 17]])('%i × %i of rank %i: A v = λ v, V unitary, λ ascending', (size, rank) => {
    const matrix = randomHermitian(size, size, rank);
    const { values, vectors } = hermitianEigen(matrix);
    const scale = Math.max(...values.map(Math.abs));
    const at = (of: ComplexMatrix, row: number, column: number): readonly [number, number] => [of.re[row * size + column]!, of.im[row * size + column]!];
    for (let k = 0; k < size; k++) {
      if (k > 0) expect(values[k]!).toBeGreaterThanOrEqual(values[k - 1]!);
      for (let row = 0; row < size; row++) {
        let [re, im, overlapRe, overlapIm] = [0, 0, 0, 0];
        for (let j = 0; j < size; j++) {
          const [[a, b], [c, d], [e, f]] = [at(matrix, row, j), at(vectors, j, k), at(vectors, j, row)];
          re += a * c - b * d;
          im += a * d + b * c;
          overlapRe += e * c + f * d;
          overlapIm += e * d - f * c;
        }
        const [vr, vi] = at(vectors, row, k);
        expect(Math.abs(re - values[k]! * vr) + Math.abs(im - values[k]! * vi)).toBeLessThan(1e-13 * size * scale);
        expect(Math.abs(overlapRe - (row === k ? 1 : 0)) + Math.abs(overlapIm)).toBeLessThan(1e-13 * size);
      }
    }
  });
});
