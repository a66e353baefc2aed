/** Walking typed expressions, and the questions that a walk answers. */
import type { SpecExpression } from '../spec.ts';
import type { Elaboration } from './elaboration.ts';

/** The direct operands. */
export function operandsOf(expression: SpecExpression): readonly SpecExpression[] {
  switch (expression.kind) {
    case 'number':
    case 'time-scalar':
    case 'iota':
    case 'reference':
      return [];
    case 'binary':
      return [expression.left, expression.right];
    case 'elementwise':
      return expression.operands;
    case 'select':
      return [expression.condition, expression.whenTrue, expression.whenFalse];
    case 'gather':
      return [expression.table, expression.index];
    default:
      return [expression.operand];
  }
}

/** The first subexpression, in source order, for which `isWanted` holds. No recursion. */
export function findInside(
  root: SpecExpression, isWanted: (each: SpecExpression) => boolean,
): SpecExpression | null {
  const pending: SpecExpression[] = [root];
  for (let top = pending.pop(); top !== undefined; top = pending.pop()) {
    if (isWanted(top)) return top;
    const operands = operandsOf(top);
    for (let at = operands.length - 1; at >= 0; at--) {
      const operand = operands[at];
      if (operand !== undefined) pending.push(operand);
    }
  }
  return null;
}

/** The reading of the state's previous value inside an expression, or null. */
export function readingOf(root: SpecExpression, state: string): SpecExpression | null {
  return findInside(
    root, (each) => each.kind === 'reference' && each.target === 'previous' && each.name === state,
  );
}

/**
 * Why an expression varies with time: the input, state, position or delay by which time enters,
 * found through the lets. Null if it does not.
 */
export function sourceOfTime(run: Elaboration, root: SpecExpression): SpecExpression | null {
  const visited = new Set<string>();
  const pending: SpecExpression[] = [root];
  for (let top = pending.pop(); top !== undefined; top = pending.pop()) {
    if (!top.variance.time) continue;
    if (top.kind === 'delay' || top.kind === 'time-scalar') return top;
    if (top.kind === 'reference' && top.target !== 'let') return top;
    if (top.kind === 'reference') {
      const value = run.lets.get(top.name);
      if (value !== undefined && !visited.has(top.name)) pending.push(value);
      visited.add(top.name);
    }
    pending.push(...operandsOf(top));
  }
  return null;
}
