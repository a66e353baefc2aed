/**
 * Which WebAssembly instructions an operator or a conversion of Kernel IR becomes, by element type.
 * Operators that are not listed are composed of others in expression.ts.
 */
import { InternalError } from '../../support/invariant.ts';
import type { BinaryOperator, ElementType, UnaryOperator } from '../../ir/kernel/nodes.ts';
import type { InstructionName } from './opcodes.ts';

type Names<Operator extends string> = Partial<Readonly<Record<Operator, InstructionName>>>;

const floatOperators: Names<BinaryOperator> = {
  'add': 'f32.add', 'subtract': 'f32.sub', 'multiply': 'f32.mul', 'divide': 'f32.div',
  'minimum': 'f32.min', 'maximum': 'f32.max',
  'less': 'f32.lt', 'less-equal': 'f32.le', 'equal': 'f32.eq', 'not-equal': 'f32.ne',
};
const doubleOperators: Names<BinaryOperator> = {
  'add': 'f64.add', 'subtract': 'f64.sub', 'multiply': 'f64.mul', 'divide': 'f64.div',
  'minimum': 'f64.min', 'maximum': 'f64.max',
  'less': 'f64.lt', 'less-equal': 'f64.le', 'equal': 'f64.eq', 'not-equal': 'f64.ne',
};
const integerOperators: Names<BinaryOperator> = {
  'add': 'i32.add', 'subtract': 'i32.sub', 'multiply': 'i32.mul', 'divide': 'i32.div_u',
  'remainder': 'i32.rem_u',
  'shift-left': 'i32.shl', 'shift-right': 'i32.shr_s', 'bit-and': 'i32.and', 'bit-or': 'i32.or',
  'and': 'i32.and', 'or': 'i32.or',
  'less': 'i32.lt_s', 'less-equal': 'i32.le_s', 'equal': 'i32.eq', 'not-equal': 'i32.ne',
};
const unsignedOperators: Names<BinaryOperator> = {
  ...integerOperators, 'shift-right': 'i32.shr_u', 'less': 'i32.lt_u', 'less-equal': 'i32.le_u',
};

const floatVectorOperators: Names<BinaryOperator> = {
  'add': 'f32x4.add', 'subtract': 'f32x4.sub', 'multiply': 'f32x4.mul', 'divide': 'f32x4.div',
  'minimum': 'f32x4.min', 'maximum': 'f32x4.max',
  'less': 'f32x4.lt', 'less-equal': 'f32x4.le', 'equal': 'f32x4.eq', 'not-equal': 'f32x4.ne',
};
const integerVectorOperators: Names<BinaryOperator> = {
  'add': 'i32x4.add', 'subtract': 'i32x4.sub', 'multiply': 'i32x4.mul', 'minimum': 'i32x4.min_s',
  'maximum': 'i32x4.max_s',
  'bit-and': 'v128.and', 'bit-or': 'v128.or', 'and': 'v128.and', 'or': 'v128.or',
  'less': 'i32x4.lt_s', 'less-equal': 'i32x4.le_s', 'equal': 'i32x4.eq', 'not-equal': 'i32x4.ne',
};
const unsignedVectorOperators: Names<BinaryOperator> = {
  ...integerVectorOperators, 'minimum': 'i32x4.min_u', 'maximum': 'i32x4.max_u', 'less': 'i32x4.lt_u',
  'less-equal': 'i32x4.le_u',
};

/** Instructions on scalars, by element type of the operands. */
export const scalarOperators: Readonly<Record<ElementType, Names<BinaryOperator>>> = {
  f32: floatOperators, f64: doubleOperators, i32: integerOperators, u32: unsignedOperators,
  bool: integerOperators,
};
/** Instructions on vectors; what is missing here is done lane by lane. */
export const vectorOperators: Readonly<Record<ElementType, Names<BinaryOperator>>> = {
  f32: floatVectorOperators, f64: {}, i32: integerVectorOperators, u32: unsignedVectorOperators,
  bool: integerVectorOperators,
};

/** Operators of one operand. */
export const unaryNames: Readonly<Record<'f32' | 'f64' | 'f32x4' | 'i32x4', Names<UnaryOperator>>> = {
  'f32': { 'negate': 'f32.neg', 'absolute': 'f32.abs', 'floor': 'f32.floor', 'square-root': 'f32.sqrt' },
  'f64': { 'negate': 'f64.neg', 'absolute': 'f64.abs', 'floor': 'f64.floor', 'square-root': 'f64.sqrt' },
  'f32x4': { 'negate': 'f32x4.neg', 'absolute': 'f32x4.abs', 'floor': 'f32x4.floor',
  'square-root': 'f32x4.sqrt' },
  'i32x4': { 'negate': 'i32x4.neg', 'absolute': 'i32x4.abs' },
};

/** Conversions by `from to`, as the instructions to apply in order. */
export const scalarConversions: Readonly<Record<string, readonly InstructionName[]>> = {
  'f32 i32': ['i32.trunc_sat_f32_s'], 'f32 u32': ['i32.trunc_sat_f32_u'],
  'f64 i32': ['i32.trunc_sat_f64_s'], 'f64 u32': ['i32.trunc_sat_f64_u'],
  'i32 f32': ['f32.convert_i32_s'], 'u32 f32': ['f32.convert_i32_u'], 'i32 f64': ['f64.convert_i32_s'],
  'u32 f64': ['f64.convert_i32_u'],
  'f32 f64': ['f64.promote_f32'], 'f64 f32': ['f32.demote_f64'], 'bool f32': ['f32.convert_i32_s'],
  'bool f64': ['f64.convert_i32_s'],
  'i32 u32': [], 'u32 i32': [], 'bool i32': [], 'bool u32': [],
  'i32 bool': ['i32.eqz', 'i32.eqz'], 'u32 bool': ['i32.eqz', 'i32.eqz'],
};
/** Conversions of vectors, by `from to`. */
export const vectorConversions: Readonly<Record<string, readonly InstructionName[]>> = {
  'f32 i32': ['i32x4.trunc_sat_f32x4_s'], 'f32 u32': ['i32x4.trunc_sat_f32x4_u'],
  'i32 f32': ['f32x4.convert_i32x4_s'], 'u32 f32': ['f32x4.convert_i32x4_u'],
  'i32 u32': [], 'u32 i32': [], 'bool i32': ['i32x4.neg'], 'bool u32': ['i32x4.neg'],
};

/** Refuses what the target's kernels must not contain (a bug of an earlier pass, never of the user's text). */
export function unsupported(what: string): never {
  throw new InternalError(`SSM5003: WASM has no ${what}`);
}
