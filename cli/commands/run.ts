/** `statefuse run`: a layer on tensors from files, its results into files. */
import { initialParameters } from '../../ir/initial/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import type { Artifact, ManifestTensor } from '../../backends/artifact.ts';
import type { RunResult } from '../../runtime/device.ts';
import type { LayerRecord } from '../../runtime/layer-values.ts';
import { loadLayer, type Layer } from '../../runtime/layer.ts';
import type { Diagnostic } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import { diagnosticToJson } from '../../support/render-diagnostic.ts';
import { compileLayer, type Progress } from '../compile-layer.ts';
import { openDevice, targetOfDevice, type DeviceName } from '../devices.ts';
import { exitCodes, type CommandEnvironment, type ExitCode } from '../environment.ts';
import { parseSizes, readSource, requireLayer } from '../load.ts';
import { renderTable, writeDiagnostics, writeDocument } from '../output.ts';
import { matchTensors, type Match } from '../run/match.ts';
import { checkOutputPath, readResults, writeResults, type ResultTensor } from '../run/results.ts';
import { readNamedArray, readTensorFile, type FileTensor } from '../run/tensor-files.ts';
import { wantedTensors, type WantedRole } from '../run/wanted.ts';

export type RunOptions = {
  readonly inputs?: string;
  readonly params?: string;
  readonly initial?: string;
  readonly input: readonly string[];
  readonly param: readonly string[];
  readonly state: readonly string[];
  readonly out: string;
  readonly layer?: string;
  readonly size: readonly string[];
  readonly batch?: number;
  readonly length?: number;
  readonly seed: number;
  readonly gradients?: boolean;
  readonly device: DeviceName;
  readonly mode: 'auto' | 'recurrent' | 'scan' | 'conv';
  readonly tuning?: string;
  readonly json?: boolean;
};

/** One run from its files to its numbers. */
type Finished = {
  readonly spec: LayerSpec;
  readonly artifact: Artifact;
  readonly match: Match;
  /** parameters whose numbers came from the text and the seed */
  readonly initialised: readonly string[];
  readonly deviceName: string;
  readonly results: readonly ResultTensor[];
  readonly timing: RunResult['timing'];
  readonly warnings: readonly Diagnostic[];
};

function readFiles(environment: CommandEnvironment, options: RunOptions): readonly FileTensor[] {
  return [
    ...(options.inputs === undefined ? [] : readTensorFile(environment, options.inputs, 'any')),
    ...(options.params === undefined ? [] : readTensorFile(environment, options.params, 'param')),
    ...(options.initial === undefined ? [] : readTensorFile(environment, options.initial, 'state')),
    ...options.input.map((each) => readNamedArray(environment, '--input', each, 'any')),
    ...options.param.map((each) => readNamedArray(environment, '--param', each, 'param')),
    ...options.state.map((each) => readNamedArray(environment, '--state', each, 'state')),
  ];
}

/** Values of a role that a kernel reads; what the layer declares and never uses stays here. */
function recordOf(artifact: Artifact, { tensors }: Match, role: WantedRole, manifestRole: ManifestTensor['role']): LayerRecord {
  const read = new Set(artifact.manifest.entries.flatMap((each) => each.tensors).filter((each) => each.role === manifestRole).map((each) => each.subject));
  return Object.fromEntries(tensors.filter((each) => each.wanted.role === role && (role === 'param' || read.has(each.wanted.subject)))
    .map((each) => [each.wanted.subject, each.value]));
}

async function execute(layer: Layer, match: Match, params: LayerRecord, withGradients: boolean): Promise<Pick<Finished, 'results' | 'timing'>> {
  const { artifact } = layer;
  const { sizes } = match;
  const given = (role: WantedRole, manifestRole: ManifestTensor['role']): LayerRecord => recordOf(artifact, match, role, manifestRole);
  const call = { inputs: given('input', 'input'), params, initial: given('state', 'initial'), ...sizes };
  const hasFinals = match.tensors.some((each) => each.wanted.role === 'final-cotangent');
  const result = !withGradients ? await layer.forward(call) : await layer.gradients({
    ...call, outputCotangents: given('output-cotangent', 'output-cotangent'),
    ...(hasFinals ? { finalCotangents: given('final-cotangent', 'final-cotangent') } : {}),
  });
  return { results: await readResults(artifact, sizes, result), timing: result.timing };
}

async function runLayer(environment: CommandEnvironment, path: string, options: RunOptions, progress: Progress): Promise<Finished> {
  const { spec, warnings } = requireLayer(await readSource(environment, path), { layer: options.layer ?? null, sizes: parseSizes(options.size) });
  const files = readFiles(environment, options);
  const withGradients = options.gradients === true;
  const compiler = { target: targetOfDevice[options.device], mode: options.mode, entries: withGradients ? 'all' : 'forward-only' } as const;
  const { artifact } = required(compileLayer(environment, spec, compiler, {}, progress), 'artifact');
  const match = matchTensors({
    spec, wanted: wantedTensors(spec, artifact, withGradients), files, batch: options.batch ?? null, length: options.length ?? null,
  });
  const given = recordOf(artifact, match, 'param', 'param');
  const initialised = spec.params.map((each) => each.name).filter((name) => !Object.hasOwn(given, name));
  const drawn = initialised.length === 0 ? new Map<string, Float64Array>() : initialParameters(spec, options.seed);
  const params = { ...given, ...Object.fromEntries(initialised.map((name) => [name, required(drawn.get(name), name)])) };
  const opened = await openDevice(options.device, environment);
  if (!opened.isPresent) throw opened.error;
  const { device } = opened;
  try {
    const tuned = options.tuning === undefined ? artifact : required(compileLayer(environment, spec, compiler, {
      tuning: options.tuning, tunedFor: { device: device.info, sizes: match.sizes, objective: withGradients ? 'training' : 'forward' },
    }, progress), 'artifact').artifact;
    using layer = await loadLayer(device, tuned);
    return { spec, artifact: tuned, match, initialised, deviceName: device.info.name, warnings, ...await execute(layer, match, params, withGradients) };
  } finally {
    await device[Symbol.asyncDispose]();
  }
}

function metadataOf({ artifact, match, initialised, spec }: Finished, options: RunOptions): ReadonlyMap<string, string> {
  const { manifest } = artifact;
  return new Map([
    ['compiler', manifest.compiler], ['layer', spec.name], ['axes', spec.axes.map(({ name, size }) => `${name}=${size}`).join(',')],
    ['batch', String(match.sizes.batch)], ['length', String(match.sizes.length)],
    ['device', options.device], ['mode', manifest.mode], ['seed', String(options.seed)], ['initialised', initialised.join(',')],
    ['content_hash', manifest.contentHash],
  ]);
}

const roleTitles: Readonly<Record<WantedRole | ResultTensor['role'], string>> = {
  input: 'input', param: 'parameter', state: 'initial state', 'output-cotangent': 'gradient in', 'final-cotangent': 'gradient in',
  output: 'output', final: 'final state', gradient: 'gradient',
};

type Row = {
  readonly name: string;
  readonly role: string;
  readonly shape: readonly number[];
  readonly axes: readonly string[];
  readonly dtype: string;
  /** the file it came from or went to, or its initialiser */
  readonly place: string;
};

function rowsOf({ spec, match, initialised, results }: Finished, options: RunOptions): readonly Row[] {
  const sizes = new Map([...spec.axes.map(({ name, size }) => [name, size] as const), ...spec.tails.map(({ name, count }) => [name, count] as const)]);
  sizes.set('batch', match.sizes.batch).set('time', match.sizes.length);
  const row = (name: string, role: keyof typeof roleTitles, axes: readonly string[], more: Pick<Row, 'dtype' | 'place'>): Row =>
    ({ name, role: roleTitles[role], axes, shape: axes.map((each) => (each === 'complex' ? 2 : sizes.get(each) ?? 0)), ...more });
  const parts = (axes: readonly string[], type: string): readonly string[] => (type === 'complex' ? [...axes, 'complex'] : axes);
  const given = match.tensors.map(({ wanted, from, dtype }) => row(wanted.name, wanted.role, parts(wanted.axes, wanted.type), { dtype, place: from }));
  const drawn = spec.params.filter((each) => initialised.includes(each.name)).map((each) =>
    row(each.name, 'param', parts(each.axes, each.type), { dtype: 'f32', place: `initialiser, seed ${options.seed}` }));
  const made = results.map(({ name, role, axes, shape, data }): Row =>
    ({ name, role: roleTitles[role], axes, shape, dtype: data instanceof Int32Array ? 'i32' : 'f32', place: options.out }));
  return [...given, ...drawn, ...made];
}

function renderRun(finished: Finished, options: RunOptions, files: readonly string[]): string {
  const { spec, artifact, match, deviceName, timing } = finished;
  const axes = spec.axes.map(({ name, size }) => `${name} = ${size}`).join(', ');
  const table = rowsOf(finished, options).map((each) =>
    [each.name, each.role, `[${each.shape.join(', ')}]${each.axes.length === 0 ? '' : ` (${each.axes.join(', ')})`}`, each.dtype, each.place]);
  const what = options.gradients === true ? 'forward and gradients' : 'forward';
  const clock = timing.source === 'device' ? 'on the device' : 'wall clock';
  return [
    `layer ${spec.name}${axes === '' ? '' : `, ${axes}`}; batch ${match.sizes.batch}, length ${match.sizes.length}, seed ${options.seed}`,
    `${options.device}: ${deviceName}; mode ${artifact.manifest.mode}, content ${artifact.manifest.contentHash}`,
    '',
    renderTable(['tensor', 'role', 'shape', 'dtype', 'file'], table),
    '',
    `${what}: ${timing.milliseconds.toFixed(2)} ms (${clock}, first run); ${files.length === 1 ? `wrote ${files[0] ?? ''}` : `wrote ${files.length} files into ${options.out}`}`,
  ].join('\n') + '\n';
}

/** Writes nothing unless everything succeeded. Exit code 1 with diagnostics, 3 when the device is absent or cannot hold the layer. */
export async function runRun(
  environment: CommandEnvironment, path: string, options: RunOptions, progress: Progress,
): Promise<ExitCode> {
  checkOutputPath(options.out);
  const finished = await runLayer(environment, path, options, progress);
  const files = writeResults(environment, options.out, metadataOf(finished, options), finished.results);
  if (options.json !== true) {
    environment.writeOutput(renderRun(finished, options, files));
    writeDiagnostics(environment, finished.warnings);
    return exitCodes.success;
  }
  const { spec, artifact, match, initialised, deviceName, timing, warnings } = finished;
  writeDocument(environment, 'run', {
    ok: true, layer: spec.name, axes: spec.axes, ...match.sizes, seed: options.seed, initialised, device: options.device, deviceName,
    mode: artifact.manifest.mode, contentHash: artifact.manifest.contentHash, gradients: options.gradients === true,
    tensors: rowsOf(finished, options), timing, files, diagnostics: warnings.map(diagnosticToJson),
  });
  return exitCodes.success;
}
