/**
 * Scalar meaning of the operators, conversions and storage types of Kernel IR, for the interpreter:
 * tables of functions on numbers, and what brings a result into its type. Integers wrap after the
 * overflow is reported, so that a run in collecting mode goes on with defined values.
 */
import { bitsOfF32, f32OfBits, roundToBf16, roundToF16 } from '../../support/float-bits.ts';
import { assertNever } from '../../support/invariant.ts';
import type { Machine } from './interpret-machine.ts';
import type { BinaryOperator, ElementType, StorageType, UnaryOperator } from './nodes.ts';

/** Results before rounding. */
export const unaryFunctions: Readonly<Record<UnaryOperator, (value: number) => number>> = {
  'negate': (value) => -value,
  'not': (value) => 1 - value,
  'absolute': Math.abs,
  'floor': Math.floor,
  'square-root': Math.sqrt,
  'exp2': (value) => 2 ** value,
  'log2': Math.log2,
  'sine': Math.sin,
  'cosine': Math.cos,
};

/** Results before rounding; integer operators that need care are in `integerFunction`. The frequent ones come first. */
export function applyBinary(operator: BinaryOperator, left: number, right: number): number {
  switch (operator) {
    case 'multiply': return left * right;
    case 'add': return left + right;
    case 'subtract': return left - right;
    case 'less': return left < right ? 1 : 0;
    case 'divide': return left / right;
    case 'minimum': return Math.min(left, right);
    case 'maximum': return Math.max(left, right);
    case 'and':
    case 'bit-and': return left & right;
    case 'or':
    case 'bit-or': return left | right;
    case 'less-equal': return left <= right ? 1 : 0;
    case 'equal': return left === right ? 1 : 0;
    case 'not-equal': return left === right ? 0 : 1;
    case 'remainder': return left % right;
    case 'shift-left': return left << right;
    case 'shift-right': return left >> right;
    default: return assertNever(operator, 'applyBinary');
  }
}

/** A result of one invocation brought into its type. */
export type Finish = (value: number, invocation: number) => number;

/** Brings a result into its type: rounding of f32, overflow check of i32, wrapping of u32. */
export function finisher(machine: Machine, element: ElementType): Finish | null {
  if (element === 'f32') return machine.rounding === 'f32' ? Math.fround : null;
  if (element === 'u32') return (value) => value >>> 0;
  if (element !== 'i32') return null;
  return (value, invocation) => {
    const wrapped = value | 0;
    if (wrapped !== value) machine.report('integer-overflow', { invocation });
    return wrapped;
  };
}

/** Integer operators with operands that no target defines. */
export const needsCare: ReadonlySet<BinaryOperator> = new Set(['divide', 'remainder', 'shift-left', 'shift-right']);

/** Unsigned operators, and those of both kinds whose operands are checked, before `finisher`. */
export function integerFunction(
  operator: BinaryOperator, element: 'i32' | 'u32', machine: Machine,
): (left: number, right: number, invocation: number) => number {
  switch (operator) {
    case 'divide':
    case 'remainder':
      return (left, right, invocation) => {
        if (left < 0 || right <= 0) machine.report('integer-division', { invocation });
        return right === 0 ? 0 : Math.trunc(applyBinary(operator, left, right));
      };
    case 'shift-left':
    case 'shift-right':
      return (left, right, invocation) => {
        if (right < 0 || right > 31) machine.report('integer-overflow', { invocation });
        return operator === 'shift-right' && element === 'u32' ? left >>> right : applyBinary(operator, left, right);
      };
    case 'multiply':
      return Math.imul;
    default:
      return (left, right) => applyBinary(operator, left, right);
  }
}

/** Float to integer truncates and saturates, NaN gives 0; a finite number out of range is reported. */
export function conversion(from: ElementType, to: ElementType, machine: Machine): Finish {
  if (to === 'f32') return machine.rounding === 'f32' ? Math.fround : (value) => value;
  if (to === 'f64' || to === 'bool') return (value) => value;
  if (from !== 'f32' && from !== 'f64') return to === 'u32' ? (value) => value >>> 0 : (value) => value | 0;
  const [least, most] = to === 'u32' ? [0, 2 ** 32 - 1] : [-(2 ** 31), 2 ** 31 - 1];
  return (value, invocation) => {
    if (Number.isNaN(value)) return 0;
    const whole = Math.trunc(value);
    if (Number.isFinite(whole) && (whole < least || whole > most)) machine.report('integer-overflow', { invocation });
    return Math.min(most, Math.max(least, whole)) + 0;
  };
}

/** Same bits, another type of 32 bits. */
export function reinterpretation(from: ElementType, to: ElementType): (value: number) => number {
  const bits = from === 'f32' ? bitsOfF32 : (value: number): number => value >>> 0;
  if (to === 'f32') return (value) => f32OfBits(bits(value));
  return to === 'i32' ? (value) => bits(value) | 0 : bits;
}

/** Rounding of a stored value to what the storage type can hold; null where it holds every value. */
export function storageRounding(storage: StorageType, machine: Machine): ((value: number) => number) | null {
  switch (storage) {
    case 'f16': return machine.rounding === 'f32' ? roundToF16 : null;
    case 'bf16': return machine.rounding === 'f32' ? roundToBf16 : null;
    case 'f32': return machine.rounding === 'f32' ? Math.fround : null;
    case 'i8': return (value) => (value << 24) >> 24;
    case 'u8': return (value) => value & 255;
    case 'f64':
    case 'i32':
    case 'u32':
      return null;
    default: return assertNever(storage, 'storageRounding');
  }
}
