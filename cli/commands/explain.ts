/** `statefuse explain`: one page about a layer for a reader of papers. */
import type { TargetName } from '../../backends/artifact.ts';
import type { CompileOptions } from '../../backends/compile.ts';
import { explainCompiled } from '../../backends/explain.ts';
import { resultOrDiagnostics, SsmError } from '../../support/diagnostic.ts';
import { diagnosticToJson } from '../../support/render-diagnostic.ts';
import { compileLayer, type DumpOptions, type Progress } from '../compile-layer.ts';
import { exitCodes, type CommandEnvironment, type ExitCode } from '../environment.ts';
import { parseSizes, readSource, requireLayer } from '../load.ts';
import { exitCodeOf, writeDiagnostics, writeDocument } from '../output.ts';
import { expectedSizes } from './compile.ts';
import { renderExplanation } from '../render-explain.ts';

export type ExplainOptions = DumpOptions & {
  readonly target: TargetName;
  readonly layer?: string;
  readonly size: readonly string[];
  readonly mode: 'auto' | 'recurrent' | 'scan' | 'conv';
  readonly dtype: 'f32' | 'f16' | 'bf16';
  /** sizes to expect; absent: costs are given for nominal ones */
  readonly batch?: number;
  readonly length?: number;
  readonly json?: boolean;
};

/** Sizes for costs where none are given. */
const nominal = { batch: 8, length: 2048 } as const;

/** Costs are given for `--batch` and `--length`, which are expected then as `compile` expects them; nothing is executed. */
export async function runExplain(
  environment: CommandEnvironment, path: string, options: ExplainOptions, progress: Progress,
): Promise<ExitCode> {
  const file = await readSource(environment, path);
  const { spec, warnings } = requireLayer(file, { layer: options.layer ?? null, sizes: parseSizes(options.size) });
  const sizes = { batch: options.batch ?? nominal.batch, length: options.length ?? nominal.length };
  const request: CompileOptions = { target: options.target, mode: options.mode, storage: options.dtype, ...expectedSizes(options) };
  const compiled = resultOrDiagnostics(() => compileLayer(environment, spec, request, { ...options, tunedFor: { sizes } }, progress));
  if (compiled === null) {
    environment.writeError(`stopped after ${options.stopAfter ?? ''}\n`);
    return exitCodes.success;
  }
  const isRefused = compiled instanceof SsmError;
  const page = explainCompiled(spec, request, sizes, compiled);
  const mode = isRefused ? options.mode : compiled.artifact.manifest.mode;
  const diagnostics = [...warnings, ...(isRefused ? compiled.diagnostics : [])];
  if (options.json === true) {
    writeDocument(environment, 'explain', { ok: !isRefused, target: options.target, mode, ...page, diagnostics: diagnostics.map(diagnosticToJson) });
  } else {
    environment.writeOutput(renderExplanation(page, options.target, mode));
    writeDiagnostics(environment, diagnostics);
  }
  return exitCodeOf(diagnostics);
}
