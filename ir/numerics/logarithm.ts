/**
 * Logarithms: log2 as an expansion of the primitive, and log, log1p. The argument is split into
 * 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), so that k = 0 around 1 and nothing cancels there.
 */
import {
  add,
  binary,
  bitcast,
  convert,
  divide,
  multiply,
  select,
  subtract,
  unary,
  type KernelBuilder,
} from '../kernel/builder.ts';
import type { KernelExpression } from '../kernel/nodes.ts';
import { constant, constantOfBits, horner, integerConstant, integerType } from './polynomial.ts';

/** (log1p(f) - f + f^2 / 2) / f^3, error 5.9e-9 of f. */
const log1pCoefficients = [
  0.33333316445350647, -0.25000810623168945, 0.20002301037311554, -0.16624556481838226, 0.14180965721607208,
  -0.13128557801246643, 0.12882739305496216, -0.0786115899682045,
];

/** (log2(1 + f) - (f - f^2 / 2) log2 e) / f^3, error 8.5e-9 of f. */
const log2Coefficients = [
  0.4808981120586395, -0.36068546772003174, 0.28857165575027466, -0.23984086513519287, 0.20459763705730438,
  -0.18942078948020935, 0.18580789864063263, -0.11331594735383987,
];

const ln2High = 0.693145751953125;
const ln2Low = 1.4286068203094172321e-6;

/** log2 e = 1.4375 + this; the first part has 5 bits. */
const log2eLow = 0.00519504088896340736;

/** Bits of sqrt(1/2). */
const rootHalfBits = 0x3f3504f3;

type SplitNumber = { readonly exponent: KernelExpression; readonly mantissa: KernelExpression };

/** x = 2^exponent * mantissa, mantissa in [sqrt(1/2), sqrt(2)); x a positive normal number. */
function splitNumber(builder: KernelBuilder, x: KernelExpression): SplitNumber {
  const bits = builder.let('bits', bitcast(x, integerType(x)));
  const exponent = builder.let(
    'exponent',
    binary('shift-right', subtract(bits, integerConstant(rootHalfBits, x)), integerConstant(23, x)),
  );
  const mantissaBits = subtract(bits, binary('shift-left', exponent, integerConstant(23, x)));
  return { exponent, mantissa: builder.let('mantissa', bitcast(mantissaBits, x.type)) };
}

/** log2 x with at most 2 ulp, exact at powers of two; -infinity at 0, NaN below, subnormal numbers included. */
export function expandLog2(builder: KernelBuilder, x: KernelExpression): KernelExpression {
  const isSubnormal = builder.let('isSubnormal', binary('less', x, constant(2 ** -126, x)));
  const scaled = builder.let('scaled', select(isSubnormal, multiply(x, constant(2 ** 23, x)), x));
  const { exponent, mantissa } = splitNumber(builder, scaled);
  const f = builder.let('f', subtract(mantissa, constant(1, x)));
  const count = add(convert(exponent, x.type), select(isSubnormal, constant(-23, x), constant(0, x)));
  const square = builder.let('square', multiply(f, f));
  // f log2 e + f^2 q, with the product by log2 e in two parts
  const q = add(constant(-Math.LOG2E / 2, x), multiply(f, horner(f, log2Coefficients)));
  const low = add(multiply(f, constant(log2eLow, x)), multiply(square, q));
  const value = add(count, add(multiply(f, constant(1.4375, x)), low));
  const unbounded = select(binary('less', constantOfBits(0x7f7fffff, x), x), x, value);
  const nonPositive = select(
    binary('equal', x, constant(0, x)),
    constantOfBits(0xff800000, x),
    constantOfBits(0x7fc00000, x),
  );
  const isPositive = binary('less', constant(0, x), x);
  const isNumber = binary('equal', x, x);
  return select(isNumber, select(isPositive, unbounded, nonPositive), x);
}

/** ln x as log2 x times ln 2. */
export function lowerLogarithm(_builder: KernelBuilder, x: KernelExpression): KernelExpression {
  return multiply(unary('log2', x), constant(Math.LN2, x));
}

/**
 * ln(1 + x) with at most 3 ulp for -1 < x. What 1 + x rounds away is added as (x - (u - 1)) / u,
 * u = 1 + x (the form of the FreeBSD library).
 */
export function expandLog1p(builder: KernelBuilder, x: KernelExpression): KernelExpression {
  const isInside = binary(
    'and',
    binary('less', constant(-1, x), x),
    binary('less', x, constantOfBits(0x7f7fffff, x)),
  );
  const isRegular = builder.let('isRegular', isInside);
  const u = builder.let('u', select(isRegular, add(constant(1, x), x), constant(1, x)));
  const { exponent, mantissa } = splitNumber(builder, u);
  const isNear = builder.let('isNear', binary('equal', exponent, integerConstant(0, x)));
  const isLarge = binary('less', constant(1, x), x);
  const lost = select(
    isLarge,
    subtract(constant(1, x), subtract(u, x)),
    subtract(x, subtract(u, constant(1, x))),
  );
  const correction = builder.let('correction', select(isNear, constant(0, x), divide(lost, u)));
  const f = builder.let('f', select(isNear, x, subtract(mantissa, constant(1, x))));
  const count = builder.let('count', convert(exponent, x.type));
  const square = builder.let('square', multiply(f, f));
  const cubic = subtract(
    multiply(multiply(square, f), horner(f, log1pCoefficients)),
    multiply(constant(0.5, x), square),
  );
  const low = add(cubic, add(correction, multiply(count, constant(ln2Low, x))));
  const value = add(multiply(count, constant(ln2High, x)), add(f, low));
  // -1 / 0 is -infinity, the root of a negative number NaN
  const below = divide(constant(-1, x), unary('square-root', add(constant(1, x), x)));
  const outside = select(binary('less', constant(-1, x), x), x, below);
  return select(isRegular, value, outside);
}

/** ln(1 + x) / x on [0, 1], relative error 3.3e-8. */
const unitCoefficients = [
  1, -0.49999648332595825, 0.33321329951286316, -0.24857217073440552, 0.1915384829044342, -0.13754187524318695,
  0.07920882850885391, -0.030068300664424896, 0.005365422461181879,
];

/** ln(1 + x) / x for 0 <= x <= 1 with at most 2 ulp, NaN for NaN: one polynomial, nothing to choose. */
export function expandLog1pRatio(x: KernelExpression): KernelExpression {
  return horner(x, unitCoefficients);
}
