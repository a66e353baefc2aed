/**
 * How commands speak: results to the output, diagnostics to the error stream, one JSON document when
 * asked for, and what a failure turns into (exit codes of the manual, never a stack trace unasked).
 */
import { hasErrors, makeDiagnostic, SsmError, type Diagnostic } from '../support/diagnostic.ts';
import { diagnosticToJson, renderDiagnostics } from '../support/render-diagnostic.ts';
import { debugLevel, exitCodes, UsageError, usesColor, type CommandEnvironment, type ExitCode } from './environment.ts';

export type Failure = { readonly error: unknown; readonly command: string; readonly pass: string | null; readonly json: boolean };

/** One JSON document with its schema's name and version. */
export function writeDocument(environment: CommandEnvironment, command: string, content: Readonly<Record<string, unknown>>): void {
  environment.writeOutput(`${JSON.stringify({ schema: `statefuse-${command}`, version: 1, ...content }, null, 2)}\n`);
}

/** The same document on one line, for commands that write several. */
export function writeLine(environment: CommandEnvironment, command: string, content: Readonly<Record<string, unknown>>): void {
  environment.writeOutput(`${JSON.stringify({ schema: `statefuse-${command}`, version: 1, ...content })}\n`);
}

/** Diagnostics as people read them. */
export function writeDiagnostics(environment: CommandEnvironment, diagnostics: readonly Diagnostic[]): void {
  if (diagnostics.length === 0) return;
  environment.writeError(`${renderDiagnostics(diagnostics, { color: usesColor(environment, 'error') })}\n`);
}

/** 1 when a diagnostic is an error, 3 when all errors are about devices and targets. */
export function exitCodeOf(diagnostics: readonly Diagnostic[]): ExitCode {
  if (!hasErrors(diagnostics)) return exitCodes.success;
  const errors = diagnostics.filter((each) => each.severity === 'error');
  const isUnsupported = errors.every((each) => each.code.startsWith('SSM5') || each.code === 'SSM6002');
  return isUnsupported ? exitCodes.unsupported : exitCodes.diagnostics;
}

/** Reports a failure of a command and gives its exit code. */
export function reportFailure(environment: CommandEnvironment, failure: Failure): ExitCode {
  const { error, command, json } = failure;
  if (error instanceof UsageError) {
    environment.writeError(`error: ${error.message}\n`);
    return exitCodes.usage;
  }
  const diagnostics = error instanceof SsmError ? error.diagnostics : [internalDiagnostic(failure)];
  if (json) writeDocument(environment, command, { ok: false, diagnostics: diagnostics.map(diagnosticToJson) });
  else writeDiagnostics(environment, diagnostics);
  const isInternal = !(error instanceof SsmError);
  if (isInternal && debugLevel(environment) > 0) environment.writeError(`${error instanceof Error ? String(error.stack) : String(error)}\n`);
  return isInternal ? exitCodes.internal : exitCodeOf(diagnostics);
}

function internalDiagnostic({ error, pass, command }: Failure): Diagnostic {
  const text = error instanceof Error ? error.message : String(error);
  return makeDiagnostic({
    code: 'SSM9001',
    message: `internal error${pass === null ? '' : ` in pass \`${pass}\``}: ${text.split('\n')[0] ?? ''}`,
    notes: [...text.split('\n').slice(1, 6).filter((each) => each.trim() !== ''), `statefuse 0.1.0, Node ${process.versions.node}, ${process.platform}`],
    help: `this is a bug, please report it with the text and \`STATEFUSE_DEBUG=1 statefuse ${command} …\``,
  });
}

/** Columns padded to their widest entry; numbers to the right. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[], indent = ''): string {
  const widths = header.map((title, at) => Math.max(title.length, ...rows.map((row) => (row[at] ?? '').length)));
  const isNumber = header.map((_, at) => rows.length > 0 && rows.every((row) => /^[-~]?[0-9]/.test(row[at] ?? '') || row[at] === '-'));
  const line = (cells: readonly string[]): string =>
    indent + cells.map((cell, at) => (isNumber[at] === true ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0))).join('  ').trimEnd();
  return [line(header), ...rows.map(line)].join('\n');
}
