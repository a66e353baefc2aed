/**
 * Which launches that are no recurrence share a kernel on a GPU. Launches over the same axes do, unless
 * one reads what another makes at other places; and sums over the last axes of small tensors (gradients
 * of parameters: D × N and its sums over N) join the tensors that they sum, one row per few threads. A
 * chain of a dozen tiny launches so becomes one kernel, and most of what passed between them stays in
 * registers. The order of dependent launches is kept.
 */
import { required } from '../../support/invariant.ts';
import type { SizeExpression } from '../../support/size.ts';
import type { TensorInstruction, TensorOp, ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';

/** What the grouping must know of a launch and of the values around it. */
export type LaunchFacts<Launch> = {
  readonly rootOf: (launch: Launch) => ValueId;
  readonly axesOf: (id: ValueId) => readonly string[];
  readonly definitions: ReadonlyMap<ValueId, TensorInstruction>;
  /** whether a value lies in memory where this launch stands; its own result does not */
  readonly liesFor: (launch: Launch, id: ValueId) => boolean;
  readonly extent: (axis: string) => SizeExpression;
  readonly maximumWorkgroup: number;
};

/** Launches of one kernel over `axes`; `across` are its last axes if threads of a workgroup share rows. */
export type LaunchGroup<Launch> = { readonly members: readonly Launch[]; readonly axes: readonly string[]; readonly across: readonly string[] };

/** Results of a kernel over batch or time; more would need too many buffers. */
const mostStreams = 4;

/** Results of a kernel over small tensors. */
const mostSmall = 32;

const pointwise: ReadonlySet<TensorOp['kind']> = new Set(['unary', 'binary', 'select', 'analytic', 'broadcast', 'constant', 'length', 'iota', 'argument']);

/** Values in memory that a launch reads: true where only at its own place (and along its own loops). */
function readsOf<Launch>(launch: Launch, facts: LaunchFacts<Launch>): ReadonlyMap<ValueId, boolean> {
  const reads = new Map<ValueId, boolean>();
  const seen = new Set<string>();
  const visit = (id: ValueId, isPlain: boolean): void => {
    const key = `${id} ${isPlain}`;
    if (seen.has(key)) return;
    seen.add(key);
    if (facts.liesFor(launch, id)) {
      reads.set(id, isPlain && (reads.get(id) ?? true));
      return;
    }
    follow(id, isPlain);
  };
  const follow = (id: ValueId, isPlain: boolean): void => {
    const op = facts.definitions.get(id)?.op;
    if (op === undefined) return;
    const isRootLoop = id === root && (op.kind === 'reduce' || op.kind === 'contract');
    for (const operand of operandsOf(op)) visit(operand, isPlain && (isRootLoop || pointwise.has(op.kind)));
  };
  const root = facts.rootOf(launch);
  if (facts.liesFor(launch, root)) reads.set(root, true); // a copy
  else follow(root, true);
  return reads;
}

function sameAxes(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((axis, at) => axis === right[at]);
}

/** The last axes of `wide` that `narrow` lacks, if the others are all of it in order; null otherwise. */
function lastAxes(wide: readonly string[], narrow: readonly string[]): readonly string[] | null {
  return narrow.length < wide.length && sameAxes(wide.slice(0, narrow.length), narrow) ? wide.slice(narrow.length) : null;
}

function isSmall(axes: readonly string[]): boolean {
  return !axes.includes('batch') && !axes.includes('time');
}

class Group<Launch> {
  readonly members: Launch[] = [];
  axes: readonly string[];
  across: readonly string[] = [];

  constructor(axes: readonly string[]) {
    this.axes = axes;
  }
}

/** The shape of a group with one more result, or null if they do not go together. */
function joined<Launch>(group: Group<Launch>, axes: readonly string[], op: TensorOp | undefined, facts: LaunchFacts<Launch>): { axes: readonly string[]; across: readonly string[] } | null {
  const { across } = group;
  const over = op?.kind === 'reduce' || op?.kind === 'contract' || op?.kind === 'scatter-add' ? op.over : [];
  const fits = (wide: readonly string[], split: readonly string[]): boolean => {
    const counts = split.map((axis) => facts.extent(axis));
    const threads = counts.reduce<number>((product, count) => (typeof count === 'number' ? product * count : Infinity), 1);
    return isSmall(wide) && threads <= Math.min(256, facts.maximumWorkgroup);
  };
  if (sameAxes(group.axes, axes)) return over.some((axis) => across.includes(axis)) ? null : { axes, across };
  const narrower = lastAxes(group.axes, axes);
  if (narrower !== null && (across.length === 0 || sameAxes(across, narrower)) && fits(group.axes, narrower)) {
    const summed = over.filter((axis) => narrower.includes(axis));
    const isLoop = op?.kind === 'reduce' || op?.kind === 'contract';
    return summed.length === 0 || (isLoop && summed.length === narrower.length) ? { axes: group.axes, across: narrower } : null;
  }
  const wider = lastAxes(axes, group.axes);
  return wider !== null && across.length === 0 && fits(axes, wider) ? { axes, across: wider } : null;
}

/** Sums of a group's narrow members that loop over an axis which becomes its threads' would be formed wrongly. */
function staysRight<Launch>(group: Group<Launch>, shape: { across: readonly string[] }, facts: LaunchFacts<Launch>): boolean {
  if (sameAxes(group.across, shape.across)) return true;
  return group.members.every((member) => {
    const root = facts.rootOf(member);
    const op = facts.definitions.get(root)?.op;
    if (op?.kind !== 'reduce' && op?.kind !== 'contract' && op?.kind !== 'scatter-add') return true;
    const summed = op.over.filter((axis) => shape.across.includes(axis));
    return summed.length === 0 || (op.kind !== 'scatter-add' && summed.length === shape.across.length && !facts.axesOf(root).some((axis) => shape.across.includes(axis)));
  });
}

/** Groups the launches of one stretch between recurrences; the kernels are to be launched in this order. */
export function groupLaunches<Launch>(launches: readonly Launch[], facts: LaunchFacts<Launch>): readonly LaunchGroup<Launch>[] {
  const groups: Group<Launch>[] = [];
  const placeOf = new Map<ValueId, number>();
  for (const launch of launches) {
    const root = facts.rootOf(launch);
    const axes = facts.axesOf(root);
    const isCopy = facts.liesFor(launch, root);
    const reads = [...readsOf(launch, facts)].flatMap(([id, isPlain]) => {
      const place = placeOf.get(id);
      return place === undefined ? [] : [{ place, isPlain: isPlain && !isCopy }];
    });
    const first = Math.max(0, ...reads.map(({ place, isPlain }) => (isPlain ? place : place + 1)));
    let chosen: number | null = null;
    for (let at = first; at < groups.length && chosen === null; at++) {
      const group = required(groups[at], 'group');
      const shape = joined(group, axes, isCopy ? undefined : facts.definitions.get(root)?.op, facts);
      const room = isSmall(axes) && isSmall(group.axes) ? mostSmall : mostStreams;
      if (shape === null || group.members.length >= room || !staysRight(group, shape, facts)) continue;
      group.axes = shape.axes;
      group.across = shape.across;
      chosen = at;
    }
    if (chosen === null) {
      groups.push(new Group(axes));
      chosen = groups.length - 1;
    }
    required(groups[chosen], 'group').members.push(launch);
    placeOf.set(root, chosen);
  }
  return groups;
}
