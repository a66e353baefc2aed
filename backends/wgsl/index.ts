/** The WGSL back end: plans in, an artifact with one WGSL module per kernel out. */
import type { Kernel } from '../../ir/kernel/nodes.ts';
import { visitExpressions } from '../../ir/kernel/walk.ts';
import type { Plan } from '../../ir/plan.ts';
import type { Artifact, ManifestEntry } from '../artifact.ts';
import {
  buildManifestDispatch, buildManifestEntry, nameKernels, sharedBytesOf, type ManifestHeader,
} from '../manifest.ts';
import { assignBindings } from './raise/assign-bindings.ts';
import { raiseLargeGrid } from './raise/raise-large-grid.ts';
import { checkStorage, raiseKernel } from './raise.ts';
import { printWgsl } from './print.ts';
import { defaultWgslTarget, type WgslTarget } from './target.ts';

export { defaultWgslTarget, type WgslTarget } from './target.ts';

type EmittedKernel = Kernel & { /** a tensor of the plan is read and written in this kernel */ readonly readsBack: boolean };
type EmittedEntry = { readonly entry: ManifestEntry; readonly kernels: readonly EmittedKernel[] };

function emitEntry(plan: Plan, target: WgslTarget): EmittedEntry {
  plan.kernels.forEach(checkStorage);
  const readsBack = plan.kernels.map((kernel) => kernel.buffers.some((each) => each.access === 'read-write'));
  const { kernels: bound, arenas } = assignBindings(plan, target.storageBuffers);
  const windowed = bound.map((kernel) => raiseLargeGrid(kernel, target.workgroups));
  const raised = windowed.map(({ kernel, gridBase }) => ({ kernel: raiseKernel(kernel, target), gridBase }));
  const entry = buildManifestEntry(plan, []);
  const dispatches = raised.map(({ kernel, gridBase }) => {
    const dispatch = buildManifestDispatch(kernel);
    return gridBase.every((each) => each === null) ? dispatch : { ...dispatch, gridBase };
  });
  return {
    entry: { ...entry, dispatches, ...(arenas.length > 0 ? { arenas } : {}) },
    kernels: raised.map(({ kernel }, at) => ({ ...kernel, readsBack: readsBack[at] === true })),
  };
}

/** Limits above WebGPU's defaults that some kernel needs, by their WebGPU names. */
function requiredLimits(kernels: readonly Kernel[]): Readonly<Record<string, number>> {
  const most = (of: (kernel: Kernel) => number): number => kernels.reduce((so, each) => Math.max(so, of(each)), 0);
  const needs: readonly (readonly [string, number, number])[] = [
    ['maxStorageBuffersPerShaderStage', most((each) => each.buffers.length), defaultWgslTarget.storageBuffers],
    ['maxComputeWorkgroupStorageSize', most(sharedBytesOf), defaultWgslTarget.sharedBytes],
    ['maxComputeInvocationsPerWorkgroup', most((each) => each.workgroupSize), defaultWgslTarget.invocations],
    ['maxComputeWorkgroupSizeX', most((each) => each.workgroupSize), defaultWgslTarget.invocations],
  ];
  return Object.fromEntries(needs.filter(([, need, granted]) => need > granted).map(([name, need]) => [name, need]));
}

function usesSubgroups(kernels: readonly Kernel[]): boolean {
  let found = false;
  for (const kernel of kernels) {
    visitExpressions(kernel.body, (expression) => {
      found ||= expression.kind === 'shuffle-xor';
    });
  }
  return found;
}

/** Equal texts under one name: a device compiles each once. Arenas differ by entry, so this comes after the rewrites. */
function shareKernels(entries: readonly ReturnType<typeof emitEntry>[]): readonly ReturnType<typeof emitEntry>[] {
  const names = new Map<string, string>();
  return entries.map(({ entry, kernels }) => {
    const renamed = new Map(kernels.map((kernel) => {
      const content = printWgsl({ ...kernel, name: 'same' }, [], kernel.readsBack);
      const name = names.get(content) ?? kernel.name;
      names.set(content, name);
      return [kernel.name, name] as const;
    }));
    const nameOf = (name: string): string => renamed.get(name) ?? name;
    return {
      entry: { ...entry, dispatches: entry.dispatches.map((each) => ({ ...each, kernel: nameOf(each.kernel) })) },
      kernels: kernels.map((kernel) => ({ ...kernel, name: nameOf(kernel.name) })),
    };
  });
}

/** Builds the artifact of a layer for WebGPU. Throws SSM5001 or SSM5003 where the target cannot. */
export function emitWgsl(
  plans: readonly Plan[], header: ManifestHeader, target: WgslTarget = defaultWgslTarget,
): Artifact {
  const emitted = shareKernels(nameKernels(plans, 'distinct').map((plan) => emitEntry(plan, target)));
  const kernels = emitted.flatMap((each) => each.kernels);
  const notes = [
    `layer ${header.layer}, mode ${header.mode}, made by ${header.compiler}`, `content ${header.contentHash}`,
  ];
  const subgroups = usesSubgroups(kernels);
  return {
    manifest: {
      schema: 'statefuse-manifest',
      version: 1,
      target: 'wgsl',
      ...header,
      entries: emitted.map((each) => each.entry),
      requiredLimits: { ...requiredLimits(kernels), ...(subgroups ? { subgroupMinSize: 32 } : {}) },
      requiredFeatures: subgroups ? ['subgroups'] : [],
    },
    code: { kind: 'text', kernels: new Map(kernels.map((each) => [each.name, printWgsl(each, notes, each.readsBack)])) },
  };
}
