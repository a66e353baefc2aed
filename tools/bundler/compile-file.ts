/**
 * A text of layers as a module: what `import { S6 } from './s6.ssm'` stands for. Every layer of the
 * text that has sizes is exported; what a page does not use, its bundler leaves out.
 */
import type { TargetName } from '../../backends/artifact.ts';
import type { CompileOptions } from '../../backends/compile.ts';
import { compileModuleLayer } from '../../backends/ts/compile-module.ts';
import { emitModule, type ModuleTexts, type Typescript } from '../../backends/ts/index.ts';
import type { LayerSyntax } from '../../dsl/ast.ts';
import { elaborate, parse } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { hasErrors, SsmError, type Diagnostic } from '../../support/diagnostic.ts';
import type { SourceFile } from '../../support/source.ts';

export type LayerOptions = Pick<CompileOptions, 'mode' | 'storage' | 'entries'> & {
  /** for which devices the module carries kernels; WebAssembly and WebGPU unless told */
  readonly targets?: readonly TargetName[];
  /** of the initial parameters that the module carries, 1 unless told; null: it carries none */
  readonly seed?: number | null;
  /** sizes of axes in place of the declared ones */
  readonly sizes?: (file: string, layer: string) => Readonly<Record<string, number>>;
};

export type CompiledFile = {
  readonly texts: ModuleTexts;
  readonly warnings: readonly Diagnostic[];
  /** numbers of initial parameters that the module carries, in all layers */
  readonly parameterCount: number;
};

/** Compiles the layers of a text. Throws an SsmError with every mistake found in them. */
export function compileFile(typescript: Typescript, file: SourceFile, options: LayerOptions): CompiledFile {
  const { targets = ['wasm', 'wgsl'], seed = 1, sizes = () => ({}), ...rest } = options;
  const { tree, diagnostics } = parse(file);
  if (hasErrors(diagnostics)) throw new SsmError(diagnostics);
  const sizesOf = (layer: LayerSyntax): ReadonlyMap<string, number> => new Map(Object.entries(sizes(file.name, layer.name.text)));
  const last = tree.layers.at(-1);
  const chosen = tree.layers.filter((each) => each === last || each.axes.every((axis) => axis.size !== null || sizesOf(each).has(axis.name.text)));
  const found = chosen.map((each) => elaborate(tree, each.name.text, { sizes: sizesOf(each) }));
  const all = withoutRepeats(chosen.length === 0 ? elaborate(tree, null, { sizes: new Map() }).diagnostics : found.flatMap((each) => each.diagnostics));
  if (hasErrors(all)) throw new SsmError(all);
  const specs = found.flatMap(({ spec }): LayerSpec[] => (spec === null ? [] : [spec]));
  const layers = specs.map((spec) => compileModuleLayer(spec, { ...rest, targets, seed }));
  const parameterCount = layers.flatMap((each) => [...(each.initialParameters?.values() ?? [])]).reduce((sum, each) => sum + each.length, 0);
  return { texts: emitModule(typescript, layers, { runtime: 'statefuse/runtime' }), warnings: all, parameterCount };
}

/** A layer that others apply reports its places once for each of them. */
function withoutRepeats(diagnostics: readonly Diagnostic[]): readonly Diagnostic[] {
  const seen = new Set<string>();
  return diagnostics.filter(({ code, primary, message }) => {
    const key = `${code} ${primary?.span.start ?? -1} ${message}`;
    return !seen.has(key) && seen.add(key) !== undefined;
  });
}
