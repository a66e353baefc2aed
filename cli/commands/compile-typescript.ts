/** `statefuse compile --target ts`: a typed module that carries a layer's kernels and runs without the compiler. */
import { basename, resolve } from 'node:path';
import type { TargetName } from '../../backends/artifact.ts';
import { compileModuleLayer } from '../../backends/ts/compile-module.ts';
import { emitModule, type ModuleTexts } from '../../backends/ts/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { diagnosticToJson } from '../../support/render-diagnostic.ts';
import { exitCodes, UsageError, type CommandEnvironment, type ExitCode } from '../environment.ts';
import { parseSizes, readSource, requireLayer } from '../load.ts';
import { writeDiagnostics, writeDocument } from '../output.ts';
import { loadTypescript } from '../typescript-host.ts';
import { fileNames, writeFiles, type OutputFile } from '../write-files.ts';

export type TypescriptOptions = {
  readonly outDir?: string;
  readonly layer?: string;
  readonly size: readonly string[];
  readonly mode: 'auto' | 'recurrent' | 'scan';
  readonly dtype: 'f32' | 'f16' | 'bf16';
  readonly emit: 'ts' | 'js' | 'types';
  readonly carry: readonly TargetName[];
  readonly seed?: number;
  readonly json?: boolean;
};

function filesOf(emit: TypescriptOptions['emit'], spec: LayerSpec, source: string, texts: ModuleTexts): readonly OutputFile[] {
  const named = (extension: string): string => fileNames([spec.name], extension)[0] ?? `layer.${extension}`;
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

/** Writes the module, or its declarations alone for texts that a bundler's plugin imports. */
export async function runCompileTypescript(environment: CommandEnvironment, path: string, options: TypescriptOptions): Promise<ExitCode> {
  const folder = options.outDir ?? '';
  if (folder === '') throw new UsageError('`--out-dir` is missing: name the folder for the module');
  const file = await readSource(environment, path);
  const { spec, warnings } = requireLayer(file, { layer: options.layer ?? null, sizes: parseSizes(options.size) });
  const targets: readonly TargetName[] = options.carry.length === 0 ? ['wasm', 'wgsl'] : options.carry;
  const compiled = compileModuleLayer(spec, { targets, mode: options.mode, storage: options.dtype, seed: options.seed ?? null });
  const texts = emitModule(loadTypescript(), [compiled], { runtime: 'statefuse/runtime' });
  const files = filesOf(options.emit, spec, file.name, texts);
  writeFiles(resolve(environment.directory, folder), folder, files);
  const names = files.map((each) => each.name);
  if (options.json === true) {
    writeDocument(environment, 'compile', {
      ok: true, outDir: folder, files: names, layer: spec.name, target: 'ts', carries: targets, diagnostics: warnings.map(diagnosticToJson),
    });
    return exitCodes.success;
  }
  writeDiagnostics(environment, warnings);
  environment.writeOutput(`${spec.name} as a module for ${targets.join(' and ')}: ${names.join(', ')} in ${folder}\n`);
  return exitCodes.success;
}
