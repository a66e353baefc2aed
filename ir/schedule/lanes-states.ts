/**
 * States of a thread to and from memory in schedule `lanes`: as many at once as lie side by side, at
 * most 16 bytes; the parts of complex states lie in turns.
 */
import { required } from '../../support/invariant.ts';
import { compose, extract, integer, load } from '../kernel/builder.ts';
import type { KernelExpression, VectorWidth } from '../kernel/nodes.ts';
import { bufferOf, elementIndex, isAligned, loadValue, strideOf, type Coordinates, type MemoryReference } from './access.ts';
import { vectorFor, type LanesFrame } from './lanes-frame.ts';
import type { InnerSite } from './region-values.ts';
import type { ScanThread } from './scan-thread.ts';
import { storeValue } from './scan-request.ts';

export type StatesRequest = {
  readonly frame: LanesFrame;
  readonly thread: ScanThread;
  /** by part */
  readonly targets: readonly MemoryReference[];
  readonly at: (lane: number, site: InnerSite) => Coordinates;
};

/** Whether the two references are the parts of one complex tensor whose inner axis is contiguous. */
function arePairs(targets: readonly MemoryReference[], axis: string): boolean {
  const [re, im] = targets;
  return targets.length === 2 && re?.tensor === im?.tensor && re?.part === 0 && im?.part === 1 && re.tensor.axes.at(-2) === axis;
}

type Group = { readonly states: number; readonly isPaired: boolean };

/** States that one access can hold. */
function groupOf({ frame: { plan, steps }, targets }: StatesRequest): Group {
  const axis = plan.inner.at(-1);
  const width = vectorFor(steps);
  if (axis === undefined || axis.size % steps !== 0 || width === 1) return { states: 1, isPaired: false };
  if (arePairs(targets, axis.name)) return { states: 2, isPaired: true };
  const isVector = targets.every((each) => each.part === null && strideOf(each, axis.name) === 1 && isAligned(each, width));
  return { states: isVector ? width : 1, isPaired: false };
}

/** Loops over a thread's states, a group at a time. */
function eachGroup({ thread, frame }: StatesRequest, states: number, body: (first: InnerSite, steps: readonly KernelExpression[]) => void): void {
  if (states === 1) {
    thread.eachStep((site) => body(site, [site.step]));
    return;
  }
  for (let first = 0; first < frame.steps; first += states) {
    body(thread.shape.site(integer(first)), Array.from({ length: states }, (_, at) => integer(first + at)));
  }
}

function vectorOf({ frame: { plan } }: StatesRequest, states: number): { axis: string; width: VectorWidth } | null {
  return states === 1 ? null : { axis: required(plan.inner.at(-1), 'inner axis').name, width: states === 4 ? 4 : 2 };
}

/** Stores all states of the thread. */
export function storeStates(request: StatesRequest, read: (part: number, lane: number, step: KernelExpression) => KernelExpression): void {
  const { frame: { builder }, thread, targets } = request;
  const { states, isPaired } = groupOf(request);
  eachGroup(request, states, (site, steps) => {
    for (const lane of thread.laneNumbers()) {
      const at = request.at(lane, site);
      if (isPaired) {
        const reference = required(targets[0], 'part');
        const value = compose(steps.flatMap((step) => [read(0, lane, step), read(1, lane, step)]));
        builder.store(bufferOf(builder, reference, 'write'), builder.let('at', elementIndex(builder, reference, at)), value, true);
        continue;
      }
      targets.forEach((target, part) => {
        const values = steps.map((step) => read(part, lane, step));
        storeValue(builder, target, at, values.length === 1 ? required(values[0], 'state') : compose(values), vectorOf(request, states));
      });
    }
  });
}

/** Loads all states of the thread. */
export function loadStates(request: StatesRequest, keep: (part: number, lane: number, step: KernelExpression, value: KernelExpression) => void): void {
  const { frame: { builder }, thread, targets } = request;
  const { states, isPaired } = groupOf(request);
  eachGroup(request, states, (site, steps) => {
    for (const lane of thread.laneNumbers()) {
      const at = request.at(lane, site);
      if (isPaired) {
        const reference = required(targets[0], 'part');
        const both = builder.let('saved', load(bufferOf(builder, reference, 'read'), elementIndex(builder, reference, at), 4, true));
        steps.forEach((step, offset) => [0, 1].forEach((part) => keep(part, lane, step, extract(both, 2 * offset + part))));
        continue;
      }
      targets.forEach((target, part) => {
        const value = builder.let('saved', loadValue(builder, target, at, vectorOf(request, states)));
        steps.forEach((step, offset) => keep(part, lane, step, states === 1 ? value : extract(value, offset)));
      });
    }
  });
}
