/**
 * Schedule `segments`, for states without an inner axis on a GPU: threads of a workgroup share a few
 * neighbouring channels by time. A tile is `segments` × `tokens` tokens; every thread loads the operands
 * of its own tokens into registers (all loads before the first use), scans them from zero, and passes
 * the decay and end state of its segment through shared memory. From these each thread forms the state
 * at its start and walks over its tokens once more, in registers. So memory is read once, and as many
 * threads load as it takes to fill the machine, however few the channels are.
 *
 * Descending scans replay the forward states of a thread's tokens from the checkpoint before them. All
 * sums are formed in a fixed order. A tile that the end of the sequence cuts is a second copy of the
 * code in which tokens beyond the end have decay one and drive zero.
 */
import { invariant, required } from '../../support/invariant.ts';
import { ceilDivideSizes } from '../../support/size.ts';
import {
  add, builtin, divide, element, integer, KernelBuilder, less, literal, loadShared, minimum, multiply, remainder, select, splat, subtract, variable,
} from '../kernel/builder.ts';
import { f32, withWidth, type Kernel, type KernelExpression, type RegisterArray, type SharedArray, type Variable, type VectorWidth } from '../kernel/nodes.ts';
import { checkpointAxis, type ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { loadValue, splitIndex, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import type { SegmentsParameters } from './parameters.ts';
import { ofCoefficient, variesInTime, type Recurrence } from './region-plan.ts';
import { advance, applyTransition, type StateParts } from './region-values.ts';
import { isEqual, storeValue, timeOfVisit, visitRange, type ScanRequest, type YieldTarget } from './scan-request.ts';
import { productOf, rootIds, ScanThread, type PassRoots } from './scan-thread.ts';
import { fullColumns } from './segments-parameters.ts';
import { SegmentRows, storeRows } from './segments-rows.ts';

/** The kernel of one scan. */
export function emitSegmentsScan(request: ScanRequest, parameters: SegmentsParameters): Kernel {
  return new SegmentsEmission(request, parameters).run();
}

/** A tile's place: its first visit, its number in visiting order, and whether the sequence ends inside. */
type Tile = { readonly base: KernelExpression; readonly number: KernelExpression; readonly isCut: boolean };

type Range = { readonly start: KernelExpression; readonly end: KernelExpression };

/** What a token does to the state: numbers that both walks read. */
type Kept = { readonly transition: readonly RegisterArray[]; readonly drive: readonly RegisterArray[]; readonly release: readonly RegisterArray[] | null };

class SegmentsEmission {
  readonly #request: ScanRequest;
  readonly #parameters: SegmentsParameters;
  readonly #builder = new KernelBuilder();
  readonly #thread: ScanThread;
  readonly #full: PassRoots;
  readonly #replay: PassRoots | null;
  /** threads side by side over channels */
  readonly #columns: number;
  readonly #rows: SegmentRows;
  readonly #vector: { readonly axis: string; readonly width: VectorWidth };
  #coordinates: Coordinates = new Map();
  #isValid: KernelExpression | null = null;
  #column: KernelExpression = integer(0);
  #segment: KernelExpression = integer(0);
  #range: Range = { start: integer(0), end: integer(0) };

  constructor(request: ScanRequest, parameters: SegmentsParameters) {
    this.#request = request;
    this.#parameters = parameters;
    const { plan } = request;
    const { lanes, tokens, segments, workgroupSize } = parameters;
    this.#columns = workgroupSize / segments;
    invariant(Number.isInteger(this.#columns), 'segments must divide the workgroup');
    this.#thread = new ScanThread(this.#builder, plan, { lanes, innerWidth: 1, innerSteps: 1, unroll: true, site: (step) => ({ step, coordinates: [] }) }, request.memory);
    this.#full = { recurrence: plan.recurrence, values: request.summary === null ? request.yields.map((each) => each.yielded.value) : [] };
    this.#replay = plan.history !== null && this.#readsHistory() ? { recurrence: plan.history, values: [] } : null;
    this.#vector = { axis: required(plan.channels.at(-1), 'channel axis').name, width: lanes };
    this.#rows = new SegmentRows(this.#builder, plan, request.memory, { ids: this.#rowIds(), vector: this.#vector, tokens });
  }

  #passes(): readonly PassRoots[] {
    return this.#replay === null ? [this.#full] : [this.#full, this.#replay];
  }

  #readsHistory(): boolean {
    const history = required(this.#request.plan.history, 'history');
    const replayed = new Set([...history.previous, ...history.current].map((value) => value.id));
    const used = this.#thread.liveFor(this.#full).flatMap((each) => operandsOf(each.op));
    return [...used, ...this.#full.values].some((id) => replayed.has(id));
  }

  /** Operands that a token reads from memory. */
  #rowIds(): readonly ValueId[] {
    const { plan } = this.#request;
    const used = this.#passes().flatMap((pass) => [...rootIds(pass), ...this.#thread.liveFor(pass).flatMap((each) => operandsOf(each.op))]);
    return [...new Set(used)].filter((id) => plan.parameters.has(id) && variesInTime(plan, id));
  }

  run(): Kernel {
    const { plan, split, name, notes } = this.#request;
    const { workgroupSize, segments, lanes, tokens } = this.#parameters;
    const builder = this.#builder;
    this.#placeThread();
    this.#thread.values.place(this.#coordinates);
    this.#thread.prepareFixed(this.#passes());
    const state = plan.recurrence.current.map((value, part) => builder.var(value.name, splat(this.#initialState(part), lanes)));
    this.#range = visitRange(builder, this.#request, split === null ? null : builtin('workgroup-z'));
    if (this.#request.summary === null) this.#fullPass(state);
    else this.#summary(state);
    const groups = Math.ceil(plan.channelCount / (this.#columns * lanes));
    return builder.finish({
      name, notes: [...notes, `schedule segments: ${this.#columns * lanes} channels by ${segments} segments of ${tokens} tokens`],
      workgroupSize, ...(this.#columns < fullColumns ? { resident: 1 } : {}),
      grid: [groups, 'batch', split === null ? 1 : ceilDivideSizes('length', split.size)],
    });
  }

  /** Channels beyond the last one repeat it; their results are not stored. */
  #placeThread(): void {
    const { plan, split } = this.#request;
    const { lanes } = this.#parameters;
    const builder = this.#builder;
    this.#column = builder.let('column', remainder(builtin('invocation'), integer(this.#columns)));
    this.#segment = builder.let('segment', divide(builtin('invocation'), integer(this.#columns)));
    const index = builder.let('channel', multiply(add(multiply(builtin('workgroup-x'), integer(this.#columns)), this.#column), integer(lanes)));
    const isWhole = plan.channelCount % (this.#columns * lanes) === 0;
    const safe = isWhole ? index : builder.let('channel_safe', minimum(index, integer(plan.channelCount - lanes)));
    this.#isValid = isWhole ? null : builder.let('channel_valid', less(index, integer(plan.channelCount)));
    const outer: (readonly [string, KernelExpression])[] = [['batch', builtin('workgroup-y')], ...(split === null ? [] : [['split', builtin('workgroup-z')] as const])];
    this.#coordinates = withCoordinates(new Map(outer), splitIndex(builder, safe, plan.channels));
  }

  #initialState(part: number): KernelExpression {
    const { plan, carry, summary, memory } = this.#request;
    const initial = plan.op.initial?.[part];
    const reference = carry === null ? (initial === undefined ? null : memory(initial)) : required(carry[part], 'carry');
    if (summary !== null || reference === null) return literal(0);
    return loadValue(this.#builder, reference, this.#coordinates, this.#vector);
  }

  #guard(conditions: readonly (KernelExpression | null)[], body: () => void): void {
    const [first, ...rest] = conditions;
    if (first === undefined) body();
    else if (first === null) this.#guard(rest, body);
    else this.#builder.if(first, () => this.#guard(rest, body));
  }

  #summary(state: readonly Variable[]): void {
    const { plan } = this.#request;
    const targets = required(this.#request.summary, 'summary');
    const decay = targets.decay.map((_, part) => this.#builder.var('decay_total', literal(part === 0 ? 1 : 0, withWidth(f32, this.#parameters.lanes))));
    const exchange = this.#declareExchange('', plan.recurrence);
    const replayExchange = this.#declareReplayExchange();
    this.#overTiles((tile) => {
      const history = this.#replay === null ? null : this.#replayTile(this.#replay.recurrence, tile, replayExchange);
      const kept = this.#declareKept('', plan.recurrence);
      this.#exchangeEnds(exchange, tile, this.#scanFromZero(plan.recurrence, kept, tile, { direction: plan.direction, history }));
      this.#combine(exchange, tile, { state, decay });
    });
    this.#guard([isEqual(this.#segment, integer(0)), this.#isValid], () => {
      this.#store(targets.state, state, []);
      this.#store(targets.decay, decay, []);
    });
  }

  #store(targets: readonly MemoryReference[], parts: readonly Variable[], more: readonly (readonly [string, KernelExpression])[]): void {
    const at = withCoordinates(this.#coordinates, more);
    targets.forEach((target, part) => storeValue(this.#builder, target, at, variable(required(parts[part], 'part')), this.#vector));
  }

  #fullPass(state: readonly Variable[]): void {
    const { plan, yields, finals } = this.#request;
    const builder = this.#builder;
    const sums = new Map(yields.filter((each) => each.sumsTime).map((each) =>
      [each, builder.var(`${required(plan.names.get(each.yielded.value), 'name')}_sum`, literal(0, withWidth(f32, this.#parameters.lanes)))] as const));
    const exchange = this.#declareExchange('', plan.recurrence);
    const replayExchange = this.#declareReplayExchange();
    this.#overTiles((tile) => {
      const history = this.#replay === null ? null : this.#replayTile(this.#replay.recurrence, tile, replayExchange);
      const kept = this.#declareKept('', plan.recurrence);
      this.#exchangeEnds(exchange, tile, this.#scanFromZero(plan.recurrence, kept, tile, { direction: plan.direction, history }));
      const start = this.#combine(exchange, tile, { state, decay: null });
      this.#walk(start, kept, tile, { sums, history });
    });
    for (const [each, sum] of sums) this.#finishSum(each, sum, required(exchange.end[0], 'exchange'));
    if (finals !== null) this.#guard([isEqual(this.#segment, integer(0)), this.#isValid], () => this.#store(finals, state, []));
  }

  /** Whole tiles, and the one that the end of the sequence cuts: last in ascending order, first in descending. */
  #overTiles(body: (tile: Tile) => void): void {
    const { direction } = this.#request.plan;
    const { segments, tokens, prefetch } = this.#parameters;
    const builder = this.#builder;
    const { start, end } = this.#range;
    const size = integer(segments * tokens);
    const whole = builder.let('whole_tiles', divide(subtract(end, start), size));
    const rest = builder.let('rest_start', add(start, multiply(whole, size)));
    const isDescending = direction === 'descending';
    const cut = (): void => builder.if(less(rest, end), () => {
      const tile: Tile = { base: rest, number: isDescending ? integer(0) : whole, isCut: true };
      this.#loadRows(tile.base, true, 'current');
      body(tile);
    });
    if (isDescending) cut();
    const baseOf = (step: KernelExpression): KernelExpression =>
      builder.let('tile_start', add(start, multiply(isDescending ? subtract(subtract(whole, integer(1)), step) : step, size)));
    if (prefetch) {
      this.#rows.declareNext();
      builder.if(less(integer(0), whole), () => this.#loadRows(baseOf(integer(0)), false, 'next'));
    }
    builder.for('tile', { start: integer(0), end: whole }, (step) => {
      if (prefetch) {
        builder.comment('operands of this tile are here; those of the next one are on their way meanwhile');
        this.#eachToken('ascending', (index) => this.#rows.takeNext(index));
        this.#loadRows(baseOf(builder.let('next', minimum(add(step, integer(1)), subtract(whole, integer(1))))), false, 'next');
      }
      const base = baseOf(step);
      if (!prefetch) this.#loadRows(base, false, 'current');
      body({ base, number: add(step, integer(isDescending ? 1 : 0)), isCut: false });
    });
    if (!isDescending) cut();
  }

  #eachToken(direction: 'ascending' | 'descending', body: (index: KernelExpression) => void): void {
    const { tokens } = this.#parameters;
    this.#builder.for('i', { start: integer(0), end: integer(tokens), unroll: true }, (passed) =>
      body(direction === 'ascending' ? passed : subtract(integer(tokens - 1), passed)));
  }

  #firstOf(base: KernelExpression): KernelExpression {
    return add(base, multiply(this.#segment, integer(this.#parameters.tokens)));
  }

  #timeOf(base: KernelExpression, index: KernelExpression, isCut: boolean): KernelExpression {
    const visit = add(this.#firstOf(base), index);
    const safe = isCut ? minimum(visit, subtract(this.#range.end, integer(1))) : visit;
    return timeOfVisit(this.#builder, this.#request.plan, this.#builder.let('visit', safe));
  }

  /** Whether a token of a cut tile lies before the end; null where all do. */
  #isInside(tile: Tile, index: KernelExpression): KernelExpression | null {
    return tile.isCut ? this.#builder.let('inside', less(add(this.#firstOf(tile.base), index), this.#range.end)) : null;
  }

  #loadRows(base: KernelExpression, isCut: boolean, target: 'current' | 'next'): void {
    this.#eachToken('ascending', (index) =>
      this.#rows.load(index, withCoordinates(this.#coordinates, [['time', this.#timeOf(base, index, isCut)]]), target));
  }

  /** Starts a token; operands come from registers. */
  #beginToken(tile: Tile, index: KernelExpression, more: (id: ValueId) => KernelExpression | null = () => null): void {
    const { values } = this.#thread;
    values.beginToken(this.#timeOf(tile.base, index, tile.isCut));
    values.overrideScalars((id) => more(id) ?? this.#rows.read(id, index));
  }

  /** Registers for what each token does to the state. */
  #declareKept(prefix: string, recurrence: Recurrence): Kept {
    const { lanes, tokens } = this.#parameters;
    const make = (name: string): RegisterArray => this.#builder.array(`${prefix}${name}`, withWidth(f32, lanes), tokens);
    const count = recurrence.coefficient.kind === 'exponent' ? 1 : recurrence.coefficient.parts.length;
    return {
      transition: Array.from({ length: count }, () => make('decay')),
      drive: recurrence.drive.map(() => make('drive')),
      release: recurrence.release?.map(() => make('release')) ?? null,
    };
  }

  /** Computes what token `index` does to the state and keeps it. */
  #keep(recurrence: Recurrence, kept: Kept, index: KernelExpression, inside: KernelExpression | null): void {
    const { values } = this.#thread;
    const builder = this.#builder;
    const { lanes } = this.#parameters;
    const set = (array: RegisterArray | undefined, value: KernelExpression, outside: number): void => {
      const wide = splat(value, lanes);
      builder.setElement(required(array, 'kept'), index, inside === null ? wide : select(inside, wide, literal(outside, wide.type)));
    };
    const { coefficient } = recurrence;
    const transition = coefficient.kind === 'exponent' ? [values.power(coefficient.exponent, 0)] : coefficient.parts.map((id) => values.scalar(id));
    transition.forEach((value, part) => set(kept.transition[part], value, part === 0 ? 1 : 0));
    recurrence.drive.forEach((id, part) => set(kept.drive[part], values.scalar(id), 0));
    recurrence.release?.forEach((id, part) => set(kept.release?.[part], values.scalar(id), 0));
  }

  #advance(recurrence: Recurrence, kept: Kept, index: KernelExpression, before: StateParts): { current: StateParts; carried: StateParts } {
    const from = new Map<ValueId, RegisterArray>();
    recurrence.drive.forEach((id, part) => from.set(id, required(kept.drive[part], 'drive')));
    const released = new Map<ValueId, RegisterArray>();
    recurrence.release?.forEach((id, part) => released.set(id, required(kept.release?.[part], 'release')));
    return advance(recurrence, before, {
      transition: () => kept.transition.map((array) => element(array, index)),
      value: (id) => element(required(from.get(id) ?? released.get(id), 'kept value'), index),
      bind: (name, value) => this.#builder.let(name, value),
    });
  }

  /** The segment's end state from zero, and its decay; keeps what the second walk needs. */
  #scanFromZero(recurrence: Recurrence, kept: Kept, tile: Tile, { direction, history }: { direction: 'ascending' | 'descending'; history: readonly RegisterArray[] | null }): { end: readonly Variable[]; decay: readonly Variable[] } {
    const builder = this.#builder;
    const wide = withWidth(f32, this.#parameters.lanes);
    builder.comment('each segment from zero');
    const end = recurrence.current.map(() => builder.var('end', literal(0, wide)));
    const decay = kept.transition.map((_, part) => builder.var('decay_product', literal(part === 0 ? 1 : 0, wide)));
    this.#eachToken(direction, (index) => {
      this.#beginToken(tile, index);
      if (history !== null) this.#setHistory(history, index);
      this.#keep(recurrence, kept, index, this.#isInside(tile, index));
      const { carried } = this.#advance(recurrence, kept, index, end.map((each) => builder.let('before', variable(each))));
      const values = [...carried, ...productOf(kept.transition.map((array) => element(array, index)), decay.map((each) => builder.let('product', variable(each))))]
        .map((value) => builder.let('value', value));
      [...end, ...decay].forEach((each, at) => builder.assign(each, required(values[at], 'value')));
    });
    return { end, decay };
  }

  /** Shared memory for ends and decays of a tile's segments, twice, so that one barrier per tile is enough. */
  #declareExchange(prefix: string, recurrence: Recurrence): Exchange {
    const { workgroupSize, lanes } = this.#parameters;
    const make = (name: string) => (): SharedArray => this.#builder.shared(`${prefix}${name}`, withWidth(f32, lanes), 2 * workgroupSize);
    const parts = recurrence.coefficient.kind === 'exponent' ? [0] : recurrence.coefficient.parts;
    return { end: recurrence.current.map(make('segment_end')), decay: parts.map(make('segment_decay')) };
  }

  /** The same for the replay, where checkpoints lie further apart than segments. */
  #declareReplayExchange(): Exchange | null {
    return this.#replay === null || this.#stride() === 1 ? null : this.#declareExchange('replay_', this.#replay.recurrence);
  }

  #slot(tile: Tile, segment: KernelExpression): KernelExpression {
    const half = multiply(remainder(tile.number, integer(2)), integer(this.#parameters.workgroupSize));
    return add(half, add(multiply(segment, integer(this.#columns)), this.#column));
  }

  #exchangeEnds(exchange: Exchange, tile: Tile, own: { end: readonly Variable[]; decay: readonly Variable[] }): void {
    const builder = this.#builder;
    const slot = builder.let('slot', this.#slot(tile, this.#segment));
    exchange.end.forEach((array, part) => builder.storeShared(array, slot, variable(required(own.end[part], 'end'))));
    exchange.decay.forEach((array, part) => builder.storeShared(array, slot, variable(required(own.decay[part], 'decay'))));
    builder.barrier();
  }

  /** The state at the start of this thread's segment; carries the tile's state (and decay) over the tile. */
  #combine(exchange: Exchange, tile: Tile, carried: { state: readonly Variable[]; decay: readonly Variable[] | null }): readonly Variable[] {
    const { segments } = this.#parameters;
    const builder = this.#builder;
    const isDescending = this.#request.plan.direction === 'descending';
    const start = carried.state.map((each) => builder.var(each.name, variable(each)));
    builder.for('s', { start: integer(0), end: integer(segments), unroll: true }, (step) => {
      const segment = isDescending ? subtract(integer(segments - 1), step) : step;
      const own = builder.let('own', isEqual(segment, this.#segment));
      start.forEach((each, part) => builder.assign(each, select(own, variable(required(carried.state[part], 'state')), variable(each))));
      this.#over(exchange, this.#slot(tile, segment), carried.state, carried.decay);
    });
    return start;
  }

  /** Applies one segment's decay and end to a state, and its decay to a decay. */
  #over(exchange: Exchange, at: KernelExpression, state: readonly Variable[], total: readonly Variable[] | null): void {
    const builder = this.#builder;
    const slot = builder.let('slot', at);
    const decay = exchange.decay.map((array) => builder.let('decay', loadShared(array, slot)));
    const moved = applyTransition(decay, state.map((each): KernelExpression => variable(each)));
    const next = exchange.end.map((array, part) => builder.let('next', add(required(moved[part], 'part'), loadShared(array, slot))));
    state.forEach((each, part) => builder.assign(each, required(next[part], 'part')));
    if (total === null) return;
    const product = productOf(decay, total.map((each): KernelExpression => variable(each))).map((value) => builder.let('product', value));
    total.forEach((each, part) => builder.assign(each, required(product[part], 'part')));
  }

  /** Segments between two checkpoints. */
  #stride(): number {
    const { tokens, segments } = this.#parameters;
    const interval = required(this.#request.plan.op.history, 'history').interval;
    if (tokens % interval === 0) return 1;
    const stride = interval / tokens;
    invariant(Number.isInteger(stride) && segments % stride === 0, `checkpoints every ${interval} tokens for segments of ${tokens}`);
    return stride;
  }

  /** Forward states of this thread's tokens, from the checkpoint before them: element i is the state before token i. */
  #replayTile(recurrence: Recurrence, tile: Tile, exchange: Exchange | null): readonly RegisterArray[] {
    const { memory, plan } = this.#request;
    const history = required(plan.op.history, 'history');
    const { lanes, tokens } = this.#parameters;
    const builder = this.#builder;
    builder.comment('replay the forward states from the checkpoint');
    const stride = this.#stride();
    const kept = this.#declareKept('forward_', recurrence);
    const visit = this.#firstOf(tile.base);
    const chunk = builder.let('chunk', divide(tile.isCut ? minimum(visit, subtract(this.#range.end, integer(1))) : visit, integer(history.interval)));
    const at = withCoordinates(this.#coordinates, [[checkpointAxis(history.interval), chunk]]);
    const state = history.checkpoints.map((id) => builder.var('forward_state', splat(loadValue(builder, memory(id), at, this.#vector), lanes)));
    if (exchange === null) {
      this.#eachToken('ascending', (index) => {
        this.#beginToken(tile, index);
        this.#keep(recurrence, kept, index, this.#isInside(tile, index));
      });
    } else {
      this.#exchangeEnds(exchange, tile, this.#scanFromZero(recurrence, kept, tile, { direction: 'ascending', history: null }));
      const first = builder.let('chunk_segment', multiply(divide(this.#segment, integer(stride)), integer(stride)));
      builder.for('s', { start: integer(0), end: integer(stride - 1), unroll: true }, (step) =>
        builder.if(less(add(first, step), this.#segment), () => this.#over(exchange, this.#slot(tile, add(first, step)), state, null)));
    }
    const arrays = recurrence.current.map((value) => builder.array(`${value.name}_history`, withWidth(f32, lanes), tokens + 1));
    arrays.forEach((array, part) => builder.setElement(array, integer(0), variable(required(state[part], 'state'))));
    this.#eachToken('ascending', (index) => {
      const { carried } = this.#advance(recurrence, kept, index, arrays.map((array) => builder.let('before', element(array, index))));
      carried.forEach((value, part) => builder.setElement(required(arrays[part], 'history'), add(index, integer(1)), value));
    });
    return arrays;
  }

  /** The second walk over the thread's tokens: states, results, sums. */
  #walk(start: readonly Variable[], kept: Kept, tile: Tile, context: { sums: ReadonlyMap<YieldTarget, Variable>; history: readonly RegisterArray[] | null }): void {
    const { plan, yields, checkpoints } = this.#request;
    const { values } = this.#thread;
    const builder = this.#builder;
    const { recurrence } = plan;
    builder.comment('each token, from the state at the start of its segment');
    this.#eachToken(plan.direction, (index) => {
      const inside = this.#isInside(tile, index);
      if (checkpoints !== null) this.#storeCheckpoint(start, tile, index, checkpoints);
      this.#beginToken(tile, index, (id) => this.#keptValue(recurrence, kept, id, index));
      values.readPowers((id) => (recurrence.coefficient.kind === 'exponent' && id === recurrence.coefficient.exponent ? element(required(kept.transition[0], 'decay'), index) : null));
      if (context.history !== null) this.#setHistory(context.history, index);
      const before = start.map((each, part) => builder.let(required(recurrence.previous[part], 'state').name, variable(each)));
      recurrence.previous.forEach((value, part) => values.setScalar(value.id, required(before[part], 'state')));
      const { current, carried } = this.#advance(recurrence, kept, index, before);
      recurrence.current.forEach((value, part) => values.setScalar(value.id, required(current[part], 'state')));
      const after = carried.map((value) => builder.let('carried', value));
      const results = yields.map((each) => ({ each, value: values.scalar(each.yielded.value) }));
      const at = withCoordinates(this.#coordinates, [['time', this.#timeOf(tile.base, index, tile.isCut)]]);
      this.#guard([inside, this.#isValid], () =>
        storeRows(builder, results.filter(({ each }) => !each.sumsTime).map(({ each, value }) => ({ target: each.target, value })), at, this.#vector));
      for (const { each, value } of results) {
        const sum = context.sums.get(each);
        if (sum !== undefined) builder.assign(sum, add(variable(sum), inside === null ? value : select(inside, value, literal(0, value.type))));
      }
      start.forEach((each, part) => builder.assign(each, required(after[part], 'state')));
      values.readPowers(() => null);
    });
  }

  #keptValue(recurrence: Recurrence, kept: Kept, id: ValueId, index: KernelExpression): KernelExpression | null {
    if (recurrence.coefficient.kind === 'value') {
      const part = ofCoefficient(recurrence.coefficient).indexOf(id);
      if (part >= 0) return element(required(kept.transition[part], 'decay'), index);
    }
    const drive = recurrence.drive.indexOf(id);
    return drive < 0 ? null : element(required(kept.drive[drive], 'drive'), index);
  }

  #setHistory(history: readonly RegisterArray[], index: KernelExpression): void {
    const { values } = this.#thread;
    const { previous, current } = required(this.#request.plan.history, 'history');
    previous.forEach((value, part) => values.setScalar(value.id, this.#builder.let(value.name, element(required(history[part], 'history'), index))));
    current.forEach((value, part) => values.setScalar(value.id, this.#builder.let(value.name, element(required(history[part], 'history'), add(index, integer(1))))));
  }

  #storeCheckpoint(state: readonly Variable[], tile: Tile, index: KernelExpression, { interval, targets }: NonNullable<ScanRequest['checkpoints']>): void {
    const builder = this.#builder;
    const visit = builder.let('visit', add(this.#firstOf(tile.base), index));
    // pieces of time start at multiples of the interval, and so do segments or every few of them
    const { tokens } = this.#parameters;
    const isDue = isEqual(remainder(index, integer(Math.min(interval, tokens))), integer(0));
    const isFirst = interval > tokens ? isEqual(remainder(visit, integer(interval)), integer(0)) : null;
    const inside = tile.isCut ? less(visit, this.#range.end) : null;
    this.#guard([isDue, isFirst, inside, this.#isValid], () =>
      this.#store(targets, state, [[checkpointAxis(interval), builder.let('checkpoint', divide(visit, integer(interval)))]]));
  }

  /** Adds the segments' sums over time in order. */
  #finishSum(each: YieldTarget, sum: Variable, shared: SharedArray): void {
    const builder = this.#builder;
    builder.barrier();
    builder.storeShared(shared, builtin('invocation'), variable(sum));
    builder.barrier();
    this.#guard([isEqual(this.#segment, integer(0)), this.#isValid], () => {
      const total = builder.var('total', loadShared(shared, this.#column));
      builder.for('s', { start: integer(1), end: integer(this.#parameters.segments) }, (segment) =>
        builder.assign(total, add(variable(total), loadShared(shared, add(multiply(segment, integer(this.#columns)), this.#column)))));
      storeValue(builder, each.target, this.#coordinates, variable(total), this.#vector);
    });
  }
}

type Exchange = { readonly end: readonly SharedArray[]; readonly decay: readonly SharedArray[] };
