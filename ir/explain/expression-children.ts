/** Direct operands of a checked expression, for walks over a layer's text. */
import type { SpecExpression } from '../../dsl/spec.ts';
import { assertNever } from '../../support/invariant.ts';

/** Operands in the order in which they are written. */
export function childrenOf(expression: SpecExpression): readonly SpecExpression[] {
  switch (expression.kind) {
    case 'number':
    case 'time-scalar':
    case 'iota':
    case 'reference':
      return [];
    case 'negate':
    case 'not':
    case 'reduce':
    case 'reduce-time':
    case 'delay':
    case 'rename':
      return [expression.operand];
    case 'binary':
      return [expression.left, expression.right];
    case 'elementwise':
      return expression.operands;
    case 'select':
      return [expression.condition, expression.whenTrue, expression.whenFalse];
    case 'gather':
      return [expression.table, expression.index];
    default:
      return assertNever(expression, 'childrenOf');
  }
}
