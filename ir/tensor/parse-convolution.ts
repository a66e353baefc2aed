/** Reads the text of convolutions' operations: the inverse of `print-convolution`. */
import type { ConvolutionOp, PowerBase, PowerFactor, ValueId } from './ops.ts';
import { readAxes, readIds, readInteger, readOneOf, readValueId } from './parse-values.ts';
import type { TirCursor } from './tir-lexer.ts';

type OpOf<Kind extends ConvolutionOp['kind']> = Extract<ConvolutionOp, { kind: Kind }>;

const factors = ['power', 'count', 'derivative'] as const satisfies readonly PowerFactor[];

function readOrder(cursor: TirCursor): 'forward' | 'reverse' {
  return readOneOf(cursor, ['forward', 'reverse'] as const, 'forward or reverse');
}

function readParts(cursor: TirCursor): { readonly re: ValueId; readonly im: ValueId | null } {
  cursor.expect('of');
  const [re, im = null, ...more] = readIds(cursor);
  if (re === undefined || more.length > 0) return cursor.fail('one or two values');
  return { re, im };
}

function readBase(cursor: TirCursor): PowerBase {
  if (readOneOf(cursor, ['exponential', 'value'] as const, 'exponential or value') === 'value') {
    return { kind: 'value', ...readParts(cursor) };
  }
  const step = cursor.accept('step') ? readValueId(cursor) : null;
  return { kind: 'exponential', step, ...readParts(cursor) };
}

function after<T>(cursor: TirCursor, word: string, read: (cursor: TirCursor) => T): T {
  cursor.expect(word);
  return read(cursor);
}

const readFactor = (cursor: TirCursor): PowerFactor => readOneOf(cursor, factors, 'a factor');

/** By the word that the operation starts with. */
export const convolutionReaders: { readonly [Kind in ConvolutionOp['kind']]: (cursor: TirCursor) => OpOf<Kind> } = {
  'impulse-response': (cursor) => ({
    kind: 'impulse-response', order: readOrder(cursor), base: readBase(cursor), weight: after(cursor, 'weight', readIds),
    over: after(cursor, 'over', readAxes), start: after(cursor, 'start', readInteger),
  }),
  'power-moment': (cursor) => ({
    kind: 'power-moment', order: readOrder(cursor), base: readBase(cursor), signal: after(cursor, 'signal', readValueId),
    start: after(cursor, 'start', readInteger), factor: after(cursor, 'factor', readFactor),
  }),
  'power': (cursor) => {
    const base = readBase(cursor);
    const steps = after(cursor, 'steps', readInteger);
    const lengths = after(cursor, 'lengths', readInteger);
    if (lengths !== 0 && lengths !== 1) return cursor.fail('0 or 1 lengths');
    return { kind: 'power', base, steps, lengths, factor: after(cursor, 'factor', readFactor) };
  },
  'convolve': (cursor) => {
    const order = readOrder(cursor);
    const response = readValueId(cursor);
    cursor.expect(',');
    return { kind: 'convolve', order, response, signal: readValueId(cursor) };
  },
  'correlate': (cursor) => {
    const late = readValueId(cursor);
    cursor.expect(',');
    return { kind: 'correlate', late, early: readValueId(cursor), over: after(cursor, 'over', readAxes) };
  },
};
