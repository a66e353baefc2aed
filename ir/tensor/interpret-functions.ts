/**
 * The scalar functions of Tensor IR in float64, real and complex, with their limits: what every
 * back end's approximation is compared with. Series replace quotients where those cancel.
 */
import { assertNever } from '../../support/invariant.ts';
import type { BinaryFunction, UnaryFunction } from './ops.ts';

/** A complex number. */
export type Complex = { readonly re: number; readonly im: number };

/** Reciprocals of factorials 0! … 24!. */
const inverseFactorials: readonly number[] = Array.from({ length: 25 }, (_, n) => {
  let product = 1;
  for (let k = 2; k <= n; k++) product *= k;
  return 1 / product;
});

/** Σ z^k / (k + shift)!, for |z| ≤ 1: φ_shift near 0. The last term kept is below 1e-19 of the first. */
function phiSeries(z: Complex, shift: number): Complex {
  let [re, im] = [0, 0];
  for (let k = 20; k >= 0; k--) {
    const next = re * z.re - im * z.im + (inverseFactorials[k + shift] ?? 0);
    im = re * z.im + im * z.re;
    re = next;
  }
  return { re, im };
}

/** left / right by scaling with the larger part of right, so that its square cannot overflow (Smith 1962). */
export function divideComplex(left: Complex, right: Complex): Complex {
  if (right.im === 0) return { re: left.re / right.re, im: left.im / right.re };
  if (Math.abs(right.re) >= Math.abs(right.im)) {
    const ratio = right.im / right.re;
    const scale = right.re + right.im * ratio;
    return { re: (left.re + left.im * ratio) / scale, im: (left.im - left.re * ratio) / scale };
  }
  const ratio = right.re / right.im;
  const scale = right.re * ratio + right.im;
  return { re: (left.re * ratio + left.im) / scale, im: (left.im * ratio - left.re) / scale };
}

function expComplex(z: Complex): Complex {
  const scale = Math.exp(z.re);
  return z.im === 0 ? { re: scale, im: 0 } : { re: scale * Math.cos(z.im), im: scale * Math.sin(z.im) };
}

/** e^z − 1 = (e^x − 1) cos y − 2 sin²(y/2) + i e^x sin y: no cancellation near 0. */
function expm1Complex(z: Complex): Complex {
  const half = Math.sin(z.im / 2);
  return { re: Math.expm1(z.re) * Math.cos(z.im) - 2 * half * half, im: Math.exp(z.re) * Math.sin(z.im) };
}

/** The analytic functions of a complex number. */
export function analyticFunction(name: 'exp' | 'phi1' | 'phi2', z: Complex): Complex {
  switch (name) {
    case 'exp':
      return expComplex(z);
    case 'phi1':
      if (z.im === 0) return { re: phi1(z.re), im: 0 };
      return Math.hypot(z.re, z.im) < 1 ? phiSeries(z, 1) : divideComplex(expm1Complex(z), z);
    case 'phi2': {
      if (z.im === 0) return { re: phi2(z.re), im: 0 };
      if (Math.hypot(z.re, z.im) < 1) return phiSeries(z, 2);
      const first = divideComplex(expm1Complex(z), z);
      return divideComplex({ re: first.re - 1, im: first.im }, z);
    }
    default:
      return assertNever(name, 'analyticFunction');
  }
}

function phi1(x: number): number {
  return x === 0 ? 1 : Math.expm1(x) / x;
}

/** (e^x − 1 − x)/x²; beyond |x| = 1 the difference loses less than two bits. */
function phi2(x: number): number {
  if (Math.abs(x) < 1) return phiSeries({ re: x, im: 0 }, 2).re;
  return (Math.expm1(x) / x - 1) / x;
}

/**
 * erf: below 2 the series 2/√π e^(−x²) Σ 2^n x^(2n+1)/(2n+1)!!, whose terms all have one sign; above
 * it 1 − erfc with Laplace's continued fraction, whose error is scaled by erfc(2) < 0.005.
 */
function erf(x: number): number {
  const magnitude = Math.abs(x);
  if (magnitude >= 6) return Math.sign(x);
  const square = x * x;
  if (magnitude < 2) {
    let [term, sum] = [x, x];
    for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-18; n++) {
      term *= (2 * square) / (2 * n + 1);
      sum += term;
    }
    return ((2 * Math.exp(-square)) / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = magnitude;
  for (let k = 80; k >= 1; k--) fraction = magnitude + k / 2 / fraction;
  const complement = Math.exp(-square) / (fraction * Math.sqrt(Math.PI));
  return Math.sign(x) * (1 - complement);
}

function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const small = Math.exp(x);
  return small / (1 + small);
}

/** Real (or flag) functions of one operand. */
export const unaryFunctions: Readonly<Record<UnaryFunction, (x: number) => number>> = {
  'negate': (x) => -x,
  'absolute': Math.abs,
  'sign': Math.sign,
  'exp': Math.exp,
  'exp2': (x) => 2 ** x,
  'log': Math.log,
  'square-root': Math.sqrt,
  'sine': Math.sin,
  'cosine': Math.cos,
  'tanh': Math.tanh,
  'sigmoid': sigmoid,
  'softplus': (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  'expm1': Math.expm1,
  'log1p': Math.log1p,
  'erf': erf,
  'phi1': phi1,
  'phi2': phi2,
  'to-real': (x) => x,
  'not': (x) => (x === 0 ? 1 : 0),
};

/** Real (or flag) functions of two operands; comparisons and logic give 0 or 1. */
export const binaryFunctions: Readonly<Record<BinaryFunction, (left: number, right: number) => number>> = {
  'add': (left, right) => left + right,
  'subtract': (left, right) => left - right,
  'multiply': (left, right) => left * right,
  'divide': (left, right) => left / right,
  'maximum': (left, right) => Math.max(left, right),
  'minimum': (left, right) => Math.min(left, right),
  'power': (left, right) => left ** right,
  'less': (left, right) => (left < right ? 1 : 0),
  'less-equal': (left, right) => (left <= right ? 1 : 0),
  'equal': (left, right) => (left === right ? 1 : 0),
  'not-equal': (left, right) => (left !== right ? 1 : 0),
  'and': (left, right) => (left !== 0 && right !== 0 ? 1 : 0),
  'or': (left, right) => (left !== 0 || right !== 0 ? 1 : 0),
};

/** Complex functions of one operand, or null where the function has no complex form. */
export function complexUnaryFunction(name: UnaryFunction): ((z: Complex) => Complex) | null {
  if (name === 'negate') return (z) => ({ re: -z.re, im: -z.im });
  if (name === 'exp' || name === 'phi1' || name === 'phi2') return (z) => analyticFunction(name, z);
  if (name === 'expm1') return expm1Complex;
  return null;
}

/** Complex functions of two operands, or null where the function has no complex form. */
export function complexBinaryFunction(name: BinaryFunction): ((left: Complex, right: Complex) => Complex) | null {
  if (name === 'add') return (left, right) => ({ re: left.re + right.re, im: left.im + right.im });
  if (name === 'subtract') return (left, right) => ({ re: left.re - right.re, im: left.im - right.im });
  if (name === 'divide') return divideComplex;
  if (name === 'multiply') {
    return (left, right) => ({
      re: left.re * right.re - left.im * right.im,
      im: left.re * right.im + left.im * right.re,
    });
  }
  return null;
}
