/**
 * The tables of schedule `blocks` in shared memory: signals and sums of a tile's tokens, in fours of
 * neighbours in time, and sums over the threads that share a channel.
 */
import { add, binary, builtin, compose, divide, element, extract, integer, less, literal, loadShared, multiply, remainder, select, subtract, variable, type KernelBuilder } from '../kernel/builder.ts';
import { f32, type KernelExpression, type RegisterArray, type SharedArray, type Variable } from '../kernel/nodes.ts';
import { operandsOf } from '../tensor/walk.ts';
import { partsStride } from './blocks-parameters.ts';
import { makeFrame, type LanesFrame } from './lanes-frame.ts';
import type { BlocksParameters } from './parameters.ts';
import { hasInnerAxis, variesInTime } from './region-plan.ts';
import type { RegionValues } from './region-values.ts';
import type { ScanRequest } from './scan-request.ts';
import type { PassRoots, ScanThread } from './scan-thread.ts';

/** Signals and sums lie in fours of neighbouring tokens. */
export const quad = 4;

/** Where a workgroup's tables are used: its frame, and tokens per block. */
export type TablesFrame = { readonly frame: LanesFrame; readonly parameters: BlocksParameters };

/** The frame of schedule `lanes` for tiles of one block per thread of a channel. */
export function makeBlocksFrame(builder: KernelBuilder, request: ScanRequest, { workgroupSize, lanes, block }: BlocksParameters): LanesFrame {
  return makeFrame(builder, request, { kind: 'lanes', workgroupSize, lanes, channels: 1, tile: lanes * block, channelSums: 'shared', prefetch: true, overlap: false, helpers: 0 });
}

/** Computes per-channel values that are fixed in time for the phases per channel, once. */
export function prepareCooperative(thread: ScanThread, roots: PassRoots, cooperative: RegionValues): void {
  const { plan } = thread;
  for (const id of new Set(thread.liveFor(roots).flatMap((each) => operandsOf(each.op)))) {
    const isFixed = !variesInTime(plan, id) && !hasInnerAxis(plan, id) && plan.definitions.get(id)?.op.kind !== 'constant';
    if (isFixed) cooperative.scalar(id);
  }
}

/** Place of a token's signal in a channel: four neighbours in time, then channels. */
export function signalPlace({ frame: { channelsPerGroup } }: TablesFrame, index: KernelExpression, local: KernelExpression): KernelExpression {
  const row = add(multiply(divide(index, integer(quad)), integer(channelsPerGroup)), local);
  return add(multiply(row, integer(quad)), remainder(index, integer(quad)));
}

/** Place of a thread's part of a token's sum: four neighbours in time, then channels, then threads of a channel. */
export function partPlace({ parameters }: TablesFrame, index: KernelExpression, lane: KernelExpression, local: KernelExpression): KernelExpression {
  const row = add(multiply(divide(index, integer(quad)), integer(parameters.lanes)), lane);
  const column = add(multiply(row, integer(partsStride(parameters))), local);
  return add(multiply(column, integer(quad)), remainder(index, integer(quad)));
}

/** The thread's number among those that share its channel. */
export function laneOf({ parameters: { lanes } }: TablesFrame): KernelExpression {
  return remainder(builtin('invocation'), integer(lanes));
}

/** Stores the signals of the block that begins at `first`. */
export function storeSignals(tables: TablesFrame, into: SharedArray, first: KernelExpression, local: KernelExpression, signals: RegisterArray): void {
  for (let at = 0; at < tables.parameters.block; at += quad) {
    const value = compose(Array.from({ length: quad }, (_, token) => element(signals, integer(at + token))));
    tables.frame.builder.storeShared(into, signalPlace(tables, add(first, integer(at)), local), value);
  }
}

/** The signals of the block that begins at `first`. */
export function loadSignals(tables: TablesFrame, from: SharedArray, first: KernelExpression, local: KernelExpression): readonly KernelExpression[] {
  const { frame: { builder }, parameters: { block } } = tables;
  const fours = Array.from({ length: block / quad }, (_, at) =>
    builder.let('signals', loadShared(from, signalPlace(tables, add(first, integer(at * quad)), local), quad)));
  return fours.flatMap((four) => Array.from({ length: quad }, (_, token) => builder.let('signal', extract(four, token))));
}

/** Tokens of a tile that states take at once: the index of the first, and how many they are; null for all of a block. */
export type Block = { readonly first: KernelExpression; readonly count: KernelExpression | null };

/** The signals that drive the states in a block; those of a shorter one stand at its end, behind zeros. */
export function loadDriving(tables: TablesFrame, from: SharedArray, { first, count }: Block, local: KernelExpression): readonly KernelExpression[] {
  const { frame: { builder }, parameters: { block } } = tables;
  if (count === null) return loadSignals(tables, from, first, local);
  const missing = builder.let('missing', subtract(integer(block), count));
  return Array.from({ length: block }, (_, token) => {
    const back = builder.let('token', subtract(integer(token), missing));
    const signal = loadShared(from, signalPlace(tables, add(first, binary('maximum', back, integer(0))), local));
    return builder.let('signal', select(less(back, integer(0)), literal(0), signal));
  });
}

/** A thread's place among those that share a channel, in one of the two layouts of a workgroup. */
export type ThreadPlace = { readonly lane: KernelExpression; readonly local: KernelExpression };

/** Stores a thread's numbers for the tokens of the block that begins at `first`. */
function storeQuads(tables: TablesFrame, into: SharedArray, first: KernelExpression, { lane, local }: ThreadPlace, values: readonly KernelExpression[]): void {
  for (let at = 0; at < values.length; at += quad) {
    tables.frame.builder.storeShared(into, partPlace(tables, add(first, integer(at)), lane, local), compose(values.slice(at, at + quad)));
  }
}

/** Stores this thread's parts of the sums of the block that begins at `first`. */
export function storeParts(tables: TablesFrame, into: SharedArray, first: KernelExpression, local: KernelExpression, totals: readonly KernelExpression[]): void {
  storeQuads(tables, into, first, { lane: laneOf(tables), local }, totals);
}

/** Adds all threads' parts of the block that begins at `first` to sums; gives registers with the sums. */
export function addParts(tables: TablesFrame, from: SharedArray, first: KernelExpression, local: KernelExpression, totals: readonly Variable[]): RegisterArray {
  const { frame: { builder }, parameters: { lanes } } = tables;
  builder.for('lane', { start: integer(0), end: integer(lanes), unroll: true }, (lane) => {
    for (let at = 0; at < totals.length; at += quad) {
      const four = builder.let('parts', loadShared(from, partPlace(tables, add(first, integer(at)), lane, local), quad));
      totals.slice(at, at + quad).forEach((total, token) => builder.assign(total, add(variable(total), extract(four, token))));
    }
  });
  const finished = builder.array('sums', f32, totals.length);
  totals.forEach((total, token) => builder.setElement(finished, integer(token), variable(total)));
  return finished;
}

/**
 * Adds up what the threads of a channel have, a number per token of a block, through `scratch`; the sums
 * of the channel `to` are in the result.
 */
export function sumOverThreads(tables: TablesFrame, parts: RegisterArray, scratch: SharedArray, from: ThreadPlace, to: KernelExpression): RegisterArray {
  const { frame: { builder }, parameters: { block } } = tables;
  storeQuads(tables, scratch, integer(0), from, Array.from({ length: block }, (_, token) => element(parts, integer(token))));
  builder.barrier();
  const zeros = Array.from({ length: block }, () => builder.var('total', literal(0)));
  const whole = addParts(tables, scratch, integer(0), to, zeros);
  builder.barrier();
  return whole;
}

/** Σ_m response_m · signals at a distance of m tokens, forward or back in time, for each token of a block. */
export function localSums(tables: TablesFrame, response: RegisterArray, signals: RegisterArray, direction: 'before' | 'after'): readonly KernelExpression[] {
  const { block } = tables.parameters;
  return Array.from({ length: block }, (_, token) => {
    const count = direction === 'before' ? token + 1 : block - token;
    const terms = Array.from({ length: count }, (_unused, away) =>
      multiply(element(response, integer(away)), element(signals, integer(direction === 'before' ? token - away : token + away))));
    return terms.reduce((left, right) => add(left, right));
  });
}
