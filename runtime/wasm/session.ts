/**
 * What all resources of one device share: the memory, its heap and the pool, the check that the
 * device is still open, and (in tests) canaries around every block.
 */
import { ssmError } from '../../support/diagnostic.ts';
import { InternalError } from '../../support/invariant.ts';
import { heapStart } from './control.ts';
import { createHeap, type Heap } from './heap.ts';
import type { Pool } from './pool.ts';
import type { WasmMemory } from './webassembly.ts';

/** What tests switch on: canaries and NaN around and in all fresh blocks. */
export type Checks = 'none' | 'canaries';

export type Session = {
  readonly memory: WasmMemory;
  readonly pool: Pool;
  /** throws SSM6003 after dispose */
  readonly check: () => void;
  readonly close: () => void;
  /** a block; throws SSM6005 */
  readonly allocate: (bytes: number, label: string) => number;
  readonly free: (address: number) => void;
  /** throws an InternalError when something wrote outside of its block (only with canaries) */
  readonly checkCanaries: () => void;
  readonly bytes: (address: number, length: number) => Uint8Array;
  readonly used: () => number;
  readonly blocks: () => number;
};

export type SessionOptions = {
  readonly memory: WasmMemory;
  readonly pool: Pool;
  readonly maximumBytes: number;
  readonly checks: Checks;
};

const pageBytes = 65_536;
/** A NaN that no computation makes. */
const canary = 0x7fc5_a5a5;
const canaryBytes = 64;

function growTo(memory: WasmMemory, end: number): boolean {
  const missing = end - memory.buffer.byteLength;
  if (missing <= 0) return true;
  const pages = Math.ceil(missing / pageBytes);
  const generous = Math.max(pages, Math.floor(memory.buffer.byteLength / pageBytes / 4));
  for (const count of generous === pages ? [pages] : [generous, pages]) {
    try {
      memory.grow(count);
      return true;
    } catch {
      continue;
    }
  }
  return false;
}

/** `1.5 MiB`, for messages. */
function bytesForPeople(bytes: number): string {
  return bytes < 1024
    ? `${bytes} B`
    : bytes < 2 ** 20
      ? `${(bytes / 1024).toFixed(1)} KiB`
      : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

type Guarded = Pick<Session, 'allocate' | 'free' | 'checkCanaries'>;

/** Blocks with 64 bytes of canary before and from their last byte to their end. */
function guardBlocks(plain: Pick<Session, 'allocate' | 'free' | 'bytes'>): Guarded {
  const lengths = new Map<number, number>();
  const words = (address: number, bytes: number): Int32Array => {
    const view = plain.bytes(address, bytes);
    return new Int32Array(view.buffer, view.byteOffset, bytes / 4);
  };
  const paddedOf = (bytes: number): number => Math.ceil(bytes / 4) * 4;
  const checkBlock = (address: number, bytes: number): void => {
    const before = words(address - canaryBytes, canaryBytes);
    const after = words(address + paddedOf(bytes), canaryBytes);
    if ([...before, ...after].some((word) => word !== canary))
      throw new InternalError(`a kernel wrote outside of the block of ${bytes} B at ${address}`);
  };
  return {
    allocate(bytes, label) {
      const padded = paddedOf(bytes);
      const start = plain.allocate(padded + 2 * canaryBytes, label);
      words(start, padded + 2 * canaryBytes).fill(canary);
      lengths.set(start + canaryBytes, bytes);
      return start + canaryBytes;
    },
    free(address) {
      checkBlock(address, lengths.get(address) ?? 0);
      lengths.delete(address);
      plain.free(address - canaryBytes);
    },
    checkCanaries: () => lengths.forEach((bytes, address) => checkBlock(address, bytes)),
  };
}

function allocateOf(heap: Heap, maximumBytes: number): Session['allocate'] {
  return (bytes, label) => {
    const address = heap.allocate(bytes);
    if (address !== null) return address;
    throw ssmError(
      'SSM6005',
      `\`${label}\` needs ${bytesForPeople(bytes)}, but ` +
        `${bytesForPeople(heap.used())} of ${bytesForPeople(maximumBytes)} are in use`,
      'dispose tensors, use a smaller batch, or open the device with a larger `maximumBytes`',
    );
  };
}

/** The shared state of one device. */
export function createSession({ memory, pool, maximumBytes, checks }: SessionOptions): Session {
  let isOpen = true;
  const heap = createHeap({ start: heapStart, maximumBytes, grow: (end) => growTo(memory, end) });
  const plain = {
    allocate: allocateOf(heap, maximumBytes),
    free: (address: number): void => heap.free(address),
    bytes: (address: number, length: number): Uint8Array => new Uint8Array(memory.buffer, address, length),
  };
  const guarded: Guarded =
    checks === 'canaries' ? guardBlocks(plain) : { ...plain, checkCanaries: () => {} };
  return {
    memory,
    pool,
    bytes: plain.bytes,
    ...guarded,
    used: heap.used,
    blocks: heap.blocks,
    check() {
      if (!isOpen) throw ssmError('SSM6003', 'the device was used after dispose');
    },
    close() {
      isOpen = false;
    },
  };
}
