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
import { required } from '../../support/invariant.ts';
import { productOfSizes, type SizeExpression } from '../../support/size.ts';
import { add, builtin, compose, divide, element, horizontalAdd, integer, less, literal, minimum, multiply, remainder, splat, subtract, unary, variable } from '../kernel/builder.ts';
import { f32, withWidth, type Kernel, type KernelExpression, type RegisterArray } from '../kernel/nodes.ts';
import type { ValueId } from '../tensor/ops.ts';
import { loadValue, withCoordinates, type Coordinates } from './access.ts';
import { toReal } from './elementwise.ts';
import { hasChannelAxis } from './region-plan.ts';
import { RegionValues } from './region-values.ts';
import { isEqual, storeValue, visitRange, type ScanRequest, type YieldTarget } from './scan-request.ts';
import type { SequentialParameters } from './parameters.ts';
import { TileFrame, type Tile } from './tile-frame.ts';
import { makeStore, type TileStore } from './tile-store.ts';
import { TileWalk } from './tile-walk.ts';

/** Whether a scan can take this schedule. */
export function isTileable({ plan, summary }: ScanRequest, parameters: SequentialParameters): boolean {
  return parameters.workgroupSize === 1 && parameters.lanes > 1 && plan.inner.length > 0 && summary === null;
}

/** The kernel of one scan. */
export function emitTiledScan(request: ScanRequest, parameters: SequentialParameters): Kernel {
  return new TiledEmission(request, parameters).run();
}

type Range = { readonly start: KernelExpression; readonly end: KernelExpression };

class TiledEmission {
  readonly #frame: TileFrame;
  readonly #walk: TileWalk;

  constructor(request: ScanRequest, parameters: SequentialParameters) {
    this.#frame = new TileFrame(request, parameters);
    this.#walk = new TileWalk(this.#frame);
  }

  run(): Kernel {
    const { plan, split, name, notes } = this.#frame.request;
    const { groupChannels, lanes, innerWidth } = this.#frame.parameters;
    const builder = this.#frame.builder;
    const groups = Math.ceil(plan.channelCount / groupChannels);
    const splits: SizeExpression = split?.count ?? 1;
    const place = builtin('workgroup-x');
    const group = groups === 1 ? integer(0) : builder.let('group', remainder(place, integer(groups)));
    const rest = groups === 1 ? place : builder.let('row', divide(place, integer(groups)));
    const splitCount = builder.uniform('splits', splits);
    const piece = splits === 1 ? null : builder.let('split', remainder(rest, splitCount));
    const batch = splits === 1 ? rest : builder.let('b', divide(rest, splitCount));
    this.#frame.start = new Map([['batch', batch], ['group', group], ...(piece === null ? [] : [['split', piece] as const])]);
    this.#blocks(group, piece);
    const note = `schedule sequential: tiles of ${this.#frame.tile} tokens by ${this.#frame.blockChannels} channels, ${lanes} channels or ${innerWidth} states side by side`;
    return builder.finish({ name, notes: [...notes, note], workgroupSize: 1, grid: [productOfSizes(['batch', splits, groups]), 1, 1] });
  }

  #blocks(group: KernelExpression, piece: KernelExpression | null): void {
    const { plan } = this.#frame.request;
    const { groupChannels } = this.#frame.parameters;
    const blocks = Math.ceil(Math.min(groupChannels, plan.channelCount) / this.#frame.blockChannels);
    const run = (channel: KernelExpression): void => {
      this.#frame.channel = channel;
      this.#block(piece);
    };
    if (blocks === 1) {
      run(this.#frame.builder.let('channel', multiply(group, integer(this.#frame.blockChannels))));
      return;
    }
    this.#frame.builder.for('block', { start: integer(0), end: integer(blocks) }, (block) => {
      this.#frame.isFirstBlock = isEqual(block, integer(0));
      const channel = this.#frame.builder.let('channel', multiply(add(multiply(group, integer(blocks)), block), integer(this.#frame.blockChannels)));
      if (plan.channelCount % groupChannels === 0) run(channel);
      else this.#frame.builder.if(less(channel, integer(plan.channelCount)), () => run(channel));
    });
  }

  #block(piece: KernelExpression | null): void {
    const store = makeStore(this.#frame);
    this.#prepareScalars(store);
    this.#prepareStates(store);
    const range = visitRange(this.#frame.builder, this.#frame.request, piece);
    this.#tiles(range, (tile, chunk) => {
      this.#copyRows(store, tile);
      this.#stage(store, tile);
      this.#walk.walkChannels(store, tile, chunk);
      this.#finishTile(store, tile);
    });
    this.#finishBlock(store);
  }

  /** Scalars fixed in time, channels side by side; and one by one for the states' updates. */
  #prepareScalars(store: TileStore): void {
    const builder = this.#frame.builder;
    const { lanes } = this.#frame.parameters;
    if (store.fixedScalars.size === 0) return;
    this.#frame.eachVector((vector) => {
      const first = multiply(vector, integer(lanes));
      const values = this.#frame.wide();
      values.place(this.#frame.at(builder.let('channel', add(this.#frame.channel, first))));
      for (const [id, array] of store.fixedScalars) {
        const value = toReal(values.scalar(id));
        const perChannel = array.type.width > 1;
        builder.setElement(array, perChannel ? vector : integer(0), perChannel ? splat(value, lanes) : value);
        const single = store.stagedFixed.get(id);
        if (single !== undefined) this.#frame.spread(single, perChannel ? first : integer(0), value, perChannel);
      }
    });
  }

  /** First states, and what over the inner axes is fixed in time; zero sums. */
  #prepareStates(store: TileStore): void {
    const builder = this.#frame.builder;
    const { innerWidth } = this.#frame.parameters;
    const fixed = new RegionValues({ builder, plan: this.#frame.request.plan, memory: this.#frame.request.memory, lanes: 1, innerWidth, innerSteps: this.#frame.steps });
    this.#frame.eachState((slot, site, at) => {
      fixed.place(at);
      fixed.beginInner(site);
      for (const [id, array] of store.fixedInner) builder.setElement(array, slot, splat(toReal(fixed.inner(id, 0)), innerWidth));
      for (const [id, array] of store.fixedPowers) builder.setElement(array, slot, splat(fixed.power(id, 0), innerWidth));
      store.state.forEach((array, part) => builder.setElement(array, slot, splat(this.#initialState(part, at), innerWidth)));
      fixed.endInner();
    });
    for (const [each, array] of store.totals) if (each.sumsTime) this.#frame.clear(array, integer(array.length));
  }

  #initialState(part: number, at: Coordinates): KernelExpression {
    const { plan, carry, memory } = this.#frame.request;
    const initial = plan.op.initial?.[part];
    const reference = carry?.[part] ?? (initial === undefined ? null : memory(initial));
    return reference === null ? literal(0) : loadValue(this.#frame.builder, reference, at, this.#frame.innerVector);
  }

  #tiles(range: Range, body: (tile: Tile, chunk: KernelExpression) => void): void {
    const builder = this.#frame.builder;
    const size = integer(this.#frame.tile);
    const isAscending = this.#frame.request.plan.direction === 'ascending';
    const count = builder.let('tiles', divide(add(subtract(range.end, range.start), subtract(size, integer(1))), size));
    builder.for('tile', { start: integer(0), end: count }, (passed) => {
      const number = isAscending ? passed : builder.let('tile_number', subtract(subtract(count, integer(1)), passed));
      const begin = builder.let('tile_start', add(range.start, multiply(number, size)));
      const tokens = builder.let('tile_length', subtract(minimum(add(begin, size), range.end), begin));
      body({ begin, count: tokens }, builder.let('chunk', divide(begin, size)));
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
    const builder = this.#frame.builder;
    const { plan, memory } = this.#frame.request;
    const { lanes } = this.#frame.parameters;
    if (store.rows.size === 0) return;
    builder.comment('the rows of this tile');
    const count = this.#frame.blockChannels / lanes;
    this.#frame.eachToken(tile, 'forward', (index, time) => {
      builder.for('v', { start: integer(0), end: integer(count), unroll: true }, (vector) => {
        const at = withCoordinates(this.#frame.at(builder.let('channel', add(this.#frame.channel, multiply(vector, integer(lanes))))), [['time', time]]);
        for (const [id, array] of store.rows) {
          const operand = required(plan.op.operands[required(plan.parameters.get(id), 'parameter')], 'operand');
          builder.setElement(array, add(multiply(index, integer(count)), vector), splat(toReal(loadValue(builder, memory(operand), at, this.#frame.channelVector)), lanes));
        }
      });
    });
  }

  #readRow(store: TileStore, index: KernelExpression, vector: KernelExpression): (id: ValueId) => KernelExpression | null {
    return (id) => {
      const array = store.rows.get(id);
      return array === undefined ? null : element(array, add(multiply(index, integer(this.#frame.blockChannels / this.#frame.parameters.lanes)), vector));
    };
  }

  /** Per-channel values of a tile's tokens that the states' updates read. */
  #stage(store: TileStore, tile: Tile): void {
    const builder = this.#frame.builder;
    const { plan } = this.#frame.request;
    const { lanes } = this.#frame.parameters;
    for (const [each, array] of store.totals) if (!each.sumsTime) this.#frame.clear(array, multiply(tile.count, integer(this.#frame.steps)));
    const arrays = [...store.staged].map(([id, array]) => ({ id, array, isPower: false })).concat([...store.stagedPowers].map(([id, array]) => ({ id, array, isPower: true })));
    const sums = this.#frame.pieceSteps < this.#frame.steps ? [...store.sums.values()] : [];
    if (arrays.length === 0 && sums.length === 0) return;
    builder.comment('what is per channel, for the tokens of this tile');
    this.#frame.eachToken(tile, 'forward', (index, time) => this.#frame.eachVector((vector) => {
      const first = multiply(vector, integer(lanes));
      const slot = builder.let('slot', add(multiply(index, integer(this.#frame.blockChannels)), first));
      const values = this.#frame.wide();
      values.place(this.#frame.at(builder.let('channel', add(this.#frame.channel, first))));
      values.beginToken(time);
      const [row, fixed] = [this.#readRow(store, index, vector), this.#readFixedScalars(store, vector)];
      values.overrideScalars((id) => row(id) ?? fixed(id));
      for (const { id, array, isPower } of arrays) {
        const scalar = values.scalar(id);
        const value = isPower ? builder.let('decay', unary('exp2', scalar)) : scalar;
        const perChannel = hasChannelAxis(plan, id);
        this.#frame.spread(array, perChannel ? slot : index, value, perChannel);
      }
      for (const array of sums) this.#frame.spread(array, slot, literal(0, withWidth(f32, lanes)), true);
    }));
  }

  /** Per-channel results of the tile, and its sums over channels. */
  #finishTile(store: TileStore, tile: Tile): void {
    const builder = this.#frame.builder;
    const { yields } = this.#frame.request;
    const outer = yields.filter((each) => !this.#frame.isInner(each));
    if (outer.length > 0) {
      builder.comment('what is per channel, from the sums over states');
      this.#frame.eachToken(tile, 'forward', (index, time) => this.#finishToken(store, outer, index, time));
    }
    const shared = [...store.totals].filter(([each]) => this.#frame.isInner(each) && !each.sumsTime);
    if (shared.length === 0) return;
    this.#frame.eachToken(tile, 'forward', (index, time) => {
      builder.for('n', { start: integer(0), end: integer(this.#frame.steps) }, (step) => {
        const site = this.#frame.site(step, step);
        for (const [each, array] of shared) {
          const at = withCoordinates(this.#frame.start, [...site.coordinates, ['time', time]]);
          this.#frame.storeShared(each.target, at, element(array, add(multiply(index, integer(this.#frame.steps)), step)), this.#frame.innerVector);
        }
      });
    });
  }

  #finishToken(store: TileStore, outer: readonly YieldTarget[], index: KernelExpression, time: KernelExpression): void {
    const builder = this.#frame.builder;
    const { lanes } = this.#frame.parameters;
    const crossing = outer.filter((each) => each.sumsChannels && !each.sumsTime);
    const totals = crossing.map((each) => builder.var(`${required(this.#frame.request.plan.names.get(each.yielded.value), 'name')}_total`, literal(0, withWidth(f32, lanes))));
    this.#frame.eachVector((vector) => {
      const first = multiply(vector, integer(lanes));
      const slot = builder.let('slot', add(multiply(index, integer(this.#frame.blockChannels)), first));
      const values = this.#frame.wide();
      const at = this.#frame.at(builder.let('channel', add(this.#frame.channel, first)));
      values.place(at);
      values.beginToken(time);
      values.overrideScalars((id) => this.#readTile(store, id, { index, slot, vector }));
      for (const each of outer) {
        const value = splat(values.scalar(each.yielded.value), lanes);
        const sum = store.totals.get(each);
        const total = totals[crossing.indexOf(each)];
        if (sum !== undefined) builder.setElement(sum, vector, add(element(sum, vector), value));
        else if (total !== undefined) builder.assign(total, add(variable(total), value));
        else storeValue(builder, each.target, withCoordinates(at, [['time', time]]), value, this.#frame.channelVector);
      }
    });
    crossing.forEach((each, at) => {
      const total = horizontalAdd(variable(required(totals[at], 'total')));
      this.#frame.storeShared(each.target, withCoordinates(this.#frame.start, [['time', time]]), total, null);
    });
  }

  /** What a tile keeps of a value, channels side by side. */
  #readTile(store: TileStore, id: ValueId, { index, slot, vector }: { index: KernelExpression; slot: KernelExpression; vector: KernelExpression }): KernelExpression | null {
    const { lanes } = this.#frame.parameters;
    const row = this.#readRow(store, index, vector)(id);
    if (row !== null) return row;
    const array = store.sums.get(id) ?? store.staged.get(id);
    if (array === undefined) return this.#readFixedScalars(store, vector)(id);
    if (array.length === this.#frame.tile) return element(array, index);
    return compose(Array.from({ length: lanes }, (_, lane) => element(array, add(slot, integer(lane)))));
  }

  /** Sums over all tokens, and final states. */
  #finishBlock(store: TileStore): void {
    const builder = this.#frame.builder;
    const { finals } = this.#frame.request;
    const summed = [...store.totals].filter(([each]) => each.sumsTime);
    const ofChannels = summed.filter(([each]) => this.#frame.isInner(each) && !each.sumsChannels);
    if (finals !== null || ofChannels.length > 0) {
      this.#frame.eachState((slot, _site, at) => {
        finals?.forEach((target, part) => storeValue(builder, target, at, element(required(store.state[part], 'state'), slot), this.#frame.innerVector));
        for (const [each, array] of ofChannels) storeValue(builder, each.target, at, element(array, slot), this.#frame.innerVector);
      });
    }
    for (const [each, array] of summed.filter(([one]) => this.#frame.isInner(one) && one.sumsChannels)) {
      builder.for('n', { start: integer(0), end: integer(this.#frame.steps) }, (step) =>
        this.#frame.storeShared(each.target, withCoordinates(this.#frame.start, this.#frame.site(step, step).coordinates), element(array, step), this.#frame.innerVector));
    }
    for (const [each, array] of summed.filter(([one]) => !this.#frame.isInner(one))) this.#finishScalar(each, array);
  }

  #finishScalar(each: YieldTarget, array: RegisterArray): void {
    const builder = this.#frame.builder;
    if (!each.sumsChannels) {
      this.#frame.eachVector((vector) => {
        const at = this.#frame.at(builder.let('channel', add(this.#frame.channel, multiply(vector, integer(this.#frame.parameters.lanes)))));
        storeValue(builder, each.target, at, element(array, vector), this.#frame.channelVector);
      });
      return;
    }
    const total = builder.var('total', literal(0, array.type));
    this.#frame.eachVector((vector) => builder.assign(total, add(variable(total), element(array, vector))));
    this.#frame.storeShared(each.target, this.#frame.start, horizontalAdd(variable(total)), null);
  }
}
