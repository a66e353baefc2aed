/**
 * Sine and cosine of radians. The multiple of pi/2 is removed with products that are exact in f32
 * without a fused multiply-add: the count k (up to 20 bits) is split in two halves of 10 bits, and
 * pi/2 in parts of 14, 14 and 24 bits, so the phase keeps 1e-8 of a turn up to |x| = 2^20. Larger
 * arguments (whose spacing exceeds 1/16) are taken as 0; infinities and NaN give NaN.
 */
import {
  add,
  binary,
  convert,
  multiply,
  select,
  subtract,
  unary,
  type KernelBuilder,
} from '../kernel/builder.ts';
import type { KernelExpression } from '../kernel/nodes.ts';
import { constant, horner, integerConstant, integerType } from './polynomial.ts';

/** (sin r - r) / r^3 by r^2 on |r| <= pi/4 + 0.02, error 4.6e-9. */
const sineCoefficients = [-0.16666653752326965, 0.008332086727023125, -0.00019503748626448214];

/** (cos r - 1 + r^2/2) / r^4 by r^2, error 1.4e-10. */
const cosineCoefficients = [0.04166664183139801, -0.001388711971230805, 0.000024410059268120676];

/** pi/2 in three parts of 14, 14 and 24 bits. */
const halfPiHigh = Math.floor((Math.PI / 2) * 2 ** 13) / 2 ** 13;
const halfPiMiddle = Math.floor((Math.PI / 2 - halfPiHigh) * 2 ** 27) / 2 ** 27;
const halfPiLow = Math.PI / 2 - halfPiHigh - halfPiMiddle + 6.123233995736766e-17;

const largestArgument = 2 ** 20;

type Reduced = {
  readonly sine: KernelExpression;
  readonly cosine: KernelExpression;
  /** x = quadrant pi/2 + r */
  readonly quadrant: KernelExpression;
};

/** Sine and cosine of a bound |r| ≤ π/4 + 0.02, each within 6e-8. */
export function expandSmallAngle(builder: KernelBuilder, r: KernelExpression): { readonly sine: KernelExpression; readonly cosine: KernelExpression } {
  const square = builder.let('square', multiply(r, r));
  const sine = add(r, multiply(multiply(square, r), horner(square, sineCoefficients)));
  const even = add(constant(-0.5, r), multiply(square, horner(square, cosineCoefficients)));
  return { sine, cosine: add(constant(1, r), multiply(square, even)) };
}

function reduceAngle(builder: KernelBuilder, angle: KernelExpression): Reduced {
  const inside = binary('less-equal', unary('absolute', angle), constant(largestArgument, angle));
  const x = builder.let('x', select(inside, angle, multiply(angle, constant(0, angle))));
  const k = builder.let('k', unary('floor', add(multiply(x, constant(2 / Math.PI, x)), constant(0.5, x))));
  const thousands = unary('floor', add(multiply(k, constant(1 / 1024, x)), constant(0.5, x)));
  const upper = builder.let('upper', multiply(thousands, constant(1024, x)));
  const lower = builder.let('lower', subtract(k, upper));
  const first = subtract(
    subtract(x, multiply(upper, constant(halfPiHigh, x))),
    multiply(lower, constant(halfPiHigh, x)),
  );
  const second = subtract(
    subtract(first, multiply(upper, constant(halfPiMiddle, x))),
    multiply(lower, constant(halfPiMiddle, x)),
  );
  const r = builder.let('r', subtract(second, multiply(k, constant(halfPiLow, x))));
  const { sine, cosine } = expandSmallAngle(builder, r);
  return { sine, cosine, quadrant: builder.let('quadrant', convert(k, integerType(x))) };
}

/** The sine after `quadrant` turns of π/2; for the cosine give one more. */
export function pickQuadrant(
  builder: KernelBuilder,
  parts: Pick<Reduced, 'sine' | 'cosine'>,
  quadrant: KernelExpression,
): KernelExpression {
  const bit = (mask: number): KernelExpression =>
    binary(
      'not-equal',
      binary('bit-and', quadrant, integerConstant(mask, quadrant)),
      integerConstant(0, quadrant),
    );
  const value = builder.let('value', select(bit(1), parts.cosine, parts.sine));
  return select(bit(2), unary('negate', value), value);
}

/** sin x, absolute error below 1.2e-7 for |x| <= 2^20. */
export function expandSine(builder: KernelBuilder, x: KernelExpression): KernelExpression {
  const parts = reduceAngle(builder, x);
  return pickQuadrant(builder, parts, parts.quadrant);
}

/** cos x, absolute error below 1.2e-7 for |x| <= 2^20. */
export function expandCosine(builder: KernelBuilder, x: KernelExpression): KernelExpression {
  const parts = reduceAngle(builder, x);
  return pickQuadrant(builder, parts, builder.let('quadrant', add(parts.quadrant, integerConstant(1, x))));
}
