/**
 * Schedule `sequential`: a thread owns whole channels and walks over the tokens, states in registers.
 * With workgroups of one thread it is the CPU schedule: four channels side by side in a vector, inner
 * axes in vectors of four, and groups of channels that one worker takes in turn, adding its share of
 * channel sums to memory it alone writes. With larger workgroups it is the plain GPU schedule.
 *
 * Descending scans with a history take the tokens chunk by chunk from the end: replay the forward
 * states of a chunk from its checkpoint, then walk back over it.
 */
import { invariant, required } from '../../support/invariant.ts';
import { ceilDivideSizes, productOfSizes, type SizeExpression } from '../../support/size.ts';
import { add, builtin, divide, element, horizontalAdd, integer, KernelBuilder, less, literal, minimum, multiply, remainder, splat, subtract, variable } from '../kernel/builder.ts';
import { f32, withWidth, type Kernel, type KernelExpression, type RegisterArray, type Variable, type VectorWidth } from '../kernel/nodes.ts';
import { checkpointAxis } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { loadValue, splitIndex, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import type { SequentialParameters } from './parameters.ts';
import type { InnerSite } from './region-values.ts';
import { hasInnerAxis } from './region-plan.ts';
import { ScanThread, type InnerSink, type PassRoots, type StateStore, type ThreadShape } from './scan-thread.ts';
import { isEqual, storeValue, timeOfVisit, visitRange, type ScanRequest, type YieldTarget } from './scan-request.ts';
import { emitTiledScan, isTileable } from './tiled.ts';

/** Number of channel groups of a plan under the parameters. */
export function sequentialGroups(channelCount: number, parameters: SequentialParameters): number {
  return Math.ceil(channelCount / parameters.groupChannels);
}

/** The kernel of one scan. */
export function emitSequentialScan(request: ScanRequest, parameters: SequentialParameters): Kernel {
  return isTileable(request, parameters) ? emitTiledScan(request, parameters) : new SequentialEmission(request, parameters).run();
}

class SequentialEmission {
  readonly #request: ScanRequest;
  readonly #parameters: SequentialParameters;
  readonly #builder = new KernelBuilder();
  readonly #thread: ScanThread;
  readonly #full: PassRoots;
  readonly #replay: PassRoots | null;
  #coordinates: Coordinates = new Map();
  /** null while a workgroup takes a single block */
  #isFirstBlock: KernelExpression | null = null;

  constructor(request: ScanRequest, parameters: SequentialParameters) {
    this.#request = request;
    this.#parameters = parameters;
    const { plan } = request;
    const { innerWidth } = parameters;
    const shape: ThreadShape = {
      lanes: parameters.lanes, innerWidth, innerSteps: plan.innerCount / innerWidth, unroll: true,
      site: (step) => ({ step, coordinates: splitIndex(this.#builder, multiply(step, integer(innerWidth)), plan.inner) }),
    };
    invariant(Number.isInteger(shape.innerSteps), `inner size ${plan.innerCount} is no multiple of ${innerWidth}`);
    this.#thread = new ScanThread(this.#builder, plan, shape, request.memory);
    const yields = request.summary === null ? request.yields.map((each) => each.yielded.value) : [];
    this.#full = { recurrence: plan.recurrence, values: yields };
    this.#replay = plan.history !== null && this.#readsHistory() ? { recurrence: plan.history, values: [] } : null;
  }

  #readsHistory(): boolean {
    const replayed = new Set([...(this.#request.plan.history?.previous ?? []), ...(this.#request.plan.history?.current ?? [])].map((value) => value.id));
    const operands = this.#thread.liveFor(this.#full).flatMap((each) => operandsOf(each.op));
    return [...operands, ...this.#full.values].some((id) => replayed.has(id));
  }

  run(): Kernel {
    const { plan, split, name, notes } = this.#request;
    const { workgroupSize, groupChannels, lanes } = this.#parameters;
    const builder = this.#builder;
    const groups = sequentialGroups(plan.channelCount, this.#parameters);
    const splits: SizeExpression = split?.count ?? 1;
    const total = productOfSizes(['batch', splits, groups]);
    const place = workgroupSize === 1
      ? builtin('workgroup-x')
      : builder.let('thread', add(multiply(builtin('workgroup-x'), integer(workgroupSize)), builtin('invocation')));
    const body = (): void => {
      const group = groups === 1 ? integer(0) : builder.let('group', remainder(place, integer(groups)));
      const rest = groups === 1 ? place : builder.let('row', divide(place, integer(groups)));
      const splitCount = builder.uniform('splits', splits);
      const piece = splits === 1 ? null : builder.let('split', remainder(rest, splitCount));
      const batch = splits === 1 ? rest : builder.let('b', divide(rest, splitCount));
      const start: (readonly [string, KernelExpression])[] = [['batch', batch], ['group', group], ...(piece === null ? [] : [['split', piece] as const])];
      const blocks = Math.ceil(Math.min(groupChannels, plan.channelCount) / lanes);
      if (blocks === 1) {
        this.#block(start, multiply(group, integer(lanes)), piece);
        return;
      }
      builder.for('block', { start: integer(0), end: integer(blocks) }, (block) => {
        this.#isFirstBlock = isEqual(block, integer(0));
        const channel = builder.let('channel', multiply(add(multiply(group, integer(blocks)), block), integer(lanes)));
        const isWhole = plan.channelCount % groupChannels === 0;
        if (isWhole) this.#block(start, channel, piece);
        else builder.if(less(channel, integer(plan.channelCount)), () => this.#block(start, channel, piece));
      });
    };
    if (workgroupSize === 1) body();
    else builder.if(less(place, builder.uniform('threads', total)), body);
    const gridX = workgroupSize === 1 ? total : ceilDivideSizes(total, workgroupSize);
    return builder.finish({ name, notes: [...notes, `schedule sequential: ${lanes} channels and ${this.#parameters.innerWidth} states side by side`], workgroupSize, grid: [gridX, 1, 1] });
  }

  #block(start: readonly (readonly [string, KernelExpression])[], channel: KernelExpression, piece: KernelExpression | null): void {
    const { plan, summary } = this.#request;
    const thread = this.#thread;
    const coordinates = splitIndex(this.#builder, channel, plan.channels);
    this.#coordinates = withCoordinates(new Map(start), coordinates);
    thread.values.place(this.#coordinates);
    thread.prepareFixed(this.#replay === null ? [this.#full] : [this.#full, this.#replay]);
    const state = thread.makeState(plan.recurrence, (part, lane, site) => this.#initialState(part, lane, site));
    const range = visitRange(this.#builder, this.#request, piece);
    if (summary !== null) {
      this.#summary(state, range);
      return;
    }
    const accumulators = this.#request.yields.filter((each) => each.sumsTime).map((each) => this.#accumulator(each));
    if (plan.direction === 'ascending') this.#ascend(state, range, accumulators);
    else this.#descend(range, (time, prepare) => this.#token(time, state, accumulators, prepare));
    for (const accumulator of accumulators) accumulator.finish();
    if (this.#request.finals !== null) this.#storeState(state, this.#request.finals, new Map());
  }

  #at(site: InnerSite, lane: number, more: readonly (readonly [string, KernelExpression])[] = []): Coordinates {
    const last = this.#request.plan.channels.at(-1);
    const shifted: (readonly [string, KernelExpression])[] = last === undefined || lane === 0
      ? []
      : [[last.name, add(required(this.#coordinates.get(last.name), last.name), integer(lane))]];
    return withCoordinates(this.#coordinates, [...shifted, ...site.coordinates, ...more]);
  }

  #vector(): { axis: string; width: VectorWidth } | null {
    const axis = this.#thread.hasInner ? this.#request.plan.inner.at(-1) : this.#request.plan.channels.at(-1);
    const width = this.#thread.hasInner ? this.#parameters.innerWidth : this.#parameters.lanes;
    return axis === undefined ? null : { axis: axis.name, width };
  }

  #loadState(references: readonly MemoryReference[], part: number, lane: number, site: InnerSite, more: readonly (readonly [string, KernelExpression])[] = []): KernelExpression {
    return loadValue(this.#builder, required(references[part], 'state part'), this.#at(site, lane, more), this.#vector());
  }

  #initialState(part: number, lane: number, site: InnerSite): KernelExpression {
    const { plan, carry, summary, memory } = this.#request;
    if (summary !== null) return literal(0);
    if (carry !== null) return this.#loadState(carry, part, lane, site);
    const initial = plan.op.initial?.[part];
    return initial === undefined ? literal(0) : this.#loadState([memory(initial)], 0, lane, site);
  }

  #storeState(state: StateStore, targets: readonly MemoryReference[], more: Coordinates): void {
    this.#thread.eachStep((site) => {
      targets.forEach((target, part) => {
        for (const lane of this.#thread.laneNumbers()) {
          storeValue(this.#builder, target, this.#at(site, lane, [...more]), state.read(part, lane, site.step), this.#vector());
        }
      });
    });
  }

  #summary(state: StateStore, range: { start: KernelExpression; end: KernelExpression }): void {
    const { plan } = this.#request;
    const targets = required(this.#request.summary, 'summary');
    const width = targets.decay.length;
    const names = Array.from({ length: width }, (_, part) => required(plan.recurrence.current[part], 'state'));
    const decayShape = { ...plan.recurrence, current: names.map((value) => ({ ...value, name: 'decay_total' })) };
    const decay = this.#thread.makeState(decayShape, (part) => literal(part === 0 ? 1 : 0));
    const token: TokenBody = (time, prepare) => {
      this.#thread.values.beginToken(time);
      prepare();
      this.#thread.multiplyDecay(plan.recurrence, decay);
      this.#thread.runToken(this.#full, state, []);
    };
    if (plan.direction === 'ascending') this.#tokens(range, 'ascending', (time) => token(time, () => {}));
    else this.#descend(range, token);
    this.#storeState(state, targets.state, new Map());
    this.#storeState(decay, targets.decay, new Map());
  }

  /** Calls `body` per token of the range, with its time. */
  #tokens(range: { start: KernelExpression; end: KernelExpression }, direction: 'ascending' | 'descending', body: (time: KernelExpression) => void): void {
    const { plan } = this.#request;
    this.#builder.for('i', range, (visited) => {
      const visit = direction === 'ascending' ? visited : this.#builder.let('visit', subtract(subtract(add(range.start, range.end), integer(1)), visited));
      body(timeOfVisit(this.#builder, plan, visit));
    });
  }

  #ascend(state: StateStore, range: { start: KernelExpression; end: KernelExpression }, accumulators: readonly Accumulator[]): void {
    const { checkpoints, plan } = this.#request;
    const builder = this.#builder;
    if (checkpoints === null) {
      this.#tokens(range, 'ascending', (time) => this.#token(time, state, accumulators));
      return;
    }
    const interval = integer(checkpoints.interval);
    const first = builder.let('first_chunk', divide(range.start, interval));
    const last = builder.let('end_chunk', divide(add(range.end, subtract(interval, integer(1))), interval));
    builder.for('chunk', { start: first, end: last }, (chunk) => {
      this.#storeState(state, checkpoints.targets, new Map([[checkpointAxis(checkpoints.interval), chunk]]));
      const begin = builder.let('chunk_start', multiply(chunk, interval));
      const end = builder.let('chunk_end', minimum(add(begin, interval), range.end));
      builder.for('i', { start: begin, end }, (visit) => this.#token(timeOfVisit(builder, plan, visit), state, accumulators));
    });
  }

  #descend(range: { start: KernelExpression; end: KernelExpression }, token: TokenBody): void {
    const { plan } = this.#request;
    const builder = this.#builder;
    const replay = this.#replay;
    if (replay === null) {
      this.#tokens(range, 'descending', (time) => token(time, () => {}));
      return;
    }
    const history = required(plan.op.history, 'history');
    const interval = integer(history.interval);
    const first = builder.let('first_chunk', divide(range.start, interval));
    const last = builder.let('end_chunk', divide(add(range.end, subtract(interval, integer(1))), interval));
    const stored = this.#historyArrays(history.interval);
    builder.for('back', { start: first, end: last }, (back) => {
      const chunk = builder.let('chunk', subtract(subtract(add(first, last), integer(1)), back));
      const begin = builder.let('chunk_start', multiply(chunk, interval));
      const count = builder.let('chunk_length', subtract(minimum(add(begin, interval), range.end), begin));
      builder.comment('replay the forward states of this chunk from its checkpoint');
      const checkpoint: readonly (readonly [string, KernelExpression])[] = [[checkpointAxis(history.interval), chunk]];
      this.#thread.eachStep((site) => {
        history.checkpoints.forEach((id, part) => this.#thread.laneNumbers().forEach((lane) => {
          stored.write(part, lane, site.step, integer(0), this.#loadState([this.#request.memory(id)], 0, lane, site, checkpoint));
        }));
      });
      builder.for('i', { start: integer(0), end: count }, (index) => {
        this.#thread.values.beginToken(timeOfVisit(builder, plan, add(begin, index)));
        this.#thread.runToken(replay, {
          read: (part, lane, step) => stored.read(part, lane, step, index),
          write: (part, lane, step, value) => stored.write(part, lane, step, add(index, integer(1)), value),
        }, []);
      });
      builder.comment('walk back over the chunk');
      builder.for('i', { start: integer(0), end: count }, (passed) => {
        const index = builder.let('index', subtract(subtract(count, integer(1)), passed));
        this.#readHistory(stored, index);
        token(timeOfVisit(builder, plan, builder.let('visit', add(begin, index))), () => this.#setHistoryScalars(stored, index));
        this.#thread.values.readStates(() => null);
      });
    });
  }

  #historyArrays(interval: number): HistoryStore {
    const { plan } = this.#request;
    const { lanes, innerWidth } = this.#parameters;
    const steps = this.#thread.hasInner ? this.#thread.shape.innerSteps : 1;
    const width = this.#thread.hasInner ? innerWidth : lanes;
    const names = required(plan.history, 'history').current.map((value) => value.name);
    const arrays = names.map((name) => this.#thread.laneNumbers().map((): RegisterArray =>
      this.#builder.array(`${name}_history`, withWidth(f32, width), (interval + 1) * steps)));
    const at = (part: number, lane: number): RegisterArray => required(arrays[part]?.[lane], 'history');
    const place = (index: KernelExpression, step: KernelExpression): KernelExpression => add(multiply(index, integer(steps)), step);
    return {
      read: (part, lane, step, index) => element(at(part, lane), place(index, step)),
      write: (part, lane, step, index, value) => this.#builder.setElement(at(part, lane), place(index, step), splat(value, width)),
    };
  }

  #readHistory(stored: HistoryStore, index: KernelExpression): void {
    const history = required(this.#request.plan.history, 'history');
    this.#thread.values.readStates((id, lane) => {
      const step = this.#thread.values.step();
      const before = history.previous.findIndex((value) => value.id === id);
      if (before >= 0) return stored.read(before, lane, step, index);
      const after = history.current.findIndex((value) => value.id === id);
      return after >= 0 ? stored.read(after, lane, step, add(index, integer(1))) : null;
    });
  }

  #setHistoryScalars(stored: HistoryStore, index: KernelExpression): void {
    if (this.#thread.hasInner) return;
    const history = required(this.#request.plan.history, 'history');
    history.previous.forEach((value, part) => this.#thread.values.setScalar(value.id, this.#builder.let(value.name, stored.read(part, 0, integer(0), index))));
    history.current.forEach((value, part) => this.#thread.values.setScalar(value.id, this.#builder.let(value.name, stored.read(part, 0, integer(0), add(index, integer(1))))));
  }

  #token(time: KernelExpression, state: StateStore, accumulators: readonly Accumulator[], prepare: () => void = () => {}): void {
    const { plan, yields } = this.#request;
    const { values } = this.#thread;
    values.beginToken(time);
    prepare();
    const isInner = (each: YieldTarget): boolean => this.#thread.hasInner && hasInnerAxis(plan, each.yielded.value);
    const sinks = yields.filter(isInner).map((each): InnerSink => ({
      value: each.yielded.value,
      consume: (site, laneValues) => this.#consumeInner(each, site, laneValues, time, accumulators),
    }));
    this.#thread.runToken(this.#full, state, sinks);
    for (const each of yields.filter((target) => !isInner(target))) this.#consumeScalar(each, time, accumulators);
  }

  #consumeInner(each: YieldTarget, site: InnerSite, laneValues: readonly KernelExpression[], time: KernelExpression, accumulators: readonly Accumulator[]): void {
    const total = (): KernelExpression => laneValues.reduce((sum, value) => add(sum, value));
    if (each.sumsTime) {
      required(accumulators.find((accumulator) => accumulator.target === each), 'accumulator').addInner(site, each.sumsChannels ? [total()] : laneValues);
      return;
    }
    if (each.sumsChannels) {
      this.#storeShared(each.target, this.#at(site, 0, [['time', time]]), total(), this.#vector());
      return;
    }
    laneValues.forEach((value, lane) => storeValue(this.#builder, each.target, this.#at(site, lane, [['time', time]]), value, this.#vector()));
  }

  #channelVector(): { axis: string; width: VectorWidth } | null {
    const axis = this.#request.plan.channels.at(-1);
    return axis === undefined ? null : { axis: axis.name, width: this.#parameters.lanes };
  }

  #consumeScalar(each: YieldTarget, time: KernelExpression, accumulators: readonly Accumulator[]): void {
    const value = splat(this.#thread.values.scalar(each.yielded.value), this.#parameters.lanes);
    if (each.sumsTime) {
      required(accumulators.find((accumulator) => accumulator.target === each), 'accumulator').addScalar(value);
      return;
    }
    const coordinates = withCoordinates(this.#coordinates, [['time', time]]);
    if (each.sumsChannels) this.#storeShared(each.target, coordinates, horizontalAdd(value), null);
    else storeValue(this.#builder, each.target, coordinates, value, this.#channelVector());
  }

  /** Adds to what earlier blocks of this workgroup wrote; the first one overwrites. */
  #storeShared(target: MemoryReference, coordinates: Coordinates, value: KernelExpression, vector: { axis: string; width: VectorWidth } | null): void {
    const bound = this.#builder.let('sum', value);
    if (this.#isFirstBlock === null) {
      storeValue(this.#builder, target, coordinates, bound, vector);
      return;
    }
    this.#builder.if(
      this.#isFirstBlock,
      () => storeValue(this.#builder, { ...target }, coordinates, bound, vector, 'initialise'),
      () => storeValue(this.#builder, target, coordinates, bound, vector, 'accumulate'),
    );
  }

  #accumulator(target: YieldTarget): Accumulator {
    const { plan } = this.#request;
    const builder = this.#builder;
    const thread = this.#thread;
    const { innerWidth, lanes } = this.#parameters;
    const id = target.yielded.value;
    const name = `${required(plan.names.get(id), 'name')}_sum`;
    if (thread.hasInner && hasInnerAxis(plan, id)) {
      const count = target.sumsChannels ? 1 : lanes;
      const arrays = Array.from({ length: count }, (): RegisterArray => builder.array(name, withWidth(f32, innerWidth), thread.shape.innerSteps));
      const zero = literal(0, withWidth(f32, innerWidth));
      thread.eachStep((site) => arrays.forEach((array) => builder.setElement(array, site.step, zero)));
      return {
        target,
        addScalar: () => invariant(false, 'scalar into an inner accumulator'),
        addInner: (site, values) => arrays.forEach((array, lane) =>
          builder.setElement(array, site.step, add(element(array, site.step), splat(required(values[lane], 'lane'), innerWidth)))),
        finish: () => thread.eachStep((site) => arrays.forEach((array, lane) => {
          const value = element(array, site.step);
          if (target.sumsChannels) this.#storeShared(target.target, this.#at(site, 0), value, this.#vector());
          else storeValue(builder, target.target, this.#at(site, lane), value, this.#vector());
        })),
      };
    }
    const sum: Variable = builder.var(name, literal(0, withWidth(f32, lanes)));
    return {
      target,
      addScalar: (value) => builder.assign(sum, add(variable(sum), value)),
      addInner: () => invariant(false, 'inner value into a scalar accumulator'),
      finish: () => {
        if (target.sumsChannels) this.#storeShared(target.target, this.#coordinates, horizontalAdd(variable(sum)), null);
        else storeValue(builder, target.target, this.#coordinates, variable(sum), this.#channelVector());
      },
    };
  }
}

/** Code of one token; `prepare` makes the replayed states of the token readable. */
type TokenBody = (time: KernelExpression, prepare: () => void) => void;

type Accumulator = {
  readonly target: YieldTarget;
  readonly addScalar: (value: KernelExpression) => void;
  readonly addInner: (site: InnerSite, values: readonly KernelExpression[]) => void;
  readonly finish: () => void;
};

type HistoryStore = {
  readonly read: (part: number, lane: number, step: KernelExpression, index: KernelExpression) => KernelExpression;
  readonly write: (part: number, lane: number, step: KernelExpression, index: KernelExpression, value: KernelExpression) => void;
};
