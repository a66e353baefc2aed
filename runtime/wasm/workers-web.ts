/** Workers of a browser, from a Blob of the worker's text. */
import type { WorkerHandle, WorkerHost } from './pool.ts';
import type { WasmMemory } from './webassembly.ts';
import { webWorkerSource } from './worker-source.ts';

type WebWorker = {
  postMessage(message: object): void;
  terminate(): void;
  onerror: ((event: { readonly message?: string }) => void) | null;
};

type WebGlobals = {
  readonly Worker: new (url: string) => WebWorker;
  readonly Blob: new (parts: readonly string[], options: { type: string }) => object;
  readonly URL: { createObjectURL(blob: object): string; revokeObjectURL(url: string): void };
  readonly navigator?: { readonly hardwareConcurrency?: number };
};

function start(memory: WasmMemory, number: number, failed: (message: string) => void): WorkerHandle {
  const web = globalThis as unknown as WebGlobals;
  const url = web.URL.createObjectURL(new web.Blob([webWorkerSource], { type: 'text/javascript' }));
  const worker = new web.Worker(url);
  worker.onerror = (event) => failed(event.message ?? 'a worker failed to start');
  worker.postMessage({ memory, number });
  return {
    async stop() {
      worker.terminate();
      web.URL.revokeObjectURL(url);
    },
  };
}

/** How a browser starts workers. */
export const workerHost: WorkerHost = {
  processors: (globalThis as unknown as WebGlobals).navigator?.hardwareConcurrency ?? 1,
  name: 'browser',
  start,
};
