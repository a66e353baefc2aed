/**
 * Four neighbouring f32 elements of a register array in the scratch area, read as the lanes of one
 * vector or written from them: one access instead of four, where schedules pass values between code
 * that has channels side by side and code that has one.
 */
import type { ArrayId, KernelExpression, KernelStatement, RegisterArray, VariableId } from '../../ir/kernel/nodes.ts';
import type { Emitter } from './emitter.ts';

type Place = { readonly variable: VariableId | null; readonly constant: number };

/** A name plus a constant, or a constant. */
function placeOfIndex(index: KernelExpression): Place | null {
  if (index.kind === 'literal') return { variable: null, constant: index.value };
  if (index.kind === 'variable') return { variable: index.variable.id, constant: 0 };
  if (index.kind !== 'binary' || index.operator !== 'add' || index.right.kind !== 'literal') return null;
  const left = placeOfIndex(index.left);
  return left === null ? null : { ...left, constant: left.constant + index.right.value };
}

function isInScratch(emitter: Emitter, array: RegisterArray): boolean {
  return array.type.element === 'f32' && array.type.width === 1 && emitter.arrays.get(array.id)?.kind === 'scratch';
}

/** Whether the accesses are to elements i, i + 1, … of one array in the scratch area. */
function areNeighbours(emitter: Emitter, accesses: readonly { readonly array: RegisterArray; readonly index: KernelExpression }[]): boolean {
  const [first] = accesses;
  const start = first === undefined ? null : placeOfIndex(first.index);
  if (first === undefined || start === null || !isInScratch(emitter, first.array)) return false;
  const id: ArrayId = first.array.id;
  return accesses.every(({ array, index }, at) => {
    const place = placeOfIndex(index);
    return array.id === id && place !== null && place.variable === start.variable && place.constant === start.constant + at;
  });
}

/** The element with the lowest index if four operands are neighbours, else null. */
export function neighbouringElements(
  emitter: Emitter,
  operands: readonly KernelExpression[],
): Extract<KernelExpression, { readonly kind: 'element' }> | null {
  const elements = operands.flatMap((each) => (each.kind === 'element' ? [each] : []));
  const [first] = elements;
  const isRun = first !== undefined && elements.length === 4 && operands.length === 4 && areNeighbours(emitter, elements);
  return isRun ? first : null;
}

type SetElement = Extract<KernelStatement, { readonly kind: 'set-element' }>;

/** If the statements from `at` on write the lanes of one named vector to neighbours: the write of the vector. */
export function writeOfLanes(emitter: Emitter, statements: readonly KernelStatement[], at: number): SetElement | null {
  const writes = statements.slice(at, at + 4).flatMap((each) => (each.kind === 'set-element' ? [each] : []));
  const [first] = writes;
  if (first === undefined || writes.length < 4 || first.value.kind !== 'extract') return null;
  const { operand } = first.value;
  if (operand.kind !== 'variable' || operand.type.width !== 4) return null;
  const areLanes = writes.every(({ value }, lane) =>
    value.kind === 'extract' && value.lane === lane && value.operand.kind === 'variable' && value.operand.variable.id === operand.variable.id);
  return areLanes && areNeighbours(emitter, writes) ? { ...first, value: operand } : null;
}
