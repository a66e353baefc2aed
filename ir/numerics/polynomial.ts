/**
 * Small parts that all expansions share: constants of the operand's type, Horner's rule, bit access
 * to floats. Coefficients of the expansions come from tools/fit-polynomials.ts.
 */
import { add, binary, bitcast, literal, multiply, select } from '../kernel/builder.ts';
import type { KernelExpression, KernelType } from '../kernel/nodes.ts';

/** A float constant in every lane of `like`'s type, rounded to f32. */
export function constant(value: number, like: KernelExpression): KernelExpression {
  return literal(Math.fround(value), like.type);
}

/** The i32 type with as many lanes as `like`. */
export function integerType(like: KernelExpression): KernelType {
  return { element: 'i32', width: like.type.width };
}

/** An i32 constant in as many lanes as `like`. */
export function integerConstant(value: number, like: KernelExpression): KernelExpression {
  return literal(value, integerType(like));
}

/** The float whose bits are `bits` (also infinities and NaN, which a literal cannot name on every target). */
export function constantOfBits(bits: number, like: KernelExpression): KernelExpression {
  return bitcast(integerConstant(bits | 0, like), like.type);
}

/** c0 + x (c1 + x (c2 + …)); `x` must be a bound value. */
export function horner(x: KernelExpression, coefficients: readonly number[]): KernelExpression {
  const reversed = [...coefficients].reverse();
  const [highest = 0, ...rest] = reversed;
  return rest.reduce((sum, each) => add(multiply(sum, x), constant(each, x)), constant(highest, x));
}

/** 2^k for an integer -126 <= k <= 127. */
export function powerOfTwo(k: KernelExpression, like: KernelExpression): KernelExpression {
  const biased = add(k, integerConstant(127, like));
  return bitcast(binary('shift-left', biased, integerConstant(23, like)), like.type);
}

/** `x`, but `bound` where x < bound; a NaN stays (which `maximum` does not promise on every target). */
export function atLeast(x: KernelExpression, bound: number): KernelExpression {
  return select(binary('less', x, constant(bound, x)), constant(bound, x), x);
}

/** `x`, but `bound` where x > bound; a NaN stays. */
export function atMost(x: KernelExpression, bound: number): KernelExpression {
  return select(binary('less', constant(bound, x), x), constant(bound, x), x);
}
