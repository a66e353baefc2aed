/**
 * From a file of tuning results to options of the compiler: which entry fits, which of its schedules are
 * still legal for the layer, and the numbers that `explain` gives as the reason.
 */
import { cpus } from 'node:os';
import { resolve } from 'node:path';
import { compileSpec, compilerVersion, describeSchedule, type CompileOptions } from '../../backends/compile.ts';
import { machines } from '../../backends/machines.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { candidateSchedules, scanKey, scheduleKey } from '../../ir/schedule/candidates.ts';
import type { ScanSchedule } from '../../ir/schedule/parameters.ts';
import { printModule } from '../../ir/tensor/print.ts';
import type { DeviceInfo } from '../../runtime/device.ts';
import { makeDiagnostic, ssmError, type Diagnostic } from '../../support/diagnostic.ts';
import { contentHash } from '../../support/hash.ts';
import type { RunSizes } from '../../support/size.ts';
import type { CommandEnvironment } from '../environment.ts';
import { findNearest, readTuning, type StoredSchedule, type TuningEntry } from './cache.ts';
import type { Configuration } from './space.ts';

/** What two texts of the same layer share: its Tensor IR and sizes, whatever its comments and spelling. */
export function layerHash(spec: LayerSpec): string {
  // the same for every target: the module before scheduling, at one interval
  const { module } = compileSpec(spec, { target: 'wasm', checkpointInterval: 64 });
  return contentHash(JSON.stringify(spec.axes) + printModule(module));
}

/** A schedule as the file keeps it. */
export function storedSchedule({ parameters, split }: ScanSchedule): StoredSchedule {
  return { parameters: { ...parameters }, split: split?.size ?? null };
}

/** The text of stored parameters as `scheduleKey` writes them, so that they can be found among the legal ones. */
function storedKey({ parameters }: StoredSchedule): string {
  const { kind, ...fields } = parameters;
  const listed = Object.entries(fields).sort(([left], [right]) => (left < right ? -1 : 1)).map(([name, value]) => `${name}=${String(value)}`);
  return `${String(kind)} ${listed.join(' ')} split=none`;
}

const longestPiece = 2 ** 20;

/** The schedule if its parameters are among the legal ones and its pieces meet the checkpoints. */
function legalSchedule(stored: StoredSchedule, legal: readonly ScanSchedule[], interval: number): ScanSchedule | null {
  const { split } = stored;
  const found = legal.find((each) => scheduleKey(each) === storedKey(stored));
  if (found === undefined || (split !== null && (split < 1 || split % interval !== 0 || split > longestPiece))) return null;
  return { parameters: found.parameters, split: split === null ? null : { size: split } };
}

/** The configuration of an entry as far as its schedules are legal for the layer; null where none is. */
export function configurationOf(spec: LayerSpec, options: CompileOptions, entry: TuningEntry): Configuration | null {
  const machine = options.machine ?? machines[options.target];
  const { interval } = entry;
  if (interval > 4096) return null;
  const schedules = new Map<string, ScanSchedule>();
  compileSpec(spec, {
    ...options, checkpointInterval: interval,
    decide: (plan, rule) => {
      const stored = entry.schedules.get(scanKey(plan));
      const legal = stored === undefined ? null : legalSchedule(stored, candidateSchedules({ plan, machine, interval }), interval);
      if (legal !== null) schedules.set(scanKey(plan), legal);
      return rule;
    },
  });
  return schedules.size === 0 ? null : { interval, schedules };
}

/** `1.53 times faster: 410 µs instead of 627 µs (forward, B8 L2048, NVIDIA H200)` */
export function describeEntry({ key, microseconds, ruleMicroseconds, measured, samples }: TuningEntry): string {
  const shape = `B${key.batch}${key.objective === 'step' ? '' : ` L${key.length}`}`;
  const gain = ruleMicroseconds / microseconds;
  const times = gain <= 1 ? `the rule's choice was the fastest of ${measured}: ${timeText(microseconds)}` : `measured ${gain.toFixed(2)} times faster than the rule's choice: ${timeText(microseconds)} instead of ${timeText(ruleMicroseconds)}`;
  return `${times} (${key.objective}, ${shape}, ${key.device}; ${measured} tried, ${samples} samples)`;
}

function timeText(microseconds: number): string {
  return microseconds < 1e4 ? `${Number(microseconds.toPrecision(4))} µs` : `${Number((microseconds / 1e3).toPrecision(4))} ms`;
}

export type TunedOptions = { readonly options: CompileOptions; readonly warnings: readonly Diagnostic[] };

/** Options that follow an entry; scans that it does not name, or names illegally, keep the rule's schedule. */
export function tunedOptions(spec: LayerSpec, options: CompileOptions, entry: TuningEntry): TunedOptions {
  const configuration = configurationOf(spec, options, entry);
  if (configuration === null) {
    return { options, warnings: [makeDiagnostic({
      code: 'SSM7002', severity: 'warning', message: `the tuned schedules of layer \`${entry.layerName}\` are not legal for it any more; the rule's are used`,
      help: 'measure again with `statefuse tune --again`',
    })] };
  }
  const reason = describeEntry(entry);
  return {
    warnings: [],
    options: {
      ...options, checkpointInterval: configuration.interval,
      decide: (plan, rule) => {
        const schedule = configuration.schedules.get(scanKey(plan));
        if (schedule === undefined) return { ...rule, reason: `${rule.reason}; not among the tuned` };
        const isRule = scheduleKey(schedule) === scheduleKey(rule.schedule);
        const alternatives = isRule ? rule.alternatives : [`${describeSchedule(rule.schedule)} (the rule's)`, ...rule.alternatives];
        return { schedule, alternatives, reason };
      },
    },
  };
}

/** The device as a key: on processors their model and number decide, not the engine alone. */
export function deviceNameOf({ target, name, details }: DeviceInfo): string {
  return target === 'wasm' ? `${name}, ${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${String(details['threads'] ?? 1)} threads` : name;
}

/** Who asks for tuned schedules: the device and the sizes of a run, if there is one. */
export type TunedFor = { readonly device?: DeviceInfo; readonly sizes?: RunSizes; readonly objective?: string };

/**
 * Options that follow the nearest entry of a file. A file that is missing, damaged or has nothing for the
 * layer gives warnings and the options as they were.
 */
export function applyTuningFile(
  environment: CommandEnvironment, path: string, spec: LayerSpec, options: CompileOptions, { device, sizes, objective }: TunedFor = {},
): TunedOptions {
  const { entries, warnings, isMissing } = readTuning(resolve(environment.directory, path), path);
  if (isMissing) throw ssmError('SSM7001', `\`${path}\`: there is no such file`, 'make it with `statefuse tune`');
  const query = {
    layer: layerHash(spec), target: options.target, storage: options.storage ?? 'f32', compiler: compilerVersion,
    device: device === undefined ? null : deviceNameOf(device), driver: device === undefined ? null : String(device.details['driver'] ?? ''), sizes: sizes ?? null,
  };
  // what was tuned for something else is still better than a rule
  const entry = (objective === undefined ? null : findNearest(entries, { ...query, objective })) ?? findNearest(entries, { ...query, objective: null });
  if (entry !== null) {
    const tuned = tunedOptions(spec, options, entry);
    return { ...tuned, warnings: [...warnings, ...tuned.warnings] };
  }
  const where = device === undefined ? '' : ` on ${device.name}`;
  return { options, warnings: [...warnings, makeDiagnostic({
    code: 'SSM7002', severity: 'warning', message: `\`${path}\` has no schedules for layer \`${spec.name}\` as \`${options.target}\` ${options.storage ?? 'f32'}${where}; the rule's are used`,
    help: 'measure them with `statefuse tune`',
  })] };
}
