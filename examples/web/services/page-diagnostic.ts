/** Diagnostics as the page wants them: plain data without the source text, with offsets into it. */
import type { Diagnostic } from '../../../support/diagnostic.ts';
import { diagnosticToJson } from '../../../support/render-diagnostic.ts';
import type { PageDiagnostic } from './protocol.ts';

/** A diagnostic that can be posted and marked in the editor. */
export function pageDiagnostic(diagnostic: Diagnostic): PageDiagnostic {
  return {
    ...diagnosticToJson(diagnostic),
    span: diagnostic.primary?.span ?? null,
    secondarySpans: diagnostic.secondary.map((each) => each.span),
  };
}
