/**
 * The rewrites that a kernel goes through before it is printed as CUDA C++, in order. The compiler
 * warns about names that nothing uses, and warnings of generated code are errors here; loops and
 * register arrays stay, because the compiler unrolls and promotes them itself.
 */
import type { Kernel } from '../../ir/kernel/nodes.ts';
import { eliminateDead } from '../../ir/kernel/passes/eliminate-dead.ts';
import { reduceStrength } from '../../ir/kernel/passes/reduce-strength.ts';
import { visitExpressions } from '../../ir/kernel/walk.ts';

/** Removes shared arrays that nothing reads; their stores are gone before. */
function eliminateUnusedShared(kernel: Kernel): Kernel {
  const used = new Set<number>();
  visitExpressions(kernel.body, (each) => {
    if (each.kind === 'load-shared') used.add(each.array.id);
  });
  return { ...kernel, shared: kernel.shared.filter((each) => used.has(each.id)) };
}

/**
 * Lets the compiler take registers where it calls the toolkit's sine: the way for large arguments needs some that the
 * other does not, and to hold one block more it rather spills those (seen on Ampere and Hopper).
 */
function spendRegistersOnSines(kernel: Kernel): Kernel {
  if (kernel.resident !== undefined) return kernel;
  let hasSine = false;
  visitExpressions(kernel.body, (each) => {
    if (each.kind === 'unary' && (each.operator === 'sine' || each.operator === 'cosine')) hasSine = true;
  });
  return hasSine ? { ...kernel, resident: 1 } : kernel;
}

/** From kernel to kernel, nearer to the target. */
export const cudaPasses: readonly ((kernel: Kernel) => Kernel)[] =
  [reduceStrength, eliminateDead, eliminateUnusedShared, spendRegistersOnSines];

/** The kernel after all rewrites. */
export function raiseForCuda(kernel: Kernel): Kernel {
  return cudaPasses.reduce((raised, pass) => pass(raised), kernel);
}
