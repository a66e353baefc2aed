/** `statefuse compile --target ts`: a typed module that carries a layer's kernels and runs without the compiler. */
import { basename, resolve } from 'node:path';
import type { TargetName } from '../../backends/artifact.ts';
import type { CompileOptions } from '../../backends/compile.ts';
import { compileModuleLayer } from '../../backends/ts/compile-module.ts';
import { emitModule, type ModuleTexts } from '../../backends/ts/index.ts';
import { diagnosticToJson } from '../../support/render-diagnostic.ts';
import type { SourceFile } from '../../support/source.ts';
import { exitCodes, UsageError, type CommandEnvironment, type ExitCode } from '../environment.ts';
import { parseSizes, readSource, readTree, requireLayer, type LoadedLayer } from '../load.ts';
import { writeDiagnostics, writeDocument } from '../output.ts';
import { loadTypescript } from '../typescript/host.ts';
import { fileNames, writeFiles, type OutputFile } from '../write-files.ts';

export type TypescriptOptions = {
  readonly outDir?: string;
  readonly layer?: string;
  readonly size: readonly string[];
  readonly mode: NonNullable<CompileOptions['mode']>;
  readonly dtype: 'f32' | 'f16' | 'bf16';
  readonly emit: 'ts' | 'js' | 'types';
  readonly carry: readonly TargetName[];
  readonly seed?: number;
  readonly json?: boolean;
};

function filesOf(emit: TypescriptOptions['emit'], layer: string, source: string, texts: ModuleTexts): readonly OutputFile[] {
  const named = (extension: string): string => fileNames([layer], extension)[0] ?? `layer.${extension}`;
  switch (emit) {
    case 'ts':
      return [{ name: named('ts'), content: texts.typescript }];
    case 'js':
      return [{ name: named('js'), content: texts.javascript }, { name: named('d.ts'), content: texts.declarations }];
    case 'types':
      return [{ name: `${basename(source)}.d.ts`, content: texts.declarations }];
    default:
      return emit satisfies never;
  }
}

/** The layer that was asked for; for an import of the text all that it gives, which are those with sizes. */
function chooseLayers(file: SourceFile, options: TypescriptOptions): readonly LoadedLayer[] {
  const sizes = parseSizes(options.size);
  const last = requireLayer(file, { layer: options.layer ?? null, sizes });
  if (options.emit !== 'types' || options.layer !== undefined) return [last];
  const before = readTree(file).tree.layers.slice(0, -1).filter((each) => each.axes.every((axis) => axis.size !== null));
  return [...before.map((each) => requireLayer(file, { layer: each.name.text, sizes: new Map() })), last];
}

/** Writes the module, or its declarations alone for texts that a bundler's plugin imports. */
export async function runCompileTypescript(environment: CommandEnvironment, path: string, options: TypescriptOptions): Promise<ExitCode> {
  const folder = options.outDir ?? '';
  if (folder === '') throw new UsageError('`--out-dir` is missing: name the folder for the module');
  const file = await readSource(environment, path);
  const layers = chooseLayers(file, options);
  const warnings = layers.at(-1)?.warnings ?? [];
  const names = layers.map((each) => each.spec.name);
  const targets: readonly TargetName[] = options.carry.length === 0 ? ['wasm', 'wgsl'] : options.carry;
  const compileOptions = { targets, mode: options.mode, storage: options.dtype, seed: options.seed ?? null };
  const compiled = layers.map(({ spec }) => compileModuleLayer(spec, compileOptions));
  const texts = emitModule(loadTypescript(), compiled, { runtime: 'statefuse/runtime' });
  const files = filesOf(options.emit, names.at(-1) ?? '', file.name, texts);
  writeFiles(resolve(environment.directory, folder), folder, files);
  const written = files.map((each) => each.name);
  if (options.json === true) {
    writeDocument(environment, 'compile', {
      ok: true, outDir: folder, files: written, layer: names.at(-1), target: 'ts', carries: targets, diagnostics: warnings.map(diagnosticToJson),
    });
    return exitCodes.success;
  }
  writeDiagnostics(environment, warnings);
  environment.writeOutput(`${names.join(', ')} as a module for ${targets.join(' and ')}: ${written.join(', ')} in ${folder}\n`);
  return exitCodes.success;
}
