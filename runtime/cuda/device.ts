/** CUDA devices: opening one, preparing layers on it. */
import type { Artifact, Manifest, ManifestDispatch, StorageName } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import type { DeviceInfo, DeviceTensor, ExecutionDevice, PreparedLayer, RunRequest, TensorData } from '../device.ts';
import { checkArtifact } from '../artifact-check.ts';
import { checkData, isStorageName } from '../storage.ts';
import { createCubinCache, defaultCacheDirectory } from './cache.ts';
import { guarded } from './failures.ts';
import { versionText } from './format.ts';
import { captureRuns, type CudaGraph } from './graph.ts';
import { createKernelStore, type KernelSource, type KernelStore, type LoadedKernel } from './kernels.ts';
import { loadCompiler, loadDriver, type LoadedCompiler, type LoadedDriver } from './loader.ts';
import type { NativeDevice, NativeMemoryUse } from './native.ts';
import { createPlanCache, dynamicSharedBytes } from './plan.ts';
import { createEntryShapes } from './request.ts';
import { runEntry, type LayerContext } from './run.ts';
import { createSession, type Session } from './session.ts';
import { createTensor } from './tensor.ts';

export type CudaOptions = {
  /** which of the driver's devices, counted from 0 as CUDA_VISIBLE_DEVICES leaves them */
  readonly device?: number;
  /** `device` (unless told) measures with events around the launches */
  readonly timing?: 'device' | 'wall-clock';
  /** where machine code is kept; null keeps none. By default `$XDG_CACHE_HOME/statefuse/cuda` */
  readonly cacheDirectory?: string | null;
  /** a run or read that takes longer rejects; by default they wait for ever */
  readonly watchdogMilliseconds?: number;
};

export type CudaPreparedLayer = PreparedLayer & {
  /** records runs on tensors of the device as one graph, to be replayed; who captures disposes it */
  capture(requests: readonly RunRequest[]): CudaGraph;
};

export type CudaDevice = Omit<ExecutionDevice, 'prepare'> & {
  prepare(artifact: Artifact): Promise<CudaPreparedLayer>;
  readonly memoryUse: () => NativeMemoryUse;
  /** gives memory that is kept for later tensors back to the driver; waits for work in flight */
  readonly trim: () => void;
};

const oldestCompute = 8;

function architectureOf({ computeMajor, computeMinor }: NativeDevice): string {
  return `${computeMajor}${computeMinor}`;
}

function describe(device: NativeDevice, driver: LoadedDriver, compiler: LoadedCompiler | null): DeviceInfo {
  return {
    target: 'cuda', name: device.name,
    details: {
      compute: `${device.computeMajor}.${device.computeMinor}`, multiprocessors: device.multiprocessors,
      memoryGiB: Number((device.totalBytes / 2 ** 30).toFixed(1)), sharedBytes: device.sharedBytes,
      driver: versionText(driver.version), ...(compiler === null ? {} : { nvrtc: compiler.version }),
    },
  };
}

/** Every device of the driver. Throws SSM6002, SSM6007 or SSM6008 with the reason where there is none. */
export function listCudaDevices(): readonly DeviceInfo[] {
  const driver = loadDriver();
  const compiler = loadCompiler(driver);
  return Array.from({ length: driver.devices }, (_, ordinal) =>
    describe(guarded(`device ${ordinal}`, () => driver.native.describeDevice(driver.paths, ordinal)), driver, compiler));
}

function checkOptions(options: CudaOptions): Required<Omit<CudaOptions, 'watchdogMilliseconds'>> & { readonly watchdogMilliseconds: number | null } {
  const { device = 0, timing = 'device', cacheDirectory = defaultCacheDirectory(), watchdogMilliseconds = null } = options;
  if (!Number.isSafeInteger(device) || device < 0) throw ssmError('SSM6004', `\`device\` must be a non-negative integer, found ${String(device)}`);
  if (timing !== 'device' && timing !== 'wall-clock') throw ssmError('SSM6004', '`timing` must be `device` or `wall-clock`');
  if (cacheDirectory !== null && (typeof cacheDirectory !== 'string' || cacheDirectory === '' || cacheDirectory.includes('\0'))) throw ssmError('SSM6004', '`cacheDirectory` must be a path or null');
  if (watchdogMilliseconds !== null && !(typeof watchdogMilliseconds === 'number' && watchdogMilliseconds > 0)) throw ssmError('SSM6004', '`watchdogMilliseconds` must be a positive number');
  return { device, timing, cacheDirectory, watchdogMilliseconds };
}

function checkDispatch({ kernel, sharedBytes, workgroupSize }: ManifestDispatch, device: NativeDevice): void {
  if (sharedBytes > device.sharedBytes) {
    throw ssmError('SSM5001', `kernel \`${kernel}\` needs ${sharedBytes} B of shared memory; this device allows ${device.sharedBytes}`, 'use a smaller chunk or split the state');
  }
  if (workgroupSize > device.threadsPerBlock) {
    throw ssmError('SSM5001', `kernel \`${kernel}\` has ${workgroupSize} threads in a block; this device allows ${device.threadsPerBlock}`);
  }
}

/** `sm_90`, or what a required feature such as `sm_90a` says where the device is of that generation. */
function checkRequirements(manifest: Manifest, device: NativeDevice): string {
  const own = architectureOf(device);
  if (device.computeMajor < oldestCompute) {
    throw ssmError('SSM5001', `layer \`${manifest.layer}\` needs compute capability ${oldestCompute}.0; this device has ${device.computeMajor}.${device.computeMinor}`, 'use the target `wgsl`');
  }
  let architecture = `sm_${own}`;
  for (const feature of manifest.requiredFeatures) {
    const [, number] = /^sm_(\d+)[af]?$/.exec(feature) ?? [];
    if (number !== own) throw ssmError('SSM5001', `layer \`${manifest.layer}\` needs \`${feature}\`; this device is \`sm_${own}\``, 'compile the layer for this device');
    architecture = feature;
  }
  for (const dispatch of manifest.entries.flatMap((each) => each.dispatches)) checkDispatch(dispatch, device);
  return architecture;
}

function sourcesOf({ manifest }: Artifact, texts: ReadonlyMap<string, string>, architecture: string): readonly KernelSource[] {
  const dispatches = new Map(manifest.entries.flatMap((each) => each.dispatches).map((each) => [each.kernel, each]));
  return [...dispatches.values()].map(({ kernel, sharedBytes }) => {
    const text = texts.get(kernel);
    if (typeof text !== 'string') throw ssmError('SSM6004', `the artifact has no code for kernel \`${kernel}\``);
    return { name: kernel, text, dynamicSharedBytes: dynamicSharedBytes(sharedBytes), architecture };
  });
}

/** All kernels, or none and the first error. */
async function acquireKernels(store: KernelStore, sources: readonly KernelSource[]): Promise<readonly LoadedKernel[]> {
  const settled = await Promise.allSettled(sources.map((each) => store.acquire(each)));
  const loaded = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  const failed = settled.find((each) => each.status === 'rejected');
  if (failed === undefined) return loaded;
  loaded.forEach((each) => each.release());
  throw failed.reason;
}

async function prepare(session: Session, store: KernelStore, artifact: Artifact): Promise<CudaPreparedLayer> {
  session.check();
  const { kernels: texts } = checkArtifact(artifact, 'cuda', 'text');
  const { manifest } = artifact;
  if (manifest.entries.some((each) => (each.arenas ?? []).length > 0)) throw ssmError('SSM6004', 'this device runs no artifacts with arenas');
  const sources = sourcesOf(artifact, texts, checkRequirements(manifest, session.device));
  const loaded = await acquireKernels(store, sources);
  const ids = new Map(sources.flatMap(({ name }, at) => {
    const kernel = loaded[at];
    return kernel === undefined ? [] : [[name, kernel.id] as const];
  }));
  const context: LayerContext = { session, manifest, plans: createPlanCache(session, manifest.layer, ids), shapes: createEntryShapes(manifest) };
  let isOpen = true;
  const check = (): void => {
    session.check();
    if (!isOpen) throw ssmError('SSM6003', `layer \`${manifest.layer}\` was used after dispose`);
  };
  return {
    artifact,
    async run(request) {
      check();
      return runEntry(context, request);
    },
    capture(requests) {
      check();
      return captureRuns(context, requests, check);
    },
    [Symbol.dispose]() {
      if (!isOpen) return;
      isOpen = false;
      context.plans.dispose();
      loaded.forEach((each) => each.release());
    },
  };
}

function createHostTensor(session: Session, storage: StorageName, data: TensorData | number, label: string): DeviceTensor {
  session.check();
  if (!isStorageName(storage)) throw ssmError('SSM6004', `\`${String(storage)}\` is not a storage type`);
  if (typeof label !== 'string') throw ssmError('SSM6004', '`label` must be a string');
  const length: unknown = typeof data === 'number' ? data : data?.length;
  if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 0) {
    throw ssmError('SSM6004', `\`${label}\` needs numbers or a non-negative integer count`);
  }
  if (typeof data !== 'number') checkData(data, storage, length, label);
  const tensor = createTensor(session, storage, length, label);
  try {
    if (typeof data !== 'number') tensor.write(data);
    else if (length > 0) session.call(`\`${label}\``, (native) => native.fill(tensor.block(), 0, tensor.bytes));
  } catch (error) {
    tensor[Symbol.dispose]();
    throw error;
  }
  return tensor;
}

/**
 * Opens an NVIDIA GPU. Throws SSM6002 without driver or device, SSM6007 without addon or NVRTC, SSM6008
 * for an old driver, SSM6004 for wrong options.
 */
export async function openCuda(options: CudaOptions = {}): Promise<CudaDevice> {
  const { device: ordinal, timing, cacheDirectory, watchdogMilliseconds } = checkOptions(options);
  const driver = loadDriver();
  if (ordinal >= driver.devices) {
    throw ssmError('SSM6002', `there is no CUDA device ${ordinal}; the driver has ${driver.devices}`, 'see `statefuse devices` and CUDA_VISIBLE_DEVICES');
  }
  const compiler = loadCompiler(driver);
  const device = guarded(`device ${ordinal}`, () => driver.native.describeDevice(driver.paths, ordinal));
  const native = guarded(`opening device ${ordinal}`, () => new driver.native.Context(driver.paths, ordinal));
  const session = createSession({ native, driver, compiler, device, options: { timing, watchdogMilliseconds } });
  const store = createKernelStore(session, createCubinCache(cacheDirectory));
  return {
    info: describe(device, driver, compiler),
    createTensor: (storage, data, label) => createHostTensor(session, storage, data, label),
    prepare: (artifact) => prepare(session, store, artifact),
    memoryUse: () => session.call('the memory in use', (each) => each.memoryUse()),
    trim: () => session.call('giving memory back', (each) => each.trim()),
    [Symbol.asyncDispose]: () => session.dispose(),
  };
}
