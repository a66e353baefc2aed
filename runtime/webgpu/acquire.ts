/** Opens a GPUDevice of its own with the limits and features that layers profit from. */
import type { Manifest } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import type { ExecutionDevice } from '../device.ts';
import { deviceOver, type WebGpuOptions } from './device.ts';
import { firstLine } from './session.ts';

export type AcquireOptions = WebGpuOptions & {
  readonly powerPreference?: GPUPowerPreference;
};

/** Limits that are asked for at the adapter's maximum. */
const raisedLimits = [
  'maxBufferSize', 'maxStorageBufferBindingSize', 'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup', 'maxComputeWorkgroupSizeX',
] as const;

const usefulFeatures = ['subgroups', 'timestamp-query', 'shader-f16'] as const;

/** What the user's own `requestDevice` must ask for so that the layer runs. */
export function requiredFor(manifest: Manifest): GPUDeviceDescriptor {
  const limits = Object.entries(manifest.requiredLimits).filter(([name]) => name !== 'subgroupMinSize');
  return {
    requiredLimits: Object.fromEntries(limits),
    requiredFeatures: manifest.requiredFeatures.map((each) => each as GPUFeatureName),
  };
}

/** Dawn in Node rejects where browsers give null. */
async function requestAdapter(gpu: GPU, options: GPURequestAdapterOptions): Promise<GPUAdapter> {
  let reason = '';
  const adapter = await gpu.requestAdapter(options).catch((error: unknown) => {
    reason = `: ${(error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').slice(0, 300)}`;
    return null;
  });
  if (adapter !== null) return adapter;
  throw ssmError(
    'SSM6002', `WebGPU found no adapter${reason}`,
    'install a GPU driver (on Linux also libvulkan1), or use the target `wasm`',
  );
}

/** Requests an adapter and a device and owns both; `release` runs after dispose. */
export async function acquireFrom(
  gpu: GPU, options: AcquireOptions, release: () => void,
): Promise<ExecutionDevice> {
  if (typeof gpu !== 'object' || gpu === null || typeof gpu.requestAdapter !== 'function') {
    throw ssmError('SSM6002', 'there is no WebGPU here', 'pass `navigator.gpu`, or use another target');
  }
  const wanted = options.powerPreference;
  const adapter = await requestAdapter(gpu, wanted === undefined ? {} : { powerPreference: wanted });
  const requiredLimits = Object.fromEntries(raisedLimits.map((name) => [name, adapter.limits[name]]));
  const requiredFeatures = usefulFeatures.filter((each) => adapter.features.has(each));
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({ label: 'ssm', requiredLimits, requiredFeatures });
  } catch (error) {
    throw ssmError('SSM6002', `the adapter gave no device: ${firstLine(String(error))}`);
  }
  // Dawn ends the process when its instance is collected under a living device: the device holds it
  let instance: GPU | null = gpu;
  return deviceOver(device, 'owned', options, () => {
    if (instance === null) return;
    instance = null;
    release();
  });
}

/** Opens a device on `navigator.gpu` or the like, destroyed at dispose. */
export function acquire(gpu: GPU, options: AcquireOptions = {}): Promise<ExecutionDevice> {
  return acquireFrom(gpu, options, () => undefined);
}
