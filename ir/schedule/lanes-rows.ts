/**
 * Sums of per-channel values over the threads of a workgroup in schedule `lanes`: per token over the
 * channels of a group, and over time for the rows of threads that share a channel. Fixed order.
 */
import { add, builtin, integer, less, literal, loadShared, multiply, variable } from '../kernel/builder.ts';
import { f32, type KernelExpression, type SharedArray, type Variable } from '../kernel/nodes.ts';
import { withCoordinates, type Coordinates } from './access.ts';
import { both, cooperator, cooperatorsOf, guard, helps, type LanesFrame } from './lanes-frame.ts';
import { storeValue, timeOfVisit, type YieldTarget } from './scan-request.ts';

export type RowSums = {
  readonly each: YieldTarget;
  /** token × channel of the group */
  readonly array: SharedArray;
  readonly tile: { readonly base: KernelExpression; readonly count: KernelExpression };
  readonly coordinates: Coordinates;
};

/** Stores, per token of the tile, the sum over this group's channels; a tile may have more tokens than the group threads. */
export function storeRowSums({ builder, plan, parameters, channelsPerGroup }: LanesFrame, { each, array, tile, coordinates }: RowSums): void {
  const storeRow = (row: KernelExpression): void => {
    const sum = builder.var('row', literal(0));
    builder.for('c', { start: integer(0), end: integer(channelsPerGroup) }, (channel) =>
      builder.assign(sum, add(variable(sum), loadShared(array, add(multiply(row, integer(channelsPerGroup)), channel)))));
    const time = timeOfVisit(builder, plan, add(tile.base, row));
    storeValue(builder, each.target, withCoordinates(coordinates, [['time', time]]), variable(sum), null);
  };
  builder.barrier();
  const own = builtin('invocation');
  if (parameters.tile <= parameters.workgroupSize) builder.if(less(own, tile.count), () => storeRow(own));
  else builder.for('token', { start: own, end: tile.count, step: parameters.workgroupSize }, storeRow);
}

export type RowTotals = {
  readonly each: YieldTarget;
  /** this thread's sum over its tokens */
  readonly total: Variable;
  readonly coordinates: Coordinates;
  /** null where every channel of the group exists */
  readonly isValid: KernelExpression | null;
};

/** Adds up the rows that share a channel, and all channels where the yield sums them; stores the totals. */
export function finishRowTotals(frame: LanesFrame, { each, total, coordinates, isValid }: RowTotals): void {
  const { builder, parameters, channelsPerGroup } = frame;
  const threads = cooperatorsOf(parameters);
  const scratch = builder.shared('row_sums', f32, threads);
  guard(builder, helps(frame), () => builder.storeShared(scratch, cooperator(frame), variable(total)));
  builder.barrier();
  const count = each.sumsChannels ? threads : threads / channelsPerGroup;
  const stride = each.sumsChannels ? 1 : channelsPerGroup;
  const isFirst = both(helps(frame), less(cooperator(frame), integer(each.sumsChannels ? 1 : channelsPerGroup)));
  guard(builder, both(isFirst, each.sumsChannels ? null : isValid), () => {
    const sum = builder.var('sum', literal(0));
    builder.for('row', { start: integer(0), end: integer(count) }, (row) =>
      builder.assign(sum, add(variable(sum), loadShared(scratch, add(cooperator(frame), multiply(row, integer(stride)))))));
    storeValue(builder, each.target, coordinates, variable(sum), null);
  });
  builder.barrier();
}
