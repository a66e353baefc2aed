/** The WebGPU execution device over an adopted or an acquired GPUDevice. */
import type { Artifact, Manifest, ManifestDispatch, StorageName } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { showValue } from '../../support/show-value.ts';
import type { DeviceInfo, DeviceTensor, ExecutionDevice, PreparedLayer, TensorData } from '../device.ts';
import { checkArtifact } from '../artifact-check.ts';
import { createPipelineCache, type KernelPipeline, type PipelineCache } from './pipelines.ts';
import { runEntry } from './run.ts';
import { createWorkspace } from './workspace.ts';
import { createSession, type Session, type SessionOptions } from './session.ts';
import { checkData, isStorageName } from '../storage.ts';
import { createTensor } from './tensor.ts';

/** What a caller may choose about a device. */
export type WebGpuOptions = {
  /** `device` measures with timestamp queries; it needs the feature */
  readonly timing?: 'device' | 'wall-clock';
  /** a run or read that takes longer rejects; by default they wait for ever */
  readonly watchdogMilliseconds?: number;
  /** binds at most this many bytes of a tensor at once, below what the device allows; larger runs go by windows of the batch */
  readonly bindingBytes?: number;
};

const methods = [
  'createBuffer', 'createShaderModule', 'createComputePipelineAsync', 'createCommandEncoder', 'pushErrorScope',
] as const;

function checkDevice(device: unknown): asserts device is GPUDevice {
  const candidate = device as Partial<GPUDevice> | null | undefined;
  const isDevice = typeof candidate === 'object' && candidate !== null
    && methods.every((name) => typeof candidate[name] === 'function')
    && typeof candidate.lost?.then === 'function' && typeof candidate.limits === 'object';
  if (!isDevice) {
    throw ssmError(
      'SSM6004', '`device` must be a GPUDevice', 'pass what `adapter.requestDevice()` resolved to',
    );
  }
}

function sessionOptions(
  device: GPUDevice, options: WebGpuOptions,
): Pick<SessionOptions, 'timing' | 'watchdogMilliseconds' | 'bindingBytes'> {
  const timing = options.timing ?? 'wall-clock';
  if (timing !== 'device' && timing !== 'wall-clock') {
    throw ssmError('SSM6004', '`timing` must be `device` or `wall-clock`');
  }
  if (timing === 'device' && !device.features.has('timestamp-query')) {
    throw ssmError(
      'SSM5001', 'timing on the device needs the feature `timestamp-query`, which this device was opened without',
      'use timing `wall-clock`',
    );
  }
  const watchdog = options.watchdogMilliseconds ?? null;
  if (watchdog !== null && !(typeof watchdog === 'number' && watchdog > 0)) {
    throw ssmError('SSM6004', '`watchdogMilliseconds` must be a positive number');
  }
  const bindingBytes = options.bindingBytes ?? null;
  if (bindingBytes !== null && !(Number.isSafeInteger(bindingBytes) && bindingBytes > 0)) {
    throw ssmError('SSM6004', '`bindingBytes` must be a positive integer');
  }
  return { timing, watchdogMilliseconds: watchdog, bindingBytes };
}

function subgroupMinSize(device: GPUDevice): number {
  return device.features.has('subgroups') ? (device.adapterInfo.subgroupMinSize ?? 0) : 0;
}

function describe(device: GPUDevice): DeviceInfo {
  const { vendor, architecture, description } = device.adapterInfo;
  const { limits } = device;
  return {
    target: 'wgsl',
    name: description !== '' ? description : `${vendor} ${architecture}`.trim(),
    details: {
      vendor, architecture,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      subgroupMinSize: subgroupMinSize(device),
    },
  };
}

function limitOf(device: GPUDevice, name: string): number | undefined {
  return (device.limits as unknown as Readonly<Record<string, number | undefined>>)[name];
}

/** Throws SSM5001 with both numbers when the device was opened with less than the artifact needs. */
function checkRequirements(manifest: Manifest, device: GPUDevice): void {
  for (const [name, needed] of Object.entries(manifest.requiredLimits)) {
    const granted = name === 'subgroupMinSize' ? subgroupMinSize(device) : limitOf(device, name);
    if (granted === undefined || granted < needed) {
      throw ssmError('SSM5001', `layer \`${manifest.layer}\` needs \`${name}\` of ${needed}; this device allows ${granted ?? 0}`,
        'pass `requiredFor(manifest)` to `requestDevice`');
    }
  }
  for (const feature of manifest.requiredFeatures) {
    if (!device.features.has(feature)) {
      throw ssmError('SSM5001', `layer \`${manifest.layer}\` needs the feature \`${feature}\`, which this device was opened without`,
        'pass `requiredFor(manifest)` to `requestDevice`');
    }
  }
}

async function compileKernels(
  cache: PipelineCache, artifact: Artifact, code: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, KernelPipeline>> {
  const { manifest } = artifact;
  const dispatches = manifest.entries.flatMap((entry) => entry.dispatches);
  const byKernel = new Map<string, ManifestDispatch>(dispatches.map((each) => [each.kernel, each]));
  const compiled = await Promise.allSettled([...byKernel].map(async ([kernel, dispatch]) => {
    const text = code.get(kernel);
    if (typeof text !== 'string') throw ssmError('SSM6004', `the artifact has no code for kernel \`${kernel}\``);
    return [kernel, await cache.get(text, dispatch, `ssm/${manifest.layer}/${kernel}`)] as const;
  }));
  const failed = compiled.find((each) => each.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return new Map(compiled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])));
}

async function prepare(session: Session, cache: PipelineCache, artifact: Artifact): Promise<PreparedLayer> {
  session.check();
  const { kernels: code } = checkArtifact(artifact, 'wgsl', 'text');
  checkRequirements(artifact.manifest, session.device);
  const pipelines = await compileKernels(cache, artifact, code);
  const workspace = createWorkspace(session);
  let disposed = false;
  return {
    artifact,
    async run(request) {
      if (disposed) throw ssmError('SSM6003', `layer \`${artifact.manifest.layer}\` was used after dispose`);
      return runEntry({ session, manifest: artifact.manifest, pipelines, workspace }, request);
    },
    [Symbol.dispose]() {
      disposed = true;
      workspace.dispose();
    },
  };
}

function createHostTensor(
  session: Session, storage: StorageName, data: TensorData | number, label: string,
): DeviceTensor {
  session.check();
  if (!isStorageName(storage)) throw ssmError('SSM6004', `${showValue(storage)} is not a storage type`);
  if (typeof label !== 'string') throw ssmError('SSM6004', '`label` must be a string');
  const length: unknown = typeof data === 'number' ? data : data?.length;
  if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 0) {
    throw ssmError('SSM6004', `\`${label}\` needs numbers or a non-negative integer count`);
  }
  if (typeof data === 'number') return createTensor(session, storage, length, label);
  checkData(data, storage, length, label);
  const tensor = createTensor(session, storage, length, label);
  try {
    tensor.write(data);
    return tensor;
  } catch (error) {
    tensor[Symbol.dispose]();
    throw error;
  }
}

/** A device over a checked session; `acquire` and `openDawn` give theirs up with more than dispose. */
export function deviceOver(
  device: GPUDevice, ownership: SessionOptions['ownership'], options: WebGpuOptions, release: () => void = () => undefined,
): ExecutionDevice {
  checkDevice(device);
  const session = createSession(device, { ownership, release, ...sessionOptions(device, options) });
  const cache = createPipelineCache(session);
  return {
    info: describe(device),
    createTensor: (storage, data, label) => createHostTensor(session, storage, data, label),
    prepare: (artifact) => prepare(session, cache, artifact),
    async [Symbol.asyncDispose]() {
      session.dispose();
    },
  };
}

/** Uses the caller's GPUDevice. It is never destroyed; tensors made through it end with dispose. */
export function fromDevice(device: GPUDevice, options: WebGpuOptions = {}): ExecutionDevice {
  return deviceOver(device, 'adopted', options);
}
