/**
 * Chooses a schedule for a scan from its shape and the machine, with the reason. Nothing here is
 * special to one layer: only sizes, the kinds of yields, and capabilities decide.
 */
import type { VectorWidth } from '../kernel/nodes.ts';
import type { RegionPlan } from './region-plan.ts';
import type { LanesParameters, Machine, ScanParameters, ScanSchedule, SplitParameters } from './parameters.ts';
import { blocksParametersFor } from './blocks-parameters.ts';
import { lanesParametersFor, overlappedParametersFor } from './lanes-parameters.ts';
import { wholeParametersFor } from './lanes-whole.ts';
import { segmentsParametersFor } from './segments-parameters.ts';
import { stepParametersFor } from './step.ts';

/** `recurrent`: a thread walks over all tokens; `scan`: time is cut into pieces that run side by side; `conv`: no recurrence is left. */
export type ModeRequest = 'auto' | 'recurrent' | 'scan' | 'conv';

export type ScheduleRequest = {
  readonly mode: ModeRequest;
  /** tokens per piece in mode scan */
  readonly pieceLength: number;
  /** checkpoints' interval: pieces are multiples of it */
  readonly interval: number;
  /** sizes that the layer will mostly run at, if the caller knows: mode auto then cuts time where they leave the machine empty */
  readonly expected?: { readonly batch: number; readonly length?: number };
  /** runs have a single token */
  readonly isStep?: boolean;
};

export type ScheduleDecision = { readonly schedule: ScanSchedule; readonly alternatives: readonly string[]; readonly reason: string };

/** Widest vector that divides a size. */
function widthFor(size: number, limit: number): VectorWidth {
  return limit >= 4 && size % 4 === 0 ? 4 : 1;
}

/** The CPU's parameters: vectors over channels and states, groups of channels per worker. */
function cpuParameters(plan: RegionPlan, machine: Machine): ScanParameters {
  const lanes = widthFor(plan.channels.at(-1)?.size ?? 1, machine.vectorWidth);
  const innerWidth = plan.inner.length === 0 ? 1 : widthFor(plan.inner.at(-1)?.size ?? 1, machine.vectorWidth);
  const groupChannels = Math.max(lanes, Math.min(64, Math.ceil(plan.channelCount / lanes) * lanes));
  return { kind: 'sequential', workgroupSize: 1, lanes, innerWidth, groupChannels };
}

/** Whether the region yields per-token sums over channels, which threads of a workgroup must add up. */
function sumsOverChannels(plan: RegionPlan): boolean {
  return plan.op.yields.some((each) => plan.channels.length > 0 && plan.channels.every((channel) => each.sumOver.includes(channel.name)));
}

/** Least number of pieces for which reading everything twice pays. */
export const leastPieces = 3;

/** Pieces of time for the sizes that the caller expects, or null where threads per sequence are enough. */
function expectedSplit(threadsPerSequence: number, machine: Machine, { expected, interval }: ScheduleRequest, piece: number): SplitParameters | null {
  if (expected === undefined) return null;
  const pieces = Math.ceil(machine.fillingThreads / (expected.batch * threadsPerSequence));
  if (pieces < leastPieces) return null;
  const least = Math.max(piece, 8 * interval);
  if (expected.length === undefined) return { size: least };
  // twice the pieces that fill the machine: their ends do not fall together (measured on Hopper)
  const size = Math.max(least, Math.ceil(expected.length / (2 * pieces) / interval) * interval);
  return Math.ceil(expected.length / size) < leastPieces ? null : { size };
}

/** Whether the expected batch, or any that the caller does not name, gives each processor work enough for threads with many states. */
function fills(threadsPerSequence: number, machine: Machine, { expected }: ScheduleRequest): boolean {
  return expected === undefined || 2 * expected.batch * threadsPerSequence >= machine.fillingThreads;
}

/** Blocks of a backward pass take whole sequences only. */
export function blocksMayBeCut(plan: RegionPlan, split: SplitParameters | null): boolean {
  return split === null || plan.direction === 'ascending';
}

/** Most tokens of a piece whose group has helpers (measured on Hopper, 65,536 tokens: 512 take 3 % more time, 4,096 take 4 %). */
const longestHelpedPiece = 1024;

/** Schedule `lanes`: whole sequences, or pieces of them where the caller asks for pieces or expects few sequences. */
function selectLanes(
  plan: RegionPlan, machine: Machine, request: ScheduleRequest,
  { lanes, split, piece }: { readonly lanes: LanesParameters; readonly split: SplitParameters | null; readonly piece: number },
): ScheduleDecision {
  const { interval, expected } = request;
  const batch = expected?.batch ?? 1;
  const cut = request.mode === 'auto' ? expectedSplit((plan.channelCount * lanes.lanes) / lanes.channels, machine, request, piece) : null;
  // sizes that are only known in part are those of many calls, whose batches differ
  const whole = cut !== null && expected?.length !== undefined ? wholeParametersFor(plan, machine, lanes, { batch, interval }) : null;
  if (whole !== null) {
    const reason = `${whole.lanes} threads share a channel of ${plan.innerCount} states; a batch of ${batch} gives each processor one group of channels`;
    return { schedule: { parameters: whole, split: null }, alternatives: ['three-pass', 'sequential'], reason };
  }
  const why = cut === null ? '' : `; time is cut because a batch of ${batch} leaves the machine empty`;
  const isCut = (split ?? cut) !== null;
  const overlapped = overlappedParametersFor(plan, machine, lanes, { isCut, batch: expected?.batch ?? null });
  const parameters = overlapped !== null && (isCut || fills(plan.channelCount * overlapped.lanes, machine, request)) ? overlapped : lanes;
  const longest = Math.max(piece, Math.ceil(longestHelpedPiece / interval) * interval);
  const pieces = cut === null || parameters.helpers === 0 ? cut : { size: Math.min(cut.size, longest) };
  const reason = `${parameters.lanes} threads share a channel of ${plan.innerCount} states; per-channel work is done once for ${parameters.tile} tokens${why}`;
  return { schedule: { parameters, split: split ?? pieces }, alternatives: ['sequential', isCut ? 'recurrent' : 'three-pass'], reason };
}

/** Schedule of a scan on a machine. */
export function selectSchedule(plan: RegionPlan, machine: Machine, request: ScheduleRequest): ScheduleDecision {
  const piece = Math.max(request.interval, Math.ceil(request.pieceLength / request.interval) * request.interval);
  const split: SplitParameters | null = request.mode === 'scan' ? { size: piece } : null;
  if (machine.maximumWorkgroup === 1) {
    const reason = split === null ? 'a worker walks over the tokens of whole channels; states stay in registers' : 'mode scan was asked for';
    return { schedule: { parameters: cpuParameters(plan, machine), split }, alternatives: [split === null ? 'three-pass' : 'sequential'], reason };
  }
  const blocks = request.isStep === true ? null : blocksParametersFor(plan, machine, request.interval);
  const cutBlocks = blocks !== null && request.mode === 'auto' ? expectedSplit(plan.channelCount * blocks.lanes, machine, request, piece) : null;
  if (blocks !== null && (request.expected?.length ?? Infinity) >= blocks.lanes * blocks.block && blocksMayBeCut(plan, split ?? cutBlocks)) {
    const cut = cutBlocks;
    const reason = `transition, drive and read-outs are fixed in time: ${plan.innerCount} states take ${blocks.block} tokens at once, ${blocks.lanes} threads per channel`;
    return { schedule: { parameters: blocks, split: split ?? cut }, alternatives: ['lanes', 'sequential', (split ?? cut) === null ? 'three-pass' : 'recurrent'], reason };
  }
  const lanes = lanesParametersFor(plan, machine, request.interval);
  if (lanes !== null && (plan.inner.length > 0 || sumsOverChannels(plan))) return selectLanes(plan, machine, request, { lanes, split, piece });
  const segments = segmentsParametersFor(plan, machine, request.interval, request.expected?.batch);
  if (segments !== null) {
    const reason = `${segments.segments} threads share a channel by time, ${segments.tokens} tokens each; memory is read once`;
    return { schedule: { parameters: segments, split }, alternatives: ['sequential', 'three-pass'], reason };
  }
  const parameters = { kind: 'sequential', workgroupSize: 64, lanes: 1, innerWidth: 1, groupChannels: 1 } as const;
  return { schedule: { parameters, split }, alternatives: ['three-pass'], reason: 'one thread per channel' };
}

/** Schedule of a scan over a single token on a machine with workgroups; null where that of the forward pass will do. */
export function selectStepSchedule(plan: RegionPlan, machine: Machine): ScheduleDecision | null {
  if (machine.maximumWorkgroup === 1) return null;
  const step = stepParametersFor(plan, machine);
  if (step !== null) {
    const reason = `states are read and written once, ${step.lanes} threads per channel and ${step.rows} sequences per workgroup`;
    return { schedule: { parameters: step, split: null }, alternatives: ['lanes', 'sequential'], reason };
  }
  if (plan.inner.length > 0 || plan.direction === 'descending') return null;
  const parameters = { kind: 'sequential', workgroupSize: Math.min(128, machine.maximumWorkgroup), lanes: 1, innerWidth: 1, groupChannels: 1 } as const;
  return { schedule: { parameters, split: null }, alternatives: [], reason: 'one thread per channel and sequence' };
}
