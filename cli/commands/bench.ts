/**
 * `statefuse bench`: times of a layer's entry points on a device, beside what the device can do at best,
 * measured on it in the same minute.
 */
import type { EntryPointName, ManifestEntry } from '../../backends/artifact.ts';
import type { CompileResult } from '../../backends/compile.ts';
import { wgslOptionsFor } from '../../backends/wgsl/adapter.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { explainLayer, type ExplainedFloor } from '../../ir/explain/explain.ts';
import type { ExecutionDevice, RunResult } from '../../runtime/device.ts';
import type { Diagnostic } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import { diagnosticToJson } from '../../support/render-diagnostic.ts';
import type { RunSizes } from '../../support/size.ts';
import { compileLayer, type Progress } from '../compile-layer.ts';
import { openDevice, targetOfDevice, type DeviceName } from '../devices.ts';
import { exitCodes, UsageError, type CommandEnvironment, type ExitCode } from '../environment.ts';
import { parseSizes, readSource, requireLayer } from '../load.ts';
import { measureFloors, type Floors } from '../measure/device-floors.ts';
import { bytesOfEntry, makeArguments, makeRunner, sizesOfEntry } from '../measure/entry-runner.ts';
import { middleMean, summarize, type Summary } from '../measure/statistics.ts';
import { renderTable, writeDiagnostics, writeDocument } from '../output.ts';

export type BenchOptions = {
  readonly device: DeviceName;
  readonly batch: number;
  readonly length: number;
  readonly mode: 'auto' | 'recurrent' | 'scan' | 'conv';
  readonly dtype: 'f32' | 'f16' | 'bf16';
  readonly entry: readonly string[];
  readonly samples: number;
  readonly seed: number;
  readonly tuning?: string;
  readonly layer?: string;
  readonly size: readonly string[];
  readonly json?: boolean;
};

export type BenchRow = {
  readonly entry: EntryPointName;
  readonly milliseconds: Summary & { readonly middleMean: number };
  /** how the times were taken */
  readonly source: RunResult['timing']['source'];
  readonly launches: number;
  readonly bytes: number;
  readonly gigabytesPerSecond: number;
  /** milliseconds: bytes of all tensors once, exponentials of the transitions once */
  readonly floor: { readonly bytes: number; readonly exponentials: number };
  readonly percentOfFloor: number;
};

type Benched = {
  readonly spec: LayerSpec;
  readonly sizes: RunSizes;
  readonly compiled: CompileResult;
  readonly device: ExecutionDevice;
  readonly floors: Floors;
  readonly sets: number;
  readonly rows: readonly BenchRow[];
};

const warmUps = 3;

/** Entries that are asked for, or all; a name that the layer lacks is a usage error. */
function chosenEntries(compiled: CompileResult, wanted: readonly string[]): readonly ManifestEntry[] {
  const { entries } = compiled.artifact.manifest;
  const unknown = wanted.find((name) => !entries.some((each) => each.name === name));
  if (unknown !== undefined) throw new UsageError(`\`--entry ${unknown}\`: the layer has ${entries.map((each) => each.name).join(', ')}`);
  return wanted.length === 0 ? entries.filter((each) => each.name !== 'backwardFinal') : entries.filter((each) => wanted.includes(each.name));
}

function floorOf(entry: ManifestEntry, sizes: RunSizes, least: ExplainedFloor | null, floors: Floors): BenchRow['floor'] {
  const { batch, length } = sizesOfEntry(entry.name, sizes);
  const exponentials = (least?.exponentials ?? 0) * batch * length;
  return { bytes: (bytesOfEntry(entry, { batch, length }) * floors.byte) / 1e6, exponentials: (exponentials * floors.exponential) / 1e6 };
}

async function bench(options: BenchOptions, spec: LayerSpec, compiled: CompileResult, device: ExecutionDevice): Promise<Benched> {
  const sizes: RunSizes = { batch: options.batch, length: options.length };
  const entries = chosenEntries(compiled, options.entry);
  const floors = await measureFloors(device);
  const { floor: least } = explainLayer({ spec, module: compiled.module, plans: compiled.plans, decisions: [], sizes, choice: null });
  using layer = await device.prepare(compiled.artifact);
  using given = makeArguments({ device, spec, sizes, seed: options.seed, entries });
  using runner = makeRunner({ layer, sizes, arguments: given });
  const rows: BenchRow[] = [];
  for (const entry of entries) {
    const times: number[] = [];
    let source: BenchRow['source'] = 'wall-clock';
    for (let at = -warmUps; at < options.samples; at++) {
      const timing = await runner.run(entry.name);
      source = timing.source;
      if (at >= 0) times.push(timing.milliseconds);
    }
    const milliseconds = { ...summarize(times), middleMean: middleMean(times) };
    const bytes = bytesOfEntry(entry, sizesOfEntry(entry.name, sizes));
    const floor = floorOf(entry, sizes, least, floors);
    rows.push({
      entry: entry.name, milliseconds, source, launches: entry.dispatches.length, bytes, floor,
      gigabytesPerSecond: bytes / (milliseconds.median * 1e6), percentOfFloor: (100 * Math.max(floor.bytes, floor.exponentials)) / milliseconds.median,
    });
  }
  return { spec, sizes, compiled, device, floors, sets: given.sets, rows };
}

function render({ spec, sizes, compiled, device, floors, sets, rows }: Benched, options: BenchOptions): string {
  const time = (value: number): string => (value >= 1 ? `${value.toPrecision(4)} ms` : `${(value * 1e3).toPrecision(4)} µs`);
  const table = rows.map(({ entry, milliseconds, launches, gigabytesPerSecond, floor, percentOfFloor }) => [
    entry, `${time(milliseconds.median)} (${time(milliseconds.least)} to ${time(milliseconds.most)})`, String(launches),
    gigabytesPerSecond.toPrecision(3), `${time(Math.max(floor.bytes, floor.exponentials))} ${floor.bytes >= floor.exponentials ? 'bytes' : 'exponentials'}`,
    `${percentOfFloor.toPrecision(2)} %`,
  ]);
  const axes = spec.axes.map(({ name, size }) => `${name} = ${size}`).join(', ');
  const details = Object.entries(device.info.details).map(([name, value]) => `${name} ${String(value)}`).join(', ');
  const clock = rows.every((each) => each.source === 'device') ? 'the device\'s clock' : 'the wall clock';
  return [
    `layer ${spec.name}${axes === '' ? '' : `, ${axes}`}; batch ${sizes.batch}, length ${sizes.length}, ${options.dtype}, mode ${compiled.artifact.manifest.mode}`,
    `${options.device}: ${device.info.name}${details === '' ? '' : ` (${details})`}`,
    `measured here: ${(1 / floors.byte).toPrecision(3)} GB/s in a copy, ${floors.exponential.toPrecision(3)} ns per exponential`,
    '',
    renderTable(['entry', 'median (least to most)', 'launches', 'GB/s', 'floor', 'of floor'], table),
    '',
    `${options.samples} runs each on ${clock}, ${sets} sets of tensors in turn; GB/s counts every tensor once`,
  ].join('\n') + '\n';
}

function report(environment: CommandEnvironment, benched: Benched, options: BenchOptions, warnings: readonly Diagnostic[]): void {
  if (options.json !== true) {
    environment.writeOutput(render(benched, options));
    writeDiagnostics(environment, warnings);
    return;
  }
  const { spec, sizes, compiled, device, floors, sets, rows } = benched;
  const { mode, contentHash, decisions } = compiled.artifact.manifest;
  writeDocument(environment, 'bench', {
    ok: true, layer: spec.name, axes: spec.axes, ...sizes, dtype: options.dtype, mode, contentHash, decisions, seed: options.seed,
    device: options.device, deviceName: device.info.name, details: device.info.details, floors, sets, samples: options.samples, rows,
    diagnostics: warnings.map(diagnosticToJson),
  });
}

/** Exit code 3 when the device is absent or cannot hold the layer. */
export async function runBench(environment: CommandEnvironment, path: string, options: BenchOptions, progress: Progress): Promise<ExitCode> {
  const { spec, warnings } = requireLayer(await readSource(environment, path), { layer: options.layer ?? null, sizes: parseSizes(options.size) });
  const sizes: RunSizes = { batch: options.batch, length: options.length };
  const opened = await openDevice(options.device, environment);
  if (!opened.isPresent) throw opened.error;
  const { device } = opened;
  try {
    const forDevice = options.device === 'webgpu' ? wgslOptionsFor(device.info.details) : {};
    const compiler = { target: targetOfDevice[options.device], mode: options.mode, storage: options.dtype, expected: sizes, ...forDevice } as const;
    const use = options.tuning === undefined ? {} : { tuning: options.tuning, tunedFor: { device: device.info, sizes } };
    const compiled = required(compileLayer(environment, spec, compiler, use, progress), 'artifact');
    report(environment, await bench(options, spec, compiled, device), options, warnings);
    return exitCodes.success;
  } finally {
    await device[Symbol.asyncDispose]();
  }
}
