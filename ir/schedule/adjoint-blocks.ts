/**
 * Schedule `blocks` for backward passes (see adjoint-form): tiles of one block of K tokens per thread of
 * a channel, from the last to the first. With H the state before a block, c the conjugate of the adjoint
 * after it, and the block's sums over tokens m
 *   F = Σ a^(K−1−m) r_m,  F' = Σ (K−1−m) a^(K−2−m) r_m,  G = Σ a^m s_m,  G' = Σ (m+1) a^m s_m,
 * the adjoint before the block is a^K ⊙ c + a ⊙ w ⊙ G, and a block adds
 *   F ⊙ c to Σ g·r,  G ⊙ H to Σ s·h,  c ⊙ (K a^(K−1) ⊙ H + b ⊙ F') and w ⊙ G' ⊙ H to Σ g ⊙ conj(h).
 * What its tokens do to each other is the same for all states: correlations Σ_j s_(j+d) r_j, d < K, which
 * are summed over the whole sequence and multiplied with powers at the end. Per tile:
 *   A  every thread computes both signals of one block in one channel into shared memory;
 *   B  every thread goes through the blocks of its channel, span after span of one checkpoint each;
 *   C  every thread finishes one block: the sums over states, and results per token and channel.
 */
import { invariant, required } from '../../support/invariant.ts';
import {
  add, binary, builtin, divide, element, integer, KernelBuilder, less, literal, minimum, multiply, remainder, select, subtract, variable,
} from '../kernel/builder.ts';
import { f32, type Kernel, type KernelExpression, type RegisterArray, type SharedArray, type Variable } from '../kernel/nodes.ts';
import { checkpointAxis, type ScanHistory, type ValueId } from '../tensor/ops.ts';
import { loadValue, splitIndex, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import { addNumbers, addShorter, AdjointNumbers, adjointCoefficients, conjugate, turnedWeights, type AdjointCoefficients, type StateArrays } from './adjoint-coefficients.ts';
import { adjointFormOf, type AdjointForm } from './adjoint-form.ts';
import { AdjointTotals, type Sums } from './adjoint-totals.ts';
import { blocksGroups, partsStride } from './blocks-parameters.ts';
import { addParts, laneOf, loadDriving, loadSignals, localSums, makeBlocksFrame, prepareCooperative, storeParts, storeSignals, sumOverThreads, type Block, type TablesFrame } from './blocks-tables.ts';
import { toReal } from './elementwise.ts';
import { both, firstRow, guard, orZero, overRows, overTiles, placeChannel, type LanesFrame, type Placement, type Tile } from './lanes-frame.ts';
import { LanesPrefetch, streamsBehind } from './lanes-prefetch.ts';
import { finishRowTotals } from './lanes-rows.ts';
import { loadStates, storeStates } from './lanes-states.ts';
import type { BlocksParameters } from './parameters.ts';
import { hasInnerAxis } from './region-plan.ts';
import { applyTransition, RegionValues, type InnerSite, type StateParts } from './region-values.ts';
import { isEqual, storeValue, visitRange, type ScanRequest, type YieldTarget } from './scan-request.ts';
import { ScanThread } from './scan-thread.ts';

/** The kernel of a backward scan. */
export function emitAdjointBlocks(request: ScanRequest, parameters: BlocksParameters): Kernel {
  return new AdjointEmission(request, parameters).run();
}

/** What a block's replayed signals make of its states: the state before it, F and F'. */
type Replayed = { readonly start: StateArrays; readonly sum: StateArrays; readonly weighted: StateArrays | null };

/** A thread's block in the phases per channel. */
type Rows = { readonly signals: RegisterArray; readonly replaySignals: RegisterArray };

/** What the walk over tiles works with. */
type Walk = {
  readonly own: Placement;
  readonly shared: Placement;
  readonly coefficients: AdjointCoefficients;
  readonly responses: readonly RegisterArray[];
  /** c */
  readonly adjoint: StateArrays;
  /** states at the checkpoint of the span to come, loaded ahead */
  readonly saved: StateArrays;
  readonly sums: Sums;
  /** Σ_j s_(j+d) r_j by d, of this thread's blocks */
  readonly correlation: RegisterArray;
  readonly totals: ReadonlyMap<YieldTarget, Variable>;
};

class AdjointEmission {
  readonly #request: ScanRequest;
  readonly #parameters: BlocksParameters;
  readonly #builder = new KernelBuilder();
  readonly #form: AdjointForm;
  readonly #history: ScanHistory;
  readonly #frame: LanesFrame;
  readonly #tables: TablesFrame;
  readonly #thread: ScanThread;
  readonly #numbers: AdjointNumbers;
  readonly #totals: AdjointTotals;
  readonly #cooperative: RegionValues;
  readonly #signals: SharedArray;
  readonly #replaySignals: SharedArray;
  /** by read-out: what each thread adds to a token's sum */
  readonly #parts: readonly SharedArray[];
  readonly #scratch: SharedArray;

  constructor(request: ScanRequest, parameters: BlocksParameters) {
    this.#request = request;
    this.#parameters = parameters;
    const { plan, memory } = request;
    const { lanes, block } = parameters;
    const builder = this.#builder;
    this.#form = required(adjointFormOf(plan), 'adjoint form');
    this.#history = required(plan.op.history, 'history');
    invariant(request.split === null && request.checkpoints === null, 'blocks of a backward pass take the whole sequence');
    const tile = lanes * block;
    invariant(tile % this.#history.interval === 0 && this.#history.interval % block === 0, 'spans of checkpoints are blocks of one tile');
    this.#frame = makeBlocksFrame(builder, request, parameters);
    this.#tables = { frame: this.#frame, parameters };
    const { steps, channelsPerGroup } = this.#frame;
    this.#thread = new ScanThread(builder, plan, {
      lanes: 1, innerWidth: 1, innerSteps: steps, unroll: true,
      site: (step) => ({ step, coordinates: splitIndex(builder, add(multiply(laneOf(this.#tables), integer(steps)), step), plan.inner) }),
    }, memory);
    this.#numbers = new AdjointNumbers({ frame: this.#frame, thread: this.#thread, form: this.#form, block });
    this.#totals = new AdjointTotals(this.#numbers);
    this.#cooperative = new RegionValues({ builder, plan, memory, lanes: 1, innerWidth: 1, innerSteps: 1 });
    this.#signals = builder.shared('signals', f32, tile * channelsPerGroup);
    this.#replaySignals = builder.shared('replay_signals', f32, tile * channelsPerGroup);
    const ofThreads = lanes * partsStride(parameters);
    this.#parts = this.#form.readOuts.map(({ sum }) => builder.shared(`${this.#nameOf(sum)}_parts`, f32, tile * ofThreads));
    this.#scratch = this.#parts[0] ?? builder.shared('thread_parts', f32, block * ofThreads);
  }

  #nameOf(id: ValueId): string {
    return required(this.#request.plan.names.get(id), 'name');
  }

  #scalars(): readonly YieldTarget[] {
    return this.#request.yields.filter((each) => !hasInnerAxis(this.#request.plan, each.yielded.value));
  }

  run(): Kernel {
    const { plan, name, notes, finals } = this.#request;
    const { workgroupSize, lanes, block } = this.#parameters;
    const { channelsPerGroup, steps } = this.#frame;
    const builder = this.#builder;
    const outer = [['batch', builtin('workgroup-y')]] as const;
    const first = builder.let('first_channel', multiply(builtin('workgroup-x'), integer(channelsPerGroup)));
    const own = placeChannel(this.#frame, 'channel', { first, offset: divide(builtin('invocation'), integer(lanes)), width: 1 }, outer);
    const shared = placeChannel(this.#frame, 'cooperative', { first, offset: remainder(builtin('invocation'), integer(channelsPerGroup)), width: 1 }, outer);
    this.#thread.values.place(own.coordinates);
    this.#cooperative.place(shared.coordinates);
    const walk = this.#begin(own, shared);
    this.#walk(walk);
    for (const [each, total] of walk.totals) finishRowTotals(this.#frame, { each, total, ...shared });
    if (finals !== null) this.#storeFinals(walk, finals);
    this.#storeTotals(walk);
    return builder.finish({
      name, notes: [...notes, `schedule blocks: blocks of ${block} tokens, ${lanes} threads per channel, ${steps} states each`],
      workgroupSize, grid: [blocksGroups(plan, this.#parameters), 'batch', 1],
    });
  }

  #begin(own: Placement, shared: Placement): Walk {
    const { block } = this.#parameters;
    const builder = this.#builder;
    const numbers = this.#numbers;
    const roots = { recurrence: this.#request.plan.recurrence, values: this.#scalars().map((each) => each.yielded.value) };
    prepareCooperative(this.#thread, roots, this.#cooperative);
    const coefficients = adjointCoefficients(numbers);
    const responses = coefficients.responses.map((each, at) =>
      sumOverThreads(this.#tables, each, required(this.#parts[at], 'parts'), { lane: laneOf(this.#tables), local: own.local }, shared.local));
    const adjoint = numbers.declare('adjoint');
    this.#thread.eachStep((site) => numbers.set(adjoint, site.step, conjugate(this.#initialAdjoint(own, site))));
    const correlation = builder.array('correlation', f32, block);
    for (let distance = 0; distance < block; distance++) builder.setElement(correlation, integer(distance), literal(0));
    const totals = new Map(this.#scalars().filter((each) => each.sumsTime).map((each) => [each, builder.var(`${this.#nameOf(each.yielded.value)}_sum`, literal(0))]));
    return { own, shared, coefficients, responses, adjoint, saved: numbers.declare('saved'), sums: this.#totals.declare(), correlation, totals };
  }

  #initialAdjoint(own: Placement, site: InnerSite): StateParts {
    const { plan, memory } = this.#request;
    const initial = plan.op.initial;
    return plan.recurrence.current.map((_, part) => (initial === null ? literal(0)
      : loadValue(this.#builder, memory(required(initial[part], 'initial adjoint')), withCoordinates(own.coordinates, site.coordinates))));
  }

  #walk(walk: Walk): void {
    const { plan, yields } = this.#request;
    const builder = this.#builder;
    const range = visitRange(builder, this.#request, null);
    const { signal, replaySignal } = this.#form;
    const early = streamsBehind(plan, [signal, replaySignal], new Set());
    const late = streamsBehind(plan, yields.map((each) => each.yielded.value), new Set([signal, replaySignal]));
    const prefetch = new LanesPrefetch({ frame: this.#frame, cooperative: walk.shared, staged: [], early, late });
    builder.if(less(range.start, range.end), () => this.#loadSaved(walk, divide(subtract(range.end, integer(1)), integer(this.#history.interval))));
    overTiles(this.#frame, range, prefetch, (tile, following) => {
      const rows = this.#phaseA(tile, walk.shared, prefetch);
      if (tile.isWhole) prefetch.load(following);
      builder.barrier();
      builder.comment(`the recurrence, ${this.#parameters.block} tokens at a time`);
      this.#overSpans(walk, tile);
      builder.barrier();
      guard(builder, tile.isWhole ? null : less(firstRow(this.#frame), tile.count), () => this.#phaseC(walk, tile, rows, prefetch));
    });
  }

  /** Starts the loads of the states at a checkpoint. */
  #loadSaved({ own, saved }: Walk, checkpoint: KernelExpression): void {
    const { memory } = this.#request;
    const { interval, checkpoints } = this.#history;
    const place = this.#builder.let('checkpoint', checkpoint);
    const at = (_lane: number, site: InnerSite): Coordinates => withCoordinates(own.coordinates, [...site.coordinates, [checkpointAxis(interval), place]]);
    loadStates({ frame: this.#frame, thread: this.#thread, targets: checkpoints.map(memory), at },
      (part, _lane, step, value) => this.#builder.setElement(required(saved[part], 'state'), step, value));
  }

  /** Both signals of this thread's block into shared memory and registers; zero for the adjoint beyond the last token. */
  #phaseA(tile: Tile, shared: Placement, prefetch: LanesPrefetch): Rows {
    const builder = this.#builder;
    const values = this.#cooperative;
    const { signal, replaySignal } = this.#form;
    const { block } = this.#parameters;
    const rows = { signals: builder.array('signals', f32, block), replaySignals: builder.array('replay_signals', f32, block) };
    const ahead = tile.isWhole ? prefetch : null;
    builder.comment('signals of this tile, once per channel');
    overRows(this.#frame, tile, ({ pass, time, isInside }) => {
      values.beginToken(time);
      values.overrideScalars((id) => ahead?.early(id, pass) ?? null);
      builder.setElement(rows.signals, pass, orZero(isInside, toReal(values.scalar(signal)), literal(0)));
      builder.setElement(rows.replaySignals, pass, toReal(values.scalar(replaySignal)));
      ahead?.hold(pass);
      values.overrideScalars(() => null);
    });
    storeSignals(this.#tables, this.#signals, firstRow(this.#frame), shared.local, rows.signals);
    storeSignals(this.#tables, this.#replaySignals, firstRow(this.#frame), shared.local, rows.replaySignals);
    return rows;
  }

  /** Visits the spans of a tile from the last: the states from their checkpoint on, then the blocks back in time. */
  #overSpans(walk: Walk, tile: Tile): void {
    const builder = this.#builder;
    const { block } = this.#parameters;
    const { interval } = this.#history;
    const spans = tile.isWhole ? integer(this.#frame.parameters.tile / interval) : builder.let('spans', divide(add(tile.count, integer(interval - 1)), integer(interval)));
    builder.for('span', { start: integer(0), end: spans }, (step) => {
      const span = builder.let('first_token', multiply(subtract(subtract(spans, integer(1)), step), integer(interval)));
      const blocks = Array.from({ length: interval / block }, (_, at): Block => this.#blockAt(tile, builder.let('first', add(span, integer(at * block)))));
      const replayed = this.#replay(walk, blocks);
      this.#loadSaved(walk, binary('maximum', subtract(divide(add(tile.base, span), integer(interval)), integer(1)), integer(0)));
      for (const at of [...blocks.keys()].reverse()) this.#takeBlock(walk, required(blocks[at], 'block'), required(replayed[at], 'replayed block'));
    });
  }

  #blockAt(tile: Tile, first: KernelExpression): Block {
    if (tile.isWhole) return { first, count: null };
    const rest = binary('maximum', subtract(tile.count, first), integer(0));
    return { first, count: this.#builder.let('tokens', minimum(integer(this.#parameters.block), rest)) };
  }

  /** States at the starts of the blocks of a span, and what their signals add to them. */
  #replay(walk: Walk, blocks: readonly Block[]): readonly Replayed[] {
    const numbers = this.#numbers;
    let start = numbers.declare('start');
    this.#thread.eachStep(({ step }) => numbers.set(start, step, numbers.get(walk.saved, step)));
    return blocks.map((block, at) => {
      const replayed = { start, sum: numbers.declare('replayed'), weighted: walk.sums.turned === null ? null : numbers.declare('replayed_weighted') };
      const signals = loadDriving(this.#tables, this.#replaySignals, block, walk.own.local);
      const next = at + 1 < blocks.length ? numbers.declare('start') : null;
      this.#thread.eachStep((site) => {
        this.#sumReplayed(walk, site, signals, replayed);
        if (next !== null) numbers.set(next, site.step, this.#advance(walk, site, replayed));
      });
      start = next ?? start;
      return replayed;
    });
  }

  /** F and F': running sums of a^(K−2−m) r_m add up to F', and F is a times the last of them, plus the last signal. */
  #sumReplayed(walk: Walk, site: InnerSite, signals: readonly KernelExpression[], { sum, weighted }: Replayed): void {
    const numbers = this.#numbers;
    const { block } = this.#parameters;
    let running: StateParts | null = null;
    let total: StateParts | null = null;
    for (let token = 0; token < block - 1; token++) {
      const term = this.#numbers.scaledPower(walk.coefficients.powers, site, block - 2 - token, required(signals[token], 'signal'));
      running = numbers.bind('partial', running === null ? term : addShorter(running, term));
      total = total === null || weighted === null ? running : numbers.bind('weighted', addNumbers(total, running));
    }
    const last = required(signals[block - 1], 'signal');
    const turned = applyTransition(this.#numbers.power(walk.coefficients.powers, site, 1), required(running, 'partial sum'));
    numbers.set(sum, site.step, numbers.bind('replayed', addShorter(turned, [last])));
    if (weighted !== null) numbers.set(weighted, site.step, required(total, 'weighted sum'));
  }

  /** The state after a whole block. */
  #advance(walk: Walk, site: InnerSite, { start, sum }: Replayed): StateParts {
    const numbers = this.#numbers;
    const jumped = applyTransition(this.#numbers.power(walk.coefficients.powers, site, this.#parameters.block), numbers.get(start, site.step));
    return numbers.bind('state', addNumbers(jumped, applyTransition(numbers.get(walk.coefficients.replayDrive, site.step), numbers.get(sum, site.step))));
  }

  /** G and G': sums of a^m s_m from the last token back, which add up to G'. */
  #sumSignals(walk: Walk, site: InnerSite, signals: readonly KernelExpression[]): { sum: StateParts; weighted: StateParts } {
    const numbers = this.#numbers;
    let running: StateParts | null = null;
    let total: StateParts | null = null;
    for (let token = signals.length - 1; token >= 0; token--) {
      const term = this.#numbers.scaledPower(walk.coefficients.powers, site, token, required(signals[token], 'signal'));
      running = numbers.bind('partial', running === null ? term : addShorter(running, term));
      total = total === null || walk.sums.turned === null ? running : numbers.bind('weighted', addNumbers(total, running));
    }
    return { sum: required(running, 'sum'), weighted: required(total, 'weighted sum') };
  }

  /** a^count and a^(count−1) times the count; of a whole block from the table. */
  #jumps(walk: Walk, site: InnerSite, { count }: Block): { jump: StateParts; slope: StateParts } {
    const builder = this.#builder;
    const numbers = this.#numbers;
    const { block } = this.#parameters;
    if (count === null) return { jump: this.#numbers.power(walk.coefficients.powers, site, block), slope: this.#numbers.power(walk.coefficients.powers, site, block - 1).map((part) => multiply(part, literal(block))) };
    const base = this.#numbers.power(walk.coefficients.powers, site, 1);
    const [power, slope] = ['power', 'slope'].map((name) => base.map((_, part) => builder.var(name, literal(name === 'power' && part === 0 ? 1 : 0))));
    const read = (of: readonly Variable[] | undefined): StateParts => required(of, 'power').map((each) => variable(each));
    builder.for('token', { start: integer(0), end: count }, () => {
      const nextSlope = numbers.bind('next', addNumbers(applyTransition(base, read(slope)), read(power)));
      const next = numbers.bind('next', applyTransition(base, read(power)));
      slope?.forEach((each, part) => builder.assign(each, required(nextSlope[part], 'slope')));
      power?.forEach((each, part) => builder.assign(each, required(next[part], 'power')));
    });
    return { jump: read(power), slope: read(slope) };
  }

  /** The parts of a block's sums, and the adjoint before it. */
  #takeBlock(walk: Walk, block: Block, replayed: Replayed): void {
    const builder = this.#builder;
    const numbers = this.#numbers;
    const { adjoint, coefficients, own } = walk;
    const signals = loadSignals(this.#tables, this.#signals, block.first, own.local);
    const sums = this.#form.readOuts.map(({ sum }) => signals.map(() => builder.var(this.#nameOf(sum), literal(0))));
    this.#thread.eachStep((site) => {
      const after = numbers.bind('after', numbers.get(adjoint, site.step));
      sums.forEach((totals, at) => this.#readOut(walk, site, after, { totals, weights: numbers.get(required(coefficients.weights[at], 'weights'), site.step) }));
      const { sum, weighted } = this.#sumSignals(walk, site, signals);
      const { jump, slope } = this.#jumps(walk, site, block);
      this.#totals.addBlock(walk.sums, site, { after, slope, start: replayed.start, replayed: replayed.sum, replayedWeighted: replayed.weighted, replayDrive: coefficients.replayDrive, sum, weighted });
      const driven = applyTransition(numbers.get(coefficients.drive, site.step), sum);
      numbers.set(adjoint, site.step, numbers.bind('before', addNumbers(applyTransition(jump, after), driven)));
    });
    sums.forEach((totals, at) => this.#storeParts(required(this.#parts[at], 'parts'), block, own, totals));
  }

  /** What the adjoint after a block gives to the sums at its tokens. */
  #readOut(walk: Walk, site: InnerSite, after: StateParts, { totals, weights }: { totals: readonly Variable[]; weights: StateParts }): void {
    const builder = this.#builder;
    const turned = this.#numbers.bind('weighed', turnedWeights(weights, after));
    totals.forEach((total, token) => {
      const exponent = totals.length - 1 - token;
      const power = exponent === 0 ? [literal(1)] : this.#numbers.power(walk.coefficients.powers, site, exponent);
      power.forEach((part, at) => {
        const weight = required(turned[at], 'weight');
        builder.assign(total, add(variable(total), exponent === 0 ? weight : multiply(part, weight)));
      });
    });
  }

  /** The last parts are those of a shorter block's tokens; the others come to stand behind them, where nobody asks. */
  #storeParts(parts: SharedArray, { first, count }: Block, own: Placement, totals: readonly Variable[]): void {
    const values = totals.map((total) => variable(total));
    storeParts(this.#tables, parts, first, own.local, count === null ? values : this.#rotate(values, count));
  }

  /** The values, as many as are a power of two, `count` places further on; the last ones come first. */
  #rotate(values: readonly KernelExpression[], count: KernelExpression): readonly KernelExpression[] {
    const builder = this.#builder;
    let rotated = values;
    for (let by = 1; by < values.length; by *= 2) {
      const isMoved = builder.let('is_moved', isEqual(remainder(divide(count, integer(by)), integer(2)), integer(1)));
      const before = rotated;
      rotated = before.map((value, at) => builder.let('part', select(isMoved, required(before.at(at - by), 'part'), value)));
    }
    return rotated;
  }

  /** Sums over states and results of this thread's block. */
  #phaseC(walk: Walk, tile: Tile, rows: Rows, prefetch: LanesPrefetch): void {
    const builder = this.#builder;
    const values = this.#cooperative;
    const { signal, replaySignal, readOuts } = this.#form;
    const { shared, correlation } = walk;
    this.#correlate(correlation, rows);
    const sums = readOuts.map(({ sum }, at) => {
      const totals = localSums(this.#tables, required(walk.responses[at], 'response'), rows.signals, 'after').map((value) => builder.var(this.#nameOf(sum), value));
      return addParts(this.#tables, required(this.#parts[at], 'parts'), firstRow(this.#frame), shared.local, totals);
    });
    builder.comment('results, once per channel');
    overRows(this.#frame, tile, ({ pass, isInside, time }) => {
      values.beginToken(time);
      values.overrideScalars((id) => {
        if (id === signal) return element(rows.signals, pass);
        if (id === replaySignal) return element(rows.replaySignals, pass);
        return tile.isWhole ? prefetch.late(id, pass) : null;
      });
      readOuts.forEach(({ sum }, at) => values.setScalar(sum, builder.let(this.#nameOf(sum), element(required(sums[at], 'sums'), pass))));
      const isValid = both(isInside, shared.isValid);
      for (const each of this.#scalars()) {
        const value = values.scalar(each.yielded.value);
        const total = walk.totals.get(each);
        if (total !== undefined) builder.assign(total, add(variable(total), orZero(isValid, value, literal(0))));
        else guard(builder, isValid, () => storeValue(builder, each.target, withCoordinates(shared.coordinates, [['time', time]]), value, null));
      }
      values.overrideScalars(() => null);
    });
  }

  /** Adds Σ_j s_(j+d) r_j of this thread's block. */
  #correlate(correlation: RegisterArray, { signals, replaySignals }: Rows): void {
    const { block } = this.#parameters;
    for (let distance = 0; distance < block; distance++) {
      const terms = Array.from({ length: block - distance }, (_, token) => multiply(element(signals, integer(token + distance)), element(replaySignals, integer(token))));
      this.#builder.setElement(correlation, integer(distance), terms.reduce((left, right) => add(left, right), element(correlation, integer(distance))));
    }
  }

  #storeFinals({ own, adjoint }: Walk, targets: readonly MemoryReference[]): void {
    const at = (_lane: number, site: InnerSite): Coordinates => withCoordinates(own.coordinates, site.coordinates);
    guard(this.#builder, own.isValid, () => storeStates({ frame: this.#frame, thread: this.#thread, targets, at },
      (part, _lane, step) => required(conjugate(this.#numbers.get(adjoint, step))[part], 'part')));
  }

  /** Finishes the sums over time with what tokens of a block did to each other, and stores the totals. */
  #storeTotals(walk: Walk): void {
    const { yields, plan } = this.#request;
    const inner = yields.filter((each) => hasInnerAxis(plan, each.yielded.value));
    if (inner.length === 0) return;
    const builder = this.#builder;
    const { own, shared } = walk;
    builder.barrier();
    const rowThread = divide(builtin('invocation'), integer(this.#frame.channelsPerGroup));
    const correlation = sumOverThreads(this.#tables, walk.correlation, this.#scratch, { lane: rowThread, local: shared.local }, own.local);
    guard(builder, own.isValid, () => this.#thread.eachStep((site) => {
      this.#thread.values.beginInner(site);
      const finished = this.#totals.finish(walk.sums, site, { correlation, powers: walk.coefficients.powers });
      const at = withCoordinates(own.coordinates, site.coordinates);
      for (const { yielded, target } of inner) {
        const total = required(this.#form.totals.get(yielded.value), 'total');
        storeValue(builder, target, at, this.#totals.totalOf(total, finished), null);
      }
      this.#thread.values.endInner();
    }));
  }
}
