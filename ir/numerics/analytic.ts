/**
 * Analytic functions of a complex number given as (re, im), and φ₂ of a real one:
 *   exp z,  φ₁(z) = (e^z − 1)/z,  φ₂(z) = (e^z − 1 − z)/z².
 * Near 0 the quotients cancel, so below |z| = 1/2 their power series is summed (Horner, complex);
 * elsewhere e^z − 1 is formed without cancellation as expm1(x)cos y − 2 sin²(y/2) + i e^x sin y.
 * e^z itself is 1 + (e^z − 1), so that slow modes keep the accuracy of e^z − 1.
 * Relative error of φ₁ and φ₂: a few 1e-7.
 */
import { add, binary, divide, literal, multiply, select, subtract, unary, type KernelBuilder } from '../kernel/builder.ts';
import type { KernelExpression } from '../kernel/nodes.ts';
import { lowerFunction } from './index.ts';

type Pair = readonly [KernelExpression, KernelExpression];

const seriesTerms = 9;

/** Coefficients 1/(k+order)! of φ_order, k = 0…seriesTerms−1. */
function seriesOf(order: 1 | 2): readonly number[] {
  let factorial = order === 1 ? 1 : 2;
  return Array.from({ length: seriesTerms }, (_, k) => {
    if (k > 0) factorial *= k + order;
    return 1 / factorial;
  });
}

const constant = (value: number, like: KernelExpression): KernelExpression => literal(value, like.type);

function product(a: Pair, b: Pair): Pair {
  return [subtract(multiply(a[0], b[0]), multiply(a[1], b[1])), add(multiply(a[0], b[1]), multiply(a[1], b[0]))];
}

function complexSeries(builder: KernelBuilder, order: 1 | 2, z: Pair): Pair {
  const coefficients = [...seriesOf(order)].reverse();
  let sum: Pair = [constant(coefficients[0] ?? 0, z[0]), constant(0, z[0])];
  for (const coefficient of coefficients.slice(1)) {
    const [re, im] = product(sum, z);
    sum = [builder.let('series_re', add(re, constant(coefficient, z[0]))), builder.let('series_im', im)];
  }
  return sum;
}

/** [re, im] of f(re + i·im); operands bound, of equal width. */
export function lowerAnalytic(builder: KernelBuilder, name: 'exp' | 'phi1' | 'phi2', re: KernelExpression, im: KernelExpression): Pair {
  const expm1 = builder.let('expm1', lowerFunction(builder, 'expm1', re));
  const grown = builder.let('grown', add(expm1, constant(1, re)));
  const [sine, cosine] = [builder.let('sine', unary('sine', im)), builder.let('cosine', unary('cosine', im))];
  const half = builder.let('half', unary('sine', multiply(im, constant(0.5, im))));
  const minusOne: Pair = [
    builder.let('minus_one_re', subtract(multiply(expm1, cosine), multiply(constant(2, re), multiply(half, half)))),
    builder.let('minus_one_im', multiply(grown, sine)),
  ];
  // near z = 0 only this sum rounds: an error of a decay grows with the number of tokens
  if (name === 'exp') return [add(constant(1, re), minusOne[0]), minusOne[1]];
  const norm = builder.let('norm', add(multiply(re, re), multiply(im, im)));
  const isSmall = builder.let('is_small', binary('less', norm, constant(0.25, re)));
  const safe = builder.let('safe', select(isSmall, constant(1, re), norm));
  const quotient = (top: Pair): Pair => {
    const [a, b] = product(top, [re, unary('negate', im)]);
    return [builder.let('quotient_re', divide(a, safe)), builder.let('quotient_im', divide(b, safe))];
  };
  const first = quotient(minusOne);
  const far = name === 'phi1' ? first : quotient([subtract(first[0], constant(1, re)), first[1]]);
  const near = complexSeries(builder, name === 'phi1' ? 1 : 2, [re, im]);
  return [select(isSmall, near[0], far[0]), select(isSmall, near[1], far[1])];
}

/** φ₂ of a real number. */
export function lowerPhi2(builder: KernelBuilder, operand: KernelExpression): KernelExpression {
  const x = builder.let('x', operand);
  const isSmall = builder.let('is_small', binary('less', unary('absolute', x), constant(0.5, x)));
  const safe = builder.let('safe', select(isSmall, constant(1, x), x));
  const far = divide(subtract(divide(lowerFunction(builder, 'expm1', x), safe), constant(1, x)), safe);
  const coefficients = [...seriesOf(2)].reverse();
  let near: KernelExpression = constant(coefficients[0] ?? 0, x);
  for (const coefficient of coefficients.slice(1)) near = builder.let('series', add(multiply(near, x), constant(coefficient, x)));
  return select(isSmall, near, far);
}
