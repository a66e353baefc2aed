/**
 * The program of a worker thread, as text: Node can start a worker from text alone, which works from
 * sources as from the built package, and a browser from a Blob of it. Plain JavaScript, no imports
 * but the thread's own channel. `control.ts` describes the protocol.
 */
import { argumentAddress, controlBytes, controlWords, nameAddress } from './control.ts';

/** `start` receives the shared memory and the worker's number. */
const body = `
'use strict';
const word = ${JSON.stringify(controlWords)};
function serve(memory, number) {
  const control = new Int32Array(memory.buffer, 0, ${controlBytes / 4});
  const instances = new Map();
  function instanceOf(id) {
    let instance = instances.get(id);
    if (instance === undefined) {
      const address = control[word.moduleAddress] >>> 0;
      const bytes = new Uint8Array(memory.buffer, address, control[word.moduleBytes]).slice();
      instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
      if (instances.size >= 16) instances.delete(instances.keys().next().value);
      instances.set(id, instance);
    }
    return instance;
  }
  function work() {
    const id = control[word.module];
    const instance = instanceOf(id);
    Atomics.store(control, word.loaded + number, id);
    const total = control[word.total];
    const range = control[word.range];
    if (total === 0) return;
    const bytes = new Uint8Array(memory.buffer, ${nameAddress}, control[word.nameBytes]).slice();
    const kernel = instance.exports[new TextDecoder().decode(bytes)];
    const scratch = control[word.scratch] + (number + 1) * control[word.scratchStride];
    for (;;) {
      const first = Atomics.add(control, word.next, range);
      if (first >= total) return;
      kernel(first, Math.min(first + range, total), ${argumentAddress}, scratch);
    }
  }
  let seen = 0;
  Atomics.add(control, word.ready, 1);
  for (;;) {
    for (let spins = 0; Atomics.load(control, word.generation) === seen; spins++) {
      if (spins > 4000) Atomics.wait(control, word.generation, seen);
    }
    seen = Atomics.load(control, word.generation);
    if (Atomics.load(control, word.stop) === 1) return;
    Atomics.add(control, word.active, 1);
    try {
      if (Atomics.load(control, word.open) === 1) work();
    } catch {
      Atomics.store(control, word.failed, 1);
      Atomics.store(control, word.next, control[word.total]);
    }
    if (Atomics.sub(control, word.active, 1) === 1) Atomics.notify(control, word.active);
  }
}
`;

/** For Node's worker_threads with \`eval\`; the data arrives as workerData. */
export const nodeWorkerSource: string = `${body}
const { workerData } = require('node:worker_threads');
serve(workerData.memory, workerData.number);
`;

/** For a classic Worker of a browser; the data arrives as the first message. */
export const webWorkerSource: string = `${body}
self.onmessage = (event) => { serve(event.data.memory, event.data.number); self.close(); };
`;
