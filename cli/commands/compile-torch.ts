/** `statefuse compile --target torch`: a Python package with a layer's CUDA kernels for PyTorch. */
import { resolve } from 'node:path';
import { compileSpec, type CompileOptions } from '../../backends/compile.ts';
import { compileForFew } from '../../backends/few-sequences.ts';
import { emitTorchPackage, type StoredArtifact } from '../../backends/torch/index.ts';
import { diagnosticToJson } from '../../support/render-diagnostic.ts';
import { compileLayer, type Progress } from '../compile-layer.ts';
import { exitCodes, UsageError, type CommandEnvironment, type ExitCode } from '../environment.ts';
import { parseSizes, readSource, requireLayer } from '../load.ts';
import { writeDiagnostics, writeDocument } from '../output.ts';
import { writeFiles } from '../write-files.ts';
import { expectedSizes, type CompileCommandOptions } from './compile.ts';

export type TorchOptions = Omit<CompileCommandOptions, 'target'> & { readonly dtypes: readonly CompileCommandOptions['dtype'][]; readonly name?: string };

const allStorages: readonly CompileCommandOptions['dtype'][] = ['f32', 'bf16', 'f16'];

/** Writes the package whole, or nothing. */
export async function runCompileTorch(
  environment: CommandEnvironment, path: string, options: TorchOptions, progress: Progress,
): Promise<ExitCode> {
  const folder = options.outDir ?? '';
  if (folder === '' && options.stopAfter === undefined) throw new UsageError('`--out-dir` is missing: name the folder for the package');
  if (options.name !== undefined && !/^[A-Za-z][A-Za-z0-9_]{0,60}$/.test(options.name)) {
    throw new UsageError(`\`--name ${options.name}\`: write letters, digits and \`_\``);
  }
  const file = await readSource(environment, path);
  const { spec, warnings } = requireLayer(file, { layer: options.layer ?? null, sizes: parseSizes(options.size) });
  if (options.json !== true) writeDiagnostics(environment, warnings);
  const wanted = options.dtypes.length > 0 ? options.dtypes : options.dtype === 'f32' ? allStorages : [options.dtype];
  const stored: StoredArtifact[] = [];
  for (const storage of allStorages.filter((each) => wanted.includes(each))) {
    const settings: CompileOptions = { target: 'cuda', mode: options.mode, storage, ...expectedSizes(options) };
    const result = compileLayer(environment, spec, settings, options, progress);
    if (result === null) {
      environment.writeError(`stopped after ${options.stopAfter ?? ''}; nothing was written\n`);
      return exitCodes.success;
    }
    const { artifact } = result;
    // a mode or sizes that the caller names hold for every call
    const isOpen = options.mode === 'auto' && settings.expected === undefined && options.tuning === undefined;
    stored.push({ storage, artifact, few: isOpen ? compileForFew(artifact, (more) => compileSpec(spec, { ...settings, ...more })) : null });
  }
  const { packageName, className, files } = emitTorchPackage(spec, stored, options.name ?? spec.name);
  writeFiles(resolve(environment.directory, folder), folder, files);
  if (options.json === true) {
    writeDocument(environment, 'compile', {
      ok: true, outDir: folder, files: files.map((each) => each.name), layer: spec.name, target: 'torch', package: packageName,
      storages: stored.map((each) => each.storage), diagnostics: warnings.map(diagnosticToJson),
    });
    return exitCodes.success;
  }
  const types = stored.map((each) => each.storage).join(', ');
  environment.writeOutput(`${spec.name} for PyTorch (${types}): ${files.length} files in ${folder}\n`);
  environment.writeOutput(`pip install ${folder} gives \`from ${packageName} import ${className}\`\n`);
  return exitCodes.success;
}
