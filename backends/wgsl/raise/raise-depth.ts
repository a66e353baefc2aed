/**
 * Deep expressions are cut by naming inner values: WGSL compilers refuse expressions nested some
 * hundred levels deep (Tint: 512 in the tree, 128 in parentheses), and long unrolled sums reach that.
 */
import type { Kernel, KernelExpression } from '../../../ir/kernel/nodes.ts';
import { mapOperands, operandsOf } from '../../../ir/kernel/walk.ts';
import { rewriteHoisting } from './hoist.ts';

const deepest = 32;

/** Binds operands that are `deepest` levels deep, so that no expression exceeds it by more than one. */
export function raiseDepth(kernel: Kernel): Kernel {
  const depths = new WeakMap<KernelExpression, number>();
  const depthOf = (expression: KernelExpression): number => {
    const known = depths.get(expression);
    if (known !== undefined) return known;
    const depth = 1 + operandsOf(expression).reduce((most, each) => Math.max(most, depthOf(each)), 0);
    depths.set(expression, depth);
    return depth;
  };
  const body = rewriteHoisting(kernel, (expression, hoister) =>
    mapOperands(expression, (operand) => (depthOf(operand) >= deepest ? hoister.bind('part', operand) : operand)));
  return { ...kernel, body };
}
