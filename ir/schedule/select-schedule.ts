/**
 * Chooses a schedule for a scan from its shape and the machine, with the reason. Nothing here is
 * special to one layer: only sizes, the kinds of yields, and capabilities decide.
 */
import type { VectorWidth } from '../kernel/nodes.ts';
import type { RegionPlan } from './region-plan.ts';
import type { Machine, ScanSchedule } from './parameters.ts';

export type ScheduleDecision = { readonly schedule: ScanSchedule; readonly alternatives: readonly string[]; readonly reason: string };

/** Widest vector that divides a size. */
function widthFor(size: number, limit: number): VectorWidth {
  if (limit >= 4 && size % 4 === 0) return 4;
  return 1;
}

/** The CPU schedule: vectors over channels and states, groups of channels per worker. */
export function cpuSchedule(plan: RegionPlan, machine: Machine): ScanSchedule {
  const lastChannel = plan.channels.at(-1)?.size ?? 1;
  const lastInner = plan.inner.at(-1)?.size ?? 1;
  const lanes = widthFor(lastChannel, machine.vectorWidth);
  const innerWidth = plan.inner.length === 0 ? 1 : widthFor(lastInner, machine.vectorWidth);
  const groupChannels = Math.max(lanes, Math.min(64, Math.ceil(plan.channelCount / lanes) * lanes));
  return { parameters: { kind: 'sequential', workgroupSize: 1, lanes, innerWidth, groupChannels }, split: null };
}

/** Schedule of a scan on a machine. */
export function selectSchedule(plan: RegionPlan, machine: Machine): ScheduleDecision {
  if (machine.maximumWorkgroup === 1) {
    const schedule = cpuSchedule(plan, machine);
    return { schedule, alternatives: ['three-pass'], reason: 'a worker walks over the tokens of whole channels; states stay in registers' };
  }
  const parameters = { kind: 'sequential', workgroupSize: 64, lanes: 1, innerWidth: 1, groupChannels: 1 } as const;
  return { schedule: { parameters, split: null }, alternatives: ['lanes', 'three-pass'], reason: 'one thread per channel' };
}
