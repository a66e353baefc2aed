/**
 * The CUDA back end: plans in, an artifact with one CUDA C++ text per kernel out. `renderCudaHeader`
 * declares an artifact's launch functions for C and C++, `renderCudaUnit` is one source file of all
 * kernels and these functions.
 */
import { ssmError } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import { commentText } from '../../support/namer.ts';
import type { Kernel } from '../../ir/kernel/nodes.ts';
import type { Plan } from '../../ir/plan.ts';
import type { Artifact } from '../artifact.ts';
import { buildManifestEntry, nameKernels, sharedBytesOf, type ManifestHeader } from '../manifest.ts';
import { renderCudaLaunchers } from './launchers.ts';
import { printCudaKernel } from './print.ts';
import { raiseForCuda } from './raise.ts';
import { hopper } from './target.ts';

export { cudaPrefix, elementsText, fieldNames, isWritten, kernelDeclaration, sizeText } from './entry.ts';
export { renderCudaHeader } from './header.ts';
export { renderCudaLaunchers } from './launchers.ts';
export { printCudaKernel } from './print.ts';
export { dynamicSharedBytes, hopper, type CudaTarget } from './target.ts';

function checkLimits(kernel: Kernel): void {
  const shared = sharedBytesOf(kernel);
  if (shared > hopper.sharedBytes) {
    throw ssmError(
      'SSM5001',
      `kernel \`${kernel.name}\` needs ${shared} B of shared memory; a block has ${hopper.sharedBytes}`,
      'use a smaller chunk or split the state',
    );
  }
  if (kernel.workgroupSize > hopper.threadsPerBlock) {
    throw ssmError('SSM5001', `kernel \`${kernel.name}\` has ${kernel.workgroupSize} threads in a block; the limit is ${hopper.threadsPerBlock}`);
  }
}

/** The CUDA artifact of a layer; throws SSM5001 for a kernel that no Hopper GPU can launch. */
export function emitCuda(plans: readonly Plan[], header: ManifestHeader): Artifact {
  const raised = nameKernels(plans).map((plan) => ({ plan, kernels: plan.kernels.map(raiseForCuda) }));
  const kernels = raised.flatMap((each) => each.kernels);
  kernels.forEach(checkLimits);
  return {
    manifest: {
      schema: 'statefuse-manifest', version: 1, target: 'cuda', ...header,
      entries: raised.map((each) => buildManifestEntry(each.plan, each.kernels)),
      requiredLimits: {}, requiredFeatures: [],
    },
    code: { kind: 'text', kernels: new Map(kernels.map((each) => [each.name, printCudaKernel(each)])) },
  };
}

/** All kernels of an artifact and the functions that its header declares, as one source file for nvcc. */
export function renderCudaUnit(artifact: Artifact): string {
  const { code, manifest } = artifact;
  const texts = code.kind === 'text' ? code.kernels : null;
  const first = commentText(`kernels of ${manifest.layer}, made by ${manifest.compiler} (${manifest.contentHash})`);
  return [`// ${first}\n`, ...required(texts, 'text of a CUDA artifact').values(), renderCudaLaunchers(manifest)].join('\n');
}
