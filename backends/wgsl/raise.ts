/**
 * The rewrites between Kernel IR and the WGSL printer, in order. Each takes and returns a valid
 * kernel; what WGSL or a device cannot do at all is refused here with both numbers.
 */
import type { Kernel } from '../../ir/kernel/nodes.ts';
import { promoteArrays } from '../../ir/kernel/passes/promote-arrays.ts';
import { reduceStrength } from '../../ir/kernel/passes/reduce-strength.ts';
import { unrollLoops } from '../../ir/kernel/passes/unroll-loops.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { sharedBytesOf } from '../manifest.ts';
import { raiseDepth } from './raise/raise-depth.ts';
import { raiseMasks } from './raise/raise-masks.ts';
import { raiseOperators } from './raise/raise-operators.ts';
import { raisePrimitives } from './raise/raise-primitives.ts';
import { raiseShared } from './raise/raise-shared.ts';
import { raiseShuffle } from './raise/raise-shuffle.ts';
import { raiseVectors } from './raise/raise-vectors.ts';
import type { WgslTarget } from './target.ts';

type RaisePass = { readonly name: string; readonly run: (kernel: Kernel, target: WgslTarget) => Kernel };

/**
 * Statements that one marked loop may become: drivers take seconds for kernels of some thousand. GPUs with wide subgroups
 * get twice as many: in a loop that stays, a register array becomes a chain of selections (measured on Hopper: S6 backward
 * 1.02 instead of 1.09 ms).
 */
function unrollLimit({ subgroups }: WgslTarget): number {
  return subgroups === 'at-least-32' ? 2048 : 1024;
}

/** In order of running; grids and bindings are raised per plan before these. */
export const raisePasses: readonly RaisePass[] = [
  { name: 'unroll-loops', run: (kernel, target) => unrollLoops(kernel, { limit: unrollLimit(target) }) },
  { name: 'promote-arrays', run: promoteArrays },
  { name: 'reduce-strength', run: reduceStrength },
  { name: 'raise-shuffle', run: (kernel, target) => (target.subgroups === 'at-least-32' ? kernel : raiseShuffle(kernel)) },
  { name: 'raise-primitives', run: raisePrimitives },
  { name: 'raise-shared', run: raiseShared },
  { name: 'raise-vectors', run: raiseVectors },
  { name: 'raise-operators', run: raiseOperators },
  { name: 'raise-masks', run: raiseMasks },
  { name: 'raise-depth', run: raiseDepth },
];

/** Reports storage types that WGSL lacks. */
export function checkStorage(kernel: Kernel): void {
  for (const buffer of kernel.buffers) {
    if (['f32', 'f16', 'bf16', 'i32', 'u32'].includes(buffer.storage)) continue;
    throw ssmError('SSM5003', `tensor \`${buffer.name}\` is stored as ${buffer.storage}, which this target cannot hold`,
      'store it as f32 for the `wgsl` target');
  }
}

function checkLimits(kernel: Kernel, target: WgslTarget): void {
  const shared = sharedBytesOf(kernel);
  if (shared > target.sharedBytes) {
    throw ssmError('SSM5001', `kernel \`${kernel.name}\` needs ${shared} B of workgroup memory; this device allows ${target.sharedBytes}`,
      'use a smaller chunk or tile');
  }
  if (kernel.workgroupSize > target.invocations) {
    throw ssmError('SSM5001', `kernel \`${kernel.name}\` needs ${kernel.workgroupSize} invocations per workgroup; this device allows ${target.invocations}`,
      'use fewer lanes per workgroup');
  }
}

/** A kernel that the printer can print and the target can run. */
export function raiseKernel(kernel: Kernel, target: WgslTarget): Kernel {
  checkStorage(kernel);
  const raised = raisePasses.reduce((current, pass) => pass.run(current, target), kernel);
  checkLimits(raised, target);
  return raised;
}
