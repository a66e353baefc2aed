/**
 * Numbers as unevaluated sums of two f32 (about 47 bits) for the few places where one rounding is
 * repeated thousands of times: phases and powers of transitions. Operands are split by their bits into
 * halves of 12 bits, so that every product is exact: whether a target contracts a·b + c or not changes
 * nothing. Additions must be done in the written order.
 */
import { add, binary, bitcast, multiply, subtract, unary, type KernelBuilder } from '../kernel/builder.ts';
import type { KernelExpression } from '../kernel/nodes.ts';
import { integerConstant, integerType } from './polynomial.ts';

/** The value high + low, |low| at most half an ulp of high. */
export type DoubleFloat = { readonly high: KernelExpression; readonly low: KernelExpression };

/** Two halves of 12 bits whose sum is x exactly. */
function split(builder: KernelBuilder, x: KernelExpression): DoubleFloat {
  const bits = binary('bit-and', bitcast(x, integerType(x)), integerConstant(-4096, x));
  const high = builder.let('high', bitcast(bits, x.type));
  return { high, low: builder.let('low', subtract(x, high)) };
}

/** a + b exactly. */
function twoSum(builder: KernelBuilder, a: KernelExpression, b: KernelExpression): DoubleFloat {
  const sum = builder.let('sum', add(a, b));
  const part = builder.let('part', subtract(sum, a));
  return { high: sum, low: builder.let('rest', add(subtract(a, subtract(sum, part)), subtract(b, part))) };
}

/** a + b exactly for |a| ≥ |b|. */
function fastTwoSum(builder: KernelBuilder, a: KernelExpression, b: KernelExpression): DoubleFloat {
  const sum = builder.let('sum', add(a, b));
  return { high: sum, low: builder.let('rest', subtract(b, subtract(sum, a))) };
}

/** a · b to 2^-47 for bound f32 values. */
export function exactProduct(builder: KernelBuilder, a: KernelExpression, b: KernelExpression): DoubleFloat {
  const [x, y] = [split(builder, a), split(builder, b)];
  const middle = twoSum(builder, multiply(x.high, y.low), multiply(x.low, y.high));
  const upper = fastTwoSum(builder, multiply(x.high, y.high), middle.high);
  const low = builder.let('low', add(upper.low, add(middle.low, multiply(x.low, y.low))));
  return fastTwoSum(builder, upper.high, low);
}

/** left · right; relative error about 2^-46. */
export function multiplyDouble(builder: KernelBuilder, left: DoubleFloat, right: DoubleFloat): DoubleFloat {
  const product = exactProduct(builder, left.high, right.high);
  const cross = add(multiply(left.high, right.low), multiply(left.low, right.high));
  return fastTwoSum(builder, product.high, builder.let('low', add(product.low, cross)));
}

/** left + right; error about 2^-46 of the larger one. */
export function addDouble(builder: KernelBuilder, left: DoubleFloat, right: DoubleFloat): DoubleFloat {
  const sum = twoSum(builder, left.high, right.high);
  return fastTwoSum(builder, sum.high, builder.let('low', add(sum.low, add(left.low, right.low))));
}

export function negateDouble(operand: DoubleFloat): DoubleFloat {
  return { high: unary('negate', operand.high), low: unary('negate', operand.low) };
}
