/**
 * The target-independent part of an artifact's manifest: every back end turns its raised kernels into
 * the same tables, and the runtime needs nothing else.
 */
import type { Kernel, KernelType } from '../ir/kernel/nodes.ts';
import { printKernel } from '../ir/kernel/print.ts';
import type { Plan } from '../ir/plan.ts';
import { createNamer } from '../support/namer.ts';
import type { Manifest, ManifestDispatch, ManifestEntry } from './artifact.ts';

/** The manifest's fields that the compiler knows, not the back end. */
export type ManifestHeader = Pick<
  Manifest,
  'layer' | 'compiler' | 'contentHash' | 'mode' | 'axes' | 'parameters' | 'decisions'
>;

const elementBytes: Readonly<Record<KernelType['element'], number>> = { f32: 4, f64: 8, i32: 4, u32: 4, bool: 4 };

/** Bytes of workgroup memory that a kernel declares; vectors of 2 and 4 have no padding. */
export function sharedBytesOf(kernel: Kernel): number {
  return kernel.shared.reduce(
    (sum, each) => sum + each.length * elementBytes[each.type.element] * each.type.width,
    0,
  );
}

/**
 * The plans with kernel names that are identifiers in every target. Equal kernels share one name, unless
 * a target's rewrites may still make them differ (`distinct`).
 */
export function nameKernels(plans: readonly Plan[], equal: 'shared' | 'distinct' = 'shared'): readonly Plan[] {
  const namer = createNamer();
  const known = new Map<string, string>();
  const nameOf = (kernel: Kernel): string => {
    if (equal === 'distinct') return namer.fresh(kernel.name);
    const content = printKernel({ ...kernel, name: 'same' });
    const name = known.get(content) ?? namer.fresh(kernel.name);
    known.set(content, name);
    return name;
  };
  return plans.map((plan) => ({ ...plan, kernels: plan.kernels.map((kernel) => ({ ...kernel, name: nameOf(kernel) })) }));
}

/** Each kernel once, by name. */
export function distinctKernels(kernels: readonly Kernel[]): readonly Kernel[] {
  return [...new Map(kernels.map((kernel) => [kernel.name, kernel])).values()];
}

/** One launch as the runtime sees it: buffers and uniforms in the order the kernel declares them. */
export function buildManifestDispatch(kernel: Kernel): ManifestDispatch {
  return {
    kernel: kernel.name,
    workgroupSize: kernel.workgroupSize,
    grid: kernel.grid,
    uniforms: kernel.uniforms.map(({ name, value }) => ({ name, value })),
    bindings: kernel.buffers.map(({ name, access }) => ({ tensor: name, access })),
    sharedBytes: sharedBytesOf(kernel),
  };
}

/** The entry of a plan; `kernels` are the plan's after the target's rewrites, in launch order. */
export function buildManifestEntry(plan: Plan, kernels: readonly Kernel[]): ManifestEntry {
  return {
    name: plan.entry,
    tensors: plan.tensors.map(({ name, role, subject, storage, axes, dims }) => ({ name, role, subject, storage, axes, dims })),
    dispatches: kernels.map(buildManifestDispatch),
  };
}
