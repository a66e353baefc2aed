/** From checked layers to what a module carries: kernels for each target, and initial parameters if asked for. */
import type { LayerSpec } from '../../dsl/spec.ts';
import { initialParameters } from '../../ir/initial/index.ts';
import type { TargetName } from '../artifact.ts';
import { compileSpec, type CompileOptions } from '../compile.ts';
import type { ModuleLayer } from './index.ts';

export type CompileModuleOptions = Pick<CompileOptions, 'mode' | 'storage' | 'entries'> & {
  /** for which devices; each one adds its kernels to the module */
  readonly targets: readonly TargetName[];
  /** of the initial parameters that the module carries; null: it carries none */
  readonly seed: number | null;
};

/** Compiles a layer for the targets of a module. Throws an SsmError where one of them cannot hold it. */
export function compileModuleLayer(spec: LayerSpec, options: CompileModuleOptions): ModuleLayer {
  const { targets, seed, ...rest } = options;
  const artifacts = targets.map((target) => compileSpec(spec, { ...rest, target }).artifact);
  return { artifacts, initialParameters: seed === null ? null : initialParameters(spec, seed) };
}
