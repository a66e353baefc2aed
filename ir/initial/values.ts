/** Numbers on named axes, as initialisers compute with them: real or complex, in float64, broadcast by name. */
import { required } from '../../support/invariant.ts';

/** Row-major over `axes`; `im` is null for real values. */
export type InitialValue = {
  readonly axes: readonly string[];
  readonly shape: readonly number[];
  readonly re: Float64Array;
  readonly im: Float64Array | null;
};

/** One complex number. */
export type Pair = readonly [re: number, im: number];

export type SizeOf = (axis: string) => number;

/** A number without axes. */
export function scalarValue(re: number): InitialValue {
  return { axes: [], shape: [], re: Float64Array.of(re), im: null };
}

/** A value made entry by entry. */
export function fillValue(
  axes: readonly string[], sizeOf: SizeOf, isComplex: boolean, at: (index: number) => Pair,
): InitialValue {
  const shape = axes.map(sizeOf);
  const count = shape.reduce((product, each) => product * each, 1);
  const [re, im] = [new Float64Array(count), isComplex ? new Float64Array(count) : null];
  for (let index = 0; index < count; index++) {
    const [real, imaginary] = at(index);
    re[index] = real;
    if (im !== null) im[index] = imaginary;
  }
  return { axes, shape, re, im };
}

/** The same numbers over more axes, in the order given. */
export function broadcastTo(value: InitialValue, axes: readonly string[], sizeOf: SizeOf): InitialValue {
  const strides = strideTable(value, axes);
  const shape = axes.map(sizeOf);
  return fillValue(axes, sizeOf, value.im !== null, (index) => entryAt(value, sourceIndex(index, shape, strides)));
}

/** Elementwise over the union of the operands' axes. */
export function mapValues(
  operands: readonly InitialValue[], isComplex: boolean, sizeOf: SizeOf, apply: (...entries: readonly Pair[]) => Pair,
): InitialValue {
  const axes = [...new Set(operands.flatMap((each) => each.axes))];
  const shape = axes.map(sizeOf);
  const tables = operands.map((each) => strideTable(each, axes));
  return fillValue(axes, sizeOf, isComplex, (index) =>
    apply(...operands.map((each, at) => entryAt(each, sourceIndex(index, shape, required(tables[at], 'strides'))))));
}

function entryAt(value: InitialValue, index: number): Pair {
  return [value.re[index] ?? NaN, value.im?.[index] ?? 0];
}

/** Per axis of `axes`, the distance between neighbours in `value`; 0 where it lacks the axis. */
function strideTable(value: InitialValue, axes: readonly string[]): readonly number[] {
  return axes.map((axis) => {
    const place = value.axes.indexOf(axis);
    return place < 0 ? 0 : value.shape.slice(place + 1).reduce((product, each) => product * each, 1);
  });
}

function sourceIndex(index: number, shape: readonly number[], strides: readonly number[]): number {
  let [rest, source] = [index, 0];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1;
    source += (rest % size) * (strides[axis] ?? 0);
    rest = Math.floor(rest / size);
  }
  return source;
}
