/** The devices of this machine, opened one after the other, and why the others are missing. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, join } from 'node:path';
import type { TargetName } from '../backends/artifact.ts';
import type { ExecutionDevice } from '../runtime/device.ts';
import { openWasm } from '../runtime/wasm/index.ts';
import { openDawn } from '../runtime/webgpu/node.ts';
import { SsmError } from '../support/diagnostic.ts';
import type { CommandEnvironment } from './environment.ts';
import { useSoftwareVulkan } from './software-vulkan.ts';

export type DeviceName = 'wasm' | 'webgpu';

/** The target whose artifacts a device runs. */
export const targetOfDevice: Readonly<Record<DeviceName, TargetName>> = { wasm: 'wasm', webgpu: 'wgsl' };

export type OpenedDevice =
  | { readonly isPresent: true; readonly device: ExecutionDevice }
  | { readonly isPresent: false; readonly error: SsmError };

/** Opens a device; absence is an answer, other failures are thrown. The caller disposes it. */
export async function openDevice(name: DeviceName, environment: CommandEnvironment): Promise<OpenedDevice> {
  try {
    if (name === 'wasm') return { isPresent: true, device: await openWasm({ workers: Math.max(0, availableParallelism() - 1) }) };
    useSoftwareVulkan(environment);
    return { isPresent: true, device: await openDawn() };
  } catch (error) {
    if (error instanceof SsmError && error.code === 'SSM6002') return { isPresent: false, error };
    throw error;
  }
}

export type CudaFacts = { readonly nvcc: string | null; readonly driver: string | null };

const driverPlaces = ['/usr/lib/x86_64-linux-gnu/libcuda.so.1', '/usr/lib64/libcuda.so.1', '/usr/lib/wsl/lib/libcuda.so.1', '/usr/lib/aarch64-linux-gnu/libcuda.so.1'];

/** Whether CUDA C++ could be compiled and run here. Nothing is loaded. */
export function findCuda(environment: CommandEnvironment): CudaFacts {
  const folders = (environment.variables['PATH'] ?? '').split(delimiter).filter((each) => each !== '');
  const name = process.platform === 'win32' ? 'nvcc.exe' : 'nvcc';
  const nvcc = folders.map((folder) => join(folder, name)).find((each) => existsSync(each)) ?? null;
  const driver = driverPlaces.find((each) => existsSync(each)) ?? null;
  return { nvcc, driver };
}
