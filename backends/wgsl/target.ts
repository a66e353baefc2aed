/**
 * What WGSL on a device can do, as data. The default is what every WebGPU device grants without
 * asking, so that an artifact made for it runs everywhere.
 */

export type WgslTarget = {
  /** storage buffers that one kernel may bind */
  readonly storageBuffers: number;
  /** bytes of workgroup memory */
  readonly sharedBytes: number;
  readonly invocations: number;
  /** workgroups per grid dimension of one dispatch; larger grids are run in windows */
  readonly workgroups: number;
  /** whether lanes of at least 32 consecutive invocations exchange values directly */
  readonly subgroups: 'none' | 'at-least-32';
};

/** The limits that WebGPU guarantees. */
export const defaultWgslTarget: WgslTarget = {
  storageBuffers: 8,
  sharedBytes: 16_384,
  invocations: 256,
  workgroups: 65_535,
  subgroups: 'none',
};
