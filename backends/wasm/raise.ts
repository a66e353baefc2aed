/**
 * The rewrites between Kernel IR and the assembler, in order. The engine's compiler neither unrolls
 * nor moves values out of loops, so that happens here. Expansions of exp2, log2, sine, cosine and of
 * 16-bit numbers happen in the assembler itself, where their intermediate values share locals; it
 * also keeps register arrays with constant indices in locals.
 */
import type { Kernel } from '../../ir/kernel/nodes.ts';
import { eliminateCommon } from '../../ir/kernel/passes/eliminate-common.ts';
import { eliminateDead } from '../../ir/kernel/passes/eliminate-dead.ts';
import { hoistInvariant } from '../../ir/kernel/passes/hoist-invariant.ts';
import { reduceStrength } from '../../ir/kernel/passes/reduce-strength.ts';
import { unrollLoops } from '../../ir/kernel/passes/unroll-loops.ts';
import { foldOffsets } from './raise/fold-offsets.ts';

type RaisePass = { readonly name: string; readonly run: (kernel: Kernel) => Kernel };

/** In order of running. */
export const raisePasses: readonly RaisePass[] = [
  { name: 'unroll-loops', run: (kernel) => unrollLoops(kernel) },
  { name: 'reduce-strength', run: reduceStrength },
  { name: 'eliminate-common', run: eliminateCommon },
  { name: 'hoist-invariant', run: hoistInvariant },
  { name: 'fold-offsets', run: foldOffsets },
  { name: 'eliminate-dead', run: eliminateDead },
];

/** The kernel as the assembler takes it. */
export function raiseKernel(kernel: Kernel): Kernel {
  return raisePasses.reduce((raised, pass) => pass.run(raised), kernel);
}
