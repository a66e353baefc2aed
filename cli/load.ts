/** Reads the text that a command was given, and its sizes, and checks a layer of it. */
import { elaborate, parse, type ElaborateOutcome, type ParseOutcome } from '../dsl/index.ts';
import type { LayerSpec } from '../dsl/spec.ts';
import { hasErrors, SsmError, ssmError, type Diagnostic } from '../support/diagnostic.ts';
import type { SourceFile } from '../support/source.ts';
import { UsageError, type CommandEnvironment } from './environment.ts';
import { readFile, type FileLimit } from './read-file.ts';
import { loadTypescript } from './typescript/host.ts';
import { readTypescriptLayers } from './typescript/read-layers.ts';

/** Larger files are refused before they are read; the language's own limit is far below. */
const largestFile: FileLimit = { bytes: 16 * 2 ** 20, code: 'SSM1005', help: 'split the file' };

/** The text of a file, `-` for the standard input. Throws SSM7001, SSM7002. */
export async function readSource(environment: CommandEnvironment, path: string): Promise<SourceFile> {
  const bytes = path === '-' ? await environment.readInput() : readFile(environment, path, largestFile, 'check the path; `-` reads the standard input');
  const name = path === '-' ? '<stdin>' : path;
  try {
    return { name, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    throw ssmError('SSM7002', `\`${name}\` is not UTF-8 text`, 'save the file as UTF-8');
  }
}

/** `D=64` pairs as a map. Throws a UsageError. */
export function parseSizes(pairs: readonly string[]): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const pair of pairs) {
    const match = /^([A-Za-z_][A-Za-z0-9_.]*)=([0-9]{1,10})$/.exec(pair);
    const [name, value] = [match?.[1], match?.[2]];
    if (name === undefined || value === undefined) throw new UsageError(`\`--size ${pair}\`: write an axis and a whole number, as in \`--size D=64\``);
    sizes.set(name, Number(value));
  }
  return sizes;
}

export type LoadOptions = { readonly layer: string | null; readonly sizes: ReadonlyMap<string, number> };

export type LoadedLayer = { readonly spec: LayerSpec; readonly warnings: readonly Diagnostic[] };

/** The layers of a text, or of the templates and the builder's calls in a TypeScript file. */
export function readTree(file: SourceFile): ParseOutcome {
  return /\.[cm]?tsx?$/.test(file.name) ? readTypescriptLayers(loadTypescript(), file) : parse(file);
}

/** A layer of a file with everything that is to say about it. */
export function checkLayer(file: SourceFile, { layer, sizes }: LoadOptions): ElaborateOutcome {
  const { tree, diagnostics } = readTree(file);
  return hasErrors(diagnostics) ? { spec: null, diagnostics } : elaborate(tree, layer, { sizes });
}

/** A checked layer of a text; throws an SsmError with all diagnostics when it has errors. */
export function requireLayer(file: SourceFile, options: LoadOptions): LoadedLayer {
  const { spec, diagnostics } = checkLayer(file, options);
  if (spec === null) throw new SsmError(diagnostics);
  return { spec, warnings: diagnostics };
}
