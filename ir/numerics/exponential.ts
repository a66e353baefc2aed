/**
 * Exponentials: exp2 as an expansion of the primitive, and exp, expm1 and phi1 = (e^z - 1) / z in
 * terms of arithmetic, so that they keep their relative accuracy near zero, where a quotient of
 * rounded values would cancel (7e-2 relative error of (e^z - 1) / z at z = 1e-6 in f32).
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
import {
  atLeast,
  atMost,
  constant,
  horner,
  integerConstant,
  integerType,
  powerOfTwo,
} from './polynomial.ts';

/** 2^f on |f| <= 1/2, relative error 3.0e-9. */
const exp2Coefficients = [
  1, 0.6931471824645996, 0.24022647738456726, 0.05550359562039375, 0.009618500247597694,
  0.0013390976237133145, 0.00015328907466027886,
];

/** (e^r - 1 - r) / r^2 on |r| <= ln2 / 2, error 1.4e-8 of r. */
const expm1Coefficients = [
  0.5, 0.1666654497385025, 0.04166640341281891, 0.008366401307284832, 0.001394064398482442,
];

/** 1.5 * 2^23: adding it leaves the nearest integer in the low bits of the sum. */
const roundingShift = 12582912;

/** ln 2 in two parts; the first has 9 trailing zero bits, so that k times it is exact for |k| < 2^9. */
const ln2High = 0.693145751953125;
const ln2Low = 1.4286068203094172321e-6;

/**
 * 2^x with at most 1.1 ulp on [-126, 128), infinity from 128 on, NaN for NaN. From -127 down exactly 0
 * (the exponent's bits cancel the whole number), between -127 and -126 within 2^-126 of it: one
 * instruction bounds x, where a comparison and a choice cost four. For targets that keep the written
 * order of additions.
 */
export function expandExp2(builder: KernelBuilder, x: KernelExpression): KernelExpression {
  const floored = builder.let('floored', atLeast(x, -127));
  const bounded = builder.let('bounded', atMost(floored, 128));
  const shifted = builder.let('shifted', add(bounded, constant(roundingShift, x)));
  const fraction = builder.let('fraction', subtract(bounded, subtract(shifted, constant(roundingShift, x))));
  const power = horner(fraction, exp2Coefficients);
  const exponent = binary('shift-left', bitcast(shifted, integerType(x)), integerConstant(23, x));
  return bitcast(add(bitcast(power, integerType(x)), exponent), x.type);
}

type ReducedExponential = {
  /** k as a float, x = k ln2 + r */
  readonly count: KernelExpression;
  /** e^r - 1 */
  readonly rest: KernelExpression;
};

function reduceExponential(builder: KernelBuilder, x: KernelExpression): ReducedExponential {
  const count = builder.let(
    'count',
    unary('floor', add(multiply(x, constant(Math.LOG2E, x)), constant(0.5, x))),
  );
  const high = subtract(x, multiply(count, constant(ln2High, x)));
  const r = builder.let('r', subtract(high, multiply(count, constant(ln2Low, x))));
  const rest = add(r, multiply(multiply(r, r), horner(r, expm1Coefficients)));
  return { count, rest: builder.let('rest', rest) };
}

/**
 * e^x with at most 2 ulp at every x (2^(x log2 e) loses |x| / 2 ulp); 0 below -87.3, infinity from
 * 88.73 on. What recurrences compute per token is an exponent of 2 already and does not come here.
 */
export function lowerExponential(builder: KernelBuilder, x: KernelExpression): KernelExpression {
  const bounded = builder.let('bounded', atMost(atLeast(x, -87), 89.5));
  const { count, rest } = reduceExponential(builder, bounded);
  const halfScale = builder.let('scale', powerOfTwo(subtract(convert(count, integerType(x)), integerConstant(1, x)), x));
  const half = builder.let('half', add(halfScale, multiply(halfScale, rest)));
  const large = select(binary('less', constant(88.8, x), x), multiply(x, constant(3e38, x)), add(half, half));
  return select(binary('less', x, constant(-87, x)), constant(0, x), large);
}

/** e^x - 1 with at most 3 ulp: 2^k (e^r - 1) + (2^k - 1). Overflows to infinity from 88.73 on. */
export function expandExpm1(builder: KernelBuilder, x: KernelExpression): KernelExpression {
  const bounded = builder.let('bounded', atMost(atLeast(x, -20), 88.8));
  const { count, rest } = reduceExponential(builder, bounded);
  const halfScale = builder.let(
    'scale',
    powerOfTwo(subtract(convert(count, integerType(x)), integerConstant(1, x)), x),
  );
  const value = add(multiply(halfScale, rest), subtract(halfScale, constant(0.5, x)));
  // 3e38 x overflows where e^x does; an infinite literal is refused by WGSL
  return select(binary('less', constant(88.8, x), x), multiply(x, constant(3e38, x)), add(value, value));
}

/** (e^z - 1) / z with at most 5 ulp, 1 at z = 0. */
export function expandPhi1(builder: KernelBuilder, z: KernelExpression): KernelExpression {
  const isSmall = builder.let('isSmall', binary('less', unary('absolute', z), constant(1e-4, z)));
  const series = add(constant(1, z), multiply(constant(0.5, z), z));
  const quotient = divide(expandExpm1(builder, z), select(isSmall, constant(1, z), z));
  return select(isSmall, series, quotient);
}
