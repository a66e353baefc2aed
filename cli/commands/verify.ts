/**
 * `statefuse verify`: recurrent, scan, conv where it is legal, and step, forward and gradients, on every device of this machine
 * against the float64 interpreter of Tensor IR, with random numbers.
 */
import type { LayerSpec } from '../../dsl/spec.ts';
import { reasonAgainstStep } from '../../ir/explain/layer-facts.ts';
import { obstaclesToConvolution } from '../../ir/explain/convolution-facts.ts';
import type { TensorModule } from '../../ir/tensor/ops.ts';
import type { ExecutionDevice } from '../../runtime/device.ts';
import { SsmError, type Diagnostic } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import { diagnosticToJson } from '../../support/render-diagnostic.ts';
import type { RunSizes } from '../../support/size.ts';
import type { SourceFile } from '../../support/source.ts';
import { compileLayer, type Progress } from '../compile-layer.ts';
import { deviceNames, openDevice, targetOfDevice, type DeviceName } from '../devices.ts';
import { exitCodes, type CommandEnvironment, type ExitCode } from '../environment.ts';
import { parseSizes, readSource, readTree, requireLayer, type LoadedLayer } from '../load.ts';
import { exitCodeOf, renderTable, writeDiagnostics, writeDocument } from '../output.ts';
import { compareSequence, compareSteps, type Comparison } from '../verify/compare.ts';
import { makeReference, type Reference } from '../verify/reference.ts';

export type VerifyOptions = {
  readonly device: DeviceName | 'all';
  /** a step is compared with the recurrence */
  readonly mode: Mode | 'all';
  readonly layer?: string;
  readonly size: readonly string[];
  readonly batch: number;
  readonly length: number;
  readonly seed: number;
  readonly full?: boolean;
  readonly json?: boolean;
};

/**
 * Relative L2 above this is a disagreement, f32 against float64: over tens of tokens 2e-5, over more as the rounding of a
 * transition adds up in states that remember them (gradients of LRU's phases: 3e-5 at 1000 tokens in every mode).
 */
function toleranceFor({ length }: RunSizes): number {
  return Math.min(2e-4, 2e-5 * Math.sqrt(Math.max(1, length / 64)));
}

/** Short pieces and intervals, so that a few dozen tokens meet every seam. */
const intervals = { checkpointInterval: 8, pieceLength: 16 } as const;
const cutSize = 12;
/** No machine transforms below this length. */
const shortestTransform = 1024;

type Mode = 'recurrent' | 'scan' | 'conv';
type Row = Comparison & { readonly device: DeviceName; readonly mode: Mode | 'step' };
type Outcome = { readonly rows: Row[]; readonly notes: string[]; readonly problems: Diagnostic[] };
type Task = {
  readonly environment: CommandEnvironment;
  readonly spec: LayerSpec;
  readonly module: TensorModule;
  readonly sizes: RunSizes;
  readonly modes: readonly Mode[];
  readonly reference: Reference;
  readonly progress: Progress;
};

/** The layer with its axes cut to a size that an interpreter can take, where its other sizes allow it. */
function loadCut(file: SourceFile, options: VerifyOptions): LoadedLayer {
  const layer = options.layer ?? null;
  const asked = parseSizes(options.size);
  const whole = requireLayer(file, { layer, sizes: asked });
  if (options.full === true) return whole;
  const declared = readTree(file).tree.layers.find((each) => each.name.text === whole.spec.name)?.axes ?? [];
  const cut = new Map(asked);
  for (const { name, size } of whole.spec.axes) {
    if (!asked.has(name) && declared.some((each) => each.name.text === name)) cut.set(name, Math.min(size, cutSize));
  }
  try {
    return requireLayer(file, { layer, sizes: cut });
  } catch (error) {
    if (error instanceof SsmError) return whole;
    throw error;
  }
}

/** The modes asked for, which are all that are legal; a single one may be refused by the compiler, which says why. */
function modesOf(spec: LayerSpec, wanted: VerifyOptions['mode']): readonly Mode[] {
  if (wanted !== 'all') return [wanted];
  return obstaclesToConvolution(spec).length === 0 ? ['recurrent', 'scan', 'conv'] : ['recurrent', 'scan'];
}

async function verifyOn(task: Task, name: DeviceName, device: ExecutionDevice, outcome: Outcome): Promise<void> {
  for (const mode of task.modes) {
    try {
      // what a run of this length executes: software devices take seconds to compile each kernel of a transform
      const convolution = task.sizes.length < shortestTransform ? 'direct' : 'auto';
      const options = { target: targetOfDevice[name], mode, convolution, ...intervals } as const;
      const { artifact } = required(compileLayer(task.environment, task.spec, options, {}, task.progress), 'artifact');
      using layer = await device.prepare(artifact);
      for (const each of await compareSequence(layer, task.sizes, task.reference)) outcome.rows.push({ device: name, mode, ...each });
      if (mode !== 'recurrent') continue;
      const steps = await compareSteps(layer, task.sizes, task.reference);
      for (const each of steps ?? []) outcome.rows.push({ device: name, mode: 'step', ...each });
    } catch (error) {
      if (!(error instanceof SsmError)) throw error;
      outcome.problems.push(...error.diagnostics.map((each) => ({ ...each, notes: [...each.notes, `device ${name}, mode ${mode}`] })));
    }
  }
}

async function verifyDevices(task: Task, wanted: DeviceName | 'all', outcome: Outcome): Promise<void> {
  const names: readonly DeviceName[] = wanted === 'all' ? deviceNames : [wanted];
  for (const name of names) {
    const opened = await openDevice(name, task.environment);
    if (!opened.isPresent) {
      if (wanted !== 'all') throw opened.error;
      outcome.notes.push(`${name}: absent (${opened.error.diagnostics[0]?.message ?? ''})`);
      continue;
    }
    const { device } = opened;
    outcome.notes.push(`${name}: ${device.info.name}`);
    try {
      await verifyOn(task, name, device, outcome);
    } finally {
      await device[Symbol.asyncDispose]();
    }
  }
}

/** One line per device, mode and entry point, with the tensor that differs most. */
function worstRows(rows: readonly Row[]): readonly Row[] {
  const worst = new Map<string, Row>();
  for (const row of rows) {
    const key = `${row.device} ${row.mode} ${row.entry}`;
    if (!(row.relativeError <= (worst.get(key)?.relativeError ?? -1))) worst.set(key, row);
  }
  return [...worst.values()];
}

function agreesWithin(sizes: RunSizes): (row: Row) => boolean {
  const tolerance = toleranceFor(sizes);
  return (row) => row.relativeError <= tolerance;
}

function renderOutcome(task: Task, outcome: Outcome, seed: number): string {
  const { spec, sizes } = task;
  const agrees = agreesWithin(sizes);
  const axes = spec.axes.map(({ name, size }) => `${name} = ${size}`).join(', ');
  const counts = new Map<string, number>();
  for (const row of outcome.rows) {
    const key = `${row.device} ${row.mode} ${row.entry}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const bad = outcome.rows.filter((row) => !agrees(row));
  const shown = [...worstRows(outcome.rows.filter(agrees)), ...bad];
  const table = shown.map((row) => [
    row.device, row.mode, row.entry, agrees(row) ? String(counts.get(`${row.device} ${row.mode} ${row.entry}`) ?? 0) : '1',
    row.tensor, row.relativeError.toExponential(1), agrees(row) ? 'agrees' : 'DISAGREES',
  ]);
  const against = reasonAgainstStep(spec, task.module);
  const compared = [
    renderTable(['device', 'mode', 'entry', 'tensors', 'worst', 'relative L2', ''], table),
    '',
    `${outcome.rows.length - bad.length} of ${outcome.rows.length} tensors agree with float64 within ${Number(toleranceFor(sizes).toPrecision(2))} (relative L2)`,
  ];
  return [
    `layer ${spec.name}${axes === '' ? '' : `, ${axes}`}; batch ${sizes.batch}, length ${sizes.length}, seed ${seed}`,
    ...outcome.notes,
    ...(against === null ? [] : [`step: not legal, ${against}`]),
    '',
    ...(outcome.rows.length === 0 ? ['nothing was compared'] : compared),
  ].join('\n') + '\n';
}

/** Exit code 1 on a disagreement, 3 when the named device is absent or a target cannot hold the layer. */
export async function runVerify(
  environment: CommandEnvironment, path: string, options: VerifyOptions, progress: Progress,
): Promise<ExitCode> {
  const { spec, warnings } = loadCut(await readSource(environment, path), options);
  const sizes: RunSizes = { batch: options.batch, length: options.length };
  const compiled = required(compileLayer(environment, spec, { target: 'wasm', ...intervals }, {}, progress), 'module');
  const reference = makeReference(spec, compiled.module, sizes, options.seed);
  const task: Task = { environment, spec, module: compiled.module, sizes, modes: modesOf(spec, options.mode), reference, progress };
  const outcome: Outcome = { rows: [], notes: [], problems: [] };
  await verifyDevices(task, options.device, outcome);
  const agrees = agreesWithin(sizes);
  const isAgreed = outcome.rows.every(agrees);
  if (options.json === true) {
    writeDocument(environment, 'verify', {
      ok: isAgreed && outcome.problems.length === 0, layer: spec.name, axes: spec.axes, ...sizes, seed: options.seed, tolerance: toleranceFor(sizes),
      devices: outcome.notes, rows: outcome.rows.map((row) => ({ ...row, agrees: agrees(row) })),
      diagnostics: [...warnings, ...outcome.problems].map(diagnosticToJson),
    });
  } else {
    environment.writeOutput(renderOutcome(task, outcome, options.seed));
    writeDiagnostics(environment, [...warnings, ...outcome.problems]);
  }
  if (!isAgreed) return exitCodes.diagnostics;
  if (outcome.rows.length === 0 && outcome.problems.length === 0) return exitCodes.unsupported;
  return exitCodeOf(outcome.problems);
}
