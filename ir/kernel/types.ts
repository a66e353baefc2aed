/**
 * Types of Kernel IR expressions, derived again from operands. The builder makes nodes well typed;
 * this is the second opinion that `verify` compares with, and what `parse` uses instead of type
 * annotations in the text.
 */
import { loadedType } from './builder.ts';
import {
  bool, i32, sameType, withWidth,
  type BinaryOperator, type ElementType, type KernelExpression, type KernelType, type UnaryOperator,
} from './nodes.ts';

/** `f32`, `i32x4`: how texts and messages show a type. */
export function formatType(type: KernelType): string {
  return type.width === 1 ? type.element : `${type.element}x${type.width}`;
}

const floats: readonly ElementType[] = ['f32', 'f64'];
const integers: readonly ElementType[] = ['i32', 'u32'];
const signed: readonly ElementType[] = ['f32', 'f64', 'i32'];
const numbers: readonly ElementType[] = ['f32', 'f64', 'i32', 'u32'];
const flags: readonly ElementType[] = ['bool'];

const unaryOperands: Readonly<Record<UnaryOperator, readonly ElementType[]>> = {
  'negate': signed, 'not': flags, 'absolute': signed, 'floor': floats, 'square-root': floats,
  'exp2': floats, 'log2': floats, 'sine': floats, 'cosine': floats,
};

const binaryOperands: Readonly<Record<BinaryOperator, readonly ElementType[]>> = {
  'add': numbers, 'subtract': numbers, 'multiply': numbers, 'divide': numbers, 'remainder': integers,
  'minimum': numbers, 'maximum': numbers, 'shift-left': integers, 'shift-right': integers,
  'bit-and': integers, 'bit-or': integers, 'less': numbers, 'less-equal': numbers,
  'equal': [...numbers, ...flags], 'not-equal': [...numbers, ...flags], 'and': flags, 'or': flags,
};

const comparisons: ReadonlySet<BinaryOperator> = new Set(['less', 'less-equal', 'equal', 'not-equal']);

const literalRanges: Readonly<Record<ElementType, readonly [number, number]>> = {
  f32: [-(2 ** 128 - 2 ** 104), 2 ** 128 - 2 ** 104],
  f64: [-Number.MAX_VALUE, Number.MAX_VALUE],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  bool: [0, 1],
};

/** Why this number cannot be a literal of the type, or null. */
export function literalProblem(value: number, type: KernelType): string | null {
  if (!Number.isFinite(value)) return `literal ${value} is not finite`;
  const [least, most] = literalRanges[type.element];
  if (value < least || value > most) return `literal ${value} is no ${type.element}`;
  if (!floats.includes(type.element) && !Number.isInteger(value)) return `literal ${value} is no ${type.element}`;
  return null;
}

function indexed(index: KernelExpression, type: KernelType): KernelType | string {
  return sameType(index.type, i32) ? type : `index of type ${formatType(index.type)}`;
}

type Of<Kind extends KernelExpression['kind']> = Extract<KernelExpression, { readonly kind: Kind }>;

function binaryType({ operator, left, right }: Of<'binary'>): KernelType | string {
  if (!sameType(left.type, right.type)) {
    return `${operator} of ${formatType(left.type)} and ${formatType(right.type)}`;
  }
  if (!binaryOperands[operator].includes(left.type.element)) return `${operator} of ${formatType(left.type)}`;
  return comparisons.has(operator) ? withWidth(bool, left.type.width) : left.type;
}

function selectType({ condition, whenTrue, whenFalse }: Of<'select'>): KernelType | string {
  if (!sameType(whenTrue.type, whenFalse.type)) {
    return `select of ${formatType(whenTrue.type)} and ${formatType(whenFalse.type)}`;
  }
  const wanted = withWidth(bool, whenTrue.type.width);
  return sameType(condition.type, wanted) ? whenTrue.type : `select by ${formatType(condition.type)}`;
}

function convertType({ kind, operand, type }: Of<'convert' | 'bitcast'>): KernelType | string {
  const problem = `${kind} of ${formatType(operand.type)} to ${formatType(type)}`;
  if (operand.type.width !== type.width || type.element === 'bool') return problem;
  if (kind === 'convert') return type;
  const narrow = (each: KernelType): boolean => each.element !== 'f64' && each.element !== 'bool';
  return narrow(operand.type) && narrow(type) ? type : problem;
}

function vectorType(expression: Of<'splat' | 'extract' | 'horizontal-add'>): KernelType | string {
  const { operand, kind } = expression;
  const problem = `${kind} of ${formatType(operand.type)}`;
  switch (expression.kind) {
    case 'splat': {
      const isVector = expression.type.width === 2 || expression.type.width === 4;
      return operand.type.width === 1 && isVector ? withWidth(operand.type, expression.type.width) : problem;
    }
    case 'extract':
      if (!Number.isInteger(expression.lane) || expression.lane < 0 || expression.lane >= operand.type.width) {
        return `lane ${expression.lane} of ${formatType(operand.type)}`;
      }
      return withWidth(operand.type, 1);
    case 'horizontal-add':
      return numbers.includes(operand.type.element) ? withWidth(operand.type, 1) : problem;
  }
}

function composeType({ operands }: Of<'compose'>): KernelType | string {
  const [first] = operands;
  if (first === undefined || (operands.length !== 2 && operands.length !== 4)) return `compose of ${operands.length}`;
  if (first.type.width !== 1 || !operands.every((each) => sameType(each.type, first.type))) {
    return `compose of ${operands.map((each) => formatType(each.type)).join(', ')}`;
  }
  return withWidth(first.type, operands.length);
}

/** Type of the expression by its operands' types, or what is wrong with it. */
export function deriveType(expression: KernelExpression): KernelType | string {
  switch (expression.kind) {
    case 'literal':
      return literalProblem(expression.value, expression.type) ?? expression.type;
    case 'variable':
      return expression.variable.type;
    case 'builtin':
    case 'uniform':
      return i32;
    case 'unary': {
      const accepted = unaryOperands[expression.operator].includes(expression.operand.type.element);
      return accepted ? expression.operand.type : `${expression.operator} of ${formatType(expression.operand.type)}`;
    }
    case 'binary':
      return binaryType(expression);
    case 'select':
      return selectType(expression);
    case 'convert':
    case 'bitcast':
      return convertType(expression);
    case 'load':
      return indexed(expression.index, withWidth(loadedType(expression.buffer.storage), expression.type.width));
    case 'load-shared': {
      const { array, type } = expression;
      return indexed(expression.index, array.type.width === 1 ? withWidth(array.type, type.width) : array.type);
    }
    case 'element':
      return indexed(expression.index, expression.array.type);
    case 'shuffle-xor':
      return expression.operand.type;
    case 'splat':
    case 'extract':
    case 'horizontal-add':
      return vectorType(expression);
    case 'compose':
      return composeType(expression);
    default:
      return expression satisfies never;
  }
}
