/**
 * An entry at given sizes with everything worked out but the addresses: grids, uniforms, bytes of every
 * pointer, places in one block of scratch memory. Made once per sizes, kept by the addon.
 */
import type { ManifestDispatch, ManifestEntry } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';
import { bytesPerElement } from '../storage.ts';
import type { NativeDevice, NativePlan } from './native.ts';
import { sizedTensors } from './request.ts';
import type { Session } from './session.ts';

export type EntryPlan = {
  readonly id: number;
  /** names of the tensors whose blocks a launch takes, in order; the block of scratch memory follows */
  readonly sources: readonly string[];
  readonly scratchBytes: number;
};

export type PlanCache = {
  readonly get: (entry: ManifestEntry, sizes: RunSizes) => EntryPlan;
  readonly dispose: () => void;
};

const scratchAlignment = 256;
/** Shared memory that kernels declare themselves; more of it they take from the launch. */
const staticSharedBytes = 48 * 1024;
const keptPlans = 32;

/** Bytes of shared memory that a launch gives a kernel. */
export function dynamicSharedBytes(sharedBytes: number): number {
  return sharedBytes > staticSharedBytes ? sharedBytes : 0;
}

function checkInteger(value: number, what: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= 2 ** 31 - 1) return value;
  throw ssmError('SSM5002', `${what} is ${value}, outside the range of 32-bit indices`, 'use a smaller batch');
}

function gridOf(dispatch: ManifestDispatch, sizes: RunSizes, device: NativeDevice): Uint32Array {
  const limits = [device.gridX, device.gridY, device.gridZ];
  return Uint32Array.from(dispatch.grid.map((size, dimension) => {
    const blocks = evaluateSize(size, sizes);
    const limit = limits[dimension] ?? 0;
    if (blocks <= limit) return checkInteger(blocks, `the grid of kernel \`${dispatch.kernel}\``);
    throw ssmError('SSM5001', `kernel \`${dispatch.kernel}\` needs ${blocks} blocks in ${'xyz'[dimension] ?? ''}; this device allows ${limit}`, 'use a smaller batch');
  }));
}

function uniformsOf(dispatch: ManifestDispatch, sizes: RunSizes): Int32Array {
  const values = Int32Array.from(dispatch.uniforms.map(({ name, value }) =>
    checkInteger(evaluateSize(value, sizes), `\`${name}\` of kernel \`${dispatch.kernel}\``)));
  for (const at of dispatch.gridBase ?? []) if (at !== null) values[at] = 0;
  return values;
}

/** The functions of kernels by name. */
export type KernelIds = ReadonlyMap<string, number>;

function describePlan(
  entry: ManifestEntry, sizes: RunSizes, kernels: KernelIds, device: NativeDevice,
): NativePlan & Pick<EntryPlan, 'scratchBytes'> & { readonly names: readonly string[] } {
  const tensors = sizedTensors(entry, sizes);
  const names = tensors.filter(({ tensor }) => tensor.role !== 'scratch').map(({ tensor }) => tensor.name);
  const slots = new Float64Array(tensors.length * 3);
  let scratchBytes = 0;
  tensors.forEach(({ tensor, length }, at) => {
    const bytes = length * bytesPerElement(tensor.storage);
    const isScratch = tensor.role === 'scratch';
    slots.set([isScratch ? names.length : names.indexOf(tensor.name), isScratch ? scratchBytes : 0, bytes], at * 3);
    if (isScratch) scratchBytes += Math.ceil(bytes / scratchAlignment) * scratchAlignment;
  });
  const slotOf = new Map(tensors.map(({ tensor }, at) => [tensor.name, at]));
  const launches = entry.dispatches.map((dispatch) => ({
    function: required(kernels.get(dispatch.kernel), `kernel ${dispatch.kernel}`),
    grid: gridOf(dispatch, sizes, device), block: dispatch.workgroupSize, sharedBytes: dynamicSharedBytes(dispatch.sharedBytes),
    slots: Uint32Array.from(dispatch.bindings.map(({ tensor }) => required(slotOf.get(tensor), `tensor ${tensor}`))),
    uniforms: uniformsOf(dispatch, sizes),
  })).filter(({ grid }) => grid.every((each) => each > 0));
  return { sources: names.length + 1, slots, launches, scratchBytes, names };
}

/** Plans of one prepared layer; the least recently used go first. */
export function createPlanCache(session: Session, layer: string, kernels: KernelIds): PlanCache {
  const plans = new Map<string, EntryPlan>();
  const drop = ({ id }: EntryPlan): void => session.giveBack((native) => native.dropPlan(id));
  const make = (entry: ManifestEntry, sizes: RunSizes): EntryPlan => {
    const { names, scratchBytes, ...described } = describePlan(entry, sizes, kernels, session.device);
    const id = session.call(`entry \`${entry.name}\` of layer \`${layer}\``, (native) => native.makePlan(described));
    return { id, sources: names, scratchBytes };
  };
  return {
    get(entry, sizes) {
      const key = `${entry.name} ${sizes.batch} ${sizes.length}`;
      const plan = plans.get(key) ?? make(entry, sizes);
      plans.delete(key);
      plans.set(key, plan);
      const [oldest] = plans;
      if (plans.size > keptPlans && oldest !== undefined) {
        plans.delete(oldest[0]);
        drop(oldest[1]);
      }
      return plan;
    },
    dispose() {
      plans.forEach(drop);
      plans.clear();
    },
  };
}
