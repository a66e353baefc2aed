/** `statefuse format`: texts in their one layout, written in place, to the output, or only checked. */
import { renameSync, rmSync, statSync, writeFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { format } from '../../dsl/index.ts';
import { SsmError, ssmError, type Diagnostic } from '../../support/diagnostic.ts';
import { diagnosticToJson } from '../../support/render-diagnostic.ts';
import { exitCodes, UsageError, type CommandEnvironment, type ExitCode } from '../environment.ts';
import { readSource } from '../load.ts';
import { exitCodeOf, writeDiagnostics, writeDocument } from '../output.ts';

export type FormatOptions = { readonly check?: boolean; readonly json?: boolean };

type State = 'unchanged' | 'changed' | 'refused';
type Formatted = { readonly file: string; readonly state: State; readonly text: string; readonly diagnostics: readonly Diagnostic[] };

async function formatFile(environment: CommandEnvironment, path: string): Promise<Formatted> {
  try {
    const source = await readSource(environment, path);
    const { text, diagnostics } = format(source);
    if (text === null) return { file: source.name, state: 'refused', text: '', diagnostics };
    return { file: source.name, state: text === source.text ? 'unchanged' : 'changed', text, diagnostics };
  } catch (error) {
    if (error instanceof SsmError) return { file: path, state: 'refused', text: '', diagnostics: error.diagnostics };
    throw error;
  }
}

/** In one step, so that an interrupted run leaves the old text or the new one; links keep pointing. */
function replaceFile(environment: CommandEnvironment, path: string, text: string): void {
  let temporary: string | null = null;
  try {
    const target = realpathSync(resolve(environment.directory, path));
    const partial = join(dirname(target), `.${basename(target)}.${process.pid}.partial`);
    writeFileSync(partial, text, { flag: 'wx', mode: statSync(target).mode });
    temporary = partial;
    renameSync(partial, target);
  } catch (error) {
    if (temporary !== null) rmSync(temporary, { force: true });
    throw ssmError('SSM7001', `\`${path}\` cannot be written (${String((error as { code?: unknown }).code)})`, 'check its permissions');
  }
}

/** Exit code 1 when a text is refused or, with `--check`, is laid out otherwise. */
export async function runFormat(environment: CommandEnvironment, paths: readonly string[], options: FormatOptions): Promise<ExitCode> {
  if (options.json === true && paths.includes('-') && options.check !== true) {
    throw new UsageError('`--json` with `-` needs `--check`: the output is either the text or the document');
  }
  const results: Formatted[] = [];
  for (const path of paths) {
    const result = await formatFile(environment, path);
    results.push(result);
    if (options.check === true || result.state === 'refused') continue;
    if (path === '-') environment.writeOutput(result.text);
    else if (result.state === 'changed') replaceFile(environment, path, result.text);
  }
  report(environment, results, options);
  const refused = exitCodeOf(results.flatMap((each) => each.diagnostics));
  if (refused !== exitCodes.success) return refused;
  return options.check === true && results.some((each) => each.state === 'changed') ? exitCodes.diagnostics : exitCodes.success;
}

function report(environment: CommandEnvironment, results: readonly Formatted[], options: FormatOptions): void {
  const changed = results.filter((each) => each.state === 'changed' && (each.file !== '<stdin>' || options.check === true));
  if (options.json === true) {
    const isDone = results.every((each) => each.state === 'unchanged' || (each.state === 'changed' && options.check !== true));
    writeDocument(environment, 'format', {
      ok: isDone,
      files: results.map(({ file, state, diagnostics }) => ({ file, state, diagnostics: diagnostics.map(diagnosticToJson) })),
    });
    return;
  }
  writeDiagnostics(environment, results.flatMap((each) => each.diagnostics));
  if (options.check === true) {
    for (const { file } of changed) environment.writeOutput(`${file}\n`);
    if (changed.length > 0) environment.writeError(`${count(changed.length)} not in the layout of \`statefuse format\`\n`);
  } else {
    for (const { file } of changed) environment.writeError(`formatted ${file}\n`);
  }
}

function count(number: number): string {
  return number === 1 ? '1 text is' : `${number} texts are`;
}
