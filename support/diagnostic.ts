/**
 * Diagnostics: what, where, why, and what to do. They carry data until the one renderer makes text
 * of them. Recorded in a sink, so that one run reports every mistake it can find.
 */
import type { SourceFile, Span } from './source.ts';
import type { DiagnosticCode } from './diagnostic-codes.ts';

export type Severity = 'error' | 'warning' | 'remark';

export type Label = {
  readonly file: SourceFile;
  readonly span: Span;
  readonly text: string;
};

export type Diagnostic = {
  readonly code: DiagnosticCode;
  readonly severity: Severity;
  /** lower case, one sentence, no final stop, names in backticks */
  readonly message: string;
  /** null only where there is no source text (devices, files) */
  readonly primary: Label | null;
  readonly secondary: readonly Label[];
  /** why: the mathematics or the limit behind the refusal */
  readonly notes: readonly string[];
  /** imperative, with concrete numbers */
  readonly help: string | null;
};

export type DiagnosticSink = {
  readonly report: (diagnostic: Diagnostic) => void;
  readonly diagnostics: readonly Diagnostic[];
};

/** A sink that keeps everything in order of arrival. */
export function collectDiagnostics(): DiagnosticSink {
  const diagnostics: Diagnostic[] = [];
  return { report: (diagnostic) => void diagnostics.push(diagnostic), diagnostics };
}

export function hasErrors(diagnostics: readonly Diagnostic[]): boolean {
  return diagnostics.some((each) => each.severity === 'error');
}

/** What public functions throw: the diagnostics of one failed operation. */
export class SsmError extends Error {
  override readonly name = 'SsmError';
  readonly diagnostics: readonly Diagnostic[];
  constructor(diagnostics: readonly Diagnostic[]) {
    const first = diagnostics[0];
    super(first === undefined ? 'unknown error' : `${first.code}: ${first.message}`);
    this.diagnostics = diagnostics;
  }
  get code(): DiagnosticCode | 'SSM9001' {
    return this.diagnostics[0]?.code ?? 'SSM9001';
  }
}

/** Parts of a diagnostic that most callers leave out. */
export function makeDiagnostic(
  parts: Pick<Diagnostic, 'code' | 'message'> & Partial<Diagnostic>,
): Diagnostic {
  return { severity: 'error', primary: null, secondary: [], notes: [], help: null, ...parts };
}

/** An SsmError of one diagnostic without source text (devices, files, arguments). */
export function ssmError(code: DiagnosticCode, message: string, help: string | null = null): SsmError {
  return new SsmError([makeDiagnostic({ code, message, help })]);
}

/** What an action gives, or the diagnostics it ends with; other errors pass. */
export function resultOrDiagnostics<Value>(action: () => Value): Value | SsmError {
  try {
    return action();
  } catch (error) {
    if (error instanceof SsmError) return error;
    throw error;
  }
}
