/**
 * What is tried on every generated layer: which executors, in which modes, on which machines' schedules,
 * and by which standard. A check either compares tensors with the oracle or must not throw.
 */
import type { CompileOptions, CompileResult } from '../../backends/compile.ts';
import { machines } from '../../backends/machines.ts';
import { obstaclesToConvolution } from '../../ir/explain/convolution-facts.ts';
import type { Machine } from '../../ir/schedule/parameters.ts';
import type { ExecutionDevice } from '../../runtime/device.ts';
import type { GradientResult } from '../oracle/evaluate.ts';
import { wgslRounding } from '../oracle/rounding.ts';
import { answersOf, makeCase, type GeneratedCase } from './case.ts';
import { expectedTensors, judgeTensor, type RunResults, type Standard, type Verdict } from './judge.ts';
import type { LayerRecipe } from './recipe.ts';
import { compileCase, onDevice, runDevice, runKernelIr, runSteps, runTensorIr } from './targets.ts';

export type Finding = {
  readonly kind: 'wrong' | 'crash';
  /** which executor, mode and machine */
  readonly check: string;
  /** failures with one signature are taken for one bug */
  readonly signature: string;
  readonly detail: string;
};

export type Examination = {
  readonly findings: readonly Finding[];
  /** compared tensors by verdict */
  readonly right: number;
  readonly vacuous: readonly string[];
  /** checks that ran */
  readonly checks: readonly string[];
  /** largest |error| / bound by check */
  readonly uses: ReadonlyMap<string, number>;
};

export type Devices = { readonly wasm: ExecutionDevice; readonly webgpu: ExecutionDevice | null };

/** How much is tried on a case. `webgpu` takes seconds: its kernels are compiled by a software driver. */
export type Effort = {
  readonly webgpu: boolean;
  /** the only check that is to run; absent: all */
  readonly only?: string;
};

type Check = {
  readonly name: string;
  readonly standard: Standard;
  readonly target: 'f32' | 'wgsl';
  readonly run: () => Promise<RunResults | null>;
};

/** Schedules are made for machines; what runs them is the interpreter. */
export const interpretedMachines: Readonly<Record<string, Machine>> = {
  'small gpu': { vectorWidth: 1, maximumWorkgroup: 64, sharedBytes: 8192, shuffleWidth: 4, fillingThreads: 512 },
  webgpu: machines.wgsl,
  'gpu with shuffles': { ...machines.cuda, sharedBytes: 49152 },
  cuda: machines.cuda,
};

/** Whether every state of a layer is time-invariant, so that mode conv is legal. */
export function isConvolution({ spec }: GeneratedCase): boolean {
  return obstaclesToConvolution(spec).length === 0;
}

function choose<T>(values: readonly T[], seed: number): T {
  return values[seed % values.length] as T;
}

function modeOf(generated: GeneratedCase, seed: number): Pick<CompileOptions, 'mode' | 'convolution'> {
  if (isConvolution(generated) && seed % 2 === 0) return { mode: 'conv', convolution: choose(['direct', 'fft'], seed >> 1) };
  return { mode: choose(['scan', 'recurrent', 'auto'], seed >> 1) };
}

const describeMode = ({ mode, convolution }: Pick<CompileOptions, 'mode' | 'convolution'>): string =>
  (convolution === undefined ? mode ?? 'auto' : `${mode} ${convolution}`);

function planChecks(generated: GeneratedCase, devices: Devices, effort: Effort): readonly Check[] {
  const { seed, length, storage } = generated.layer.recipe;
  const standard: Standard = { storage, boundFactor: 1, normwise: false };
  const of = (mode: Pick<CompileOptions, 'mode'>): Standard => ({ ...standard, normwise: mode.mode === 'conv' });
  let compiled: CompileResult | null = null;
  const recurrent = (): CompileResult => (compiled ??= compileCase(generated, { target: 'wasm', mode: 'recurrent' }));
  const other = modeOf(generated, Math.floor(seed / 3));
  const machineName = choose(Object.keys(interpretedMachines), seed >> 3);
  const machine = interpretedMachines[machineName] as Machine;
  const gpuMode = modeOf(generated, seed >> 5);
  const interpreted = (mode: typeof gpuMode) => async (): Promise<RunResults> =>
    runKernelIr(generated, compileCase(generated, { target: 'cuda', machine, ...mode }).plans, { rounding: 'f32', order: 'shuffled', seed });
  const checks: Check[] = [
    { name: 'Tensor IR', target: 'f32', standard: { storage: 'f32', boundFactor: 2 ** -26, normwise: false }, run: async () => runTensorIr(generated, recurrent()) },
    { name: 'WASM recurrent', target: 'f32', standard, run: () => onDevice(devices.wasm, recurrent(), (layer) => runDevice(generated, layer)) },
  ];
  // one more compilation per layer: another mode on the CPU or a GPU's schedules
  if (seed % 3 === 0) checks.push({ name: `WASM ${describeMode(other)}`, target: 'f32', standard: of(other), run: () => onDevice(devices.wasm, compileCase(generated, { target: 'wasm', ...other }), (layer) => runDevice(generated, layer)) });
  else checks.push({ name: `Kernel IR ${describeMode(gpuMode)} on ${machineName}`, target: 'f32', standard: of(gpuMode), run: interpreted(gpuMode) });
  if (length <= 9) checks.push({ name: 'WASM step', target: 'f32', standard, run: () => onDevice(devices.wasm, recurrent(), (layer) => runSteps(generated, layer)) });
  if (seed % 4 === 0) {
    checks.push({ name: 'Kernel IR recurrent on cpu', target: 'f32', standard, run: async () => runKernelIr(generated, recurrent().plans, { rounding: 'f32', order: 'shuffled', seed }) });
  }
  const { webgpu } = devices;
  if (effort.webgpu && webgpu !== null) {
    checks.push({ name: `WebGPU ${describeMode(gpuMode)}`, target: 'wgsl', standard: of(gpuMode), run: () => onDevice(webgpu, compileCase(generated, { target: 'wgsl', ...gpuMode }), (layer) => runDevice(generated, layer)) });
  }
  return effort.only === undefined ? checks : checks.filter((each) => each.name.startsWith(effort.only ?? ''));
}

/** The first line of a message without what differs between layers. */
export function signatureOf(error: unknown): string {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const lines = message.split('\n').slice(0, /not well formed/.test(message) ? 2 : 1).join(' ');
  return lines.replace(/kernel \S+|%\d+(:\w+)?|tensor \S+|reduction \S+/g, '…').replace(/[0-9]+/g, '#').slice(0, 160);
}

/** The oracle's bounds of gradients are of first order, and of one order of sums: what is beyond them by less is no bug. */
const gradientSlack = 4;

function verdictsOf(results: RunResults, answers: GradientResult, standard: Standard): readonly (Verdict & { readonly key: string })[] {
  const expected = expectedTensors(answers);
  return [...results].flatMap(([key, tensor]) => {
    const reference = expected.get(key);
    const slack = key.startsWith('gradient') ? gradientSlack : 1;
    return reference === undefined ? [] : [{ ...judgeTensor(tensor, reference, { ...standard, boundFactor: standard.boundFactor * slack }), key }];
  });
}

/** Everything that is tried on one case. */
export async function examineCase(generated: GeneratedCase, devices: Devices, effort: Effort): Promise<Examination> {
  const findings: Finding[] = [];
  const vacuous: string[] = [];
  const names: string[] = [];
  const uses = new Map<string, number>();
  let right = 0;
  const answers = { f32: generated.answers, wgsl: effort.webgpu ? answersOf(generated, wgslRounding) : null };
  for (const { name, run, standard, target } of planChecks(generated, devices, effort)) {
    // what is wrong in Tensor IR is wrong everywhere
    if (findings.some((each) => each.check === 'Tensor IR')) break;
    try {
      const results = await run();
      if (results === null) continue;
      names.push(name);
      for (const { kind, key, detail, use } of verdictsOf(results, answers[target] ?? answers.f32, standard)) {
        if (kind === 'right') right++;
        if (kind === 'vacuous') vacuous.push(`${name}, ${key}: ${detail}`);
        if (kind === 'wrong') findings.push({ kind, check: name, signature: `${name.split(' on ')[0] ?? ''}: wrong ${key.split(':')[0] ?? ''}`, detail: `${key}: ${detail}` });
        if (kind !== 'wrong') uses.set(name, Math.max(use, uses.get(name) ?? 0));
      }
    } catch (error) {
      findings.push({ kind: 'crash', check: name, signature: signatureOf(error), detail: error instanceof Error ? error.stack ?? error.message : String(error) });
    }
  }
  return { findings, right, vacuous, checks: names, uses };
}

/** The same from a recipe; null where its results are not representable. */
export async function examineRecipe(recipe: LayerRecipe, devices: Devices, effort: Effort): Promise<Examination | null> {
  const generated = makeCase(recipe);
  return generated === null ? null : examineCase(generated, devices, effort);
}
