/**
 * What a tiled scan keeps beside registers: per tile (token by channel), per block (channel, or
 * channel by state), and the replayed states of one channel.
 */
import { required } from '../../support/invariant.ts';
import { f32, withWidth, type KernelExpression, type RegisterArray, type VectorWidth } from '../kernel/nodes.ts';
import type { ValueId } from '../tensor/ops.ts';
import { hasChannelAxis, hasInnerAxis, ofCoefficient, variesInTime } from './region-plan.ts';
import type { YieldTarget } from './scan-request.ts';
import type { TileFrame } from './tile-frame.ts';

/** A channel's replayed states and transitions over a tile. */
export type HistoryTile = {
  /** states before each token of the tile, and the last one, by part */
  readonly states: readonly RegisterArray[];
  readonly transitions: ReadonlyMap<ValueId, RegisterArray>;
  /** the transitions are powers of exponents */
  readonly isPower: boolean;
};

/** A block's values in memory: per tile (token × channel) or per block (channel, or channel × state). */
export type TileStore = {
  readonly fixedScalars: ReadonlyMap<ValueId, RegisterArray>;
  readonly staged: ReadonlyMap<ValueId, RegisterArray>;
  readonly stagedPowers: ReadonlyMap<ValueId, RegisterArray>;
  readonly stagedFixed: ReadonlyMap<ValueId, RegisterArray>;
  readonly fixedInner: ReadonlyMap<ValueId, RegisterArray>;
  readonly fixedPowers: ReadonlyMap<ValueId, RegisterArray>;
  readonly rows: ReadonlyMap<ValueId, RegisterArray>;
  readonly sums: ReadonlyMap<ValueId, RegisterArray>;
  readonly state: readonly RegisterArray[];
  readonly totals: ReadonlyMap<YieldTarget, RegisterArray>;
  readonly historyTile: HistoryTile | null;
};

/** A channel's share of them, in registers. */
export type Registers = {
  readonly state: readonly RegisterArray[];
  readonly fixedInner: ReadonlyMap<ValueId, RegisterArray>;
  readonly fixedPowers: ReadonlyMap<ValueId, RegisterArray>;
  readonly fixedScalars: ReadonlyMap<ValueId, KernelExpression>;
  readonly totals: ReadonlyMap<YieldTarget, RegisterArray>;
};

/** Memory of a block beside registers. */
export function makeStore(frame: TileFrame): TileStore {
  const builder = frame.builder;
  const { plan, yields } = frame.request;
  const { lanes, innerWidth } = frame.parameters;
  const [inner, wide] = [withWidth(f32, innerWidth), withWidth(f32, lanes)];
  const nameOf = (id: ValueId): string => required(plan.names.get(id), `name of %${id}`);
  const slots = frame.blockChannels * frame.steps;
  const perChannel = (id: ValueId): number => (hasChannelAxis(plan, id) ? frame.blockChannels : 1);
  const table = (ids: readonly ValueId[], make: (id: ValueId) => RegisterArray): ReadonlyMap<ValueId, RegisterArray> => new Map(ids.map((id) => [id, make(id)]));
  const { staged, stagedPowers, stagedFixed, fixedInner, fixedPowers, fixedScalars, rows, sums } = frame.values;
  return {
    fixedScalars: table(fixedScalars, (id) => builder.array(nameOf(id), hasChannelAxis(plan, id) ? wide : f32, hasChannelAxis(plan, id) ? frame.blockChannels / lanes : 1)),
    staged: table(staged, (id) => builder.array(`${nameOf(id)}_tile`, f32, frame.tile * perChannel(id))),
    stagedPowers: table(stagedPowers, (id) => builder.array('decay_tile', f32, frame.tile * perChannel(id))),
    stagedFixed: table(stagedFixed, (id) => builder.array(`${nameOf(id)}_block`, f32, perChannel(id))),
    fixedInner: table(fixedInner, (id) => builder.array(`${nameOf(id)}_block`, inner, slots)),
    fixedPowers: table(fixedPowers, () => builder.array('decay_block', inner, slots)),
    rows: table(rows, (id) => builder.array(`${nameOf(id)}_rows`, wide, frame.tile * (frame.blockChannels / lanes))),
    sums: table(sums, (id) => builder.array(`${nameOf(id)}_tile`, f32, frame.tile * frame.blockChannels)),
    state: plan.recurrence.current.map((value) => builder.array(`${value.name}_block`, inner, slots)),
    totals: new Map(yields.flatMap((each): [YieldTarget, RegisterArray][] => totalOf(frame, each, nameOf(each.yielded.value), slots))),
    historyTile: makeHistory(frame, inner),
  };
}

/** Sums of a yield over tokens (of the block) or over channels (of the tile). */
function totalOf(frame: TileFrame, each: YieldTarget, name: string, slots: number): [YieldTarget, RegisterArray][] {
  const { lanes, innerWidth } = frame.parameters;
  const make = (width: VectorWidth, length: number): [YieldTarget, RegisterArray][] => [[each, frame.builder.array(`${name}_sum`, withWidth(f32, width), length)]];
  if (!frame.isInner(each)) return each.sumsTime ? make(lanes, frame.blockChannels / lanes) : [];
  if (each.sumsTime) return make(innerWidth, each.sumsChannels ? frame.steps : slots);
  return each.sumsChannels ? make(innerWidth, frame.tile * frame.steps) : [];
}

function makeHistory(frame: TileFrame, type: typeof f32): HistoryTile | null {
  if (frame.replay === null) return null;
  const { recurrence } = frame.replay;
  const array = (name: string, tokens: number): RegisterArray => frame.builder.array(name, type, tokens * frame.pieceSteps);
  const { coefficient } = recurrence;
  const kept = ofCoefficient(coefficient).filter((id) => hasInnerAxis(frame.request.plan, id) && variesInTime(frame.request.plan, id));
  return {
    states: recurrence.current.map((value) => array(`${value.name}_history`, frame.tile + 1)),
    transitions: new Map(kept.map((id) => [id, array('decay_history', frame.tile)])),
    isPower: coefficient.kind === 'exponent',
  };
}
