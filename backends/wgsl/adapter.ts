/**
 * Compiler options for one WebGPU device: an artifact for WebGPU's guaranteed limits runs everywhere, one
 * for the limits that a device was opened with has the schedules that its workgroup memory and its
 * subgroups allow, and says in its manifest what it needs.
 */
import type { Machine } from '../../ir/schedule/parameters.ts';
import { machines } from '../machines.ts';
import { defaultWgslTarget, type WgslTarget } from './target.ts';

/** What `compileSpec` takes beside a target to compile for a device. */
export type WgslDeviceOptions = { readonly wgsl: WgslTarget; readonly machine: Machine };

function detail(details: Readonly<Record<string, string | number>>, name: string, least: number): number {
  const value = details[name];
  return typeof value === 'number' ? Math.max(value, least) : least;
}

/**
 * Numbers that a thread keeps in registers, of devices with wide subgroups, which have 255 or so of them (measured on
 * Hopper: backward blocks of four tokens with 176 numbers spill nothing).
 */
const keptNumbers = 176;

/** Options for a device by its `info.details`. */
export function wgslOptionsFor(details: Readonly<Record<string, string | number>>): WgslDeviceOptions {
  const isWide = detail(details, 'subgroupMinSize', 0) >= 32;
  const wgsl: WgslTarget = {
    ...defaultWgslTarget,
    storageBuffers: detail(details, 'maxStorageBuffersPerShaderStage', defaultWgslTarget.storageBuffers),
    sharedBytes: detail(details, 'maxComputeWorkgroupStorageSize', defaultWgslTarget.sharedBytes),
    invocations: detail(details, 'maxComputeInvocationsPerWorkgroup', defaultWgslTarget.invocations),
    subgroups: isWide ? 'at-least-32' : 'none',
  };
  // NVIDIA's Vulkan driver has no more for all workgroups of a processor than it grants one (48 KB); where others have, tables are smaller than need be
  const wide = { shuffleWidth: 32, keptNumbers, residentSharedBytes: wgsl.sharedBytes };
  return { wgsl, machine: { ...machines.wgsl, maximumWorkgroup: wgsl.invocations, sharedBytes: wgsl.sharedBytes, ...(isWide ? wide : {}) } };
}
