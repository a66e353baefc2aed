/**
 * Kernel IR: one launch, SPMD, structured control flow. Every target prints or assembles the same
 * nodes; target quirks are rewrites before printing, and the printers decide nothing.
 *
 * Execution model. A launch runs grid.x × grid.y × grid.z workgroups of `workgroupSize` invocations
 * (numbered linearly, `builtin 'invocation'`). Workgroups are independent and unordered. Invocations
 * of a workgroup share `shared` arrays; between two barriers no two invocations may touch the same
 * shared or global element if one of them writes. Barriers and shuffles stand in uniform control
 * flow. Register arrays and variables are private.
 *
 * Numbers. `f32` arithmetic rounds to nearest; a target may contract a*b+c. `exp2`, `log2`, `sine`,
 * `cosine` are primitives that a target provides or expands (ir/numerics). Integers are 32-bit and
 * must not overflow: the runtime refuses or windows larger tensors before launch.
 */
import type { SizeExpression } from '../../support/size.ts';

export type ElementType = 'f32' | 'f64' | 'i32' | 'u32' | 'bool';
export type VectorWidth = 1 | 2 | 4;

/** Type of a value: an element type and a vector width (1 = scalar). */
export type KernelType = { readonly element: ElementType; readonly width: VectorWidth };

/** How numbers lie in a buffer; loads widen f16/bf16 to f32 and i8/u8 to i32, stores round to nearest even. */
export type StorageType = 'f32' | 'f64' | 'f16' | 'bf16' | 'i32' | 'u32' | 'i8' | 'u8';

/** Bytes of one element in memory. */
export const storageBytes: Readonly<Record<StorageType, number>> = { f64: 8, f32: 4, i32: 4, u32: 4, f16: 2, bf16: 2, i8: 1, u8: 1 };

export type VariableId = number & { readonly brand: 'VariableId' };
export type BufferId = number & { readonly brand: 'BufferId' };
export type SharedId = number & { readonly brand: 'SharedId' };
export type ArrayId = number & { readonly brand: 'ArrayId' };
export type UniformId = number & { readonly brand: 'UniformId' };

/** A name for a value in one invocation; `name` is a stem for readers, the id is the identity. */
export type Variable = { readonly id: VariableId; readonly name: string; readonly type: KernelType };

/** A tensor of the plan as this kernel sees it: flat, element-indexed. */
export type Buffer = {
  readonly id: BufferId;
  /** name of the plan's tensor, unique in the plan */
  readonly name: string;
  readonly storage: StorageType;
  readonly access: 'read' | 'write' | 'read-write';
  /** number of elements */
  readonly size: SizeExpression;
};

/** Workgroup memory. Uninitialised at start. */
export type SharedArray = { readonly id: SharedId; readonly name: string; readonly type: KernelType; readonly length: number };

/** Private array with compile-time length; constant indices stay in registers. Uninitialised. */
export type RegisterArray = { readonly id: ArrayId; readonly name: string; readonly type: KernelType; readonly length: number };

/** A run-time i32 scalar, the same for the whole launch. */
export type Uniform = { readonly id: UniformId; readonly name: string; readonly value: SizeExpression };

export type Kernel = {
  readonly name: string;
  /** lines for the header comment, made by the compiler, never user text */
  readonly notes: readonly string[];
  readonly workgroupSize: number;
  /** a hint: how many workgroups a processor needs at once, so that a compiler may spend the registers that this leaves */
  readonly resident?: number;
  readonly grid: readonly [SizeExpression, SizeExpression, SizeExpression];
  readonly uniforms: readonly Uniform[];
  readonly buffers: readonly Buffer[];
  readonly shared: readonly SharedArray[];
  readonly body: readonly KernelStatement[];
};

export type UnaryOperator =
  | 'negate' | 'not' | 'absolute' | 'floor' | 'square-root' | 'exp2' | 'log2' | 'sine' | 'cosine';

export type BinaryOperator =
  | 'add' | 'subtract' | 'multiply' | 'divide' | 'remainder' | 'minimum' | 'maximum'
  | 'shift-left' | 'shift-right' | 'bit-and' | 'bit-or'
  | 'less' | 'less-equal' | 'equal' | 'not-equal' | 'and' | 'or';

export type Builtin = 'workgroup-x' | 'workgroup-y' | 'workgroup-z' | 'invocation';

/**
 * Expressions are trees; a value used twice is bound by `let`. Operands of arithmetic have the type
 * of the result (comparisons: equal operand types, result bool of the same width); `divide` and
 * `remainder` of integers truncate and need a non-negative left and positive right operand.
 * `shift-right` of i32 is arithmetic.
 */
export type KernelExpression =
  | { readonly kind: 'literal'; readonly value: number; readonly type: KernelType }
  | { readonly kind: 'variable'; readonly variable: Variable; readonly type: KernelType }
  | { readonly kind: 'builtin'; readonly builtin: Builtin; readonly type: KernelType }
  | { readonly kind: 'uniform'; readonly uniform: Uniform; readonly type: KernelType }
  | { readonly kind: 'unary'; readonly operator: UnaryOperator; readonly operand: KernelExpression; readonly type: KernelType }
  | { readonly kind: 'binary'; readonly operator: BinaryOperator; readonly left: KernelExpression; readonly right: KernelExpression; readonly type: KernelType }
  /** both sides are evaluated; loads inside must be in bounds either way */
  | { readonly kind: 'select'; readonly condition: KernelExpression; readonly whenTrue: KernelExpression; readonly whenFalse: KernelExpression; readonly type: KernelType }
  /** numeric conversion: float to integer truncates, bool to number gives 0 or 1 */
  | { readonly kind: 'convert'; readonly operand: KernelExpression; readonly type: KernelType }
  /** same bits (32-bit types only) */
  | { readonly kind: 'bitcast'; readonly operand: KernelExpression; readonly type: KernelType }
  /**
   * `width` consecutive elements from `index` on; `aligned` promises index is a multiple of the width;
   * `early`: a prefetch, which a target issues where it stands even though its use is far
   */
  | {
      readonly kind: 'load'; readonly buffer: Buffer; readonly index: KernelExpression;
      readonly aligned: boolean; readonly early?: true; readonly type: KernelType;
    }
  /** an element, or of an array of scalars as many neighbours as the type is wide, from an index that is a multiple of the width */
  | { readonly kind: 'load-shared'; readonly array: SharedArray; readonly index: KernelExpression; readonly type: KernelType }
  | { readonly kind: 'element'; readonly array: RegisterArray; readonly index: KernelExpression; readonly type: KernelType }
  /** the operand's value in invocation (own number XOR mask); mask is a power of two below 32 */
  | { readonly kind: 'shuffle-xor'; readonly operand: KernelExpression; readonly mask: number; readonly type: KernelType }
  /** one scalar in every lane */
  | { readonly kind: 'splat'; readonly operand: KernelExpression; readonly type: KernelType }
  | { readonly kind: 'extract'; readonly operand: KernelExpression; readonly lane: number; readonly type: KernelType }
  | { readonly kind: 'compose'; readonly operands: readonly KernelExpression[]; readonly type: KernelType }
  /** sum of the lanes, as (0 + 2) + (1 + 3) for width 4 */
  | { readonly kind: 'horizontal-add'; readonly operand: KernelExpression; readonly type: KernelType };

export type KernelStatement =
  /** immutable binding */
  | { readonly kind: 'let'; readonly variable: Variable; readonly value: KernelExpression }
  /** mutable binding with its first value */
  | { readonly kind: 'var'; readonly variable: Variable; readonly value: KernelExpression }
  | { readonly kind: 'assign'; readonly variable: Variable; readonly value: KernelExpression }
  /** brings a register array into scope, uninitialised */
  | { readonly kind: 'array'; readonly array: RegisterArray }
  | { readonly kind: 'set-element'; readonly array: RegisterArray; readonly index: KernelExpression; readonly value: KernelExpression }
  | { readonly kind: 'store'; readonly buffer: Buffer; readonly index: KernelExpression; readonly value: KernelExpression; readonly aligned: boolean }
  /** into an array of scalars also several neighbours at once, from an index that is a multiple of their number */
  | { readonly kind: 'store-shared'; readonly array: SharedArray; readonly index: KernelExpression; readonly value: KernelExpression }
  /** for (variable = start; variable < end; variable += step), step a positive literal; `unroll` asks for full unrolling (constant bounds) */
  | {
      readonly kind: 'for';
      readonly variable: Variable;
      readonly start: KernelExpression;
      readonly end: KernelExpression;
      readonly step: number;
      readonly unroll: boolean;
      readonly body: readonly KernelStatement[];
    }
  | { readonly kind: 'if'; readonly condition: KernelExpression; readonly whenTrue: readonly KernelStatement[]; readonly whenFalse: readonly KernelStatement[] }
  /** execution and memory barrier of the workgroup (shared and global memory) */
  | { readonly kind: 'barrier' }
  /** one line for readers, made by the compiler from operations, never user text */
  | { readonly kind: 'comment'; readonly text: string };

export const f32: KernelType = { element: 'f32', width: 1 };
export const i32: KernelType = { element: 'i32', width: 1 };
export const u32: KernelType = { element: 'u32', width: 1 };
export const bool: KernelType = { element: 'bool', width: 1 };

export function sameType(left: KernelType, right: KernelType): boolean {
  return left.element === right.element && left.width === right.width;
}

export function withWidth(type: KernelType, width: VectorWidth): KernelType {
  return type.width === width ? type : { element: type.element, width };
}
