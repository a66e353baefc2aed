/**
 * The WebAssembly instructions that kernels use, with their encodings (core specification 2.0,
 * section 5.4: numeric and SIMD128 instructions). One table serves the encoder and the text printer.
 */

/** What follows the opcode. */
export type Immediate =
  | 'none' | 'block' | 'label' | 'local' | 'i32' | 'f32' | 'f64' | 'i32x4' | 'f32x4'
  /** alignment (log2 of bytes), offset */
  | 'memory'
  /** alignment, offset, lane */
  | 'memory-lane'
  | 'lane' | 'bytes16';

export type Opcode = {
  /** 0 for one-byte opcodes, else the prefix byte 0xfc or 0xfd */
  readonly prefix: 0 | 0xfc | 0xfd;
  readonly code: number;
  readonly immediate: Immediate;
};

/** Names of the text format. */
export type InstructionName =
  | 'block' | 'loop' | 'if' | 'else' | 'end' | 'br' | 'br_if' | 'select' | 'local.get' | 'local.set'
  | 'local.tee' | 'i32.load' | 'f32.load' | 'f64.load' | 'i32.load8_s' | 'i32.load8_u' | 'i32.load16_u'
  | 'i32.store' | 'f32.store' | 'f64.store' | 'i32.store8' | 'i32.store16' | 'v128.load'
  | 'v128.load16x4_u' | 'v128.load32_splat' | 'v128.store' | 'v128.store32_lane' | 'v128.store64_lane'
  | 'v128.load32_zero' | 'v128.load64_zero' | 'i32.const' | 'i32.eqz' | 'i32.eq' | 'i32.ne' | 'i32.lt_s'
  | 'i32.lt_u' | 'i32.le_s' | 'i32.le_u' | 'i32.ge_s' | 'i32.add' | 'i32.sub' | 'i32.mul' | 'i32.div_u'
  | 'i32.rem_u' | 'i32.and' | 'i32.or' | 'i32.shl' | 'i32.shr_s' | 'i32.shr_u' | 'f32.const' | 'f32.eq'
  | 'f32.ne' | 'f32.lt' | 'f32.le' | 'f32.abs' | 'f32.neg' | 'f32.floor' | 'f32.sqrt' | 'f32.add'
  | 'f32.sub' | 'f32.mul' | 'f32.div' | 'f32.min' | 'f32.max' | 'f64.const' | 'f64.eq' | 'f64.ne'
  | 'f64.lt' | 'f64.le' | 'f64.abs' | 'f64.neg' | 'f64.floor' | 'f64.sqrt' | 'f64.add' | 'f64.sub'
  | 'f64.mul' | 'f64.div' | 'f64.min' | 'f64.max' | 'f32.convert_i32_s' | 'f32.convert_i32_u'
  | 'f32.demote_f64' | 'f64.convert_i32_s' | 'f64.convert_i32_u' | 'f64.promote_f32'
  | 'i32.reinterpret_f32' | 'f32.reinterpret_i32' | 'i32.trunc_sat_f32_s' | 'i32.trunc_sat_f32_u'
  | 'i32.trunc_sat_f64_s' | 'i32.trunc_sat_f64_u' | 'i32x4.trunc_sat_f32x4_s' | 'i32x4.trunc_sat_f32x4_u'
  | 'f32x4.convert_i32x4_s' | 'f32x4.convert_i32x4_u' | 'v128.const i32x4' | 'v128.const f32x4'
  | 'i8x16.shuffle' | 'i32x4.splat' | 'f32x4.splat' | 'i32x4.extract_lane' | 'f32x4.extract_lane'
  | 'i32x4.replace_lane' | 'f32x4.replace_lane' | 'v128.not' | 'v128.and' | 'v128.andnot' | 'v128.or'
  | 'v128.bitselect' 
  | 'i16x8.extend_low_i8x16_s' | 'i16x8.extend_low_i8x16_u'
  | 'i32x4.extend_low_i16x8_s' | 'i32x4.extend_low_i16x8_u' | 'f32x4.eq' | 'f32x4.ne' | 'f32x4.lt'
  | 'f32x4.le' | 'f32x4.abs' | 'f32x4.neg' | 'f32x4.sqrt' | 'f32x4.floor' | 'f32x4.add' | 'f32x4.sub'
  | 'f32x4.mul' | 'f32x4.div' | 'f32x4.min' | 'f32x4.max' | 'f32x4.pmin' | 'f32x4.pmax' | 'i32x4.eq'
  | 'i32x4.ne' | 'i32x4.lt_s' | 'i32x4.lt_u' | 'i32x4.le_s' | 'i32x4.le_u' | 'i32x4.abs' | 'i32x4.neg'
  | 'i32x4.shl' | 'i32x4.shr_s' | 'i32x4.shr_u' | 'i32x4.add' | 'i32x4.sub' | 'i32x4.mul' | 'i32x4.min_s'
  | 'i32x4.min_u' | 'i32x4.max_s' | 'i32x4.max_u';

const plain = (code: number, immediate: Immediate = 'none'): Opcode => ({ prefix: 0, code, immediate });
const saturating = (code: number): Opcode => ({ prefix: 0xfc, code, immediate: 'none' });
const simd = (code: number, immediate: Immediate = 'none'): Opcode => ({ prefix: 0xfd, code, immediate });

const control = {
  'block': plain(0x02, 'block'), 'loop': plain(0x03, 'block'), 'if': plain(0x04, 'block'),
  'else': plain(0x05), 'end': plain(0x0b),
  'br': plain(0x0c, 'label'), 'br_if': plain(0x0d, 'label'), 'select': plain(0x1b),
  'local.get': plain(0x20, 'local'), 'local.set': plain(0x21, 'local'), 'local.tee': plain(0x22, 'local'),
} as const;

const memory = {
  'i32.load': plain(0x28, 'memory'), 'f32.load': plain(0x2a, 'memory'), 'f64.load': plain(0x2b, 'memory'),
  'i32.load8_s': plain(0x2c, 'memory'), 'i32.load8_u': plain(0x2d, 'memory'),
  'i32.load16_u': plain(0x2f, 'memory'),
  'i32.store': plain(0x36, 'memory'), 'f32.store': plain(0x38, 'memory'), 'f64.store': plain(0x39,
  'memory'),
  'i32.store8': plain(0x3a, 'memory'), 'i32.store16': plain(0x3b, 'memory'),
  'v128.load': simd(0x00, 'memory'), 'v128.load16x4_u': simd(0x04, 'memory'),
  'v128.load32_splat': simd(0x09, 'memory'),
  'v128.store': simd(0x0b, 'memory'),
  'v128.store32_lane': simd(0x5a, 'memory-lane'), 'v128.store64_lane': simd(0x5b, 'memory-lane'),
  'v128.load32_zero': simd(0x5c, 'memory'), 'v128.load64_zero': simd(0x5d, 'memory'),
} as const;

const integers = {
  'i32.const': plain(0x41, 'i32'),
  'i32.eqz': plain(0x45), 'i32.eq': plain(0x46), 'i32.ne': plain(0x47), 'i32.lt_s': plain(0x48),
  'i32.lt_u': plain(0x49),
  'i32.le_s': plain(0x4c), 'i32.le_u': plain(0x4d), 'i32.ge_s': plain(0x4e),
  'i32.add': plain(0x6a), 'i32.sub': plain(0x6b), 'i32.mul': plain(0x6c), 'i32.div_u': plain(0x6e),
  'i32.rem_u': plain(0x70),
  'i32.and': plain(0x71), 'i32.or': plain(0x72), 'i32.shl': plain(0x74), 'i32.shr_s': plain(0x75),
  'i32.shr_u': plain(0x76),
} as const;

const floats = {
  'f32.const': plain(0x43, 'f32'),
  'f32.eq': plain(0x5b), 'f32.ne': plain(0x5c), 'f32.lt': plain(0x5d), 'f32.le': plain(0x5f),
  'f32.abs': plain(0x8b), 'f32.neg': plain(0x8c), 'f32.floor': plain(0x8e), 'f32.sqrt': plain(0x91),
  'f32.add': plain(0x92), 'f32.sub': plain(0x93), 'f32.mul': plain(0x94), 'f32.div': plain(0x95),
  'f32.min': plain(0x96), 'f32.max': plain(0x97),
  'f64.const': plain(0x44, 'f64'),
  'f64.eq': plain(0x61), 'f64.ne': plain(0x62), 'f64.lt': plain(0x63), 'f64.le': plain(0x65),
  'f64.abs': plain(0x99), 'f64.neg': plain(0x9a), 'f64.floor': plain(0x9c), 'f64.sqrt': plain(0x9f),
  'f64.add': plain(0xa0), 'f64.sub': plain(0xa1), 'f64.mul': plain(0xa2), 'f64.div': plain(0xa3),
  'f64.min': plain(0xa4), 'f64.max': plain(0xa5),
} as const;

const conversions = {
  'f32.convert_i32_s': plain(0xb2), 'f32.convert_i32_u': plain(0xb3), 'f32.demote_f64': plain(0xb6),
  'f64.convert_i32_s': plain(0xb7), 'f64.convert_i32_u': plain(0xb8), 'f64.promote_f32': plain(0xbb),
  'i32.reinterpret_f32': plain(0xbc), 'f32.reinterpret_i32': plain(0xbe),
  'i32.trunc_sat_f32_s': saturating(0), 'i32.trunc_sat_f32_u': saturating(1),
  'i32.trunc_sat_f64_s': saturating(2), 'i32.trunc_sat_f64_u': saturating(3),
  'i32x4.trunc_sat_f32x4_s': simd(0xf8), 'i32x4.trunc_sat_f32x4_u': simd(0xf9),
  'f32x4.convert_i32x4_s': simd(0xfa), 'f32x4.convert_i32x4_u': simd(0xfb),
} as const;

const lanes = {
  'v128.const i32x4': simd(0x0c, 'i32x4'), 'v128.const f32x4': simd(0x0c, 'f32x4'),
  'i8x16.shuffle': simd(0x0d, 'bytes16'),
  'i32x4.splat': simd(0x11), 'f32x4.splat': simd(0x13),
  'i32x4.extract_lane': simd(0x1b, 'lane'), 'f32x4.extract_lane': simd(0x1f, 'lane'),
  'i32x4.replace_lane': simd(0x1c, 'lane'), 'f32x4.replace_lane': simd(0x20, 'lane'),
  'v128.not': simd(0x4d), 'v128.and': simd(0x4e), 'v128.andnot': simd(0x4f), 'v128.or': simd(0x50),
  'v128.bitselect': simd(0x52),
  'i16x8.extend_low_i8x16_s': simd(0x87), 'i16x8.extend_low_i8x16_u': simd(0x89),
  'i32x4.extend_low_i16x8_s': simd(0xa7), 'i32x4.extend_low_i16x8_u': simd(0xa9),
} as const;

const vectors = {
  'f32x4.eq': simd(0x41), 'f32x4.ne': simd(0x42), 'f32x4.lt': simd(0x43), 'f32x4.le': simd(0x45),
  'f32x4.abs': simd(0xe0), 'f32x4.neg': simd(0xe1), 'f32x4.sqrt': simd(0xe3), 'f32x4.floor': simd(0x68),
  'f32x4.add': simd(0xe4), 'f32x4.sub': simd(0xe5), 'f32x4.mul': simd(0xe6), 'f32x4.div': simd(0xe7),
  'f32x4.min': simd(0xe8), 'f32x4.max': simd(0xe9), 'f32x4.pmin': simd(0xea), 'f32x4.pmax': simd(0xeb),
  'i32x4.eq': simd(0x37), 'i32x4.ne': simd(0x38), 'i32x4.lt_s': simd(0x39), 'i32x4.lt_u': simd(0x3a),
  'i32x4.le_s': simd(0x3d), 'i32x4.le_u': simd(0x3e),
  'i32x4.abs': simd(0xa0), 'i32x4.neg': simd(0xa1),
  'i32x4.shl': simd(0xab), 'i32x4.shr_s': simd(0xac), 'i32x4.shr_u': simd(0xad),
  'i32x4.add': simd(0xae), 'i32x4.sub': simd(0xb1), 'i32x4.mul': simd(0xb5),
  'i32x4.min_s': simd(0xb6), 'i32x4.min_u': simd(0xb7), 'i32x4.max_s': simd(0xb8),
  'i32x4.max_u': simd(0xb9),
} as const;

/** All instructions by their name in the text format. */
export const opcodes: Readonly<Record<InstructionName, Opcode>> = {
  ...control, ...memory, ...integers, ...floats, ...conversions, ...lanes, ...vectors,
};

/** One instruction with the numbers of its immediate, or a remark for readers of the text. */
export type Instruction =
  | { readonly kind: 'instruction'; readonly name: InstructionName; readonly values: readonly number[] }
  | { readonly kind: 'comment'; readonly text: string };

export type ValueType = 'i32' | 'f32' | 'f64' | 'v128';

/** Binary codes of the value types. */
export const valueTypeCodes: Readonly<Record<ValueType, number>> = {
  i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b,
};
