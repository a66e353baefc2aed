/** `statefuse check`: every layer of some texts, with all diagnostics. */
import { loadLayer, parse } from '../../dsl/index.ts';
import { hasErrors, type Diagnostic } from '../../support/diagnostic.ts';
import { diagnosticToJson } from '../../support/render-diagnostic.ts';
import type { SourceFile } from '../../support/source.ts';
import { type CommandEnvironment, type ExitCode } from '../environment.ts';
import { parseSizes, readSource } from '../load.ts';
import { exitCodeOf, writeDiagnostics, writeDocument } from '../output.ts';

export type CheckOptions = { readonly layer?: string; readonly size: readonly string[]; readonly json?: boolean };

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
  const { tree, diagnostics } = parse(file);
  if (hasErrors(diagnostics)) return { file: file.name, layers: [], diagnostics };
  const last = tree.layers.at(-1);
  const chosen = tree.layers.filter((each) => layer === null ? each === last || each.axes.every((axis) => axis.size !== null) : each.name.text === layer);
  if (chosen.length === 0) return { file: file.name, layers: [], diagnostics: loadLayer(file, layer, { sizes }).diagnostics };
  const found = chosen.flatMap((each) => {
    const applies = layer !== null || each === last ? sizes : new Map<string, number>();
    return loadLayer(file, each.name.text, { sizes: applies }).diagnostics;
  });
  return { file: file.name, layers: chosen.map((each) => each.name.text), diagnostics: withoutRepeats(found) };
}

/** Exit code 1 when any text has an error. Sizes apply to the chosen layer, or to the last one. */
export async function runCheck(environment: CommandEnvironment, paths: readonly string[], options: CheckOptions): Promise<ExitCode> {
  const sizes = parseSizes(options.size);
  const checked: Checked[] = [];
  for (const path of paths) checked.push(checkFile(await readSource(environment, path), options.layer ?? null, sizes));
  const all = checked.flatMap((each) => each.diagnostics);
  if (options.json === true) {
    writeDocument(environment, 'check', {
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
