/**
 * Operators in the form that WGSL's grammar and types want: shift counts are u32, and `and`/`or` of
 * bool vectors are bitwise (the short-circuit operators take scalars only).
 */
import { convert, literal } from '../../../ir/kernel/builder.ts';
import { withWidth, u32, type Kernel, type KernelExpression } from '../../../ir/kernel/nodes.ts';
import { rewriteHoisting } from './hoist.ts';

function unsigned(count: KernelExpression): KernelExpression {
  const type = withWidth(u32, count.type.width);
  return count.kind === 'literal' ? literal(count.value, type) : convert(count, type);
}

function raiseOperator(expression: KernelExpression): KernelExpression {
  if (expression.kind !== 'binary') return expression;
  switch (expression.operator) {
    case 'shift-left':
    case 'shift-right':
      return { ...expression, right: unsigned(expression.right) };
    case 'and':
      return expression.type.width > 1 ? { ...expression, operator: 'bit-and' } : expression;
    case 'or':
      return expression.type.width > 1 ? { ...expression, operator: 'bit-or' } : expression;
    default:
      return expression;
  }
}

/** Rewrites shifts and vector logic. */
export function raiseOperators(kernel: Kernel): Kernel {
  return { ...kernel, body: rewriteHoisting(kernel, raiseOperator) };
}
