/**
 * The operations that convolutions consist of, for all walks alike: operands in a fixed order, the
 * same operation on other operands, and the types of the results with the reason for a refusal.
 */
import type { ConvolutionOp, PowerBase, TensorType, ValueId } from './ops.ts';

/** What typing asks: the canonical order of axes and the operands' types. */
export type ConvolutionScope = {
  readonly union: (...lists: readonly (readonly string[])[]) => readonly string[];
  readonly typeOf: (id: ValueId) => TensorType;
};

/** Values of a base: step, re, im as far as it has them. */
export function operandsOfBase(base: PowerBase): readonly ValueId[] {
  const parts = base.im === null ? [base.re] : [base.re, base.im];
  return base.kind === 'exponential' && base.step !== null ? [base.step, ...parts] : parts;
}

/** Values that the operation reads, in the order that `mapConvolutionOperands` counts. */
export function operandsOfConvolution(op: ConvolutionOp): readonly ValueId[] {
  switch (op.kind) {
    case 'impulse-response':
      return [...operandsOfBase(op.base), ...op.weight];
    case 'power-moment':
      return [...operandsOfBase(op.base), op.signal];
    case 'power':
      return operandsOfBase(op.base);
    case 'convolve':
      return [op.response, op.signal];
    case 'correlate':
      return [op.late, op.early];
    default:
      return op satisfies never;
  }
}

function mapBase(base: PowerBase, at: (index: number) => ValueId): PowerBase {
  const hasStep = base.kind === 'exponential' && base.step !== null;
  const [first, im] = [hasStep ? 1 : 0, base.im === null ? null : at(hasStep ? 2 : 1)];
  if (base.kind === 'value') return { kind: 'value', re: at(0), im };
  return { kind: 'exponential', step: hasStep ? at(0) : null, re: at(first), im };
}

/** The same operation on other values, by place in `operandsOfConvolution`. */
export function mapConvolutionOperands(op: ConvolutionOp, at: (index: number) => ValueId): ConvolutionOp {
  switch (op.kind) {
    case 'impulse-response': {
      const first = operandsOfBase(op.base).length;
      return { ...op, base: mapBase(op.base, at), weight: op.weight.map((_, place) => at(first + place)) };
    }
    case 'power-moment':
      return { ...op, base: mapBase(op.base, at), signal: at(operandsOfBase(op.base).length) };
    case 'power':
      return { ...op, base: mapBase(op.base, at) };
    case 'convolve':
      return { ...op, response: at(0), signal: at(1) };
    case 'correlate':
      return { ...op, late: at(0), early: at(1) };
    default:
      return op satisfies never;
  }
}

/** Axes of a base's powers. */
export function axesOfBase(base: PowerBase, { union, typeOf }: ConvolutionScope): readonly string[] {
  return union(...operandsOfBase(base).map((id) => typeOf(id).axes));
}

function overFault(axes: readonly string[], over: readonly string[]): string | null {
  const absent = over.find((axis) => !axes.includes(axis) || axis === 'time');
  return absent === undefined ? null : `sums over ${absent}, which is absent or the time`;
}

/** Types of the results, or what is wrong. */
export function typesOfConvolution(op: ConvolutionOp, scope: ConvolutionScope): readonly TensorType[] | string {
  const { union, typeOf } = scope;
  const operands = operandsOfConvolution(op);
  if (operands.some((id) => typeOf(id).dtype !== 'real')) return `${op.kind} of a value that is not real`;
  const real = (axes: readonly string[]): TensorType => ({ dtype: 'real', axes });
  if (op.kind === 'convolve' || op.kind === 'correlate') {
    if (operands.some((id) => !typeOf(id).axes.includes('time'))) return `${op.kind} of a value that does not vary with time`;
    const axes = union(...operands.map((id) => typeOf(id).axes));
    if (op.kind === 'convolve') return [real(axes)];
    return overFault(axes, op.over) ?? [real(axes.filter((axis) => !op.over.includes(axis)))];
  }
  const base = axesOfBase(op.base, scope);
  if (base.includes('time')) return `${op.kind} of a base that varies with time`;
  const parts = op.base.im === null ? 1 : 2;
  if (op.kind === 'power') return Array.from({ length: parts }, () => real(base));
  if (!Number.isInteger(op.start) || op.start < 0 || op.start > 1) return `${op.kind} that starts at power ${op.start}`;
  if (op.kind === 'power-moment') {
    const signal = typeOf(op.signal).axes;
    if (!signal.includes('time')) return 'moment of a value that does not vary with time';
    const axes = union(base, signal).filter((axis) => axis !== 'time');
    return Array.from({ length: parts }, () => real(axes));
  }
  if (op.weight.length !== parts) return `${op.weight.length} parts of a weight for ${parts} of the base`;
  const axes = union(base, ...op.weight.map((id) => typeOf(id).axes));
  if (axes.includes('time')) return 'a weight that varies with time';
  return overFault(axes, op.over) ?? [real(union(axes.filter((axis) => !op.over.includes(axis)), ['time']))];
}
