/**
 * Which parameters of schedule `lanes` suit a scan: how many threads share a channel, what a tile keeps
 * in shared memory and whether it fits the machine.
 */
import { liveInstructions } from '../passes/eliminate-dead.ts';
import { required } from '../../support/invariant.ts';
import type { ScanYield, ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { channelsPerGroupOf, cooperatorsOf, rowsAreUnrolled, rowsPerThread, sparePlaces } from './lanes-frame.ts';
import { scalarsBehind, streamsBehind } from './lanes-prefetch.ts';
import { suitsTileSums, tileSumsLength } from './lanes-tile-sums.ts';
import type { LanesParameters, Machine } from './parameters.ts';
import { hasChannelAxis, hasInnerAxis, ofCoefficient, variesInTime, type Recurrence, type RegionPlan } from './region-plan.ts';
import { residentWorkgroups } from './residency.ts';

/** Groups of channels, one per workgroup. */
export function lanesGroups(plan: RegionPlan, parameters: LanesParameters): number {
  return Math.ceil(plan.channelCount / channelsPerGroupOf(parameters));
}

/** Tokens per tile where no states are replayed (measured on Hopper at 16 states). */
const forwardTile = 16;

/**
 * Parameters that suit a scan and fit the machine's shared memory, or null where the schedule does not
 * apply. Four states per thread; two channels per thread where states are replayed, whose sums over
 * channels and loads of shared values then cost half (measured on Hopper: forward alone gains nothing,
 * backward a fifth).
 */
export function lanesParametersFor(plan: RegionPlan, machine: Machine, interval: number): LanesParameters | null {
  if (plan.inner.length === 0 || plan.channels.length === 0) return null;
  const tiles = plan.history !== null || forwardTile % interval !== 0 ? [interval] : [forwardTile, interval];
  const isWide = machine.shuffleWidth >= 32;
  const pairs = plan.history !== null && isWide && plan.recurrence.current.length === 1 && (plan.channels.at(-1)?.size ?? 1) % 2 === 0;
  const sizes = isWide ? [128, 64, 32] : [64, 32, 16];
  for (const states of [4, 2, 1, 8, 16]) {
    const lanes = plan.innerCount / states;
    if (![1, 2, 4, 8, 16].includes(lanes)) continue;
    for (const workgroupSize of sizes) {
      for (const tile of tiles) {
        for (const channels of pairs && states <= 4 && lanes >= 2 ? [2, 1] as const : [1] as const) {
          const parameters: LanesParameters = { kind: 'lanes', workgroupSize, lanes, channels, tile, channelSums: isWide ? 'shuffle' : 'shared', prefetch: isWide, overlap: false, helpers: 0 };
          if ((tile * channels) % lanes === 0 && workgroupSize >= lanes && haveSharedRoom(plan, machine, parameters)) return withTileSums(plan, machine, parameters);
        }
      }
    }
  }
  return null;
}

/** Whether a workgroup's tables fit the machine, and leave room for a second workgroup beside it where threads hold two channels (one channel per thread gains more from the second). */
function haveSharedRoom(plan: RegionPlan, machine: Machine, parameters: LanesParameters): boolean {
  const bytes = lanesSharedBytes(plan, parameters);
  return bytes <= machine.sharedBytes && (parameters.channels === 1 || residentWorkgroups(machine, bytes) >= 2);
}

/** The same with sums over channels formed once per tile, if there are any and the tables fit. */
function withTileSums(plan: RegionPlan, machine: Machine, parameters: LanesParameters): LanesParameters {
  const byTile: LanesParameters = { ...parameters, channelSums: 'tile' };
  return parameters.channelSums === 'shuffle' && maySumByTile(plan, parameters.lanes) && lanesSharedBytes(plan, byTile) <= machine.sharedBytes ? byTile : parameters;
}

/** Whether there are sums over channels which threads, so many per channel, can form once per tile. */
export function maySumByTile(plan: RegionPlan, lanes: number): boolean {
  return channelSumsPerToken(plan) > 0 && suitsTileSums(plan, plan.innerCount / lanes);
}

function isChannelSum(plan: RegionPlan, { sumOver }: ScanYield): boolean {
  return plan.channels.every((each) => sumOver.includes(each.name));
}

/** Yields over inner axes that are summed over all channels at every token. */
function channelSumsPerToken(plan: RegionPlan): number {
  return plan.op.yields.filter((each) => hasInnerAxis(plan, each.value) && isChannelSum(plan, each) && !each.sumOver.includes('time')).length;
}

/** Whether the last phase of a tile may wait until the next tile: it reads no exported value, and nothing is summed over channels token by token. */
export function phasesMayOverlap(plan: RegionPlan): boolean {
  if (plan.history !== null || plan.loopCount > 1 || plan.recurrenceLevel > 0) return false;
  const { yields } = plan.op;
  if (yields.some((each) => isChannelSum(plan, each) && !each.sumOver.includes('time'))) return false;
  const values = yields.map((each) => each.value);
  const read = scalarsBehind(plan, values.filter((id) => !hasInnerAxis(plan, id)));
  return !sharedValuesOf(plan, [plan.recurrence], values).exports.some((id) => read.has(id));
}

/** Whether helpers can do their phases: these may overlap the recurrence, and their rows fall evenly to whole groups of exchanging threads. True without helpers. */
export function areHelpersLegal(plan: RegionPlan, parameters: LanesParameters, machine: Machine): boolean {
  const { helpers, workgroupSize, overlap } = parameters;
  if (helpers === 0) return true;
  const rows = rowsPerThread(parameters);
  return overlap && phasesMayOverlap(plan) && helpers % channelsPerGroupOf(parameters) === 0 && helpers % machine.shuffleWidth === 0
    && Number.isInteger(rows) && rowsAreUnrolled({ rows }) && workgroupSize + helpers <= machine.maximumWorkgroup;
}

/** Registers of a helper for streams on their way, next to which a workgroup of 512 threads still has what it computes with. */
const helperRegisters = 64;

/** Whether a helper's streams, those in use and those on their way, fit its registers (with more, Mamba's block spills). */
export function haveHelpersRoom(plan: RegionPlan, parameters: LanesParameters): boolean {
  const yields = plan.op.yields.map((each) => each.value);
  const { exports } = sharedValuesOf(plan, [plan.recurrence], yields);
  const early = streamsBehind(plan, exports, new Set());
  const late = streamsBehind(plan, yields.filter((id) => !hasInnerAxis(plan, id)), new Set(exports));
  return 2 * (early.size + late.size) * rowsPerThread(parameters) <= helperRegisters;
}

/** Whether phases may overlap, and threads have what it takes: exchange of registers, and real states, four each. */
export function phasesSuitOverlap(plan: RegionPlan, base: LanesParameters): boolean {
  const isWide = base.prefetch && base.channelSums !== 'shared' && plan.recurrence.current.length === 1;
  return isWide && base.channels === 1 && base.lanes >= 4 && plan.innerCount / base.lanes === 4 && phasesMayOverlap(plan);
}

/** What fills the machine: pieces of time, or the sequences that the caller expects, if it says so. */
export type Filling = { readonly isCut: boolean; readonly batch: number | null };

/**
 * Parameters for sizes that fill the machine: phases overlap, and threads hold eight states instead of four,
 * since there are enough of them (measured on Hopper: a tenth). Where a workgroup may have so many threads they have
 * helpers (another tenth), in cut time too. Null where that does not apply.
 */
export function overlappedParametersFor(plan: RegionPlan, machine: Machine, base: LanesParameters, filling: Filling): LanesParameters | null {
  if (!phasesSuitOverlap(plan, base)) return null;
  const alone: LanesParameters = { ...base, lanes: base.lanes / 2, overlap: true };
  // eight states per thread: two vectors
  const isTyped = machine.typedShared === true && (plan.inner.at(-1)?.size ?? 1) % 4 === 0;
  const helped = [2 * alone.workgroupSize, alone.workgroupSize].map((size): LanesParameters => ({ ...alone, workgroupSize: size, helpers: size, ...(isTyped ? { staged: 4 } : {}) }));
  const fits = (each: LanesParameters): boolean => lanesSharedBytes(plan, each) <= machine.sharedBytes;
  const suits = (each: LanesParameters): boolean => each.workgroupSize === alone.workgroupSize || hasLargeGroups(plan, machine, each, filling);
  const best = helped.find((each) => areHelpersLegal(plan, each, machine) && haveHelpersRoom(plan, each) && fits(each) && suits(each));
  if (best !== undefined) return best;
  return !filling.isCut && fits(alone) ? alone : null;
}

/**
 * Whether there are channels and sequences enough for groups of twice the usual size, whose threads load values that
 * channels share half as often (measured on Hopper: 6 %): few groups would leave processors without one.
 */
function hasLargeGroups(plan: RegionPlan, machine: Machine, parameters: LanesParameters, { isCut, batch }: Filling): boolean {
  if (isCut) return false;
  const groups = lanesGroups(plan, parameters);
  if (batch !== null) return batch * groups * (parameters.workgroupSize + parameters.helpers) >= machine.fillingThreads;
  return groups >= 8;
}

/** Bytes of workgroup memory that the schedule takes for a scan. */
export function lanesSharedBytes(plan: RegionPlan, parameters: LanesParameters): number {
  const { tile, workgroupSize, lanes, channelSums } = parameters;
  const recurrences = [plan.recurrence, ...(plan.history === null ? [] : [plan.history])];
  const { exports, staged, sums } = sharedValuesOf(plan, recurrences, plan.op.yields.map((each) => each.value));
  const channels = channelsPerGroupOf(parameters);
  const steps = plan.innerCount / lanes;
  const inner = plan.op.yields.filter((each) => hasInnerAxis(plan, each.value));
  const perToken = channelSumsPerToken(plan);
  const totals = inner.filter((each) => isChannelSum(plan, each) && each.sumOver.includes('time')).length;
  const rows = channelSums === 'shared' ? 1 : workgroupSize / 32;
  const exchange = channelSums === 'shared' ? perToken * steps * workgroupSize : 0;
  const channelTable = channelSums === 'tile' ? tileSumsLength(parameters, plan.innerCount, perToken) : perToken * tile * rows * plan.innerCount;
  const scalarTotals = plan.op.yields.filter((each) => !hasInnerAxis(plan, each.value) && each.sumOver.includes('time')).length;
  const scalarRows = plan.op.yields.filter((each) => !hasInnerAxis(plan, each.value) && isChannelSum(plan, each) && !each.sumOver.includes('time')).length;
  const tables = (exports.length + scalarRows) * tile * channels + staged.length * tile * plan.innerCount + sums.length * tile * (workgroupSize + 32) * parameters.channels;
  const floats = tables * (parameters.overlap ? 2 : 1) + staged.length * sparePlaces(parameters, plan.innerCount) + channelTable + exchange + totals * workgroupSize * steps + scalarTotals * cooperatorsOf(parameters);
  return 4 * floats;
}

/** What phase A puts into shared memory, and the sums that phase C finishes. */
export type SharedValues = { readonly exports: readonly ValueId[]; readonly staged: readonly ValueId[]; readonly sums: readonly ValueId[] };

/** Scalars that inner loops read, inner parameters that all channels share, and sums over inner axes. */
export function sharedValuesOf(plan: RegionPlan, recurrences: readonly Recurrence[], yields: readonly ValueId[]): SharedValues {
  const exports = new Set<ValueId>();
  const staged = new Set<ValueId>();
  const seen = new Set<ValueId>();
  const driving = recurrences.flatMap((each) => [...ofCoefficient(each.coefficient), ...each.drive, ...(each.release ?? [])]);
  const live = liveInstructions(plan.op.region, [...driving, ...yields]);
  const reductions = live.flatMap((each) => (each.op.kind === 'reduce' ? [{ operand: each.op.operand, result: required(each.results[0], 'sum').id }] : []));
  const stack = [...driving, ...yields.filter((id) => hasInnerAxis(plan, id)), ...reductions.map((each) => each.operand)];
  for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
    if (seen.has(id) || !variesInTime(plan, id)) continue;
    seen.add(id);
    const definition = plan.definitions.get(id);
    if (!hasInnerAxis(plan, id)) {
      if ((plan.levels.get(id) ?? 0) === 0 && definition?.op.kind !== 'iota') exports.add(id);
      else if (definition !== undefined && definition.op.kind !== 'reduce') stack.push(...operandsOf(definition.op));
      continue;
    }
    if (plan.parameters.has(id) && !hasChannelAxis(plan, id)) staged.add(id);
    if (definition !== undefined) stack.push(...operandsOf(definition.op));
  }
  return { exports: [...exports], staged: [...staged], sums: reductions.map((each) => each.result) };
}
