/**
 * WebGPU in Node through the optional package `webgpu` (Dawn). Its instance keeps the process alive
 * while it is reachable, so it is held by the device and dropped at dispose.
 */
import { ssmError } from '../../support/diagnostic.ts';
import type { ExecutionDevice } from '../device.ts';
import { acquireFrom, type AcquireOptions } from './acquire.ts';
import { firstLine } from './session.ts';

export type DawnOptions = AcquireOptions & {
  /** part of an adapter's name, as Dawn's `adapter=` option takes it */
  readonly adapter?: string;
  /** part of a backend's name: `vulkan`, `metal`, `d3d12` */
  readonly backend?: string;
};

type DawnModule = { readonly create: (options: readonly string[]) => GPU };

/** A variable, so that bundlers for browsers leave the import alone. */
const packageName: string = 'webgpu';

async function loadDawn(): Promise<DawnModule> {
  try {
    return (await import(/* @vite-ignore */ packageName)) as DawnModule;
  } catch (error) {
    throw ssmError(
      'SSM6002', `the package \`webgpu\` does not load: ${firstLine(String(error))}`,
      'run `npm install webgpu`, or use the target `wasm`',
    );
  }
}

function dawnOption(name: 'adapter' | 'backend', value: unknown): readonly string[] {
  if (value === undefined) return [];
  if (typeof value !== 'string' || value === '' || !/^[\x20-\x7e]+$/.test(value)) {
    throw ssmError('SSM6004', `\`${name}\` must be printable text`);
  }
  return [`${name}=${value}`];
}

/** Opens a device on Dawn's GPU instance. */
export async function openDawn(options: DawnOptions = {}): Promise<ExecutionDevice> {
  const flags = [...dawnOption('adapter', options.adapter), ...dawnOption('backend', options.backend)];
  const dawn = await loadDawn();
  const held: { gpu: GPU | null } = { gpu: dawn.create(flags) };
  const gpu = held.gpu;
  if (gpu === null) throw ssmError('SSM6002', 'the package `webgpu` gave no instance');
  return acquireFrom(gpu, options, () => {
    held.gpu = null;
  });
}
