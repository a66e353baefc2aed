/**
 * The pipeline, as lists. A pass is one row: its name is the file, the flag value of --dump-after and
 * the heading in dumps. Order constraints stand beside the rows. The runner verifies after each pass.
 */
import { assertModule } from './tensor/verify.ts';
import { ValueIds } from './tensor/builder.ts';
import type { TensorModule } from './tensor/ops.ts';
import type { LayerSpec } from '../dsl/spec.ts';
import { differentiate } from './autodiff/differentiate.ts';
import { eliminateDead } from './passes/eliminate-dead.ts';
import { formContractions } from './passes/form-contractions.ts';
import { formConvolutions, type ConvolutionChoice } from './passes/form-convolutions.ts';
import { fuseScans } from './passes/fuse-scan.ts';
import { lowerComplex } from './passes/lower-complex.ts';
import { lowerSpec } from './passes/lower-spec.ts';
import { reassociateProducts } from './passes/reassociate-products.ts';

export type TensorPassOptions = {
  /** subjects whose gradients are wanted; null: all */
  readonly withRespectTo: ReadonlySet<string> | null;
  readonly checkpointInterval: number;
  /** which recurrences become convolutions; absent: none */
  readonly convolutions?: ConvolutionChoice;
};

export type TensorPass = {
  readonly name: string;
  readonly description: string;
  readonly run: (module: TensorModule, ids: ValueIds, options: TensorPassOptions) => TensorModule;
};

export const tensorPasses: readonly TensorPass[] = [
  // before differentiation, so that complex gradients are right by construction
  { name: 'lower-complex', description: 'complex values become pairs of reals', run: (module, ids) => lowerComplex(module, ids) },
  // before fusion hides the read-outs in regions, and before differentiation (decisions 23)
  { name: 'form-convolutions', description: 'time-invariant scans become convolutions, where mode conv is asked for', run: convolve },
  { name: 'fuse-scan', description: 'producers and consumers move into the scans', run: (module, ids) => fuseScans(module, ids) },
  // before differentiation: (dt·u)·B has one cotangent sum per channel where dt·(B·u) has two
  { name: 'regroup-forward', description: 'small factors meet first', run: (module, ids) => reassociateProducts(module, ids) },
  { name: 'differentiate', description: 'adds forwardSaved and backward', run: addGradients },
  // again: cotangent chains become producers of the adjoint scans
  { name: 'fuse-scan-backward', description: 'cotangents move into the adjoint scans', run: (module, ids) => fuseScans(module, ids) },
  { name: 'form-contractions', description: 'sums of products become contractions', run: (module, ids) => formContractions(module, ids) },
  { name: 'reassociate-products', description: 'small factors meet first', run: (module, ids) => reassociateProducts(module, ids) },
  { name: 'eliminate-dead', description: 'unused instructions go', run: (module) => eliminateDead(module) },
];

function convolve(module: TensorModule, ids: ValueIds, { convolutions }: TensorPassOptions): TensorModule {
  return convolutions === undefined ? module : formConvolutions(module, ids, convolutions);
}

function addGradients(module: TensorModule, ids: ValueIds, options: TensorPassOptions): TensorModule {
  const [forward] = module.functions;
  if (forward === undefined) return module;
  const of = (finalCotangents: boolean, name: 'backward' | 'backwardFinal'): ReturnType<typeof differentiate> =>
    differentiate(module, forward, ids, { ...options, finalCotangents, name });
  const plain = of(false, 'backward');
  const withFinals = of(true, 'backwardFinal');
  return { ...module, functions: [forward, withFinals.forwardSaved, plain.backward, withFinals.backward] };
}

export type TensorPipelineResult = { readonly module: TensorModule; readonly ids: ValueIds };

/** Runs the list. `onPass` sees the module after each pass (dumps); verification throws with the pass's name. */
export function runTensorPipeline(
  spec: LayerSpec,
  options: TensorPassOptions,
  onPass: (name: string, module: TensorModule) => void = () => {},
): TensorPipelineResult {
  const ids = new ValueIds();
  let module = lowerSpec(spec, ids);
  assertModule(module, 'lower-spec');
  onPass('lower-spec', module);
  for (const pass of tensorPasses) {
    module = pass.run(module, ids, options);
    assertModule(module, pass.name);
    onPass(pass.name, module);
  }
  return { module, ids };
}
