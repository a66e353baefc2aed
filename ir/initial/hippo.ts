/**
 * HiPPO matrices (Gu, Dao, Ermon, Rudra, Ré 2020; Gu, Goel, Ré 2022, appendix; Gu, Johnson, Timalsina,
 * Rudra, Ré 2023): dx/dt = A x + B u keeps a projection of u's past. A plus a sum of P Pᵀ is normal, a
 * multiple of the identity plus a skew matrix; its eigenvalues start diagonal systems.
 */
import { required } from '../../support/invariant.ts';
import { hermitianEigen } from './hermitian-eigen.ts';
import type { Pair } from './values.ts';

export type HippoMeasure = 'legs' | 'legt' | 'lagt' | 'fout';

/** Real; A is row-major n × n, each row of P has n entries. */
export type HippoMatrices = {
  readonly size: number;
  readonly A: Float64Array;
  readonly B: Float64Array;
  readonly P: readonly Float64Array[];
};

/** Half of the spectrum, one of each conjugate pair, by growing frequency; `size` is the number of modes. */
export type HippoModes = {
  /** real part of every eigenvalue */
  readonly decay: number;
  /** imaginary parts, not negative */
  readonly frequencies: Float64Array;
  /** V* B; the phases of the eigenvectors make it real and not negative */
  readonly input: readonly Pair[];
  /** V* P for each row of P */
  readonly rank: readonly (readonly Pair[])[];
};

function matrix(size: number, entry: (row: number, column: number) => number): Float64Array {
  return Float64Array.from({ length: size * size }, (_, at) => entry(Math.floor(at / size), at % size));
}

function vector(size: number, entry: (at: number) => number): Float64Array {
  return Float64Array.from({ length: size }, (_, at) => entry(at));
}

const root = (n: number): number => Math.sqrt(2 * n + 1);

/** A, B and the low-rank correction of a measure; `fout` needs an even size. */
export function hippoMatrices(measure: HippoMeasure, size: number): HippoMatrices {
  switch (measure) {
    case 'legs':
      return {
        size, A: matrix(size, (n, k) => (n > k ? -root(n) * root(k) : n === k ? -(n + 1) : 0)),
        B: vector(size, root), P: [vector(size, (n) => Math.sqrt(n + 0.5))],
      };
    case 'legt':
      return {
        size, A: matrix(size, (n, k) => (-root(n) * root(k) * (n >= k || (k - n) % 2 === 0 ? 1 : -1)) / 2),
        B: vector(size, (n) => root(n) / 2),
        P: [1, 0].map((parity) => vector(size, (n) => (n % 2 === parity ? root(n) / Math.SQRT2 : 0))),
      };
    case 'lagt':
      return {
        size, A: matrix(size, (n, k) => (n > k ? -1 : n === k ? -0.5 : 0)),
        B: vector(size, () => 1), P: [vector(size, () => Math.SQRT1_2)],
      };
    case 'fout': {
      const B = vector(size, (n) => (n === 0 ? 1 : n % 2 === 0 ? Math.SQRT2 : 0));
      const isPair = (n: number, k: number): boolean => n !== k && Math.floor(n / 2) === Math.floor(k / 2);
      const turn = (n: number, k: number): number => (isPair(n, k) ? Math.sign(n - k) : 0);
      const A = matrix(size, (n, k) => Math.PI * turn(n, k) * Math.floor(n / 2) - (B[n] ?? 0) * (B[k] ?? 0));
      return { size, A, B, P: [B] };
    }
    default:
      return measure satisfies never;
  }
}

/** The first `modes` modes of the normal part of the 2·modes-dimensional system. */
export function hippoModes(measure: HippoMeasure, modes: number): HippoModes {
  const size = 2 * modes;
  const { A, B, P } = hippoMatrices(measure, size);
  const correction = (n: number, k: number): number => P.reduce((sum, row) => sum + (row[n] ?? 0) * (row[k] ?? 0), 0);
  const normal = matrix(size, (n, k) => (A[n * size + k] ?? 0) + correction(n, k));
  const skew = matrix(size, (n, k) => ((normal[n * size + k] ?? 0) - (normal[k * size + n] ?? 0)) / 2);
  // skew·v = iω·v is the Hermitian problem (-i·skew)·v = ω·v
  const { values, vectors } = hermitianEigen({ size, re: new Float64Array(size * size), im: skew.map((each) => -each) });
  const column = (at: number): readonly Pair[] =>
    Array.from({ length: size }, (_, row): Pair => [vectors.re[row * size + at] ?? 0, vectors.im[row * size + at] ?? 0]);
  const scale = Math.max(...values.map(Math.abs));
  const upper = Array.from({ length: modes }, (_, at) => modes + at);
  const chosen = upper.map((at) => {
    const isZero = Math.abs(values[at] ?? 0) <= 1e-12 * scale;
    return turned(isZero ? zeroMode(column(at - 1), column(at), B) : column(at), B);
  });
  const decay = (normal.reduce((sum, each, at) => (at % (size + 1) === 0 ? sum + each : sum), 0)) / size;
  return {
    decay,
    frequencies: Float64Array.from(upper, (at) => Math.max(0, values[at] ?? 0)),
    input: chosen.map((mode) => inner(mode, B)),
    rank: P.map((row) => chosen.map((mode) => inner(mode, row))),
  };
}

/** ⟨mode, real vector⟩ = mode* · vector. */
function inner(mode: readonly Pair[], real: Float64Array): Pair {
  return mode.reduce<Pair>(([re, im], [a, b], at) => [re + a * (real[at] ?? 0), im - b * (real[at] ?? 0)], [0, 0]);
}

/** The mode times a phase that makes its product with B real and not negative. */
function turned(mode: readonly Pair[], B: Float64Array): readonly Pair[] {
  const [re, im] = inner(mode, B);
  const size = Math.sqrt(re * re + im * im);
  if (size < 1e-12) return mode;
  const [c, s] = [re / size, im / size];
  return mode.map(([a, b]) => [a * c - b * s, a * s + b * c]);
}

/**
 * The frequency zero is a pair without an imaginary part: its mode is (v + i·w)/√2 of real v, w that
 * span the pair, v along B, so that twice the real part counts it once.
 */
function zeroMode(first: readonly Pair[], second: readonly Pair[], B: Float64Array): readonly Pair[] {
  const [one, two] = [inner(first, B), inner(second, B)];
  const project = first.map(([a, b], at): number => {
    const [c, d] = required(second[at], 'entry');
    return a * one[0] - b * one[1] + c * two[0] - d * two[1];
  });
  const length = Math.sqrt(project.reduce((sum, each) => sum + each * each, 0));
  if (length < 1e-12) return first;
  const along = project.map((each) => each / length);
  const candidates = [first, second].flatMap((mode) => [mode.map(([a]) => a), mode.map(([, b]) => b)]);
  const across = candidates.map((each) => orthogonal(each, along)).sort((left, right) => right.length - left.length)[0];
  return along.map((each, at) => [each * Math.SQRT1_2, (across?.vector[at] ?? 0) * Math.SQRT1_2]);
}

function orthogonal(
  real: readonly number[], along: readonly number[],
): { readonly length: number; readonly vector: readonly number[] } {
  const share = real.reduce((sum, each, at) => sum + each * (along[at] ?? 0), 0);
  const rest = real.map((each, at) => each - share * (along[at] ?? 0));
  const length = Math.sqrt(rest.reduce((sum, each) => sum + each * each, 0));
  return { length, vector: length === 0 ? rest : rest.map((each) => each / length) };
}
