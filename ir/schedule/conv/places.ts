/**
 * The frame of all launches of a convolution: a grid over axes and tiles. On a GPU one thread per
 * place, neighbours along the channel axis; on a CPU a workgroup walks over the channels in vectors.
 */
import { ceilDivideSizes, productOfSizes, type SizeExpression } from '../../../support/size.ts';
import { required } from '../../../support/invariant.ts';
import { add, builtin, divide, integer, KernelBuilder, less, literal, multiply, remainder, splat } from '../../kernel/builder.ts';
import { f32, withWidth, type Kernel, type KernelExpression, type KernelType, type VectorWidth } from '../../kernel/nodes.ts';
import type { Coordinates } from '../access.ts';
import type { Machine } from '../parameters.ts';

export type Axis = { readonly name: string; readonly size: SizeExpression };
export type ChannelVector = { readonly axis: string; readonly width: VectorWidth } | null;

export type PlaceRequest = {
  readonly name: string;
  readonly notes: readonly string[];
  readonly machine: Machine;
  /** axes and tiles of the grid, the outermost first */
  readonly axes: readonly Axis[];
  /** the axis that neighbouring threads or lanes lie along, or null */
  readonly channel: Axis | null;
};

export type Place = { readonly builder: KernelBuilder; readonly coordinates: Coordinates; readonly vector: ChannelVector; readonly type: KernelType };

/** A kernel that runs `body` once per place. */
export function emitPlaces(request: PlaceRequest, body: (place: Place) => void): Kernel {
  const { machine, axes, channel, name, notes } = request;
  const builder = new KernelBuilder();
  const isCpu = machine.maximumWorkgroup === 1;
  const width = isCpu && channel !== null && typeof channel.size === 'number' && channel.size % machine.vectorWidth === 0 ? machine.vectorWidth : 1;
  const at = (coordinates: Coordinates): void => body({
    builder, coordinates, vector: channel === null ? null : { axis: channel.name, width }, type: withWidth(f32, width),
  });
  if (isCpu) {
    const coordinates = splitPlace(builder, builtin('workgroup-x'), axes);
    if (channel === null) at(coordinates);
    else builder.for('c', { start: integer(0), end: builder.uniform('channels', channel.size), step: width }, (index) => at(new Map([...coordinates, [channel.name, index]])));
    return builder.finish({ name, notes, workgroupSize: 1, grid: [productOfSizes(axes.map((each) => each.size)), 1, 1] });
  }
  const all = channel === null ? axes : [...axes, channel];
  const total = productOfSizes(all.map((each) => each.size));
  const workgroupSize = Math.min(64, machine.maximumWorkgroup);
  const thread = builder.let('thread', add(multiply(builtin('workgroup-x'), integer(workgroupSize)), builtin('invocation')));
  builder.if(less(thread, builder.uniform('threads', total)), () => at(splitPlace(builder, thread, all)));
  return builder.finish({ name, notes, workgroupSize, grid: [ceilDivideSizes(total, workgroupSize), 1, 1] });
}

/** Coordinates from a flat index, the last axis fastest. */
function splitPlace(builder: KernelBuilder, flat: KernelExpression, axes: readonly Axis[]): Map<string, KernelExpression> {
  const coordinates = new Map<string, KernelExpression>();
  let rest = flat;
  [...axes].reverse().forEach((axis, place) => {
    const isOuter = place === axes.length - 1;
    if (isOuter) {
      coordinates.set(axis.name, rest);
      return;
    }
    const size = builder.uniform('size', axis.size);
    coordinates.set(axis.name, builder.let('place', remainder(rest, size)));
    rest = builder.let('rest', divide(rest, size));
  });
  return coordinates;
}

/** Nested loops over axes of the module; `body` gets coordinates with theirs. */
export function forAxes(builder: KernelBuilder, axes: readonly Axis[], coordinates: Coordinates, body: (inner: Coordinates) => void): void {
  const [axis, ...rest] = axes;
  if (axis === undefined) {
    body(coordinates);
    return;
  }
  builder.for('n', { start: integer(0), end: builder.uniform('size', axis.size) }, (index) =>
    forAxes(builder, rest, new Map([...coordinates, [axis.name, index]]), body));
}

/** A value in every lane of a place. */
export function wide(place: Place, value: KernelExpression): KernelExpression {
  return splat(value, place.type.width);
}

export function zero(place: Place): KernelExpression {
  return literal(0, place.type);
}

/** The axis for neighbours: the last declared one of the given axes. */
export function channelOf(axes: readonly string[], extent: (axis: string) => SizeExpression): Axis | null {
  const declared = axes.filter((axis) => typeof extent(axis) === 'number');
  const name = declared.at(-1);
  return name === undefined ? null : { name, size: extent(name) };
}

/** Axes of the module with their sizes, without the named ones. */
export function axesWithout(axes: readonly string[], without: readonly (string | undefined)[], extent: (axis: string) => SizeExpression): readonly Axis[] {
  return axes.filter((axis) => !without.includes(axis)).map((name) => ({ name, size: extent(name) }));
}

export function coordinateOf(coordinates: Coordinates, axis: string): KernelExpression {
  return required(coordinates.get(axis), `coordinate of ${axis}`);
}
