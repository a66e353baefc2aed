/**
 * The one place where diagnostics become text: for terminals and logs, with an excerpt of the source
 * and marks under it, and as JSON for editors. Characters of the source that could steer a terminal
 * are replaced, since texts come from anywhere.
 */
import { diagnosticCodes, pageOf } from './diagnostic-codes.ts';
import type { Diagnostic, Label, Severity } from './diagnostic.ts';
import { positionOf } from './source.ts';

export type RenderOptions = { readonly color: boolean };

type Paint = (text: string, style: Style) => string;
type Style = Severity | 'bold' | 'rule' | 'note';

const styleCodes: Readonly<Record<Style, string>> = {
  error: '1;31', warning: '1;33', remark: '1;36', bold: '1', rule: '34', note: '36',
};

/** Longer lines are shown around the mark only. */
const excerptWidth = 140;

/** One diagnostic as text of several lines, without a final line end. */
export function renderDiagnostic(diagnostic: Diagnostic, options: RenderOptions): string {
  const paint: Paint = options.color
    ? (text, style) => `\u001b[${styleCodes[style]}m${text}\u001b[0m`
    : (text) => text;
  const { severity, code, primary } = diagnostic;
  const lines = [`${paint(`${severity}[${code}]`, severity)}${paint(`: ${cleanText(diagnostic.message)}`, 'bold')}`];
  const labels = primary === null ? [...diagnostic.secondary] : [primary, ...diagnostic.secondary];
  const marks = labels.map((label) => markOf(label, label === primary));
  const gutter = Math.max(1, ...marks.map((mark) => String(mark.line).length));
  lines.push(...excerpts(marks, gutter, paint, severity));
  const margin = ' '.repeat(gutter);
  for (const note of diagnostic.notes) lines.push(
    `${margin} ${paint('=', 'rule')} ${paint('note', 'bold')}: ${cleanText(note)}`,
  );
  if (diagnostic.help !== null) lines.push(
    `${margin} ${paint('=', 'rule')} ${paint('help', 'note')}: ${cleanText(diagnostic.help)}`,
  );
  lines.push(`${margin} ${paint('=', 'rule')} ${paint('page', 'note')}: ${pageOf(code)}`);
  return lines.join('\n');
}

/** Several diagnostics, a blank line between them, and a last line that counts them. */
export function renderDiagnostics(diagnostics: readonly Diagnostic[], options: RenderOptions): string {
  const blocks = diagnostics.map((each) => renderDiagnostic(each, options));
  const errors = diagnostics.filter((each) => each.severity === 'error').length;
  const warnings = diagnostics.filter((each) => each.severity === 'warning').length;
  const counts = [count(errors, 'error'), count(warnings, 'warning')].filter((each) => each !== '');
  return [...blocks, ...(counts.length === 0 ? [] : [counts.join(', ')])].join('\n\n');
}

function count(number: number, word: string): string {
  return number === 0 ? '' : `${number} ${word}${number === 1 ? '' : 's'}`;
}

/** One marked stretch of one line. */
type Mark = {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly source: string;
  readonly width: number;
  readonly text: string;
  readonly isPrimary: boolean;
};

function markOf(label: Label, isPrimary: boolean): Mark {
  const { file, span, text } = label;
  const { line, column } = positionOf(file, span.start);
  const lineStart = Math.min(span.start, file.text.length) - (column - 1);
  const lineEnd = endOfLine(file.text, lineStart);
  const width = Math.max(1, Math.min(span.end, lineEnd) - span.start);
  return {
    file: file.name, line, column, source: file.text.slice(lineStart, lineEnd), width, text, isPrimary,
  };
}

function endOfLine(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 10 || unit === 13) return at;
  }
  return text.length;
}

function excerpts(marks: readonly Mark[], gutter: number, paint: Paint, severity: Severity): string[] {
  const first = marks[0];
  if (first === undefined) return [];
  const margin = ' '.repeat(gutter);
  const bar = paint('|', 'rule');
  const lines = [`${margin}${paint('-->', 'rule')} ${cleanText(first.file)}:${first.line}:${first.column}`, `${margin} ${bar}`];
  const numbers = [...new Set(marks.map((mark) => mark.line))].sort((one, other) => one - other);
  let before = 0;
  for (const number of numbers) {
    if (before !== 0 && number > before + 1) lines.push(paint('...', 'rule'));
    before = number;
    const here = marks.filter((mark) => mark.line === number).sort((one, other) => one.column - other.column);
    const shown = windowOf(here);
    lines.push(`${paint(String(number).padStart(gutter), 'rule')} ${bar} ${shown.text}`.trimEnd());
    for (const mark of here) lines.push(
      `${margin} ${bar} ${underline(mark, shown, paint, severity)}`.trimEnd(),
    );
  }
  return lines;
}

type Window = { readonly text: string; readonly offset: number };

function windowOf(marks: readonly Mark[]): Window {
  const mark = marks.find((each) => each.isPrimary) ?? marks[0];
  if (mark === undefined || mark.source.length <= excerptWidth) return {
    text: cleanText(mark?.source ?? ''), offset: 0,
  };
  const offset = Math.max(0, Math.min(mark.column - 1 - 40, mark.source.length - excerptWidth));
  return { text: cleanText(mark.source.slice(offset, offset + excerptWidth)), offset };
}

function underline(mark: Mark, shown: Window, paint: Paint, severity: Severity): string {
  const start = Math.max(0, mark.column - 1 - shown.offset);
  const width = Math.max(1, Math.min(mark.width, excerptWidth - start));
  if (start > excerptWidth) return paint(`(further right) ${cleanText(mark.text)}`, 'note');
  const marks = (mark.isPrimary ? '^' : '-').repeat(width);
  return `${' '.repeat(start)}${paint(`${marks} ${cleanText(mark.text)}`, mark.isPrimary ? severity : 'note')}`;
}

/** One column per character; what could steer a terminal or reorder the line becomes U+FFFD. */
function cleanText(text: string): string {
  return text.replace(/\t/g, ' ').replace(
    /[\u0000-\u001F\u007F-\u009F\u061C\u200B-\u200F\u2028-\u202E\u2060-\u2069\uFEFF]/g, '\uFFFD',
  );
}

/** A place in JSON: lines and columns from 1, the end exclusive. */
export type JsonLabel = {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly endLine: number;
  readonly endColumn: number;
  readonly text: string;
};

export type JsonDiagnostic = {
  readonly code: string;
  readonly title: string;
  /** where the code is explained, relative to the package */
  readonly page: string;
  readonly severity: Severity;
  readonly message: string;
  readonly primary: JsonLabel | null;
  readonly secondary: readonly JsonLabel[];
  readonly notes: readonly string[];
  readonly help: string | null;
};

/** A diagnostic as plain data for editors and other programs. */
export function diagnosticToJson(diagnostic: Diagnostic): JsonDiagnostic {
  const { code, severity, message, primary, secondary, notes, help } = diagnostic;
  return {
    code, title: diagnosticCodes[code], page: pageOf(code), severity, message,
    primary: primary === null ? null : labelToJson(primary),
    secondary: secondary.map(labelToJson), notes, help,
  };
}

function labelToJson(label: Label): JsonLabel {
  const start = positionOf(label.file, label.span.start);
  const end = positionOf(label.file, label.span.end);
  return { file: label.file.name, ...start, endLine: end.line, endColumn: end.column, text: label.text };
}
