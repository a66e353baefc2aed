/** `statefuse check`: every layer of some texts, with all diagnostics, once or after each change. */
import { resolve } from 'node:path';
import { hasErrors, SsmError, type Diagnostic } from '../../support/diagnostic.ts';
import { diagnosticToJson } from '../../support/render-diagnostic.ts';
import type { SourceFile } from '../../support/source.ts';
import { exitCodes, UsageError, type CommandEnvironment, type ExitCode } from '../environment.ts';
import { checkLayer, parseSizes, readSource, readTree } from '../load.ts';
import { exitCodeOf, writeDiagnostics, writeDocument, writeLine } from '../output.ts';
import { watchFiles } from '../watch.ts';

export type CheckOptions = {
  readonly layer?: string;
  readonly size: readonly string[];
  readonly watch?: boolean;
  readonly json?: boolean;
};

type Checked = { readonly file: string; readonly layers: readonly string[]; readonly diagnostics: readonly Diagnostic[] };

/** Two layers of a file may report the same place; it is shown once. */
function withoutRepeats(diagnostics: readonly Diagnostic[]): readonly Diagnostic[] {
  const seen = new Set<string>();
  return diagnostics.filter((each) => {
    const key = `${each.code} ${each.primary?.span.start ?? -1} ${each.message}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function checkFile(file: SourceFile, layer: string | null, sizes: ReadonlyMap<string, number>): Checked {
  const { tree, diagnostics } = readTree(file);
  if (hasErrors(diagnostics)) return { file: file.name, layers: [], diagnostics };
  const last = tree.layers.at(-1);
  const chosen = tree.layers.filter((each) => layer === null ? each === last || each.axes.every((axis) => axis.size !== null) : each.name.text === layer);
  if (chosen.length === 0) return { file: file.name, layers: [], diagnostics: checkLayer(file, { layer, sizes }).diagnostics };
  const found = chosen.flatMap((each) => {
    const applies = layer !== null || each === last ? sizes : new Map<string, number>();
    return checkLayer(file, { layer: each.name.text, sizes: applies }).diagnostics;
  });
  return { file: file.name, layers: chosen.map((each) => each.name.text), diagnostics: withoutRepeats(found) };
}

/** Exit code 1 when any text has an error. Sizes apply to the chosen layer, or to the last one. */
export async function runCheck(environment: CommandEnvironment, paths: readonly string[], options: CheckOptions): Promise<ExitCode> {
  const sizes = parseSizes(options.size);
  if (options.watch !== true) return checkOnce(environment, paths, options, sizes);
  if (paths.includes('-')) throw new UsageError('`--watch` needs files; the standard input cannot be read again');
  const full = paths.map((path) => resolve(environment.directory, path));
  await watchFiles(full, () => checkAgain(environment, paths, options, sizes), environment.signal);
  return exitCodes.interrupted;
}

async function checkAgain(environment: CommandEnvironment, paths: readonly string[], options: CheckOptions, sizes: ReadonlyMap<string, number>): Promise<void> {
  try {
    await checkOnce(environment, paths, options, sizes);
  } catch (error) {
    if (!(error instanceof SsmError)) throw error;
    if (options.json === true) writeLine(environment, 'check', { ok: false, diagnostics: error.diagnostics.map(diagnosticToJson) });
    else writeDiagnostics(environment, error.diagnostics);
  }
  if (options.json !== true) environment.writeError('waiting for changes\n');
}

async function checkOnce(environment: CommandEnvironment, paths: readonly string[], options: CheckOptions, sizes: ReadonlyMap<string, number>): Promise<ExitCode> {
  const checked: Checked[] = [];
  for (const path of paths) checked.push(checkFile(await readSource(environment, path), options.layer ?? null, sizes));
  const all = checked.flatMap((each) => each.diagnostics);
  if (options.json === true) {
    const write = options.watch === true ? writeLine : writeDocument;
    write(environment, 'check', {
      ok: !hasErrors(all),
      files: checked.map(({ file, layers, diagnostics }) => ({ file, layers, diagnostics: diagnostics.map(diagnosticToJson) })),
    });
    return exitCodeOf(all);
  }
  writeDiagnostics(environment, all);
  for (const { file, layers, diagnostics } of checked) {
    if (!hasErrors(diagnostics)) environment.writeOutput(`${file}: ${layers.join(', ')} ok\n`);
  }
  return exitCodeOf(all);
}
