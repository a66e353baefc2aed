/** What schedules may assume of each target's machine, as data. A runtime may know its device better. */
import type { Machine } from '../ir/schedule/parameters.ts';
import type { TargetName } from './artifact.ts';

export const machines: Readonly<Record<TargetName, Machine>> = {
  wasm: { vectorWidth: 4, maximumWorkgroup: 1, sharedBytes: 0, shuffleWidth: 1, fillingThreads: 16 },
  // defaults of WebGPU; no register exchange unless the device has wide subgroups
  wgsl: { vectorWidth: 1, maximumWorkgroup: 256, sharedBytes: 16384, shuffleWidth: 1, fillingThreads: 65536, typedShared: true },
  // what two resident blocks can have of a Hopper or Ampere multiprocessor, and an H100's or H200's number of them
  cuda: { vectorWidth: 1, maximumWorkgroup: 1024, sharedBytes: 106496, shuffleWidth: 32, fillingThreads: 65536, processors: 132, keptNumbers: 160 },
};
