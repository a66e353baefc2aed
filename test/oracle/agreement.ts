/**
 * The one way to compare numbers of a device with the oracle: every entry within its error bound and,
 * where a bar is given, the whole within a relative L2 error. A comparison must be able to fail: it
 * counts only if zeros, the result shifted by one and 1.01 times the result would all be refused by
 * the same rule, and if the bound is small against the result wherever it is the only rule.
 */
import { invariant } from '../../support/invariant.ts';
import { elementCount, positionsOf, type BoundedTensor, type OracleTensor } from './node-tensor.ts';

export type Agreement = {
  /** ‖actual − expected‖ / ‖expected‖ */
  readonly relativeL2: number;
  /** largest |actual − expected| / bound: above 1 the comparison fails; NaN gives Infinity */
  readonly worstBoundUse: number;
  /** where that is, as a position in `actual` */
  readonly worstPosition: number;
  /** ‖error‖ ≤ bar·‖expected‖, true where no bar was given */
  readonly isWithinBar: boolean;
  /** why the comparison proves nothing, or null */
  readonly vacuous: string | null;
  /** within bounds and not vacuous */
  readonly isAccepted: boolean;
};

export type ComparisonOptions = {
  /** axes of `actual` in its order; absent: the oracle's */
  readonly axes?: readonly string[];
  /** the bound is multiplied by this before use (1) */
  readonly boundFactor?: number;
  /**
   * also require ‖error‖ ≤ bar·‖expected‖. Gradients of parameters sum over batch and time, and their
   * worst-case bound can be wider than 1 % of the result; with a bar (tolerances.ts) they still count.
   */
  readonly relativeL2Bar?: number;
  /** `required` (default); `waived` for results that are zero or tiny by nature, to be said by the caller */
  readonly nonVacuity?: 'required' | 'waived';
};

/** Interleaved re, im entries when the expected tensor is complex. */
export function compare(
  actual: Float32Array | Float64Array,
  expected: BoundedTensor,
  options: ComparisonOptions = {},
): Agreement {
  const reference = reorder(expected, options.axes ?? expected.axes, options.boundFactor ?? 1);
  const width = expected.im === null ? 1 : 2;
  const count = reference.re.length * width;
  invariant(actual.length === count, `${actual.length} numbers, expected ${count}`);
  const use = boundUse(actual, reference);
  const bar = options.relativeL2Bar ?? Infinity;
  const vacuous = options.nonVacuity === 'waived' ? null : whyVacuous(reference, bar);
  const distance = relativeL2(actual, reference);
  const isWithinBar = bar === Infinity || distance <= bar;
  const isAccepted = use.worstBoundUse <= 1 && isWithinBar && vacuous === null;
  return { ...use, relativeL2: distance, isWithinBar, vacuous, isAccepted };
}

type Reference = { readonly re: Float64Array; readonly im: Float64Array | null; readonly bound: Float64Array };

function reorder(tensor: BoundedTensor, axes: readonly string[], factor: number): Reference {
  const shape = axes.map((axis) => tensor.shape[tensor.axes.indexOf(axis)] ?? NaN);
  const isWhole = elementCount(shape) === tensor.re.length;
  invariant(isWhole, `axes [${axes.join(', ')}] of a tensor over [${tensor.axes.join(', ')}]`);
  const positions = positionsOf(tensor, axes, shape);
  const pick = (array: Float64Array): Float64Array => Float64Array.from(positions, (at) => array[at]!);
  return {
    re: pick(tensor.re),
    im: tensor.im === null ? null : pick(tensor.im),
    bound: pick(tensor.bound).map((each) => each * factor),
  };
}

function boundUse(actual: ArrayLike<number>, reference: Reference): { worstBoundUse: number; worstPosition: number } {
  let worstBoundUse = 0;
  let worstPosition = 0;
  for (let at = 0; at < reference.re.length; at++) {
    const error = errorAt(actual, reference, at);
    const bound = reference.bound[at]!;
    const use = error === 0 ? 0 : Number.isFinite(bound) && Number.isFinite(error) ? error / bound : Infinity;
    if (use > worstBoundUse) [worstBoundUse, worstPosition] = [use, at];
  }
  return { worstBoundUse, worstPosition };
}

function errorAt(actual: ArrayLike<number>, { re, im }: Reference, at: number): number {
  if (im === null) return Math.abs(actual[at]! - re[at]!);
  return Math.hypot(actual[2 * at]! - re[at]!, actual[2 * at + 1]! - im[at]!);
}

function sizesOf({ re, im }: Reference): Float64Array {
  return re.map((each, at) => Math.hypot(each, im?.[at] ?? 0));
}

function relativeL2(actual: ArrayLike<number>, reference: Reference): number {
  let error = 0;
  for (let at = 0; at < reference.re.length; at++) error += errorAt(actual, reference, at) ** 2;
  const total = sizesOf(reference).reduce((sum, size) => sum + size * size, 0);
  return total === 0 ? (error === 0 ? 0 : Infinity) : Math.sqrt(error / total);
}

/** The reasons, in order: not finite, bound too wide, or one of three wrong results would pass. */
function whyVacuous(reference: Reference, bar: number): string | null {
  const sizes = sizesOf(reference);
  const count = sizes.length;
  if (count === 0) return null;
  if (sizes.some((size) => !Number.isFinite(size))) return 'the reference is not finite';
  const rms = Math.sqrt(sizes.reduce((sum, size) => sum + size * size, 0) / count);
  const wide = reference.bound.reduce((sum, bound) => sum + (bound < 0.01 * rms ? 0 : 1), 0);
  if (bar === Infinity && wide > 0.01 * count) {
    return `the bound exceeds 1 % of the result's size in ${wide} of ${count} entries`;
  }
  const width = reference.im === null ? 1 : 2;
  const perfect = Float64Array.from({ length: count * width }, (_, at) =>
    width === 1 ? reference.re[at]! : (at % 2 === 0 ? reference.re : reference.im!)[at >> 1]!);
  const wrong: [string, Float64Array][] = [
    ['zeros', new Float64Array(perfect.length)],
    ['1.01 times the result', perfect.map((each) => 1.01 * each)],
  ];
  if (count > 1) wrong.push(['the result shifted by one entry', perfect.map((_, at) => perfect.at(at - width)!)]);
  for (const [what, numbers] of wrong) {
    const isBeyondBar = !(relativeL2(numbers, reference) <= bar);
    if (boundUse(numbers, reference).worstBoundUse <= 1 && !isBeyondBar) return `${what} would pass`;
  }
  return null;
}

/** Largest difference relative to the largest expected entry, for comparisons of float64 with float64. */
export function relativeToLargest(actual: OracleTensor, expected: OracleTensor): number {
  const positions = positionsOf(actual, expected.axes, expected.shape);
  invariant(positions.length === actual.re.length, 'tensors of different sizes');
  let largest = 0;
  let difference = 0;
  expected.re.forEach((re, at) => {
    const from = positions[at]!;
    const im = expected.im?.[at] ?? 0;
    const error = Math.hypot(actual.re[from]! - re, (actual.im?.[from] ?? 0) - im);
    difference = Number.isNaN(error) ? Infinity : Math.max(difference, error);
    largest = Math.max(largest, Math.hypot(re, im));
  });
  return difference === 0 ? 0 : difference / largest;
}
