/**
 * Reverse-mode rules of the operations that convolutions consist of. They stay among themselves: a
 * response hands its weight a moment of the cotangent, a moment hands its signal a response, and the
 * base gets moments with the factor n. Nothing of size time × state appears.
 */
import { required } from '../../support/invariant.ts';
import type { TensorBuilder } from '../tensor/builder.ts';
import { operandsOfBase } from '../tensor/convolution.ts';
import type { ConvolutionOp, PowerBase, PowerFactor, TensorType, ValueId } from '../tensor/ops.ts';

type Rules = {
  readonly builder: TensorBuilder;
  /** the value, in the builder's list, of a primal value */
  readonly primal: (id: ValueId) => ValueId;
  readonly typeOf: (id: ValueId) => TensorType;
};
type Contribution = { readonly operand: ValueId; readonly cotangent: ValueId };
type Pair = readonly [ValueId, ValueId];
type Of<Kind extends ConvolutionOp['kind']> = Extract<ConvolutionOp, { kind: Kind }>;

/** Contributions to the operands' cotangents; `cotangents` by result, null where nothing arrived. */
export function pullBackConvolution(rules: Rules, op: ConvolutionOp, cotangents: readonly (ValueId | null)[]): readonly Contribution[] {
  if (cotangents.every((each) => each === null)) return [];
  const { builder } = rules;
  const [first, second] = [cotangents[0] ?? builder.constant(0), cotangents[1] ?? builder.constant(0)];
  switch (op.kind) {
    case 'impulse-response':
      return pullBackResponse(rules, op, first);
    case 'power-moment':
      return pullBackMoment(rules, op, [first, second]);
    case 'power': {
      requirePower(op.factor);
      const slope = pairOf(builder, builder.convolution({ ...op, base: mapped(rules, op.base), factor: slopeOf(op.base) }, 'slope'));
      return toBase(rules, op.base, conjugateProduct(builder, slope, [first, second]));
    }
    case 'convolve':
      return pullBackConvolve(rules, op, first);
    case 'correlate':
      return [
        { operand: op.late, cotangent: convolved(builder, first, rules.primal(op.early), 'forward') },
        { operand: op.early, cotangent: convolved(builder, first, rules.primal(op.late), 'reverse') },
      ];
    default:
      return op satisfies never;
  }
}

function requirePower(factor: PowerFactor): void {
  if (factor !== 'power') throw new Error('second derivatives of convolutions are not supported');
}

/** The factor whose powers are the derivative by what `toBase` takes: log a, or a. */
const slopeOf = (base: PowerBase): PowerFactor => (base.kind === 'exponential' ? 'count' : 'derivative');

function mapped({ primal }: Rules, base: PowerBase): PowerBase {
  const [re, im] = [primal(base.re), base.im === null ? null : primal(base.im)];
  return base.kind === 'value' ? { kind: 'value', re, im } : { kind: 'exponential', step: base.step === null ? null : primal(base.step), re, im };
}

function pairOf(builder: TensorBuilder, parts: readonly ValueId[]): Pair {
  return [required(parts[0], 'real part'), parts[1] ?? builder.constant(0)];
}

/** conj(left) · right */
function conjugateProduct(builder: TensorBuilder, left: Pair, right: Pair): Pair {
  return [
    builder.add(builder.multiply(left[0], right[0]), builder.multiply(left[1], right[1])),
    builder.subtract(builder.multiply(left[0], right[1]), builder.multiply(left[1], right[0])),
  ];
}

/** From the gradient by log a (exponential) or by a (value) to the base's values. */
function toBase({ builder, primal }: Rules, base: PowerBase, gradient: Pair): readonly Contribution[] {
  const [re, im] = gradient;
  if (base.kind === 'value') return [{ operand: base.re, cotangent: re }, ...(base.im === null ? [] : [{ operand: base.im, cotangent: im }])];
  const scaled = (value: ValueId): ValueId => (base.step === null ? value : builder.multiply(primal(base.step), value));
  const parts = [{ operand: base.re, cotangent: scaled(re) }, ...(base.im === null ? [] : [{ operand: base.im, cotangent: scaled(im) }])];
  if (base.step === null) return parts;
  const along = builder.multiply(primal(base.re), re);
  const across = base.im === null ? builder.constant(0) : builder.multiply(primal(base.im), im);
  return [...parts, { operand: base.step, cotangent: builder.add(along, across) }];
}

/** r = Re(w · a^n): dw = conj(Σ ct · a^n), d log a = conj(w · Σ ct · n · a^n). */
function pullBackResponse(rules: Rules, op: Of<'impulse-response'>, cotangent: ValueId): readonly Contribution[] {
  const { builder, primal } = rules;
  const { start, order } = op;
  const moment = (factor: PowerFactor): Pair =>
    pairOf(builder, builder.convolution({ kind: 'power-moment', base: mapped(rules, op.base), signal: cotangent, start, order, factor }, 'moment'));
  const [re, im] = moment('power');
  const weight = pairOf(builder, op.weight.map(primal));
  const slope = moment(slopeOf(op.base));
  const gradient: Pair = [
    builder.subtract(builder.multiply(weight[0], slope[0]), builder.multiply(weight[1], slope[1])),
    builder.unary('negate', builder.add(builder.multiply(weight[0], slope[1]), builder.multiply(weight[1], slope[0]))),
  ];
  const toWeight = op.weight.map((operand, part) => ({ operand, cotangent: part === 0 ? re : builder.unary('negate', im) }));
  return [...toWeight, ...toBase(rules, op.base, gradient)];
}

/** m = Σ a^n · s_t: ds_t = Re(conj(ct) · a^n), d log a = conj(Σ n · a^n · s_t) · ct. */
function pullBackMoment(rules: Rules, op: Of<'power-moment'>, cotangents: Pair): readonly Contribution[] {
  requirePower(op.factor);
  const { builder, primal, typeOf } = rules;
  const base = mapped(rules, op.base);
  const all = new Set([...operandsOfBase(base), ...cotangents].flatMap((id) => builder.typeOf(id).axes));
  const own = typeOf(op.signal).axes;
  const weight = op.base.im === null ? [cotangents[0]] : [cotangents[0], builder.unary('negate', cotangents[1])];
  const over = [...all].filter((axis) => !own.includes(axis));
  const signal = builder.convolution({ kind: 'impulse-response', base, weight, over, start: op.start, order: op.order }, 'response');
  const slope = pairOf(builder, builder.convolution({ ...op, base, signal: primal(op.signal), factor: slopeOf(op.base) }, 'slope'));
  return [{ operand: op.signal, cotangent: required(signal[0], 'response') }, ...toBase(rules, op.base, conjugateProduct(builder, slope, cotangents))];
}

function convolved(builder: TensorBuilder, response: ValueId, signal: ValueId, order: 'forward' | 'reverse'): ValueId {
  return required(builder.convolution({ kind: 'convolve', response, signal, order }, 'convolved')[0], 'convolution');
}

function pullBackConvolve(rules: Rules, op: Of<'convolve'>, cotangent: ValueId): readonly Contribution[] {
  const { builder, primal, typeOf } = rules;
  const signal = primal(op.signal);
  const isForward = op.order === 'forward';
  const [late, early] = isForward ? [cotangent, signal] : [signal, cotangent];
  const own = typeOf(op.response).axes;
  const present = new Set([...builder.typeOf(late).axes, ...builder.typeOf(early).axes]);
  const over = [...present].filter((axis) => !own.includes(axis));
  const response = required(builder.convolution({ kind: 'correlate', late, early, over }, 'correlated')[0], 'correlation');
  return [
    { operand: op.response, cotangent: response },
    { operand: op.signal, cotangent: convolved(builder, primal(op.response), cotangent, isForward ? 'reverse' : 'forward') },
  ];
}
