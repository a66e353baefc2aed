/**
 * Statefuse: from the text of a layer to kernels that run. `compileText` gives an artifact and initial
 * parameters; `loadLayer` makes it usable on a device; devices are in `statefuse/runtime/wasm` and
 * `statefuse/runtime/webgpu`.
 */
import { compileSpec, type CompileOptions, type CompileResult } from './backends/compile.ts';
import type { LayerSource } from './dsl/builder/index.ts';
import { elaborate, loadLayer as readLayer } from './dsl/index.ts';
import type { LayerSpec } from './dsl/spec.ts';
import { initialParameters } from './ir/initial/index.ts';
import { hasErrors, SsmError, type Diagnostic } from './support/diagnostic.ts';

export type { Manifest, TargetName } from './backends/artifact.ts';
export { compileSpec, type CompileOptions, type CompileResult } from './backends/compile.ts';
export { wgslOptionsFor, type WgslDeviceOptions } from './backends/wgsl/adapter.ts';
export type { LayerSource } from './dsl/builder/index.ts';
export type { LayerSpec } from './dsl/spec.ts';
export { initialParameters } from './ir/initial/index.ts';
export * from './runtime/index.ts';
export { SsmError, type Diagnostic } from './support/diagnostic.ts';
export { renderDiagnostics } from './support/render-diagnostic.ts';

export type CompileTextOptions = CompileOptions & {
  /** file name in messages */
  readonly name?: string;
  /** which layer of the text; absent: the last */
  readonly layer?: string;
  /** sizes of axes in place of the declared ones */
  readonly sizes?: Readonly<Record<string, number>>;
};

export type CompiledText = CompileResult & {
  readonly spec: LayerSpec;
  /** what the text makes worth a warning */
  readonly diagnostics: readonly Diagnostic[];
  /** float64 values by parameter, complex ones as re, im pairs; parameters without an initialiser are left out */
  readonly initialParameters: (seed: number) => Readonly<Record<string, Float64Array>>;
};

/** Compiles one layer of a text, or of what the builder made. Throws an SsmError with every mistake found in it. */
export function compileText(source: string | LayerSource, options: CompileTextOptions): CompiledText {
  const { name = 'layer.ssm', layer = null, sizes = {}, ...rest } = options;
  const chosen = { sizes: new Map(Object.entries(sizes)) };
  const { spec, diagnostics } = typeof source === 'string'
    ? readLayer({ name, text: source }, layer, chosen)
    : elaborate(source.tree, layer ?? source.name, chosen);
  if (spec === null || hasErrors(diagnostics)) throw new SsmError(diagnostics);
  const result = compileSpec(spec, rest);
  return { ...result, spec, diagnostics, initialParameters: (seed) => Object.fromEntries(initialParameters(spec, seed)) };
}
