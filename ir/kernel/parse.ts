/**
 * Reads the `.kir` text form back to a kernel that equals the printed one. For golden files, hand
 * written tests and bug reports; a text that is no kernel gives an InternalError with its line.
 * Whether the kernel obeys the rules of the level is `verify`'s question.
 */
import { failAt, readTokens } from './kir-lexer.ts';
import type {
  ArrayId, Buffer, BufferId, Kernel, KernelStatement, KernelType, SharedArray, SharedId, StorageType, Uniform, UniformId,
  Variable, VariableId,
} from './nodes.ts';
import {
  nest, parseAccess, parseExpression, parseIndex, parseSize, resolve, takeCount, takeReference, takeType, unquote,
  type Declarations, type Reader, type Reference,
} from './parse-expressions.ts';

const storages: readonly StorageType[] = ['f32', 'f64', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8'];
const accesses: readonly Buffer['access'][] = ['read', 'write', 'read-write'];

function takeMarked(reader: Reader, mark: string): Reference {
  const reference = takeReference(reader);
  return reference.mark === mark ? reference : failAt(reference.token, `expected ${mark}, found ${reference.token.text}`);
}

function takeOneOf<Word extends string>(reader: Reader, words: readonly Word[]): Word {
  const token = reader.cursor.take('word');
  return words.find((each) => each === token.text) ?? failAt(token, `expected one of ${words.join(', ')}, found ${token.text}`);
}

/** `[count]` */
function takeLength(reader: Reader): number {
  reader.cursor.expect('[');
  const length = takeCount(reader);
  reader.cursor.expect(']');
  return length;
}

function declare<T>(table: Map<number, T>, { id, token }: Reference, thing: T): T {
  if (table.has(id)) failAt(token, `${token.text} is declared twice`);
  table.set(id, thing);
  return thing;
}

function declareVariable(reader: Reader, reference: Reference, type: KernelType): Variable {
  const variable: Variable = { id: reference.id as VariableId, name: reference.name, type };
  return declare(reader.declarations.variables, reference, variable);
}

function parseBinding(reader: Reader, kind: 'let' | 'var'): KernelStatement {
  reader.cursor.expect(kind);
  const reference = takeMarked(reader, '%');
  reader.cursor.expect('=');
  const value = parseExpression(reader);
  return { kind, variable: declareVariable(reader, reference, value.type), value };
}

function parseArray(reader: Reader): KernelStatement {
  reader.cursor.expect('array');
  const reference = takeMarked(reader, '#');
  const type = takeType(reader);
  const array = { id: reference.id as ArrayId, name: reference.name, type, length: takeLength(reader) };
  return { kind: 'array', array: declare(reader.declarations.arrays, reference, array) };
}

function parseFor(reader: Reader): KernelStatement {
  const { cursor } = reader;
  cursor.expect('for');
  const reference = takeMarked(reader, '%');
  cursor.expect('=');
  const start = parseExpression(reader);
  cursor.expect('..');
  const end = parseExpression(reader);
  const step = cursor.accept('step') ? takeCount(reader) : 1;
  const unroll = cursor.accept('unroll');
  const variable = declareVariable(reader, reference, { element: 'i32', width: 1 });
  return { kind: 'for', variable, start, end, step, unroll, body: parseBlock(reader) };
}

function parseIf(reader: Reader): KernelStatement {
  reader.cursor.expect('if');
  const condition = parseExpression(reader);
  const whenTrue = parseBlock(reader);
  const whenFalse = reader.cursor.accept('else') ? parseBlock(reader) : [];
  return { kind: 'if', condition, whenTrue, whenFalse };
}

/** A statement that starts with what it changes. */
function parseChange(reader: Reader): KernelStatement {
  const { cursor, declarations } = reader;
  const reference = takeReference(reader);
  const value = (): KernelStatementValue => {
    cursor.expect('=');
    return parseExpression(reader);
  };
  switch (reference.mark) {
    case '%':
      return { kind: 'assign', variable: resolve(declarations.variables, reference), value: value() };
    case '@': {
      const buffer = resolve(declarations.buffers, reference);
      const { index, width, aligned } = parseAccess(reader);
      const stored = value();
      if (stored.type.width !== width) failAt(reference.token, `store of width ${stored.type.width} as ${width}`);
      return { kind: 'store', buffer, index, value: stored, aligned };
    }
    case '$':
      return { kind: 'store-shared', array: resolve(declarations.shared, reference), index: parseIndex(reader), value: value() };
    case '#':
      return { kind: 'set-element', array: resolve(declarations.arrays, reference), index: parseIndex(reader), value: value() };
    default:
      return failAt(reference.token, `${reference.token.text} cannot be changed`);
  }
}

type KernelStatementValue = ReturnType<typeof parseExpression>;

function parseStatement(reader: Reader): KernelStatement {
  const { cursor } = reader;
  const token = cursor.peek();
  if (token.kind === 'reference') return parseChange(reader);
  switch (token.text) {
    case 'let':
    case 'var':
      return parseBinding(reader, token.text);
    case 'array':
      return parseArray(reader);
    case 'for':
      return parseFor(reader);
    case 'if':
      return parseIf(reader);
    case 'barrier':
      cursor.next();
      return { kind: 'barrier' };
    case 'comment':
      cursor.next();
      return { kind: 'comment', text: unquote(cursor.take('text')) };
    default:
      return failAt(token, `expected a statement, found ${token.text}`);
  }
}

function parseBlock(reader: Reader): readonly KernelStatement[] {
  return nest(reader, () => {
    const body: KernelStatement[] = [];
    reader.cursor.expect('{');
    while (!reader.cursor.accept('}')) body.push(parseStatement(reader));
    return body;
  });
}

/** Repeats `read` for every line that starts with the word. */
function parseLines<T>(reader: Reader, word: string, read: () => T): readonly T[] {
  const lines: T[] = [];
  while (reader.cursor.accept(word)) lines.push(read());
  return lines;
}

function parseUniform(reader: Reader): Uniform {
  const reference = takeMarked(reader, '~');
  reader.cursor.expect('=');
  const uniform: Uniform = { id: reference.id as UniformId, name: reference.name, value: parseSize(reader) };
  return declare(reader.declarations.uniforms, reference, uniform);
}

function parseBuffer(reader: Reader): Buffer {
  const reference = takeMarked(reader, '@');
  const [storage, access] = [takeOneOf(reader, storages), takeOneOf(reader, accesses)];
  reader.cursor.expect('[');
  const buffer: Buffer = { id: reference.id as BufferId, name: reference.name, storage, access, size: parseSize(reader) };
  reader.cursor.expect(']');
  return declare(reader.declarations.buffers, reference, buffer);
}

function parseShared(reader: Reader): SharedArray {
  const reference = takeMarked(reader, '$');
  const type = takeType(reader);
  const shared: SharedArray = { id: reference.id as SharedId, name: reference.name, type, length: takeLength(reader) };
  return declare(reader.declarations.shared, reference, shared);
}

function parseGrid(reader: Reader): Kernel['grid'] {
  reader.cursor.expect('grid');
  const x = parseSize(reader);
  reader.cursor.expect(',');
  const y = parseSize(reader);
  reader.cursor.expect(',');
  return [x, y, parseSize(reader)];
}

function noDeclarations(): Declarations {
  return { variables: new Map(), uniforms: new Map(), buffers: new Map(), shared: new Map(), arrays: new Map() };
}

/** The kernel of a `.kir` text. */
export function parseKernel(text: string): Kernel {
  const cursor = readTokens(text);
  const reader: Reader = { cursor, declarations: noDeclarations(), depth: 0 };
  cursor.expect('kernel');
  const name = unquote(cursor.take('text'));
  const notes = parseLines(reader, 'note', () => unquote(cursor.take('text')));
  cursor.expect('workgroup');
  const workgroupSize = takeCount(reader);
  const [resident] = parseLines(reader, 'resident', () => takeCount(reader));
  const grid = parseGrid(reader);
  const uniforms = parseLines(reader, 'uniform', () => parseUniform(reader));
  const buffers = parseLines(reader, 'buffer', () => parseBuffer(reader));
  const shared = parseLines(reader, 'shared', () => parseShared(reader));
  cursor.expect('body');
  const body = parseBlock(reader);
  if (cursor.peek().kind !== 'end') failAt(cursor.peek(), `unexpected ${cursor.peek().text} after the kernel`);
  return { name, notes, workgroupSize, ...(resident === undefined ? {} : { resident }), grid, uniforms, buffers, shared, body };
}
