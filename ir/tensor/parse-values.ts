/** Names, ids, axes and value definitions: what all parts of the Tensor IR text share. */
import type { TensorDtype, TensorValue, ValueId } from './ops.ts';
import type { TirCursor } from './tir-lexer.ts';

const dtypes = ['real', 'complex', 'flag', 'index'] as const satisfies readonly TensorDtype[];

/** A plain or quoted name. */
export function readName(cursor: TirCursor): string {
  const { kind } = cursor.peek();
  return kind === 'name' || kind === 'quoted' ? cursor.take().text : cursor.fail('a name');
}

/** One of the given words. */
export function readOneOf<Word extends string>(cursor: TirCursor, words: readonly Word[], wanted: string): Word {
  const found = words.find((word) => cursor.accept(word));
  return found ?? cursor.fail(wanted);
}

/** Any float64, `NaN` and the infinities included. */
export function readNumber(cursor: TirCursor): number {
  if (cursor.accept('NaN')) return NaN;
  if (cursor.accept('Infinity')) return Infinity;
  return cursor.peek().kind === 'number' ? Number(cursor.take().text) : cursor.fail('a number');
}

/** An integer that float64 holds exactly. */
export function readInteger(cursor: TirCursor): number {
  const { kind, text } = cursor.peek();
  if (kind !== 'number' || !Number.isSafeInteger(Number(text))) cursor.fail('an integer');
  return Number(cursor.take().text);
}

/** `%12` */
export function readValueId(cursor: TirCursor): ValueId {
  const { kind, text } = cursor.peek();
  if (kind !== 'value' || !Number.isSafeInteger(Number(text))) cursor.fail('a value');
  return Number(cursor.take().text) as ValueId;
}

/** `%1, %2`, as far as the line goes; empty where the line ends. */
export function readIds(cursor: TirCursor): readonly ValueId[] {
  if (!cursor.staysOnLine() || cursor.peek().kind !== 'value') return [];
  const ids = [readValueId(cursor)];
  while (cursor.accept(',')) ids.push(readValueId(cursor));
  return ids;
}

/** `[batch, time, D]` */
export function readAxes(cursor: TirCursor): readonly string[] {
  cursor.expect('[');
  if (cursor.accept(']')) return [];
  const axes = [readName(cursor)];
  while (cursor.accept(',')) axes.push(readName(cursor));
  cursor.expect(']');
  return axes;
}

/** `%12:dt[batch, time, D]`, `%13:z complex[D]` */
export function readValue(cursor: TirCursor): TensorValue {
  const id = readValueId(cursor);
  cursor.expect(':');
  const name = readName(cursor);
  const dtype = cursor.peek().kind === 'name' ? readOneOf(cursor, dtypes, 'a dtype') : 'real';
  return { id, name, type: { dtype, axes: readAxes(cursor) } };
}
