/**
 * The last phase of a tile in schedule `lanes`: sums over the inner axis are finished from what the
 * threads of a channel left in shared memory, and per-channel results (read-out, skip, gate) are computed
 * and stored, once per token and channel.
 */
import { required } from '../../support/invariant.ts';
import { add, builtin, divide, extract, integer, literal, loadShared, multiply, remainder, variable } from '../kernel/builder.ts';
import { f32, type KernelExpression, type SharedArray, type Variable } from '../kernel/nodes.ts';
import type { ValueId } from '../tensor/ops.ts';
import { withCoordinates } from './access.ts';
import type { LanesExports } from './lanes-exports.ts';
import { both, guard, helps, orZero, overRows, partialPlane, vectorFor, type LanesFrame, type Placement, type Row, type Tile } from './lanes-frame.ts';
import type { LanesPrefetch } from './lanes-prefetch.ts';
import { storeRowSums } from './lanes-rows.ts';
import type { RegionValues } from './region-values.ts';
import { storeValue, type YieldTarget } from './scan-request.ts';

export type ResultsRequest = {
  readonly frame: LanesFrame;
  readonly exports: LanesExports;
  readonly exported: ReadonlyMap<ValueId, SharedArray>;
  /** per-channel values of the cooperative thread */
  readonly values: RegionValues;
  readonly cooperative: Placement;
  readonly scalars: readonly YieldTarget[];
  /** what the threads of a channel add to each sum over the inner axis */
  readonly parts: ReadonlyMap<ValueId, SharedArray>;
  /** this thread's sums over time */
  readonly totals: ReadonlyMap<YieldTarget, Variable>;
};

export class LanesResults {
  readonly #request: ResultsRequest;
  /** values per token and channel that are summed over the channels of the workgroup */
  readonly #acrossChannels: ReadonlyMap<YieldTarget, SharedArray>;

  constructor(request: ResultsRequest) {
    this.#request = request;
    const { frame: { builder, plan, parameters, channelsPerGroup } } = request;
    const across = request.scalars.filter((each) => each.sumsChannels && !each.sumsTime);
    this.#acrossChannels = new Map(across.map((each) =>
      [each, builder.shared(`${required(plan.names.get(each.yielded.value), 'name')}_row`, f32, parameters.tile * channelsPerGroup)]));
  }

  /** The whole phase. */
  run(tile: Tile, prefetch: LanesPrefetch | null): void {
    const { frame, scalars, cooperative: { coordinates } } = this.#request;
    if (scalars.length === 0) return;
    frame.builder.comment('finish the sums over states; per-channel results, once');
    guard(frame.builder, helps(frame), () => overRows(frame, tile, (row) => this.row(tile, row, tile.isWhole ? prefetch : null)));
    for (const [each, array] of this.#acrossChannels) storeRowSums(frame, { each, array, tile, coordinates });
  }

  /** Zero for what no thread has stored yet of the second tile in the tables, so that it may be read. */
  clear(): void {
    const { frame: { builder, parameters: { tile, channels } }, frame, parts, scalars } = this.#request;
    if (scalars.length === 0) return;
    const { plane, perToken } = partialPlane(frame);
    for (const array of parts.values()) {
      builder.for('token', { start: integer(tile), end: integer(2 * tile) }, (token) => {
        for (let lane = 0; lane < channels; lane++) builder.storeShared(array, add(multiply(token, integer(perToken)), add(integer(lane * plane), builtin('invocation'))), literal(0));
      });
    }
  }

  /** The results of one row. `isCounted` says whether sums over time take it; null means yes. */
  row(tile: Tile, { pass, index, row: safe, isInside, time }: Row, ahead: LanesPrefetch | null, isCounted: KernelExpression | null = null): void {
    const { frame: { builder, plan, channelsPerGroup }, exports, exported, values, cooperative, scalars, parts, totals } = this.#request;
    if (scalars.length === 0) return;
    values.beginToken(time);
    values.overrideScalars((id) => {
      const array = exported.get(id);
      return array === undefined ? (ahead?.late(id, pass) ?? null) : loadShared(array, exports.place(tile, index));
    });
    for (const [id, array] of parts) values.setScalar(id, builder.let(required(plan.names.get(id), 'name'), this.#sumOfParts(array, tile, safe)));
    const isValid = both(isInside, cooperative.isValid);
    for (const each of scalars) {
      const value = values.scalar(each.yielded.value);
      const total = totals.get(each);
      const across = this.#acrossChannels.get(each);
      if (total !== undefined) builder.assign(total, add(variable(total), orZero(both(isValid, isCounted), value, literal(0))));
      else if (across !== undefined) builder.storeShared(across, add(multiply(index, integer(channelsPerGroup)), cooperative.local), orZero(isValid, value, literal(0)));
      else guard(builder, isValid, () => storeValue(builder, each.target, withCoordinates(cooperative.coordinates, [['time', time]]), value, null));
    }
    values.overrideScalars(() => null);
  }

  /** Adds what the threads of a channel stored for a token. */
  #sumOfParts(parts: SharedArray, { slot }: Tile, row: KernelExpression): KernelExpression {
    const { frame: { builder, parameters: { lanes, channels } }, frame, cooperative: { local } } = this.#request;
    const { plane, perToken } = partialPlane(frame);
    const group = multiply(divide(local, integer(channels)), integer(lanes));
    const inToken = add(multiply(remainder(local, integer(channels)), integer(plane)), group);
    const first = builder.let('first', add(multiply(slot, integer(perToken)), add(multiply(row, integer(perToken)), inToken)));
    const width = vectorFor(lanes);
    const loaded = Array.from({ length: lanes / width }, (_, at) => builder.let('parts', loadShared(parts, add(first, integer(at * width)), width)));
    return loaded.flatMap((part) => (width === 1 ? [part] : Array.from({ length: width }, (_, at) => extract(part, at)))).reduce((left, right) => add(left, right));
  }
}
