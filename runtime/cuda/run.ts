/**
 * Runs one entry point: check, allocate, queue, then wait. All queueing happens without a pause, and
 * memory that a run needs for itself goes back as soon as it is queued: whoever gets it next uses it
 * later on the same stream.
 */
import type { Manifest } from '../../backends/artifact.ts';
import { required } from '../../support/invariant.ts';
import type { RunRequest, RunResult } from '../device.ts';
import { fillEmptyRun } from './empty-run.ts';
import type { EntryPlan, PlanCache } from './plan.ts';
import { checkRequest, type CheckedRequest, type EntryShapes } from './request.ts';
import { allocateResults, disposeNew, type Results } from './results.ts';
import type { Session } from './session.ts';
import { isCudaTensor } from './tensor.ts';

/** What a prepared layer knows when it runs. */
export type LayerContext = {
  readonly session: Session;
  readonly manifest: Manifest;
  readonly plans: PlanCache;
  readonly shapes: EntryShapes;
};

/** Words for messages about a run. */
export function describeRun({ manifest }: LayerContext, request: CheckedRequest): string {
  return `entry \`${request.entry.name}\` of layer \`${manifest.layer}\``;
}

/** True for runs that no kernel is needed for. */
export function isEmptyRun({ sizes }: CheckedRequest): boolean {
  return sizes.batch === 0 || sizes.length === 0;
}

/** The block of each source of a plan; new ones, for host numbers and scratch memory, are added to `temporary`. */
export function bindBlocks(
  context: LayerContext, { request, plan, results }: BoundRun, temporary: number[],
): Float64Array {
  const { session } = context;
  const what = describeRun(context, request);
  const make = (bytes: number): number => {
    if (bytes === 0) return 0;
    const block = session.call(what, (native) => native.allocate(bytes));
    temporary.push(block);
    return block;
  };
  const blocks = new Float64Array(plan.sources.length + 1);
  plan.sources.forEach((name, at) => {
    const value = results.get(name) ?? required(request.given.get(name), `tensor ${name}`);
    if (isCudaTensor(value)) {
      blocks[at] = value.block();
      return;
    }
    const block = make(value.byteLength);
    if (block !== 0) session.call(what, (native) => native.upload(block, 0, value));
    blocks[at] = block;
  });
  blocks[plan.sources.length] = make(plan.scratchBytes);
  return blocks;
}

export type BoundRun = { readonly request: CheckedRequest; readonly plan: EntryPlan; readonly results: Results };

/** Gives back memory that queued work may still use: the stream keeps the order. */
export function releaseBlocks(session: Session, blocks: readonly number[]): void {
  for (const block of blocks) session.giveBack((native) => native.release(block));
}

type Clock = { readonly milliseconds: () => number; readonly end: number; readonly release: () => void };

/** Queues work between two events, or with one event after it. */
function queueTimed(session: Session, what: string, work: () => void): Clock {
  const events: number[] = [];
  const record = (withTiming: 0 | 1): number => {
    const event = session.call(what, (native) => native.recordEvent(withTiming));
    events.push(event);
    return event;
  };
  const release = (): void => session.giveBack((native) => events.forEach((each) => native.dropEvent(each)));
  try {
    if (session.options.timing === 'device') {
      const start = record(1);
      work();
      const end = record(1);
      return { end, release, milliseconds: () => session.call(what, (native) => native.elapsed(start, end)) };
    }
    const started = performance.now();
    work();
    return { end: record(0), release, milliseconds: () => performance.now() - started };
  } catch (error) {
    release();
    throw error;
  }
}

/** Queues work and waits for it. */
export async function runTimed(session: Session, what: string, work: () => void): Promise<RunResult['timing']> {
  const clock = queueTimed(session, what, work);
  try {
    await session.wait(clock.end, what);
    return { milliseconds: clock.milliseconds(), source: session.options.timing };
  } finally {
    clock.release();
  }
}

async function runKernels(context: LayerContext, request: CheckedRequest, results: Results): Promise<RunResult> {
  const { session, plans } = context;
  const what = describeRun(context, request);
  const plan = plans.get(request.entry, request.sizes);
  const temporary: number[] = [];
  let timing: Promise<RunResult['timing']>;
  try {
    const blocks = bindBlocks(context, { request, plan, results }, temporary);
    timing = runTimed(session, what, () => session.call(what, (native) => native.launch(plan.id, blocks)));
  } finally {
    releaseBlocks(session, temporary);
  }
  return { tensors: results, timing: await timing };
}

/** Checks and runs a request. */
export async function runEntry(context: LayerContext, request: RunRequest): Promise<RunResult> {
  const { session, manifest, shapes } = context;
  const checked = checkRequest(session, shapes, request);
  request.signal?.throwIfAborted();
  const results = allocateResults(session, manifest.layer, checked);
  try {
    if (!isEmptyRun(checked)) return await runKernels(context, checked, results);
    fillEmptyRun(session, checked, results);
    return { tensors: results, timing: { milliseconds: 0, source: 'wall-clock' } };
  } catch (error) {
    disposeNew(results, checked);
    throw error;
  }
}
