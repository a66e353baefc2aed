/**
 * Instructions that leave the value of a Kernel IR expression on the stack. Scalars of type bool are
 * 0 or 1; vectors of bool are lane masks. Vectors of two use the low lanes of a v128; what the high
 * lanes hold is never looked at.
 */
import { assertNever, InternalError, invariant } from '../../support/invariant.ts';
import { binary, KernelBuilder, literal, variable } from '../../ir/kernel/builder.ts';
import {
  withWidth, type BinaryOperator, type ElementType, type KernelExpression, type KernelType, type UnaryOperator,
  type VariableId,
} from '../../ir/kernel/nodes.ts';
import { expandCosine, expandExp2, expandLog2, expandSine, type Expansion } from '../../ir/numerics/index.ts';
import { emit, localOf, newLocal, placeOf, valueTypeOf, withTemporary, type Emitter } from './emitter.ts';
import { emitElement, emitLoad } from './memory.ts';
import type { InstructionName } from './opcodes.ts';

type Of<Kind extends KernelExpression['kind']> = Extract<KernelExpression, { readonly kind: Kind }>;

type Names<Operator extends string> = Partial<Readonly<Record<Operator, InstructionName>>>;

const floatOperators: Names<BinaryOperator> = {
  'add': 'f32.add', 'subtract': 'f32.sub', 'multiply': 'f32.mul', 'divide': 'f32.div', 'minimum': 'f32.min', 'maximum': 'f32.max',
  'less': 'f32.lt', 'less-equal': 'f32.le', 'equal': 'f32.eq', 'not-equal': 'f32.ne',
};
const doubleOperators: Names<BinaryOperator> = {
  'add': 'f64.add', 'subtract': 'f64.sub', 'multiply': 'f64.mul', 'divide': 'f64.div', 'minimum': 'f64.min', 'maximum': 'f64.max',
  'less': 'f64.lt', 'less-equal': 'f64.le', 'equal': 'f64.eq', 'not-equal': 'f64.ne',
};
const integerOperators: Names<BinaryOperator> = {
  'add': 'i32.add', 'subtract': 'i32.sub', 'multiply': 'i32.mul', 'divide': 'i32.div_u', 'remainder': 'i32.rem_u',
  'shift-left': 'i32.shl', 'shift-right': 'i32.shr_s', 'bit-and': 'i32.and', 'bit-or': 'i32.or', 'and': 'i32.and', 'or': 'i32.or',
  'less': 'i32.lt_s', 'less-equal': 'i32.le_s', 'equal': 'i32.eq', 'not-equal': 'i32.ne',
};
const unsignedOperators: Names<BinaryOperator> = { ...integerOperators, 'shift-right': 'i32.shr_u', 'less': 'i32.lt_u', 'less-equal': 'i32.le_u' };

const floatVectorOperators: Names<BinaryOperator> = {
  'add': 'f32x4.add', 'subtract': 'f32x4.sub', 'multiply': 'f32x4.mul', 'divide': 'f32x4.div', 'minimum': 'f32x4.min', 'maximum': 'f32x4.max',
  'less': 'f32x4.lt', 'less-equal': 'f32x4.le', 'equal': 'f32x4.eq', 'not-equal': 'f32x4.ne',
};
const integerVectorOperators: Names<BinaryOperator> = {
  'add': 'i32x4.add', 'subtract': 'i32x4.sub', 'multiply': 'i32x4.mul', 'minimum': 'i32x4.min_s', 'maximum': 'i32x4.max_s',
  'bit-and': 'v128.and', 'bit-or': 'v128.or', 'and': 'v128.and', 'or': 'v128.or',
  'less': 'i32x4.lt_s', 'less-equal': 'i32x4.le_s', 'equal': 'i32x4.eq', 'not-equal': 'i32x4.ne',
};
const unsignedVectorOperators: Names<BinaryOperator> = {
  ...integerVectorOperators, 'minimum': 'i32x4.min_u', 'maximum': 'i32x4.max_u', 'less': 'i32x4.lt_u', 'less-equal': 'i32x4.le_u',
};

const scalarOperators: Readonly<Record<ElementType, Names<BinaryOperator>>> = {
  f32: floatOperators, f64: doubleOperators, i32: integerOperators, u32: unsignedOperators, bool: integerOperators,
};
const vectorOperators: Readonly<Record<ElementType, Names<BinaryOperator>>> = {
  f32: floatVectorOperators, f64: {}, i32: integerVectorOperators, u32: unsignedVectorOperators, bool: integerVectorOperators,
};

const unaryNames: Readonly<Record<'f32' | 'f64' | 'f32x4' | 'i32x4', Names<UnaryOperator>>> = {
  'f32': { 'negate': 'f32.neg', 'absolute': 'f32.abs', 'floor': 'f32.floor', 'square-root': 'f32.sqrt' },
  'f64': { 'negate': 'f64.neg', 'absolute': 'f64.abs', 'floor': 'f64.floor', 'square-root': 'f64.sqrt' },
  'f32x4': { 'negate': 'f32x4.neg', 'absolute': 'f32x4.abs', 'floor': 'f32x4.floor', 'square-root': 'f32x4.sqrt' },
  'i32x4': { 'negate': 'i32x4.neg', 'absolute': 'i32x4.abs' },
};

const expansions: Partial<Readonly<Record<UnaryOperator, Expansion>>> = {
  'exp2': expandExp2, 'log2': expandLog2, 'sine': expandSine, 'cosine': expandCosine,
};

function unsupported(what: string): never {
  throw new InternalError(`WASM has no ${what}`);
}

/** The constant in every lane. */
export function emitLiteral(emitter: Emitter, value: number, type: KernelType): void {
  const { element, width } = type;
  if (width === 1) return void emit(emitter, element === 'f32' || element === 'f64' ? `${element}.const` : 'i32.const', value);
  if (element === 'f32') return void emit(emitter, 'v128.const f32x4', value, value, value, value);
  const lane = element === 'bool' ? -value : value;
  emit(emitter, 'v128.const i32x4', lane, lane, lane, lane);
}

/** Emits `expansion` of a value in place, with temporary locals for the values that it binds. */
export function emitExpansion(emitter: Emitter, expansion: Expansion, operandType: KernelType, emitOperand: () => void): void {
  withTemporary(emitter, valueTypeOf(operandType), (operand) => {
    emitOperand();
    emit(emitter, 'local.set', operand);
    const builder = new KernelBuilder();
    const input = { id: -1 as VariableId, name: 'operand', type: operandType };
    const made: { value: KernelExpression } = { value: variable(input) };
    const bindings = builder.nested(() => { made.value = expansion(builder, variable(input)); });
    const outer = emitter.variables;
    emitter.variables = new Map([[input.id, operand]]);
    const taken: number[] = [];
    for (const statement of bindings) {
      invariant(statement.kind === 'let', `${statement.kind} in an expansion`);
      const type = valueTypeOf(statement.variable.type);
      const local = emitter.free[type].pop() ?? newLocal(emitter, 'temporary', type);
      emitExpression(emitter, statement.value);
      emit(emitter, 'local.set', local);
      emitter.variables.set(statement.variable.id, local);
      taken.push(local);
    }
    emitExpression(emitter, made.value);
    for (const local of taken) emitter.free[emitter.locals[local]?.type ?? 'i32'].push(local);
    emitter.variables = outer;
  });
}

function emitUnary(emitter: Emitter, { operator, operand, type }: Of<'unary'>): void {
  const emitOperand = (): void => emitExpression(emitter, operand);
  const expansion = expansions[operator];
  if (expansion !== undefined) {
    if (type.element !== 'f32') unsupported(`${operator} of ${type.element}`);
    return emitExpansion(emitter, expansion, type, emitOperand);
  }
  if (operator === 'not') {
    emitOperand();
    return void emit(emitter, type.width === 1 ? 'i32.eqz' : 'v128.not');
  }
  if (type.width === 1 && (type.element === 'i32' || type.element === 'u32')) {
    const zero = literal(0, type);
    return emitExpansion(emitter, (_, x) => {
      const negated = binary('subtract', zero, x);
      return operator === 'negate' ? negated : { kind: 'select', condition: binary('less', x, zero), whenTrue: negated, whenFalse: x, type };
    }, type, emitOperand);
  }
  const family = type.width === 1 ? (type.element === 'f64' ? 'f64' : 'f32') : type.element === 'f32' ? 'f32x4' : 'i32x4';
  emitOperand();
  emit(emitter, unaryNames[family][operator] ?? unsupported(`${operator} of ${family}`));
}

/** Applies a scalar operation lane by lane where the instruction set has no vector form. */
function emitPerLane(emitter: Emitter, { operator, left, right, type }: Of<'binary'>): void {
  const laneType = withWidth(type, 1);
  withTemporary(emitter, 'v128', (a) => withTemporary(emitter, 'v128', (b) => {
    emitExpression(emitter, left);
    emit(emitter, 'local.set', a);
    emitExpression(emitter, right);
    emit(emitter, 'local.set', b);
    for (let lane = 0; lane < type.width; lane++) {
      emit(emitter, 'local.get', a);
      emitExtract(emitter, withWidth(left.type, 1), lane);
      emit(emitter, 'local.get', b);
      emitExtract(emitter, withWidth(right.type, 1), lane);
      emit(emitter, scalarOperators[left.type.element][operator] ?? unsupported(`${operator} of ${left.type.element}`));
      emitPlaceLane(emitter, laneType, lane);
    }
  }));
}

function emitShift(emitter: Emitter, expression: Of<'binary'>): void {
  const { operator, left, right, type } = expression;
  const amount = right.kind === 'literal' ? literal(right.value, withWidth(right.type, 1)) : right.kind === 'splat' ? right.operand : null;
  if (amount === null) return emitPerLane(emitter, expression);
  emitExpression(emitter, left);
  emitExpression(emitter, amount);
  emit(emitter, operator === 'shift-left' ? 'i32x4.shl' : type.element === 'u32' ? 'i32x4.shr_u' : 'i32x4.shr_s');
}

function emitBinary(emitter: Emitter, expression: Of<'binary'>): void {
  const { operator, left, right, type } = expression;
  const { element } = left.type;
  const isIntegerScalar = type.width === 1 && (element === 'i32' || element === 'u32');
  if (isIntegerScalar && (operator === 'minimum' || operator === 'maximum')) return emitIntegerExtremum(emitter, expression);
  if (type.width > 1 && (operator === 'shift-left' || operator === 'shift-right')) return emitShift(emitter, expression);
  const name = (type.width === 1 ? scalarOperators : vectorOperators)[element][operator];
  if (name === undefined && type.width > 1) return emitPerLane(emitter, expression);
  emitExpression(emitter, left);
  emitExpression(emitter, right);
  emit(emitter, name ?? unsupported(`${operator} of ${element}`));
}

function emitIntegerExtremum(emitter: Emitter, { operator, left, right }: Of<'binary'>): void {
  withTemporary(emitter, 'i32', (a) => withTemporary(emitter, 'i32', (b) => {
    emitExpression(emitter, left);
    emit(emitter, 'local.set', a);
    emitExpression(emitter, right);
    emit(emitter, 'local.set', b);
    const [first, second] = operator === 'minimum' ? [a, b] : [b, a];
    for (const local of [first, second, a, b]) emit(emitter, 'local.get', local);
    emit(emitter, left.type.element === 'u32' ? 'i32.lt_u' : 'i32.lt_s');
    emit(emitter, 'select');
  }));
}

function isSameValue(left: KernelExpression, right: KernelExpression): boolean {
  if (left.kind === 'literal' && right.kind === 'literal') return Object.is(left.value, right.value);
  return left.kind === 'variable' && right.kind === 'variable' && left.variable.id === right.variable.id;
}

/** a < b ? b : a and a < b ? a : b are single instructions on vectors. */
function emitPseudoExtremum(emitter: Emitter, { condition, whenTrue, whenFalse, type }: Of<'select'>): boolean {
  if (type.width === 1 || type.element !== 'f32' || condition.kind !== 'binary' || condition.operator !== 'less') return false;
  const { left, right } = condition;
  const isMaximum = isSameValue(whenTrue, right) && isSameValue(whenFalse, left);
  if (!isMaximum && !(isSameValue(whenTrue, left) && isSameValue(whenFalse, right))) return false;
  // pmax(a, b) = a < b ? b : a;  pmin(a, b) = b < a ? b : a
  emitExpression(emitter, isMaximum ? left : right);
  emitExpression(emitter, isMaximum ? right : left);
  emit(emitter, isMaximum ? 'f32x4.pmax' : 'f32x4.pmin');
  return true;
}

function emitSelect(emitter: Emitter, expression: Of<'select'>): void {
  if (emitPseudoExtremum(emitter, expression)) return;
  emitExpression(emitter, expression.whenTrue);
  emitExpression(emitter, expression.whenFalse);
  emitExpression(emitter, expression.condition);
  emit(emitter, expression.type.width === 1 ? 'select' : 'v128.bitselect');
}

const scalarConversions: Readonly<Record<string, readonly InstructionName[]>> = {
  'f32 i32': ['i32.trunc_sat_f32_s'], 'f32 u32': ['i32.trunc_sat_f32_u'], 'f64 i32': ['i32.trunc_sat_f64_s'], 'f64 u32': ['i32.trunc_sat_f64_u'],
  'i32 f32': ['f32.convert_i32_s'], 'u32 f32': ['f32.convert_i32_u'], 'i32 f64': ['f64.convert_i32_s'], 'u32 f64': ['f64.convert_i32_u'],
  'f32 f64': ['f64.promote_f32'], 'f64 f32': ['f32.demote_f64'], 'bool f32': ['f32.convert_i32_s'], 'bool f64': ['f64.convert_i32_s'],
  'i32 u32': [], 'u32 i32': [], 'bool i32': [], 'bool u32': [],
  'i32 bool': ['i32.eqz', 'i32.eqz'], 'u32 bool': ['i32.eqz', 'i32.eqz'],
};
const vectorConversions: Readonly<Record<string, readonly InstructionName[]>> = {
  'f32 i32': ['i32x4.trunc_sat_f32x4_s'], 'f32 u32': ['i32x4.trunc_sat_f32x4_u'],
  'i32 f32': ['f32x4.convert_i32x4_s'], 'u32 f32': ['f32x4.convert_i32x4_u'],
  'i32 u32': [], 'u32 i32': [], 'bool i32': ['i32x4.neg'], 'bool u32': ['i32x4.neg'],
};

function emitConvert(emitter: Emitter, { operand, type }: Of<'convert'>): void {
  const from = operand.type.element;
  emitExpression(emitter, operand);
  if (type.width > 1 && from === 'bool' && type.element === 'f32') {
    emit(emitter, 'v128.const f32x4', 1, 1, 1, 1);
    return void emit(emitter, 'v128.and');
  }
  const names = (type.width === 1 ? scalarConversions : vectorConversions)[`${from} ${type.element}`];
  for (const name of names ?? unsupported(`conversion of ${from} to ${type.element}`)) emit(emitter, name);
}

function emitBitcast(emitter: Emitter, { operand, type }: Of<'bitcast'>): void {
  emitExpression(emitter, operand);
  if (type.width > 1 || (type.element === 'f32') === (operand.type.element === 'f32')) return;
  emit(emitter, type.element === 'f32' ? 'f32.reinterpret_i32' : 'i32.reinterpret_f32');
}

/** Turns a vector on the stack into one of its lanes. */
function emitExtract(emitter: Emitter, laneType: KernelType, lane: number): void {
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

function emitSplat(emitter: Emitter, { operand }: Of<'splat'>): void {
  if (operand.kind === 'load' && operand.buffer.storage === 'f32') return emitLoad(emitter, operand, 'broadcast');
  emitExpression(emitter, operand);
  emitPlaceLane(emitter, operand.type, 0);
}

function emitCompose(emitter: Emitter, { operands }: Of<'compose'>): void {
  operands.forEach((operand, lane) => {
    emitExpression(emitter, operand);
    emitPlaceLane(emitter, operand.type, lane);
  });
}

function emitHorizontalAdd(emitter: Emitter, { operand, type }: Of<'horizontal-add'>): void {
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

/** Leaves the value of `expression` on the stack. */
export function emitExpression(emitter: Emitter, expression: KernelExpression): void {
  if (expression.type.width > 1 && expression.type.element === 'f64') unsupported('vectors of f64');
  switch (expression.kind) {
    case 'literal': return emitLiteral(emitter, expression.value, expression.type);
    case 'variable': return void emit(emitter, 'local.get', localOf(emitter, expression.variable));
    case 'uniform': return void emit(emitter, 'local.get', placeOf(emitter.uniforms, expression.uniform.id, expression.uniform.name));
    case 'builtin': {
      if (expression.builtin === 'invocation') return void emit(emitter, 'i32.const', 0);
      return void emit(emitter, 'local.get', placeOf(emitter.builtins, expression.builtin, expression.builtin));
    }
    case 'unary': return emitUnary(emitter, expression);
    case 'binary': return emitBinary(emitter, expression);
    case 'select': return emitSelect(emitter, expression);
    case 'convert': return emitConvert(emitter, expression);
    case 'bitcast': return emitBitcast(emitter, expression);
    case 'load': return emitLoad(emitter, expression, 'plain');
    case 'element': return emitElement(emitter, expression);
    case 'splat': return emitSplat(emitter, expression);
    case 'compose': return emitCompose(emitter, expression);
    case 'horizontal-add': return emitHorizontalAdd(emitter, expression);
    case 'extract': {
      emitExpression(emitter, expression.operand);
      return emitExtract(emitter, expression.type, expression.lane);
    }
    case 'load-shared':
    case 'shuffle-xor':
      return unsupported(`${expression.kind}: workgroups have one invocation`);
    default:
      return assertNever(expression, 'emitExpression');
  }
}
