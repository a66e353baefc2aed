/**
 * Float64 tensors on named axes for the Tensor IR interpreter, and the one loop that walks several
 * of them together. Broadcasting is a stride of 0: an operand without an axis does not move along it.
 */
import { invariant, required } from '../../support/invariant.ts';

/** Row-major numbers in the order of `axes`; `im` is null for real tensors, flags (0, 1) and indices. */
export type Tensor = {
  readonly axes: readonly string[];
  readonly shape: readonly number[];
  readonly re: Float64Array;
  readonly im: Float64Array | null;
};

/** The size of an axis. */
export type SizeOf = (axis: string) => number;

/** Product of sizes, 1 for none. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** A tensor of zeros. */
export function zeros(axes: readonly string[], sizeOf: SizeOf, dtype: 'real' | 'complex'): Tensor {
  const shape = axes.map(sizeOf);
  const count = elementCount(shape);
  return { axes, shape, re: new Float64Array(count), im: dtype === 'complex' ? new Float64Array(count) : null };
}

/** A tensor without axes. */
export function scalarTensor(value: number): Tensor {
  return { axes: [], shape: [], re: Float64Array.of(value), im: null };
}

/** Step in memory along each of `axes`; 0 where the tensor lacks the axis. */
export function stridesAlong(tensor: Pick<Tensor, 'axes' | 'shape'>, axes: readonly string[]): readonly number[] {
  const strides = new Map<string, number>();
  let step = 1;
  for (let at = tensor.axes.length - 1; at >= 0; at--) {
    strides.set(required(tensor.axes[at], 'axis'), step);
    step *= required(tensor.shape[at], 'size');
  }
  return axes.map((axis) => strides.get(axis) ?? 0);
}

/** A space of elements and, for each tensor, how it moves along the space's axes and where it starts. */
export type Walk = {
  readonly shape: readonly number[];
  readonly strides: readonly (readonly number[])[];
  /** first offset of each tensor; zeros when absent from the literal */
  readonly start?: readonly number[];
};

/** One row: `count` elements, tensor k at offsets[k] + i · steps[k]. Both arrays are reused between calls. */
export type VisitRow = (offsets: readonly number[], steps: readonly number[], count: number) => void;

/** Merges neighbouring axes along which every tensor moves as along one. */
function coalesce({ shape, strides }: Walk): { readonly shape: number[]; readonly strides: number[][] } {
  const sizes: number[] = [];
  const merged: number[][] = strides.map(() => []);
  shape.forEach((size, at) => {
    if (size === 1) return;
    const last = sizes.length - 1;
    const joins = last >= 0 && strides.every((each, k) => merged[k]?.[last] === (each[at] ?? 0) * size);
    if (joins) sizes[last] = required(sizes[last], 'size') * size;
    else sizes.push(size);
    const slot = joins ? last : last + 1;
    strides.forEach((each, k) => {
      required(merged[k], 'strides')[slot] = each[at] ?? 0;
    });
  });
  return { shape: sizes, strides: merged };
}

/** Visits the rows of a space in row-major order. */
export function forEachRow(walk: Walk, visit: VisitRow): void {
  if (walk.shape.includes(0)) return;
  const { shape, strides } = coalesce(walk);
  const offsets = walk.start === undefined ? strides.map(() => 0) : [...walk.start];
  const inner = shape.length - 1;
  const count = shape[inner] ?? 1;
  const steps = strides.map((each) => each[inner] ?? 0);
  const counters = shape.slice(0, -1).map(() => 0);
  for (;;) {
    visit(offsets, steps, count);
    let axis = inner - 1;
    for (; axis >= 0; axis--) {
      const size = shape[axis] ?? 0;
      const next = (counters[axis] ?? 0) + 1;
      const turns = next === size;
      counters[axis] = turns ? 0 : next;
      for (let k = 0; k < offsets.length; k++) {
        const stride = strides[k]?.[axis] ?? 0;
        offsets[k] = (offsets[k] ?? 0) + (turns ? -stride * (size - 1) : stride);
      }
      if (!turns) break;
    }
    if (axis < 0) return;
  }
}

/** Copies numbers between arrays along a walk of [target, source]. */
export function copyAlong(walk: Walk, target: Float64Array, source: Float64Array): void {
  forEachRow(walk, ([to = 0, from = 0], [toStep = 0, fromStep = 0], count) => {
    for (let i = 0; i < count; i++) target[to + i * toStep] = source[from + i * fromStep] ?? 0;
  });
}

/** The tensor on exactly these axes, in this order; absent axes repeat it. The same object when nothing changes. */
export function spread(tensor: Tensor, axes: readonly string[], sizeOf: SizeOf): Tensor {
  if (tensor.axes.length === axes.length && axes.every((axis, at) => axis === tensor.axes[at])) return tensor;
  invariant(tensor.axes.every((axis) => axes.includes(axis)), `cannot spread [${tensor.axes}] to [${axes}]`);
  const result = zeros(axes, sizeOf, tensor.im === null ? 'real' : 'complex');
  const walk = { shape: result.shape, strides: [stridesAlong(result, axes), stridesAlong(tensor, axes)] };
  copyAlong(walk, result.re, tensor.re);
  if (result.im !== null && tensor.im !== null) copyAlong(walk, result.im, tensor.im);
  return result;
}

/** Tokens start … start + count − 1 of a tensor; the tensor itself if it does not vary with time. */
export function sliceTime(tensor: Tensor, start: number, count: number): Tensor {
  const at = tensor.axes.indexOf('time');
  if (at < 0 || (start === 0 && tensor.shape[at] === count)) return tensor;
  const shape = tensor.shape.with(at, count);
  const result: Tensor = {
    axes: tensor.axes, shape,
    re: new Float64Array(elementCount(shape)),
    im: tensor.im === null ? null : new Float64Array(elementCount(shape)),
  };
  const strides = stridesAlong(tensor, tensor.axes);
  const walk = { shape, strides: [stridesAlong(result, tensor.axes), strides], start: [0, start * (strides[at] ?? 0)] };
  copyAlong(walk, result.re, tensor.re);
  if (result.im !== null && tensor.im !== null) copyAlong(walk, result.im, tensor.im);
  return result;
}

/** Writes `part` over the tokens of `whole` from `start` on. */
export function writeTime(whole: Tensor, start: number, part: Tensor): void {
  const at = whole.axes.indexOf('time');
  const strides = stridesAlong(whole, whole.axes);
  const first = at < 0 ? 0 : start * (strides[at] ?? 0);
  const walk = { shape: part.shape, strides: [strides, stridesAlong(part, whole.axes)], start: [first, 0] };
  copyAlong(walk, whole.re, part.re);
  if (whole.im !== null && part.im !== null) copyAlong(walk, whole.im, part.im);
}

/** One complex tensor of two real ones, or the tensor itself: the inverse of `partsOf`. */
export function assembleParts(parts: readonly Tensor[], axes: readonly string[], sizeOf: SizeOf): Tensor {
  const [re, im] = parts.map((part) => spread(part, axes, sizeOf));
  const real = required(re, 'part');
  return im === undefined ? real : { ...real, im: im.re };
}

/** A tensor as `count` parts: itself, or real and imaginary. */
export function partsOf(tensor: Tensor, count: number): readonly Tensor[] {
  if (count === 1) return [tensor];
  return [{ ...tensor, im: null }, { ...tensor, re: imaginaryOf(tensor), im: null }];
}

/** Imaginary numbers of a tensor, zeros if it is real. */
export function imaginaryOf(tensor: Tensor): Float64Array {
  return tensor.im ?? new Float64Array(tensor.re.length);
}
