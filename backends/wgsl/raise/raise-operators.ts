/**
 * Operators in the form that WGSL's grammar and types want: shift counts are u32, and `and`/`or` of
 * bool vectors are bitwise (the short-circuit operators take scalars only). Infinities and NaN are
 * bits of a named integer: as constant expressions WGSL compilers reject them.
 */
import { bitcast, convert, literal, variable } from '../../../ir/kernel/builder.ts';
import { withWidth, u32, type Kernel, type KernelExpression } from '../../../ir/kernel/nodes.ts';
import { freshVariable, rewriteHoisting, type Hoister } from './hoist.ts';

function unsigned(count: KernelExpression): KernelExpression {
  const type = withWidth(u32, count.type.width);
  return count.kind === 'literal' ? literal(count.value, type) : convert(count, type);
}

/** True for a literal whose bits are an infinity or NaN of f32. */
function isNonFiniteBits(expression: KernelExpression): boolean {
  const exponent = 0x7f800000;
  return expression.kind === 'literal' && (expression.value & exponent) === exponent;
}

function raiseBitcast(expression: Extract<KernelExpression, { kind: 'bitcast' }>, hoister: Hoister): KernelExpression {
  const { operand, type } = expression;
  if (type.element !== 'f32' || !isNonFiniteBits(operand)) return expression;
  const bits = freshVariable(hoister, 'bits', operand.type);
  hoister.emit({ kind: 'let', variable: bits, value: operand });
  return bitcast(variable(bits), type);
}

function raiseOperator(expression: KernelExpression, hoister: Hoister): KernelExpression {
  if (expression.kind === 'bitcast') return raiseBitcast(expression, hoister);
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

/** Rewrites shifts, vector logic and non-finite constants. */
export function raiseOperators(kernel: Kernel): Kernel {
  return { ...kernel, body: rewriteHoisting(kernel, raiseOperator) };
}
