/**
 * Finds the polynomial coefficients of ir/numerics. Each polynomial is fitted in float64 in the
 * minimax sense (Lawson's reweighted least squares, C. Lawson 1961), its coefficients are rounded to
 * f32 from the lowest power up and the rest fitted again, so that the printed errors are those of the
 * rounded coefficients. Run after bundling: `npx rolldown tools/fit-polynomials.ts -o /tmp/fit.mjs`.
 */

type Fit = {
  readonly name: string;
  /** what the polynomial replaces, as a function of its own variable */
  readonly target: (x: number) => number;
  /** the error is multiplied by this before its maximum is taken */
  readonly weight: (x: number) => number;
  readonly low: number;
  readonly high: number;
  readonly degree: number;
  /** leading coefficients that are given */
  readonly fixed?: readonly number[];
};

/** Solves min ||A c - b|| by modified Gram-Schmidt; A is given by columns. */
function leastSquares(columns: readonly Float64Array[], right: Float64Array): number[] {
  const count = columns.length;
  const q = columns.map((column) => Float64Array.from(column));
  const r = columns.map(() => new Float64Array(count));
  const rest = Float64Array.from(right);
  const dot = (a: Float64Array, b: Float64Array): number =>
    a.reduce((sum, each, at) => sum + each * (b[at] ?? 0), 0);
  const y: number[] = [];
  q.forEach((column, k) => {
    for (let pass = 0; pass < 2; pass++) {
      for (let j = 0; j < k; j++) {
        const other = q[j] ?? column;
        const share = dot(other, column);
        (r[k] ?? rest)[j] = ((r[k] ?? rest)[j] ?? 0) + share;
        column.forEach((each, at) => {
          column[at] = each - share * (other[at] ?? 0);
        });
      }
    }
    const norm = Math.sqrt(dot(column, column));
    (r[k] ?? rest)[k] = norm;
    column.forEach((each, at) => {
      column[at] = each / norm;
    });
    y[k] = dot(column, rest);
    rest.forEach((each, at) => {
      rest[at] = each - (y[k] ?? 0) * (column[at] ?? 0);
    });
  });
  const solution = new Array<number>(count).fill(0);
  for (let k = count - 1; k >= 0; k--) {
    let sum = y[k] ?? 0;
    for (let j = k + 1; j < count; j++) sum -= (r[j]?.[k] ?? 0) * (solution[j] ?? 0);
    solution[k] = sum / (r[k]?.[k] ?? 1);
  }
  return solution;
}

const evaluate = (coefficients: readonly number[], x: number): number =>
  coefficients.reduceRight((sum, each) => sum * x + each, 0);

function nodesOf(fit: Fit): Float64Array {
  const count = 500;
  return Float64Array.from(
    { length: count },
    (_, at) =>
      (fit.low + fit.high) / 2 + ((fit.high - fit.low) / 2) * Math.cos((Math.PI * (at + 0.5)) / count),
  );
}

/** Coefficients above those in `known`. */
function fitRest(fit: Fit, known: readonly number[]): number[] {
  const nodes = nodesOf(fit);
  const scale = Math.max(Math.abs(fit.low), Math.abs(fit.high));
  const importance = nodes.map(() => 1);
  let best: number[] = [];
  let bestError = Infinity;
  for (let round = 0; round < 60; round++) {
    const factor = nodes.map((x, at) => Math.sqrt(importance[at] ?? 0) * fit.weight(x));
    const columns = Array.from({ length: fit.degree + 1 - known.length }, (_, power) =>
      nodes.map((x, at) => (x / scale) ** (power + known.length) * (factor[at] ?? 0)),
    );
    const right = nodes.map((x, at) => (fit.target(x) - evaluate(known, x)) * (factor[at] ?? 0));
    const rest = leastSquares(columns, right).map((each, power) => each / scale ** (power + known.length));
    const errors = nodes.map((x) =>
      Math.abs((fit.target(x) - evaluate([...known, ...rest], x)) * fit.weight(x)),
    );
    const worst = errors.reduce((most, each) => Math.max(most, each), 0);
    if (worst < bestError) [best, bestError] = [rest, worst];
    const total = importance.reduce((sum, each, at) => sum + each * (errors[at] ?? 0), 0);
    importance.forEach((each, at) => {
      importance[at] = (each * (errors[at] ?? 0) * nodes.length) / total;
    });
  }
  return best;
}

function fitRounded(fit: Fit): { coefficients: number[]; error: number } {
  const coefficients = [...(fit.fixed ?? [])];
  while (coefficients.length <= fit.degree)
    coefficients.push(Math.fround(fitRest(fit, coefficients)[0] ?? 0));
  const error = nodesOf(fit).reduce(
    (most, x) => Math.max(most, Math.abs((fit.target(x) - evaluate(coefficients, x)) * fit.weight(x))),
    0,
  );
  return { coefficients, error };
}

/** Sum of the Taylor series of (f(x) - its first `skip` terms) / x^skip; `term(k)` is the k-th coefficient. */
const tail =
  (term: (k: number) => number, skip: number) =>
  (x: number): number => {
    let sum = 0;
    for (let k = 60; k >= skip; k--) sum = sum * x + term(k);
    return sum;
  };
const factorial = (k: number): number => (k < 2 ? 1 : k * factorial(k - 1));

/** erfc by the continued fraction of Laplace (x >= 0.8) in float64. */
function erfc(x: number): number {
  if (x < 2) return 1 - erf(x);
  let fraction = 0;
  for (let k = 200; k >= 1; k--) fraction = k / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}
/** erf by its Taylor series. */
function erf(x: number): number {
  let [term, sum] = [x, x];
  for (let k = 1; k < 200; k++) {
    term *= (-x * x) / k;
    sum += term / (2 * k + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const quarter = Math.PI / 4 + 0.02;
const half = Math.log(2) / 2 + 1e-4;
const log1pTail = (x: number): number =>
  Math.abs(x) < 0.05
    ? tail((k) => (k === 0 ? 0 : (k % 2 === 1 ? 1 : -1) / k), 3)(x)
    : (Math.log1p(x) - x + (x * x) / 2) / x ** 3;

const fits: readonly Fit[] = [
  {
    name: 'exp2 on |f| <= 1/2',
    target: (x) => 2 ** x,
    weight: (x) => 2 ** -x,
    low: -0.5001,
    high: 0.5001,
    degree: 6,
    fixed: [1],
  },
  {
    name: '(expm1(r) - r) / r^2 on |r| <= ln2/2',
    target: tail((k) => 1 / factorial(k), 2),
    weight: (x) => x,
    low: -half,
    high: half,
    degree: 4,
  },
  {
    name: '(log1p(f) - f + f^2/2) / f^3',
    target: log1pTail,
    weight: (x) => x * x,
    low: Math.SQRT1_2 - 1,
    high: Math.SQRT2 - 1,
    degree: 7,
  },
  {
    name: 'log1p(t) / t on [0, 1]',
    target: (t) => (t < 1e-9 ? 1 : Math.log1p(t) / t),
    weight: (t) => (t < 1e-9 ? 1 : t / Math.log1p(t)),
    low: 0,
    high: 1,
    degree: 8,
    fixed: [1],
  },
  {
    name: '(log2(1+f) - f log2e + f^2 log2e/2) / f^3',
    target: (x) => log1pTail(x) * Math.LOG2E,
    weight: (x) => x * x,
    low: Math.SQRT1_2 - 1,
    high: Math.SQRT2 - 1,
    degree: 7,
  },
  {
    name: '(sin(r) - r) / r^3 by r^2',
    target: (z) => tail((k) => (k % 2 === 0 ? 1 : -1) / factorial(2 * k + 1), 1)(z),
    weight: (z) => z,
    low: 0,
    high: quarter ** 2,
    degree: 2,
  },
  {
    name: '(cos(r) - 1 + r^2/2) / r^4 by r^2',
    target: (z) => tail((k) => (k % 2 === 0 ? 1 : -1) / factorial(2 * k), 2)(z),
    weight: (z) => z * z,
    low: 0,
    high: quarter ** 2,
    degree: 2,
  },
  {
    name: 'erf(x) / x by x^2, |x| <= 0.95',
    target: (z) => (z < 1e-12 ? 2 / Math.sqrt(Math.PI) : erf(Math.sqrt(z)) / Math.sqrt(z)),
    weight: () => 1,
    low: 0,
    high: 0.95 ** 2,
    degree: 6,
  },
  {
    name: '-log2(erfc(x)) / x on [0.95, 4]',
    target: (x) => -Math.log2(erfc(x)) / x,
    weight: (x) => erfc(x) * x,
    low: 0.94,
    high: 4,
    degree: 7,
  },
];

for (const fit of fits) {
  const { coefficients, error } = fitRounded(fit);
  console.log(
    `${fit.name}: error ${error.toExponential(2)}\n  ${coefficients.map((each) => String(Math.fround(each))).join(', ')}`,
  );
}
