/**
 * Instructions on the lanes of vectors: making, taking apart, adding across, and operators that exist
 * for scalars only.
 */
import { literal } from '../../ir/kernel/builder.ts';
import { withWidth, type KernelExpression, type KernelType } from '../../ir/kernel/nodes.ts';
import { emit, withTemporary, type Emitter } from './emitter.ts';
import { emitExpression } from './expression.ts';
import { emitLoad, emitNeighbours } from './memory.ts';
import { neighbouringElements } from './neighbours.ts';
import { scalarOperators, unsupported } from './operators.ts';

type Of<Kind extends KernelExpression['kind']> = Extract<KernelExpression, { readonly kind: Kind }>;

/** Applies a scalar operation lane by lane where the instruction set has no vector form. */
export function emitPerLane(emitter: Emitter, { operator, left, right, type }: Of<'binary'>): void {
  const laneType = withWidth(type, 1);
  withTemporary(emitter, 'v128', (a) =>
    withTemporary(emitter, 'v128', (b) => {
      emitExpression(emitter, left);
      emit(emitter, 'local.set', a);
      emitExpression(emitter, right);
      emit(emitter, 'local.set', b);
      for (let lane = 0; lane < type.width; lane++) {
        emit(emitter, 'local.get', a);
        emitExtract(emitter, withWidth(left.type, 1), lane);
        emit(emitter, 'local.get', b);
        emitExtract(emitter, withWidth(right.type, 1), lane);
        emit(
          emitter,
          scalarOperators[left.type.element][operator] ??
            unsupported(`${operator} of ${left.type.element}`),
        );
        emitPlaceLane(emitter, laneType, lane);
      }
    }),
  );
}

/** A shift of all lanes by one amount, or lane by lane. */
export function emitShift(emitter: Emitter, expression: Of<'binary'>): void {
  const { operator, left, right, type } = expression;
  const amount =
    right.kind === 'literal'
      ? literal(right.value, withWidth(right.type, 1))
      : right.kind === 'splat'
        ? right.operand
        : null;
  if (amount === null) return emitPerLane(emitter, expression);
  emitExpression(emitter, left);
  emitExpression(emitter, amount);
  emit(
    emitter,
    operator === 'shift-left' ? 'i32x4.shl' : type.element === 'u32' ? 'i32x4.shr_u' : 'i32x4.shr_s',
  );
}

/** Turns a vector on the stack into one of its lanes. */
export function emitExtract(emitter: Emitter, laneType: KernelType, lane: number): void {
  emit(emitter, laneType.element === 'f32' ? 'f32x4.extract_lane' : 'i32x4.extract_lane', lane);
  if (laneType.element === 'bool') {
    emit(emitter, 'i32.const', 1);
    emit(emitter, 'i32.and');
  }
}

/** Puts the scalar on the stack into a lane; for lane 0 it makes the vector. */
function emitPlaceLane(emitter: Emitter, laneType: KernelType, lane: number): void {
  if (laneType.element === 'bool') {
    emit(emitter, 'i32.const', -1);
    emit(emitter, 'i32.mul');
  }
  const family = laneType.element === 'f32' ? 'f32x4' : 'i32x4';
  if (lane === 0) emit(emitter, `${family}.splat`);
  else emit(emitter, `${family}.replace_lane`, lane);
}

/** One scalar in all lanes; an f32 from memory is read there directly. */
export function emitSplat(emitter: Emitter, { operand }: Of<'splat'>): void {
  if (operand.kind === 'load' && operand.buffer.storage === 'f32')
    return emitLoad(emitter, operand, 'broadcast');
  emitExpression(emitter, operand);
  emitPlaceLane(emitter, operand.type, 0);
}

/** A vector of scalars. */
export function emitCompose(emitter: Emitter, { operands }: Of<'compose'>): void {
  const neighbours = neighbouringElements(emitter, operands);
  if (neighbours !== null) return emitNeighbours(emitter, neighbours);
  operands.forEach((operand, lane) => {
    emitExpression(emitter, operand);
    emitPlaceLane(emitter, operand.type, lane);
  });
}

/** (0 + 2) + (1 + 3). */
export function emitHorizontalAdd(emitter: Emitter, { operand, type }: Of<'horizontal-add'>): void {
  withTemporary(emitter, 'v128', (vector) => {
    emitExpression(emitter, operand);
    emit(emitter, 'local.set', vector);
    const family = type.element === 'f32' ? 'f32x4' : 'i32x4';
    if (operand.type.width === 4) {
      emit(emitter, 'local.get', vector);
      emit(emitter, 'local.get', vector);
      emit(emitter, 'local.get', vector);
      emit(emitter, 'i8x16.shuffle', 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
      emit(emitter, `${family}.add`);
      emit(emitter, 'local.set', vector);
    }
    for (const lane of [0, 1]) {
      emit(emitter, 'local.get', vector);
      emitExtract(emitter, type, lane);
    }
    emit(emitter, type.element === 'f32' ? 'f32.add' : 'i32.add');
  });
}
