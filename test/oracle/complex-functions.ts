/**
 * The scalar functions of the language and their derivatives in float64, real and complex, written
 * from their definitions. The oracle's own copy: nothing here is shared with the compiler, so that a
 * wrong formula cannot agree with itself.
 */

/** A complex number; `im` is 0 for reals. */
export type Complex = { readonly re: number; readonly im: number };

/** Value and derivative of one holomorphic (or real) function. */
export type ScalarFunction = {
  readonly value: (z: Complex) => Complex;
  readonly derivative: (z: Complex) => Complex;
  /**
   * Sizes of the terms whose sum the derivative is, where they cancel: each is rounded by its own size,
   * so near a zero of the derivative the error does not shrink with it.
   */
  readonly slopeTerms?: (x: number) => number;
};

export const complexOf = (re: number, im: number = 0): Complex => ({ re, im });

export const multiplyComplex = (a: Complex, b: Complex): Complex =>
  complexOf(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re);

export const addComplex = (a: Complex, b: Complex): Complex => complexOf(a.re + b.re, a.im + b.im);

export const modulus = (z: Complex): number => (z.im === 0 ? Math.abs(z.re) : Math.hypot(z.re, z.im));

/** a / b by scaling with the larger part of b, so that the squares cannot overflow. */
export function divideComplex(a: Complex, b: Complex): Complex {
  if (a.im === 0 && b.im === 0) return complexOf(a.re / b.re);
  if (Math.abs(b.re) >= Math.abs(b.im)) {
    const ratio = b.im / b.re;
    const scale = b.re + b.im * ratio;
    return complexOf((a.re + a.im * ratio) / scale, (a.im - a.re * ratio) / scale);
  }
  const ratio = b.re / b.im;
  const scale = b.re * ratio + b.im;
  return complexOf((a.re * ratio + a.im) / scale, (a.im * ratio - a.re) / scale);
}

export function expComplex(z: Complex): Complex {
  const scale = Math.exp(z.re);
  return z.im === 0 ? complexOf(scale) : complexOf(scale * Math.cos(z.im), scale * Math.sin(z.im));
}

/** e^z − 1 without the cancellation near 0. */
function expm1Complex(z: Complex): Complex {
  if (z.im === 0) return complexOf(Math.expm1(z.re));
  const half = Math.sin(z.im / 2);
  return complexOf(Math.expm1(z.re) * Math.cos(z.im) - 2 * half * half, Math.exp(z.re) * Math.sin(z.im));
}

function logComplex(z: Complex): Complex {
  return z.im === 0 && z.re >= 0 ? complexOf(Math.log(z.re)) : complexOf(Math.log(modulus(z)), Math.atan2(z.im, z.re));
}

function sqrtComplex(z: Complex): Complex {
  if (z.im === 0 && z.re >= 0) return complexOf(Math.sqrt(z.re));
  const half = complexOf(Math.sqrt((modulus(z) + Math.abs(z.re)) / 2));
  if (z.re >= 0) return complexOf(half.re, z.im / (2 * half.re));
  return complexOf(Math.abs(z.im) / (2 * half.re), z.im >= 0 ? half.re : -half.re);
}

/** Sum of coefficient(k)·z^k, k = 0…24: enough for |z| ≤ 1 where the coefficients fall like 1/k!. */
function powerSeries(z: Complex, coefficient: (k: number) => number): Complex {
  let sum = complexOf(0);
  for (let k = 24; k >= 0; k--) sum = addComplex(multiplyComplex(sum, z), complexOf(coefficient(k)));
  return sum;
}

function factorial(n: number): number {
  let product = 1;
  for (let k = 2; k <= n; k++) product *= k;
  return product;
}

/** φ₁(z) = (e^z − 1)/z with φ₁(0) = 1: the weight of a held input over one step. */
export const phi1: ScalarFunction = {
  value: (z) =>
    modulus(z) < 1 ? powerSeries(z, (k) => 1 / factorial(k + 1)) : divideComplex(expm1Complex(z), z),
  // φ₁' = (e^z − φ₁)/z = Σ (k+1)/(k+2)! z^k
  derivative: (z) => {
    if (modulus(z) < 1) return powerSeries(z, (k) => (k + 1) / factorial(k + 2));
    const value = divideComplex(expm1Complex(z), z);
    const growth = expComplex(z);
    return divideComplex(complexOf(growth.re - value.re, growth.im - value.im), z);
  },
};

/** The error function: Maclaurin series below 2.5, the continued fraction of erfc above. */
export function erf(x: number): number {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  if (size > 2.5) return Math.sign(x) * (1 - erfcTail(size));
  let term = x;
  let sum = x;
  for (let k = 1; k < 80; k++) {
    term *= (-x * x) / k;
    sum += term / (2 * k + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** erfc for x > 2 by Lentz' continued fraction, evaluated from far down. */
function erfcTail(x: number): number {
  let fraction = 0;
  for (let k = 120; k >= 1; k--) fraction = k / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}

/** Φ(x), the normal distribution, also for very negative x where 1 + erf would cancel. */
function normalDistribution(x: number): number {
  const scaled = -x / Math.SQRT2;
  return scaled > 2 ? erfcTail(scaled) / 2 : (1 + erf(x / Math.SQRT2)) / 2;
}

const normalDensity = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
const sigmoid = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

function realFunction(value: (x: number) => number, derivative: (x: number) => number): ScalarFunction {
  return { value: (z) => complexOf(value(z.re)), derivative: (z) => complexOf(derivative(z.re)) };
}

/** cosh and sinh are only needed for sin and cos of complex arguments. */
function sinComplex(z: Complex): Complex {
  if (z.im === 0) return complexOf(Math.sin(z.re));
  return complexOf(Math.sin(z.re) * Math.cosh(z.im), Math.cos(z.re) * Math.sinh(z.im));
}

function cosComplex(z: Complex): Complex {
  if (z.im === 0) return complexOf(Math.cos(z.re));
  return complexOf(Math.cos(z.re) * Math.cosh(z.im), -Math.sin(z.re) * Math.sinh(z.im));
}

const negative = (z: Complex): Complex => complexOf(-z.re, -z.im);
const inverse = (z: Complex): Complex => divideComplex(complexOf(1), z);

/** Every function of one operand; `abs`, `real`, `imag`, `conj` are not holomorphic and live in tape-operations. */
export const scalarFunctions: ReadonlyMap<string, ScalarFunction> = new Map<string, ScalarFunction>([
  ['exp', { value: expComplex, derivative: expComplex }],
  ['log', { value: logComplex, derivative: inverse }],
  ['sqrt', { value: sqrtComplex, derivative: (z) => divideComplex(complexOf(0.5), sqrtComplex(z)) }],
  ['sin', { value: sinComplex, derivative: cosComplex }],
  ['cos', { value: cosComplex, derivative: (z) => negative(sinComplex(z)) }],
  ['expm1', { value: expm1Complex, derivative: expComplex }],
  ['square', { value: (z) => multiplyComplex(z, z), derivative: (z) => complexOf(2 * z.re, 2 * z.im) }],
  ['log1p', realFunction(Math.log1p, (x) => 1 / (1 + x))],
  ['tanh', { ...realFunction(Math.tanh, (x) => 1 / Math.cosh(x) ** 2), slopeTerms: (x) => 1 + Math.tanh(x) ** 2 }],
  ['sign', realFunction(Math.sign, () => 0)],
  ['sigmoid', { ...realFunction(sigmoid, (x) => sigmoid(x) * sigmoid(-x)), slopeTerms: (x) => sigmoid(x) * (1 + sigmoid(x)) }],
  ['softplus', realFunction(softplus, sigmoid)],
  ['silu', {
    ...realFunction((x) => x * sigmoid(x), (x) => sigmoid(x) * (1 + x * sigmoid(-x))),
    slopeTerms: (x) => sigmoid(x) * (1 + Math.abs(x) * sigmoid(-x)),
  }],
  ['relu', realFunction((x) => Math.max(x, 0), (x) => (x > 0 ? 1 : 0))],
  ['gelu', {
    ...realFunction((x) => x * normalDistribution(x), (x) => normalDistribution(x) + x * normalDensity(x)),
    slopeTerms: (x) => normalDistribution(x) + Math.abs(x) * normalDensity(x),
  }],
  ['log_sigmoid', realFunction((x) => -softplus(-x), (x) => sigmoid(-x))],
  ['phi1', phi1],
]);
