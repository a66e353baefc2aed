/**
 * `statefuse reduce`: a smaller text that fails as the given one does, for reports of bugs. What fails is
 * `verify` (a disagreement of some entry point on a device) or the compiler itself (an internal error, by
 * its message); texts with mistakes of their own are refused.
 */
import { printTree } from '../../dsl/format/print-tree.ts';
import type { SourceTree } from '../../dsl/ast.ts';
import { SsmError, ssmError } from '../../support/diagnostic.ts';
import type { DeviceName } from '../devices.ts';
import { exitCodes, type CommandEnvironment, type ExitCode } from '../environment.ts';
import { parseSizes, readSource, readTree, requireLayer } from '../load.ts';
import { writeDocument } from '../output.ts';
import { simplerTrees } from '../reduce/simpler-trees.ts';
import { runVerify } from './verify.ts';

export type ReduceOptions = {
  readonly device: DeviceName;
  readonly layer?: string;
  readonly size: readonly string[];
  readonly batch: number;
  readonly length: number;
  readonly seed: number;
  readonly tries: number;
  readonly json?: boolean;
};

/** What fails, or null where nothing does; a text with mistakes does not count as failing. */
async function failureOf(environment: CommandEnvironment, text: string, options: ReduceOptions): Promise<string | null> {
  let document = '';
  const quiet: CommandEnvironment = {
    ...environment, writeOutput: (part) => void (document += part), writeError: () => {},
    readInput: async () => new TextEncoder().encode(text),
  };
  try {
    const code = await runVerify(quiet, '-', { ...options, mode: 'all', json: true }, { pass: null });
    if (code !== exitCodes.diagnostics) return null;
    const { rows } = JSON.parse(document) as { readonly rows: readonly { readonly entry: string; readonly mode: string; readonly agrees: boolean }[] };
    const bad = rows.find((each) => !each.agrees);
    return bad === undefined ? null : `${bad.entry} disagrees in mode ${bad.mode}`;
  } catch (error) {
    if (error instanceof SsmError) return null;
    const message = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    // names of values and numbers differ from text to text
    return `internal error: ${message.replace(/%?[0-9]+/g, '#').replace(/\b(kernel|reduction|tensor|buffer) \S+/g, '$1 …')}`;
  }
}

type Reduced = { readonly text: string; readonly tries: number };

/** Takes every simpler tree that fails alike, until none does or the tries are used up. */
async function reduce(environment: CommandEnvironment, tree: SourceTree, failure: string, options: ReduceOptions): Promise<Reduced> {
  let best = tree;
  let text = printTree(tree);
  let [tries, at] = [0, 0];
  let candidates = simplerTrees(best);
  for (let rest = candidates.length; rest > 0 && tries < options.tries; rest--, at++) {
    const candidate = candidates[at % candidates.length];
    if (candidate === undefined) break;
    const made = printTree(candidate);
    tries += 1;
    if ((await failureOf(environment, made, options)) !== failure) continue;
    [best, text] = [candidate, made];
    candidates = simplerTrees(best);
    // one round more over all of them, from here on
    rest = candidates.length + 1;
    at -= 1;
    if (environment.isTerminal.error) environment.writeError(`${text.split('\n').length} lines after ${tries} tries\n`);
  }
  return { text, tries };
}

/** Writes the smaller text to the output. Exit code 1 when the text has mistakes or does not fail. */
export async function runReduce(environment: CommandEnvironment, path: string, options: ReduceOptions): Promise<ExitCode> {
  const source = await readSource(environment, path);
  requireLayer(source, { layer: options.layer ?? null, sizes: parseSizes(options.size) });
  const { tree } = readTree(source);
  const failure = await failureOf(environment, printTree(tree), options);
  if (failure === null) {
    throw ssmError('SSM6004', `\`${source.name}\` does not fail: \`verify\` finds no disagreement and the compiler no error of its own`,
      'give the sizes, seed and device with which it does; `statefuse check` shows mistakes of the text');
  }
  const { text, tries } = await reduce(environment, tree, failure, options);
  if (options.json === true) writeDocument(environment, 'reduce', { ok: true, failure, tries, text });
  else {
    environment.writeOutput(text);
    environment.writeError(`${failure}: ${source.text.length} characters became ${text.length} in ${tries} tries\n`);
  }
  return exitCodes.success;
}
