/**
 * Memory of the device: blocks at multiples of 64 bytes (a cache line, so that threads that write
 * different tensors do not share one), free blocks joined with their neighbours, and a byte budget.
 */
import { invariant } from '../../support/invariant.ts';

export const blockAlignment = 64;

export type Heap = {
  /** address of a new block, or null when the budget or the memory does not allow it */
  allocate(bytes: number): number | null;
  free(address: number): void;
  /** bytes in blocks */
  readonly used: () => number;
  /** number of blocks */
  readonly blocks: () => number;
};

export type HeapOptions = {
  readonly start: number;
  readonly maximumBytes: number;
  /** makes addresses below `end` usable; false when it cannot */
  readonly grow: (end: number) => boolean;
};

type Gap = { readonly address: number; readonly bytes: number };

/** Joins gaps that touch; `gaps` is sorted by address. */
function joined(gaps: readonly Gap[]): Gap[] {
  const result: Gap[] = [];
  for (const gap of gaps) {
    const last = result.at(-1);
    if (last !== undefined && last.address + last.bytes === gap.address)
      result[result.length - 1] = { address: last.address, bytes: last.bytes + gap.bytes };
    else result.push(gap);
  }
  return result;
}

/** A heap from `start` on. */
export function createHeap({ start, maximumBytes, grow }: HeapOptions): Heap {
  const sizes = new Map<number, number>();
  let gaps: Gap[] = [];
  let end = start;
  let used = 0;
  const takeGap = (bytes: number): number | null => {
    const at = gaps.findIndex((gap) => gap.bytes >= bytes);
    const gap = gaps[at];
    if (gap === undefined) return null;
    gaps.splice(
      at,
      1,
      ...(gap.bytes > bytes ? [{ address: gap.address + bytes, bytes: gap.bytes - bytes }] : []),
    );
    return gap.address;
  };
  const extend = (bytes: number): number | null => {
    const last = gaps.at(-1);
    const address = last !== undefined && last.address + last.bytes === end ? last.address : end;
    if (!grow(address + bytes)) return null;
    if (address !== end) gaps.pop();
    end = address + bytes;
    return address;
  };
  return {
    allocate(requested) {
      const bytes = Math.max(blockAlignment, Math.ceil(requested / blockAlignment) * blockAlignment);
      if (used + bytes > maximumBytes) return null;
      const address = takeGap(bytes) ?? extend(bytes);
      if (address === null) return null;
      sizes.set(address, bytes);
      used += bytes;
      return address;
    },
    free(address) {
      const bytes = sizes.get(address);
      invariant(bytes !== undefined, `free of ${address}, which is no block`);
      sizes.delete(address);
      used -= bytes;
      gaps = joined([...gaps, { address, bytes }].sort((a, b) => a.address - b.address));
    },
    used: () => used,
    blocks: () => sizes.size,
  };
}
