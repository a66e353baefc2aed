/**
 * Conversions between f32 and the 16-bit storage types by integer operations, as expansions for
 * scalars and vectors. Narrowing rounds to nearest even, overflows to infinity, and keeps NaN.
 */
import {
  add,
  binary,
  bitcast,
  literal,
  multiply,
  select,
  subtract,
  type KernelBuilder,
} from '../../../ir/kernel/builder.ts';
import { f32, i32, withWidth, type KernelExpression } from '../../../ir/kernel/nodes.ts';

const integer = (value: number, like: KernelExpression): KernelExpression =>
  literal(value | 0, withWidth(i32, like.type.width));
const asFloat = (bits: KernelExpression): KernelExpression =>
  bitcast(bits, withWidth(f32, bits.type.width));
const asBits = (value: KernelExpression): KernelExpression =>
  bitcast(value, withWidth(i32, value.type.width));
const and = (value: KernelExpression, mask: number): KernelExpression =>
  binary('bit-and', value, integer(mask, value));
const shiftLeft = (value: KernelExpression, by: number): KernelExpression =>
  binary('shift-left', value, integer(by, value));
const shiftRight = (value: KernelExpression, by: number): KernelExpression =>
  binary('shift-right', value, integer(by, value));

/** f32 from the 16 bits of a bf16 in an i32. */
export function widenBfloat(_builder: KernelBuilder, bits: KernelExpression): KernelExpression {
  return asFloat(shiftLeft(bits, 16));
}

/** The 16 bits of the nearest bf16, in an i32. */
export function narrowBfloat(builder: KernelBuilder, value: KernelExpression): KernelExpression {
  const bits = builder.let('bits', asBits(value));
  const odd = and(shiftRight(bits, 16), 1);
  const rounded = shiftRight(add(bits, add(odd, integer(0x7fff, bits))), 16);
  const quiet = binary('bit-or', shiftRight(bits, 16), integer(0x40, bits));
  return and(select(binary('equal', value, value), rounded, quiet), 0xffff);
}

/** f32 from the 16 bits of an f16 in an i32: the exponent is moved by a multiplication with 2^112. */
export function widenHalf(builder: KernelBuilder, bits: KernelExpression): KernelExpression {
  const magnitude = builder.let('magnitude', shiftLeft(and(bits, 0x7fff), 13));
  const sign = shiftLeft(and(bits, 0x8000), 16);
  const scaled = asBits(multiply(asFloat(magnitude), literal(2 ** 112, withWidth(f32, bits.type.width))));
  const special = binary('bit-or', magnitude, integer(0x7f800000, bits));
  const isFinite = binary('less', magnitude, integer(0x0f800000, bits));
  return asFloat(binary('bit-or', select(isFinite, scaled, special), sign));
}

/** The 16 bits of the nearest f16, in an i32. */
export function narrowHalf(builder: KernelBuilder, value: KernelExpression): KernelExpression {
  const bits = builder.let('bits', asBits(value));
  const magnitude = builder.let('magnitude', and(bits, 0x7fffffff));
  const sign = and(shiftRight(bits, 16), 0x8000);
  const odd = and(shiftRight(magnitude, 13), 1);
  const normal = shiftRight(add(magnitude, add(odd, integer(0xc8000fff, bits))), 13);
  // adding 1/2 leaves the f16 subnormal in the low bits, rounded by the addition itself
  const shifted = add(asFloat(magnitude), literal(0.5, withWidth(f32, bits.type.width)));
  const subnormal = subtract(asBits(shifted), integer(0x3f000000, bits));
  const finite = select(binary('less', magnitude, integer(0x38800000, bits)), subnormal, normal);
  const special = select(
    binary('less', integer(0x7f800000, bits), magnitude),
    integer(0x7e00, bits),
    integer(0x7c00, bits),
  );
  return binary(
    'bit-or',
    select(binary('less', magnitude, integer(0x47800000, bits)), finite, special),
    sign,
  );
}
