/**
 * Launches of one affine scan under a schedule: a single kernel, or reduce-then-scan over pieces of
 * time (`three-pass`): summaries of all pieces side by side (end state from zero, decay), a short
 * scan over the summaries that gives each piece its carry, and the full pass of all pieces. No
 * thread waits for another, so it runs on every target and gives the same bits each time.
 */
import { ceilDivideSizes, multiplySizes, productOfSizes, type SizeExpression } from '../../support/size.ts';
import { required } from '../../support/invariant.ts';
import { add, builtin, integer, KernelBuilder, less, literal, multiply, subtract, variable } from '../kernel/builder.ts';
import type { Kernel, KernelExpression } from '../kernel/nodes.ts';
import type { ScanYield, ValueId } from '../tensor/ops.ts';
import { unionAxes } from '../tensor/builder.ts';
import { loadValue, splitIndex, withCoordinates, type MemoryReference } from './access.ts';
import { emitAdjointBlocks } from './adjoint-blocks.ts';
import { emitBlocksScan } from './blocks.ts';
import { blocksGroups } from './blocks-parameters.ts';
import { emitLanesScan } from './lanes.ts';
import { lanesGroups } from './lanes-parameters.ts';
import type { Machine, ScanSchedule } from './parameters.ts';
import { applyTransition } from './region-values.ts';
import type { RegionPlan } from './region-plan.ts';
import { storeValue, type ScanRequest, type TimeSplit, type YieldTarget } from './scan-request.ts';
import { emitSegmentsScan } from './segments.ts';
import { emitSequentialScan, sequentialGroups } from './sequential.ts';
import { emitStepScan } from './step.ts';

export type ScanLaunchContext = {
  readonly name: string;
  readonly memory: (id: ValueId) => MemoryReference;
  readonly machine: Machine;
  readonly scratch: (name: string, axes: readonly string[]) => MemoryReference;
  /** a run-time axis of this plan (groups, splits); returns its unique name */
  readonly declareAxis: (axis: string, size: SizeExpression) => string;
};

export type ScanLaunch = {
  readonly plan: RegionPlan;
  readonly schedule: ScanSchedule;
  readonly yields: readonly YieldTarget[];
  readonly finals: readonly MemoryReference[] | null;
  readonly checkpoints: { readonly interval: number; readonly targets: readonly MemoryReference[] } | null;
};

/** Groups of channels that the schedule's channel sums leave to add up. */
function groupsOf(plan: RegionPlan, schedule: ScanSchedule): number {
  const { parameters } = schedule;
  switch (parameters.kind) {
    case 'sequential':
      return sequentialGroups(plan.channelCount, parameters);
    case 'lanes':
      return lanesGroups(plan, parameters);
    case 'blocks':
      return blocksGroups(plan, parameters);
    case 'segments':
    case 'step':
      return 1;
    default:
      return parameters satisfies never;
  }
}

function splitOf(schedule: ScanSchedule): TimeSplit | null {
  return schedule.split === null ? null : { size: schedule.split.size, count: ceilDivideSizes('length', schedule.split.size) };
}

/** Axes of what the kernel writes for a yield, and which of them a later launch sums. */
export function partialAxes(
  plan: RegionPlan,
  schedule: ScanSchedule,
  yielded: ScanYield,
  axes: readonly string[],
  declareAxis: (axis: string, size: SizeExpression) => string,
): { axes: readonly string[]; over: readonly string[]; sumsTime: boolean; sumsChannels: boolean } {
  const sumsTime = yielded.sumOver.includes('time');
  const sumsChannels = plan.channels.length > 0 && plan.channels.every((each) => yielded.sumOver.includes(each.name));
  const kept = axes.filter((axis) => !(sumsTime && axis === 'time') && !(sumsChannels && plan.channels.some((each) => each.name === axis)));
  const over = kept.filter((axis) => yielded.sumOver.includes(axis));
  const split = splitOf(schedule);
  const extra: string[] = [];
  const groups = groupsOf(plan, schedule);
  if (sumsTime && split !== null) extra.push(declareAxis('split', split.count));
  if (sumsChannels && groups > 1) extra.push(declareAxis('group', groups));
  const [batch, time] = [kept.filter((axis) => axis === 'batch'), kept.filter((axis) => axis === 'time')];
  const rest = kept.filter((axis) => axis !== 'batch' && axis !== 'time');
  return { axes: [...batch, ...time, ...extra, ...rest], over: [...over, ...extra], sumsTime, sumsChannels };
}

/** The kernels of a scan, in launch order. */
export function emitScan(context: ScanLaunchContext, launch: ScanLaunch): readonly Kernel[] {
  const { plan, schedule } = launch;
  const notes = [noteOf(plan)];
  const base: ScanRequest = {
    name: context.name, notes, plan, memory: context.memory, yields: renameTargets(launch.yields), finals: launch.finals, checkpoints: launch.checkpoints,
    split: null, carry: null, summary: null,
  };
  const split = splitOf(schedule);
  if (split === null) return [emitOne(base, schedule)];
  const axis = context.declareAxis('split', split.count);
  const table = [...plan.channels, ...plan.inner];
  const stateAxes = unionAxes(table, plan.op.axes);
  const make = (name: string, count: number): MemoryReference[] => Array.from({ length: count }, (_, part) => renameAxes(context.scratch(`${name}${part}`, ['batch', axis, ...stateAxes])));
  const parts = plan.recurrence.current.length;
  const decayParts = plan.recurrence.coefficient.kind === 'exponent' ? 1 : plan.recurrence.coefficient.parts.length;
  const [ends, decays, carries] = [make('end', parts), make('decay', decayParts), make('carry', parts)];
  const summary = emitOne({ ...base, name: `${context.name}_summary`, yields: [], finals: null, checkpoints: null, split, summary: { state: ends, decay: decays } }, schedule);
  const carry = emitCarry(context, finishesLastPiece(schedule) ? { ...launch, finals: null } : launch, split, { ends, decays, carries });
  const full = emitOne({ ...base, split, carry: carries, finals: finishesLastPiece(schedule) ? launch.finals : null }, schedule);
  return [summary, carry, full];
}

/** Whether the full pass leaves the final states: the summary of the last piece is then nobody's business. */
function finishesLastPiece({ parameters }: ScanSchedule): boolean {
  return parameters.kind === 'lanes';
}

function emitOne(request: ScanRequest, schedule: ScanSchedule): Kernel {
  const { parameters } = schedule;
  switch (parameters.kind) {
    case 'sequential':
      return emitSequentialScan(request, parameters);
    case 'lanes':
      return emitLanesScan(request, parameters);
    case 'blocks':
      return request.plan.direction === 'descending' ? emitAdjointBlocks(request, parameters) : emitBlocksScan(request, parameters);
    case 'segments':
      return emitSegmentsScan(request, parameters);
    case 'step':
      return emitStepScan(request, parameters);
    default:
      return parameters satisfies never;
  }
}

/** The plan's unique run-time axes under the names that coordinates use: `group`, `split`. */
function renameAxes(reference: MemoryReference): MemoryReference {
  const axes = reference.tensor.axes.map((axis) => (/^(group|split)[0-9]+$/.exec(axis)?.[1] ?? axis));
  return { ...reference, tensor: { ...reference.tensor, axes } };
}

function renameTargets(yields: readonly YieldTarget[]): readonly YieldTarget[] {
  return yields.map((each) => ({ ...each, target: renameAxes(each.target) }));
}

/** One line with the recurrence in the letters of the layer. */
function noteOf(plan: RegionPlan): string {
  const name = plan.recurrence.current[0]?.name ?? 'state';
  const update = plan.recurrence.form === 'decay-then-add' ? `${name} = decay * ${name} + drive` : `${name} += drive, then ${name} = decay * ${name}`;
  const order = plan.direction === 'ascending' ? plan.baseOrder : plan.baseOrder === 'forward' ? 'reverse' : 'forward';
  return `${update}, ${order} in time, state over ${plan.op.axes.join(', ')}`;
}

/** carry[s] = state at the start of piece s; the last one continues into the final state. */
function emitCarry(
  context: ScanLaunchContext,
  launch: ScanLaunch,
  split: TimeSplit,
  tensors: { ends: readonly MemoryReference[]; decays: readonly MemoryReference[]; carries: readonly MemoryReference[] },
): Kernel {
  const { plan } = launch;
  const builder = new KernelBuilder();
  const workgroupSize = Math.min(64, context.machine.maximumWorkgroup);
  const count = plan.channelCount * plan.innerCount;
  const total = multiplySizes('batch', count);
  const place = builder.let('thread', workgroupSize === 1 ? builtin('workgroup-x') : add(multiply(builtin('workgroup-x'), integer(workgroupSize)), builtin('invocation')));
  const axes = [...plan.channels, ...plan.inner];
  const body = (): void => {
    const coordinates = new Map(splitBatch(builder, place, axes));
    const pieces = builder.uniform('splits', split.count);
    const initial = plan.op.initial;
    const state = tensors.ends.map((_, part) => {
      const from = initial?.[part];
      return builder.var('carry', from === undefined ? literal(0) : loadValue(builder, context.memory(from), coordinates));
    });
    builder.for('s', { start: integer(0), end: pieces }, (step) => {
      const piece = plan.direction === 'ascending' ? step : builder.let('piece', subtract(subtract(pieces, integer(1)), step));
      const here = withCoordinates(coordinates, [['split', piece]]);
      tensors.carries.forEach((target, part) => storeValue(builder, target, here, variable(required(state[part], 'part')), null));
      const decay = tensors.decays.map((reference) => builder.let('decay', loadValue(builder, reference, here)));
      const carried = applyTransition(decay, state.map((each): KernelExpression => variable(each)));
      const next = tensors.ends.map((reference, part) => builder.let('next', add(required(carried[part], 'part'), loadValue(builder, reference, here))));
      state.forEach((each, part) => builder.assign(each, required(next[part], 'part')));
    });
    launch.finals?.forEach((target, part) => storeValue(builder, target, coordinates, variable(required(state[part], 'part')), null));
  };
  if (workgroupSize === 1) body();
  else builder.if(less(place, builder.uniform('threads', total)), body);
  const gridX = workgroupSize === 1 ? total : ceilDivideSizes(productOfSizes([total]), workgroupSize);
  return builder.finish({ name: `${context.name}_carry`, notes: ['states at the starts of the pieces of time'], workgroupSize, grid: [gridX, 1, 1] });
}

function splitBatch(
  builder: KernelBuilder,
  place: KernelExpression,
  axes: readonly { readonly name: string; readonly size: number }[],
): readonly (readonly [string, KernelExpression])[] {
  return splitIndex(builder, place, [{ name: 'batch', size: 0 }, ...axes]);
}
