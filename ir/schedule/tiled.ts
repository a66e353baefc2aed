/**
 * The CPU schedule of scans with inner axes: a worker takes blocks of up to 16 channels (a cache line)
 * and tiles of tokens. Per tile, what is per channel is computed with channels side by side and kept
 * for the tile; then one channel after the other walks over the tile's tokens, its states, rates and
 * sums in registers; then per-channel results are formed, channels side by side again. So memory is
 * read in whole lines, whatever the distance of tokens, and no register is spilled in the inner loop.
 *
 * Long state vectors are walked over in pieces of a few registers where a token's states need nothing
 * of each other. Descending scans with a history take checkpoint intervals as tiles: each channel
 * replays the tile's states, keeping them and the decays, then walks back.
 */
import { invariant, required } from '../../support/invariant.ts';
import { productOfSizes, type SizeExpression } from '../../support/size.ts';
import { add, builtin, compose, divide, element, extract, horizontalAdd, integer, KernelBuilder, less, literal, minimum, multiply, remainder, splat, subtract, unary, variable } from '../kernel/builder.ts';
import { f32, withWidth, type Kernel, type KernelExpression, type RegisterArray, type VectorWidth } from '../kernel/nodes.ts';
import { checkpointAxis } from '../tensor/ops.ts';
import type { ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { loadValue, splitIndex, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import { hasChannelAxis, hasInnerAxis, ofCoefficient, variesInTime, type Recurrence } from './region-plan.ts';
import { RegionValues, type InnerSite } from './region-values.ts';
import { ScanThread, type InnerSink, type PassRoots, type StateStore } from './scan-thread.ts';
import { isEqual, storeValue, timeOfVisit, visitRange, type ScanRequest, type YieldTarget } from './scan-request.ts';
import type { SequentialParameters } from './sequential.ts';
import { planTile, type TileValues } from './tile-values.ts';

/** Tokens of a tile where no checkpoints prescribe them. */
const defaultTile = 64;
/** Vectors of state that stay in registers. */
const stateVectors = 4;

/** Whether a scan can take this schedule. */
export function isTileable({ plan, summary }: ScanRequest, parameters: SequentialParameters): boolean {
  return parameters.workgroupSize === 1 && parameters.lanes > 1 && plan.inner.length > 0 && summary === null;
}

/** The kernel of one scan. */
export function emitTiledScan(request: ScanRequest, parameters: SequentialParameters): Kernel {
  return new TiledEmission(request, parameters).run();
}

type Range = { readonly start: KernelExpression; readonly end: KernelExpression };
type Vector = { readonly axis: string; readonly width: VectorWidth } | null;

/** Tile that is being emitted: its first visit and number of tokens. */
type Tile = { readonly begin: KernelExpression; readonly count: KernelExpression };

class TiledEmission {
  readonly #request: ScanRequest;
  readonly #parameters: SequentialParameters;
  readonly #builder = new KernelBuilder();
  readonly #narrow: ScanThread;
  readonly #full: PassRoots;
  readonly #replay: PassRoots | null;
  readonly #values: TileValues;
  readonly #tile: number;
  readonly #blockChannels: number;
  /** inner vectors in all, and those walked over at once */
  readonly #steps: number;
  readonly #pieceSteps: number;
  #start: Coordinates = new Map();
  #channel: KernelExpression = integer(0);
  #isFirstBlock: KernelExpression | null = null;
  /** where the channel and the piece of the states that are being emitted stand */
  #lane: KernelExpression = integer(0);
  #firstStep: KernelExpression = integer(0);

  constructor(request: ScanRequest, parameters: SequentialParameters) {
    this.#request = request;
    this.#parameters = parameters;
    const { plan } = request;
    const { innerWidth, lanes } = parameters;
    this.#steps = plan.innerCount / innerWidth;
    invariant(Number.isInteger(this.#steps), `inner size ${plan.innerCount} is no multiple of ${innerWidth}`);
    this.#full = { recurrence: plan.recurrence, values: request.yields.map((each) => each.yielded.value) };
    this.#pieceSteps = this.#choosePiece();
    this.#narrow = new ScanThread(this.#builder, plan, {
      lanes: 1, innerWidth, innerSteps: this.#pieceSteps, unroll: true, site: (step) => this.#site(add(this.#firstStep, step), step),
    }, request.memory);
    this.#replay = plan.history !== null && this.#readsHistory() ? { recurrence: plan.history, values: [] } : null;
    this.#values = planTile(plan, this.#replay === null ? [this.#full] : [this.#full, this.#replay], (roots) => this.#narrow.liveFor(roots));
    this.#tile = request.checkpoints?.interval ?? (this.#replay === null ? defaultTile : required(plan.op.history, 'history').interval);
    const [most, count] = [parameters.groupChannels, plan.channelCount];
    this.#blockChannels = [4, 2, 1].map((factor) => factor * lanes).find((each) => count % each === 0 && most % each === 0) ?? lanes;
  }

  #choosePiece(): number {
    const { plan } = this.#request;
    if (plan.loopCount > 1) return this.#steps;
    const most = Math.max(1, Math.floor(stateVectors / plan.recurrence.current.length));
    for (let piece = Math.min(most, this.#steps); piece > 1; piece--) if (this.#steps % piece === 0) return piece;
    return 1;
  }

  #readsHistory(): boolean {
    const { history } = this.#request.plan;
    const replayed = new Set([...(history?.previous ?? []), ...(history?.current ?? [])].map((value) => value.id));
    const operands = this.#narrow.liveFor(this.#full).flatMap((each) => operandsOf(each.op));
    return [...operands, ...this.#full.values].some((id) => replayed.has(id));
  }

  run(): Kernel {
    const { plan, split, name, notes } = this.#request;
    const { groupChannels, lanes, innerWidth } = this.#parameters;
    const builder = this.#builder;
    const groups = Math.ceil(plan.channelCount / groupChannels);
    const splits: SizeExpression = split?.count ?? 1;
    const place = builtin('workgroup-x');
    const group = groups === 1 ? integer(0) : builder.let('group', remainder(place, integer(groups)));
    const rest = groups === 1 ? place : builder.let('row', divide(place, integer(groups)));
    const splitCount = builder.uniform('splits', splits);
    const piece = splits === 1 ? null : builder.let('split', remainder(rest, splitCount));
    const batch = splits === 1 ? rest : builder.let('b', divide(rest, splitCount));
    this.#start = new Map([['batch', batch], ['group', group], ...(piece === null ? [] : [['split', piece] as const])]);
    this.#blocks(group, piece);
    const note = `schedule sequential: tiles of ${this.#tile} tokens by ${this.#blockChannels} channels, ${lanes} channels or ${innerWidth} states side by side`;
    return builder.finish({ name, notes: [...notes, note], workgroupSize: 1, grid: [productOfSizes(['batch', splits, groups]), 1, 1] });
  }

  #blocks(group: KernelExpression, piece: KernelExpression | null): void {
    const { plan } = this.#request;
    const { groupChannels } = this.#parameters;
    const blocks = Math.ceil(Math.min(groupChannels, plan.channelCount) / this.#blockChannels);
    const run = (channel: KernelExpression): void => {
      this.#channel = channel;
      this.#block(piece);
    };
    if (blocks === 1) {
      run(this.#builder.let('channel', multiply(group, integer(this.#blockChannels))));
      return;
    }
    this.#builder.for('block', { start: integer(0), end: integer(blocks) }, (block) => {
      this.#isFirstBlock = isEqual(block, integer(0));
      const channel = this.#builder.let('channel', multiply(add(multiply(group, integer(blocks)), block), integer(this.#blockChannels)));
      if (plan.channelCount % groupChannels === 0) run(channel);
      else this.#builder.if(less(channel, integer(plan.channelCount)), () => run(channel));
    });
  }

  #site(absolute: KernelExpression, step: KernelExpression): InnerSite {
    return { step, coordinates: splitIndex(this.#builder, multiply(absolute, integer(this.#parameters.innerWidth)), this.#request.plan.inner) };
  }

  #at(channel: KernelExpression): Coordinates {
    return withCoordinates(this.#start, splitIndex(this.#builder, channel, this.#request.plan.channels));
  }

  #wide(): RegionValues {
    const { plan, memory } = this.#request;
    const { lanes, innerWidth } = this.#parameters;
    return new RegionValues({ builder: this.#builder, plan, memory, lanes, innerWidth, innerSteps: this.#steps });
  }

  get #innerVector(): Vector {
    return { axis: required(this.#request.plan.inner.at(-1), 'inner axis').name, width: this.#parameters.innerWidth };
  }

  get #channelVector(): Vector {
    return { axis: required(this.#request.plan.channels.at(-1), 'channel axis').name, width: this.#parameters.lanes };
  }

  /** Loop over the vectors of channels of a block. */
  #eachVector(body: (vector: KernelExpression) => void): void {
    const count = this.#blockChannels / this.#parameters.lanes;
    if (count === 1) body(integer(0));
    else this.#builder.for('v', { start: integer(0), end: integer(count) }, body);
  }

  /** Loop over the channels of a block and all steps of each; `slot` numbers them. */
  #eachState(body: (slot: KernelExpression, site: InnerSite, at: Coordinates) => void): void {
    const builder = this.#builder;
    builder.for('c', { start: integer(0), end: integer(this.#blockChannels) }, (lane) => {
      const at = this.#at(builder.let('channel', add(this.#channel, lane)));
      builder.for('n', { start: integer(0), end: integer(this.#steps) }, (step) => {
        const site = this.#site(step, step);
        const slot = builder.let('slot', add(multiply(lane, integer(this.#steps)), step));
        body(slot, site, withCoordinates(at, site.coordinates));
      });
    });
  }

  #block(piece: KernelExpression | null): void {
    const store = this.#makeStore();
    this.#prepareScalars(store);
    this.#prepareStates(store);
    const range = visitRange(this.#builder, this.#request, piece);
    this.#tiles(range, (tile, chunk) => {
      this.#copyRows(store, tile);
      this.#stage(store, tile);
      this.#walkChannels(store, tile, chunk);
      this.#finishTile(store, tile);
    });
    this.#finishBlock(store);
  }

  /** Memory of a block beside registers. */
  #makeStore(): TileStore {
    const builder = this.#builder;
    const { plan, yields } = this.#request;
    const { lanes, innerWidth } = this.#parameters;
    const [inner, wide] = [withWidth(f32, innerWidth), withWidth(f32, lanes)];
    const nameOf = (id: ValueId): string => required(plan.names.get(id), `name of %${id}`);
    const slots = this.#blockChannels * this.#steps;
    const perChannel = (id: ValueId): number => (hasChannelAxis(plan, id) ? this.#blockChannels : 1);
    const table = (ids: readonly ValueId[], make: (id: ValueId) => RegisterArray): ReadonlyMap<ValueId, RegisterArray> => new Map(ids.map((id) => [id, make(id)]));
    const { staged, stagedPowers, stagedFixed, fixedInner, fixedPowers, fixedScalars, rows, sums } = this.#values;
    return {
      fixedScalars: table(fixedScalars, (id) => builder.array(nameOf(id), hasChannelAxis(plan, id) ? wide : f32, hasChannelAxis(plan, id) ? this.#blockChannels / lanes : 1)),
      staged: table(staged, (id) => builder.array(`${nameOf(id)}_tile`, f32, this.#tile * perChannel(id))),
      stagedPowers: table(stagedPowers, (id) => builder.array('decay_tile', f32, this.#tile * perChannel(id))),
      stagedFixed: table(stagedFixed, (id) => builder.array(`${nameOf(id)}_block`, f32, perChannel(id))),
      fixedInner: table(fixedInner, (id) => builder.array(`${nameOf(id)}_block`, inner, slots)),
      fixedPowers: table(fixedPowers, () => builder.array('decay_block', inner, slots)),
      rows: table(rows, (id) => builder.array(`${nameOf(id)}_rows`, wide, this.#tile * (this.#blockChannels / lanes))),
      sums: table(sums, (id) => builder.array(`${nameOf(id)}_tile`, f32, this.#tile * this.#blockChannels)),
      state: plan.recurrence.current.map((value) => builder.array(`${value.name}_block`, inner, slots)),
      totals: new Map(yields.flatMap((each): [YieldTarget, RegisterArray][] => this.#totalOf(each, nameOf(each.yielded.value), slots))),
      historyTile: this.#makeHistory(inner),
    };
  }

  #isInner(each: YieldTarget): boolean {
    return hasInnerAxis(this.#request.plan, each.yielded.value);
  }

  /** Sums of a yield over tokens (of the block) or over channels (of the tile). */
  #totalOf(each: YieldTarget, name: string, slots: number): [YieldTarget, RegisterArray][] {
    const { lanes, innerWidth } = this.#parameters;
    const make = (width: VectorWidth, length: number): [YieldTarget, RegisterArray][] => [[each, this.#builder.array(`${name}_sum`, withWidth(f32, width), length)]];
    if (!this.#isInner(each)) return each.sumsTime ? make(lanes, this.#blockChannels / lanes) : [];
    if (each.sumsTime) return make(innerWidth, each.sumsChannels ? this.#steps : slots);
    return each.sumsChannels ? make(innerWidth, this.#tile * this.#steps) : [];
  }

  #makeHistory(type: typeof f32): HistoryTile | null {
    if (this.#replay === null) return null;
    const { recurrence } = this.#replay;
    const array = (name: string, tokens: number): RegisterArray => this.#builder.array(name, type, tokens * this.#pieceSteps);
    const { coefficient } = recurrence;
    const kept = ofCoefficient(coefficient).filter((id) => hasInnerAxis(this.#request.plan, id) && variesInTime(this.#request.plan, id));
    return {
      states: recurrence.current.map((value) => array(`${value.name}_history`, this.#tile + 1)),
      transitions: new Map(kept.map((id) => [id, array('decay_history', this.#tile)])),
      isPower: coefficient.kind === 'exponent',
    };
  }

  /** Scalars fixed in time, channels side by side; and one by one for the states' updates. */
  #prepareScalars(store: TileStore): void {
    const builder = this.#builder;
    const { lanes } = this.#parameters;
    if (store.fixedScalars.size === 0) return;
    this.#eachVector((vector) => {
      const first = multiply(vector, integer(lanes));
      const values = this.#wide();
      values.place(this.#at(builder.let('channel', add(this.#channel, first))));
      for (const [id, array] of store.fixedScalars) {
        const value = values.scalar(id);
        const perChannel = array.type.width > 1;
        builder.setElement(array, perChannel ? vector : integer(0), perChannel ? splat(value, lanes) : value);
        const single = store.stagedFixed.get(id);
        if (single !== undefined) this.#spread(single, perChannel ? first : integer(0), value, perChannel);
      }
    });
  }

  /** Stores a value of all lanes to neighbouring elements, or one value. */
  #spread(array: RegisterArray, at: KernelExpression, value: KernelExpression, perChannel: boolean): void {
    if (!perChannel) this.#builder.setElement(array, at, value);
    else for (let lane = 0; lane < this.#parameters.lanes; lane++) this.#builder.setElement(array, add(at, integer(lane)), extract(value, lane));
  }

  /** First states, and what over the inner axes is fixed in time; zero sums. */
  #prepareStates(store: TileStore): void {
    const builder = this.#builder;
    const { innerWidth } = this.#parameters;
    const fixed = new RegionValues({ builder, plan: this.#request.plan, memory: this.#request.memory, lanes: 1, innerWidth, innerSteps: this.#steps });
    this.#eachState((slot, site, at) => {
      fixed.place(at);
      fixed.beginInner(site);
      for (const [id, array] of store.fixedInner) builder.setElement(array, slot, splat(fixed.inner(id, 0), innerWidth));
      for (const [id, array] of store.fixedPowers) builder.setElement(array, slot, splat(fixed.power(id, 0), innerWidth));
      store.state.forEach((array, part) => builder.setElement(array, slot, splat(this.#initialState(part, at), innerWidth)));
      fixed.endInner();
    });
    for (const [each, array] of store.totals) if (each.sumsTime) this.#clear(array, integer(array.length));
  }

  #clear(array: RegisterArray, length: KernelExpression): void {
    this.#builder.for('k', { start: integer(0), end: length }, (index) => this.#builder.setElement(array, index, literal(0, array.type)));
  }

  #initialState(part: number, at: Coordinates): KernelExpression {
    const { plan, carry, memory } = this.#request;
    const initial = plan.op.initial?.[part];
    const reference = carry?.[part] ?? (initial === undefined ? null : memory(initial));
    return reference === null ? literal(0) : loadValue(this.#builder, reference, at, this.#innerVector);
  }

  #tiles(range: Range, body: (tile: Tile, chunk: KernelExpression) => void): void {
    const builder = this.#builder;
    const size = integer(this.#tile);
    const isAscending = this.#request.plan.direction === 'ascending';
    const count = builder.let('tiles', divide(add(subtract(range.end, range.start), subtract(size, integer(1))), size));
    builder.for('tile', { start: integer(0), end: count }, (passed) => {
      const number = isAscending ? passed : builder.let('tile_number', subtract(subtract(count, integer(1)), passed));
      const begin = builder.let('tile_start', add(range.start, multiply(number, size)));
      const tokens = builder.let('tile_length', subtract(minimum(add(begin, size), range.end), begin));
      body({ begin, count: tokens }, builder.let('chunk', divide(begin, size)));
    });
  }

  /** Loop over the tokens of a tile, forward or backward. */
  #eachToken(tile: Tile, order: 'forward' | 'backward', body: (index: KernelExpression, time: KernelExpression) => void): void {
    const builder = this.#builder;
    builder.for('i', { start: integer(0), end: tile.count }, (passed) => {
      const index = order === 'forward' ? passed : builder.let('index', subtract(subtract(tile.count, integer(1)), passed));
      body(index, timeOfVisit(builder, this.#request.plan, order === 'forward' ? add(tile.begin, index) : builder.let('visit', add(tile.begin, index))));
    });
  }

  #readFixedScalars(store: TileStore, vector: KernelExpression): (id: ValueId) => KernelExpression | null {
    return (id) => {
      const array = store.fixedScalars.get(id);
      return array === undefined ? null : element(array, array.type.width > 1 ? vector : integer(0));
    };
  }

  /**
   * Copies the tile's rows of per-channel operands: tokens lie far apart in memory, and a loop that
   * only copies keeps many lines on their way at once.
   */
  #copyRows(store: TileStore, tile: Tile): void {
    const builder = this.#builder;
    const { plan, memory } = this.#request;
    const { lanes } = this.#parameters;
    if (store.rows.size === 0) return;
    builder.comment('the rows of this tile');
    const count = this.#blockChannels / lanes;
    this.#eachToken(tile, 'forward', (index, time) => {
      builder.for('v', { start: integer(0), end: integer(count), unroll: true }, (vector) => {
        const at = withCoordinates(this.#at(builder.let('channel', add(this.#channel, multiply(vector, integer(lanes))))), [['time', time]]);
        for (const [id, array] of store.rows) {
          const operand = required(plan.op.operands[required(plan.parameters.get(id), 'parameter')], 'operand');
          builder.setElement(array, add(multiply(index, integer(count)), vector), splat(loadValue(builder, memory(operand), at, this.#channelVector), lanes));
        }
      });
    });
  }

  #readRow(store: TileStore, index: KernelExpression, vector: KernelExpression): (id: ValueId) => KernelExpression | null {
    return (id) => {
      const array = store.rows.get(id);
      return array === undefined ? null : element(array, add(multiply(index, integer(this.#blockChannels / this.#parameters.lanes)), vector));
    };
  }

  /** Per-channel values of a tile's tokens that the states' updates read. */
  #stage(store: TileStore, tile: Tile): void {
    const builder = this.#builder;
    const { plan } = this.#request;
    const { lanes } = this.#parameters;
    for (const [each, array] of store.totals) if (!each.sumsTime) this.#clear(array, multiply(tile.count, integer(this.#steps)));
    const arrays = [...store.staged].map(([id, array]) => ({ id, array, isPower: false })).concat([...store.stagedPowers].map(([id, array]) => ({ id, array, isPower: true })));
    const sums = this.#pieceSteps < this.#steps ? [...store.sums.values()] : [];
    if (arrays.length === 0 && sums.length === 0) return;
    builder.comment('what is per channel, for the tokens of this tile');
    this.#eachToken(tile, 'forward', (index, time) => this.#eachVector((vector) => {
      const first = multiply(vector, integer(lanes));
      const slot = builder.let('slot', add(multiply(index, integer(this.#blockChannels)), first));
      const values = this.#wide();
      values.place(this.#at(builder.let('channel', add(this.#channel, first))));
      values.beginToken(time);
      const [row, fixed] = [this.#readRow(store, index, vector), this.#readFixedScalars(store, vector)];
      values.overrideScalars((id) => row(id) ?? fixed(id));
      for (const { id, array, isPower } of arrays) {
        const scalar = values.scalar(id);
        const value = isPower ? builder.let('decay', unary('exp2', scalar)) : scalar;
        const perChannel = hasChannelAxis(plan, id);
        this.#spread(array, perChannel ? slot : index, value, perChannel);
      }
      for (const array of sums) this.#spread(array, slot, literal(0, withWidth(f32, lanes)), true);
    }));
  }

  /** One channel after the other over the tile's tokens, states in registers. */
  #walkChannels(store: TileStore, tile: Tile, chunk: KernelExpression): void {
    const builder = this.#builder;
    const { plan } = this.#request;
    builder.comment('one channel after the other over the tokens of this tile');
    builder.for('c', { start: integer(0), end: integer(this.#blockChannels) }, (lane) => {
      this.#lane = lane;
      const at = this.#at(builder.let('channel', add(this.#channel, lane)));
      this.#narrow.values.place(at);
      const pieces = this.#steps / this.#pieceSteps;
      const body = (firstStep: KernelExpression): void => {
        this.#firstStep = firstStep;
        const registers = this.#openRegisters(store, at, chunk);
        if (plan.direction === 'ascending') this.#eachToken(tile, 'forward', (index, time) => this.#token(store, registers, index, time));
        else this.#walkBack(store, registers, tile, { at, chunk });
        this.#closeRegisters(store, registers);
      };
      if (pieces === 1) body(integer(0));
      else builder.for('piece', { start: integer(0), end: integer(pieces) }, (each) => body(builder.let('first', multiply(each, integer(this.#pieceSteps)))));
    });
  }

  #slot(step: KernelExpression): KernelExpression {
    return add(add(multiply(this.#lane, integer(this.#steps)), this.#firstStep), step);
  }

  /** States, fixed values and running sums of the channel, from the block's memory into registers. */
  #openRegisters(store: TileStore, at: Coordinates, chunk: KernelExpression): Registers {
    const builder = this.#builder;
    const { checkpoints, plan } = this.#request;
    const inner = withWidth(f32, this.#parameters.innerWidth);
    const local = (name: string): RegisterArray => builder.array(name, inner, this.#pieceSteps);
    const registers: Registers = {
      state: plan.recurrence.current.map((value) => local(value.name)),
      fixedInner: new Map([...store.fixedInner].map(([id, array]) => [id, local(array.name.replace(/_block$/, ''))])),
      fixedPowers: new Map([...store.fixedPowers].map(([id]) => [id, local('decay')])),
      fixedScalars: new Map([...store.stagedFixed].map(([id, array]) =>
        [id, builder.let(required(plan.names.get(id), 'name'), element(array, hasChannelAxis(plan, id) ? this.#lane : integer(0)))])),
      totals: new Map([...store.totals].filter(([each]) => this.#isInner(each) && each.sumsTime).map(([each, array]) => [each, local(array.name)])),
    };
    this.#narrow.eachStep((site) => {
      const slot = this.#slot(site.step);
      registers.state.forEach((array, part) => builder.setElement(array, site.step, element(required(store.state[part], 'state'), slot)));
      registers.fixedInner.forEach((array, id) => builder.setElement(array, site.step, element(required(store.fixedInner.get(id), 'fixed'), slot)));
      registers.fixedPowers.forEach((array, id) => builder.setElement(array, site.step, element(required(store.fixedPowers.get(id), 'power'), slot)));
      registers.totals.forEach((array, each) => builder.setElement(array, site.step, element(required(store.totals.get(each), 'sum'), this.#totalSlot(each, site.step))));
      checkpoints?.targets.forEach((target, part) => storeValue(builder, target,
        withCoordinates(at, [...site.coordinates, [checkpointAxis(checkpoints.interval), chunk]]), element(required(registers.state[part], 'state'), site.step), this.#innerVector));
    });
    return registers;
  }

  #totalSlot(each: YieldTarget, step: KernelExpression): KernelExpression {
    return each.sumsChannels ? add(this.#firstStep, step) : this.#slot(step);
  }

  #closeRegisters(store: TileStore, registers: Registers): void {
    const builder = this.#builder;
    this.#narrow.eachStep((site) => {
      registers.state.forEach((array, part) => builder.setElement(required(store.state[part], 'state'), this.#slot(site.step), element(array, site.step)));
      registers.totals.forEach((array, each) => builder.setElement(required(store.totals.get(each), 'sum'), this.#totalSlot(each, site.step), element(array, site.step)));
    });
  }

  #stateStore(registers: Registers): StateStore {
    const at = (part: number): RegisterArray => required(registers.state[part], 'state');
    return {
      read: (part, _lane, step) => element(at(part), step),
      write: (part, _lane, step, value) => this.#builder.setElement(at(part), step, splat(value, this.#parameters.innerWidth)),
    };
  }

  /** Points the narrow thread's values at registers and at what was staged for the token. */
  #beginToken(store: TileStore, registers: Registers, index: KernelExpression, time: KernelExpression): void {
    const { plan } = this.#request;
    const { values } = this.#narrow;
    values.beginToken(time);
    const slotOf = (id: ValueId): KernelExpression => (hasChannelAxis(plan, id) ? add(multiply(index, integer(this.#blockChannels)), this.#lane) : index);
    values.overrideScalars((id) => {
      const staged = store.staged.get(id);
      if (staged !== undefined) return element(staged, slotOf(id));
      return registers.fixedScalars.get(id) ?? null;
    });
    values.readStates((id) => {
      const fixed = registers.fixedInner.get(id);
      return fixed === undefined ? null : element(fixed, values.step());
    });
    values.readPowers((id) => {
      const staged = store.stagedPowers.get(id);
      if (staged !== undefined) return element(staged, slotOf(id));
      const fixed = registers.fixedPowers.get(id);
      return fixed === undefined ? null : element(fixed, values.step());
    });
  }

  #token(store: TileStore, registers: Registers, index: KernelExpression, time: KernelExpression): void {
    this.#beginToken(store, registers, index, time);
    this.#runFull(store, registers, index, time);
  }

  #runFull(store: TileStore, registers: Registers, index: KernelExpression, time: KernelExpression): void {
    const builder = this.#builder;
    const { values } = this.#narrow;
    this.#narrow.finishSum = (id, sums) => {
      const total = builder.let(required(this.#request.plan.names.get(id), 'name'), horizontalAdd(variable(required(sums[0], 'sum'))));
      values.setScalar(id, total);
      const array = store.sums.get(id);
      if (array === undefined) return;
      const slot = add(multiply(index, integer(this.#blockChannels)), this.#lane);
      builder.setElement(array, slot, this.#pieceSteps < this.#steps ? add(element(array, slot), total) : total);
    };
    const sinks = this.#request.yields.filter((each) => this.#isInner(each)).map((each): InnerSink => ({
      value: each.yielded.value,
      consume: (site, [value]) => this.#consumeInner({ store, registers, each, site, index, time }, required(value, 'lane')),
    }));
    this.#narrow.runToken(this.#full, this.#stateStore(registers), sinks);
  }

  #consumeInner({ store, registers, each, site, index, time }: InnerYield, given: KernelExpression): void {
    const builder = this.#builder;
    const value = splat(given, this.#parameters.innerWidth);
    const inRegister = registers.totals.get(each);
    if (inRegister !== undefined) {
      builder.setElement(inRegister, site.step, add(element(inRegister, site.step), value));
      return;
    }
    const total = store.totals.get(each);
    if (total !== undefined) {
      const slot = add(multiply(index, integer(this.#steps)), add(this.#firstStep, site.step));
      builder.setElement(total, slot, add(element(total, slot), value));
      return;
    }
    const at = this.#at(builder.let('channel', add(this.#channel, this.#lane)));
    storeValue(builder, each.target, withCoordinates(at, [...site.coordinates, ['time', time]]), value, this.#innerVector);
  }

  /** Replays a channel's forward states over the tile, then walks back. */
  #walkBack(store: TileStore, registers: Registers, tile: Tile, { at, chunk }: { at: Coordinates; chunk: KernelExpression }): void {
    const history = store.historyTile;
    if (history === null) {
      this.#eachToken(tile, 'backward', (index, time) => this.#token(store, registers, index, time));
      return;
    }
    const replay = required(this.#replay, 'replay');
    this.#replayTile(store, registers, tile, { at, chunk }, history, replay);
    const known = new Map<ValueId, KernelExpression>();
    this.#eachToken(tile, 'backward', (index, time) => {
      known.clear();
      this.#beginToken(store, registers, index, time);
      this.#readHistory(history, replay.recurrence, registers, index);
      this.#runFull(store, registers, index, time);
    });
  }

  #replayTile(store: TileStore, registers: Registers, tile: Tile, { at, chunk }: { at: Coordinates; chunk: KernelExpression }, history: HistoryTile, replay: PassRoots): void {
    const builder = this.#builder;
    const { innerWidth } = this.#parameters;
    const { checkpoints, interval } = required(this.#request.plan.op.history, 'history');
    const { values } = this.#narrow;
    builder.comment('replay the forward states of this tile from its checkpoint');
    const running = replay.recurrence.current.map((value) => builder.array(value.name, withWidth(f32, innerWidth), this.#pieceSteps));
    const keep = (part: number, tokens: KernelExpression, step: KernelExpression, value: KernelExpression): void =>
      builder.setElement(required(history.states[part], 'history'), this.#historySlot(tokens, step), value);
    this.#narrow.eachStep((site) => checkpoints.forEach((id, part) => {
      const from = withCoordinates(at, [...site.coordinates, [checkpointAxis(interval), chunk]]);
      const value = builder.let('checkpoint', splat(loadValue(builder, this.#request.memory(id), from, this.#innerVector), innerWidth));
      builder.setElement(required(running[part], 'state'), site.step, value);
      keep(part, integer(0), site.step, value);
    }));
    this.#eachToken(tile, 'forward', (index, time) => {
      this.#beginToken(store, registers, index, time);
      const state: StateStore = {
        read: (part, _lane, step) => element(required(running[part], 'state'), step),
        write: (part, _lane, step, value) => {
          const bound = builder.let('replayed', splat(value, innerWidth));
          builder.setElement(required(running[part], 'state'), step, bound);
          keep(part, add(index, integer(1)), step, bound);
          if (part === 0) this.#keepTransitions(history, index);
        },
      };
      this.#narrow.runToken(replay, state, []);
      void values;
    });
    builder.comment('walk back over the tile');
  }

  #historySlot(tokens: KernelExpression, step: KernelExpression): KernelExpression {
    return add(multiply(tokens, integer(this.#pieceSteps)), step);
  }

  /** Keeps the transitions of a replayed token for the way back. */
  #keepTransitions(history: HistoryTile, index: KernelExpression): void {
    const { values } = this.#narrow;
    for (const [id, array] of history.transitions) {
      const value = history.isPower ? values.power(id, 0) : values.inner(id, 0);
      this.#builder.setElement(array, this.#historySlot(index, values.step()), splat(value, this.#parameters.innerWidth));
    }
  }

  #readHistory(history: HistoryTile, recurrence: Recurrence, registers: Registers, index: KernelExpression): void {
    const { values } = this.#narrow;
    const transition = (id: ValueId): KernelExpression | null => {
      const kept = history.transitions.get(id);
      return kept === undefined ? null : element(kept, this.#historySlot(index, values.step()));
    };
    const state = (id: ValueId): KernelExpression | null => {
      const before = recurrence.previous.findIndex((value) => value.id === id);
      const after = recurrence.current.findIndex((value) => value.id === id);
      const part = before >= 0 ? before : after;
      const tokens = before >= 0 ? index : add(index, integer(1));
      return part < 0 ? null : element(required(history.states[part], 'history'), this.#historySlot(tokens, values.step()));
    };
    const fixed = (id: ValueId): KernelExpression | null => {
      const array = registers.fixedInner.get(id);
      return array === undefined ? null : element(array, values.step());
    };
    values.readStates((id) => state(id) ?? (history.isPower ? null : transition(id)) ?? fixed(id));
    if (history.isPower && history.transitions.size > 0) values.readPowers(transition);
  }

  /** Per-channel results of the tile, and its sums over channels. */
  #finishTile(store: TileStore, tile: Tile): void {
    const builder = this.#builder;
    const { yields } = this.#request;
    const outer = yields.filter((each) => !this.#isInner(each));
    if (outer.length > 0) {
      builder.comment('what is per channel, from the sums over states');
      this.#eachToken(tile, 'forward', (index, time) => this.#finishToken(store, outer, index, time));
    }
    const shared = [...store.totals].filter(([each]) => this.#isInner(each) && !each.sumsTime);
    if (shared.length === 0) return;
    this.#eachToken(tile, 'forward', (index, time) => {
      builder.for('n', { start: integer(0), end: integer(this.#steps) }, (step) => {
        const site = this.#site(step, step);
        for (const [each, array] of shared) {
          const at = withCoordinates(this.#start, [...site.coordinates, ['time', time]]);
          this.#storeShared(each.target, at, element(array, add(multiply(index, integer(this.#steps)), step)), this.#innerVector);
        }
      });
    });
  }

  #finishToken(store: TileStore, outer: readonly YieldTarget[], index: KernelExpression, time: KernelExpression): void {
    const builder = this.#builder;
    const { lanes } = this.#parameters;
    const crossing = outer.filter((each) => each.sumsChannels && !each.sumsTime);
    const totals = crossing.map((each) => builder.var(`${required(this.#request.plan.names.get(each.yielded.value), 'name')}_total`, literal(0, withWidth(f32, lanes))));
    this.#eachVector((vector) => {
      const first = multiply(vector, integer(lanes));
      const slot = builder.let('slot', add(multiply(index, integer(this.#blockChannels)), first));
      const values = this.#wide();
      const at = this.#at(builder.let('channel', add(this.#channel, first)));
      values.place(at);
      values.beginToken(time);
      values.overrideScalars((id) => this.#readTile(store, id, { index, slot, vector }));
      for (const each of outer) {
        const value = splat(values.scalar(each.yielded.value), lanes);
        const sum = store.totals.get(each);
        const total = totals[crossing.indexOf(each)];
        if (sum !== undefined) builder.setElement(sum, vector, add(element(sum, vector), value));
        else if (total !== undefined) builder.assign(total, add(variable(total), value));
        else storeValue(builder, each.target, withCoordinates(at, [['time', time]]), value, this.#channelVector);
      }
    });
    crossing.forEach((each, at) => {
      const total = horizontalAdd(variable(required(totals[at], 'total')));
      this.#storeShared(each.target, withCoordinates(this.#start, [['time', time]]), total, null);
    });
  }

  /** What a tile keeps of a value, channels side by side. */
  #readTile(store: TileStore, id: ValueId, { index, slot, vector }: { index: KernelExpression; slot: KernelExpression; vector: KernelExpression }): KernelExpression | null {
    const { lanes } = this.#parameters;
    const row = this.#readRow(store, index, vector)(id);
    if (row !== null) return row;
    const array = store.sums.get(id) ?? store.staged.get(id);
    if (array === undefined) return this.#readFixedScalars(store, vector)(id);
    if (array.length === this.#tile) return element(array, index);
    return compose(Array.from({ length: lanes }, (_, lane) => element(array, add(slot, integer(lane)))));
  }

  /** Sums over all tokens, and final states. */
  #finishBlock(store: TileStore): void {
    const builder = this.#builder;
    const { finals } = this.#request;
    const summed = [...store.totals].filter(([each]) => each.sumsTime);
    const ofChannels = summed.filter(([each]) => this.#isInner(each) && !each.sumsChannels);
    if (finals !== null || ofChannels.length > 0) {
      this.#eachState((slot, _site, at) => {
        finals?.forEach((target, part) => storeValue(builder, target, at, element(required(store.state[part], 'state'), slot), this.#innerVector));
        for (const [each, array] of ofChannels) storeValue(builder, each.target, at, element(array, slot), this.#innerVector);
      });
    }
    for (const [each, array] of summed.filter(([one]) => this.#isInner(one) && one.sumsChannels)) {
      builder.for('n', { start: integer(0), end: integer(this.#steps) }, (step) =>
        this.#storeShared(each.target, withCoordinates(this.#start, this.#site(step, step).coordinates), element(array, step), this.#innerVector));
    }
    for (const [each, array] of summed.filter(([one]) => !this.#isInner(one))) this.#finishScalar(each, array);
  }

  #finishScalar(each: YieldTarget, array: RegisterArray): void {
    const builder = this.#builder;
    if (!each.sumsChannels) {
      this.#eachVector((vector) => {
        const at = this.#at(builder.let('channel', add(this.#channel, multiply(vector, integer(this.#parameters.lanes)))));
        storeValue(builder, each.target, at, element(array, vector), this.#channelVector);
      });
      return;
    }
    const total = builder.var('total', literal(0, array.type));
    this.#eachVector((vector) => builder.assign(total, add(variable(total), element(array, vector))));
    this.#storeShared(each.target, this.#start, horizontalAdd(variable(total)), null);
  }

  /** Adds to what earlier blocks of this workgroup wrote; the first one overwrites. */
  #storeShared(target: MemoryReference, at: Coordinates, value: KernelExpression, vector: Vector): void {
    const bound = this.#builder.let('sum', value);
    if (this.#isFirstBlock === null) {
      storeValue(this.#builder, target, at, bound, vector);
      return;
    }
    this.#builder.if(
      this.#isFirstBlock,
      () => storeValue(this.#builder, target, at, bound, vector, 'initialise'),
      () => storeValue(this.#builder, target, at, bound, vector, 'accumulate'),
    );
  }
}

type InnerYield = {
  readonly store: TileStore;
  readonly registers: Registers;
  readonly each: YieldTarget;
  readonly site: InnerSite;
  readonly index: KernelExpression;
  readonly time: KernelExpression;
};

type HistoryTile = {
  /** states before each token of the tile, and the last one, by part */
  readonly states: readonly RegisterArray[];
  readonly transitions: ReadonlyMap<ValueId, RegisterArray>;
  /** the transitions are powers of exponents */
  readonly isPower: boolean;
};

/** A block's values in memory: per tile (token × channel) or per block (channel, or channel × state). */
type TileStore = {
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
type Registers = {
  readonly state: readonly RegisterArray[];
  readonly fixedInner: ReadonlyMap<ValueId, RegisterArray>;
  readonly fixedPowers: ReadonlyMap<ValueId, RegisterArray>;
  readonly fixedScalars: ReadonlyMap<ValueId, KernelExpression>;
  readonly totals: ReadonlyMap<YieldTarget, RegisterArray>;
};
