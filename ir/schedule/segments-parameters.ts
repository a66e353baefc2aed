/**
 * Parameters of schedule `segments` from the shape of a scan and the machine, and whether a scan can
 * take it: no inner axis, no sums over channels, every result varies over all channels and tokens.
 */
import { required } from '../../support/invariant.ts';
import type { VectorWidth } from '../kernel/nodes.ts';
import type { Machine, SegmentsParameters } from './parameters.ts';
import { hasChannelAxis, variesInTime, type RegionPlan } from './region-plan.ts';

/** Whether the schedule can take a scan. */
export function isSegmentable(plan: RegionPlan): boolean {
  if (plan.inner.length > 0 || plan.channels.length === 0) return false;
  return plan.op.yields.every((each) => {
    const { axes } = required(plan.types.get(each.value), 'type');
    const hasAll = plan.channels.every((channel) => axes.includes(channel.name)) && axes.includes('batch');
    return hasAll && variesInTime(plan, each.value) && !plan.channels.some((channel) => each.sumOver.includes(channel.name));
  });
}

/** Operands of the region that are read per token and channel. */
function streamsOf(plan: RegionPlan): number {
  return [...plan.parameters.keys()].filter((id) => variesInTime(plan, id) && hasChannelAxis(plan, id)).length;
}

/** Numbers that a thread keeps of one token in one channel. */
function registersPerToken(plan: RegionPlan): number {
  const { coefficient, drive, release } = plan.recurrence;
  const kept = (coefficient.kind === 'exponent' ? 1 : coefficient.parts.length) + drive.length + (release?.length ?? 0);
  return Math.max(streamsOf(plan), kept) + (plan.history === null ? 0 : plan.history.current.length);
}

/** Bytes of shared memory per thread and channel: ends and decays of segments, twice, and the same for a replay. */
function sharedPerThread(plan: RegionPlan): number {
  const { coefficient, current } = plan.recurrence;
  const parts = (coefficient.kind === 'exponent' ? 1 : coefficient.parts.length) + current.length;
  return parts * 2 * 4 * (plan.history === null ? 1 : 2);
}

function powerOfTwoBelow(limit: number): number {
  return 2 ** Math.floor(Math.log2(Math.max(1, limit)));
}

const transcendental: ReadonlySet<string> = new Set([
  'exp', 'exp2', 'log', 'square-root', 'sine', 'cosine', 'tanh', 'sigmoid', 'softplus', 'expm1', 'log1p', 'erf', 'phi1', 'phi2',
]);

/** Whether a token costs so much arithmetic that threads are better spent on it than on wide loads. */
function isCostly(plan: RegionPlan): boolean {
  if (plan.recurrence.coefficient.kind === 'exponent') return true;
  return plan.op.region.some(({ op, results }) => {
    const isFunction = op.kind === 'analytic' || (op.kind === 'unary' && transcendental.has(op.function)) || (op.kind === 'binary' && op.function === 'power');
    return isFunction && results.some((value) => variesInTime(plan, value.id));
  });
}

/** Workgroups that fill a machine; fewer leave a part of it empty. */
const fillingGroups = 96;

/** Threads side by side over channels; with fewer there is about one workgroup per processor, which may have all of its registers. */
export const fullColumns = 32;

/** Threads side by side over channels: a warp of them, fewer where batch × channels are known to be few. */
function columnsFor(plan: RegionPlan, lanes: number, workgroupSize: number, batch: number | undefined): number {
  let columns = Math.min(fullColumns, workgroupSize, powerOfTwoBelow(2 * Math.ceil(plan.channelCount / lanes) - 1));
  while (batch !== undefined && columns > 8 && batch * Math.ceil(plan.channelCount / (columns * lanes)) < fillingGroups) columns /= 2;
  return columns;
}

/** The parameters, or null if the schedule does not fit. `batch`: what the caller expects, if known. */
export function segmentsParametersFor(plan: RegionPlan, machine: Machine, interval: number, batch?: number): SegmentsParameters | null {
  if (!isSegmentable(plan)) return null;
  // rows of 256 bytes where the recurrence is all there is to compute: two reals, or one complex number, per thread
  const isPlain = !isCostly(plan);
  const lanes: VectorWidth = isPlain && plan.recurrence.current.length === 1 && (plan.channels.at(-1)?.size ?? 1) % 2 === 0 ? 2 : 1;
  const limit = Math.min(256, machine.maximumWorkgroup, Math.floor(machine.sharedBytes / (sharedPerThread(plan) * lanes)));
  const workgroupSize = powerOfTwoBelow(limit);
  const columns = columnsFor(plan, lanes, workgroupSize, batch);
  const segments = workgroupSize / columns;
  const wanted = powerOfTwoBelow(Math.min(8, 128 / (registersPerToken(plan) * lanes)));
  const tokens = tokensFor(wanted, segments, interval);
  return tokens === null ? null : { kind: 'segments', workgroupSize, lanes, segments, tokens, prefetch: isPlain };
}

/** Tokens per thread near `wanted`, so that checkpoints lie at starts of segments or of groups of them. */
function tokensFor(wanted: number, segments: number, interval: number): number | null {
  const fits = (tokens: number): boolean => tokens % interval === 0 || (interval % tokens === 0 && segments % (interval / tokens) === 0);
  return Array.from({ length: wanted }, (_, at) => wanted - at).find(fits) ?? null;
}
