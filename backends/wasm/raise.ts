/**
 * The rewrites between Kernel IR and the assembler, in order. Expansions of exp2, log2, sine, cosine
 * and of 16-bit numbers happen in the assembler itself, where their intermediate values share locals.
 */
import type { Kernel } from '../../ir/kernel/nodes.ts';
import { unrollMarkedLoops } from './raise/unroll.ts';

type RaisePass = { readonly name: string; readonly run: (kernel: Kernel) => Kernel };

/** In order of running. */
export const raisePasses: readonly RaisePass[] = [
  { name: 'unroll-marked-loops', run: unrollMarkedLoops },
];

/** The kernel as the assembler takes it. */
export function raiseKernel(kernel: Kernel): Kernel {
  return raisePasses.reduce((raised, pass) => pass.run(raised), kernel);
}
