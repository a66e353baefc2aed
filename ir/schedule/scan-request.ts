/**
 * What a scan schedule is asked to emit: the analysed region, where operands and results lie, and
 * which part of the tokens this launch covers. Yields that are summed over channels, batch or splits
 * go to partial tensors whose extra axes (`group`, `split`, `batch`) a later launch adds up in fixed
 * order, so results do not depend on scheduling.
 */
import { required } from '../../support/invariant.ts';
import type { SizeExpression } from '../../support/size.ts';
import { add, binary, extract, integer, load, minimum, multiply, splat, subtract, type KernelBuilder } from '../kernel/builder.ts';
import type { KernelExpression, VectorWidth } from '../kernel/nodes.ts';
import type { ScanYield, ValueId } from '../tensor/ops.ts';
import { bufferOf, elementIndex, isAligned, strideOf, type Coordinates, type MemoryReference } from './access.ts';
import type { RegionPlan } from './region-plan.ts';

export type YieldTarget = {
  readonly yielded: ScanYield;
  readonly target: MemoryReference;
  readonly sumsTime: boolean;
  /** summed over all channel axes inside the kernel */
  readonly sumsChannels: boolean;
};

/** Time cut into pieces that different threads take: `count` pieces of `size` tokens (the last may be shorter). */
export type TimeSplit = { readonly size: number; readonly count: SizeExpression };

export type ScanRequest = {
  readonly name: string;
  readonly notes: readonly string[];
  readonly plan: RegionPlan;
  readonly memory: (value: ValueId) => MemoryReference;
  readonly yields: readonly YieldTarget[];
  /** by part; null when not wanted */
  readonly finals: readonly MemoryReference[] | null;
  readonly checkpoints: { readonly interval: number; readonly targets: readonly MemoryReference[] } | null;
  readonly split: TimeSplit | null;
  /** states at the start of each split (axes batch, split, state axes), by part; replaces the initial state */
  readonly carry: readonly MemoryReference[] | null;
  /** summary pass: end state of each split from zero, and the decay over it; no yields */
  readonly summary: { readonly state: readonly MemoryReference[]; readonly decay: readonly MemoryReference[] } | null;
};

/** First and end visit (of the base recurrence) that a thread covers. */
export function visitRange(builder: KernelBuilder, request: ScanRequest, split: KernelExpression | null): { start: KernelExpression; end: KernelExpression } {
  const length = builder.uniform('length', 'length');
  if (request.split === null || split === null) return { start: integer(0), end: length };
  const start = builder.let('split_start', multiply(split, integer(request.split.size)));
  return { start, end: builder.let('split_end', minimum(add(start, integer(request.split.size)), length)) };
}

/** Whether a piece is the one that is visited last, whose end nobody continues from. */
export function isLastPiece(builder: KernelBuilder, plan: RegionPlan, split: TimeSplit, piece: KernelExpression): KernelExpression {
  if (plan.direction === 'descending') return isEqual(piece, integer(0));
  return isEqual(piece, subtract(builder.uniform('splits', split.count), integer(1)));
}

/** Position in time of a visit. */
export function timeOfVisit(builder: KernelBuilder, plan: RegionPlan, visit: KernelExpression): KernelExpression {
  if (plan.baseOrder === 'forward') return visit;
  return builder.let('t', subtract(subtract(builder.uniform('length', 'length'), integer(1)), visit));
}

/**
 * Stores neighbouring values along `axis`: one vector store where they are neighbours in memory.
 * `accumulate` adds to what this workgroup stored before, `initialise` is its first store.
 */
export function storeValue(
  builder: KernelBuilder,
  target: MemoryReference,
  coordinates: Coordinates,
  value: KernelExpression,
  vector: { readonly axis: string; readonly width: VectorWidth } | null,
  mode: 'overwrite' | 'initialise' | 'accumulate' = 'overwrite',
): void {
  const buffer = bufferOf(builder, target, mode === 'overwrite' ? 'write' : 'read-write');
  const index = builder.let('at', elementIndex(builder, target, coordinates));
  const total = (from: KernelExpression, width: VectorWidth, aligned: boolean, part: KernelExpression): KernelExpression =>
    mode === 'accumulate' ? add(load(buffer, from, width, aligned), part) : part;
  if (vector === null || vector.width === 1 || value.type.width === 1 && !target.tensor.axes.includes(vector.axis)) {
    builder.store(buffer, index, total(index, 1, false, value));
    return;
  }
  const wide = splat(value, vector.width);
  const stride = required(strideOf(target, vector.axis), `stride of ${vector.axis}`);
  if (stride === 1 && target.part === null) {
    const aligned = isAligned(target, vector.width);
    builder.store(buffer, index, total(index, vector.width, aligned, wide), aligned);
    return;
  }
  for (let lane = 0; lane < vector.width; lane++) {
    const at = add(index, integer(lane * stride));
    builder.store(buffer, at, total(at, 1, false, extract(wide, lane)));
  }
}

/** Equality of i32 values as a condition. */
export function isEqual(left: KernelExpression, right: KernelExpression): KernelExpression {
  return binary('equal', left, right);
}
