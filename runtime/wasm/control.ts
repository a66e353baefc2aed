/**
 * Layout of the first page of the shared memory: the job that the threads work on, as i32 words, and
 * the argument block of the kernel.
 *
 * Protocol. The main thread closes the job (open = 0), waits until no worker is active, writes the
 * new job, sets open = 1, adds 1 to `generation` and wakes the workers. A worker that wakes adds 1 to
 * `active` first and looks at `open` after that; so either it sees the job closed and leaves, or the
 * main thread sees it active and waits for it. Everybody takes ranges of groups from `next`. A worker
 * that wakes late finds nothing left and holds nobody up.
 */
export const controlWords = {
  generation: 0,
  open: 1,
  active: 2,
  next: 3,
  total: 4,
  range: 5,
  /** which module, where its bytes are, which of its exports */
  module: 6,
  moduleAddress: 7,
  moduleBytes: 8,
  nameBytes: 9,
  scratch: 10,
  scratchStride: 11,
  failed: 12,
  stop: 13,
  ready: 14,
  /** and one word per worker: the module it loaded last */
  loaded: 16,
} as const;

export const controlBytes = 1024;
/** name of the kernel's export, UTF-8 */
export const nameAddress = 1024;
export const nameCapacity = 1024;
/** argument block of the kernel */
export const argumentAddress = 2048;
export const argumentCapacity: number = 65_536 - argumentAddress;
/** addresses below this are the first page's */
export const heapStart = 65_536;

export const workerLimit = 64;
