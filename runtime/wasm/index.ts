/** The WASM runtime: artifacts of the target `wasm` on the threads of this machine. */
import type { Artifact, StorageName } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { showValue } from '../../support/show-value.ts';
import type { DeviceTensor, ExecutionDevice, PreparedLayer, TensorData } from '../device.ts';
import { checkArtifact } from '../artifact-check.ts';
import { bytesPerElement, checkData, isStorageName } from '../storage.ts';
import { heapStart, workerLimit } from './control.ts';
import { createPool, type KernelFunction, type Pool, type PoolModule, type WorkerHost } from './pool.ts';
import { runEntry } from './run.ts';
import { createSession, type Checks, type Session } from './session.ts';
import { createTensor } from './tensor.ts';
import { findWebAssembly, webAssembly, type WasmInstance, type WasmMemory } from './webassembly.ts';

export type WasmOptions = {
  /** threads beside the calling one; `auto` is one less than the processors, at most 15 */
  readonly workers?: number | 'auto';
  /** budget of all tensors, scratch and modules together; 2 GiB unless told */
  readonly maximumBytes?: number;
  /** `canaries` surrounds every tensor with known numbers and checks them after each run (for tests) */
  readonly checks?: Checks;
};

/** Tensors and modules of a device, for those who watch its memory. */
export type WasmDevice = ExecutionDevice & {
  readonly memoryUse: () => { readonly bytes: number; readonly blocks: number };
};

const pageBytes = 65_536;
const defaultBytes = 2 ** 31;
const largestBytes = 2 ** 32 - 2 * pageBytes;
const mostAutomaticWorkers = 15;

async function findHost(): Promise<WorkerHost> {
  const node = (
    globalThis as unknown as { readonly process?: { readonly versions?: { readonly node?: string } } }
  ).process?.versions?.node;
  const module = node === undefined ? await import('./workers-web.ts') : await import('./workers-node.ts');
  return module.workerHost;
}

function checkOptions(
  { workers = 'auto', maximumBytes = defaultBytes, checks = 'none' }: WasmOptions,
  processors: number,
): Required<WasmOptions> & { workers: number } {
  const count = workers === 'auto' ? Math.min(mostAutomaticWorkers, Math.max(0, processors - 1)) : workers;
  if (!Number.isInteger(count) || count < 0 || count > workerLimit) {
    throw ssmError(
      'SSM6004',
      `\`workers\` must be \`auto\` or an integer from 0 to ${workerLimit}, found ${showValue(workers)}`,
    );
  }
  if (!Number.isInteger(maximumBytes) || maximumBytes < 1 || maximumBytes > largestBytes) {
    throw ssmError(
      'SSM6004',
      `\`maximumBytes\` must be an integer from 1 to ${largestBytes}, found ${showValue(maximumBytes)}`,
    );
  }
  if (checks !== 'none' && checks !== 'canaries')
    throw ssmError('SSM6004', `\`checks\` must be \`none\` or \`canaries\`, found ${showValue(checks)}`);
  return { workers: count, maximumBytes, checks };
}

/** Shared memory with room for the budget (blocks are rounded up, so a little more). */
function createMemory(maximumBytes: number): WasmMemory {
  if (findWebAssembly() === undefined || typeof SharedArrayBuffer === 'undefined') {
    throw ssmError(
      'SSM6002',
      'this engine has no WebAssembly with shared memory',
      'in a browser, serve the page with cross-origin isolation (COOP and COEP headers)',
    );
  }
  const maximum = Math.min(pageBytes, Math.ceil((heapStart + maximumBytes * 1.25) / pageBytes) + 1);
  try {
    return new (webAssembly().Memory)({ initial: 1, maximum, shared: true });
  } catch (error) {
    throw ssmError(
      'SSM6005',
      `no address space for ${maximum * pageBytes} B: ${String(error)}`,
      'open the device with a smaller `maximumBytes`',
    );
  }
}

function kernelsOf(artifact: Artifact, instance: WasmInstance): ReadonlyMap<string, KernelFunction> {
  const kernels = new Map<string, KernelFunction>();
  for (const { kernel } of artifact.manifest.entries.flatMap((entry) => entry.dispatches)) {
    const exported = instance.exports[kernel];
    if (typeof exported !== 'function')
      throw ssmError('SSM7002', `the module has no kernel \`${kernel}\``, 'compile the layer again');
    kernels.set(kernel, exported as KernelFunction);
  }
  return kernels;
}

function scratchBytesOf(instance: WasmInstance): number {
  const value = (instance.exports['scratchBytes'] as { readonly value?: unknown } | undefined)?.value;
  return typeof value === 'number' ? value : 0;
}

/** Bytes between the scratch areas of two workers: a multiple of a cache line. */
const strideOf = (bytes: number): number => Math.ceil(bytes / 64) * 64;

function publishModule(session: Session, id: number, code: Uint8Array, instance: WasmInstance): PoolModule {
  const scratchStride = strideOf(scratchBytesOf(instance));
  const address = session.allocate(code.byteLength, 'kernels');
  session.bytes(address, code.byteLength).set(code);
  try {
    const scratch = session.allocate(scratchStride * (session.pool.workers + 1), 'scratch of the workers');
    return { id, address, bytes: code.byteLength, scratch, scratchStride };
  } catch (error) {
    session.free(address);
    throw error;
  }
}

async function prepareArtifact(session: Session, artifact: Artifact, id: number): Promise<PreparedLayer> {
  session.check();
  const code = checkArtifact(artifact, 'wasm', 'wasm');
  const instance = await webAssembly()
    .compile(code.module)
    .then(
      (module) => new (webAssembly().Instance)(module, { env: { memory: session.memory } }),
      (error: unknown) => {
        throw ssmError(
          'SSM6006',
          `the engine refused the module: ${String(error)}`,
          'WebAssembly SIMD128 and threads are needed',
        );
      },
    );
  session.check();
  const kernels = kernelsOf(artifact, instance);
  const module = publishModule(session, id, code.module, instance);
  await session.pool.load(module);
  let isOpen = true;
  return {
    artifact,
    async run(request) {
      session.check();
      if (!isOpen) throw ssmError('SSM6003', `layer \`${artifact.manifest.layer}\` was used after dispose`);
      return runEntry({ session, artifact, module, kernels }, request);
    },
    [Symbol.dispose]() {
      if (!isOpen) return;
      isOpen = false;
      session.free(module.address);
      session.free(module.scratch);
    },
  };
}

function makeTensor(
  session: Session,
  storage: StorageName,
  data: TensorData | number,
  label: string,
): DeviceTensor {
  session.check();
  if (!isStorageName(storage))
    throw ssmError('SSM6004', `\`storage\` must name a storage type, found ${showValue(storage)}`);
  if (typeof label !== 'string') throw ssmError('SSM6004', '`label` must be a string');
  if (typeof data === 'number') {
    if (!Number.isSafeInteger(data) || data < 0)
      throw ssmError('SSM6004', `\`${label}\` needs a non-negative integer of elements, found ${data}`);
    const zeros = createTensor(session, storage, data, label);
    session.bytes(zeros.address(), data * bytesPerElement(storage)).fill(0);
    return zeros;
  }
  const length: unknown = (data as { readonly length?: unknown } | null)?.length;
  checkData(data, storage, typeof length === 'number' ? length : 0, label);
  const tensor = createTensor(session, storage, data.length, label);
  tensor.write(data);
  return tensor;
}

function makeDevice(session: Session, pool: Pool, host: WorkerHost): WasmDevice {
  let modules = 0;
  let isOpen = true;
  return {
    info: {
      target: 'wasm',
      name: host.name,
      details: { workers: pool.workers, threads: pool.workers + 1, simd: 'simd128' },
    },
    memoryUse: () => ({ bytes: session.used(), blocks: session.blocks() }),
    createTensor: (storage, data, label) => makeTensor(session, storage, data, label),
    prepare: (artifact) => prepareArtifact(session, artifact, (modules += 1)),
    async [Symbol.asyncDispose]() {
      if (!isOpen) return;
      isOpen = false;
      session.close();
      await pool.stop();
    },
  };
}

/**
 * Opens the machine's processors as a device. Throws SSM6002 where there is no shared memory or no
 * worker starts, SSM6004 for wrong options, SSM6005 where the address space is out.
 */
export async function openWasm(options: WasmOptions = {}): Promise<WasmDevice> {
  const host = await findHost();
  const { workers, maximumBytes, checks } = checkOptions(options, host.processors);
  const memory = createMemory(maximumBytes);
  const pool = await createPool(memory, host, workers);
  return makeDevice(createSession({ memory, pool, maximumBytes, checks }), pool, host);
}
