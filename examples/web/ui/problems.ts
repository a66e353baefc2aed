/** Diagnostics and failures as the page shows them: where, what, why, and what to do. */
import type { Span } from '../../../support/source.ts';
import { RemoteFailure } from '../services/remote.ts';
import type { PageDiagnostic } from '../services/protocol.ts';
import type { Mark } from './highlight.ts';
import { make } from './dom.ts';

/** Marks for the editor. */
export function marksOf(diagnostics: readonly PageDiagnostic[]): readonly Mark[] {
  return diagnostics.flatMap((each) => [
    ...(each.span === null ? [] : [{ span: each.span, kind: each.severity }]),
    ...each.secondarySpans.map((span) => ({ span, kind: 'secondary' as const })),
  ]);
}

/** Words in which names stand between backticks, with the names as code. */
function withCode(words: string): readonly Node[] {
  return words
    .split('`')
    .map((part, at) => (at % 2 === 1 ? make('code', {}, part) : document.createTextNode(part)));
}

/** One diagnostic; its place leads into the editor. */
export function problemItem(diagnostic: PageDiagnostic, goTo: (span: Span) => void): HTMLElement {
  const { code, severity, message, primary, secondary, span, notes, help, title } = diagnostic;
  const place =
    primary === null || span === null
      ? null
      : make('button', { type: 'button', class: 'place' }, `line ${primary.line}, column ${primary.column}`);
  place?.addEventListener('click', () => span !== null && goTo(span));
  return make(
    'li',
    { class: `problem problem-${severity}` },
    make(
      'div',
      { class: 'problem-head' },
      make('span', { class: 'severity' }, severity),
      ' ',
      make('span', { class: 'code', title }, code),
      ' ',
      place,
    ),
    make('p', { class: 'problem-message' }, ...withCode(message)),
    primary === null || primary.text === ''
      ? null
      : make('p', { class: 'problem-label' }, ...withCode(primary.text)),
    ...secondary.map((each) =>
      make('p', { class: 'problem-label' }, ...withCode(`line ${each.line}: ${each.text}`)),
    ),
    ...notes.map((each) => make('p', { class: 'problem-note' }, ...withCode(`why: ${each}`))),
    help === null ? null : make('p', { class: 'problem-help' }, ...withCode(`help: ${help}`)),
  );
}

/** A failed request in place of its answer. */
export function failureNotice(error: unknown): HTMLElement {
  if (error instanceof RemoteFailure && error.diagnostics.length > 0) {
    return make(
      'ul',
      { class: 'problems', role: 'alert' },
      ...error.diagnostics.map((each) => problemItem(each, () => {})),
    );
  }
  return make(
    'p',
    { class: 'notice notice-bad', role: 'alert' },
    error instanceof Error ? error.message : String(error),
  );
}
