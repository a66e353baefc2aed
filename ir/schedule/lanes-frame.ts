/**
 * The frame of schedule `lanes`: how a workgroup's invocations are laid over channels, lanes and the
 * rows (tokens) of a tile, and the walk over tiles. Whole tiles run without guards; a shorter one at
 * the end of the range runs guarded, after them (before them where tokens are visited backwards).
 */
import { invariant } from '../../support/invariant.ts';
import {
  add, binary, builtin, divide, integer, less, minimum, multiply, remainder, select, splat, subtract, type KernelBuilder,
} from '../kernel/builder.ts';
import type { KernelExpression, SharedArray, VectorWidth } from '../kernel/nodes.ts';
import { loadValue, splitIndex, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import type { LanesParameters } from './parameters.ts';
import type { RegionPlan } from './region-plan.ts';
import { timeOfVisit, type ScanRequest } from './scan-request.ts';

export type LanesFrame = {
  readonly builder: KernelBuilder;
  readonly request: ScanRequest;
  readonly plan: RegionPlan;
  readonly parameters: LanesParameters;
  readonly channelsPerGroup: number;
  /** states of the inner axis that a thread holds */
  readonly steps: number;
  /** tokens of a tile that a thread takes in the cooperative phases, neighbours in visiting order */
  readonly rows: number;
};

/** A channel of this invocation; `isValid` is null where every channel of the group exists. */
export type Placement = { readonly local: KernelExpression; readonly isValid: KernelExpression | null; readonly coordinates: Coordinates };

export type Range = { readonly start: KernelExpression; readonly end: KernelExpression };

/** Tokens of one step of the walk; a whole tile has exactly as many as the parameters say. */
export type Tile = {
  readonly base: KernelExpression;
  readonly count: KernelExpression;
  readonly isWhole: boolean;
  /** first token of its part of the tables in shared memory, which hold two tiles where phases overlap */
  readonly slot: KernelExpression;
};

/** A token of the tile in a cooperative phase: `pass` counts this thread's tokens. */
export type Row = {
  readonly pass: KernelExpression;
  readonly index: KernelExpression;
  /** the index, or the last one of a partial tile where it is beyond it */
  readonly row: KernelExpression;
  /** null in whole tiles */
  readonly isInside: KernelExpression | null;
  readonly time: KernelExpression;
};

export function makeFrame(builder: KernelBuilder, request: ScanRequest, parameters: LanesParameters): LanesFrame {
  const { plan } = request;
  const channelsPerGroup = channelsPerGroupOf(parameters);
  const steps = plan.innerCount / parameters.lanes;
  const rows = rowsPerThread(parameters);
  invariant([channelsPerGroup, steps, rows].every(Number.isInteger), 'lanes must divide the workgroup, the inner axis and the rows of the tile');
  invariant(cooperatorsOf(parameters) % channelsPerGroup === 0, 'a workgroup has a thread for each of its channels');
  invariant((plan.channels.at(-1)?.size ?? 1) % parameters.channels === 0, 'channels of a thread must divide the last channel axis');
  return { builder, request, plan, parameters, channelsPerGroup, steps, rows };
}

/** Number of threads that do the first and last phases of a tile. */
export function cooperatorsOf({ workgroupSize, helpers }: LanesParameters): number {
  return helpers === 0 ? workgroupSize : helpers;
}

/** Channels that a workgroup takes. */
export function channelsPerGroupOf({ workgroupSize, lanes, channels }: LanesParameters): number {
  return (workgroupSize / lanes) * channels;
}

/** Tokens of a tile that a thread takes in the first and last phases. */
export function rowsPerThread(parameters: LanesParameters): number {
  return (parameters.tile * channelsPerGroupOf(parameters)) / cooperatorsOf(parameters);
}

/** This thread's number among those of the first and last phases; a thread of the recurrence has that of some helper. */
export function cooperator({ parameters: { helpers, workgroupSize } }: LanesFrame): KernelExpression {
  if (helpers === 0) return builtin('invocation');
  const beforeFirst = workgroupSize % helpers;
  return remainder(beforeFirst === 0 ? builtin('invocation') : add(builtin('invocation'), integer(helpers - beforeFirst)), integer(helpers));
}

/** This thread's number in the recurrence; a helper has that of a thread it helps. */
export function walker({ parameters: { helpers, workgroupSize } }: LanesFrame): KernelExpression {
  return helpers === 0 ? builtin('invocation') : remainder(builtin('invocation'), integer(workgroupSize));
}

/** Whether this thread takes part in the recurrence; null where all do. */
export function walks({ parameters: { helpers, workgroupSize } }: LanesFrame): KernelExpression | null {
  return helpers === 0 ? null : less(builtin('invocation'), integer(workgroupSize));
}

/** Whether this thread takes part in the first and last phases; null where all do. */
export function helps({ parameters: { helpers, workgroupSize } }: LanesFrame): KernelExpression | null {
  return helpers === 0 ? null : less(integer(workgroupSize - 1), builtin('invocation'));
}

/** Coordinates of the first of `width` channels; beyond the last one loads are clamped and `isValid` guards stores. */
export function placeChannel(
  { builder, plan, channelsPerGroup }: LanesFrame, name: string, { first, offset, width }: { first: KernelExpression; offset: KernelExpression; width: number },
  outer: readonly (readonly [string, KernelExpression])[],
): Placement {
  const local = builder.let(`${name}_local`, offset);
  const index = builder.let(name, add(first, local));
  const isWhole = plan.channelCount % channelsPerGroup === 0;
  const safe = isWhole ? index : builder.let(`${name}_safe`, minimum(index, integer(plan.channelCount - width)));
  const isValid = isWhole ? null : builder.let(`${name}_valid`, less(index, integer(plan.channelCount)));
  return { local, isValid, coordinates: withCoordinates(new Map(outer), splitIndex(builder, safe, plan.channels)) };
}

/** Starts the loads of the whole tile at `base`. */
export type Prefetch = { readonly load: (base: KernelExpression) => void };

/** Runs the tiles of a range in visiting order. The whole-tile body gets the base of the tile that follows it. */
export function overTiles(
  frame: LanesFrame, range: Range, prefetch: Prefetch | null, walk: (tile: Tile, following: KernelExpression) => void, overlap: Overlap | null = null,
): void {
  const { builder, plan } = frame;
  const size = integer(frame.parameters.tile);
  const isAscending = plan.direction === 'ascending';
  if (!frame.parameters.prefetch) {
    overGuardedTiles(frame, range, walk);
    return;
  }
  const span = builder.let('span', subtract(range.end, range.start));
  const wholeCount = builder.let('whole_tiles', divide(span, size));
  const rest = builder.let('rest', remainder(span, size));
  const tail = (): void => builder.if(less(integer(0), rest), () => {
    const base = builder.let('tile_start', add(range.start, multiply(wholeCount, size)));
    walk({ base, count: rest, isWhole: false, slot: integer(0) }, base);
  });
  const baseOf = (step: KernelExpression): KernelExpression => {
    const index = isAscending ? step : subtract(subtract(wholeCount, integer(1)), step);
    return add(range.start, multiply(index, size));
  };
  if (!isAscending) tail();
  if (overlap !== null) overlapTiles(frame, { wholeCount, baseOf }, overlap);
  else {
    if (prefetch !== null) {
      builder.if(less(integer(0), wholeCount), () => prefetch.load(builder.let('first_tile', baseOf(integer(0)))));
    }
    builder.for('k', { start: integer(0), end: wholeCount }, (step) => {
      const base = builder.let('tile_start', baseOf(step));
      const last = subtract(wholeCount, integer(1));
      walk({ base, count: size, isWhole: true, slot: integer(0) }, prefetch === null ? base : builder.let('next_tile', baseOf(minimum(add(step, integer(1)), last))));
    });
  }
  if (isAscending) tail();
}

/** Phases of neighbouring tiles side by side: the first of the tile after, the recurrence of a tile, the last of the tile before. */
export type Overlap = {
  /** before the walk: the first phase of the first tile; `after` is the base of the tile that follows */
  readonly begin: (first: Tile, after: KernelExpression) => void;
  readonly walk: (tiles: OverlappedTiles) => void;
  /** after the walk: the last phase of the last tile */
  readonly end: (last: Tile) => void;
};

export type OverlappedTiles = {
  /** the first tile itself where there is none before: its results are stored, and once more when they are known, without a branch */
  readonly before: Tile;
  /** whether there is a tile before */
  readonly hasBefore: KernelExpression;
  readonly tile: Tile;
  /** the last tile again where there is no further one */
  readonly after: Tile;
  /** base of the tile after that */
  readonly afterNext: KernelExpression;
};

type WholeTiles = { readonly wholeCount: KernelExpression; readonly baseOf: (step: KernelExpression) => KernelExpression };

/** Runs the whole tiles with overlapping phases, one barrier each. */
function overlapTiles({ builder, parameters }: LanesFrame, { wholeCount, baseOf }: WholeTiles, overlap: Overlap): void {
  const size = integer(parameters.tile);
  const last = builder.let('last_tile', subtract(wholeCount, integer(1)));
  const tileAt = (name: string, step: KernelExpression, slot: KernelExpression): Tile =>
    ({ base: builder.let(name, baseOf(step)), count: size, isWhole: true, slot });
  builder.if(less(integer(0), wholeCount), () => {
    overlap.begin(tileAt('first_tile', integer(0), integer(0)), builder.let('second_tile', baseOf(minimum(integer(1), last))));
    builder.for('k', { start: integer(0), end: wholeCount }, (step) => {
      const slot = builder.let('slot', multiply(remainder(step, integer(2)), size));
      const other = builder.let('other_slot', subtract(size, slot));
      overlap.walk({
        before: tileAt('tile_before', binary('maximum', subtract(step, integer(1)), integer(0)), other),
        hasBefore: less(integer(0), step),
        tile: tileAt('tile_start', step, slot),
        after: tileAt('tile_after', minimum(add(step, integer(1)), last), other),
        afterNext: builder.let('after_next', baseOf(minimum(add(step, integer(2)), last))),
      });
    });
    overlap.end(tileAt('final_tile', last, builder.let('final_slot', multiply(remainder(last, integer(2)), size))));
  });
}

/** All tiles by one guarded text: for targets whose compilers are slow, and which gain nothing from loads ahead. */
function overGuardedTiles({ builder, plan, parameters }: LanesFrame, range: Range, walk: (tile: Tile, following: KernelExpression) => void): void {
  const size = integer(parameters.tile);
  const count = builder.let('tiles', divide(add(subtract(range.end, range.start), integer(parameters.tile - 1)), size));
  builder.for('k', { start: integer(0), end: count }, (step) => {
    const index = plan.direction === 'ascending' ? step : builder.let('tile', subtract(subtract(count, integer(1)), step));
    const base = builder.let('tile_start', add(range.start, multiply(index, size)));
    walk({ base, count: builder.let('tile_length', minimum(size, subtract(range.end, base))), isWhole: false, slot: integer(0) }, base);
  });
}

/** Widest vector that divides a count. */
export function vectorFor(count: number): VectorWidth {
  if (count % 4 === 0) return 4;
  return count % 2 === 0 ? 2 : 1;
}

/** First row of this thread in the cooperative phases. */
export function firstRow(frame: LanesFrame): KernelExpression {
  return multiply(divide(cooperator(frame), integer(frame.channelsPerGroup)), integer(frame.rows));
}

/** Whether the loop over a thread's rows is written out, so that its registers have constant indices. */
export function rowsAreUnrolled({ rows }: Pick<LanesFrame, 'rows'>): boolean {
  return rows <= 8;
}

/** This thread's row `pass` of a tile; beyond the last token of a partial tile rows repeat it and `isInside` is false. */
export function rowOf(frame: LanesFrame, tile: Tile, pass: KernelExpression): Row {
  const { builder, plan } = frame;
  const index = builder.let('i', add(firstRow(frame), pass));
  const isInside = tile.isWhole ? null : builder.let('inside', less(index, tile.count));
  const row = tile.isWhole ? index : builder.let('row', minimum(index, subtract(tile.count, integer(1))));
  return { pass, index, row, isInside, time: timeOfVisit(builder, plan, builder.let('visit', add(tile.base, row))) };
}

/** This thread's rows of a tile. */
export function overRows(frame: LanesFrame, tile: Tile, body: (row: Row) => void): void {
  frame.builder.for('pass', { start: integer(0), end: integer(frame.rows), unroll: rowsAreUnrolled(frame) }, (pass) => body(rowOf(frame, tile, pass)));
}

/** A place of the tile's table token × inner axis, for values that all channels share: the first of the neighbours that a thread stages at once. */
export type StagedPlace = { readonly pass: KernelExpression; readonly place: KernelExpression; readonly coordinates: Coordinates };

/** Neighbours of a value that all channels share which a thread stages at once. */
export function stagedWidth({ staged }: LanesParameters): VectorWidth {
  return staged ?? 1;
}

/** How often a thread fills places of the table. */
export function stagedPasses({ plan, parameters }: LanesFrame): number {
  return Math.ceil((parameters.tile * plan.innerCount) / (cooperatorsOf(parameters) * stagedWidth(parameters)));
}

/** Places behind a staged value's tables, for threads that would else have to skip a store. */
export function sparePlaces(parameters: LanesParameters, innerCount: number): number {
  if (parameters.staged === undefined) return 0;
  const size = parameters.tile * innerCount;
  const atOnce = cooperatorsOf(parameters) * parameters.staged;
  return Math.ceil(size / atOnce) * atOnce - size;
}

/** A shared value at a place and its neighbours, from memory. */
export function loadStagedValue({ builder, plan, parameters }: LanesFrame, reference: MemoryReference, { coordinates }: StagedPlace): KernelExpression {
  const width = stagedWidth(parameters);
  const axis = plan.inner.at(-1)?.name;
  const value = loadValue(builder, reference, coordinates, axis === undefined ? null : { axis, width });
  return value.type.width === width ? value : splat(value, width);
}

/** Where the shared array of a staged value keeps a place of the tile; one beyond the tile is kept at its end, behind all tables. */
export function keptPlace({ plan, parameters }: LanesFrame, { slot }: Tile, { place }: StagedPlace, { length }: SharedArray): KernelExpression {
  const kept = add(multiply(slot, integer(plan.innerCount)), place);
  const spare = sparePlaces(parameters, plan.innerCount);
  if (spare === 0) return kept;
  const size = parameters.tile * plan.innerCount;
  return select(less(place, integer(size)), kept, add(place, integer(length - spare - size)));
}

/** This thread's places in the table token × inner axis of the tile at `base`. */
export function overStaged(frame: LanesFrame, tile: Tile, body: (at: StagedPlace) => void): void {
  const { builder, plan, parameters } = frame;
  const size = parameters.tile * plan.innerCount;
  const width = stagedWidth(parameters);
  const threads = cooperatorsOf(parameters) * width;
  const passes = stagedPasses(frame);
  const isSpare = sparePlaces(parameters, plan.innerCount) > 0;
  builder.for('pass', { start: integer(0), end: integer(passes), unroll: passes <= 8 }, (pass) => {
    const place = builder.let('place', add(multiply(pass, integer(threads)), multiply(cooperator(frame), integer(width))));
    const run = (): void => {
      const inner = builder.let('inner', remainder(place, integer(plan.innerCount)));
      const token = divide(place, integer(plan.innerCount));
      const last = tile.isWhole ? integer(parameters.tile - 1) : subtract(tile.count, integer(1));
      const row = tile.isWhole && !isSpare ? token : minimum(token, last);
      const time = timeOfVisit(builder, plan, builder.let('visit', add(tile.base, row)));
      const coordinates = withCoordinates(new Map(splitIndex(builder, inner, plan.inner)), [['batch', builtin('workgroup-y')], ['time', time]]);
      body({ pass, place, coordinates });
    };
    if (isSpare || size % threads === 0) run();
    else builder.if(less(place, integer(size)), run);
  });
}

/** Runs `body` where the condition holds; null means always. */
export function guard(builder: KernelBuilder, condition: KernelExpression | null, body: () => void): void {
  if (condition === null) body();
  else builder.if(condition, body);
}

/** Both conditions, null meaning true. */
export function both(left: KernelExpression | null, right: KernelExpression | null): KernelExpression | null {
  if (left === null || right === null) return left ?? right;
  return binary('and', left, right);
}

/** The value where the condition holds (or always), else zero. */
export function orZero(condition: KernelExpression | null, value: KernelExpression, zero: KernelExpression): KernelExpression {
  return condition === null ? value : select(condition, value, zero);
}

/** Coordinates of a thread's channel `lane`, from those of its first. */
export function channelOf({ plan }: LanesFrame, coordinates: Coordinates, lane: number): Coordinates {
  const axis = plan.channels.at(-1);
  if (axis === undefined || lane === 0) return coordinates;
  const first = coordinates.get(axis.name);
  invariant(first !== undefined, 'channel coordinate');
  return withCoordinates(coordinates, [[axis.name, add(first, integer(lane))]]);
}

/**
 * Places of the parts that threads add to a sum over states, token by token: a thread's channels lie in
 * planes, shifted against each other so that the threads that finish neighbouring channels meet no bank
 * twice.
 */
export function partialPlane({ parameters: { workgroupSize, channels } }: LanesFrame): { readonly plane: number; readonly perToken: number } {
  const plane = workgroupSize + (channels === 1 ? 0 : 32 / channels);
  return { plane, perToken: plane * channels };
}
