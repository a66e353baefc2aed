/** Operands of Tensor IR operations, once for all walks and rewrites. */
import { required } from '../../support/invariant.ts';
import { mapConvolutionOperands, operandsOfConvolution } from './convolution.ts';
import type { TensorInstruction, TensorOp, TensorType, TensorValue, ValueId } from './ops.ts';

/** Values (of the enclosing function) that an operation reads; a region's inner uses are not listed. */
export function operandsOf(op: TensorOp): readonly ValueId[] {
  switch (op.kind) {
    case 'argument':
    case 'constant':
    case 'length':
    case 'iota':
      return [];
    case 'unary':
    case 'part':
    case 'broadcast':
    case 'rename':
    case 'reduce':
    case 'slide':
    case 'last':
    case 'at-last':
      return [op.operand];
    case 'delay':
      return op.tail === null ? [op.operand] : [op.operand, op.tail.value];
    case 'binary':
    case 'contract':
      return [op.left, op.right];
    case 'select':
      return [op.condition, op.whenTrue, op.whenFalse];
    case 'complex':
    case 'analytic':
      return [op.re, op.im];
    case 'gather':
      return [op.table, op.index];
    case 'scatter-add':
      return [op.values, op.index];
    case 'impulse-response':
    case 'power-moment':
    case 'power':
    case 'convolve':
    case 'correlate':
      return operandsOfConvolution(op);
    case 'affine-scan':
      return [...op.operands, ...(op.initial ?? []), ...(op.history?.initial ?? []), ...(op.history?.checkpoints ?? [])];
    default:
      return op satisfies never;
  }
}

/** The same operation with its operands replaced; the same object when nothing changed. */
export function mapOperands(op: TensorOp, change: (id: ValueId) => ValueId): TensorOp {
  const before = operandsOf(op);
  const after = before.map(change);
  if (after.every((each, at) => each === before[at])) return op;
  const at = (index: number): ValueId => required(after[index], 'operand');
  switch (op.kind) {
    case 'argument':
    case 'constant':
    case 'length':
    case 'iota':
      return op;
    case 'unary':
    case 'part':
    case 'broadcast':
    case 'rename':
    case 'reduce':
    case 'slide':
    case 'last':
    case 'at-last':
      return { ...op, operand: at(0) };
    case 'delay':
      return { ...op, operand: at(0), tail: op.tail === null ? null : { ...op.tail, value: at(1) } };
    case 'binary':
    case 'contract':
      return { ...op, left: at(0), right: at(1) };
    case 'select':
      return { ...op, condition: at(0), whenTrue: at(1), whenFalse: at(2) };
    case 'complex':
    case 'analytic':
      return { ...op, re: at(0), im: at(1) };
    case 'gather':
      return { ...op, table: at(0), index: at(1) };
    case 'scatter-add':
      return { ...op, values: at(0), index: at(1) };
    case 'impulse-response':
    case 'power-moment':
    case 'power':
    case 'convolve':
    case 'correlate':
      return mapConvolutionOperands(op, at);
    case 'affine-scan': {
      let next = 0;
      const take = (count: number): ValueId[] => after.slice(next, (next += count));
      const operands = take(op.operands.length);
      const initial = op.initial === null ? null : take(op.initial.length);
      if (op.history === null) return { ...op, operands, initial };
      const historyInitial = op.history.initial === null ? null : take(op.history.initial.length);
      const checkpoints = take(op.history.checkpoints.length);
      return { ...op, operands, initial, history: { ...op.history, initial: historyInitial, checkpoints } };
    }
    default:
      return op satisfies never;
  }
}

/** Where each value of a list is defined. */
export function definitionsOf(instructions: readonly TensorInstruction[]): ReadonlyMap<ValueId, TensorInstruction> {
  const map = new Map<ValueId, TensorInstruction>();
  for (const instruction of instructions) for (const value of instruction.results) map.set(value.id, instruction);
  return map;
}

/** Types of all values of a list, beside `also` (a region's parameters and states). */
export function typesOf(
  instructions: readonly TensorInstruction[],
  also: readonly TensorValue[] = [],
): ReadonlyMap<ValueId, TensorType> {
  const map = new Map<ValueId, TensorType>();
  for (const value of also) map.set(value.id, value.type);
  for (const instruction of instructions) for (const value of instruction.results) map.set(value.id, value.type);
  return map;
}

/** The values a region may use without defining them: parameters, states and replayed states. */
export function regionInputs(op: Extract<TensorOp, { kind: 'affine-scan' }>): readonly TensorValue[] {
  return [...op.parameters, ...op.previous, ...op.current, ...(op.history?.previous ?? []), ...(op.history?.current ?? [])];
}

/** The region values that leave it or drive the recurrence: the roots for dead-code walks. */
export function regionRoots(op: Extract<TensorOp, { kind: 'affine-scan' }>): readonly ValueId[] {
  const ofCoefficient = (coefficient: typeof op.coefficient): readonly ValueId[] =>
    coefficient.kind === 'exponent' ? [coefficient.exponent] : coefficient.parts;
  const history = op.history === null ? [] : [...ofCoefficient(op.history.coefficient), ...op.history.drive];
  return [...ofCoefficient(op.coefficient), ...op.drive, ...(op.release ?? []), ...op.yields.map((each) => each.value), ...history];
}
