/**
 * Where values lie in memory, and the index arithmetic to reach an element. A memory reference is a
 * tensor of the plan, or one part of a complex one (interleaved); coordinates name axes, never
 * positions, so any layout of the tensor's axes works (decisions 13).
 */
import { invariant, required } from '../../support/invariant.ts';
import type { SizeExpression } from '../../support/size.ts';
import { add, binary, compose, integer, load, multiply, type KernelBuilder } from '../kernel/builder.ts';
import type { Buffer, KernelExpression, VectorWidth } from '../kernel/nodes.ts';
import type { PlanTensor } from '../plan.ts';

export type MemoryReference = {
  readonly tensor: PlanTensor;
  /** 0 or 1 selects re or im of an interleaved complex tensor */
  readonly part: 0 | 1 | null;
};

/** Axis name → i32 coordinate. */
export type Coordinates = ReadonlyMap<string, KernelExpression>;

/** A copy with some coordinates set. */
export function withCoordinates(base: Coordinates, entries: Iterable<readonly [string, KernelExpression]>): Coordinates {
  return new Map([...base, ...entries]);
}

/** Flat element index by Horner's scheme over the tensor's axes in memory order. */
export function elementIndex(builder: KernelBuilder, reference: MemoryReference, coordinates: Coordinates): KernelExpression {
  const { axes, dims } = reference.tensor;
  let index: KernelExpression = integer(0);
  axes.forEach((axis, at) => {
    if (axis === 'complex') return;
    const size = builder.uniform(sizeName(axis), required(dims[at], `size of ${axis}`));
    index = add(multiply(index, size), required(coordinates.get(axis), `coordinate of ${axis}`));
  });
  return reference.part === null ? index : add(multiply(index, integer(2)), integer(reference.part));
}

function sizeName(axis: string): string {
  if (axis === 'time') return 'length';
  return axis === 'batch' ? 'batch' : `${axis.replace(/[^A-Za-z0-9]/g, '_')}_count`;
}

/** The buffer of a reference in this kernel. */
export function bufferOf(builder: KernelBuilder, reference: MemoryReference, access: Buffer['access']): Buffer {
  const { tensor } = reference;
  const size = tensor.dims.reduce<SizeExpression>((product, dim) => (product === 1 ? dim : { operator: 'multiply', left: product, right: dim }), 1);
  return builder.buffer(tensor.name, tensor.storage, access, size);
}

/** Number of elements between neighbours along an axis, or null if the tensor lacks it or it is not a number. */
export function strideOf(reference: MemoryReference, axis: string): number | null {
  const at = reference.tensor.axes.indexOf(axis);
  if (at < 0) return null;
  let stride = 1;
  for (const dim of reference.tensor.dims.slice(at + 1)) {
    if (typeof dim !== 'number') return null;
    stride *= dim;
  }
  return stride;
}

/**
 * Loads `width` values along `vectorAxis`, whose coordinate is that of the first; one vector load
 * where they are neighbours, single loads otherwise.
 */
export function loadValue(
  builder: KernelBuilder,
  reference: MemoryReference,
  coordinates: Coordinates,
  vector: { readonly axis: string; readonly width: VectorWidth } | null = null,
): KernelExpression {
  const buffer = bufferOf(builder, reference, 'read');
  const hasAxis = vector !== null && vector.width > 1 && reference.tensor.axes.includes(vector.axis);
  const index = elementIndex(builder, reference, coordinates);
  if (vector === null || !hasAxis) return load(buffer, index);
  const stride = strideOf(reference, vector.axis);
  if (stride === 1 && reference.part === null) return load(buffer, index, vector.width, isAligned(reference, vector.width));
  const first = builder.let('first', index);
  const coordinate = required(coordinates.get(vector.axis), vector.axis);
  const lanes = Array.from({ length: vector.width }, (_, lane) => {
    if (stride !== null) return load(buffer, add(first, integer(lane * stride)));
    const shifted = withCoordinates(coordinates, [[vector.axis, add(coordinate, integer(lane))]]);
    return load(buffer, elementIndex(builder, reference, shifted));
  });
  return compose(lanes);
}

/** Vector accesses start at multiples of the width when the contiguous axis is a multiple of it. */
export function isAligned(reference: MemoryReference, width: number): boolean {
  const last = reference.tensor.dims.at(-1);
  return typeof last === 'number' && last % width === 0;
}

/** Coordinates of several axes from one flat index (last axis fastest). */
export function splitIndex(
  builder: KernelBuilder,
  flat: KernelExpression,
  axes: readonly { readonly name: string; readonly size: number }[],
): readonly (readonly [string, KernelExpression])[] {
  const entries: (readonly [string, KernelExpression])[] = [];
  let rest = flat;
  [...axes].reverse().forEach((axis, at) => {
    const isOuter = at === axes.length - 1;
    const coordinate = isOuter ? rest : builder.let(axis.name, binary('remainder', rest, integer(axis.size)));
    entries.unshift([axis.name, coordinate]);
    if (!isOuter) rest = builder.let('rest', binary('divide', rest, integer(axis.size)));
  });
  invariant(entries.length === axes.length, 'splitIndex');
  return entries;
}
