/**
 * Schedules and their parameters as data (decisions 19), and what a schedule may know of the machine:
 * capabilities, never the target's name. `select-schedule` chooses, a tuner may override.
 */
import type { LoopNestParameters } from './loop-nest.ts';
import type { SequentialParameters } from './sequential.ts';
import type { LanesParameters } from './lanes.ts';

export type Machine = {
  /** vectors within a thread: 4 on a CPU with SIMD128, 1 on GPUs (threads are the vector) */
  readonly vectorWidth: 1 | 4;
  /** 1: no workgroups, no shared memory */
  readonly maximumWorkgroup: number;
  readonly sharedBytes: number;
  /** number of neighbouring threads that exchange registers directly; 1 for none */
  readonly shuffleWidth: number;
  /** threads that fill the machine; time is cut when batch × channels gives fewer */
  readonly fillingThreads: number;
};

export type ScanParameters = SequentialParameters | LanesParameters;

/** Reduce-then-scan over time: pieces of `size` tokens, summaries, carries, then the full pass. */
export type SplitParameters = { readonly size: number };

export type ScanSchedule = {
  readonly parameters: ScanParameters;
  /** null: one thread walks over all tokens */
  readonly split: SplitParameters | null;
};

export type { LoopNestParameters };
