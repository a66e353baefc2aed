/**
 * Reads the clauses between the braces of a scan in the text form of Tensor IR. Clauses may stand in
 * any order; those that occur once are checked to.
 */
import type { AffineScanOp, Coefficient, ScanHistory, ScanYield, TensorInstruction, TensorValue, ValueId } from './ops.ts';
import { readAxes, readIds, readInteger, readName, readOneOf, readValue, readValueId } from './parse-values.ts';
import type { TirCursor } from './tir-lexer.ts';

const orders = ['forward', 'reverse'] as const;
const forms = ['decay-then-add', 'add-then-decay'] as const;

/** A recurrence while it is read; null is what has not come yet. */
type RecurrenceDraft = {
  coefficient: Coefficient | null;
  drive: readonly ValueId[] | null;
  initial: readonly ValueId[] | null;
  readonly previous: TensorValue[];
  readonly current: TensorValue[];
};

type HistoryDraft = RecurrenceDraft & {
  head: { readonly order: 'forward' | 'reverse'; readonly interval: number } | null;
  checkpoints: readonly ValueId[] | null;
};

type ScanDraft = RecurrenceDraft & {
  readonly operands: ValueId[];
  readonly parameters: TensorValue[];
  readonly region: TensorInstruction[];
  readonly yields: ScanYield[];
  readonly history: HistoryDraft;
  release: readonly ValueId[] | null;
  emitsFinal: true | null;
  checkpointInterval: number | null;
};

function emptyRecurrence(): RecurrenceDraft {
  return { coefficient: null, drive: null, initial: null, previous: [], current: [] };
}

function emptyDraft(): ScanDraft {
  return {
    ...emptyRecurrence(), operands: [], parameters: [], region: [], yields: [],
    history: { ...emptyRecurrence(), head: null, checkpoints: null },
    release: null, emitsFinal: null, checkpointInterval: null,
  };
}

/** The value, unless the clause was read before. */
function once<T>(cursor: TirCursor, before: T | null, name: string, read: () => T): T {
  return before === null ? read() : cursor.fail(`${name} only once`);
}

function readCoefficient(cursor: TirCursor): Coefficient {
  const kind = readOneOf(cursor, ['exponent', 'value'], 'exponent or value');
  if (kind === 'exponent') return { kind, exponent: readValueId(cursor) };
  return { kind, parts: readIds(cursor) };
}

/** A clause that both the scan and its history have; false if the word is none of these. */
function readRecurrenceClause(cursor: TirCursor, word: string, draft: RecurrenceDraft): boolean {
  switch (word) {
    case 'previous':
      draft.previous.push(readValue(cursor));
      return true;
    case 'current':
      draft.current.push(readValue(cursor));
      return true;
    case 'initial':
      draft.initial = once(cursor, draft.initial, word, () => readIds(cursor));
      return true;
    case 'coefficient':
      draft.coefficient = once(cursor, draft.coefficient, word, () => readCoefficient(cursor));
      return true;
    case 'drive':
      draft.drive = once(cursor, draft.drive, word, () => readIds(cursor));
      return true;
    default:
      return false;
  }
}

function readEvery(cursor: TirCursor): number {
  cursor.expect('every');
  return readInteger(cursor);
}

function readHistoryClause(cursor: TirCursor, draft: HistoryDraft): void {
  const word = readName(cursor);
  if (readRecurrenceClause(cursor, word, draft)) return;
  if (word === 'checkpoints') {
    draft.checkpoints = once(cursor, draft.checkpoints, word, () => readIds(cursor));
    return;
  }
  const order = orders.find((each) => each === word);
  if (order === undefined) cursor.fail(`a clause of a history instead of ${JSON.stringify(word)} before it`);
  else draft.head = once(cursor, draft.head, 'history', () => ({ order, interval: readEvery(cursor) }));
}

function readYield(cursor: TirCursor): ScanYield {
  const value = readValueId(cursor);
  return { value, sumOver: cursor.accept('sum') ? readAxes(cursor) : [] };
}

function readScanClause(cursor: TirCursor, draft: ScanDraft): void {
  const word = readName(cursor);
  if (readRecurrenceClause(cursor, word, draft)) return;
  switch (word) {
    case 'operand':
      draft.operands.push(readValueId(cursor));
      return;
    case 'parameter':
      draft.parameters.push(readValue(cursor));
      if (cursor.accept('=')) draft.operands.push(readValueId(cursor));
      return;
    case 'history':
      return readHistoryClause(cursor, draft.history);
    case 'release':
      draft.release = once(cursor, draft.release, word, () => readIds(cursor));
      return;
    case 'yield':
      draft.yields.push(readYield(cursor));
      return;
    case 'final':
      draft.emitsFinal = once(cursor, draft.emitsFinal, word, () => true as const);
      return;
    case 'checkpoint':
      draft.checkpointInterval = once(cursor, draft.checkpointInterval, word, () => readEvery(cursor));
      return;
    default:
      cursor.fail(`a clause of a scan instead of ${JSON.stringify(word)} before it`);
  }
}

function need<T>(cursor: TirCursor, value: T | null, name: string): T {
  return value === null ? cursor.fail(`${name} before the end of the scan`) : value;
}

function finishHistory(cursor: TirCursor, draft: HistoryDraft): ScanHistory | null {
  const { head, coefficient, drive, initial, checkpoints, previous, current } = draft;
  const isAbsent = head === null && coefficient === null && drive === null && initial === null
    && checkpoints === null && previous.length === 0 && current.length === 0;
  if (isAbsent) return null;
  return {
    ...need(cursor, head, 'history forward or reverse'),
    coefficient: need(cursor, coefficient, 'history coefficient'),
    drive: need(cursor, drive, 'history drive'),
    initial, checkpoints: checkpoints ?? [], previous, current,
  };
}

/** A scan after the word `affine-scan`; `readInstruction` reads one instruction of its region. */
export function readScan(cursor: TirCursor, readInstruction: () => TensorInstruction): AffineScanOp {
  const state = readName(cursor);
  const axes = readAxes(cursor);
  const order = readOneOf(cursor, orders, 'an order');
  const form = readOneOf(cursor, forms, 'a form');
  cursor.expect('{');
  const draft = emptyDraft();
  while (cursor.peek().text !== '}' || cursor.peek().kind !== 'mark') {
    const isInstruction = cursor.peek().kind === 'value' || cursor.peek().kind === 'mark';
    if (isInstruction) draft.region.push(readInstruction());
    else readScanClause(cursor, draft);
  }
  const { operands, parameters, region, previous, current, initial, release, yields, checkpointInterval } = draft;
  const op: AffineScanOp = {
    kind: 'affine-scan', state, order, form, axes, operands, parameters, region,
    coefficient: need(cursor, draft.coefficient, 'coefficient'),
    drive: need(cursor, draft.drive, 'drive'),
    release, previous, current, initial,
    history: finishHistory(cursor, draft.history),
    yields, emitsFinal: draft.emitsFinal ?? false, checkpointInterval,
  };
  cursor.expect('}');
  return op;
}
