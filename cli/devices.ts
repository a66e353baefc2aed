/** The devices of this machine, opened one after the other, and why the others are missing. */
import { availableParallelism } from 'node:os';
import type { TargetName } from '../backends/artifact.ts';
import { openCuda } from '../runtime/cuda/index.ts';
import type { ExecutionDevice } from '../runtime/device.ts';
import { openWasm } from '../runtime/wasm/index.ts';
import { openDawn } from '../runtime/webgpu/node.ts';
import { SsmError } from '../support/diagnostic.ts';
import type { CommandEnvironment } from './environment.ts';
import { useSoftwareVulkan } from './software-vulkan.ts';

export type DeviceName = 'wasm' | 'webgpu' | 'cuda';

export const deviceNames: readonly DeviceName[] = ['wasm', 'webgpu', 'cuda'];

/** The target whose artifacts a device runs. */
export const targetOfDevice: Readonly<Record<DeviceName, TargetName>> = { wasm: 'wasm', webgpu: 'wgsl', cuda: 'cuda' };

export type OpenedDevice =
  | { readonly isPresent: true; readonly device: ExecutionDevice }
  | { readonly isPresent: false; readonly error: SsmError };

/** No such device, a part of its runtime missing, a driver too old: all mean that it cannot be used here. */
const absence: ReadonlySet<string> = new Set(['SSM6002', 'SSM6007', 'SSM6008']);

async function open(name: DeviceName, environment: CommandEnvironment): Promise<ExecutionDevice> {
  switch (name) {
    case 'wasm':
      return openWasm({ workers: Math.max(0, availableParallelism() - 1) });
    case 'webgpu':
      useSoftwareVulkan(environment);
      return openDawn();
    case 'cuda':
      return openCuda();
    default:
      return name satisfies never;
  }
}

/** Opens a device; absence is an answer, other failures are thrown. The caller disposes it. */
export async function openDevice(name: DeviceName, environment: CommandEnvironment): Promise<OpenedDevice> {
  try {
    return { isPresent: true, device: await open(name, environment) };
  } catch (error) {
    if (error instanceof SsmError && absence.has(error.code)) return { isPresent: false, error };
    throw error;
  }
}
