/**
 * The threads that execute kernels: the calling one and a number of workers that wait on the shared
 * memory, so that a dispatch costs microseconds. `control.ts` describes the protocol. Groups are
 * independent and each is computed by one thread, so results do not depend on who computes what.
 */
import { ssmError } from '../../support/diagnostic.ts';
import {
  argumentAddress,
  argumentCapacity,
  controlBytes,
  controlWords,
  nameAddress,
  nameCapacity,
} from './control.ts';
import type { WasmMemory } from './webassembly.ts';

export type WorkerHandle = { stop(): Promise<void> };

export type WorkerHost = {
  readonly processors: number;
  readonly name: string;
  readonly start: (memory: WasmMemory, number: number, failed: (message: string) => void) => WorkerHandle;
};

/** A kernel's function in the calling thread's instance. */
export type KernelFunction = (
  firstGroup: number,
  endGroup: number,
  argumentBlock: number,
  scratch: number,
) => void;

/** A loaded module as the workers find it. */
export type PoolModule = {
  readonly id: number;
  readonly address: number;
  readonly bytes: number;
  readonly scratch: number;
  readonly scratchStride: number;
};

export type Job = {
  readonly module: PoolModule;
  readonly name: string;
  readonly kernel: KernelFunction;
  readonly groups: number;
  /** i32 words: grid x and y, addresses, uniforms */
  readonly words: readonly number[];
};

export type Pool = {
  readonly workers: number;
  /** executes a job on all threads; returns when it is done */
  dispatch(job: Job): void;
  /** lets the workers compile a module; returns when they have, or after a while */
  load(module: PoolModule): Promise<void>;
  stop(): Promise<void>;
};

/**
 * Ranges per thread in one dispatch: for balance between threads of unequal speed, and because an
 * engine swaps in its optimized code only when a function is called again.
 */
const rangesPerThread = 16;
const rangesAlone = 64;
const spinsBeforeWait = 20_000;

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => void setTimeout(resolve, milliseconds));

type Shared = { readonly memory: WasmMemory; readonly control: Int32Array; readonly workers: number };

/** Waits until no worker is inside a job. Browsers' main threads may not block, so they spin. */
function waitForWorkers(control: Int32Array): void {
  for (let spins = 0; ; spins++) {
    const active = Atomics.load(control, controlWords.active);
    if (active === 0) return;
    if (spins < spinsBeforeWait) continue;
    try {
      Atomics.wait(control, controlWords.active, active, 1);
    } catch {
      spins = 0;
    }
  }
}

function publish(
  { memory, control, workers }: Shared,
  module: PoolModule,
  name: string,
  groups: number,
): number {
  Atomics.store(control, controlWords.open, 0);
  waitForWorkers(control);
  const encoded = new TextEncoder().encode(name);
  if (encoded.length > nameCapacity) throw ssmError('SSM9001', `kernel name of ${encoded.length} bytes`);
  new Uint8Array(memory.buffer).set(encoded, nameAddress);
  const range = Math.max(1, Math.ceil(groups / ((workers + 1) * rangesPerThread)));
  const set = (word: keyof typeof controlWords, value: number): void =>
    void Atomics.store(control, controlWords[word], value | 0);
  set('module', module.id);
  set('moduleAddress', module.address);
  set('moduleBytes', module.bytes);
  set('nameBytes', encoded.length);
  set('scratch', module.scratch);
  set('scratchStride', module.scratchStride);
  set('next', 0);
  set('total', groups);
  set('range', range);
  set('failed', 0);
  set('open', 1);
  Atomics.add(control, controlWords.generation, 1);
  Atomics.notify(control, controlWords.generation);
  return range;
}

function dispatchShared(shared: Shared, { module, name, kernel, groups }: Job): void {
  const { control } = shared;
  const range = publish(shared, module, name, groups);
  let trap: unknown = null;
  try {
    for (;;) {
      const first = Atomics.add(control, controlWords.next, range);
      if (first >= groups) break;
      kernel(first, Math.min(first + range, groups), argumentAddress, module.scratch);
    }
  } catch (error) {
    trap = error;
    Atomics.store(control, controlWords.next, groups);
  }
  Atomics.store(control, controlWords.open, 0);
  waitForWorkers(control);
  if (trap !== null || Atomics.load(control, controlWords.failed) === 1) {
    throw ssmError(
      'SSM9001',
      `kernel \`${name}\` stopped: ${trap === null ? 'in a worker' : String(trap)}`,
      "report this with the layer's text",
    );
  }
}

function dispatchHere({ module, name, kernel, groups }: Job): void {
  const range = Math.ceil(groups / rangesAlone);
  try {
    for (let first = 0; first < groups; first += range)
      kernel(first, Math.min(first + range, groups), argumentAddress, module.scratch);
  } catch (error) {
    throw ssmError(
      'SSM9001',
      `kernel \`${name}\` stopped: ${String(error)}`,
      "report this with the layer's text",
    );
  }
}

async function startWorkers(shared: Shared, host: WorkerHost): Promise<readonly WorkerHandle[]> {
  let failure: string | null = null;
  const handles = Array.from({ length: shared.workers }, (_, number) =>
    host.start(shared.memory, number, (message) => {
      failure ??= message;
    }),
  );
  const deadline = Date.now() + 20_000;
  while (Atomics.load(shared.control, controlWords.ready) < shared.workers) {
    await pause(1);
    if (failure === null && Date.now() < deadline) continue;
    await Promise.all(handles.map((each) => each.stop()));
    throw ssmError(
      'SSM6002',
      `worker threads do not start: ${failure ?? 'no answer within 20 s'}`,
      'open the device with `workers: 0`',
    );
  }
  return handles;
}

async function loadEverywhere(shared: Shared, module: PoolModule): Promise<void> {
  publish(shared, module, '', 0);
  const isLoaded = (): boolean =>
    Array.from({ length: shared.workers }, (_, number) =>
      Atomics.load(shared.control, controlWords.loaded + number),
    ).every((id) => id === module.id);
  for (
    let waited = 0;
    waited < 500 && !isLoaded() && Atomics.load(shared.control, controlWords.module) === module.id;
    waited++
  )
    await pause(1);
}

/** Starts `workers` threads on the memory; throws SSM6002 when they do not start. */
export async function createPool(memory: WasmMemory, host: WorkerHost, workers: number): Promise<Pool> {
  const shared: Shared = { memory, control: new Int32Array(memory.buffer, 0, controlBytes / 4), workers };
  const handles = await startWorkers(shared, host);
  return {
    workers,
    dispatch(job) {
      if (job.groups === 0) return;
      if (job.words.length * 4 > argumentCapacity)
        throw ssmError(
          'SSM5001',
          `kernel \`${job.name}\` has ${job.words.length} arguments; this device allows ${argumentCapacity / 4}`,
        );
      if (workers > 0) {
        Atomics.store(shared.control, controlWords.open, 0);
        waitForWorkers(shared.control);
      }
      new Int32Array(memory.buffer, argumentAddress, job.words.length).set(job.words);
      if (workers === 0 || job.groups === 1) dispatchHere(job);
      else dispatchShared(shared, job);
    },
    load: async (module) => {
      if (workers > 0) await loadEverywhere(shared, module);
    },
    async stop() {
      Atomics.store(shared.control, controlWords.stop, 1);
      Atomics.add(shared.control, controlWords.generation, 1);
      Atomics.notify(shared.control, controlWords.generation);
      await Promise.all(handles.map((each) => each.stop()));
    },
  };
}
