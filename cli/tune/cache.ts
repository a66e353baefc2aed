/**
 * The file that keeps what tuning found: entries by layer, target, objective, shape, storage, device and
 * compiler. Reading trusts nothing: what is no entry is left out and reported, and a schedule counts only
 * where it is one of the layer's own candidates (`apply.ts`). Writing is atomic.
 */
import { readFileSync, renameSync, rmSync, statSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeDiagnostic, ssmError, type Diagnostic } from '../../support/diagnostic.ts';
import type { RunSizes } from '../../support/size.ts';

/** What an entry is valid for; every field must match, but for the shape, whose nearest counts. */
export type TuningKey = {
  /** hash of the layer's Tensor IR and sizes */
  readonly layer: string;
  readonly target: string;
  readonly objective: string;
  readonly storage: string;
  readonly device: string;
  readonly driver: string;
  readonly compiler: string;
  /** powers of two */
  readonly batch: number;
  readonly length: number;
};

export type StoredField = number | string | boolean;

/** A schedule as it stands in the file; `split` is the tokens per piece or null. */
export type StoredSchedule = { readonly parameters: Readonly<Record<string, StoredField>>; readonly split: number | null };

export type TuningEntry = {
  readonly key: TuningKey;
  readonly layerName: string;
  readonly interval: number;
  readonly schedules: ReadonlyMap<string, StoredSchedule>;
  /** microseconds of the found configuration and of the rule's */
  readonly microseconds: number;
  readonly ruleMicroseconds: number;
  readonly samples: number;
  readonly measured: number;
  /** false where the search was stopped before it found nothing better */
  readonly isComplete: boolean;
};

export type TuningFile = { readonly entries: readonly TuningEntry[]; readonly problems: readonly string[] };

const largestFile = 4 * 2 ** 20;
const mostEntries = 10_000;
const longestText = 500;
const mostSchedules = 64;
const mostFields = 32;

const keyTexts = ['layer', 'target', 'objective', 'storage', 'device', 'driver', 'compiler'] as const;

/** The power of two that is nearest in ratio. */
export function bucketOf(size: number): number {
  return size < 1 ? 0 : 2 ** Math.round(Math.log2(size));
}

type Unknown = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is Unknown {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fieldOf(value: Unknown, name: string): unknown {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= longestText;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}

function parseKey(value: unknown): TuningKey | null {
  if (!isRecord(value)) return null;
  const texts = keyTexts.map((name) => fieldOf(value, name));
  const [batch, length] = [fieldOf(value, 'batch'), fieldOf(value, 'length')];
  if (!texts.every(isText) || !isCount(batch) || !isCount(length)) return null;
  const [layer = '', target = '', objective = '', storage = '', device = '', driver = '', compiler = ''] = texts;
  return { layer, target, objective, storage, device, driver, compiler, batch, length };
}

function parseSchedule(value: unknown): StoredSchedule | null {
  if (!isRecord(value)) return null;
  const [parameters, split] = [fieldOf(value, 'parameters'), fieldOf(value, 'split')];
  if (!isRecord(parameters) || (split !== null && !isCount(split))) return null;
  const fields = Object.entries(parameters);
  const isField = (field: unknown): field is StoredField => isText(field) || typeof field === 'boolean' || (typeof field === 'number' && Number.isFinite(field));
  if (fields.length > mostFields || !fields.every(([name, field]) => isText(name) && name !== '__proto__' && isField(field))) return null;
  return { parameters: Object.fromEntries(fields) as Record<string, StoredField>, split };
}

function parseEntry(value: unknown): TuningEntry | null {
  if (!isRecord(value)) return null;
  const key = parseKey(fieldOf(value, 'key'));
  const listed = fieldOf(value, 'schedules');
  if (key === null || !isRecord(listed) || Object.keys(listed).length > mostSchedules) return null;
  const schedules = Object.entries(listed).map(([name, each]) => [name, parseSchedule(each)] as const);
  const [layerName, isComplete] = [fieldOf(value, 'layerName'), fieldOf(value, 'isComplete')];
  const [interval, samples, measured] = [fieldOf(value, 'interval'), fieldOf(value, 'samples'), fieldOf(value, 'measured')];
  const [microseconds, ruleMicroseconds] = [fieldOf(value, 'microseconds'), fieldOf(value, 'ruleMicroseconds')];
  if (!isText(layerName) || typeof isComplete !== 'boolean' || !isCount(interval) || interval < 1 || !isCount(samples) || !isCount(measured)) return null;
  if (!isTime(microseconds) || !isTime(ruleMicroseconds)) return null;
  const whole = schedules.flatMap(([name, each]) => (each === null || !isText(name) ? [] : [[name, each] as const]));
  if (whole.length !== schedules.length) return null;
  return { key, layerName, interval, schedules: new Map(whole), microseconds, ruleMicroseconds, samples, measured, isComplete };
}

/** Entries of a text and what is wrong with the rest of it; never throws. */
export function parseTuning(text: string): TuningFile {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return { entries: [], problems: ['it is not JSON'] };
  }
  if (!isRecord(document) || fieldOf(document, 'schema') !== 'statefuse-tuning') return { entries: [], problems: ['it is no file of tuning results'] };
  if (fieldOf(document, 'version') !== 1) return { entries: [], problems: ['its version is not 1'] };
  const listed = fieldOf(document, 'entries');
  if (!Array.isArray(listed)) return { entries: [], problems: ['it has no list of entries'] };
  const parsed = listed.slice(0, mostEntries).map(parseEntry);
  const entries = parsed.filter((each) => each !== null);
  const lost = listed.length - entries.length;
  return { entries, problems: lost === 0 ? [] : [`${lost} of ${listed.length} entries are malformed or too many`] };
}

/** The text of a file with these entries. */
export function printTuning(entries: readonly TuningEntry[]): string {
  const plain = entries.map((each) => ({ ...each, schedules: Object.fromEntries(each.schedules) }));
  return `${JSON.stringify({ schema: 'statefuse-tuning', version: 1, entries: plain }, null, 2)}\n`;
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? error);
}

/** The file's entries; a file that is damaged gives a warning and what is whole in it, a missing one nothing. */
export function readTuning(path: string, shown: string): { readonly entries: readonly TuningEntry[]; readonly warnings: readonly Diagnostic[]; readonly isMissing: boolean } {
  const warn = (why: string): readonly Diagnostic[] => [makeDiagnostic({
    code: 'SSM7002', severity: 'warning', message: `tuning results \`${shown}\` are not used in full: ${why}`,
    help: 'measure again with `statefuse tune`, or delete the file',
  })];
  let text: string;
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return { entries: [], warnings: warn('it is not a file'), isMissing: false };
    if (stat.size > largestFile) return { entries: [], warnings: warn(`it has ${stat.size} bytes, more than ${largestFile}`), isMissing: false };
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = codeOf(error);
    return code === 'ENOENT' ? { entries: [], warnings: [], isMissing: true } : { entries: [], warnings: warn(`it cannot be read (${code})`), isMissing: false };
  }
  const { entries, problems } = parseTuning(text);
  return { entries, warnings: problems.flatMap(warn), isMissing: false };
}

function sameKey(left: TuningKey, right: TuningKey): boolean {
  return keyTexts.every((name) => left[name] === right[name]) && left.batch === right.batch && left.length === right.length;
}

function discard(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // there was no such folder, so there is no such file
  }
}

/** Puts an entry in place of its like and at the end; what others wrote meanwhile is kept. Throws SSM7001. */
export function storeTuning(path: string, shown: string, entry: TuningEntry): void {
  const others = readTuning(path, shown).entries.filter((each) => !sameKey(each.key, entry.key));
  const temporary = `${path}.${process.pid}.partial`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(temporary, printTuning([...others, entry]), { flag: 'wx' });
    renameSync(temporary, path);
  } catch (error) {
    discard(temporary);
    throw ssmError('SSM7001', `cannot write \`${shown}\` (${codeOf(error)})`, 'choose another `--cache`');
  }
}

/** The entry of exactly this key. */
export function findExact(entries: readonly TuningEntry[], key: TuningKey): TuningEntry | null {
  return entries.findLast((each) => sameKey(each.key, key)) ?? null;
}

/** What a user of tuned schedules knows; null where it knows nothing. */
export type TuningQuery = Pick<TuningKey, 'layer' | 'target' | 'storage' | 'compiler'> & {
  readonly objective: string | null;
  readonly device: string | null;
  readonly driver: string | null;
  readonly sizes: RunSizes | null;
};

/** The entry whose shape is nearest in ratio among those that match; the later one of two alike. */
export function findNearest(entries: readonly TuningEntry[], query: TuningQuery): TuningEntry | null {
  const fits = ({ key }: TuningEntry): boolean =>
    (['layer', 'target', 'storage', 'compiler'] as const).every((name) => key[name] === query[name])
    && (query.objective === null || key.objective === query.objective)
    && (query.device === null || key.device === query.device) && (query.driver === null || key.driver === query.driver);
  const { sizes } = query;
  const distance = ({ key }: TuningEntry): number => (sizes === null ? 0
    : Math.abs(Math.log2(Math.max(1, key.batch) / Math.max(1, sizes.batch))) + Math.abs(Math.log2(Math.max(1, key.length) / Math.max(1, sizes.length))));
  return entries.filter(fits).reduce<TuningEntry | null>((best, each) => (best === null || distance(each) <= distance(best) ? each : best), null);
}
