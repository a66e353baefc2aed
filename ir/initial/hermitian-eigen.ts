/**
 * Eigenvalues and eigenvectors of a complex Hermitian matrix by cyclic Jacobi rotations (Golub, Van
 * Loan, 8.5), in float64 with nothing but arithmetic and square roots, so that every machine gets the
 * same numbers. O(n³) per sweep, some ten sweeps.
 */
import { invariant } from '../../support/invariant.ts';

/** Row-major n × n; `im` belongs to the same entries. */
export type ComplexMatrix = { readonly size: number; readonly re: Float64Array; readonly im: Float64Array };

/** Eigenvalues ascending; column k of `vectors` belongs to the k-th. */
export type HermitianEigen = { readonly values: Float64Array; readonly vectors: ComplexMatrix };

const mostSweeps = 60;

type Rotation = { readonly p: number; readonly q: number; readonly cosine: number; readonly re: number; readonly im: number };

/** The decomposition. The matrix must be Hermitian; only finite numbers. */
export function hermitianEigen(matrix: ComplexMatrix): HermitianEigen {
  const { size } = matrix;
  const work: ComplexMatrix = { size, re: matrix.re.slice(), im: matrix.im.slice() };
  const vectors: ComplexMatrix = { size, re: new Float64Array(size * size), im: new Float64Array(size * size) };
  for (let at = 0; at < size; at++) vectors.re[at * size + at] = 1;
  const limit = norm(work, 'all') * 2 ** -52;
  let sweeps = 0;
  while (norm(work, 'off-diagonal') > limit) {
    invariant(sweeps++ < mostSweeps, 'Jacobi rotations do not converge');
    for (let p = 0; p < size; p++) for (let q = p + 1; q < size; q++) rotate(work, vectors, p, q);
  }
  return sorted(work, vectors);
}

function norm({ size, re, im }: ComplexMatrix, which: 'all' | 'off-diagonal'): number {
  let sum = 0;
  for (let at = 0; at < re.length; at++) {
    if (which === 'off-diagonal' && at % (size + 1) === 0) continue;
    sum += (re[at] ?? 0) ** 2 + (im[at] ?? 0) ** 2;
  }
  return Math.sqrt(sum);
}

/** Makes entry (p, q) zero: U = [c, s e^{iφ}; -s e^{-iφ}, c] with φ the entry's phase. */
function rotate(work: ComplexMatrix, vectors: ComplexMatrix, p: number, q: number): void {
  const { size, re, im } = work;
  const [a, b] = [re[p * size + q] ?? 0, im[p * size + q] ?? 0];
  const modulus = Math.sqrt(a * a + b * b);
  if (modulus === 0) return;
  const ratio = ((re[q * size + q] ?? 0) - (re[p * size + p] ?? 0)) / (2 * modulus);
  const tangent = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.sqrt(1 + ratio * ratio));
  const cosine = 1 / Math.sqrt(1 + tangent * tangent);
  const sine = tangent * cosine;
  const rotation: Rotation = { p, q, cosine, re: (sine * a) / modulus, im: (sine * b) / modulus };
  turnColumns(work, rotation);
  turnRows(work, rotation);
  turnColumns(vectors, rotation);
  for (const at of [p * size + q, q * size + p]) re[at] = im[at] = 0;
  im[p * size + p] = im[q * size + q] = 0;
}

/** M U: column p becomes c·p - conj(s)·q, column q becomes s·p + c·q, with the complex s. */
function turnColumns({ size, re, im }: ComplexMatrix, { p, q, cosine, re: sr, im: si }: Rotation): void {
  for (let row = 0; row < size; row++) {
    const [left, right] = [row * size + p, row * size + q];
    const [a, b, c, d] = [re[left] ?? 0, im[left] ?? 0, re[right] ?? 0, im[right] ?? 0];
    re[left] = cosine * a - (sr * c + si * d);
    im[left] = cosine * b - (sr * d - si * c);
    re[right] = sr * a - si * b + cosine * c;
    im[right] = sr * b + si * a + cosine * d;
  }
}

/** U* M: rows alike, with conjugated factors. */
function turnRows({ size, re, im }: ComplexMatrix, { p, q, cosine, re: sr, im: si }: Rotation): void {
  for (let column = 0; column < size; column++) {
    const [upper, lower] = [p * size + column, q * size + column];
    const [a, b, c, d] = [re[upper] ?? 0, im[upper] ?? 0, re[lower] ?? 0, im[lower] ?? 0];
    re[upper] = cosine * a - (sr * c - si * d);
    im[upper] = cosine * b - (sr * d + si * c);
    re[lower] = sr * a + si * b + cosine * c;
    im[lower] = sr * b - si * a + cosine * d;
  }
}

function sorted(work: ComplexMatrix, vectors: ComplexMatrix): HermitianEigen {
  const { size } = work;
  const order = Array.from({ length: size }, (_, at) => at)
    .sort((left, right) => (work.re[left * size + left] ?? 0) - (work.re[right * size + right] ?? 0) || left - right);
  const made: ComplexMatrix = { size, re: new Float64Array(size * size), im: new Float64Array(size * size) };
  order.forEach((from, to) => {
    for (let row = 0; row < size; row++) {
      made.re[row * size + to] = vectors.re[row * size + from] ?? 0;
      made.im[row * size + to] = vectors.im[row * size + from] ?? 0;
    }
  });
  return { values: Float64Array.from(order, (at) => work.re[at * size + at] ?? 0), vectors: made };
}
