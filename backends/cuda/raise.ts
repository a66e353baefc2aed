/**
 * The rewrites that a kernel goes through before it is printed as CUDA C++, in order. The compiler
 * warns about names that nothing uses, and warnings of generated code are errors here; loops and
 * register arrays stay, because the compiler unrolls and promotes them itself.
 */
import type { Kernel } from '../../ir/kernel/nodes.ts';
import { eliminateDead } from '../../ir/kernel/passes/eliminate-dead.ts';
import { reduceStrength } from '../../ir/kernel/passes/reduce-strength.ts';
import { visitExpressions, visitStatements } from '../../ir/kernel/walk.ts';

/** Removes shared arrays that no statement mentions any more. */
function eliminateUnusedShared(kernel: Kernel): Kernel {
  const used = new Set<number>();
  visitStatements(kernel.body, (each) => {
    if (each.kind === 'store-shared') used.add(each.array.id);
  });
  visitExpressions(kernel.body, (each) => {
    if (each.kind === 'load-shared') used.add(each.array.id);
  });
  return { ...kernel, shared: kernel.shared.filter((each) => used.has(each.id)) };
}

/** From kernel to kernel, nearer to the target. */
export const cudaPasses: readonly ((kernel: Kernel) => Kernel)[] = [reduceStrength, eliminateDead, eliminateUnusedShared];

/** The kernel after all rewrites. */
export function raiseForCuda(kernel: Kernel): Kernel {
  return cudaPasses.reduce((raised, pass) => pass(raised), kernel);
}
