/**
 * `statefuse tune`: searches the schedules of a layer on a device and keeps the fastest in a file that
 * `compile`, `explain` and `run` take. Interrupting it keeps what is known; starting it again goes on there.
 */
import { resolve } from 'node:path';
import { compilerVersion } from '../../backends/compile.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import type { DeviceInfo, ExecutionDevice } from '../../runtime/device.ts';
import { ssmError, type Diagnostic } from '../../support/diagnostic.ts';
import { diagnosticToJson } from '../../support/render-diagnostic.ts';
import type { RunSizes } from '../../support/size.ts';
import { openDevice, type DeviceName } from '../devices.ts';
import { exitCodes, type CommandEnvironment, type ExitCode } from '../environment.ts';
import { parseSizes, readSource, requireLayer } from '../load.ts';
import { renderTable, writeDiagnostics } from '../output.ts';
import { configurationOf, deviceNameOf, layerHash, storedSchedule } from '../tune/apply.ts';
import { bucketOf, findExact, readTuning, storeTuning, type TuningEntry, type TuningKey } from '../tune/cache.ts';
import { openMeasurer, type Objective } from '../tune/measure.ts';
import { search, type Refusal, type SearchEvent, type SearchResult } from '../tune/search.ts';
import { configurationKey, scheduleSpace, type Configuration, type FixedOptions } from '../tune/space.ts';

export type TuneOptions = {
  readonly device: DeviceName;
  readonly batch: number;
  readonly length: number;
  readonly objective: Objective;
  readonly dtype: 'f32' | 'f16' | 'bf16';
  readonly budget: number;
  readonly cache: string;
  readonly again?: boolean;
  readonly layer?: string;
  readonly size: readonly string[];
  readonly seed: number;
  readonly json?: boolean;
};

/** What tests put in place of the machine: a device with times of its own, and its clock in seconds. */
export type TuneHost = { readonly open: typeof openDevice; readonly now: () => number };

const thisMachine: TuneHost = { open: openDevice, now: () => performance.now() / 1e3 };

/** The key under which a result is kept. */
export function tuningKeyOf(spec: LayerSpec, info: DeviceInfo, options: Pick<TuneOptions, 'objective' | 'dtype' | 'batch' | 'length'>): TuningKey {
  return {
    layer: layerHash(spec), target: info.target, objective: options.objective, storage: options.dtype, device: deviceNameOf(info),
    driver: String(info.details['driver'] ?? ''), compiler: compilerVersion,
    batch: bucketOf(options.batch), length: options.objective === 'step' ? 1 : bucketOf(options.length),
  };
}

type Talk = {
  readonly event: (event: SearchEvent<Configuration>) => void;
  readonly end: () => void;
};

function milliseconds(value: number): string {
  return value < 1 ? `${(value * 1e3).toPrecision(4)} µs` : `${value.toPrecision(4)} ms`;
}

function writeLine(environment: CommandEnvironment, event: string, content: Readonly<Record<string, unknown>>): void {
  environment.writeOutput(`${JSON.stringify({ schema: 'statefuse-tune', version: 1, event, ...content })}\n`);
}

/** One rewritten line for people, one JSON line per event for programs, silence otherwise. */
function openTalk(environment: CommandEnvironment, isJson: boolean, now: () => number): Talk {
  const started = now();
  let [tried, refused, best, round] = [0, 0, Infinity, 0];
  const show = (): void => {
    if (isJson || !environment.isTerminal.error) return;
    const text = `${(now() - started).toFixed(0)} s, round ${round}: ${tried} timings, ${refused} refused, best ${best === Infinity ? '-' : milliseconds(best)}`;
    environment.writeError(`\r\u001b[K${text}`);
  };
  return {
    event: (event) => {
      if (event.kind === 'round') round = event.round;
      if (event.kind === 'measured') [tried, best] = [tried + 1, Math.min(best, event.milliseconds)];
      if (event.kind === 'refused') refused += 1;
      if (isJson) {
        const { kind, ...rest } = event;
        const shown = 'configuration' in rest ? { ...rest, configuration: configurationKey(rest.configuration) } : rest;
        writeLine(environment, kind, { seconds: Number((now() - started).toFixed(3)), ...shown });
      }
      show();
    },
    end: () => {
      if (!isJson && environment.isTerminal.error) environment.writeError('\r\u001b[K');
    },
  };
}

type Tuned = { readonly entry: TuningEntry; readonly result: SearchResult<Configuration> | null; readonly start: Configuration };

type Task = {
  readonly environment: CommandEnvironment;
  readonly options: TuneOptions;
  readonly spec: LayerSpec;
  readonly device: ExecutionDevice;
  readonly host: TuneHost;
  readonly known: TuningEntry | null;
  readonly key: TuningKey;
};

function entryOf({ key, spec }: Task, { best, milliseconds: time, startMilliseconds, samples, measured, ending }: SearchResult<Configuration>, before: number): TuningEntry {
  return {
    key, layerName: spec.name, interval: best.interval, schedules: new Map([...best.schedules].map(([name, each]) => [name, storedSchedule(each)])),
    microseconds: time * 1e3, ruleMicroseconds: startMilliseconds * 1e3, samples, measured: measured + before, isComplete: ending === 'nothing better',
  };
}

/** A length at which every seam of a configuration is met: checkpoints, tiles, pieces of time; never longer than asked for. */
function shortLength({ interval, schedules }: Configuration, length: number): number {
  const pieces = [...schedules.values()].map(({ split }) => split?.size ?? 0);
  return Math.min(length, Math.max(4 * interval, 2 * Math.max(0, ...pieces)) + 5);
}

/**
 * Whether outputs, saved states and gradients of a found configuration agree with the rule's: the search
 * runs its objective's entry points only, and an artifact has them all.
 */
async function confirm({ device, spec, options }: Task, fixed: FixedOptions, start: Configuration, found: Configuration): Promise<Refusal | null> {
  const sizes: RunSizes = { batch: Math.min(2, options.batch), length: shortLength(found, options.length) };
  using measurer = await openMeasurer({ device, spec, fixed: { ...fixed, entries: 'all' }, objective: 'training', sizes, seed: options.seed, start });
  const taken = await measurer.sample(found);
  return typeof taken === 'number' || taken.kind === 'same' ? null : taken;
}

async function tune(task: Task, isStopped: () => boolean): Promise<Tuned> {
  const { environment, options, spec, device, host, known } = task;
  const sizes: RunSizes = { batch: options.batch, length: options.length };
  const fixed: FixedOptions = { target: device.info.target, storage: options.dtype, entries: options.objective === 'training' ? 'all' : 'forward-only', expected: sizes };
  const space = scheduleSpace(spec, fixed, options.length);
  if (space.scans.length === 0) throw ssmError('SSM6004', `layer \`${spec.name}\` has no scan whose schedule could be tuned for \`${device.info.target}\``);
  if (known?.isComplete === true) return { entry: known, result: null, start: space.start };
  const resumeAt = known === null ? null : configurationOf(spec, fixed, known);
  const talk = openTalk(environment, options.json === true, host.now);
  try {
    using measurer = await openMeasurer({ device, spec, fixed, objective: options.objective, sizes, seed: options.seed, start: space.start });
    const result = await search({
      space, measurer, now: host.now, budget: options.budget, isStopped, onEvent: talk.event, ...(resumeAt === null ? {} : { resumeAt }),
    });
    const refusal = space.keyOf(result.best) === space.keyOf(space.start) ? null : await confirm(task, fixed, space.start, result.best);
    if (refusal !== null) talk.event({ kind: 'refused', configuration: result.best, refusal });
    const kept = refusal === null ? result : { ...result, best: space.start, milliseconds: result.startMilliseconds };
    return { entry: entryOf(task, kept, known?.measured ?? 0), result: kept, start: space.start };
  } finally {
    talk.end();
  }
}

/** Schedules that changed, beside the rule's. */
function rowsOf({ entry, start }: Tuned): readonly (readonly string[])[] {
  const textOf = (parameters: Readonly<Record<string, unknown>>, split: number | null): string => {
    const { kind, ...fields } = parameters;
    const listed = Object.entries(fields).map(([name, value]) => `${name} ${String(value)}`).join(', ');
    return `${split === null ? '' : `three-pass of ${split} tokens over `}${String(kind)}(${listed})`;
  };
  const rows = [...entry.schedules].map(([name, { parameters, split }]) => {
    const rule = start.schedules.get(name);
    const [found, before] = [textOf(parameters, split), rule === undefined ? '-' : textOf({ ...rule.parameters }, rule.split?.size ?? null)];
    return [name, found, found === before ? '(the same)' : before];
  });
  return [...rows, ['checkpoint interval', String(entry.interval), entry.interval === start.interval ? '(the same)' : String(start.interval)]];
}

const endings = {
  'nothing better': 'no neighbour of the best is faster', time: 'the budget was spent; run it again to go on', stopped: 'interrupted; run it again to go on',
} as const;

function renderTuned(tuned: Tuned, options: TuneOptions): string {
  const { entry, result } = tuned;
  const gain = entry.ruleMicroseconds / entry.microseconds;
  const verdict = gain > 1 ? `${milliseconds(entry.microseconds / 1e3)}, ${gain.toFixed(2)} times faster than the rule's choice (${milliseconds(entry.ruleMicroseconds / 1e3)})`
    : `${milliseconds(entry.microseconds / 1e3)}: nothing was faster than the rule's choice`;
  const counts = result === null ? `known already from ${options.cache} (--again measures anew)`
    : `${result.measured} configurations timed, ${result.refused} refused or alike; ${endings[result.ending]}`;
  return [
    `layer ${entry.layerName}, ${entry.key.objective}, batch ${options.batch}, length ${options.length}, ${options.dtype}`,
    `${options.device}: ${entry.key.device}`, '',
    renderTable(['scan', 'fastest', 'rule'], rowsOf(tuned), '  '), '',
    verdict, counts, ...(result === null ? [] : [`kept in ${options.cache}`]),
  ].join('\n') + '\n';
}

function report(environment: CommandEnvironment, tuned: Tuned, options: TuneOptions, warnings: readonly Diagnostic[]): void {
  if (options.json !== true) {
    writeDiagnostics(environment, warnings);
    environment.writeOutput(renderTuned(tuned, options));
    return;
  }
  const { entry, result } = tuned;
  writeLine(environment, 'done', {
    ok: true, ending: result?.ending ?? 'known', key: entry.key, interval: entry.interval, schedules: Object.fromEntries(entry.schedules),
    microseconds: entry.microseconds, ruleMicroseconds: entry.ruleMicroseconds, samples: entry.samples, measured: entry.measured,
    cache: options.cache, diagnostics: warnings.map(diagnosticToJson),
  });
}

/** Exit code 130 when interrupted (what is known is kept), 3 when the device is absent or cannot hold the layer. */
export async function runTune(environment: CommandEnvironment, path: string, options: TuneOptions, host: TuneHost = thisMachine): Promise<ExitCode> {
  const { spec, warnings } = requireLayer(await readSource(environment, path), { layer: options.layer ?? null, sizes: parseSizes(options.size) });
  const file = resolve(environment.directory, options.cache);
  const opened = await host.open(options.device, environment);
  if (!opened.isPresent) throw opened.error;
  const { device } = opened;
  let isStopped = false;
  const release = environment.onInterrupt?.(() => void (isStopped = true));
  try {
    const read = readTuning(file, options.cache);
    const key = tuningKeyOf(spec, device.info, options);
    const task: Task = { environment, options, spec, device, host, key, known: options.again === true ? null : findExact(read.entries, key) };
    const tuned = await tune(task, () => isStopped);
    if (tuned.result !== null) storeTuning(file, options.cache, tuned.entry);
    report(environment, tuned, options, [...warnings, ...read.warnings]);
    return tuned.result?.ending === 'stopped' ? exitCodes.interrupted : exitCodes.success;
  } finally {
    release?.();
    await device[Symbol.asyncDispose]();
  }
}
