/**
 * Buffers that a layer's runs need only while they run (scratch, arenas, uploads), kept between runs:
 * a driver takes milliseconds to hand out some hundred megabytes. An entry holds what its latest run
 * used; other sizes replace it. A buffer may serve the next run as soon as this one is submitted: a queue
 * executes in order, and no kernel reads from it what its own run did not write.
 */
import { bufferBytes, type Session } from './session.ts';

export type Workspace = {
  /** a buffer of this size: one that the entry used before, or a new one */
  readonly take: (entry: string, bytes: number, usage: number, label: string) => GPUBuffer;
  /** buffers of one run of the entry, to be kept for its next one */
  readonly give: (entry: string, buffers: readonly GPUBuffer[]) => void;
  /** forgets what the entry has kept */
  readonly drop: (entry: string) => void;
  readonly dispose: () => void;
};

/** An empty workspace. */
export function createWorkspace(session: Session): Workspace {
  const kept = new Map<string, GPUBuffer[]>();
  let disposed = false;
  const drop = (entry: string): void => {
    (kept.get(entry) ?? []).forEach((each) => session.destroyBuffer(each));
    kept.delete(entry);
  };
  return {
    drop,
    take(entry, bytes, usage, label) {
      const mine = kept.get(entry) ?? [];
      const size = bufferBytes(bytes);
      const at = mine.findIndex((each) => each.size === size && each.usage === usage && each.label === label);
      const [found] = at < 0 ? [] : mine.splice(at, 1);
      return found ?? session.createBuffer(bytes, usage, label);
    },
    give(entry, buffers) {
      drop(entry);
      if (disposed) buffers.forEach((each) => session.destroyBuffer(each));
      else kept.set(entry, [...buffers]);
    },
    dispose() {
      disposed = true;
      [...kept.keys()].forEach(drop);
    },
  };
}
