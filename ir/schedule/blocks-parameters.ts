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

/** Most numbers of a block that a thread keeps (measured on Hopper). */
const mostRegisters = 160;

/** Whether the schedule can be emitted for a scan with these parameters. */
export function areBlocksLegal(plan: RegionPlan, form: BlockForm, parameters: BlocksParameters, machine: Machine, interval: number): boolean {
  const { workgroupSize, lanes, block, unroll } = parameters;
  return plan.innerCount % lanes === 0 && workgroupSize % lanes === 0 && lanes % unroll === 0 && block % 4 === 0 && block <= 8 && interval % block === 0
    && workgroupSize <= machine.maximumWorkgroup
    && blocksRegisters(plan, form, parameters) <= mostRegisters && blocksSharedBytes(plan, form, parameters) <= machine.sharedBytes;
}

/** Parameters that suit a scan and fit the machine, or null where the schedule does not apply. */
export function blocksParametersFor(plan: RegionPlan, machine: Machine, interval: number): BlocksParameters | null {
  const form = blockFormOf(plan);
  if (form === null || form.readOuts.length === 0) return null;
  for (const block of [8, 4]) {
    for (const states of [4, 2, 8, 1]) {
      const lanes = plan.innerCount / states;
      if (![1, 2, 4, 8, 16, 32].includes(lanes)) continue;
      for (const workgroupSize of [64, 32, 128]) {
        const parameters: BlocksParameters = { kind: 'blocks', workgroupSize, lanes, block, unroll: lanes % 2 === 0 && machine.shuffleWidth >= 32 ? 2 : 1 };
        if (areBlocksLegal(plan, form, parameters, machine, interval)) return parameters;
      }
    }
  }
  return null;
}
