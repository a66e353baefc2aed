/**
 * Loads and stores: byte addresses from element indices, with the constant part of an index in the
 * instruction's own offset, and storage types narrower than a register.
 */
import { InternalError } from '../../support/invariant.ts';
import { binary, integer } from '../../ir/kernel/builder.ts';
import {
  i32,
  storageBytes,
  withWidth,
  type KernelExpression,
  type KernelStatement,
  type KernelType,
  type StorageType,
} from '../../ir/kernel/nodes.ts';
import type { Expansion } from '../../ir/numerics/index.ts';
import { emit, placeOf, valueTypeOf, withTemporary, type Emitter } from './emitter.ts';
import { emitExpansion, emitExpression } from './expression.ts';
import type { InstructionName } from './opcodes.ts';
import { narrowBfloat, narrowHalf, widenBfloat, widenHalf } from './raise/expand-half.ts';

type Of<Kind extends KernelExpression['kind']> = Extract<KernelExpression, { readonly kind: Kind }>;
type StatementOf<Kind extends KernelStatement['kind']> = Extract<KernelStatement, { readonly kind: Kind }>;

/**
 * Largest offset that goes into an instruction. An address is computed modulo 2^32, the offset is
 * not; buffers start above this limit, so that a base plus a negative part stays a true address.
 */
const largestOffset = 65_536;

type SplitIndex = { readonly dynamic: KernelExpression | null; readonly constant: number };

function splitIndex(index: KernelExpression): SplitIndex {
  if (index.kind === 'literal') return { dynamic: null, constant: index.value };
  if (index.kind !== 'binary') return { dynamic: index, constant: 0 };
  const { operator } = index;
  if (operator === 'add' || operator === 'subtract') {
    const [left, right] = [splitIndex(index.left), splitIndex(index.right)];
    const constant = operator === 'add' ? left.constant + right.constant : left.constant - right.constant;
    if (right.dynamic === null) return { dynamic: left.dynamic, constant };
    return { dynamic: binary(operator, left.dynamic ?? integer(0), right.dynamic), constant };
  }
  if (operator === 'multiply' && index.right.kind === 'literal') {
    const left = splitIndex(index.left);
    const factor = index.right;
    const dynamic = left.dynamic === null ? null : binary('multiply', left.dynamic, factor);
    return { dynamic, constant: left.constant * factor.value };
  }
  return { dynamic: index, constant: 0 };
}

/** Leaves base + bytes * index on the stack; the result belongs into the instruction's offset. */
function emitAddress(emitter: Emitter, base: number, index: KernelExpression, bytes: number): number {
  const { dynamic, constant } = splitIndex(index);
  const offset = constant * bytes;
  const fits = offset >= 0 && offset < largestOffset;
  emit(emitter, 'local.get', base);
  if (dynamic !== null) {
    emitExpression(emitter, dynamic);
    if (bytes > 1) {
      emit(emitter, 'i32.const', Math.log2(bytes));
      emit(emitter, 'i32.shl');
    }
    emit(emitter, 'i32.add');
  }
  if (fits) return offset;
  emit(emitter, 'i32.const', offset | 0);
  emit(emitter, 'i32.add');
  return 0;
}

/** Instructions of a load: the one that reads, then those that widen. */
const loads: Readonly<
  Record<StorageType, Partial<Readonly<Record<1 | 2 | 4, readonly InstructionName[]>>>>
> = {
  f32: { 1: ['f32.load'], 2: ['v128.load64_zero'], 4: ['v128.load'] },
  i32: { 1: ['i32.load'], 2: ['v128.load64_zero'], 4: ['v128.load'] },
  u32: { 1: ['i32.load'], 2: ['v128.load64_zero'], 4: ['v128.load'] },
  f64: { 1: ['f64.load'] },
  f16: { 1: ['i32.load16_u'], 2: ['v128.load32_zero', 'i32x4.extend_low_i16x8_u'], 4: ['v128.load16x4_u'] },
  bf16: {
    1: ['i32.load16_u'],
    2: ['v128.load32_zero', 'i32x4.extend_low_i16x8_u'],
    4: ['v128.load16x4_u'],
  },
  i8: {
    1: ['i32.load8_s'],
    4: ['v128.load32_zero', 'i16x8.extend_low_i8x16_s', 'i32x4.extend_low_i16x8_s'],
  },
  u8: {
    1: ['i32.load8_u'],
    4: ['v128.load32_zero', 'i16x8.extend_low_i8x16_u', 'i32x4.extend_low_i16x8_u'],
  },
};

const widenings: Partial<Readonly<Record<StorageType, Expansion>>> = { f16: widenHalf, bf16: widenBfloat };
const narrowings: Partial<Readonly<Record<StorageType, Expansion>>> = {
  f16: narrowHalf,
  bf16: narrowBfloat,
};

/** log2 of the bytes that an instruction may assume its address to be a multiple of. */
function alignmentOf(storage: StorageType, width: number, isAligned: boolean): number {
  return Math.log2(storageBytes[storage] * (isAligned ? width : 1));
}

/** A load; `broadcast` reads one f32 into all four lanes. */
export function emitLoad(
  emitter: Emitter,
  { buffer, index, type, aligned }: Of<'load'>,
  form: 'plain' | 'broadcast',
): void {
  const { storage } = buffer;
  const emitBits = (): void => {
    const base = placeOf(emitter.bases, buffer.id, `buffer ${buffer.name}`);
    const offset = emitAddress(emitter, base, index, storageBytes[storage]);
    const names = form === 'broadcast' ? (['v128.load32_splat'] as const) : loads[storage][type.width];
    if (names === undefined) throw new InternalError(`WASM has no load of ${type.width} ${storage}`);
    const [read = 'i32.load', ...widen] = names;
    emit(emitter, read, alignmentOf(storage, type.width, aligned), offset);
    for (const name of widen) emit(emitter, name);
  };
  const widening = widenings[storage];
  if (widening === undefined) emitBits();
  else emitExpansion(emitter, widening, withWidth(i32, type.width), emitBits);
}

const scalarStores: Readonly<Record<StorageType, InstructionName>> = {
  f32: 'f32.store',
  f64: 'f64.store',
  i32: 'i32.store',
  u32: 'i32.store',
  f16: 'i32.store16',
  bf16: 'i32.store16',
  i8: 'i32.store8',
  u8: 'i32.store8',
};

/** The low `bytes` bytes of each of the four lanes, next to each other. */
const lowBytes = (bytes: 1 | 2): number[] =>
  Array.from({ length: 16 }, (_, at) => 4 * (Math.floor(at / bytes) % 4) + (at % bytes));

/** Stores the low bytes of each lane of the vector on the stack (over its address). */
function emitVectorStore(
  emitter: Emitter,
  storage: StorageType,
  width: number,
  place: { alignment: number; offset: number },
): void {
  const each = storageBytes[storage];
  if (each === 1 || each === 2) {
    withTemporary(emitter, 'v128', (wide) => {
      emit(emitter, 'local.tee', wide);
      emit(emitter, 'local.get', wide);
      emit(emitter, 'i8x16.shuffle', ...lowBytes(each));
    });
  }
  const bytes = each * width;
  if (bytes === 16) return void emit(emitter, 'v128.store', place.alignment, place.offset);
  if (bytes !== 8 && bytes !== 4) throw new InternalError(`WASM has no store of ${width} ${storage}`);
  emit(emitter, bytes === 8 ? 'v128.store64_lane' : 'v128.store32_lane', place.alignment, place.offset, 0);
}

/** A store statement. */
export function emitStore(emitter: Emitter, { buffer, index, value, aligned }: StatementOf<'store'>): void {
  const { storage } = buffer;
  const base = placeOf(emitter.bases, buffer.id, `buffer ${buffer.name}`);
  const offset = emitAddress(emitter, base, index, storageBytes[storage]);
  const narrowing = narrowings[storage];
  if (narrowing === undefined) emitExpression(emitter, value);
  else emitExpansion(emitter, narrowing, value.type, () => emitExpression(emitter, value));
  const alignment = alignmentOf(storage, value.type.width, aligned);
  if (value.type.width > 1) emitVectorStore(emitter, storage, value.type.width, { alignment, offset });
  else emit(emitter, scalarStores[storage], alignment, offset);
}

/** Bytes of one element of a register array in the scratch area. */
export function elementBytes(type: KernelType): number {
  const value = valueTypeOf(type);
  return value === 'v128' ? 16 : value === 'f64' ? 8 : 4;
}

const scratchLoads = { i32: 'i32.load', f32: 'f32.load', f64: 'f64.load', v128: 'v128.load' } as const;
const scratchStores = { i32: 'i32.store', f32: 'f32.store', f64: 'f64.store', v128: 'v128.store' } as const;

/** Reads an element of a register array. */
export function emitElement(emitter: Emitter, { array, index }: Of<'element'>): void {
  const place = placeOf(emitter.arrays, array.id, `array ${array.name}`);
  if (place.kind === 'locals') return void emit(emitter, 'local.get', place.first + constantIndex(index));
  const bytes = elementBytes(array.type);
  const offset = emitAddress(emitter, emitter.scratch, index, bytes);
  emit(emitter, scratchLoads[valueTypeOf(array.type)], Math.log2(bytes), offset + place.offset);
}

/** Reads four neighbouring f32 elements in the scratch area as a vector; `first` is the lowest. */
export function emitNeighbours(emitter: Emitter, { array, index }: Of<'element'>): void {
  const place = placeOf(emitter.arrays, array.id, `array ${array.name}`);
  if (place.kind === 'locals') throw new InternalError(`array ${array.name} is not in the scratch area`);
  const offset = emitAddress(emitter, emitter.scratch, index, elementBytes(array.type));
  emit(emitter, 'v128.load', 2, offset + place.offset);
}

/** Writes a vector to four neighbouring f32 elements in the scratch area; the index is that of the lowest. */
export function emitSetNeighbours(emitter: Emitter, { array, index, value }: StatementOf<'set-element'>): void {
  const place = placeOf(emitter.arrays, array.id, `array ${array.name}`);
  if (place.kind === 'locals') throw new InternalError(`array ${array.name} is not in the scratch area`);
  const offset = emitAddress(emitter, emitter.scratch, index, elementBytes(array.type));
  emitExpression(emitter, value);
  emit(emitter, 'v128.store', 2, offset + place.offset);
}

/** Writes an element of a register array. */
export function emitSetElement(
  emitter: Emitter,
  { array, index, value }: StatementOf<'set-element'>,
): void {
  const place = placeOf(emitter.arrays, array.id, `array ${array.name}`);
  if (place.kind === 'locals') {
    emitExpression(emitter, value);
    return void emit(emitter, 'local.set', place.first + constantIndex(index));
  }
  const bytes = elementBytes(array.type);
  const offset = emitAddress(emitter, emitter.scratch, index, bytes);
  emitExpression(emitter, value);
  emit(emitter, scratchStores[valueTypeOf(array.type)], Math.log2(bytes), offset + place.offset);
}

function constantIndex(index: KernelExpression): number {
  if (index.kind !== 'literal') throw new InternalError('register array in locals with a varying index');
  return index.value;
}
