/** Worker threads of Node. Only this file of the WASM runtime knows Node. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { WorkerHandle, WorkerHost } from './pool.ts';
import { nodeWorkerSource } from './worker-source.ts';
import type { WasmMemory } from './webassembly.ts';

function start(memory: WasmMemory, number: number, failed: (message: string) => void): WorkerHandle {
  const worker = new Worker(nodeWorkerSource, { eval: true, workerData: { memory, number } });
  worker.on('error', (error) => failed(String(error)));
  worker.unref();
  return { stop: async () => void (await worker.terminate()) };
}

/** How Node starts workers. */
export const workerHost: WorkerHost = {
  processors: availableParallelism(),
  name: `Node ${process.version}`,
  start,
};
