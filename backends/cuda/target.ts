/**
 * What an NVIDIA GPU of compute capability 8.0 and later can hold in one launch, as data: the limits
 * that the back end checks before it prints and that the launch code relies on.
 */

export type CudaTarget = {
  readonly threadsPerBlock: number;
  /** bytes of shared memory that a kernel may declare statically */
  readonly staticSharedBytes: number;
  /** bytes that one block can have at all, when the launch asks for them */
  readonly sharedBytes: number;
  readonly gridX: number;
  readonly gridYZ: number;
  readonly threadsPerWarp: number;
};

/** H100 and H200. */
export const hopper: CudaTarget = {
  threadsPerBlock: 1024,
  staticSharedBytes: 48 * 1024,
  sharedBytes: 227 * 1024,
  gridX: 2 ** 31 - 1,
  gridYZ: 65535,
  threadsPerWarp: 32,
};

/**
 * Bytes that a launch must pass as dynamic shared memory: none while the arrays fit the static limit,
 * else all of them (the kernel then carves its arrays out of one block).
 */
export function dynamicSharedBytes(sharedBytes: number, target: CudaTarget = hopper): number {
  return sharedBytes > target.staticSharedBytes ? sharedBytes : 0;
}
