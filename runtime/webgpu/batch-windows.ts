/**
 * Windows of the batch: tensors above the device's binding size are bound piece by piece, and the
 * entry runs once per piece. Sequences are independent in every entry but backward (whose parameter
 * gradients sum over them), so pieces need no further work. Pieces begin where storage bindings may.
 */
import type { ManifestEntry, ManifestTensor } from '../../backends/artifact.ts';
import { evaluateSize, type RunSizes, type SizeExpression } from '../../support/size.ts';
import { bytesPerElement } from '../storage.ts';

export type BatchWindow = { readonly first: number; readonly count: number };

export type BindingLimits = {
  /** bytes that one binding may have */
  readonly bindingBytes: number;
  /** bytes of which a binding's offset is a multiple */
  readonly offsetAlignment: number;
};

function dependsOnBatch(size: SizeExpression): boolean {
  if (typeof size === 'object') return dependsOnBatch(size.left) || dependsOnBatch(size.right);
  return size === 'batch';
}

/** Bytes of one sequence, for tensors whose outermost axis is the batch; else null. */
export function bytesPerSequence(tensor: ManifestTensor, sizes: RunSizes): number | null {
  const [outermost, ...inner] = tensor.dims;
  if (outermost !== 'batch' || inner.some(dependsOnBatch)) return null;
  return inner.reduce<number>((product, each) => product * evaluateSize(each, sizes), bytesPerElement(tensor.storage));
}

/** The largest bytes that the entry binds at once. */
function largestBinding(entry: ManifestEntry, sizes: RunSizes): number {
  const packed = new Set(entry.arenas?.flatMap((arena) => arena.members.map((each) => each.tensor)));
  const tensors = entry.tensors.filter((each) => !packed.has(each.name)).map((tensor) =>
    tensor.dims.reduce<number>((product, each) => product * evaluateSize(each, sizes), bytesPerElement(tensor.storage)));
  const arenas = (entry.arenas ?? []).map((each) => evaluateSize(each.length, sizes) * bytesPerElement(each.storage));
  return [...tensors, ...arenas].reduce((most, each) => Math.max(most, each), 0);
}

/** Whether every tensor that outlives a window can be bound by pieces, or does not depend on the batch. */
function isWindowable(entry: ManifestEntry, sizes: RunSizes): boolean {
  if (entry.name === 'backward' || entry.name === 'backwardFinal') return false;
  const scratch = new Set(entry.tensors.filter((each) => each.role === 'scratch').map((each) => each.name));
  const kept = entry.tensors.filter((each) => !scratch.has(each.name) && each.dims.some(dependsOnBatch));
  if (kept.some((each) => bytesPerSequence(each, sizes) === null)) return false;
  const keptNames = new Set(kept.map((each) => each.name));
  const members = (entry.arenas ?? []).flatMap((arena) => arena.members);
  return members.every((each) => !keptNames.has(each.tensor) && (scratch.has(each.tensor) || !dependsOnBatch(each.offset)));
}

/** The fewest sequences whose bytes are a multiple of the alignment in every tensor. */
function stepOf(entry: ManifestEntry, sizes: RunSizes, alignment: number): number {
  let step = 1;
  for (const tensor of entry.tensors) {
    const bytes = tensor.role === 'scratch' ? null : bytesPerSequence(tensor, sizes);
    if (bytes === null) continue;
    while ((step * bytes) % alignment !== 0) step *= 2;
  }
  return step;
}

/** One window where everything fits, several where pieces do, null where not even they do. */
export function planBatchWindows(
  entry: ManifestEntry, sizes: RunSizes, limits: BindingLimits,
): readonly BatchWindow[] | null {
  const fits = (batch: number): boolean => largestBinding(entry, { ...sizes, batch }) <= limits.bindingBytes;
  if (fits(sizes.batch)) return [{ first: 0, count: sizes.batch }];
  if (!isWindowable(entry, sizes)) return null;
  const step = stepOf(entry, sizes, limits.offsetAlignment);
  let steps = Math.floor(sizes.batch / step);
  while (steps > 0 && !fits(steps * step)) steps = Math.floor(steps / 2);
  if (steps === 0) return null;
  const count = steps * step;
  return Array.from({ length: Math.ceil(sizes.batch / count) }, (_, at) => ({
    first: at * count, count: Math.min(count, sizes.batch - at * count),
  }));
}
