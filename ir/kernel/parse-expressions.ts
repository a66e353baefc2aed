/**
 * Expressions and sizes of the `.kir` text form. The nodes are made without folding, so that the
 * printed structure comes back exactly; types are derived from operands, and an expression without
 * a type is an error here already.
 */
import type { SizeExpression } from '../../support/size.ts';
import { failAt, type Cursor, type Token } from './kir-lexer.ts';
import {
  f32, i32, withWidth,
  type BinaryOperator, type Buffer, type ElementType, type KernelExpression, type KernelType, type RegisterArray,
  type SharedArray, type UnaryOperator, type Uniform, type Variable, type VectorWidth,
} from './nodes.ts';
import { infixOperators } from './print.ts';
import { deriveType } from './types.ts';

/** What the text has declared so far, by mark and id (`%7`). */
export type Declarations = {
  readonly variables: Map<number, Variable>;
  readonly uniforms: Map<number, Uniform>;
  readonly buffers: Map<number, Buffer>;
  readonly shared: Map<number, SharedArray>;
  readonly arrays: Map<number, RegisterArray>;
};

/** Cursor, declarations and nesting depth, which is limited so that no text exhausts the stack. */
export type Reader = { readonly cursor: Cursor; readonly declarations: Declarations; depth: number };

const depthLimit = 256;

/** Runs `read` one level deeper. */
export function nest<T>(reader: Reader, read: () => T): T {
  reader.depth += 1;
  if (reader.depth > depthLimit) failAt(reader.cursor.peek(), `nested deeper than ${depthLimit}`);
  const result = read();
  reader.depth -= 1;
  return result;
}

/** String token without quotes. */
export function unquote(token: Token, quoted: string = token.text): string {
  try {
    return String(JSON.parse(quoted));
  } catch {
    return failAt(token, `not a string: ${quoted}`);
  }
}

/** Mark, id and name of `%7:decay`. */
export type Reference = { readonly mark: string; readonly id: number; readonly name: string; readonly token: Token };

export function takeReference(reader: Reader): Reference {
  const token = reader.cursor.take('reference');
  const [mark, colon] = [token.text.slice(0, 1), token.text.indexOf(':')];
  const name = token.text.slice(colon + 1);
  return { mark, id: Number(token.text.slice(1, colon)), name: name.startsWith('"') ? unquote(token, name) : name, token };
}

/** The declared thing behind a reference; its name must be the declared one. */
export function resolve<T extends { readonly name: string }>(table: ReadonlyMap<number, T>, reference: Reference): T {
  const { id, name, token } = reference;
  const found = table.get(id);
  if (found === undefined || found.name !== name) return failAt(token, `${token.text} is not declared`);
  return found;
}

const elements: readonly ElementType[] = ['f32', 'f64', 'i32', 'u32', 'bool'];

/** A type such as `f32` or `i32x4`. */
export function takeType(reader: Reader): KernelType {
  const token = reader.cursor.take('word');
  const element = elements.find((each) => token.text === each || token.text === `${each}x2` || token.text === `${each}x4`);
  if (element === undefined) return failAt(token, `${token.text} is not a type`);
  return { element, width: widthAtEnd(token.text.slice(element.length)) };
}

function widthAtEnd(text: string): VectorWidth {
  if (text.endsWith('x4')) return 4;
  return text.endsWith('x2') ? 2 : 1;
}

/** A whole number without sign or suffix. */
export function takeCount(reader: Reader): number {
  const token = reader.cursor.take('number');
  return /^[0-9]{1,15}$/.test(token.text) ? Number(token.text) : failAt(token, `${token.text} is not a count`);
}

function parseNumber(reader: Reader, sign: 1 | -1): KernelExpression {
  const token = reader.cursor.take('number');
  const match = /^(Infinity|NaN|[0-9.]+(?:e[+-]?[0-9]+)?)(u|d)?/.exec(token.text);
  const digits = match?.[1] ?? '';
  const suffix = match?.[2];
  const plain = /^[0-9]+$/.test(digits) ? i32 : f32;
  const scalar: KernelType = suffix === undefined ? plain : { element: suffix === 'u' ? 'u32' : 'f64', width: 1 };
  return { kind: 'literal', value: sign * Number(digits), type: withWidth(scalar, widthAtEnd(token.text)) };
}

/** Gives a node its derived type; `type` in the node so far only has what the text states. */
function typed<Expression extends KernelExpression>(token: Token, expression: Expression): KernelExpression {
  const type = deriveType(expression);
  return typeof type === 'string' ? failAt(token, type) : { ...expression, type };
}

const binaryBySign = new Map(Object.entries(infixOperators).map(([operator, sign]) => [sign, operator as BinaryOperator]));
const unaryNames: readonly UnaryOperator[] = [
  'negate', 'not', 'absolute', 'floor', 'square-root', 'exp2', 'log2', 'sine', 'cosine',
];

/** `left`, or `left sign right`; longer chains need parentheses. */
export function parseExpression(reader: Reader): KernelExpression {
  const left = nest(reader, () => parseOperand(reader));
  const token = reader.cursor.peek();
  const operator = binaryBySign.get(token.kind);
  if (operator === undefined) return left;
  reader.cursor.next();
  const right = nest(reader, () => parseOperand(reader));
  return typed(token, { kind: 'binary', operator, left, right, type: left.type });
}

function parseOperand(reader: Reader): KernelExpression {
  const { cursor } = reader;
  const token = cursor.peek();
  switch (token.kind) {
    case 'number':
      return parseNumber(reader, 1);
    case '-':
      cursor.next();
      return parseNumber(reader, -1);
    case '(': {
      cursor.next();
      const inner = parseExpression(reader);
      cursor.expect(')');
      return inner;
    }
    case 'reference':
      return parseReference(reader);
    case 'word':
      return parseWord(reader);
    default:
      return failAt(token, `expected an expression, found ${token.text}`);
  }
}

/** What stands in brackets after a buffer. */
export type ParsedAccess = {
  readonly index: KernelExpression;
  readonly width: VectorWidth;
  readonly aligned: boolean;
  readonly early: boolean;
};

/** `[index; width aligned]` after a buffer. */
export function parseAccess(reader: Reader): ParsedAccess {
  const { cursor } = reader;
  cursor.expect('[');
  const index = parseExpression(reader);
  const hasSuffix = cursor.accept(';');
  const width = hasSuffix ? takeCount(reader) : 1;
  if (width !== 1 && width !== 2 && width !== 4) return failAt(cursor.peek(), `width ${width}`);
  const aligned = hasSuffix && cursor.accept('aligned');
  const early = hasSuffix && cursor.accept('early');
  cursor.expect(']');
  return { index, width, aligned, early };
}

/** `[index]` after an array. */
export function parseIndex(reader: Reader): KernelExpression {
  reader.cursor.expect('[');
  const index = parseExpression(reader);
  reader.cursor.expect(']');
  return index;
}

function parseReference(reader: Reader): KernelExpression {
  const { declarations } = reader;
  const reference = takeReference(reader);
  switch (reference.mark) {
    case '%': {
      const variable = resolve(declarations.variables, reference);
      return { kind: 'variable', variable, type: variable.type };
    }
    case '~':
      return { kind: 'uniform', uniform: resolve(declarations.uniforms, reference), type: i32 };
    case '@': {
      const buffer = resolve(declarations.buffers, reference);
      const { index, width, aligned, early } = parseAccess(reader);
      return typed(reference.token, { kind: 'load', buffer, index, aligned, ...(early ? { early } : {}), type: withWidth(f32, width) });
    }
    case '$': {
      const array = resolve(declarations.shared, reference);
      const { index, width } = parseAccess(reader);
      const type = width === 1 ? array.type : withWidth(array.type, width);
      return typed(reference.token, { kind: 'load-shared', array, index, type });
    }
    default: {
      const array = resolve(declarations.arrays, reference);
      return typed(reference.token, { kind: 'element', array, index: parseIndex(reader), type: array.type });
    }
  }
}

function parseOperands(reader: Reader, count: number | null): readonly KernelExpression[] {
  const { cursor } = reader;
  const open = cursor.expect('(');
  const operands = [parseExpression(reader)];
  while (cursor.accept(',')) operands.push(parseExpression(reader));
  cursor.expect(')');
  if (count !== null && operands.length !== count) failAt(open, `expected ${count} operands, found ${operands.length}`);
  return operands;
}

/** `(operand, count)`. */
function parseCounted(reader: Reader): { readonly operand: KernelExpression; readonly count: number } {
  reader.cursor.expect('(');
  const operand = parseExpression(reader);
  reader.cursor.expect(',');
  const count = takeCount(reader);
  reader.cursor.expect(')');
  return { operand, count };
}

function parseWord(reader: Reader): KernelExpression {
  const token = reader.cursor.take('word');
  const boolean = /^(true|false)(x[24])?$/.exec(token.text);
  if (boolean !== null) {
    const type: KernelType = { element: 'bool', width: widthAtEnd(token.text) };
    return { kind: 'literal', value: boolean[1] === 'true' ? 1 : 0, type };
  }
  const unary = unaryNames.find((each) => each === token.text);
  if (unary !== undefined) {
    const [operand = failAt(token, 'no operand')] = parseOperands(reader, 1);
    return typed(token, { kind: 'unary', operator: unary, operand, type: operand.type });
  }
  return parseCall(reader, token);
}

function parseCall(reader: Reader, token: Token): KernelExpression {
  switch (token.text) {
    case 'workgroup-x':
    case 'workgroup-y':
    case 'workgroup-z':
    case 'invocation':
      return { kind: 'builtin', builtin: token.text, type: i32 };
    case 'minimum':
    case 'maximum': {
      const [left = failAt(token, 'no operand'), right = left] = parseOperands(reader, 2);
      return typed(token, { kind: 'binary', operator: token.text, left, right, type: left.type });
    }
    case 'select': {
      const operands = parseOperands(reader, 3);
      const [condition = failAt(token, 'no operand'), whenTrue = condition, whenFalse = condition] = operands;
      return typed(token, { kind: 'select', condition, whenTrue, whenFalse, type: whenTrue.type });
    }
    case 'convert':
    case 'bitcast': {
      const type = takeType(reader);
      const [operand = failAt(token, 'no operand')] = parseOperands(reader, 1);
      return typed(token, { kind: token.text, operand, type });
    }
    default:
      return parseVector(reader, token);
  }
}

function parseVector(reader: Reader, token: Token): KernelExpression {
  switch (token.text) {
    case 'shuffle-xor': {
      const { operand, count } = parseCounted(reader);
      return typed(token, { kind: 'shuffle-xor', operand, mask: count, type: operand.type });
    }
    case 'splat': {
      const { operand, count } = parseCounted(reader);
      if (count !== 2 && count !== 4) return failAt(token, `splat to ${count}`);
      return typed(token, { kind: 'splat', operand, type: withWidth(operand.type, count) });
    }
    case 'extract': {
      const { operand, count } = parseCounted(reader);
      return typed(token, { kind: 'extract', operand, lane: count, type: operand.type });
    }
    case 'compose':
      return typed(token, { kind: 'compose', operands: parseOperands(reader, null), type: f32 });
    case 'horizontal-add': {
      const [operand = failAt(token, 'no operand')] = parseOperands(reader, 1);
      return typed(token, { kind: 'horizontal-add', operand, type: operand.type });
    }
    default:
      return failAt(token, `unknown operation ${token.text}`);
  }
}

const sizeOperators = { '+': 'add', '*': 'multiply' } as const;

/** A size: number, `batch`, `length`, `(a + b)`, `(a * b)`, `ceil(a / b)`, `min(a, b)`. */
export function parseSize(reader: Reader): SizeExpression {
  const { cursor } = reader;
  const token = cursor.peek();
  if (token.kind === 'number') return takeCount(reader);
  cursor.next();
  if (token.text === 'batch' || token.text === 'length') return token.text;
  const separator = token.text === 'ceil' ? '/' : ',';
  if (token.text === 'ceil' || token.text === 'min') cursor.expect('(');
  else if (token.kind !== '(') return failAt(token, `expected a size, found ${token.text}`);
  const left = nest(reader, () => parseSize(reader));
  const sign = cursor.next();
  const isSum = sign.kind === '+' || sign.kind === '*';
  if (token.kind === '(' ? !isSum : sign.kind !== separator) return failAt(sign, `unexpected ${sign.text} in a size`);
  const right = nest(reader, () => parseSize(reader));
  cursor.expect(')');
  if (isSum) return { operator: sizeOperators[sign.kind === '+' ? '+' : '*'], left, right };
  return { operator: token.text === 'ceil' ? 'ceil-divide' : 'minimum', left, right };
}
