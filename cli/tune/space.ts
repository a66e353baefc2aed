/**
 * What a tuner varies for one layer and target: the checkpoint interval and the schedule of every scan.
 * A configuration is turned into options of the compiler by `compileOptionsOf`.
 */
import { compileSpec, type CompileOptions } from '../../backends/compile.ts';
import { machines } from '../../backends/machines.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { candidateSchedules, scanKey, scheduleDistance, scheduleKey } from '../../ir/schedule/candidates.ts';
import type { ScanSchedule } from '../../ir/schedule/parameters.ts';
import type { RegionPlan } from '../../ir/schedule/region-plan.ts';
import { required } from '../../support/invariant.ts';
import type { Space } from './search.ts';

/** `schedules` by `scanKey`. */
export type Configuration = { readonly interval: number; readonly schedules: ReadonlyMap<string, ScanSchedule> };

/** What stays the same for all configurations: target, storage, entry points, and the sizes that the rule may count on. */
export type FixedOptions = Pick<CompileOptions, 'target' | 'storage' | 'entries' | 'machine' | 'wgsl' | 'expected'>;

/** Intervals that are tried beside the target's own. */
const intervals: readonly number[] = [8, 16, 32, 64, 128, 256];

/** A scan of the layer at some interval, with the rule's choice. */
type Scan = { readonly plan: RegionPlan; readonly rule: ScanSchedule };

/** Checkpoint interval that the compiler takes by itself. */
export function defaultInterval({ target, machine }: FixedOptions): number {
  return (machine ?? machines[target]).maximumWorkgroup === 1 ? 64 : 16;
}

/** A configuration as text, equal for equal ones. */
export function configurationKey({ interval, schedules }: Configuration): string {
  return [`interval=${interval}`, ...[...schedules].sort(([left], [right]) => (left < right ? -1 : 1)).map(([key, schedule]) => `${key}: ${scheduleKey(schedule)}`)].join('; ');
}

/** Options that compile a layer in a configuration; scans that it does not name keep the rule's schedule. */
export function compileOptionsOf(fixed: FixedOptions, { interval, schedules }: Configuration): CompileOptions {
  return {
    ...fixed, checkpointInterval: interval,
    decide: (plan, rule) => ({ ...rule, schedule: schedules.get(scanKey(plan)) ?? rule.schedule }),
  };
}

function scansOf(spec: LayerSpec, fixed: FixedOptions, interval: number): ReadonlyMap<string, Scan> {
  const found = new Map<string, Scan>();
  compileSpec(spec, {
    ...fixed, checkpointInterval: interval,
    decide: (plan, rule) => {
      found.set(scanKey(plan), { plan, rule: rule.schedule });
      return rule;
    },
  });
  return found;
}

/** The space of a layer; compiles it once for each interval that is looked at. */
export function scheduleSpace(spec: LayerSpec, fixed: FixedOptions, length: number): Space<Configuration> & { readonly scans: readonly string[] } {
  const machine = fixed.machine ?? machines[fixed.target];
  const known = new Map<number, ReadonlyMap<string, Scan>>();
  const scansAt = (interval: number): ReadonlyMap<string, Scan> => {
    const found = known.get(interval) ?? scansOf(spec, fixed, interval);
    known.set(interval, found);
    return found;
  };
  const candidates = (plan: RegionPlan, interval: number): readonly ScanSchedule[] => candidateSchedules({ plan, machine, interval, length });
  const defaultAt = defaultInterval(fixed);
  const start: Configuration = { interval: defaultAt, schedules: new Map([...scansAt(defaultAt)].map(([key, { rule }]) => [key, rule])) };

  /** One field of one scan changed; of other kinds of schedule the plainest. */
  const scheduleSteps = ({ interval, schedules }: Configuration): readonly Configuration[] => [...scansAt(interval)].flatMap(([key, { plan }]) => {
    const current = required(schedules.get(key), key);
    const kinds = new Set<string>([current.parameters.kind]);
    return candidates(plan, interval).filter((each) => {
      const isOtherKind = !kinds.has(each.parameters.kind);
      kinds.add(each.parameters.kind);
      return isOtherKind || scheduleDistance(current, each) === 1;
    }).map((each) => ({ interval, schedules: new Map([...schedules, [key, each] as const]) }));
  });

  /** The next smaller and larger interval, every scan as like itself as the interval allows. */
  const intervalSteps = ({ interval, schedules }: Configuration): readonly Configuration[] => {
    const sorted = [...new Set([...intervals, defaultAt])].sort((left, right) => left - right);
    const place = sorted.indexOf(interval);
    return [sorted[place - 1], sorted[place + 1]].flatMap((next) => {
      if (next === undefined) return [];
      const here = scansAt(interval);
      const moved = [...scansAt(next)].map(([key, { plan, rule }]) => {
        const current = required(schedules.get(key), key);
        const isRule = scheduleKey(current) === scheduleKey(required(here.get(key), key).rule);
        const nearest = [...candidates(plan, next)].sort((left, right) => scheduleDistance(current, left) - scheduleDistance(current, right))[0];
        return [key, isRule ? rule : (nearest ?? rule)] as const;
      });
      return [{ interval: next, schedules: new Map(moved) }];
    });
  };
  return {
    start, scans: [...start.schedules.keys()], keyOf: configurationKey,
    neighbours: (configuration) => [...scheduleSteps(configuration), ...intervalSteps(configuration)],
  };
}
