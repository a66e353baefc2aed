/**
 * Activations and the error function, built on the exponentials and logarithms of this folder. All
 * take their exponential of -|x| or so, so that nothing overflows in between.
 */
import {
  add,
  binary,
  divide,
  literal,
  multiply,
  select,
  subtract,
  unary,
  type KernelBuilder,
} from '../kernel/builder.ts';
import type { KernelExpression } from '../kernel/nodes.ts';
import { expandExpm1 } from './exponential.ts';
import { expandLog1pRatio } from './logarithm.ts';
import { atMost, constant, horner } from './polynomial.ts';

/** erf(x) / x by x^2 on |x| <= 0.95, error 5.9e-8. */
const erfCoefficients = [
  1.128379225730896, -0.37613099813461304, 0.1128966212272644, -0.027139227837324142, 0.005794935394078493,
  -0.0013957383343949914, 0.00029732854454778135,
];

/** -log2(erfc x) / x on [0.94, 4], weighted error 2.6e-10. */
const erfcCoefficients = [
  1.6281760931015015, 0.9169209003448486, 0.1520407497882843, -0.03289950266480446, 0.0043427906930446625,
  -0.00011317939060973004, -0.00005761411739513278, 0.000006457722065533744,
];

const isNegative = (x: KernelExpression): KernelExpression => binary('less', x, constant(0, x));

/** max(x, 0), NaN for NaN. */
export function lowerRelu(_builder: KernelBuilder, x: KernelExpression): KernelExpression {
  return select(isNegative(x), constant(0, x), x);
}

/**
 * ln(1 + e^x) = max(x, 0) + log1p(e^-|x|), at most 3 ulp and, below 0, as many more as the rounded exponent
 * of 2 costs: 3 |x| / 4. The polynomial needs no choice between ranges.
 */
export function expandSoftplus(builder: KernelBuilder, x: KernelExpression): KernelExpression {
  const exponent = multiply(unary('absolute', x), constant(-Math.LOG2E, x));
  const decay = builder.let('decay', unary('exp2', exponent));
  return add(multiply(decay, expandLog1pRatio(decay)), lowerRelu(builder, x));
}

/** ln(sigmoid x) = -softplus(-x). */
export function lowerLogSigmoid(builder: KernelBuilder, x: KernelExpression): KernelExpression {
  return unary('negate', expandSoftplus(builder, builder.let('opposite', unary('negate', x))));
}

/** 1 / (1 + e^-x): where e^-x overflows, the quotient is 0. */
export function lowerSigmoid(_builder: KernelBuilder, x: KernelExpression): KernelExpression {
  const exponential = unary('exp2', multiply(x, constant(-Math.LOG2E, x)));
  return divide(constant(1, x), add(constant(1, x), exponential));
}

/** x sigmoid(x). */
export function lowerSilu(builder: KernelBuilder, x: KernelExpression): KernelExpression {
  return multiply(x, lowerSigmoid(builder, x));
}

/** tanh |x| = -t / (t + 2) with t = expm1(-2 |x|); at most 5 ulp. */
export function expandTanh(builder: KernelBuilder, x: KernelExpression): KernelExpression {
  const doubled = builder.let('doubled', multiply(unary('absolute', x), constant(-2, x)));
  const t = builder.let('t', expandExpm1(builder, doubled));
  const size = builder.let('size', divide(subtract(constant(0, x), t), add(t, constant(2, x))));
  return select(isNegative(x), unary('negate', size), size);
}

/** erf x, absolute error 1.5e-7 and relative error 1e-6. */
export function expandErf(builder: KernelBuilder, x: KernelExpression): KernelExpression {
  const size = builder.let('size', atMost(unary('absolute', x), 4));
  const square = builder.let('square', multiply(size, size));
  const near = multiply(size, horner(square, erfCoefficients));
  const exponent = unary('negate', multiply(size, horner(size, erfcCoefficients)));
  const far = subtract(constant(1, x), unary('exp2', exponent));
  const value = builder.let('value', select(binary('less', size, constant(0.945, x)), near, far));
  return select(isNegative(x), unary('negate', value), value);
}

/** x (1 + erf(x / sqrt 2)) / 2. */
export function lowerGelu(builder: KernelBuilder, x: KernelExpression): KernelExpression {
  const scaled = builder.let('scaled', multiply(x, constant(Math.SQRT1_2, x)));
  return multiply(multiply(constant(0.5, x), x), add(constant(1, x), expandErf(builder, scaled)));
}

/** -1, 0 or 1. */
export function lowerSign(_builder: KernelBuilder, x: KernelExpression): KernelExpression {
  const positive = select(binary('less', constant(0, x), x), constant(1, x), literal(0, x.type));
  return select(isNegative(x), constant(-1, x), positive);
}
