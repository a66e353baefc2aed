/** The rewrites that a kernel goes through before it is printed as CUDA C++, in order. */
import type { Kernel } from '../../ir/kernel/nodes.ts';
import { eliminateUnused } from './raise/eliminate-unused.ts';

/** A kernel to the same kernel, nearer to the target. */
export const cudaPasses: readonly ((kernel: Kernel) => Kernel)[] = [eliminateUnused];

/** The kernel after all rewrites. */
export function raiseForCuda(kernel: Kernel): Kernel {
  return cudaPasses.reduce((raised, pass) => pass(raised), kernel);
}
