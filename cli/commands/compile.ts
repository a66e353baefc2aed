/** `statefuse compile`: kernels and manifest of one layer for one target, written into a folder. */
import { resolve } from 'node:path';
import type { Artifact, TargetName } from '../../backends/artifact.ts';
import type { CompileOptions } from '../../backends/compile.ts';
import { cudaPrefix, renderCudaHeader, renderCudaUnit } from '../../backends/cuda/index.ts';
import { diagnosticToJson } from '../../support/render-diagnostic.ts';
import { compileLayer, type DumpOptions, type Progress } from '../compile-layer.ts';
import { exitCodes, UsageError, type CommandEnvironment, type ExitCode } from '../environment.ts';
import { parseSizes, readSource, requireLayer } from '../load.ts';
import { writeDiagnostics, writeDocument } from '../output.ts';
import { fileNames, writeFiles, type OutputFile } from '../write-files.ts';

export type CompileCommandOptions = DumpOptions & {
  readonly target: TargetName;
  readonly outDir?: string;
  readonly layer?: string;
  readonly size: readonly string[];
  readonly mode: 'auto' | 'recurrent' | 'scan' | 'conv';
  readonly dtype: 'f32' | 'f16' | 'bf16';
  /** sizes that the caller expects */
  readonly batch?: number;
  readonly length?: number;
  readonly json?: boolean;
};

/** The compiler's view of sizes that were given. */
export function expectedSizes({ batch, length }: Pick<CompileCommandOptions, 'batch' | 'length'>): Pick<CompileOptions, 'expected'> {
  if (batch === undefined && length !== undefined) throw new UsageError('`--length` says nothing without `--batch`');
  return batch === undefined ? {} : { expected: { batch, ...(length === undefined ? {} : { length }) } };
}

/** The files of an artifact; `manifest.json` is the manifest with the file of each kernel beside it. */
export function filesOf(artifact: Artifact): readonly OutputFile[] {
  const { manifest, code } = artifact;
  const described = (files: Readonly<Record<string, unknown>>): OutputFile =>
    ({ name: 'manifest.json', content: `${JSON.stringify({ ...manifest, files }, null, 2)}\n` });
  if (code.kind === 'wasm') {
    const [module, text] = [...fileNames([manifest.layer], 'wasm'), ...fileNames([manifest.layer], 'wat')];
    if (module === undefined || text === undefined) return [];
    return [{ name: module, content: code.module }, { name: text, content: code.text }, described({ module, text })];
  }
  const kernels = [...code.kernels];
  const extension = manifest.target === 'cuda' ? 'cu' : 'wgsl';
  const names = fileNames(kernels.map(([name]) => name), extension);
  const files = kernels.map(([, text], at) => ({ name: names[at] ?? '', content: text }));
  const table = Object.fromEntries(kernels.map(([name], at) => [name, names[at] ?? '']));
  if (manifest.target !== 'cuda') return [...files, described({ kernels: table })];
  const [header, unit] = [...fileNames([cudaPrefix(manifest)], 'h'), ...fileNames([cudaPrefix(manifest)], 'cu')];
  if (header === undefined || unit === undefined) return [];
  return [
    ...files, { name: header, content: renderCudaHeader(manifest) }, { name: unit, content: renderCudaUnit(artifact) },
    described({ kernels: table, header, unit }),
  ];
}

/** Writes nothing unless everything succeeded. */
export async function runCompile(
  environment: CommandEnvironment, path: string, options: CompileCommandOptions, progress: Progress,
): Promise<ExitCode> {
  const folder = options.outDir ?? '';
  if (folder === '' && options.stopAfter === undefined) throw new UsageError('`--out-dir` is missing: name the folder for the kernels');
  const sizes = parseSizes(options.size);
  const file = await readSource(environment, path);
  const { spec, warnings } = requireLayer(file, { layer: options.layer ?? null, sizes });
  const result = compileLayer(environment, spec, { target: options.target, mode: options.mode, storage: options.dtype, ...expectedSizes(options) }, options, progress);
  const isJson = options.json === true;
  if (!isJson) writeDiagnostics(environment, warnings);
  if (result === null) {
    environment.writeError(`stopped after ${options.stopAfter ?? ''}; nothing was written\n`);
    return exitCodes.success;
  }
  const { manifest } = result.artifact;
  const files = filesOf(result.artifact);
  writeFiles(resolve(environment.directory, folder), folder, files);
  if (isJson) {
    writeDocument(environment, 'compile', {
      ok: true, outDir: folder, files: files.map((each) => each.name), layer: manifest.layer, target: manifest.target, mode: manifest.mode,
      contentHash: manifest.contentHash, decisions: manifest.decisions, diagnostics: warnings.map(diagnosticToJson),
    });
    return exitCodes.success;
  }
  const entries = manifest.entries.map((each) => `${each.name} (${each.dispatches.length})`).join(', ');
  environment.writeOutput(`${manifest.layer} for ${manifest.target}, mode ${manifest.mode}: ${files.length} files in ${folder}\n`);
  environment.writeOutput(`entry points (launches): ${entries}\n`);
  return exitCodes.success;
}
