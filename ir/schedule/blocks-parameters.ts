/**
 * Which parameters of schedule `blocks` suit a scan: how many threads share a channel and how many
 * tokens they take at once, within the registers of a thread and the machine's shared memory.
 */
import { adjointFormOf } from './adjoint-form.ts';
import { blockFormOf } from './blocks-form.ts';
import type { BlocksParameters, Machine } from './parameters.ts';
import { hasInnerAxis, type RegionPlan } from './region-plan.ts';
import { residentWorkgroups } from './residency.ts';

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

/** What a scan in blocks keeps, forward or backward in time. */
type BlocksShape = {
  /** sums over states per token */
  readonly readOuts: number;
  /** signals per token and channel */
  readonly signals: number;
  /** numbers per part of a state in registers, with blocks between two checkpoints that wait for the last one */
  readonly numbers: (block: number, waiting: number) => number;
  readonly parts: number;
  /** parts of the transition that are kept beside these numbers: in registers, and in shared memory */
  readonly transitions: { readonly kept: number; readonly shared: number };
  /** products per part of a state and block that do not grow with the block */
  readonly jumps: number;
};

/** The shape of a scan, or null where its tokens must be taken one by one. */
function shapeOf(plan: RegionPlan): BlocksShape | null {
  const { coefficient, current } = plan.recurrence;
  const parts = current.length;
  if (plan.direction === 'descending') {
    const form = adjointFormOf(plan);
    if (form === null) return null;
    // powers, drives, the adjoint, the states ahead, four sums; starts and sums of signals of blocks that wait
    const numbers = (block: number, waiting: number): number => block + 8 + form.readOuts.length + 3 * waiting;
    return { readOuts: form.readOuts.length, signals: 2, numbers, parts, transitions: { kept: 0, shared: 0 }, jumps: 8 };
  }
  const form = blockFormOf(plan);
  if (form === null || form.readOuts.length === 0) return null;
  const transition = coefficient.kind === 'exponent' ? 1 : coefficient.parts.length;
  const numbers = (block: number): number => block * (1 + form.readOuts.length) + 1;
  return { readOuts: form.readOuts.length, signals: 1, numbers, parts, transitions: { kept: transition, shared: transition }, jumps: transition };
}

/** Bytes of workgroup memory that the schedule takes for a scan. */
function sharedBytesFor(plan: RegionPlan, shape: BlocksShape, parameters: BlocksParameters): number {
  const { workgroupSize, lanes, block } = parameters;
  const tile = lanes * block;
  const transitions = shape.transitions.shared * (plan.innerCount / lanes) * workgroupSize;
  const totals = plan.op.yields.filter((each) => each.sumOver.includes('time') && !hasInnerAxis(plan, each.value)).length * workgroupSize;
  const parts = Math.max(1, shape.readOuts) * lanes * partsStride(parameters);
  return 4 * (tile * (shape.signals * (workgroupSize / lanes) + parts) + transitions + totals);
}

/** Numbers that a thread keeps of a block: coefficients and states. */
function registersFor(plan: RegionPlan, shape: BlocksShape, { lanes, block }: BlocksParameters, interval: number): number {
  return (plan.innerCount / lanes) * (shape.parts * shape.numbers(block, interval / block - 1) + shape.transitions.kept);
}

/** Tokens of a tile below which its two barriers weigh more than what it computes. */
const leastTile = 16;

function fits(plan: RegionPlan, shape: BlocksShape, parameters: BlocksParameters, machine: Machine, interval: number): boolean {
  const { workgroupSize, lanes, block } = parameters;
  return plan.innerCount % lanes === 0 && workgroupSize % lanes === 0 && block % 4 === 0 && block <= 8 && interval % block === 0
    && (plan.direction === 'ascending' || (lanes * block) % interval === 0)
    && workgroupSize <= machine.maximumWorkgroup
    && registersFor(plan, shape, parameters, interval) <= (machine.keptNumbers ?? 0) && sharedBytesFor(plan, shape, parameters) <= machine.sharedBytes;
}

/** Whether the schedule can be emitted for a scan with these parameters. */
export function areBlocksLegal(plan: RegionPlan, parameters: BlocksParameters, machine: Machine, interval: number): boolean {
  const shape = shapeOf(plan);
  return shape !== null && fits(plan, shape, parameters, machine, interval);
}

/**
 * Operations per token and channel that depend on the parameters: powers applied to the states, the
 * local convolution, and threads' parts of the sums (the order of the sums of all agrees with times on Hopper).
 */
function costOf(plan: RegionPlan, shape: BlocksShape, { lanes, block }: BlocksParameters): number {
  return (plan.innerCount * shape.parts * shape.jumps) / block + (block + 1) / 2 + 2.5 * lanes;
}

/**
 * Threads that a processor must run at once for blocks to pay (measured on Hopper, S4D forward: with 256 a tenth
 * faster than schedule lanes, with 192 a tenth slower, with 64 half as fast).
 */
const leastResident = 256;

function keepsBusy(plan: RegionPlan, shape: BlocksShape, parameters: BlocksParameters, machine: Machine): boolean {
  return residentWorkgroups(machine, sharedBytesFor(plan, shape, parameters)) * parameters.workgroupSize >= leastResident;
}

/** Parameters that suit a scan and fit the machine, or null where the schedule does not apply. */
export function blocksParametersFor(plan: RegionPlan, machine: Machine, interval: number): BlocksParameters | null {
  const shape = shapeOf(plan);
  if (shape === null) return null;
  const all = [8, 4].flatMap((block) => [1, 2, 4, 8, 16, 32].flatMap((lanes) => [64, 32].map((workgroupSize): BlocksParameters => ({ kind: 'blocks', workgroupSize, lanes, block }))));
  const legal = all.filter((each) => each.lanes * each.block >= leastTile && fits(plan, shape, each, machine, interval));
  const busy = legal.filter((each) => keepsBusy(plan, shape, each, machine));
  return busy.reduce<BlocksParameters | null>((best, each) => (best !== null && costOf(plan, shape, best) <= costOf(plan, shape, each) ? best : each), null);
}
