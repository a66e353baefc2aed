/**
 * Schedule `lanes`: several threads share a channel, each with a slice of the inner axis in registers;
 * a workgroup takes `workgroupSize / lanes` times `channels` channels and walks over time in tiles. Per tile:
 *   A  every thread computes per-channel values (Δ, Δ·u, …) for some of the tile's tokens, once,
 *      into shared memory, and values shared by all channels (B, C) are staged there;
 *   B  the recurrence over the tile's tokens, states in registers;
 *   C  sums over the inner axis are finished and per-channel results (read-out, skip, gate) computed
 *      and stored, again once per token and channel.
 * Phases touch shared memory so that two barriers per tile keep them apart.
 * So a transcendental per channel is never repeated by the lanes, and global accesses are coalesced.
 *
 * Sums over channels per token (dB, dC) are reduced in the workgroup, through shared memory (once per tile or at every
 * token) or by register exchange, and leave one partial per group of channels: deterministic, no atomics.
 * Descending scans replay the tile's forward states from its checkpoint into registers first.
 */
import { required } from '../../support/invariant.ts';
import { ceilDivideSizes } from '../../support/size.ts';
import {
  add, binary, builtin, compose, divide, element, integer, KernelBuilder, less, literal, loadShared, multiply, remainder, select, shuffleXor, subtract, variable,
} from '../kernel/builder.ts';
import { f32, type Kernel, type KernelExpression, type RegisterArray, type SharedArray, type Variable } from '../kernel/nodes.ts';
import { checkpointAxis, type ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { loadValue, splitIndex, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import { startDecayTotal } from './decay-total.ts';
import { LanesExports } from './lanes-exports.ts';
import {
  both, channelOf, cooperator, guard, helps, makeFrame, orZero, overTiles, partialPlane, placeChannel, rowsAreUnrolled, sparePlaces, type LanesFrame, type Placement, type Range, type Tile, walker, walks,
} from './lanes-frame.ts';
import { overlapPhases } from './lanes-overlap.ts';
import { lanesGroups, phasesMayOverlap, sharedValuesOf } from './lanes-parameters.ts';
import { affordableStreams, LanesPrefetch, streamsBehind } from './lanes-prefetch.ts';
import { LanesResults } from './lanes-results.ts';
import { LanesReplay, type History } from './lanes-replay.ts';
import { finishRowTotals } from './lanes-rows.ts';
import { storeStates } from './lanes-states.ts';
import { LanesSums, type ChannelSums } from './lanes-sums.ts';
import { LanesTileSums, suitsTileSums } from './lanes-tile-sums.ts';
import { LanesTokens, type Meanwhile } from './lanes-tokens.ts';
import type { LanesParameters } from './parameters.ts';
import { hasInnerAxis, variesInTime } from './region-plan.ts';
import { RegionValues, type InnerSite } from './region-values.ts';
import { ScanThread, type InnerSink, type PassRoots, type StateStore } from './scan-thread.ts';
import { isLastPiece, storeValue, timeOfVisit, visitRange, type ScanRequest, type YieldTarget } from './scan-request.ts';

/** The kernel of one scan. */
export function emitLanesScan(request: ScanRequest, parameters: LanesParameters): Kernel {
  return new LanesEmission(request, parameters).run();
}

/** A token of the recurrence: `prepare` gives shared values to the thread. */
type TokenBody = (prepare: () => void, time: KernelExpression, index: KernelExpression, tile: Tile) => void;

/** What happens in a tile: before its first phase, at its tokens, in its last phase and after it. */
type TilePhases = {
  readonly scalars: readonly YieldTarget[];
  readonly totals: ReadonlyMap<YieldTarget, Variable>;
  readonly token: TokenBody;
  readonly before: (tile: Tile) => void;
  readonly after: (tile: Tile) => void;
};

/** The forward states of a tile. */
type Replayed = { readonly replay: LanesReplay; readonly history: History };

class LanesEmission {
  readonly #request: ScanRequest;
  readonly #parameters: LanesParameters;
  readonly #builder = new KernelBuilder();
  readonly #frame: LanesFrame;
  readonly #thread: ScanThread;
  readonly #tokens: LanesTokens;
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
  /** by sum and channel of the thread: what it adds at each token of a tile, where that is stored later */
  readonly #heldSums = new Map<ValueId, readonly RegisterArray[]>();
  readonly #isImmediate: boolean;
  readonly #isOverlapped: boolean;

  constructor(request: ScanRequest, parameters: LanesParameters) {
    this.#request = request;
    this.#parameters = parameters;
    const { plan } = request;
    const builder = this.#builder;
    this.#frame = makeFrame(builder, request, parameters);
    this.#channelsPerGroup = this.#frame.channelsPerGroup;
    this.#steps = this.#frame.steps;
    const lane = (): KernelExpression => remainder(builtin('invocation'), integer(parameters.lanes));
    this.#thread = new ScanThread(builder, plan, {
      lanes: parameters.channels, innerWidth: 1, innerSteps: this.#steps, unroll: true,
      site: (step) => ({ step, coordinates: splitIndex(builder, add(multiply(lane(), integer(this.#steps)), step), plan.inner) }),
    }, request.memory);
    this.#cooperative = new RegionValues({ builder, plan, memory: request.memory, lanes: 1, innerWidth: 1, innerSteps: 1 });
    const yields = request.summary === null ? request.yields.map((each) => each.yielded.value) : [];
    this.#full = { recurrence: plan.recurrence, values: yields };
    this.#replay = plan.history !== null && this.#readsHistory() ? { recurrence: plan.history, values: [] } : null;
    this.#isImmediate = plan.loopCount > 1 || plan.recurrenceLevel > 0;
    const { exports, staged } = sharedValuesOf(plan, this.#passes().map((each) => each.recurrence), yields);
    this.#tokens = new LanesTokens({ frame: this.#frame, thread: this.#thread, exported: this.#exported, staged: this.#stagedArrays });
    this.#exports = exports;
    this.#staged = staged;
    this.#isOverlapped = parameters.overlap && this.#canOverlap();
  }

  #canOverlap(): boolean {
    const { plan, summary } = this.#request;
    if (!this.#parameters.prefetch || !rowsAreUnrolled(this.#frame)) return false;
    return summary === null ? phasesMayOverlap(plan) : this.#replay === null && !this.#isImmediate;
  }

  /** Eight warps of 32 with many states each, or however many fit: their compiler may spend registers on independent work. */
  #resident(): number | null {
    const { workgroupSize, channels } = this.#parameters;
    return this.#isOverlapped && this.#steps * channels >= 8 ? Math.max(1, Math.round(256 / workgroupSize)) : null;
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
    const { plan, split, finals, name, notes } = this.#request;
    const { workgroupSize, helpers, lanes, channels, tile } = this.#parameters;
    const builder = this.#builder;
    const group = builtin('workgroup-x');
    const piece = split === null ? null : builtin('workgroup-z');
    const outer: (readonly [string, KernelExpression])[] = [['batch', builtin('workgroup-y')], ['group', group], ...(piece === null ? [] : [['split', piece] as const])];
    const first = builder.let('first_channel', multiply(group, integer(this.#channelsPerGroup)));
    const placed = placeChannel(this.#frame, 'channel', { first, offset: multiply(divide(walker(this.#frame), integer(lanes)), integer(channels)), width: channels }, outer);
    const own = { ...placed, isValid: both(walks(this.#frame), placed.isValid) };
    this.#thread.values.place(own.coordinates);
    const shared = placeChannel(this.#frame, 'cooperative', { first, offset: remainder(cooperator(this.#frame), integer(this.#channelsPerGroup)), width: 1 }, outer);
    this.#cooperative.place(shared.coordinates);
    const rows = tile * this.#slots();
    for (const id of this.#exports) this.#exported.set(id, builder.shared(this.#nameOf(id), f32, rows * this.#channelsPerGroup));
    for (const id of this.#staged) this.#stagedArrays.set(id, builder.shared(this.#nameOf(id), f32, rows * plan.innerCount + sparePlaces(this.#parameters, plan.innerCount)));
    this.#thread.prepareFixed(this.#passes());
    this.#prepareCooperative();
    const state = this.#thread.makeState(plan.recurrence, (part, lane, site) => this.#initialState(part, lane, site));
    const range = visitRange(builder, this.#request, piece);
    const isLast = split === null || piece === null ? null : isLastPiece(builder, plan, split, piece);
    if (this.#request.summary !== null) {
      const end = isLast === null ? range.end : builder.let('summary_end', select(isLast, range.start, range.end));
      this.#summary(state, { ...range, end }, own, shared);
    } else this.#fullPass(state, range, own, shared);
    if (finals !== null) guard(builder, isLast, () => this.#storeState(state, finals, own));
    const resident = this.#resident();
    return builder.finish({
      name, notes: [...notes, `schedule lanes: ${lanes} threads per channel, ${channels} channels and ${this.#steps} states each, tiles of ${tile} tokens${helpers === 0 ? '' : `, ${helpers} threads beside them`}`],
      workgroupSize: workgroupSize + helpers, ...(resident === null ? {} : { resident }), grid: [lanesGroups(plan, this.#parameters), 'batch', split === null ? 1 : ceilDivideSizes('length', split.size)],
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

  #at(placement: Placement, lane: number, site: InnerSite, more: readonly (readonly [string, KernelExpression])[] = []): Coordinates {
    return withCoordinates(channelOf(this.#frame, placement.coordinates, lane), [...site.coordinates, ...more]);
  }

  #initialState(part: number, lane: number, site: InnerSite): KernelExpression {
    const { plan, carry, summary, memory } = this.#request;
    const initial = plan.op.initial?.[part];
    const reference = carry === null ? (initial === undefined ? null : memory(initial)) : required(carry[part], 'carry');
    if (summary !== null || reference === null) return literal(0);
    return loadValue(this.#builder, reference, channelOf(this.#frame, this.#thread.values.coordinatesAt(site), lane));
  }

  #storeState(state: StateStore, targets: readonly MemoryReference[], own: Placement, more: readonly (readonly [string, KernelExpression])[] = []): void {
    guard(this.#builder, own.isValid, () => {
      storeStates({ frame: this.#frame, thread: this.#thread, targets, at: (lane, site) => this.#at(own, lane, site, more) }, (part, lane, step) => state.read(part, lane, step));
    });
  }

  #summary(state: StateStore, range: Range, own: Placement, shared: Placement): void {
    const { plan } = this.#request;
    const targets = required(this.#request.summary, 'summary');
    const decay = startDecayTotal(this.#thread, plan.recurrence);
    this.#declareSums();
    const token: TokenBody = (prepare, _time, index, { slot }) => {
      this.#thread.finishSum = (id, parts) => this.#finishSum(id, parts, slot, index);
      prepare();
      decay.take();
      this.#thread.runToken(this.#full, state, []);
    };
    this.#walk(range, own, shared, { scalars: [], totals: new Map(), token, before: () => undefined, after: () => undefined });
    this.#storeState(state, targets.state, own);
    this.#storeState(decay.finish(), targets.decay, own);
  }

  /** How many tiles the tables in shared memory hold. */
  #slots(): number {
    return this.#isOverlapped ? 2 : 1;
  }

  /** Walks over the tiles: first phase, recurrence, last phase; one after the other, or those of neighbouring tiles side by side. */
  #walk(range: Range, own: Placement, shared: Placement, { scalars, totals, token, before, after }: TilePhases): void {
    const builder = this.#builder;
    const prefetch = this.#makePrefetch(shared, scalars.map((each) => each.yielded.value));
    const exports = new LanesExports({
      frame: this.#frame, tokens: this.#tokens, values: this.#cooperative, cooperative: shared, exported: this.#exported, staged: this.#stagedArrays,
    });
    const results = new LanesResults({
      frame: this.#frame, exports, exported: this.#exported, values: this.#cooperative, cooperative: shared, scalars, parts: this.#sumArrays, totals,
    });
    const overlap = !this.#isOverlapped ? null : overlapPhases({
      frame: this.#frame, prefetch: required(prefetch, 'prefetch'), exports, results, before,
      recurrence: (tile, meanwhile) => this.#recurrence(tile, token, { replayed: null, meanwhile }),
    });
    const replay = this.#makeReplay(own, prefetch !== null);
    const load = (base: KernelExpression): void => {
      prefetch?.load(base);
      replay?.loadAhead(base);
    };
    overTiles(this.#frame, range, prefetch === null ? null : { load }, (tile, following) => {
      before(tile);
      const replayed = replay === null ? null : { replay, history: replay.begin(tile) };
      guard(builder, helps(this.#frame), () => exports.run(tile, prefetch));
      if (tile.isWhole && replay === null) load(following);
      builder.barrier();
      guard(builder, walks(this.#frame), () => this.#recurrence(tile, token, { replayed }));
      builder.barrier();
      // not while states are replayed: their loads of shared memory would wait on the scoreboards of these
      if (tile.isWhole && replay !== null) load(following);
      results.run(tile, prefetch);
      after(tile);
    }, overlap);
  }

  /** Shared arrays for what each thread adds to the sums over inner axes. */
  #declareSums(): void {
    const { tile } = this.#parameters;
    const sums = this.#thread.liveFor(this.#full).filter((each) => each.op.kind === 'reduce').map((each) => required(each.results[0], 'sum').id);
    for (const id of sums) this.#sumArrays.set(id, this.#builder.shared(`${this.#nameOf(id)}_partial`, f32, tile * this.#slots() * partialPlane(this.#frame).perToken));
  }

  #fullPass(state: StateStore, range: Range, own: Placement, shared: Placement): void {
    const { plan, yields, checkpoints } = this.#request;
    const builder = this.#builder;
    const inner = yields.filter((each) => hasInnerAxis(plan, each.yielded.value));
    const scalars = yields.filter((each) => !hasInnerAxis(plan, each.yielded.value));
    this.#declareSums();
    const channelSums = this.#makeChannelSums(inner.filter((each) => each.sumsChannels && !each.sumsTime));
    const accumulators = new Map(inner.filter((each) => each.sumsTime).map((each) => [each, this.#accumulators(each)]));
    const totals = new Map(scalars.filter((each) => each.sumsTime).map((each) => [each, builder.var(`${this.#nameOf(each.yielded.value)}_sum`, literal(0))]));
    const isWithin = checkpoints !== null && checkpoints.interval < this.#parameters.tile;
    const token: TokenBody = (prepare, time, index, tile) => {
      this.#thread.finishSum = (id, parts) => this.#finishSum(id, parts, tile.slot, index);
      if (isWithin) this.#storeCheckpoint(state, own, tile, checkpoints, index);
      prepare();
      const sinks = inner.map((each): InnerSink => ({
        value: each.yielded.value,
        consume: (site, values) => this.#consumeInner(each, site, values, time, own, accumulators, channelSums),
      }));
      this.#thread.runToken(this.#full, state, sinks);
      channelSums.finishToken(index);
    };
    this.#walk(range, own, shared, {
      scalars, totals, token,
      before: (tile) => (checkpoints !== null && !isWithin ? this.#storeCheckpoint(state, own, tile, checkpoints) : undefined),
      after: (tile) => channelSums.storeTile(tile, shared.coordinates),
    });
    for (const [each, array] of accumulators) this.#finishAccumulator(each, array, own);
    for (const [each, total] of totals) finishRowTotals(this.#frame, { each, total, ...shared });
  }

  #makeReplay(own: Placement, isAhead: boolean): LanesReplay | null {
    const roots = this.#replay;
    if (roots === null) return null;
    return new LanesReplay({ frame: this.#frame, thread: this.#thread, tokens: this.#tokens, roots, at: (lane, site, more) => this.#at(own, lane, site, more), isAhead });
  }

  #makeChannelSums(targets: readonly YieldTarget[]): ChannelSums {
    const isByTile = this.#parameters.channelSums === 'tile' && targets.length > 0 && suitsTileSums(this.#request.plan, this.#steps);
    return isByTile ? new LanesTileSums(this.#frame, targets) : new LanesSums(this.#builder, this.#request.plan, this.#parameters, targets);
  }

  /** Loads one tile ahead, where registers can be indexed by constants and there is something to load. */
  #makePrefetch(shared: Placement, results: readonly ValueId[]): LanesPrefetch | null {
    if (!this.#parameters.prefetch || !rowsAreUnrolled(this.#frame)) return null;
    const { plan } = this.#request;
    const early = streamsBehind(plan, this.#exports, new Set());
    const late = streamsBehind(plan, results, new Set(this.#exports));
    return new LanesPrefetch({
      frame: this.#frame, cooperative: shared, staged: this.#staged, isOverlapped: this.#isOverlapped,
      early, late: this.#replay === null ? late : affordableStreams(early, late, this.#frame.rows),
    });
  }

  /** Stores the states if a checkpoint lies here: at the start of a tile, or at a token of it where tiles are longer than the interval. */
  #storeCheckpoint(
    state: StateStore, own: Placement, tile: Tile, { interval, targets }: NonNullable<ScanRequest['checkpoints']>, index: KernelExpression = integer(0),
  ): void {
    const builder = this.#builder;
    const store = (): void => {
      const place = builder.let('checkpoint', divide(add(tile.base, index), integer(interval)));
      this.#storeState(state, targets, own, [[checkpointAxis(interval), place]]);
    };
    if (interval === this.#parameters.tile) store();
    else builder.if(binary('equal', remainder(interval < this.#parameters.tile ? index : tile.base, integer(interval)), integer(0)), store);
  }

  /** The tile's tokens in visiting order; with a history, after replaying the forward states. */
  #recurrence(tile: Tile, token: TokenBody, { replayed, meanwhile }: { replayed: Replayed | null; meanwhile?: Meanwhile }): void {
    const { plan } = this.#request;
    const builder = this.#builder;
    replayed?.replay.run(tile, replayed.history);
    builder.comment(plan.direction === 'ascending' ? 'the recurrence' : 'the recurrence, backwards');
    const pass = { roots: this.#full, isAscending: plan.direction === 'ascending', isGuarded: replayed !== null };
    const flush = this.#holdSums(tile);
    this.#tokens.over(tile, meanwhile === undefined ? pass : { ...pass, meanwhile }, ({ index, begin }) => {
      const time = timeOfVisit(builder, plan, builder.let('visit', add(tile.base, index)));
      token(() => {
        begin(time);
        replayed?.replay.read(replayed.history, index);
      }, time, index, tile);
      this.#thread.values.readStates(() => null);
    });
    flush();
  }

  /**
   * Keeps what this thread adds to sums over the inner axis in registers until the tile is done: no compiler moves
   * the next tokens' loads of shared memory before a store to it. Not where states of a tile fill the registers.
   */
  #holdSums(tile: Tile): () => void {
    const builder = this.#builder;
    const { channelSums, channels, tile: tokens } = this.#parameters;
    if (!tile.isWhole || channelSums === 'shared' || this.#replay !== null || this.#isImmediate) return () => undefined;
    for (const id of this.#sumArrays.keys()) {
      this.#heldSums.set(id, Array.from({ length: channels }, () => builder.array(`${this.#nameOf(id)}_part`, f32, tokens)));
    }
    return () => {
      builder.for('token', { start: integer(0), end: integer(tokens), unroll: true }, (token) => {
        for (const [id, arrays] of this.#heldSums) this.#storeParts(id, arrays.map((array) => element(array, token)), tile.slot, token);
      });
      this.#heldSums.clear();
    };
  }

  /** Sums over the inner axis: this thread's parts go to phase C; if the recurrence waits for them, all lanes add up now. */
  #finishSum(id: ValueId, sums: readonly Variable[], slot: KernelExpression, index: KernelExpression): void {
    const held = this.#heldSums.get(id);
    if (held !== undefined) {
      held.forEach((array, lane) => this.#builder.setElement(array, index, variable(required(sums[lane], 'sum'))));
      return;
    }
    const places = this.#storeParts(id, sums.map((sum) => variable(sum)), slot, index);
    if (!this.#isImmediate) return;
    const array = required(this.#sumArrays.get(id), 'partial sums');
    if (this.#parameters.channelSums === 'shared') this.#builder.barrier();
    const totals = sums.map((sum, lane) => this.#totalOfLanes(sum, array, required(places[lane], 'place')));
    this.#thread.values.setScalar(id, this.#builder.let(this.#nameOf(id), totals.length === 1 ? required(totals[0], 'total') : compose(totals)));
  }

  /** Stores what this thread adds to a sum at a token, by its channels; the places where it lies. */
  #storeParts(id: ValueId, parts: readonly KernelExpression[], slot: KernelExpression, index: KernelExpression): readonly KernelExpression[] {
    const { plane, perToken } = partialPlane(this.#frame);
    const first = add(multiply(slot, integer(perToken)), multiply(index, integer(perToken)));
    const places = parts.map((_, lane) => add(first, add(integer(lane * plane), builtin('invocation'))));
    const array = this.#sumArrays.get(id);
    if (array !== undefined) parts.forEach((part, lane) => this.#builder.storeShared(array, required(places[lane], 'place'), part));
    return places;
  }

  /** The sum of one channel over its threads, in all of them. */
  #totalOfLanes(sum: Variable, partial: SharedArray, place: KernelExpression): KernelExpression {
    const builder = this.#builder;
    const { lanes, channelSums } = this.#parameters;
    if (channelSums !== 'shared') {
      let total: KernelExpression = builder.let('part', variable(sum));
      for (let mask = 1; mask < lanes; mask *= 2) total = builder.let('part', add(total, shuffleXor(total, mask)));
      return total;
    }
    const first = subtract(place, remainder(builtin('invocation'), integer(lanes)));
    return Array.from({ length: lanes }, (_, lane) => loadShared(partial, add(first, integer(lane)))).reduce((left, right) => add(left, right));
  }

  #consumeInner(
    each: YieldTarget, site: InnerSite, values: readonly KernelExpression[], time: KernelExpression, own: Placement,
    accumulators: ReadonlyMap<YieldTarget, readonly RegisterArray[]>, channelSums: ChannelSums,
  ): void {
    const builder = this.#builder;
    const valid = values.map((value) => orZero(own.isValid, value, literal(0)));
    const parts = each.sumsChannels ? [builder.let('own', valid.reduce((left, right) => add(left, right)))] : valid;
    const arrays = accumulators.get(each);
    if (arrays !== undefined) {
      arrays.forEach((array, at) => builder.setElement(array, site.step, add(element(array, site.step), required(parts[at], 'part'))));
    } else if (each.sumsChannels) {
      channelSums.add(each, site, required(parts[0], 'part'));
    } else {
      guard(builder, own.isValid, () => parts.forEach((part, lane) => storeValue(builder, each.target, this.#at(own, lane, site, [['time', time]]), part, null)));
    }
  }

  /** Registers for a sum over time, one array per channel of the thread, or one where channels are summed too. */
  #accumulators(each: YieldTarget): readonly RegisterArray[] {
    const builder = this.#builder;
    const count = each.sumsChannels ? 1 : this.#parameters.channels;
    const arrays = Array.from({ length: count }, () => builder.array(`${this.#nameOf(each.yielded.value)}_sum`, f32, this.#steps));
    this.#thread.eachStep((site) => arrays.forEach((array) => builder.setElement(array, site.step, literal(0))));
    return arrays;
  }

  #finishAccumulator(each: YieldTarget, arrays: readonly RegisterArray[], own: Placement): void {
    const builder = this.#builder;
    if (!each.sumsChannels) {
      guard(builder, own.isValid, () => this.#thread.eachStep((site) =>
        arrays.forEach((array, lane) => storeValue(builder, each.target, this.#at(own, lane, site), element(array, site.step), null))));
      return;
    }
    const array = required(arrays[0], 'sum');
    const { workgroupSize, lanes } = this.#parameters;
    const scratch = builder.shared('state_sums', f32, workgroupSize * this.#steps);
    guard(builder, walks(this.#frame), () => this.#thread.eachStep((site) => builder.storeShared(scratch, add(multiply(builtin('invocation'), integer(this.#steps)), site.step), element(array, site.step))));
    builder.barrier();
    builder.if(less(builtin('invocation'), integer(lanes)), () => this.#thread.eachStep((site) => {
      const sum = builder.var('sum', literal(0));
      builder.for('c', { start: integer(0), end: integer(workgroupSize / lanes) }, (group) => {
        const place = add(multiply(add(multiply(group, integer(lanes)), builtin('invocation')), integer(this.#steps)), site.step);
        builder.assign(sum, add(variable(sum), loadShared(scratch, place)));
      });
      storeValue(builder, each.target, this.#at(own, 0, site), variable(sum), null);
    }));
    builder.barrier();
  }
}
