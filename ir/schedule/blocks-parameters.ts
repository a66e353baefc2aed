/**
 * Which parameters of schedule `blocks` suit a scan: how many threads share a channel and how many
 * tokens they take at once, within the registers of a thread and the machine's shared memory.
 */
import { blockFormOf, type BlockForm } from './blocks-form.ts';
import type { BlocksParameters, Machine } from './parameters.ts';
import type { RegionPlan } from './region-plan.ts';

/** Groups of channels, one per workgroup. */
export function blocksGroups(plan: RegionPlan, { workgroupSize, lanes }: BlocksParameters): number {
  return Math.ceil(plan.channelCount / (workgroupSize / lanes));
}

/**
 * Channels between the parts of two threads of a channel in shared memory, as vectors of four: more
 * than the group has, so that neighbouring threads meet no bank twice.
 */
export function partsStride({ workgroupSize, lanes }: BlocksParameters): number {
  return workgroupSize / lanes + Math.max(1, 8 / lanes);
}

/** Bytes of workgroup memory that the schedule takes for a scan. */
export function blocksSharedBytes(plan: RegionPlan, form: BlockForm, parameters: BlocksParameters): number {
  const { workgroupSize, lanes, block } = parameters;
  const tile = lanes * block;
  const transitions = partsOfTransition(plan) * (plan.innerCount / lanes) * workgroupSize;
  return 4 * (tile * (workgroupSize / lanes + form.readOuts.length * lanes * partsStride(parameters)) + transitions);
}

function partsOfTransition({ recurrence: { coefficient } }: RegionPlan): number {
  return coefficient.kind === 'exponent' ? 1 : coefficient.parts.length;
}

/** Numbers that a thread keeps of a block: coefficients and states. */
export function blocksRegisters(plan: RegionPlan, form: BlockForm, { lanes, block }: BlocksParameters): number {
  const parts = plan.recurrence.current.length;
  return (plan.innerCount / lanes) * (parts * block * (1 + form.readOuts.length) + partsOfTransition(plan) + parts);
}

/** Tokens of a tile below which its two barriers weigh more than what it computes. */
const leastTile = 16;

/** Whether the schedule can be emitted for a scan with these parameters. */
export function areBlocksLegal(plan: RegionPlan, form: BlockForm, parameters: BlocksParameters, machine: Machine, interval: number): boolean {
  const { workgroupSize, lanes, block } = parameters;
  return plan.innerCount % lanes === 0 && workgroupSize % lanes === 0 && block % 4 === 0 && block <= 8 && interval % block === 0
    && workgroupSize <= machine.maximumWorkgroup
    && blocksRegisters(plan, form, parameters) <= (machine.keptNumbers ?? 0) && blocksSharedBytes(plan, form, parameters) <= machine.sharedBytes;
}

/**
 * Operations per token and channel that depend on the parameters: powers applied to the states, the
 * local convolution, and threads' parts of the sums (the order of the sums of all agrees with times on Hopper).
 */
function costOf(plan: RegionPlan, { lanes, block }: BlocksParameters): number {
  return (plan.innerCount * plan.recurrence.current.length * partsOfTransition(plan)) / block + (block + 1) / 2 + 2.5 * lanes;
}

/** Parameters that suit a scan and fit the machine, or null where the schedule does not apply. */
export function blocksParametersFor(plan: RegionPlan, machine: Machine, interval: number): BlocksParameters | null {
  const form = blockFormOf(plan);
  if (form === null || form.readOuts.length === 0) return null;
  const all = [8, 4].flatMap((block) => [1, 2, 4, 8, 16, 32].flatMap((lanes) => [64, 32].map((workgroupSize): BlocksParameters => ({ kind: 'blocks', workgroupSize, lanes, block }))));
  const legal = all.filter((each) => each.lanes * each.block >= leastTile && areBlocksLegal(plan, form, each, machine, interval));
  return legal.reduce<BlocksParameters | null>((best, each) => (best !== null && costOf(plan, best) <= costOf(plan, each) ? best : each), null);
}
