/**
 * Schedule `lanes`: several threads share a channel, each with a slice of the inner axis in registers;
 * a workgroup takes `workgroupSize / lanes` channels and walks over time in tiles. Per tile:
 *   A  every thread computes per-channel values (Δ, Δ·u, …) for some of the tile's tokens, once,
 *      into shared memory, and values shared by all channels (B, C) are staged there;
 *   B  the recurrence over the tile's tokens, states in registers;
 *   C  sums over the inner axis are finished and per-channel results (read-out, skip, gate) computed
 *      and stored, again once per token and channel.
 * So a transcendental per channel is never repeated by the lanes, and global accesses are coalesced.
 *
 * Sums over channels per token (dB, dC) are reduced in the workgroup, by register exchange or through
 * shared memory, and leave one partial per group of channels: deterministic, no atomics.
 * Descending scans replay the tile's forward states from its checkpoint into registers first.
 */
import { invariant, required } from '../../support/invariant.ts';
import { ceilDivideSizes } from '../../support/size.ts';
import {
  add, binary, builtin, divide, element, integer, KernelBuilder, less, literal, loadShared, minimum, multiply, remainder, select, shuffleXor, subtract, variable,
} from '../kernel/builder.ts';
import { f32, type Kernel, type KernelExpression, type RegisterArray, type SharedArray, type Variable } from '../kernel/nodes.ts';
import { checkpointAxis, type ValueId } from '../tensor/ops.ts';
import { loadValue, splitIndex, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import { lanesGroups, sharedValuesOf } from './lanes-parameters.ts';
import { finishRowTotals, storeRowSums, type RowContext } from './lanes-rows.ts';
import { LanesSums } from './lanes-sums.ts';
import type { LanesParameters } from './parameters.ts';
import { hasInnerAxis, variesInTime } from './region-plan.ts';
import { RegionValues, type InnerSite } from './region-values.ts';
import { ScanThread, type InnerSink, type PassRoots, type StateStore } from './scan-thread.ts';
import { storeValue, timeOfVisit, visitRange, type ScanRequest, type YieldTarget } from './scan-request.ts';
import { operandsOf } from '../tensor/walk.ts';

/** The kernel of one scan. */
export function emitLanesScan(request: ScanRequest, parameters: LanesParameters): Kernel {
  return new LanesEmission(request, parameters).run();
}

type Tile = { readonly base: KernelExpression; readonly count: KernelExpression };

class LanesEmission {
  readonly #request: ScanRequest;
  readonly #parameters: LanesParameters;
  readonly #builder = new KernelBuilder();
  readonly #thread: ScanThread;
  /** per-channel values under the cooperative mapping of phases A and C */
  readonly #cooperative: RegionValues;
  readonly #full: PassRoots;
  readonly #replay: PassRoots | null;
  readonly #channelsPerGroup: number;
  readonly #steps: number;
  readonly #exports: readonly ValueId[];
  readonly #staged: readonly ValueId[];
  readonly #exported = new Map<ValueId, SharedArray>();
  readonly #stagedArrays = new Map<ValueId, SharedArray>();
  readonly #sumArrays = new Map<ValueId, SharedArray>();
  readonly #isImmediate: boolean;

  constructor(request: ScanRequest, parameters: LanesParameters) {
    this.#request = request;
    this.#parameters = parameters;
    const { plan } = request;
    const builder = this.#builder;
    this.#channelsPerGroup = parameters.workgroupSize / parameters.lanes;
    this.#steps = plan.innerCount / parameters.lanes;
    invariant(Number.isInteger(this.#channelsPerGroup) && Number.isInteger(this.#steps), 'lanes must divide the workgroup and the inner axis');
    const lane = (): KernelExpression => remainder(builtin('invocation'), integer(parameters.lanes));
    this.#thread = new ScanThread(builder, plan, {
      lanes: 1, innerWidth: 1, innerSteps: this.#steps, unroll: true,
      site: (step) => ({ step, coordinates: splitIndex(builder, add(multiply(lane(), integer(this.#steps)), step), plan.inner) }),
    }, request.memory);
    this.#cooperative = new RegionValues({ builder, plan, memory: request.memory, lanes: 1, innerWidth: 1, innerSteps: 1 });
    const yields = request.summary === null ? request.yields.map((each) => each.yielded.value) : [];
    this.#full = { recurrence: plan.recurrence, values: yields };
    this.#replay = plan.history !== null && this.#readsHistory() ? { recurrence: plan.history, values: [] } : null;
    this.#isImmediate = plan.loopCount > 1 || plan.recurrenceLevel > 0;
    const { exports, staged } = sharedValuesOf(plan, this.#passes().map((each) => each.recurrence), yields);
    this.#exports = exports;
    this.#staged = staged;
  }

  #readsHistory(): boolean {
    const history = required(this.#request.plan.history, 'history');
    const replayed = new Set([...history.previous, ...history.current].map((value) => value.id));
    const used = this.#thread.liveFor(this.#full).flatMap((each) => operandsOf(each.op));
    return [...used, ...this.#full.values].some((id) => replayed.has(id));
  }

  #passes(): readonly PassRoots[] {
    return this.#replay === null ? [this.#full] : [this.#full, this.#replay];
  }

  run(): Kernel {
    const { plan, split, name, notes } = this.#request;
    const { workgroupSize, lanes, tile } = this.#parameters;
    const builder = this.#builder;
    const group = builtin('workgroup-x');
    const piece = split === null ? null : builtin('workgroup-z');
    const outer: (readonly [string, KernelExpression])[] = [['batch', builtin('workgroup-y')], ['group', group], ...(piece === null ? [] : [['split', piece] as const])];
    const first = builder.let('first_channel', multiply(group, integer(this.#channelsPerGroup)));
    const own = this.#placeChannel('channel', first, divide(builtin('invocation'), integer(lanes)), outer);
    this.#thread.values.place(own.coordinates);
    const shared = this.#placeChannel('cooperative', first, remainder(builtin('invocation'), integer(this.#channelsPerGroup)), outer);
    this.#cooperative.place(shared.coordinates);
    for (const id of this.#exports) this.#exported.set(id, builder.shared(this.#nameOf(id), f32, tile * this.#channelsPerGroup));
    for (const id of this.#staged) this.#stagedArrays.set(id, builder.shared(this.#nameOf(id), f32, tile * plan.innerCount));
    this.#thread.prepareFixed(this.#passes());
    this.#prepareCooperative();
    const state = this.#thread.makeState(plan.recurrence, (part, _lane, site) => this.#initialState(part, site));
    const range = visitRange(builder, this.#request, piece);
    if (this.#request.summary !== null) this.#summary(state, range, own);
    else this.#fullPass(state, range, own, shared);
    return builder.finish({
      name, notes: [...notes, `schedule lanes: ${lanes} threads per channel, ${this.#steps} states each, tiles of ${tile} tokens`],
      workgroupSize, grid: [lanesGroups(plan, this.#parameters), 'batch', split === null ? 1 : ceilDivideSizes('length', split.size)],
    });
  }

  /** Per-channel values fixed in time, for the cooperative phases. */
  #prepareCooperative(): void {
    const { plan } = this.#request;
    const used = this.#passes().flatMap((pass) => this.#thread.liveFor(pass)).flatMap((each) => operandsOf(each.op));
    for (const id of new Set(used)) {
      const isFixed = !variesInTime(plan, id) && !hasInnerAxis(plan, id) && plan.definitions.get(id)?.op.kind !== 'constant';
      if (isFixed) this.#cooperative.scalar(id);
    }
  }

  #nameOf(id: ValueId): string {
    return required(this.#request.plan.names.get(id), 'name');
  }

  /** Coordinates of a channel; beyond the last one loads are clamped and `isValid` guards stores. */
  #placeChannel(name: string, first: KernelExpression, offset: KernelExpression, outer: readonly (readonly [string, KernelExpression])[]): Placement {
    const { plan } = this.#request;
    const builder = this.#builder;
    const local = builder.let(`${name}_local`, offset);
    const index = builder.let(name, add(first, local));
    const isWhole = plan.channelCount % this.#channelsPerGroup === 0;
    const safe = isWhole ? index : builder.let(`${name}_safe`, minimum(index, integer(plan.channelCount - 1)));
    const isValid = isWhole ? null : builder.let(`${name}_valid`, less(index, integer(plan.channelCount)));
    return { local, isValid, coordinates: withCoordinates(new Map(outer), splitIndex(builder, safe, plan.channels)) };
  }

  #at(placement: Placement, site: InnerSite, more: readonly (readonly [string, KernelExpression])[] = []): Coordinates {
    return withCoordinates(placement.coordinates, [...site.coordinates, ...more]);
  }

  #initialState(part: number, site: InnerSite): KernelExpression {
    const { plan, carry, summary, memory } = this.#request;
    const initial = plan.op.initial?.[part];
    const reference = carry === null ? (initial === undefined ? null : memory(initial)) : required(carry[part], 'carry');
    if (summary !== null || reference === null) return literal(0);
    return loadValue(this.#builder, reference, this.#thread.values.coordinatesAt(site));
  }

  #guard(condition: KernelExpression | null, body: () => void): void {
    if (condition === null) body();
    else this.#builder.if(condition, body);
  }

  #storeState(state: StateStore, targets: readonly MemoryReference[], own: Placement, more: readonly (readonly [string, KernelExpression])[] = []): void {
    this.#guard(own.isValid, () => this.#thread.eachStep((site) => {
      targets.forEach((target, part) => storeValue(this.#builder, target, this.#at(own, site, more), state.read(part, 0, site.step), null));
    }));
  }

  #summary(state: StateStore, range: Range, own: Placement): void {
    const { plan } = this.#request;
    const targets = required(this.#request.summary, 'summary');
    const shape = { ...plan.recurrence, current: targets.decay.map((_, part) => ({ ...required(plan.recurrence.current[part], 'state'), name: 'decay_total' })) };
    const decay = this.#thread.makeState(shape, (part) => literal(part === 0 ? 1 : 0));
    this.#declareSums();
    this.#overTiles(range, (tile) => {
      this.#phaseA(tile);
      this.#builder.barrier();
      this.#phaseB(tile, own, (prepare, _time, index) => {
        this.#thread.finishSum = (id, parts) => this.#finishSum(id, required(parts[0], 'sum'), index);
        prepare();
        this.#thread.multiplyDecay(plan.recurrence, decay);
        this.#thread.runToken(this.#full, state, []);
      });
      this.#builder.barrier();
    });
    this.#storeState(state, targets.state, own);
    this.#storeState(decay, targets.decay, own);
  }

  /** Shared arrays for what each thread adds to the sums over inner axes. */
  #declareSums(): readonly ValueId[] {
    const { tile, workgroupSize } = this.#parameters;
    const sums = this.#thread.liveFor(this.#full).filter((each) => each.op.kind === 'reduce').map((each) => required(each.results[0], 'sum').id);
    for (const id of sums) this.#sumArrays.set(id, this.#builder.shared(`${this.#nameOf(id)}_partial`, f32, tile * workgroupSize));
    return sums;
  }

  #fullPass(state: StateStore, range: Range, own: Placement, shared: Placement): void {
    const { plan, yields, checkpoints, finals } = this.#request;
    const builder = this.#builder;
    const inner = yields.filter((each) => hasInnerAxis(plan, each.yielded.value));
    const scalars = yields.filter((each) => !hasInnerAxis(plan, each.yielded.value));
    const sums = this.#declareSums();
    const channelSums = new LanesSums(builder, plan, this.#parameters, inner.filter((each) => each.sumsChannels && !each.sumsTime));
    const accumulators = new Map(inner.filter((each) => each.sumsTime).map((each) => [each, this.#accumulator(each)]));
    const totals = new Map(scalars.filter((each) => each.sumsTime).map((each) => [each, builder.var(`${this.#nameOf(each.yielded.value)}_sum`, literal(0))]));
    this.#overTiles(range, (tile) => {
      if (checkpoints !== null) this.#storeCheckpoint(state, own, tile, checkpoints);
      this.#phaseA(tile);
      builder.barrier();
      this.#phaseB(tile, own, (prepare, time, index) => {
        this.#thread.finishSum = (id, parts) => this.#finishSum(id, required(parts[0], 'sum'), index);
        prepare();
        const sinks = inner.map((each): InnerSink => ({
          value: each.yielded.value,
          consume: (site, values) => this.#consumeInner(each, site, required(values[0], 'value'), time, own, accumulators, channelSums),
        }));
        this.#thread.runToken(this.#full, state, sinks);
        channelSums.finishToken(index);
      });
      builder.barrier();
      this.#phaseC(tile, scalars, sums, totals, shared);
      channelSums.storeTile(tile, shared.coordinates);
      builder.barrier();
    });
    for (const [each, array] of accumulators) this.#finishAccumulator(each, array, own);
    for (const [each, total] of totals) finishRowTotals(this.#rowContext(), { each, total, ...shared });
    if (finals !== null) this.#storeState(state, finals, own);
  }

  /** Tiles in visiting order; a tile starts at a multiple of its size from the range's start. */
  #overTiles(range: Range, body: (tile: Tile) => void): void {
    const builder = this.#builder;
    const { plan } = this.#request;
    const size = integer(this.#parameters.tile);
    const count = builder.let('tiles', divide(add(subtract(range.end, range.start), integer(this.#parameters.tile - 1)), size));
    builder.for('k', { start: integer(0), end: count }, (step) => {
      const index = plan.direction === 'ascending' ? step : builder.let('tile', subtract(subtract(count, integer(1)), step));
      const base = builder.let('tile_start', add(range.start, multiply(index, size)));
      body({ base, count: builder.let('tile_length', minimum(size, subtract(range.end, base))) });
    });
  }

  #storeCheckpoint(state: StateStore, own: Placement, tile: Tile, checkpoints: NonNullable<ScanRequest['checkpoints']>): void {
    const { interval, targets } = checkpoints;
    const builder = this.#builder;
    const store = (): void => {
      const place = builder.let('checkpoint', divide(tile.base, integer(interval)));
      this.#storeState(state, targets, own, [[checkpointAxis(interval), place]]);
    };
    if (interval === this.#parameters.tile) store();
    else builder.if(binary('equal', remainder(tile.base, integer(interval)), integer(0)), store);
  }

  /** Rows of the tile that this thread takes in the cooperative phases. */
  #overRows(tile: Tile, body: (row: { index: KernelExpression; safe: KernelExpression; isInside: KernelExpression; time: KernelExpression }) => void): void {
    const { lanes, tile: tokens } = this.#parameters;
    const builder = this.#builder;
    const row = divide(builtin('invocation'), integer(this.#channelsPerGroup));
    builder.for('pass', { start: integer(0), end: integer(tokens / lanes), unroll: tokens / lanes <= 4 }, (pass) => {
      const index = builder.let('i', add(multiply(pass, integer(lanes)), row));
      const isInside = builder.let('inside', less(index, tile.count));
      const safe = builder.let('row', minimum(index, subtract(tile.count, integer(1))));
      body({ index, safe, isInside, time: timeOfVisit(builder, this.#request.plan, builder.let('visit', add(tile.base, safe))) });
    });
  }

  #phaseA(tile: Tile): void {
    const { plan, memory } = this.#request;
    const builder = this.#builder;
    const channel = remainder(builtin('invocation'), integer(this.#channelsPerGroup));
    if (this.#exports.length > 0) {
      builder.comment('per-channel values of this tile, once');
      this.#overRows(tile, ({ index, time }) => {
        this.#cooperative.beginToken(time);
        for (const id of this.#exports) {
          const array = required(this.#exported.get(id), 'export');
          builder.storeShared(array, add(multiply(index, integer(this.#channelsPerGroup)), channel), this.#cooperative.scalar(id));
        }
      });
    }
    if (this.#staged.length === 0) return;
    const size = this.#parameters.tile * plan.innerCount;
    const passes = Math.ceil(size / this.#parameters.workgroupSize);
    builder.comment('values that all channels share');
    builder.for('pass', { start: integer(0), end: integer(passes), unroll: passes <= 4 }, (pass) => {
      const place = builder.let('place', add(multiply(pass, integer(this.#parameters.workgroupSize)), builtin('invocation')));
      const stage = (): void => {
        const inner = builder.let('inner', remainder(place, integer(plan.innerCount)));
        const visit = builder.let('visit', add(tile.base, minimum(divide(place, integer(plan.innerCount)), subtract(tile.count, integer(1)))));
        const coordinates = withCoordinates(new Map(splitIndex(builder, inner, plan.inner)), [['batch', builtin('workgroup-y')], ['time', timeOfVisit(builder, plan, visit)]]);
        for (const id of this.#staged) {
          const operand = required(plan.op.operands[required(plan.parameters.get(id), 'parameter')], 'operand');
          builder.storeShared(required(this.#stagedArrays.get(id), 'staged'), place, loadValue(builder, memory(operand), coordinates));
        }
      };
      if (size % this.#parameters.workgroupSize === 0) stage();
      else builder.if(less(place, integer(size)), stage);
    });
  }

  /** The tile's tokens in visiting order; with a history, after replaying the forward states. */
  #phaseB(tile: Tile, own: Placement, token: (prepare: () => void, time: KernelExpression, index: KernelExpression) => void): void {
    const { plan } = this.#request;
    const builder = this.#builder;
    const history = this.#replay === null ? null : this.#replayTile(tile, own);
    builder.comment(plan.direction === 'ascending' ? 'the recurrence' : 'the recurrence, backwards');
    const tokens = this.#parameters.tile;
    builder.for('step', { start: integer(0), end: integer(tokens), unroll: this.#parameters.channelSums === 'shuffle' }, (step) => {
      const index = plan.direction === 'ascending' ? step : builder.let('index', subtract(integer(tokens - 1), step));
      builder.if(less(index, tile.count), () => {
        const time = timeOfVisit(builder, plan, builder.let('visit', add(tile.base, index)));
        token(() => {
          this.#beginShared(time, index);
          if (history !== null) this.#readHistory(history, index);
        }, time, index);
        this.#thread.values.readStates(() => null);
      });
    });
  }

  /** Starts a token in phase B: scalars and staged values come from shared memory. */
  #beginShared(time: KernelExpression, index: KernelExpression): void {
    const { values } = this.#thread;
    const builder = this.#builder;
    const { lanes } = this.#parameters;
    const { plan } = this.#request;
    values.beginToken(time);
    values.overrideScalars((id) => {
      const array = this.#exported.get(id);
      return array === undefined ? null : loadShared(array, add(multiply(index, integer(this.#channelsPerGroup)), divide(builtin('invocation'), integer(lanes))));
    });
    values.overrideInner((id) => {
      const array = this.#stagedArrays.get(id);
      if (array === undefined) return null;
      const lane = remainder(builtin('invocation'), integer(lanes));
      const place = add(multiply(lane, integer(this.#steps)), values.step());
      return loadShared(array, add(multiply(index, integer(plan.innerCount)), builder.let('place', place)));
    });
  }

  #replayTile(tile: Tile, own: Placement): readonly RegisterArray[] {
    const { plan, memory } = this.#request;
    const builder = this.#builder;
    const replay = required(this.#replay, 'replay');
    const history = required(plan.op.history, 'history');
    invariant(history.interval === this.#parameters.tile, 'tiles of a replaying scan are its checkpoint intervals');
    const arrays = replay.recurrence.current.map((value) => builder.array(`${value.name}_history`, f32, (history.interval + 1) * this.#steps));
    const place = (index: KernelExpression, step: KernelExpression): KernelExpression => add(multiply(index, integer(this.#steps)), step);
    builder.comment('replay the forward states of the tile from its checkpoint');
    const checkpoint = builder.let('checkpoint', divide(tile.base, integer(history.interval)));
    this.#thread.eachStep((site) => {
      history.checkpoints.forEach((id, part) => {
        const value = loadValue(builder, memory(id), this.#at(own, site, [[checkpointAxis(history.interval), checkpoint]]));
        builder.setElement(required(arrays[part], 'history'), place(integer(0), site.step), value);
      });
    });
    builder.for('step', { start: integer(0), end: integer(history.interval), unroll: this.#parameters.channelSums === 'shuffle' }, (index) => {
      builder.if(less(index, tile.count), () => {
        this.#beginShared(timeOfVisit(builder, plan, builder.let('visit', add(tile.base, index))), index);
        this.#thread.runToken(replay, {
          read: (part, _lane, step) => element(required(arrays[part], 'history'), place(index, step)),
          write: (part, _lane, step, value) => builder.setElement(required(arrays[part], 'history'), place(add(index, integer(1)), step), value),
        }, []);
      });
    });
    return arrays;
  }

  #readHistory(arrays: readonly RegisterArray[], index: KernelExpression): void {
    const history = required(this.#request.plan.history, 'history');
    const { values } = this.#thread;
    const at = (part: number, place: KernelExpression): KernelExpression => element(required(arrays[part], 'history'), add(multiply(place, integer(this.#steps)), values.step()));
    values.readStates((id) => {
      const before = history.previous.findIndex((value) => value.id === id);
      if (before >= 0) return at(before, index);
      const after = history.current.findIndex((value) => value.id === id);
      return after >= 0 ? at(after, add(index, integer(1))) : null;
    });
  }

  /** A sum over the inner axis: this thread's part goes to phase C; if the recurrence waits for it, all lanes add up now. */
  #finishSum(id: ValueId, sum: Variable, index: KernelExpression): void {
    const builder = this.#builder;
    const array = this.#sumArrays.get(id);
    const place = add(multiply(index, integer(this.#parameters.workgroupSize)), builtin('invocation'));
    if (array !== undefined) builder.storeShared(array, place, variable(sum));
    if (!this.#isImmediate) return;
    let total: KernelExpression = builder.let('part', variable(sum));
    if (this.#parameters.channelSums === 'shuffle') {
      for (let mask = 1; mask < this.#parameters.lanes; mask *= 2) total = builder.let('part', add(total, shuffleXor(total, mask)));
    } else {
      const partial = required(array, 'partial sums');
      builder.barrier();
      const first = subtract(place, remainder(builtin('invocation'), integer(this.#parameters.lanes)));
      total = Array.from({ length: this.#parameters.lanes }, (_, lane) => loadShared(partial, add(first, integer(lane)))).reduce((left, right) => add(left, right));
    }
    this.#thread.values.setScalar(id, builder.let(this.#nameOf(id), total));
  }

  #consumeInner(
    each: YieldTarget, site: InnerSite, value: KernelExpression, time: KernelExpression, own: Placement,
    accumulators: ReadonlyMap<YieldTarget, RegisterArray>, channelSums: LanesSums,
  ): void {
    const builder = this.#builder;
    const valid = own.isValid === null ? value : select(own.isValid, value, literal(0));
    const accumulator = accumulators.get(each);
    if (accumulator !== undefined) {
      builder.setElement(accumulator, site.step, add(element(accumulator, site.step), valid));
      return;
    }
    if (each.sumsChannels) {
      channelSums.add(each, site, valid);
      return;
    }
    this.#guard(own.isValid, () => storeValue(builder, each.target, this.#at(own, site, [['time', time]]), value, null));
  }

  #accumulator(each: YieldTarget): RegisterArray {
    const array = this.#builder.array(`${this.#nameOf(each.yielded.value)}_sum`, f32, this.#steps);
    this.#thread.eachStep((site) => this.#builder.setElement(array, site.step, literal(0)));
    return array;
  }

  #phaseC(tile: Tile, scalars: readonly YieldTarget[], sums: readonly ValueId[], totals: ReadonlyMap<YieldTarget, Variable>, shared: Placement): void {
    if (scalars.length === 0) return;
    const builder = this.#builder;
    const { lanes, workgroupSize, tile: tokens } = this.#parameters;
    const values = this.#cooperative;
    const acrossChannels = scalars.filter((each) => each.sumsChannels && !each.sumsTime).map((each) => ({ each, array: builder.shared(`${this.#nameOf(each.yielded.value)}_row`, f32, tokens * this.#channelsPerGroup) }));
    builder.comment('finish the sums over states; per-channel results, once');
    this.#overRows(tile, ({ index, safe, isInside, time }) => {
      values.beginToken(time);
      values.overrideScalars((id) => {
        const array = this.#exported.get(id);
        return array === undefined ? null : loadShared(array, add(multiply(index, integer(this.#channelsPerGroup)), shared.local));
      });
      for (const id of sums) {
        const first = builder.let('first', add(multiply(safe, integer(workgroupSize)), multiply(shared.local, integer(lanes))));
        const parts = Array.from({ length: lanes }, (_, lane) => loadShared(required(this.#sumArrays.get(id), 'sum'), add(first, integer(lane))));
        values.setScalar(id, builder.let(this.#nameOf(id), parts.reduce((left, right) => add(left, right))));
      }
      const isValid = shared.isValid === null ? isInside : binary('and', isInside, shared.isValid);
      for (const each of scalars) {
        const value = values.scalar(each.yielded.value);
        const total = totals.get(each);
        const row = acrossChannels.find((other) => other.each === each);
        if (total !== undefined) builder.assign(total, add(variable(total), select(isValid, value, literal(0))));
        else if (row !== undefined) builder.storeShared(row.array, add(multiply(index, integer(this.#channelsPerGroup)), shared.local), select(isValid, value, literal(0)));
        else builder.if(isValid, () => storeValue(builder, each.target, withCoordinates(shared.coordinates, [['time', time]]), value, null));
      }
      values.overrideScalars(() => null);
    });
    for (const { each, array } of acrossChannels) storeRowSums(this.#rowContext(), { each, array, tile, coordinates: shared.coordinates });
  }

  #rowContext(): RowContext {
    return { builder: this.#builder, plan: this.#request.plan, parameters: this.#parameters, channelsPerGroup: this.#channelsPerGroup };
  }

  #finishAccumulator(each: YieldTarget, array: RegisterArray, own: Placement): void {
    const builder = this.#builder;
    if (!each.sumsChannels) {
      this.#guard(own.isValid, () => this.#thread.eachStep((site) => storeValue(builder, each.target, this.#at(own, site), element(array, site.step), null)));
      return;
    }
    const { workgroupSize, lanes } = this.#parameters;
    const scratch = builder.shared('state_sums', f32, workgroupSize * this.#steps);
    this.#thread.eachStep((site) => builder.storeShared(scratch, add(multiply(builtin('invocation'), integer(this.#steps)), site.step), element(array, site.step)));
    builder.barrier();
    builder.if(less(builtin('invocation'), integer(lanes)), () => this.#thread.eachStep((site) => {
      const sum = builder.var('sum', literal(0));
      builder.for('c', { start: integer(0), end: integer(this.#channelsPerGroup) }, (channel) => {
        const place = add(multiply(add(multiply(channel, integer(lanes)), builtin('invocation')), integer(this.#steps)), site.step);
        builder.assign(sum, add(variable(sum), loadShared(scratch, place)));
      });
      storeValue(builder, each.target, this.#at(own, site), variable(sum), null);
    }));
    builder.barrier();
  }
}

type Range = { readonly start: KernelExpression; readonly end: KernelExpression };
type Placement = { readonly local: KernelExpression; readonly isValid: KernelExpression | null; readonly coordinates: Coordinates };
