/**
 * The verdict on one tensor of one run. Wrong is what leaves the derived bound; what stays within a
 * bound that would also let zeros, a shift or a factor of 1.01 pass counts only if it keeps a relative
 * bar as well, and is counted apart (vacuous) otherwise.
 */
import type { GradientResult } from '../oracle/evaluate.ts';
import type { BoundedTensor } from '../oracle/node-tensor.ts';
import { compare } from '../oracle/agreement.ts';
import { parameterGradientBars } from '../oracle/tolerances.ts';
import { tensorKey } from '../../ir/tensor/interpret.ts';
import type { Storage } from './case.ts';

export type Verdict = {
  readonly kind: 'right' | 'vacuous' | 'wrong';
  /** what was compared, and by how much it is off */
  readonly detail: string;
  /** largest |error| / bound */
  readonly use: number;
};

/** Numbers of a tensor of a run; complex ones interleaved. */
export type RunTensor = { readonly numbers: Float64Array; readonly axes: readonly string[] };
/** By role and subject. */
export type RunResults = ReadonlyMap<string, RunTensor>;

export type Standard = {
  readonly storage: Storage;
  /** of the bound: below 1 for float64 */
  readonly boundFactor: number;
  /** relative L2 error of gradients up to which an entry beyond its bound is not wrong but vacuous: their bounds are of first order */
  readonly gradientBar: number;
  /** convolutions are accurate normwise only: the bound is that of the tensor's norm */
  readonly normwise: boolean;
};

/** Half of f16's least number. Devices flush f32 below 2^-126 to zero, and multiply what was flushed on its way to a result. */
const leastStep: Readonly<Record<Storage, number>> = { f32: 2 ** -116, f16: 2 ** -25, bf16: 2 ** -116 };

/** The bound of every entry, as large as the rule of the standard makes it. */
function widened(expected: BoundedTensor, { storage, boundFactor, normwise }: Standard): BoundedTensor {
  const extra = leastStep[storage] * (expected.im === null ? 1 : Math.SQRT2);
  if (!normwise) return { ...expected, bound: expected.bound.map((each) => each * boundFactor + extra) };
  const size = Math.sqrt(expected.re.reduce((sum, re, at) => sum + re * re + (expected.im?.[at] ?? 0) ** 2, 0) / Math.max(1, expected.re.length));
  const bound = Math.sqrt(expected.bound.reduce((sum, each) => sum + each * each, 0) / Math.max(1, expected.re.length));
  return { ...expected, bound: expected.bound.map((each) => each * boundFactor + extra + 8 * bound + 4e-6 * size) };
}

/** The verdict on one tensor; `use` above 1 is wrong. */
export function judgeTensor(actual: RunTensor, expected: BoundedTensor, standard: Standard, isGradient: boolean = false): Verdict {
  const reference = widened(expected, standard);
  const first = compare(actual.numbers, reference, { axes: actual.axes });
  const use = first.worstBoundUse;
  if (!reference.bound.every(Number.isFinite)) return { kind: 'vacuous', use: 0, detail: 'the bound is not finite' };
  if (use > 1 && isGradient && first.relativeL2 <= standard.gradientBar) {
    return { kind: 'vacuous', use: 0, detail: `use ${use.toPrecision(3)} of a bound of first order; relative L2 ${first.relativeL2.toExponential(1)}` };
  }
  if (use > 1) return { kind: 'wrong', use, detail: `use ${use.toPrecision(3)} of the bound at ${first.worstPosition}, relative L2 ${first.relativeL2.toExponential(1)}` };
  if (first.vacuous === null || isTrivial(expected)) return { kind: 'right', use, detail: '' };
  const second = compare(actual.numbers, reference, { axes: actual.axes, relativeL2Bar: parameterGradientBars[standard.storage] });
  if (second.isAccepted) return { kind: 'right', use, detail: '' };
  return { kind: 'vacuous', use, detail: `${first.vacuous}; relative L2 ${first.relativeL2.toExponential(1)}` };
}

/** Results that are zero by nature (a gradient across a reset, a softmax of one entry): the bound alone says so. */
function isTrivial({ re, im }: BoundedTensor): boolean {
  return re.every((each) => each === 0) && (im?.every((each) => each === 0) ?? true);
}

/** All expected tensors by `role:subject`. */
export function expectedTensors(answers: GradientResult): ReadonlyMap<string, BoundedTensor> {
  const of = (role: string, tensors: ReadonlyMap<string, BoundedTensor>): [string, BoundedTensor][] =>
    [...tensors].map(([name, tensor]) => [tensorKey(role, name), tensor]);
  const { inputs, params, initial } = answers.gradients;
  return new Map([...of('output', answers.outputs), ...of('final', answers.final), ...of('gradient', inputs), ...of('gradient', params), ...of('gradient', initial)]);
}
