/**
 * Masks of low bits as unsigned remainders, the form whose range WGSL compilers know. A compiler clamps
 * every index that it cannot prove to lie inside of its array; Tint follows sums, products, quotients,
 * shifts and remainders of the invocation's number, of constants and of counting loops, but not `&`. One
 * mask in an index used to cost a comparison per access, and kept drivers from joining neighbouring
 * accesses: half of the time of a scan. Exact for every operand: the low bits of a two's complement
 * number are its unsigned remainder. Drivers turn the remainder into the same mask.
 */
import { convert, literal } from '../../../ir/kernel/builder.ts';
import { i32, u32, type Kernel, type KernelExpression } from '../../../ir/kernel/nodes.ts';
import { rewriteHoisting } from './hoist.ts';

function raiseMask(expression: KernelExpression): KernelExpression {
  if (expression.kind !== 'binary' || expression.operator !== 'bit-and') return expression;
  const { left, right, type } = expression;
  if (type.element !== 'i32' || type.width !== 1 || right.kind !== 'literal') return expression;
  const count = right.value + 1;
  if (count < 2 || !Number.isInteger(Math.log2(count))) return expression;
  return convert({ kind: 'binary', operator: 'remainder', left: convert(left, u32), right: literal(count, u32), type: u32 }, i32);
}

/** The kernel without masks of low bits. */
export function raiseMasks(kernel: Kernel): Kernel {
  return { ...kernel, body: rewriteHoisting(kernel, raiseMask) };
}
