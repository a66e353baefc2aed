/**
 * Schedules and their parameters as data (decisions 19), and what a schedule may know of the machine:
 * capabilities, never the target's name. `select-schedule` chooses, a tuner may override.
 */
import type { VectorWidth } from '../kernel/nodes.ts';

export type Machine = {
  /** vectors within a thread: 4 on a CPU with SIMD128, 1 on GPUs (threads are the vector) */
  readonly vectorWidth: 1 | 4;
  /** 1: no workgroups, no shared memory */
  readonly maximumWorkgroup: number;
  readonly sharedBytes: number;
  /** shared memory that all workgroups of a processor have together, where it is so little that it says how many of them run at once */
  readonly residentSharedBytes?: number;
  /** number of neighbouring threads that exchange registers directly; 1 for none */
  readonly shuffleWidth: number;
  /** shared memory is read in vectors only where it is written in vectors too */
  readonly typedShared?: true;
  /** threads that fill the machine; time is cut when batch × channels gives fewer */
  readonly fillingThreads: number;
  /** processors that run workgroups, where that is known */
  readonly processors?: number;
  /** numbers that a thread keeps in registers through a loop beside its work, where that is known */
  readonly keptNumbers?: number;
};

/** `sequential`: a thread owns whole channels. */
export type SequentialParameters = {
  readonly kind: 'sequential';
  readonly workgroupSize: number;
  /** channels side by side in one thread */
  readonly lanes: VectorWidth;
  readonly innerWidth: VectorWidth;
  /** channels that one workgroup takes in turn; the size of a group in channel sums */
  readonly groupChannels: number;
};

/** `lanes`: threads of a workgroup share channels. */
export type LanesParameters = {
  readonly kind: 'lanes';
  readonly workgroupSize: number;
  /** threads per channel */
  readonly lanes: number;
  /** neighbouring channels of one thread, which share what it loads of values common to all channels */
  readonly channels: VectorWidth;
  /** tokens per tile; the checkpoint interval where forward states are replayed */
  readonly tile: number;
  /** how per-token sums over channels are formed: by register exchange, through shared memory a tile at a time (registers are exchanged too), or at every token */
  readonly channelSums: 'shuffle' | 'tile' | 'shared';
  /** whole tiles have a text of their own, without guards, with the next tile's loads in flight in registers */
  readonly prefetch: boolean;
  /** with `prefetch`: the first and last phases of neighbouring tiles run between the tokens of a tile, so that there is one barrier per tile and always independent work */
  readonly overlap: boolean;
  /** with `overlap`: threads of the workgroup beside those of the recurrence, which do the first and last phases for them; 0 if all threads do everything */
  readonly helpers: number;
  /** neighbours of a value common to all channels that a thread loads and stores at once, without a branch; absent: one */
  readonly staged?: VectorWidth;
};

/** `blocks`: time-invariant recurrences, several tokens at a time; threads of a workgroup share channels. */
export type BlocksParameters = {
  readonly kind: 'blocks';
  readonly workgroupSize: number;
  /** threads per channel */
  readonly lanes: number;
  /** tokens that states take at once; a tile has one block per thread of a channel */
  readonly block: number;
};

/** `segments`: threads of a workgroup share channels by time; for states without an inner axis. */
export type SegmentsParameters = {
  readonly kind: 'segments';
  readonly workgroupSize: number;
  /** channels side by side in one thread, read and written as vectors */
  readonly lanes: VectorWidth;
  /** threads along time that share the same channels */
  readonly segments: number;
  /** neighbouring tokens of a tile that one thread takes */
  readonly tokens: number;
  /** whether a tile's operands are loaded while the tile before it is computed */
  readonly prefetch: boolean;
};

/** `step`: a single token; threads hold vectors of a channel's states, workgroups several sequences. */
export type StepParameters = {
  readonly kind: 'step';
  readonly workgroupSize: number;
  /** threads per channel */
  readonly lanes: number;
  /** sequences of a workgroup */
  readonly rows: number;
};

/** `loop-nest`: everything that is no recurrence. */
export type LoopNestParameters = {
  readonly kind: 'loop-nest';
  readonly workgroupSize: number;
  readonly vectorWidth: VectorWidth;
};

export type ScanParameters = SequentialParameters | LanesParameters | BlocksParameters | SegmentsParameters | StepParameters;

/** Reduce-then-scan over time: pieces of `size` tokens, summaries, carries, then the full pass. */
export type SplitParameters = { readonly size: number };

export type ScanSchedule = {
  readonly parameters: ScanParameters;
  /** null: one thread walks over all tokens */
  readonly split: SplitParameters | null;
};
