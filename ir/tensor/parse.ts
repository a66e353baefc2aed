/**
 * Reads the text form of Tensor IR (`.tir`): the inverse of `print`. Text comes from people and from
 * dumps, so every malformed one is an error with its line. What the text means is not checked here:
 * `verify` does that.
 */
import { binaryFunctions, unaryFunctions } from './interpret-functions.ts';
import type {
  ArgumentRole, BinaryFunction, ComplexPart, FunctionResult, TensorFunction, TensorInstruction, TensorModule, TensorOp,
  TensorValue, UnaryFunction, ValueId,
} from './ops.ts';
import { convolutionReaders } from './parse-convolution.ts';
import { readScan } from './parse-scan.ts';
import { readAxes, readInteger, readName, readNumber, readOneOf, readValue, readValueId } from './parse-values.ts';
import { openCursor, TirSyntaxError, type TirCursor } from './tir-lexer.ts';

/** The module, or the first error and its line (from 1). */
export type ParsedModule =
  | { readonly kind: 'module'; readonly module: TensorModule }
  | { readonly kind: 'error'; readonly line: number; readonly message: string };

type OpOf<Kind extends TensorOp['kind']> = Extract<TensorOp, { kind: Kind }>;
type PlainKind = Exclude<TensorOp['kind'], 'affine-scan' | 'unary' | 'binary'>;

const argumentRoles = [
  'input', 'param', 'initial', 'saved', 'output-cotangent', 'final-cotangent',
] as const satisfies readonly ArgumentRole[];
const resultRoles = ['output', 'final', 'saved', 'gradient'] as const satisfies readonly FunctionResult['role'][];

function readPart(cursor: TirCursor): ComplexPart {
  if (cursor.accept('re')) return 're';
  return cursor.accept('im') ? 'im' : 'whole';
}

function readPair(cursor: TirCursor): readonly [ValueId, ValueId] {
  const first = readValueId(cursor);
  cursor.expect(',');
  return [first, readValueId(cursor)];
}

function readContract(cursor: TirCursor): OpOf<'contract'> {
  const [left, right] = readPair(cursor);
  cursor.expect('over');
  return { kind: 'contract', left, right, over: readAxes(cursor) };
}

function readSelect(cursor: TirCursor): OpOf<'select'> {
  const [condition, whenTrue] = readPair(cursor);
  cursor.expect(',');
  return { kind: 'select', condition, whenTrue, whenFalse: readValueId(cursor) };
}

function readDelay(cursor: TirCursor): OpOf<'delay'> {
  const operand = readValueId(cursor);
  const steps = readAfter(cursor, 'by', readNumber);
  if (!cursor.accept('tail')) return { kind: 'delay', operand, steps, tail: null };
  const value = readValueId(cursor);
  return { kind: 'delay', operand, steps, tail: { value, axis: readAfter(cursor, 'along', readName) } };
}

type Indexed = { readonly source: ValueId; readonly axis: string; readonly index: ValueId };

/** `%table along V at %index` */
function readIndexed(cursor: TirCursor): Indexed {
  const source = readValueId(cursor);
  cursor.expect('along');
  const axis = readName(cursor);
  cursor.expect('at');
  return { source, axis, index: readValueId(cursor) };
}

/** An operand, a word, and what follows it. */
function readAfter<T>(cursor: TirCursor, word: string, read: (cursor: TirCursor) => T): T {
  cursor.expect(word);
  return read(cursor);
}

const readers: { readonly [Kind in PlainKind]: (cursor: TirCursor) => OpOf<Kind> } = {
  'argument': (cursor) => {
    const role = readOneOf(cursor, argumentRoles, 'a role');
    return { kind: 'argument', role, subject: readName(cursor), part: readPart(cursor) };
  },
  'constant': (cursor) => ({ kind: 'constant', value: readNumber(cursor) }),
  'length': () => ({ kind: 'length' }),
  'iota': (cursor) => ({ kind: 'iota', axis: readName(cursor) }),
  'select': readSelect,
  'complex': (cursor) => {
    const [re, im] = readPair(cursor);
    return { kind: 'complex', re, im };
  },
  'part': (cursor) => {
    const part = readOneOf(cursor, ['re', 'im'], 're or im');
    return { kind: 'part', part, operand: readValueId(cursor) };
  },
  'analytic': (cursor) => {
    const name = readOneOf(cursor, ['exp', 'phi1', 'phi2'], 'an analytic function');
    const [re, im] = readPair(cursor);
    return { kind: 'analytic', function: name, re, im };
  },
  'broadcast': (cursor) => ({
    kind: 'broadcast', operand: readValueId(cursor), axes: readAfter(cursor, 'to', readAxes),
  }),
  'rename': (cursor) => ({
    kind: 'rename', operand: readValueId(cursor),
    from: readAfter(cursor, 'from', readName), to: readAfter(cursor, 'to', readName),
  }),
  'reduce': (cursor) => {
    const name = readOneOf(cursor, ['sum', 'maximum'], 'sum or maximum');
    return { kind: 'reduce', function: name, over: readAxes(cursor), operand: readValueId(cursor) };
  },
  'contract': readContract,
  'slide': (cursor) => ({
    kind: 'slide', operand: readValueId(cursor),
    from: readAfter(cursor, 'from', readName), to: readAfter(cursor, 'to', readName),
    steps: readAfter(cursor, 'by', readNumber), lengths: readAfter(cursor, 'lengths', readNumber),
  }),
  'delay': readDelay,
  'last': (cursor) => ({ kind: 'last', operand: readValueId(cursor) }),
  'at-last': (cursor) => ({ kind: 'at-last', operand: readValueId(cursor) }),
  'gather': (cursor) => {
    const { source, axis, index } = readIndexed(cursor);
    return { kind: 'gather', table: source, axis, index };
  },
  'scatter-add': (cursor) => {
    const { source, axis, index } = readIndexed(cursor);
    return { kind: 'scatter-add', values: source, axis, index, over: readAfter(cursor, 'over', readAxes) };
  },
  ...convolutionReaders,
};

const deepestRegion = 8;

function readOperation(cursor: TirCursor, depth: number): TensorOp {
  const word = readName(cursor);
  if (word === 'affine-scan') {
    if (depth >= deepestRegion) cursor.fail('less deeply nested scans');
    return readScan(cursor, () => readInstruction(cursor, depth + 1));
  }
  if (Object.hasOwn(readers, word)) return readers[word as PlainKind](cursor);
  if (Object.hasOwn(unaryFunctions, word)) {
    return { kind: 'unary', function: word as UnaryFunction, operand: readValueId(cursor) };
  }
  if (Object.hasOwn(binaryFunctions, word)) {
    const [left, right] = readPair(cursor);
    return { kind: 'binary', function: word as BinaryFunction, left, right };
  }
  return cursor.fail(`an operation instead of ${JSON.stringify(word)} before it`);
}

function readInstruction(cursor: TirCursor, depth: number): TensorInstruction {
  const results: TensorValue[] = [];
  if (!cursor.accept('=')) {
    do results.push(readValue(cursor));
    while (cursor.accept(','));
    cursor.expect('=');
  }
  return { op: readOperation(cursor, depth), results };
}

function readResult(cursor: TirCursor): FunctionResult {
  const role = readOneOf(cursor, resultRoles, 'a role');
  const subject = readName(cursor);
  const part = readPart(cursor);
  cursor.expect('=');
  return { role, subject, part, value: readValueId(cursor) };
}

function readFunction(cursor: TirCursor): TensorFunction {
  const name = readName(cursor);
  const instructions: TensorInstruction[] = [];
  const results: FunctionResult[] = [];
  cursor.expect('{');
  while (!cursor.accept('}')) {
    if (cursor.accept('result')) results.push(readResult(cursor));
    else instructions.push(readInstruction(cursor, 0));
  }
  return { name, instructions, results };
}

function readModule(cursor: TirCursor): TensorModule {
  cursor.expect('module');
  const name = readName(cursor);
  const axes: { readonly name: string; readonly size: number }[] = [];
  const functions: TensorFunction[] = [];
  cursor.expect('{');
  while (!cursor.accept('}')) {
    if (cursor.accept('function')) functions.push(readFunction(cursor));
    else if (cursor.accept('axis')) axes.push({ name: readName(cursor), size: readAfter(cursor, '=', readInteger) });
    else cursor.fail('axis or function');
  }
  if (cursor.peek().kind !== 'end') cursor.fail('the end of the text');
  return { name, axes, functions };
}

/** Reads one module. Never throws on any text. */
export function parseModule(text: string): ParsedModule {
  try {
    return { kind: 'module', module: readModule(openCursor(text)) };
  } catch (error) {
    if (error instanceof TirSyntaxError) return { kind: 'error', line: error.line, message: error.message };
    throw error;
  }
}
