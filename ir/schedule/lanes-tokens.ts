/**
 * The tokens of a tile in schedule `lanes`: the loop over them, and what a thread reads of shared
 * memory at each. Whole tiles go in blocks of neighbouring tokens: their shared values come by vector
 * loads, and transitions and drives, which no state waits for, are computed for the whole block before
 * the states advance, so that a thread has independent work while it waits for memory and exponentials.
 */
import { required } from '../../support/invariant.ts';
import { add, builtin, compose, divide, element, extract, integer, less, loadShared, multiply, remainder, subtract, type KernelBuilder } from '../kernel/builder.ts';
import { f32, type KernelExpression, type RegisterArray, type SharedArray, type VectorWidth } from '../kernel/nodes.ts';
import type { ValueId } from '../tensor/ops.ts';
import { vectorFor, type LanesFrame, type Tile } from './lanes-frame.ts';
import { sharedValuesOf, type SharedValues } from './lanes-parameters.ts';
import { hasChannelAxis, hasInnerAxis, ofCoefficient, variesInTime, type Recurrence } from './region-plan.ts';
import { timeOfVisit } from './scan-request.ts';
import type { PassRoots, ScanThread } from './scan-thread.ts';

export type LanesTokensRequest = {
  readonly frame: LanesFrame;
  readonly thread: ScanThread;
  /** per-channel values of the tile, by value */
  readonly exported: ReadonlyMap<ValueId, SharedArray>;
  /** values that all channels share, by value */
  readonly staged: ReadonlyMap<ValueId, SharedArray>;
};

export type TokenPass = {
  readonly roots: PassRoots;
  readonly isAscending: boolean;
  /** states of the tile's tokens are kept in registers, so partial tiles are written out too, with guards */
  readonly isGuarded: boolean;
  /** independent work for between a block's loads and its states' advance, in whole tiles; blocks are counted in visiting order */
  readonly meanwhile?: Meanwhile;
};

/** Work beside a block of tokens, given its number and how many there are. */
export type Meanwhile = (block: KernelExpression, blocks: number) => void;

/** A token: its place in the tile, and the start of its computation, which gives shared values to the thread. */
export type Token = { readonly index: KernelExpression; readonly begin: (time: KernelExpression) => void };

/** Values of a block of tokens in registers, token by token; `offset` is that of the token at hand. */
type Block = {
  readonly exports: ReadonlyMap<ValueId, ByChannel>;
  readonly rows: ReadonlyMap<ValueId, RegisterArray>;
  readonly powers: ReadonlyMap<ValueId, ByChannel>;
  readonly values: ReadonlyMap<ValueId, ByChannel>;
};

/** One array per channel of the thread; of values that channels share, all are the same. */
type ByChannel = readonly RegisterArray[];

function setElements(builder: KernelBuilder, array: RegisterArray, first: KernelExpression, value: KernelExpression): void {
  const { width } = value.type;
  const whole = width === 1 ? value : builder.let('neighbours', value);
  for (let lane = 0; lane < width; lane++) builder.setElement(array, add(first, integer(lane)), width === 1 ? whole : extract(whole, lane));
}

/** Inner values that the states of a recurrence wait for, but which wait for no state. */
function independent(plan: LanesFrame['plan'], recurrence: Recurrence): { powers: readonly ValueId[]; values: readonly ValueId[] } {
  const isAhead = (id: ValueId): boolean => variesInTime(plan, id) && hasInnerAxis(plan, id) && plan.levels.get(id) === 0 && !plan.parameters.has(id);
  const { coefficient, drive } = recurrence;
  const powers = coefficient.kind === 'exponent' ? ofCoefficient(coefficient).filter((id) => variesInTime(plan, id) && plan.levels.get(id) === 0) : [];
  const parts = coefficient.kind === 'exponent' ? [] : ofCoefficient(coefficient);
  return { powers, values: [...new Set([...parts, ...drive])].filter(isAhead) };
}

/** Values of a thread's channels as one value. */
function asVector(lanes: readonly KernelExpression[]): KernelExpression {
  return lanes.length === 1 ? required(lanes[0], 'lane') : compose(lanes);
}

export class LanesTokens {
  readonly #request: LanesTokensRequest;
  readonly #sharedBy = new Map<PassRoots, SharedValues>();

  constructor(request: LanesTokensRequest) {
    this.#request = request;
  }

  /** What a pass reads of shared memory. */
  #sharedOf(roots: PassRoots): SharedValues {
    const known = this.#sharedBy.get(roots) ?? sharedValuesOf(this.#request.frame.plan, [roots.recurrence], roots.values);
    this.#sharedBy.set(roots, known);
    return known;
  }

  /** Tokens whose exported values lie side by side. */
  #width(): VectorWidth {
    return vectorFor(this.#request.frame.rows);
  }

  /** Place of a token and channel among exported values: neighbours in time lie side by side, as many as a thread has rows (at most four). */
  exportPlace(slot: KernelExpression, index: KernelExpression, local: KernelExpression): KernelExpression {
    const width = this.#width();
    const { channelsPerGroup } = this.#request.frame;
    const block = add(multiply(divide(index, integer(width)), integer(channelsPerGroup)), local);
    return add(multiply(slot, integer(channelsPerGroup)), add(multiply(block, integer(width)), remainder(index, integer(width))));
  }

  #channelLocal(): KernelExpression {
    const { lanes, channels } = this.#request.frame.parameters;
    return multiply(divide(builtin('invocation'), integer(lanes)), integer(channels));
  }

  /** Runs the tokens of a tile in the pass's order. */
  over(tile: Tile, pass: TokenPass, body: (token: Token) => void): void {
    const { builder, parameters } = this.#request.frame;
    const { tile: tokens, channelSums } = parameters;
    const unroll = channelSums !== 'shared';
    const ordered = (step: KernelExpression, count: KernelExpression): KernelExpression =>
      pass.isAscending ? step : subtract(subtract(count, integer(1)), step);
    const single = (index: KernelExpression): void => body({ index, begin: (time) => this.#begin(pass.roots, { time, at: index, slot: tile.slot }, null) });
    if (tile.isWhole && unroll) {
      const width = this.#width();
      builder.for('block', { start: integer(0), end: integer(tokens / width), unroll }, (step) => {
        const first = builder.let('first_token', multiply(ordered(step, integer(tokens / width)), integer(width)));
        const block = this.#makeBlock(pass.roots, first, tile);
        pass.meanwhile?.(step, tokens / width);
        builder.for('step', { start: integer(0), end: integer(width), unroll }, (inside) => {
          const offset = builder.let('offset', ordered(inside, integer(width)));
          body({ index: builder.let('index', add(first, offset)), begin: (time) => this.#begin(pass.roots, { time, at: offset, slot: tile.slot }, block) });
        });
      });
    } else if (tile.isWhole || !pass.isGuarded) {
      builder.for('step', { start: integer(0), end: tile.count, unroll: false }, (step) => single(builder.let('index', ordered(step, tile.count))));
    } else {
      builder.for('step', { start: integer(0), end: integer(tokens), unroll }, (step) => {
        const index = builder.let('index', ordered(step, integer(tokens)));
        builder.if(less(index, tile.count), () => single(index));
      });
    }
  }

  /** Loads a block's shared values, and computes what no state of it waits for. */
  #makeBlock(roots: PassRoots, first: KernelExpression, tile: Tile): Block {
    const { frame: { builder, plan, steps }, thread: { values }, thread } = this.#request;
    const width = this.#width();
    const shared = this.#sharedOf(roots);
    const loaded: Block = { exports: this.#loadExports(shared.exports, first, tile), rows: new Map(), powers: new Map(), values: new Map() };
    const named = (id: ValueId, length: number): RegisterArray => builder.array(required(plan.names.get(id), 'name'), f32, length);
    const rows = new Map(shared.staged.map((id) => [id, named(id, width * steps)]));
    builder.for('offset', { start: integer(0), end: integer(width), unroll: true }, (offset) => {
      for (const [id, array] of rows) this.#loadStaged(id, array, { slot: tile.slot, index: add(first, offset), place: multiply(offset, integer(steps)) });
    });
    const ahead = independent(plan, roots.recurrence);
    if (ahead.powers.length + ahead.values.length === 0) return { ...loaded, rows };
    const powers = new Map(ahead.powers.map((id) => [id, this.#byChannel(id, 'decay', width * steps)]));
    const drives = new Map(ahead.values.map((id) => [id, this.#byChannel(id, required(plan.names.get(id), 'name'), width * steps)]));
    builder.for('offset', { start: integer(0), end: integer(width), unroll: true }, (offset) => {
      const time = timeOfVisit(builder, plan, builder.let('visit', add(tile.base, add(first, offset))));
      this.#begin(roots, { time, at: offset, slot: tile.slot }, { ...loaded, rows });
      thread.eachStep((site) => {
        values.beginInner(site);
        const place = builder.let('place', add(multiply(offset, integer(steps)), site.step));
        for (const [id, arrays] of powers) [...new Set(arrays)].forEach((array, lane) => builder.setElement(array, place, values.power(id, lane)));
        for (const [id, arrays] of drives) [...new Set(arrays)].forEach((array, lane) => builder.setElement(array, place, values.inner(id, lane)));
        values.endInner();
      });
    });
    return { ...loaded, rows, powers, values: drives };
  }

  /** Arrays of a value of the inner loop, one per channel if it differs between channels. */
  #byChannel(id: ValueId, name: string, length: number): ByChannel {
    const { frame: { builder, plan, parameters } } = this.#request;
    const distinct = Array.from({ length: hasChannelAxis(plan, id) ? parameters.channels : 1 }, () => builder.array(name, f32, length));
    return Array.from({ length: parameters.channels }, (_, lane) => required(distinct[lane] ?? distinct[0], 'array'));
  }

  /** Exported values of the tokens from `first` on, as many as lie side by side. */
  #loadExports(ids: readonly ValueId[], first: KernelExpression, { slot }: Tile): ReadonlyMap<ValueId, ByChannel> {
    const { frame: { builder, plan, parameters }, exported } = this.#request;
    const width = this.#width();
    const places = Array.from({ length: parameters.channels }, (_, lane) =>
      builder.let('place', this.exportPlace(slot, first, add(this.#channelLocal(), integer(lane)))));
    return new Map(ids.map((id) => [id, places.map((place) => {
      const array = builder.array(required(plan.names.get(id), 'name'), f32, width);
      setElements(builder, array, integer(0), loadShared(required(exported.get(id), 'export'), place, width));
      return array;
    })]));
  }

  /** This lane's values of a token's staged row, by vector loads where they divide, to `place` in registers. */
  #loadStaged(id: ValueId, into: RegisterArray, { slot, index, place }: { slot: KernelExpression; index: KernelExpression; place: KernelExpression }): void {
    const { frame: { builder, plan, parameters, steps }, staged } = this.#request;
    const array = required(staged.get(id), 'staged');
    const width = vectorFor(steps);
    const lane = remainder(builtin('invocation'), integer(parameters.lanes));
    const inTile = add(multiply(index, integer(plan.innerCount)), multiply(lane, integer(steps)));
    const first = builder.let('place', add(multiply(slot, integer(plan.innerCount)), inTile));
    for (let at = 0; at < steps; at += width) {
      setElements(builder, into, add(place, integer(at)), loadShared(array, add(first, integer(at)), width));
    }
  }

  /** Starts a token: scalars and staged values come from shared memory, or from the registers of its block. */
  #begin(roots: PassRoots, { time, at, slot }: { time: KernelExpression; at: KernelExpression; slot: KernelExpression }, block: Block | null): void {
    const { frame: { builder, steps, plan, parameters }, thread: { values }, exported } = this.#request;
    values.beginToken(time);
    values.overrideScalars((id) => {
      const ahead = block?.exports.get(id);
      if (ahead !== undefined) return asVector(ahead.map((array) => element(array, at)));
      const array = exported.get(id);
      if (array === undefined || block !== null) return null;
      return asVector(Array.from({ length: parameters.channels }, (_, lane) => loadShared(array, this.exportPlace(slot, at, add(this.#channelLocal(), integer(lane))))));
    });
    const rows = block?.rows ?? new Map(this.#sharedOf(roots).staged.map((id) => {
      const row = builder.array(required(plan.names.get(id), 'name'), f32, steps);
      this.#loadStaged(id, row, { slot, index: at, place: integer(0) });
      return [id, row] as const;
    }));
    const placed = (): KernelExpression => (block === null ? values.step() : add(multiply(at, integer(steps)), values.step()));
    values.overrideInner((id, lane) => {
      const array = block?.values.get(id)?.[lane] ?? rows.get(id);
      return array === undefined ? null : element(array, placed());
    });
    values.readPowers((id, lane) => {
      const array = block?.powers.get(id)?.[lane];
      return array === undefined ? null : element(array, placed());
    });
  }
}
