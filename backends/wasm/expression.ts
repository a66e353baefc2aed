/**
 * Instructions that leave the value of a Kernel IR expression on the stack. Scalars of type bool are
 * 0 or 1; vectors of bool are lane masks. Vectors of two use the low lanes of a v128; what the high
 * lanes hold is never looked at.
 */
import { assertNever, invariant } from '../../support/invariant.ts';
import { binary, KernelBuilder, literal, variable } from '../../ir/kernel/builder.ts';
import {
  type KernelExpression,
  type KernelType,
  type UnaryOperator,
  type VariableId,
} from '../../ir/kernel/nodes.ts';
import {
  expandCosine,
  expandExp2,
  expandLog2,
  expandSine,
  type Expansion,
} from '../../ir/numerics/index.ts';
import { emit, localOf, newLocal, placeOf, valueTypeOf, withTemporary, type Emitter } from './emitter.ts';
import { emitCompose, emitExtract, emitHorizontalAdd, emitPerLane, emitShift, emitSplat } from './lanes.ts';
import { emitElement, emitLoad } from './memory.ts';
import {
  scalarConversions,
  scalarOperators,
  unaryNames,
  unsupported,
  vectorConversions,
  vectorOperators,
} from './operators.ts';

type Of<Kind extends KernelExpression['kind']> = Extract<KernelExpression, { readonly kind: Kind }>;

const expansions: Partial<Readonly<Record<UnaryOperator, Expansion>>> = {
  'exp2': expandExp2,
  'log2': expandLog2,
  'sine': expandSine,
  'cosine': expandCosine,
};

/** The constant in every lane. */
export function emitLiteral(emitter: Emitter, value: number, type: KernelType): void {
  const { element, width } = type;
  if (width === 1)
    return void emit(
      emitter,
      element === 'f32' || element === 'f64' ? `${element}.const` : 'i32.const',
      value,
    );
  if (element === 'f32') return void emit(emitter, 'v128.const f32x4', value, value, value, value);
  const lane = element === 'bool' ? -value : value;
  emit(emitter, 'v128.const i32x4', lane, lane, lane, lane);
}

/** Emits `expansion` of a value in place, with temporary locals for the values that it binds. */
export function emitExpansion(
  emitter: Emitter,
  expansion: Expansion,
  operandType: KernelType,
  emitOperand: () => void,
): void {
  withTemporary(emitter, valueTypeOf(operandType), (operand) => {
    emitOperand();
    emit(emitter, 'local.set', operand);
    const builder = new KernelBuilder();
    const input = { id: -1 as VariableId, name: 'operand', type: operandType };
    const made: { value: KernelExpression } = { value: variable(input) };
    const bindings = builder.nested(() => {
      made.value = expansion(builder, variable(input));
    });
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
    return emitExpansion(
      emitter,
      (_, x) => {
        const negated = binary('subtract', zero, x);
        return operator === 'negate'
          ? negated
          : { kind: 'select', condition: binary('less', x, zero), whenTrue: negated, whenFalse: x, type };
      },
      type,
      emitOperand,
    );
  }
  const family =
    type.width === 1
      ? type.element === 'f64'
        ? 'f64'
        : 'f32'
      : type.element === 'f32'
        ? 'f32x4'
        : 'i32x4';
  emitOperand();
  emit(emitter, unaryNames[family][operator] ?? unsupported(`${operator} of ${family}`));
}

function emitBinary(emitter: Emitter, expression: Of<'binary'>): void {
  const { operator, left, right, type } = expression;
  const { element } = left.type;
  const isIntegerScalar = type.width === 1 && (element === 'i32' || element === 'u32');
  if (isIntegerScalar && (operator === 'minimum' || operator === 'maximum'))
    return emitIntegerExtremum(emitter, expression);
  if (type.width > 1 && (operator === 'shift-left' || operator === 'shift-right'))
    return emitShift(emitter, expression);
  const name = (type.width === 1 ? scalarOperators : vectorOperators)[element][operator];
  if (name === undefined && type.width > 1) return emitPerLane(emitter, expression);
  emitExpression(emitter, left);
  emitExpression(emitter, right);
  emit(emitter, name ?? unsupported(`${operator} of ${element}`));
}

function emitIntegerExtremum(emitter: Emitter, { operator, left, right }: Of<'binary'>): void {
  withTemporary(emitter, 'i32', (a) =>
    withTemporary(emitter, 'i32', (b) => {
      emitExpression(emitter, left);
      emit(emitter, 'local.set', a);
      emitExpression(emitter, right);
      emit(emitter, 'local.set', b);
      const [first, second] = operator === 'minimum' ? [a, b] : [b, a];
      for (const local of [first, second, a, b]) emit(emitter, 'local.get', local);
      emit(emitter, left.type.element === 'u32' ? 'i32.lt_u' : 'i32.lt_s');
      emit(emitter, 'select');
    }),
  );
}

function isSameValue(left: KernelExpression, right: KernelExpression): boolean {
  if (left.kind === 'literal' && right.kind === 'literal') return Object.is(left.value, right.value);
  return left.kind === 'variable' && right.kind === 'variable' && left.variable.id === right.variable.id;
}

/** a < b ? b : a and a < b ? a : b are single instructions on vectors. */
function emitPseudoExtremum(
  emitter: Emitter,
  { condition, whenTrue, whenFalse, type }: Of<'select'>,
): boolean {
  if (
    type.width === 1 ||
    type.element !== 'f32' ||
    condition.kind !== 'binary' ||
    condition.operator !== 'less'
  )
    return false;
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

/** Leaves the value of `expression` on the stack. */
export function emitExpression(emitter: Emitter, expression: KernelExpression): void {
  if (expression.type.width > 1 && expression.type.element === 'f64') unsupported('vectors of f64');
  switch (expression.kind) {
    case 'literal':
      return emitLiteral(emitter, expression.value, expression.type);
    case 'variable':
      return void emit(emitter, 'local.get', localOf(emitter, expression.variable));
    case 'uniform':
      return void emit(
        emitter,
        'local.get',
        placeOf(emitter.uniforms, expression.uniform.id, expression.uniform.name),
      );
    case 'builtin': {
      if (expression.builtin === 'invocation') return void emit(emitter, 'i32.const', 0);
      return void emit(
        emitter,
        'local.get',
        placeOf(emitter.builtins, expression.builtin, expression.builtin),
      );
    }
    case 'unary':
      return emitUnary(emitter, expression);
    case 'binary':
      return emitBinary(emitter, expression);
    case 'select':
      return emitSelect(emitter, expression);
    case 'convert':
      return emitConvert(emitter, expression);
    case 'bitcast':
      return emitBitcast(emitter, expression);
    case 'load':
      return emitLoad(emitter, expression, 'plain');
    case 'element':
      return emitElement(emitter, expression);
    case 'splat':
      return emitSplat(emitter, expression);
    case 'compose':
      return emitCompose(emitter, expression);
    case 'horizontal-add':
      return emitHorizontalAdd(emitter, expression);
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
