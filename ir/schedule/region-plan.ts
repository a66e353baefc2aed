/**
 * What a schedule needs to know of a scan's region before it emits code: which axes are channels and
 * which are inner, which values are fixed in time, and in which inner loop (segment) a value over
 * inner axes is computed. Segment s: scalars of level s, then the inner loop s; a scalar made by
 * reducing in loop s has level s + 1. The published selective scan has one inner loop.
 */
import { invariant, required } from '../../support/invariant.ts';
import { innerAxesOf } from '../passes/fuse-scan.ts';
import type { AffineScanOp, Coefficient, TensorInstruction, TensorType, TensorValue, ValueId } from '../tensor/ops.ts';
import { definitionsOf, operandsOf, regionInputs } from '../tensor/walk.ts';

export type AxisExtent = { readonly name: string; readonly size: number };

export type Recurrence = {
  readonly coefficient: Coefficient;
  readonly drive: readonly ValueId[];
  readonly release: readonly ValueId[] | null;
  readonly form: AffineScanOp['form'];
  readonly previous: readonly TensorValue[];
  readonly current: readonly TensorValue[];
};

export type RegionPlan = {
  readonly op: AffineScanOp;
  readonly inner: readonly AxisExtent[];
  readonly channels: readonly AxisExtent[];
  readonly innerCount: number;
  readonly channelCount: number;
  readonly definitions: ReadonlyMap<ValueId, TensorInstruction>;
  readonly types: ReadonlyMap<ValueId, TensorType>;
  readonly names: ReadonlyMap<ValueId, string>;
  readonly parameters: ReadonlyMap<ValueId, number>;
  /** level of each value: number of inner loops that must run before it (its own loop for inner values) */
  readonly levels: ReadonlyMap<ValueId, number>;
  readonly loopCount: number;
  /** the loop in which the recurrence of this op advances */
  readonly recurrenceLevel: number;
  readonly recurrence: Recurrence;
  /** the replayed forward recurrence, or null */
  readonly history: Recurrence | null;
  /** tokens are visited in order of the base recurrence, or against it (add-then-decay) */
  readonly direction: 'ascending' | 'descending';
  /** the order that visit 0, 1, 2, … of the base recurrence follows in time */
  readonly baseOrder: 'forward' | 'reverse';
};

export function ofCoefficient(coefficient: Coefficient): readonly ValueId[] {
  return coefficient.kind === 'exponent' ? [coefficient.exponent] : coefficient.parts;
}

/** Analyses a scan. `axes` gives the sizes of declared axes. */
export function planRegion(op: AffineScanOp, axes: readonly AxisExtent[]): RegionPlan {
  const innerNames = innerAxesOf(op);
  const extent = (name: string): AxisExtent => required(axes.find((each) => each.name === name), `axis ${name}`);
  const inner = op.axes.filter((axis) => innerNames.includes(axis)).map(extent);
  const channels = op.axes.filter((axis) => !innerNames.includes(axis)).map(extent);
  const count = (list: readonly AxisExtent[]): number => list.reduce((product, each) => product * each.size, 1);
  const types = new Map<ValueId, TensorType>();
  const names = new Map<ValueId, string>();
  for (const value of [...regionInputs(op), ...op.region.flatMap((each) => each.results)]) {
    types.set(value.id, value.type);
    names.set(value.id, value.name);
  }
  const recurrence: Recurrence = { coefficient: op.coefficient, drive: op.drive, release: op.release, form: op.form, previous: op.previous, current: op.current };
  const history: Recurrence | null = op.history === null ? null : {
    coefficient: op.history.coefficient, drive: op.history.drive, release: null, form: 'decay-then-add',
    previous: op.history.previous, current: op.history.current,
  };
  const isDescending = op.form === 'add-then-decay';
  const opposite = op.order === 'forward' ? 'reverse' : 'forward';
  const plan = {
    op, inner, channels, innerCount: count(inner), channelCount: count(channels),
    definitions: definitionsOf(op.region), types, names,
    parameters: new Map(op.parameters.map((value, at) => [value.id, at])),
    recurrence, history,
    direction: isDescending ? 'descending' : 'ascending',
    baseOrder: isDescending ? opposite : op.order,
  } as const;
  const { levels, recurrenceLevel } = assignLevels(plan, innerNames);
  const loopCount = 1 + Math.max(0, ...[...levels].map(([id, level]) => (isInner(required(types.get(id), 'type'), innerNames) ? level : 0)));
  return { ...plan, levels, recurrenceLevel, loopCount };
}

function isInner(type: TensorType, innerNames: readonly string[]): boolean {
  return type.axes.some((axis) => innerNames.includes(axis));
}

/** Whether a value has one of the plan's inner axes. */
export function hasInnerAxis(plan: Pick<RegionPlan, 'inner' | 'types'>, id: ValueId): boolean {
  return isInner(required(plan.types.get(id), `type of %${id}`), plan.inner.map((each) => each.name));
}

/** Whether a value has a channel axis. */
export function hasChannelAxis(plan: Pick<RegionPlan, 'channels' | 'types'>, id: ValueId): boolean {
  const { axes } = required(plan.types.get(id), `type of %${id}`);
  return plan.channels.some((each) => axes.includes(each.name));
}

/** Whether a value varies with time. */
export function variesInTime(plan: Pick<RegionPlan, 'types'>, id: ValueId): boolean {
  return required(plan.types.get(id), `type of %${id}`).axes.includes('time');
}

function assignLevels(
  plan: Pick<RegionPlan, 'op' | 'types' | 'recurrence'>,
  innerNames: readonly string[],
): { levels: ReadonlyMap<ValueId, number>; recurrenceLevel: number } {
  const { op, types, recurrence } = plan;
  const levels = new Map<ValueId, number>();
  for (const value of [...op.parameters, ...(op.history?.previous ?? []), ...(op.history?.current ?? [])]) levels.set(value.id, 0);
  const pending = [...op.region];
  const recurrenceNeeds = [...ofCoefficient(recurrence.coefficient), ...recurrence.drive, ...(recurrence.release ?? [])];
  let recurrenceLevel: number | null = null;
  let progress = true;
  const tryRecurrence = (): void => {
    if (recurrenceLevel !== null || !recurrenceNeeds.every((id) => levels.has(id))) return;
    recurrenceLevel = Math.max(0, ...recurrenceNeeds.map((id) => levels.get(id) ?? 0));
    for (const value of [...op.previous, ...op.current]) levels.set(value.id, recurrenceLevel);
    progress = true;
  };
  while (progress) {
    progress = false;
    tryRecurrence();
    for (let at = 0; at < pending.length; at++) {
      const instruction = required(pending[at], 'instruction');
      const operands = operandsOf(instruction.op);
      if (!operands.every((id) => levels.has(id))) continue;
      pending.splice(at--, 1);
      progress = true;
      const ownInner = instruction.results.some((value) => isInner(value.type, innerNames));
      const level = operands.reduce((most, id) => {
        const operandInner = isInner(required(types.get(id), 'type'), innerNames);
        const passes = operandInner && !ownInner ? 1 : 0;
        return Math.max(most, (levels.get(id) ?? 0) + passes);
      }, 0);
      for (const value of instruction.results) levels.set(value.id, level);
    }
  }
  invariant(pending.length === 0 && recurrenceLevel !== null, `region of ${op.state} has a cycle between read-out and drive`);
  return { levels, recurrenceLevel };
}
