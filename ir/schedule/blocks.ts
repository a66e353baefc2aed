/**
 * Schedule `blocks`: time-invariant recurrences, a block of tokens at a time (see blocks-form). Several
 * threads share a channel, each with a slice of the inner axis; a workgroup walks over time in tiles of
 * one block per thread of a channel. Per tile:
 *   A  every thread computes the signals of one block in one channel into shared memory;
 *   B  every thread goes through all blocks of its channel: what its states give to the block's sums,
 *      then the states after the block;
 *   C  every thread finishes one block: the parts of the sums, the local convolution of the signals
 *      that it still has in registers, and the results per token and channel.
 * Behind the last whole tile the last block may be shorter: its signals stand at the end of a block
 * that begins with zeros, and the states' power is formed for it.
 */
import { invariant, required } from '../../support/invariant.ts';
import { ceilDivideSizes } from '../../support/size.ts';
import {
  add, builtin, divide, element, integer, KernelBuilder, less, literal, loadShared, minimum, multiply, remainder, subtract, variable,
} from '../kernel/builder.ts';
import { f32, type Kernel, type KernelExpression, type RegisterArray, type SharedArray } from '../kernel/nodes.ts';
import { checkpointAxis, type ValueId } from '../tensor/ops.ts';
import { loadValue, splitIndex, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import { blockCoefficients, transitionPlace, type BlockCoefficients } from './blocks-coefficients.ts';
import { blockFormOf, type BlockForm } from './blocks-form.ts';
import { blocksGroups, partsStride } from './blocks-parameters.ts';
import { addParts, laneOf, loadDriving, localSums, makeBlocksFrame, prepareCooperative, quad, storeParts, storeSignals, sumOverThreads, type Block, type TablesFrame } from './blocks-tables.ts';
import { toReal } from './elementwise.ts';
import { both, firstRow, guard, overRows, overTiles, placeChannel, type LanesFrame, type Placement, type Range, type Tile } from './lanes-frame.ts';
import { LanesPrefetch, streamsBehind } from './lanes-prefetch.ts';
import { storeStates } from './lanes-states.ts';
import type { BlocksParameters } from './parameters.ts';
import { applyTransition, RegionValues, type InnerSite, type StateParts } from './region-values.ts';
import { isEqual, storeValue, visitRange, type ScanRequest } from './scan-request.ts';
import { ScanThread, type PassRoots, type StateStore } from './scan-thread.ts';

/** The kernel of one scan. */
export function emitBlocksScan(request: ScanRequest, parameters: BlocksParameters): Kernel {
  return new BlocksEmission(request, parameters).run();
}

/** A pass over a range: its states, and what is done with them. */
type Walk = { readonly state: StateStore; readonly own: Placement; readonly shared: Placement; readonly range: Range };

/** A thread's block in registers: its signals, and by read-out the sums over states. */
type FinishedBlock = { readonly signals: RegisterArray; readonly sums: readonly RegisterArray[] };

class BlocksEmission {
  readonly #request: ScanRequest;
  readonly #parameters: BlocksParameters;
  readonly #builder = new KernelBuilder();
  readonly #form: BlockForm;
  readonly #frame: LanesFrame;
  readonly #tables: TablesFrame;
  readonly #thread: ScanThread;
  readonly #cooperative: RegionValues;
  readonly #roots: PassRoots;
  readonly #signals: SharedArray;
  /** by read-out: what each thread adds to a token's sum */
  readonly #parts: readonly SharedArray[];

  constructor(request: ScanRequest, parameters: BlocksParameters) {
    this.#request = request;
    this.#parameters = parameters;
    const { plan, memory } = request;
    const { lanes, block } = parameters;
    const builder = this.#builder;
    const form = required(blockFormOf(plan), 'block form');
    this.#form = request.summary === null ? form : { ...form, readOuts: [] };
    const tile = lanes * block;
    this.#frame = makeBlocksFrame(builder, request, parameters);
    this.#tables = { frame: this.#frame, parameters };
    invariant(block % quad === 0, 'blocks consist of fours of tokens');
    this.#thread = this.#makeThread();
    this.#cooperative = new RegionValues({ builder, plan, memory, lanes: 1, innerWidth: 1, innerSteps: 1 });
    this.#roots = { recurrence: plan.recurrence, values: request.summary === null ? request.yields.map((each) => each.yielded.value) : [] };
    const { channelsPerGroup } = this.#frame;
    this.#signals = builder.shared('signals', f32, tile * channelsPerGroup);
    this.#parts = this.#form.readOuts.map(({ sum }) => builder.shared(`${this.#nameOf(sum)}_parts`, f32, tile * lanes * partsStride(parameters)));
  }

  #makeThread(): ScanThread {
    const { plan, memory } = this.#request;
    const { steps } = this.#frame;
    return new ScanThread(this.#builder, plan, {
      lanes: 1, innerWidth: 1, innerSteps: steps, unroll: true,
      site: (step) => ({ step, coordinates: splitIndex(this.#builder, add(multiply(laneOf(this.#tables), integer(steps)), step), plan.inner) }),
    }, memory);
  }

  #nameOf(id: ValueId): string {
    return required(this.#request.plan.names.get(id), 'name');
  }

  run(): Kernel {
    const { plan, split, name, notes } = this.#request;
    const { workgroupSize, lanes, block } = this.#parameters;
    const builder = this.#builder;
    const { channelsPerGroup, steps } = this.#frame;
    const group = builtin('workgroup-x');
    const piece = split === null ? null : builtin('workgroup-z');
    const outer: (readonly [string, KernelExpression])[] = [['batch', builtin('workgroup-y')], ...(piece === null ? [] : [['split', piece] as const])];
    const first = builder.let('first_channel', multiply(group, integer(channelsPerGroup)));
    const own = placeChannel(this.#frame, 'channel', { first, offset: divide(builtin('invocation'), integer(lanes)), width: 1 }, outer);
    const shared = placeChannel(this.#frame, 'cooperative', { first, offset: remainder(builtin('invocation'), integer(channelsPerGroup)), width: 1 }, outer);
    this.#thread.values.place(own.coordinates);
    this.#cooperative.place(shared.coordinates);
    prepareCooperative(this.#thread, this.#roots, this.#cooperative);
    this.#thread.prepareFixed([this.#roots]);
    const coefficients = blockCoefficients({ frame: this.#frame, thread: this.#thread, form: this.#form, block });
    const responses = coefficients.responses.map((each, at) =>
      sumOverThreads(this.#tables, each, required(this.#parts[at], 'parts'), { lane: laneOf(this.#tables), local: own.local }, shared.local));
    const state = this.#thread.makeState(plan.recurrence, (part, _lane, site) => this.#initialState(part, site));
    const walk = { state, own, shared, range: visitRange(builder, this.#request, piece) };
    if (this.#request.summary === null) this.#fullPass(walk, coefficients, responses);
    else this.#summary(walk, coefficients);
    return builder.finish({
      name, notes: [...notes, `schedule blocks: blocks of ${block} tokens, ${lanes} threads per channel, ${steps} states each`],
      workgroupSize, grid: [blocksGroups(plan, this.#parameters), 'batch', split === null ? 1 : ceilDivideSizes('length', split.size)],
    });
  }

  #initialState(part: number, site: InnerSite): KernelExpression {
    const { plan, carry, summary, memory } = this.#request;
    const initial = plan.op.initial?.[part];
    const reference = carry === null ? (initial === undefined ? null : memory(initial)) : required(carry[part], 'carry');
    if (summary !== null || reference === null) return literal(0);
    return loadValue(this.#builder, reference, this.#thread.values.coordinatesAt(site));
  }

  #storeState(state: StateStore, targets: readonly MemoryReference[], own: Placement, more: readonly (readonly [string, KernelExpression])[] = []): void {
    const at = (_lane: number, site: InnerSite): Coordinates => withCoordinates(own.coordinates, [...site.coordinates, ...more]);
    guard(this.#builder, own.isValid, () => {
      storeStates({ frame: this.#frame, thread: this.#thread, targets, at }, (part, lane, step) => state.read(part, lane, step));
    });
  }

  #summary(walk: Walk, coefficients: BlockCoefficients): void {
    const { plan } = this.#request;
    const builder = this.#builder;
    const targets = required(this.#request.summary, 'summary');
    const shape = { ...plan.recurrence, current: targets.decay.map((_, part) => ({ ...required(plan.recurrence.current[part], 'state'), name: 'decay_total' })) };
    const decay = this.#thread.makeState(shape, (part) => literal(part === 0 ? 1 : 0));
    const prefetch = this.#makePrefetch(walk.shared, []);
    overTiles(this.#frame, walk.range, prefetch, (tile, following) => {
      this.#phaseA(tile, prefetch, builder.array('signals', f32, this.#parameters.block));
      if (tile.isWhole) prefetch.load(following);
      builder.barrier();
      this.#overBlocks(tile, (block) => {
        this.#takeBlock(walk, coefficients, block);
        this.#thread.eachStep((site) => {
          const held = this.#partsOf(decay, targets.decay.length, site);
          this.#jump(block, coefficients, held, site).forEach((value, part) => decay.write(part, 0, site.step, value));
        });
      });
      builder.barrier();
    });
    this.#storeState(walk.state, targets.state, walk.own);
    this.#storeState(decay, targets.decay, walk.own);
  }

  #fullPass(walk: Walk, coefficients: BlockCoefficients, responses: readonly RegisterArray[]): void {
    const { yields, finals } = this.#request;
    const builder = this.#builder;
    const { block } = this.#parameters;
    const prefetch = this.#makePrefetch(walk.shared, yields.map((each) => each.yielded.value));
    overTiles(this.#frame, walk.range, prefetch, (tile, following) => {
      const signals = builder.array('signals', f32, block);
      this.#phaseA(tile, prefetch, signals);
      if (tile.isWhole) prefetch.load(following);
      builder.barrier();
      this.#overBlocks(tile, (each) => {
        this.#storeCheckpoint(walk, tile, each);
        this.#takeBlock(walk, coefficients, each);
      });
      builder.barrier();
      guard(builder, tile.isWhole ? null : less(firstRow(this.#frame), tile.count), () => {
        this.#phaseC(tile, walk.shared, prefetch, { signals, sums: this.#localSums(signals, responses, walk.shared) });
      });
    });
    if (finals !== null) this.#storeState(walk.state, finals, walk.own);
  }

  #makePrefetch(shared: Placement, results: readonly ValueId[]): LanesPrefetch {
    const { plan } = this.#request;
    const { signal } = this.#form;
    const early = streamsBehind(plan, [signal], new Set());
    return new LanesPrefetch({ frame: this.#frame, cooperative: shared, staged: [], early, late: streamsBehind(plan, results, new Set([signal])) });
  }

  #storeCheckpoint({ state, own }: Walk, tile: Tile, { first }: Block): void {
    const { checkpoints } = this.#request;
    if (checkpoints === null) return;
    const builder = this.#builder;
    const { interval, targets } = checkpoints;
    invariant(interval % this.#parameters.block === 0, 'checkpoints lie at starts of blocks');
    const visit = builder.let('visit', add(tile.base, first));
    builder.if(isEqual(remainder(visit, integer(interval)), integer(0)), () => {
      this.#storeState(state, targets, own, [[checkpointAxis(interval), builder.let('checkpoint', divide(visit, integer(interval)))]]);
    });
  }

  /** The signals of this thread's block into shared memory and registers. */
  #phaseA(tile: Tile, prefetch: LanesPrefetch, row: RegisterArray): void {
    const builder = this.#builder;
    const values = this.#cooperative;
    const local = remainder(builtin('invocation'), integer(this.#frame.channelsPerGroup));
    const ahead = tile.isWhole ? prefetch : null;
    builder.comment('signals of this tile, once per channel');
    overRows(this.#frame, tile, ({ pass, time }) => {
      values.beginToken(time);
      values.overrideScalars((id) => ahead?.early(id, pass) ?? null);
      builder.setElement(row, pass, toReal(values.scalar(this.#form.signal)));
      ahead?.hold(pass);
      values.overrideScalars(() => null);
    });
    storeSignals(this.#tables, this.#signals, firstRow(this.#frame), local, row);
  }

  /** Visits the blocks of a tile in order. */
  #overBlocks(tile: Tile, body: (block: Block) => void): void {
    const builder = this.#builder;
    const { lanes, block } = this.#parameters;
    const count = tile.isWhole ? integer(lanes) : builder.let('blocks', divide(add(tile.count, integer(block - 1)), integer(block)));
    builder.comment(`the recurrence, ${block} tokens at a time`);
    builder.for('block', { start: integer(0), end: count }, (at) => {
      const first = builder.let('first_token', multiply(at, integer(block)));
      body({ first, count: tile.isWhole ? null : builder.let('tokens', minimum(integer(block), subtract(tile.count, first))) });
    });
  }

  /** Parts of the sums from the states before a block, and the states after it. */
  #takeBlock({ state, own }: Walk, coefficients: BlockCoefficients, each: Block): void {
    const builder = this.#builder;
    const { block } = this.#parameters;
    const signals = loadDriving(this.#tables, this.#signals, each, own.local);
    const sums = this.#form.readOuts.map(({ sum }) => signals.map(() => builder.var(this.#nameOf(sum), literal(0))));
    this.#thread.eachStep((site) => {
      const place = builder.let('place', multiply(site.step, integer(block)));
      const at = (array: RegisterArray, token: number): KernelExpression => element(array, add(place, integer(token)));
      const before = this.#partsOf(state, coefficients.drive.length, site);
      sums.forEach((totals, readOut) => coefficients.readOuts[readOut]?.forEach((array, part) => totals.forEach((total, token) => {
        builder.assign(total, add(variable(total), multiply(at(array, token), required(before[part], 'state'))));
      })));
      const after = this.#jump(each, coefficients, before, site).map((value, part) => signals.reduce((total, signal, token) =>
        add(total, multiply(at(required(coefficients.drive[part], 'drive'), token), signal)), value));
      after.map((value) => builder.let('after', value)).forEach((value, part) => state.write(part, 0, site.step, value));
    });
    sums.forEach((totals, readOut) => storeParts(this.#tables, required(this.#parts[readOut], 'parts'), each.first, own.local, totals.map((total) => variable(total))));
  }

  /** a^K ⊙ a number per state, K the tokens of the block. */
  #jump({ count }: Block, coefficients: BlockCoefficients, parts: StateParts, site: InnerSite): StateParts {
    const power = count === null ? coefficients.jump.map((array) => element(array, site.step)) : this.#powerOf(count, coefficients, site);
    return applyTransition(power, parts).map((value) => this.#builder.let('jumped', value));
  }

  /** a^count. */
  #powerOf(count: KernelExpression, { transition }: BlockCoefficients, site: InnerSite): StateParts {
    const builder = this.#builder;
    const base = transition.map((array) => builder.let('decay', loadShared(array, transitionPlace(this.#frame, site))));
    const power = base.map((_, part) => builder.var('power', literal(part === 0 ? 1 : 0)));
    builder.for('token', { start: integer(0), end: count }, () => {
      const next = applyTransition(base, power.map((each) => variable(each))).map((value) => builder.let('next', value));
      power.forEach((each, part) => builder.assign(each, required(next[part], 'power')));
    });
    return power.map((each) => variable(each));
  }

  #partsOf(store: StateStore, count: number, site: InnerSite): StateParts {
    return Array.from({ length: count }, (_, part) => this.#builder.let('before', store.read(part, 0, site.step)));
  }

  /** The sums of this thread's block: the parts of all threads, and what its own signals add. */
  #localSums(signals: RegisterArray, responses: readonly RegisterArray[], shared: Placement): readonly RegisterArray[] {
    return this.#form.readOuts.map(({ sum }, readOut) => {
      const local = localSums(this.#tables, required(responses[readOut], 'response'), signals, 'before');
      const totals = local.map((value) => this.#builder.var(this.#nameOf(sum), value));
      return addParts(this.#tables, required(this.#parts[readOut], 'parts'), firstRow(this.#frame), shared.local, totals);
    });
  }

  /** Results per token and channel. */
  #phaseC(tile: Tile, shared: Placement, prefetch: LanesPrefetch, block: FinishedBlock): void {
    const builder = this.#builder;
    const values = this.#cooperative;
    builder.comment('results, once per channel');
    overRows(this.#frame, tile, ({ pass, isInside, time }) => {
      values.beginToken(time);
      values.overrideScalars((id) => {
        if (id === this.#form.signal) return element(block.signals, pass);
        return tile.isWhole ? prefetch.late(id, pass) : null;
      });
      this.#form.readOuts.forEach(({ sum }, at) => values.setScalar(sum, builder.let(this.#nameOf(sum), element(required(block.sums[at], 'sums'), pass))));
      const isValid = both(isInside, shared.isValid);
      for (const each of this.#request.yields) {
        const value = values.scalar(each.yielded.value);
        guard(builder, isValid, () => storeValue(builder, each.target, withCoordinates(shared.coordinates, [['time', time]]), value, null));
      }
      values.overrideScalars(() => null);
    });
  }
}
