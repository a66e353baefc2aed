/**
 * Schedule `step`: one token per sequence, for states with an inner axis on a GPU. A workgroup takes a
 * few channels and a few sequences (rows). Four neighbouring states of a channel are one vector of one
 * thread, so states are read and written once, 16 bytes at a time:
 *   first all streams and states of the thread's rows are loaded, and what all channels share (B, C);
 *   A  values per channel (Δ, Δ·u, …), once per row and channel, into shared memory;
 *   B  the update of the states; rates and other values fixed in time serve all rows;
 *   C  sums over the inner axis are finished and per-channel results stored, once per row and channel.
 */
import { invariant, required } from '../../support/invariant.ts';
import { ceilDivideSizes } from '../../support/size.ts';
import { add, builtin, divide, element, horizontalAdd, integer, KernelBuilder, less, literal, loadEarly, loadShared, minimum, multiply, remainder, splat, subtract, variable } from '../kernel/builder.ts';
import { f32, storageBytes, withWidth, type Kernel, type KernelExpression, type RegisterArray, type SharedArray, type Variable, type VectorWidth } from '../kernel/nodes.ts';
import type { ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { loadValue, splitIndex, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import { toReal } from './elementwise.ts';
import type { Machine, StepParameters } from './parameters.ts';
import { streamsBehind } from './lanes-prefetch.ts';
import { hasChannelAxis, hasInnerAxis, variesInTime, type RegionPlan } from './region-plan.ts';
import { RegionValues, type InnerSite } from './region-values.ts';
import { storeValue, type ScanRequest, type YieldTarget } from './scan-request.ts';
import { rootIds, ScanThread, type InnerSink, type PassRoots, type StateStore } from './scan-thread.ts';

const width: VectorWidth = 4;

/** Threads that a processor should have at once, by the words that a thread loads for its rows at most (measured on Hopper). */
const residentThreads = [{ words: 32, threads: 1280 }, { words: 48, threads: 1024 }] as const;

/** The parameters for a plan of one token, or null if the schedule does not fit. */
export function stepParametersFor(plan: RegionPlan, machine: Machine): StepParameters | null {
  const last = plan.inner.at(-1);
  if (machine.maximumWorkgroup < 64 || last === undefined || last.size % width !== 0 || plan.channels.length === 0) return null;
  if (plan.loopCount > 1 || plan.recurrenceLevel > 0 || plan.direction === 'descending') return null;
  const sums = plan.op.yields.some((each) => each.sumOver.length > 0 || !plan.channels.every((channel) => required(plan.types.get(each.value), 'type').axes.includes(channel.name)));
  if (sums) return null;
  const vectors = plan.innerCount / width;
  const lanes = [8, 4, 2, 1].find((each) => vectors % each === 0) ?? 1;
  if (vectors / lanes > 8) return null;
  return { kind: 'step', workgroupSize: Math.min(128, machine.maximumWorkgroup), lanes, rows: Math.max(4, lanes) };
}

/** The kernel of one token. */
export function emitStepScan(request: ScanRequest, parameters: StepParameters): Kernel {
  return new StepEmission(request, parameters).run();
}

/** A row and channel of the phases that work once per channel. */
type Item = { readonly pass: KernelExpression; readonly slot: KernelExpression; readonly row: KernelExpression; readonly column: KernelExpression; readonly isValid: readonly (KernelExpression | null)[] };

/** A thread's channel, and whether it is one; null where it always is. */
type Place = { readonly coordinates: Coordinates; readonly isValid: KernelExpression | null };

class StepEmission {
  readonly #request: ScanRequest;
  readonly #parameters: StepParameters;
  readonly #builder = new KernelBuilder();
  readonly #thread: ScanThread;
  readonly #cooperative: RegionValues;
  readonly #roots: PassRoots;
  readonly #columns: number;
  readonly #steps: number;
  readonly #exported = new Map<ValueId, SharedArray>();
  readonly #staged = new Map<ValueId, RegisterArray>();
  readonly #streams = new Map<ValueId, RegisterArray>();
  readonly #sums = new Map<ValueId, SharedArray>();

  constructor(request: ScanRequest, parameters: StepParameters) {
    this.#request = request;
    this.#parameters = parameters;
    const { plan } = request;
    const { lanes, rows, workgroupSize } = parameters;
    this.#columns = workgroupSize / lanes;
    this.#steps = plan.innerCount / (lanes * width);
    invariant(Number.isInteger(this.#columns) && Number.isInteger(this.#steps) && rows % lanes === 0, 'lanes must divide the workgroup, the rows and the inner axis');
    invariant(request.split === null && request.checkpoints === null, 'a step is neither split nor saved');
    const builder = this.#builder;
    const lane = (): KernelExpression => remainder(builtin('invocation'), integer(lanes));
    this.#thread = new ScanThread(builder, plan, {
      lanes: 1, innerWidth: width, innerSteps: this.#steps, unroll: true,
      site: (step) => ({ step, coordinates: splitIndex(builder, multiply(add(multiply(step, integer(lanes)), lane()), integer(width)), plan.inner) }),
    }, request.memory);
    this.#cooperative = new RegionValues({ builder, plan, memory: request.memory, lanes: 1, innerWidth: 1, innerSteps: 1 });
    this.#roots = { recurrence: plan.recurrence, values: request.yields.map((each) => each.yielded.value) };
  }

  run(): Kernel {
    const { plan, name, notes } = this.#request;
    const { workgroupSize, lanes, rows } = this.#parameters;
    const builder = this.#builder;
    const own = this.#channelAt('channel', divide(builtin('invocation'), integer(lanes)));
    this.#thread.values.place(withCoordinates(own.coordinates, [['batch', this.#batchOf(integer(0))]]));
    this.#declareShared();
    const shared = this.#channelAt('item_channel', remainder(builtin('invocation'), integer(this.#columns)));
    this.#loadStreams(shared.coordinates);
    const state = this.#loadRows(own.coordinates);
    this.#thread.prepareFixed([this.#roots]);
    this.#prepareItems(shared.coordinates);
    this.#eachItem((item) => {
      this.#beginItem(item, shared.coordinates);
      for (const [id, array] of this.#exported) builder.storeShared(array, item.slot, toReal(this.#cooperative.scalar(id)));
    });
    builder.barrier();
    builder.for('row', { start: integer(0), end: integer(rows), unroll: true }, (row) => this.#updateRow(row, state, own));
    builder.barrier();
    this.#eachItem((item) => this.#finishItem(item, shared));
    return builder.finish({
      name, notes: [...notes, `schedule step: ${this.#columns} channels by ${rows} sequences, ${lanes} threads per channel`],
      workgroupSize, resident: this.#resident(), grid: [Math.ceil(plan.channelCount / this.#columns), ceilDivideSizes('batch', rows), 1],
    });
  }

  /**
   * A step waits for memory. More threads hide more of it, as long as what each has loaded stays in its registers: with
   * more words than the table has, compilers may spend any number of registers, since they would spill a few rather.
   */
  #resident(): number {
    const { plan } = this.#request;
    const { rows, workgroupSize } = this.#parameters;
    const vectors = rows * this.#steps;
    const stagedBytes = [...this.#staged.keys()].reduce((bytes, id) => bytes + storageBytes[this.#memoryOf(id).tensor.storage], 0);
    const words = vectors * width * (plan.recurrence.current.length + stagedBytes / 4);
    const threads = residentThreads.find((each) => words <= each.words)?.threads;
    return threads === undefined ? 1 : Math.max(1, Math.floor(threads / workgroupSize));
  }

  #memoryOf(parameter: ValueId): MemoryReference {
    const { plan, memory } = this.#request;
    return memory(required(plan.op.operands[required(plan.parameters.get(parameter), 'parameter')], 'operand'));
  }

  #nameOf(id: ValueId): string {
    return required(this.#request.plan.names.get(id), 'name');
  }

  #channelAt(name: string, offset: KernelExpression): Place {
    const { plan } = this.#request;
    const builder = this.#builder;
    const index = builder.let(name, add(multiply(builtin('workgroup-x'), integer(this.#columns)), offset));
    const isWhole = plan.channelCount % this.#columns === 0;
    const safe = isWhole ? index : builder.let(`${name}_safe`, minimum(index, integer(plan.channelCount - 1)));
    return { coordinates: new Map(splitIndex(builder, safe, plan.channels)), isValid: isWhole ? null : builder.let(`${name}_valid`, less(index, integer(plan.channelCount))) };
  }

  /** The sequence of a row; rows beyond the last sequence repeat it. */
  #batchOf(row: KernelExpression): KernelExpression {
    const place = add(multiply(builtin('workgroup-y'), integer(this.#parameters.rows)), row);
    return this.#builder.let('b', minimum(place, subtract(this.#builder.uniform('batch', 'batch'), integer(1))));
  }

  #isRow(row: KernelExpression): KernelExpression {
    const place = add(multiply(builtin('workgroup-y'), integer(this.#parameters.rows)), row);
    return this.#builder.let('inside', less(place, this.#builder.uniform('batch', 'batch')));
  }

  #guard(conditions: readonly (KernelExpression | null)[], body: () => void): void {
    const [first, ...rest] = conditions;
    if (first === undefined) body();
    else if (first === null) this.#guard(rest, body);
    else this.#builder.if(first, () => this.#guard(rest, body));
  }

  /** Values that phase B needs once per channel, and sums that it leaves to phase C. */
  #declareShared(): void {
    const { plan } = this.#request;
    const { rows, workgroupSize } = this.#parameters;
    const builder = this.#builder;
    const live = this.#thread.liveFor(this.#roots);
    const seen = new Set<ValueId>();
    const stack = [...rootIds({ ...this.#roots, values: [] }), ...this.#roots.values.filter((id) => hasInnerAxis(plan, id)), ...live.filter((each) => each.op.kind === 'reduce').flatMap((each) => operandsOf(each.op))];
    for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
      if (seen.has(id)) continue;
      seen.add(id);
      const definition = plan.definitions.get(id);
      if (!variesInTime(plan, id)) continue;
      if (!hasInnerAxis(plan, id)) this.#exported.set(id, builder.shared(this.#nameOf(id), f32, rows * this.#columns));
      else if (plan.parameters.has(id) && !hasChannelAxis(plan, id)) this.#staged.set(id, builder.array(`${this.#nameOf(id)}_rows`, withWidth(f32, width), rows * this.#steps));
      else if (definition !== undefined) stack.push(...operandsOf(definition.op));
    }
    for (const each of live) {
      if (each.op.kind !== 'reduce') continue;
      const { id } = required(each.results[0], 'sum');
      this.#sums.set(id, builder.shared(`${this.#nameOf(id)}_partial`, f32, rows * workgroupSize));
    }
  }

  #vector(): { axis: string; width: VectorWidth } {
    return { axis: required(this.#request.plan.inner.at(-1), 'inner axis').name, width };
  }

  #slot(row: KernelExpression, step: KernelExpression): KernelExpression {
    return add(multiply(row, integer(this.#steps)), step);
  }

  /** All loads of states and of what channels share, before anything is computed. */
  #loadRows(channel: Coordinates): readonly RegisterArray[] {
    const { plan, memory } = this.#request;
    const builder = this.#builder;
    const { rows } = this.#parameters;
    const states = plan.recurrence.current.map((value) => builder.array(`${value.name}_rows`, withWidth(f32, width), rows * this.#steps));
    builder.for('row', { start: integer(0), end: integer(rows), unroll: true }, (row) => {
      const at = withCoordinates(channel, [['batch', this.#batchOf(row)], ['time', integer(0)]]);
      this.#thread.eachStep((site) => {
        const here = withCoordinates(at, site.coordinates);
        states.forEach((array, part) => {
          const initial = plan.op.initial?.[part];
          const value = initial === undefined ? literal(0) : loadEarly(loadValue(builder, memory(initial), here, this.#vector()));
          builder.setElement(array, this.#slot(row, site.step), splat(value, width));
        });
        for (const [id, array] of this.#staged) {
          builder.setElement(array, this.#slot(row, site.step), splat(loadEarly(loadValue(builder, this.#memoryOf(id), here, this.#vector())), width));
        }
      });
    });
    return states;
  }

  /** Loads what phases A and C read per row and channel, for both. */
  #loadStreams(channel: Coordinates): void {
    const { plan } = this.#request;
    const builder = this.#builder;
    const { rows, lanes } = this.#parameters;
    const results = this.#roots.values.filter((id) => !hasInnerAxis(plan, id));
    const at = (item: Item | null): Coordinates =>
      withCoordinates(channel, [['batch', item === null ? integer(0) : this.#batchOf(item.row)], ['time', integer(0)]]);
    for (const id of streamsBehind(plan, [...this.#exported.keys(), ...results], new Set())) {
      const { type } = loadValue(builder, this.#memoryOf(id), at(null));
      this.#streams.set(id, builder.array(`${this.#nameOf(id)}_items`, type, rows / lanes));
    }
    if (this.#streams.size === 0) return;
    this.#eachItem((item) => {
      const here = at(item);
      for (const [id, array] of this.#streams) builder.setElement(array, item.pass, loadEarly(loadValue(builder, this.#memoryOf(id), here)));
    });
  }

  /** Computes values of phases A and C that are fixed in time, once. */
  #prepareItems(channel: Coordinates): void {
    const { plan } = this.#request;
    this.#cooperative.place(withCoordinates(channel, [['batch', this.#batchOf(integer(0))]]));
    const used = this.#thread.liveFor(this.#roots).flatMap((each) => operandsOf(each.op));
    for (const id of new Set([...used, ...this.#roots.values])) {
      const isFixed = !variesInTime(plan, id) && !hasInnerAxis(plan, id) && plan.definitions.get(id)?.op.kind !== 'constant';
      if (isFixed) this.#cooperative.scalar(id);
    }
  }

  /** Starts an item of phase A or C; `known` has what comes from elsewhere. */
  #beginItem({ row, pass }: Item, channel: Coordinates, known: (id: ValueId) => KernelExpression | null = () => null): void {
    this.#cooperative.place(withCoordinates(channel, [['batch', this.#batchOf(row)]]));
    this.#cooperative.beginToken(integer(0));
    this.#cooperative.overrideScalars((id) => {
      const stream = this.#streams.get(id);
      return stream === undefined ? known(id) : element(stream, pass);
    });
  }

  /** The rows of a thread's channel in the phases that work once per channel. */
  #eachItem(body: (item: Item) => void): void {
    const { rows, lanes } = this.#parameters;
    const builder = this.#builder;
    const column = remainder(builtin('invocation'), integer(this.#columns));
    builder.for('pass', { start: integer(0), end: integer(rows / lanes), unroll: true }, (pass) => {
      const row = builder.let('row', add(multiply(pass, integer(lanes)), divide(builtin('invocation'), integer(this.#columns))));
      body({ pass, row, column, slot: builder.let('slot', add(multiply(row, integer(this.#columns)), column)), isValid: [this.#isRow(row)] });
    });
  }

  #updateRow(row: KernelExpression, state: readonly RegisterArray[], own: Place): void {
    const { yields, finals } = this.#request;
    const builder = this.#builder;
    const { values } = this.#thread;
    const at = withCoordinates(own.coordinates, [['batch', this.#batchOf(row)], ['time', integer(0)]]);
    const isValid = [this.#isRow(row), own.isValid];
    const column = divide(builtin('invocation'), integer(this.#parameters.lanes));
    values.place(at);
    values.beginToken(integer(0));
    values.overrideScalars((id) => {
      const array = this.#exported.get(id);
      return array === undefined ? null : loadShared(array, add(multiply(row, integer(this.#columns)), column));
    });
    values.overrideInner((id) => {
      const array = this.#staged.get(id);
      return array === undefined ? null : element(array, this.#slot(row, values.step()));
    });
    this.#thread.finishSum = (id, sums) => this.#keepSum(id, sums, row);
    const store: StateStore = {
      read: (part, _lane, step) => element(required(state[part], 'state'), this.#slot(row, step)),
      write: (part, _lane, step, value) => builder.setElement(required(state[part], 'state'), this.#slot(row, step), splat(value, width)),
    };
    const sinks = yields.filter((each) => hasInnerAxis(this.#request.plan, each.yielded.value)).map((each): InnerSink => ({
      value: each.yielded.value,
      consume: (site, laneValues) => this.#storeInner(each.target, at, site, required(laneValues[0], 'value'), isValid),
    }));
    this.#thread.runToken(this.#roots, store, sinks);
    if (finals === null) return;
    this.#thread.eachStep((site) => finals.forEach((target, part) => this.#storeInner(target, at, site, store.read(part, 0, site.step), isValid)));
  }

  #storeInner(target: YieldTarget['target'], at: Coordinates, site: InnerSite, value: KernelExpression, isValid: readonly (KernelExpression | null)[]): void {
    this.#guard(isValid, () => storeValue(this.#builder, target, withCoordinates(at, site.coordinates), value, this.#vector()));
  }

  #keepSum(id: ValueId, sums: readonly Variable[], row: KernelExpression): void {
    const own = horizontalAdd(variable(required(sums[0], 'sum')));
    const place = add(multiply(row, integer(this.#parameters.workgroupSize)), builtin('invocation'));
    this.#builder.storeShared(required(this.#sums.get(id), 'sum'), place, own);
  }

  #finishItem(item: Item, channel: Place): void {
    const { plan, yields } = this.#request;
    const { lanes, workgroupSize } = this.#parameters;
    const builder = this.#builder;
    this.#beginItem(item, channel.coordinates, (id) => {
      const exported = this.#exported.get(id);
      return exported === undefined ? null : loadShared(exported, item.slot);
    });
    for (const [id, array] of this.#sums) {
      const first = builder.let('first', add(multiply(item.row, integer(workgroupSize)), multiply(item.column, integer(lanes))));
      const parts = Array.from({ length: lanes }, (_, lane) => loadShared(array, add(first, integer(lane))));
      this.#cooperative.setScalar(id, builder.let(this.#nameOf(id), parts.reduce((sum, part) => add(sum, part))));
    }
    const at = withCoordinates(channel.coordinates, [['batch', this.#batchOf(item.row)], ['time', integer(0)]]);
    for (const each of yields.filter((one) => !hasInnerAxis(plan, one.yielded.value))) {
      const value = this.#cooperative.scalar(each.yielded.value);
      this.#guard([...item.isValid, channel.isValid], () => storeValue(builder, each.target, at, value, null));
    }
  }
}
