/**
 * Integer division and remainder by powers of two become shifts and masks. Exact, since Kernel IR's
 * integer division is defined for non-negative operands only; target compilers cannot know that and
 * would correct for negative ones at every index.
 */
import { binary, integer } from '../builder.ts';
import type { Kernel, KernelExpression, KernelStatement } from '../nodes.ts';
import { mapBodies, mapExpressions, rewriteExpression } from '../walk.ts';

/** The kernel with shifts and masks. */
export function reduceStrength(kernel: Kernel): Kernel {
  const visit = (body: readonly KernelStatement[]): readonly KernelStatement[] =>
    body.map((statement) => mapBodies(mapExpressions(statement, (each) => rewriteExpression(each, reduce)), visit));
  return { ...kernel, body: visit(kernel.body) };
}

function reduce(expression: KernelExpression): KernelExpression {
  if (expression.kind !== 'binary' || expression.type.element !== 'i32' || expression.type.width !== 1) return expression;
  if (expression.operator !== 'divide' && expression.operator !== 'remainder') return expression;
  const { left, right } = expression;
  if (right.kind !== 'literal' || right.value < 2 || !Number.isInteger(Math.log2(right.value))) return expression;
  return expression.operator === 'remainder'
    ? binary('bit-and', left, integer(right.value - 1))
    : binary('shift-right', left, integer(Math.log2(right.value)));
}
