/** The WASM back end: plans in, an artifact with one module for all kernels out. */
import type { Plan } from '../../ir/plan.ts';
import type { Artifact } from '../artifact.ts';
import { buildManifestEntry, distinctKernels, nameKernels, type ManifestHeader } from '../manifest.ts';
import { assembleModule } from './assemble.ts';
import { encodeModule } from './binary.ts';
import { printWat } from './print-wat.ts';
import { raiseKernel } from './raise.ts';

/** Builds the artifact of a layer for WebAssembly with SIMD128 and shared memory. */
export function emitWasm(plans: readonly Plan[], header: ManifestHeader): Artifact {
  const raised = nameKernels(plans).map((plan) => ({ plan, kernels: plan.kernels.map(raiseKernel) }));
  const module = assembleModule(distinctKernels(raised.flatMap(({ kernels }) => kernels)));
  return {
    manifest: {
      schema: 'statefuse-manifest',
      version: 1,
      target: 'wasm',
      ...header,
      entries: raised.map(({ plan, kernels }) => buildManifestEntry(plan, kernels)),
      requiredLimits: {},
      requiredFeatures: ['simd128', 'threads'],
    },
    code: { kind: 'wasm', module: encodeModule(module), text: printWat(module) },
  };
}
