/**
 * Schedule `lanes` for few sequences whose time is not cut: a processor has one group of as many channels
 * as are its share, with helpers. Cutting time takes every exponential twice, so that whole
 * sequences win although few threads hide little of a processor's latencies, as long as its share is not
 * too small.
 */
import { areHelpersLegal, haveHelpersRoom, lanesSharedBytes, phasesSuitOverlap } from './lanes-parameters.ts';
import type { LanesParameters, Machine } from './parameters.ts';
import type { RegionPlan } from './region-plan.ts';

/** Least states per processor, over its channels (measured on Hopper: with 384 a tenth faster than cut, with 256 a twentieth slower). */
const leastStates = 320;

/** Least part of a group's channels that is the processor's share: groups are whole warps. */
const leastUse = 0.75;

/** Most threads of a group: each has 128 registers then. */
const mostThreads = 512;

/** Tokens per tile: a tile takes no less than loads need to come, so that shorter ones lose (16: a third); longer ones spill. */
const tile = 32;

/** Parameters for `batch` whole sequences, where they give each processor one group worth taking; else null. */
export function wholeParametersFor(
  plan: RegionPlan, machine: Machine, base: LanesParameters, { batch, interval }: { readonly batch: number; readonly interval: number },
): LanesParameters | null {
  const { processors, shuffleWidth } = machine;
  if (processors === undefined || !phasesSuitOverlap(plan, base) || (tile % interval !== 0 && interval % tile !== 0)) return null;
  const share = (batch * plan.channelCount) / processors;
  const perWarp = shuffleWidth / base.lanes;
  const channels = Math.ceil(share / perWarp) * perWarp;
  if (share * plan.innerCount < leastStates || share < leastUse * channels) return null;
  const workgroupSize = channels * base.lanes;
  const helpers = Array.from({ length: Math.floor((mostThreads - workgroupSize) / shuffleWidth) }, (_, at) => (at + 1) * shuffleWidth);
  const made = helpers.map((each): LanesParameters => ({ ...base, workgroupSize, tile, overlap: true, helpers: each }));
  return made.find((each) => areHelpersLegal(plan, each, machine) && haveHelpersRoom(plan, each) && lanesSharedBytes(plan, each) <= machine.sharedBytes) ?? null;
}
