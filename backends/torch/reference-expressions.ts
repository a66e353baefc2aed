/**
 * Expressions of a checked layer as PyTorch: every tensor has one dimension per axis of the layer, so
 * that Python's own operators broadcast by axis. Numbers stay Python numbers until a function needs a
 * tensor; `tools.py` holds the functions.
 */
import type { ElementwiseFunction, SpecBinaryOperator, SpecExpression } from '../../dsl/spec.ts';
import { assertNever } from '../../support/invariant.ts';
import { pythonNumber } from './python-text.ts';

/** How a piece of Python binds: a piece weaker than its place gets parentheses. */
export type Piece = { readonly text: string; readonly strength: number; readonly isNumber: boolean };

/** What names and axes are called in the function that is written. */
export type ExpressionScope = {
  readonly nameOf: (target: 'input' | 'param' | 'let' | 'state' | 'previous', name: string) => string;
  readonly dimOf: (axis: string) => string;
  /** `{AXIS_D: 64}` */
  readonly sizesOf: (axes: readonly string[]) => string;
  /** the tail's variable, and what it delays when that was computed already */
  readonly tailOf: (tail: string) => { readonly initial: string; readonly value: string };
};

const comparison = 3;
const additive = 6;
const unary = 8;
const atom = 10;

const binaries: Readonly<Record<Exclude<SpecBinaryOperator, 'power'>, readonly [sign: string, strength: number]>> = {
  less: ['<', comparison], 'less-equal': ['<=', comparison], equal: ['==', comparison], 'not-equal': ['!=', comparison],
  or: ['|', 4], and: ['&', 5], add: ['+', additive], subtract: ['-', additive], multiply: ['*', 7], divide: ['/', 7],
};

const functions: Readonly<Record<Exclude<ElementwiseFunction, 'square' | 'to_real'>, string>> = {
  exp: 'torch.exp', log: 'torch.log', sqrt: 'torch.sqrt', sin: 'torch.sin', cos: 'torch.cos', tanh: 'torch.tanh', abs: 'torch.abs',
  sign: 'torch.sign', sigmoid: 'torch.sigmoid', softplus: 'tools.softplus', silu: 'torch.nn.functional.silu', relu: 'torch.relu',
  gelu: 'tools.gelu', expm1: 'torch.expm1', log1p: 'torch.log1p', log_sigmoid: 'tools.log_sigmoid', max: 'tools.maximum',
  min: 'tools.minimum', complex: 'tools.as_complex', real: 'tools.real', imag: 'tools.imag', conj: 'torch.conj',
};

function call(name: string, ...operands: readonly string[]): Piece {
  return { text: `${name}(${operands.join(', ')})`, strength: atom, isNumber: false };
}

function inside(piece: Piece, strength: number): string {
  return piece.strength < strength ? `(${piece.text})` : piece.text;
}

/** A piece that is a tensor for certain. */
export function tensorText(piece: Piece): string {
  return piece.isNumber ? `_number(${piece.text})` : piece.text;
}

/** One expression as Python. */
export function expressionPiece(expression: SpecExpression, scope: ExpressionScope): Piece {
  const piece = (each: SpecExpression): Piece => expressionPiece(each, scope);
  const tensor = (each: SpecExpression): string => tensorText(piece(each));
  switch (expression.kind) {
    case 'number':
      return { text: pythonNumber(expression.value), strength: expression.value < 0 ? unary : atom, isNumber: true };
    case 'time-scalar':
      return expression.scalar === 'length'
        ? { text: 'length', strength: atom, isNumber: true } : call('tools.iota', 'length', 'RANK', 'tools.TIME', '_like', '_work');
    case 'iota':
      return call('tools.iota', `SIZES[${scope.dimOf(expression.axis)}]`, 'RANK', scope.dimOf(expression.axis), '_like', '_work');
    case 'reference':
      return { text: scope.nameOf(expression.target, expression.name), strength: atom, isNumber: false };
    case 'negate': {
      const operand = piece(expression.operand);
      return { text: `-${inside(operand, unary)}`, strength: unary, isNumber: operand.isNumber };
    }
    case 'not':
      return { text: `~${inside(piece(expression.operand), unary)}`, strength: unary, isNumber: false };
    case 'binary':
      return binaryPiece(expression, scope);
    case 'elementwise':
      return elementwisePiece(expression, scope);
    case 'select':
      return call('torch.where', tensor(expression.condition), tensor(expression.whenTrue), tensor(expression.whenFalse));
    case 'reduce':
      return reducePiece(expression, scope);
    case 'reduce-time':
      return reduceTimePiece(expression, tensor(expression.operand));
    case 'delay': {
      const { initial, value } = scope.tailOf(expression.tail);
      return call('tools.delay', value, initial, String(expression.steps), 'length');
    }
    case 'gather':
      return call('tools.gather', tensor(expression.table), scope.dimOf(expression.axis), tensor(expression.index));
    case 'rename':
      return { text: `${inside(piece(expression.operand), atom)}.transpose(${scope.dimOf(expression.from)}, ${scope.dimOf(expression.to)})`, strength: atom, isNumber: false };
    default:
      return assertNever(expression, 'expressionPiece');
  }
}

type Of<Kind extends SpecExpression['kind']> = Extract<SpecExpression, { kind: Kind }>;

function binaryPiece(expression: Of<'binary'>, scope: ExpressionScope): Piece {
  const [left, right] = [expressionPiece(expression.left, scope), expressionPiece(expression.right, scope)];
  const isNumber = left.isNumber && right.isNumber;
  if (expression.operator === 'power') return { text: `${inside(left, atom)} ** ${inside(right, atom)}`, strength: 9, isNumber };
  const [sign, strength] = binaries[expression.operator];
  if (strength !== comparison) return { text: `${inside(left, strength)} ${sign} ${inside(right, strength + 1)}`, strength, isNumber };
  const first = isNumber ? { ...left, text: tensorText(left), strength: atom } : left;
  return { text: `${inside(first, strength + 1)} ${sign} ${inside(right, strength + 1)}`, strength, isNumber: false };
}

function elementwisePiece(expression: Of<'elementwise'>, scope: ExpressionScope): Piece {
  const operands = expression.operands.map((each) => expressionPiece(each, scope));
  const [first] = operands;
  if (expression.function === 'square' && first !== undefined) {
    return { text: `${inside(first, atom)} ** 2`, strength: 9, isNumber: first.isNumber };
  }
  if (expression.function === 'to_real' && first !== undefined) {
    return { text: `${inside(first, atom)}.to(_work)`, strength: atom, isNumber: false };
  }
  return call(functions[expression.function as keyof typeof functions], ...operands.map(tensorText));
}

/** A sum of a product is a contraction: nothing of the product's size is made. */
function reducePiece(expression: Of<'reduce'>, scope: ExpressionScope): Piece {
  const { operand, operator, over } = expression;
  const sizes = scope.sizesOf(over);
  if (operator === 'sum' && operand.kind === 'binary' && operand.operator === 'multiply') {
    const factors = [operand.left, operand.right].map((each) => tensorText(expressionPiece(each, scope)));
    return call('tools.contract', ...factors, sizes);
  }
  return call(`tools.${operator}_over`, tensorText(expressionPiece(operand, scope)), sizes);
}

function reduceTimePiece(expression: Of<'reduce-time'>, operand: string): Piece {
  if (!expression.operand.variance.time) {
    return expression.operator === 'sum' ? { text: `(${operand}) * length`, strength: 7, isNumber: false } : { text: `(${operand})`, strength: atom, isNumber: false };
  }
  if (expression.operator === 'last') return { text: `(${operand})[:, -1:]`, strength: atom, isNumber: false };
  return call(`tools.${expression.operator}_over`, operand, '{tools.TIME: length}');
}
