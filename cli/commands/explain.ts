/** `statefuse explain`: one page about a layer for a reader of papers. */
import type { TargetName } from '../../backends/artifact.ts';
import { explainMode, type CompileOptions } from '../../backends/compile.ts';
import { machineRates, nameOfWay } from '../../backends/mode-costs.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { explainLayer, type ExplainedChoice } from '../../ir/explain/explain.ts';
import { SsmError } from '../../support/diagnostic.ts';
import { diagnosticToJson } from '../../support/render-diagnostic.ts';
import type { RunSizes } from '../../support/size.ts';
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
  const compiled = attempt(() => compileLayer(environment, spec, request, { ...options, tunedFor: { sizes } }, progress));
  if (compiled === null) {
    environment.writeError(`stopped after ${options.stopAfter ?? ''}\n`);
    return exitCodes.success;
  }
  const isRefused = compiled instanceof SsmError;
  const page = explainLayer({
    spec, sizes, module: isRefused ? null : compiled.module, plans: isRefused ? [] : compiled.plans,
    decisions: isRefused ? [] : compiled.artifact.manifest.decisions, choice: isRefused ? null : choiceOf(spec, request, sizes),
  });
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

/** What `auto` takes, for a layer that has a recurrence. */
function choiceOf(spec: LayerSpec, request: CompileOptions, sizes: RunSizes): ExplainedChoice | null {
  if (!spec.body.some((item) => item.kind === 'state')) return null;
  const { chosen, costs, reason } = explainMode(spec, request, sizes);
  return { chosen: nameOfWay(chosen), reason, machine: machineRates[request.target].name, costs };
}

/** A target's refusal is part of the answer: the text is explained all the same. */
function attempt<Value>(action: () => Value): Value | SsmError {
  try {
    return action();
  } catch (error) {
    if (error instanceof SsmError) return error;
    throw error;
  }
}
