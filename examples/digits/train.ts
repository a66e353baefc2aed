/**
 * The main job on a machine with nothing but Node: compiles two classifiers of handwritten digits, an
 * S4D and a Mamba model, checks the ways of computing them against each other, trains both on the CPU
 * and writes the kernels that were generated for WASM, WebGPU and CUDA.
 *
 *     node dist/examples/digits/train.js [--layer s4d|mamba] [--epochs 25] [--seed 1]
 */
import { parseArgs } from 'node:util';
import { compileSpec } from '../../backends/compile.ts';
import { loadLayer as readLayer } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { initialParameters } from '../../ir/initial/index.ts';
import { loadLayer, type ExecutionDevice, type Layer } from '../../runtime/index.ts';
import { openWasm } from '../../runtime/wasm/index.ts';
import { openDawn } from '../../runtime/webgpu/index.ts';
import { SsmError } from '../../support/diagnostic.ts';
import { renderDiagnostics } from '../../support/render-diagnostic.ts';
import { largestDifference, runBatch, type BatchNumbers } from './check.ts';
import { parseDigits, selectDigits, splitDigits, type Digits } from './data.ts';
import { readExampleFile, writeArtifact } from './files.ts';
import { accuracyOn, trainDigits, type Progress } from './training.ts';

type Model = { readonly name: string; readonly file: string; readonly rate: number };

const models: readonly Model[] = [
  { name: 's4d', file: 's4d-digits.ssm', rate: 1e-2 },
  { name: 'mamba', file: 'mamba-digits.ssm', rate: 1e-2 },
];
const [trainingBatch, testBatch, checkedRows] = [32, 60, 8];
/** f32 against f32 in another order of operations */
const allowedDifference = 1e-4;
const wantedAccuracy = 0.9;

type Job = {
  readonly model: Model;
  readonly spec: LayerSpec;
  readonly data: { readonly train: Digits; readonly test: Digits };
  readonly seed: number;
  readonly epochs: number;
  readonly wasm: ExecutionDevice;
  readonly webgpu: ExecutionDevice | null;
};

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

/** One line that is rewritten on a terminal; elsewhere a line every few epochs. */
function progressLine(name: string): (progress: Progress) => void {
  const start = performance.now();
  const isTerminal = process.stdout.isTTY === true;
  let [average, shown] = [NaN, 0];
  return ({ epoch, epochs, step, steps, loss }) => {
    average = Number.isNaN(average) ? loss : 0.95 * average + 0.05 * loss;
    const line = `  ${name}: epoch ${epoch}/${epochs}, loss ${average.toFixed(3)}, ${seconds(start)}`;
    if (isTerminal) process.stdout.write(`\r\u001b[K${line}${step === steps ? '\n' : ''}`);
    else if (step === steps || (epoch % 5 === 0 && epoch !== epochs && epoch !== shown)) {
      shown = epoch;
      say(line);
    }
  };
}

function readModel({ file }: Model): LayerSpec {
  const { spec, diagnostics } = readLayer({ name: file, text: readExampleFile(file) }, null, { sizes: new Map() });
  if (spec === null) throw new SsmError(diagnostics);
  return spec;
}

async function compareWith(reference: BatchNumbers, what: string, layer: Layer, job: Job, rows: Digits): Promise<boolean> {
  const numbers = await runBatch(layer, initialParameters(job.spec, job.seed), rows);
  const { tensor, error } = largestDifference(reference, numbers);
  const isClose = error <= allowedDifference;
  const verdict = isClose ? '' : ': TOO LARGE';
  say(`  ${what}: ${reference.size} tensors, largest difference ${error.toExponential(1)} (${tensor})${verdict}`);
  layer[Symbol.dispose]();
  return isClose;
}

/** The same batch, forward and backward, in other modes and on other devices. */
async function verify(job: Job, layer: Layer): Promise<boolean> {
  const rows = selectDigits(job.data.test, Array.from({ length: checkedRows }, (_, at) => at));
  const reference = await runBatch(layer, initialParameters(job.spec, job.seed), rows);
  say(`  reference: WASM, mode recurrent (one pass over the tokens)`);
  const scan = compileSpec(job.spec, { target: 'wasm', mode: 'scan', checkpointInterval: 16, pieceLength: 16 });
  const pieces = await loadLayer(job.wasm, scan.artifact);
  let isFine = await compareWith(reference, 'WASM, mode scan (pieces of 16 tokens)', pieces, job, rows);
  const step = layer.artifact.manifest.decisions.find((each) => each.subject === 'step' && each.chosen === 'absent');
  if (step !== undefined) say(`  step: none, since ${step.reason}`);
  const wgsl = compileSpec(job.spec, { target: 'wgsl' }).artifact;
  if (job.webgpu !== null) {
    const onGpu = await loadLayer(job.webgpu, wgsl);
    isFine = (await compareWith(reference, `WebGPU (${job.webgpu.info.name})`, onGpu, job, rows)) && isFine;
  }
  const cuda = compileSpec(job.spec, { target: 'cuda' }).artifact;
  const folders = [layer.artifact, wgsl, cuda].map((each) => writeArtifact(job.model.name, each));
  say(`  kernels and manifests: ${folders.join(', ')}`);
  return isFine;
}

/** True when the checks held and the accuracy was reached. */
async function runJob(job: Job): Promise<boolean> {
  const start = performance.now();
  const layer = await loadLayer(job.wasm, compileSpec(job.spec, { target: 'wasm', mode: 'recurrent' }).artifact);
  const parameters = new Map(initialParameters(job.spec, job.seed));
  const count = [...parameters.values()].reduce((sum, each) => sum + each.length, 0);
  say(`${job.spec.name}: ${count} parameters, compiled for WASM in ${seconds(start)}`);
  const isVerified = await verify(job, layer);
  const training = performance.now();
  await trainDigits(layer, job.spec, parameters, job.data.train, {
    epochs: job.epochs, batch: trainingBatch, rate: job.model.rate, seed: job.seed,
    onProgress: progressLine(job.model.name),
  });
  const onTest = await accuracyOn(layer, job.data.test, testBatch);
  const onTrain = await accuracyOn(layer, job.data.train, testBatch);
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const isGood = onTest >= wantedAccuracy;
  const verdict = isGood ? '' : `, below ${percent(wantedAccuracy)}`;
  say(`  test accuracy ${percent(onTest)} (training ${percent(onTrain)}) after ${seconds(training)}${verdict}`);
  layer[Symbol.dispose]();
  return isVerified && isGood;
}

async function openWebGpu(): Promise<ExecutionDevice | null> {
  try {
    return await openDawn();
  } catch (error) {
    if (!(error instanceof SsmError)) throw error;
    say(`no WebGPU here (${error.message}); only WASM is checked`);
    return null;
  }
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({ options: {
    layer: { type: 'string' }, epochs: { type: 'string', default: '25' }, seed: { type: 'string', default: '1' },
  } });
  const chosen = models.filter((each) => values.layer === undefined || each.name === values.layer);
  const [epochs, seed] = [Number(values.epochs), Number(values.seed)];
  if (chosen.length === 0 || !Number.isSafeInteger(epochs) || epochs < 1 || !Number.isSafeInteger(seed)) {
    say('usage: train.js [--layer s4d|mamba] [--epochs 25] [--seed 1]');
    return false;
  }
  const data = splitDigits(parseDigits(readExampleFile('digits.csv')));
  const wasm = await openWasm();
  const webgpu = await openWebGpu();
  const { name, details } = wasm.info;
  say(`${data.train.count} digits to train on, ${data.test.count} to test on; ${name}, ${details['threads'] ?? 1} threads`);
  let isFine = true;
  for (const model of chosen) {
    isFine = (await runJob({ model, spec: readModel(model), data, seed, epochs, wasm, webgpu })) && isFine;
  }
  await webgpu?.[Symbol.asyncDispose]();
  await wasm[Symbol.asyncDispose]();
  return isFine;
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  if (!(error instanceof SsmError)) throw error;
  say(renderDiagnostics(error.diagnostics, { color: false }));
  process.exitCode = 1;
}
