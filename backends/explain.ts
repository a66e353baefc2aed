/** The explanation of a layer as compiled: what command line and page show. A refusal of the target is part of it. */
import type { LayerSpec } from '../dsl/spec.ts';
import { explainLayer, type ExplainedChoice, type Explanation } from '../ir/explain/explain.ts';
import { SsmError } from '../support/diagnostic.ts';
import type { RunSizes } from '../support/size.ts';
import { explainMode, type CompileOptions, type CompileResult } from './compile.ts';
import { machineRates, nameOfWay } from './mode-costs.ts';

/** Costs are given for `sizes`; `compiled` is what `options` made of the layer, or why they made nothing. */
export function explainCompiled(
  spec: LayerSpec, options: CompileOptions, sizes: RunSizes, compiled: CompileResult | SsmError,
): Explanation {
  if (compiled instanceof SsmError) return explainLayer({ spec, sizes, module: null, plans: [], decisions: [], choice: null });
  const { module, plans, artifact } = compiled;
  return explainLayer({ spec, sizes, module, plans, decisions: artifact.manifest.decisions, choice: choiceOf(spec, options, sizes) });
}

/** What `auto` takes, for a layer that has a recurrence. */
function choiceOf(spec: LayerSpec, options: CompileOptions, sizes: RunSizes): ExplainedChoice | null {
  if (!spec.body.some((item) => item.kind === 'state')) return null;
  const { chosen, costs, reason } = explainMode(spec, options, sizes);
  return { chosen: nameOfWay(chosen), reason, machine: machineRates[options.target].name, costs };
}
