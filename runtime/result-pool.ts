/**
 * Tensors that a layer's results are written into, kept from call to call: a training loop of equal
 * sizes allocates once. A set that a call reads from (a state handed back in) is not written by it;
 * such a call takes a second set, so that a state may go in circles.
 */
import type { DeviceTensor } from './device.ts';

/** Results of one entry by tensor name. */
export type ResultSet = ReadonlyMap<string, DeviceTensor>;

export type ResultPool = {
  /** a set of these sizes that holds none of the tensors in use, or null when the run shall make one */
  readonly take: (key: string, inUse: ReadonlySet<unknown>) => ResultSet | null;
  /** takes a set over that a run made, once */
  readonly keep: (key: string, results: ResultSet, inUse: ReadonlySet<unknown>) => void;
  readonly dispose: () => void;
};

/** Sizes whose results stay; the least recently used go first. */
const keptKeys = 8;

/** An empty pool. The tensors that are kept in it become its own. */
export function createResultPool(): ResultPool {
  const sets = new Map<string, ResultSet[]>();
  const disposeSet = (set: ResultSet): void => set.forEach((each) => each[Symbol.dispose]());
  const isFree = (set: ResultSet, inUse: ReadonlySet<unknown>): boolean =>
    [...set.values()].every((each) => !inUse.has(each));
  const evict = (inUse: ReadonlySet<unknown>): void => {
    for (const [key, kept] of sets) {
      if (sets.size <= keptKeys) return;
      if (!kept.every((set) => isFree(set, inUse))) continue;
      kept.forEach(disposeSet);
      sets.delete(key);
    }
  };
  return {
    take(key, inUse) {
      const kept = sets.get(key);
      if (kept === undefined) return null;
      sets.delete(key);
      sets.set(key, kept); // most recently used last
      return kept.find((set) => isFree(set, inUse)) ?? null;
    },
    keep(key, results, inUse) {
      sets.set(key, [...(sets.get(key) ?? []), results]);
      evict(new Set([...inUse, ...results.values()]));
    },
    dispose() {
      for (const kept of sets.values()) kept.forEach(disposeSet);
      sets.clear();
    },
  };
}
