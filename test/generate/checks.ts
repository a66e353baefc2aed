/**
 * What is tried on every generated layer: which executors, in which modes, on which machines' schedules,
 * and by which standard. A check either compares tensors with the oracle or must not throw.
 */
import type { CompileOptions, CompileResult } from '../../backends/compile.ts';
import { machines } from '../../backends/machines.ts';
import { obstaclesToConvolution } from '../../ir/explain/convolution-facts.ts';
import type { Machine } from '../../ir/schedule/parameters.ts';
import type { ExecutionDevice } from '../../runtime/device.ts';
import { SsmError } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import type { GradientResult } from '../oracle/evaluate.ts';
import { float32Rounding, wgslRounding, withConvolution } from '../oracle/rounding.ts';
import { parameterGradientBars } from '../oracle/tolerances.ts';
import { answersOf, makeCase, type GeneratedCase } from './case.ts';
import { expectedTensors, judgeTensor, type RunResults, type Standard, type Verdict } from './judge.ts';
import type { LayerRecipe } from './recipe.ts';
import { compileCase, entriesOf, onDevice, runDevice, runKernelIr, runSteps, runTensorIr } from './targets.ts';

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
  /** checks whose target cannot hold the layer and said so (SSM5001: buffers per kernel) */
  readonly refused: readonly string[];
  /** checks that ran */
  readonly checks: readonly string[];
  /** largest |error| / bound by check */
  readonly uses: ReadonlyMap<string, number>;
};

export type Devices = { readonly wasm: ExecutionDevice; readonly webgpu: ExecutionDevice | null; readonly cuda: ExecutionDevice | null };

/** How much is tried on a case. `webgpu` and `cuda` take seconds: their drivers compile. */
export type Effort = {
  readonly webgpu: boolean;
  readonly cuda?: boolean;
  /** every mode and machine instead of one drawn by the seed */
  readonly thorough?: boolean;
  /** Tensor IR and one other check in turn: for many layers in little time */
  readonly brief?: boolean;
  /** the only check that is to run; absent: all */
  readonly only?: string;
};

type Check = {
  readonly name: string;
  readonly standard: Standard;
  readonly target: 'f32' | 'wgsl';
  /** once, for all checks of the same kernels */
  readonly compile: () => CompileResult;
  readonly run: (compiled: CompileResult) => Promise<RunResults | null>;
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

function choose<T>(values: readonly T[], seed: number): readonly T[] {
  return values.slice(seed % values.length).slice(0, 1);
}

type Mode = Pick<CompileOptions, 'mode' | 'convolution'>;

function modesOf(generated: GeneratedCase): readonly Mode[] {
  const recurrences: readonly Mode[] = [{ mode: 'scan' }, { mode: 'recurrent' }, { mode: 'auto' }];
  return isConvolution(generated) ? [...recurrences, { mode: 'conv', convolution: 'direct' }, { mode: 'conv', convolution: 'fft' }] : recurrences;
}

const describeMode = ({ mode, convolution }: Mode): string => (convolution === undefined ? mode ?? 'auto' : `${mode} ${convolution}`);

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => (made ??= { value: make() }).value;
}

/** The checks of a case. A thorough effort makes all; else one more compilation is drawn beside the recurrent one, on the CPU or with a GPU's schedules. */
function checksOf(generated: GeneratedCase, devices: Devices, effort: Effort): readonly Check[] {
  const { seed, length, storage } = generated.layer.recipe;
  const { thorough = false, brief = false } = effort;
  const standard: Standard = { storage, boundFactor: 1, gradientBar: parameterGradientBars[storage], normwise: false };
  const ran = entriesOf(generated);
  const compiler = (options: CompileOptions): Check['compile'] => once(() => compileCase(generated, { entries: ran, ...options }));
  // what is not run is compiled for some layers only
  const recurrent = compiler({ target: 'wasm', mode: 'recurrent', entries: brief || seed % 4 > 0 ? new Set([...ran, 'step']) : 'all' });
  const interpret: Check['run'] = async ({ plans }) => runKernelIr(generated, plans, { rounding: 'f32', order: 'shuffled', seed });
  const runOn = (device: ExecutionDevice, run: typeof runSteps): Check['run'] => (compiled) => onDevice(device, compiled, (layer) => run(generated, layer));
  const check = (name: string, mode: Mode, compile: Check['compile'], run: Check['run']): Check =>
    ({ name: `${name} ${describeMode(mode)}`, standard: { ...standard, normwise: mode.mode === 'conv' }, target: 'f32', compile, run });
  const drawn = <T>(values: readonly T[], from: number): readonly T[] => (thorough ? values : choose(values, from));
  const onCpu = (mode: Mode): Check => check('WASM', mode, compiler({ target: 'wasm', ...mode }), runOn(devices.wasm, runDevice));
  const onMachine = (mode: Mode, name: string, machine: Machine): Check =>
    check(`Kernel IR on ${name}`, mode, compiler({ target: 'cuda', machine, ...mode }), interpret);
  const modes = modesOf(generated);
  const checks: Check[] = [
    { name: 'Tensor IR', target: 'f32', standard: { storage: 'f32', boundFactor: 2 ** -26, gradientBar: parameterGradientBars.f64, normwise: false }, compile: recurrent, run: async (compiled) => runTensorIr(generated, compiled) },
    check('WASM', { mode: 'recurrent' }, recurrent, runOn(devices.wasm, runDevice)),
  ];
  if (thorough || seed % 3 === 0) checks.push(...drawn(modes.filter(({ mode }) => mode !== 'recurrent'), Math.floor(seed / 3)).map(onCpu));
  if (thorough || seed % 3 !== 0) {
    const machineNames = drawn(Object.entries(interpretedMachines), seed >> 3);
    checks.push(...drawn(modes, seed >> 5).flatMap((mode) => machineNames.map(([name, machine]) => onMachine(mode, name, machine))));
  }
  if (thorough || length <= 9) checks.push(check('step on WASM', { mode: 'recurrent' }, recurrent, runOn(devices.wasm, runSteps)));
  if (thorough || seed % 4 === 0) checks.push(check('Kernel IR on cpu', { mode: 'recurrent' }, recurrent, interpret));
  const { webgpu, cuda } = devices;
  if (effort.cuda === true && cuda !== null) {
    checks.push(...drawn(modes, seed >> 7).map((mode) => check('CUDA', mode, compiler({ target: 'cuda', ...mode }), runOn(cuda, runDevice))));
  }
  if (effort.webgpu && webgpu !== null) {
    checks.push(...drawn(modes, seed >> 5).map((mode): Check =>
      ({ ...check('WebGPU', mode, compiler({ target: 'wgsl', ...mode }), runOn(webgpu, runDevice)), target: 'wgsl' })));
  }
  const tried = brief ? briefly(checks, seed) : checks;
  return effort.only === undefined ? tried : tried.filter((each) => each.name.startsWith(effort.only ?? ''));
}

/** Tensor IR, one of the other checks in turn, and GPUs where they are asked for; the two share a compilation, except of convolutions, whose float64 has another bar. */
function briefly(checks: readonly Check[], seed: number): readonly Check[] {
  const [tensorIr, ...others] = checks;
  const isOnGpu = ({ name }: Check): boolean => name.startsWith('WebGPU') || name.startsWith('CUDA');
  const [other] = choose(others.filter((each) => !isOnGpu(each)), seed);
  const first = tensorIr === undefined || other === undefined ? [] : [other.standard.normwise ? tensorIr : { ...tensorIr, compile: other.compile }, other];
  return [...first, ...others.filter(isOnGpu)];
}

/** The first line of a message without what differs between layers. */
export function signatureOf(error: unknown): string {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const lines = message.split('\n').slice(0, /not well formed/.test(message) ? 2 : 1).join(' ');
  return lines.replace(/kernel \S+|%\d+(:\w+)?|tensor \S+|reduction \S+/g, '…').replace(/[0-9]+/g, '#').slice(0, 160);
}

function crashOf(check: string, error: unknown): Finding {
  return { kind: 'crash', check, signature: signatureOf(error), detail: error instanceof Error ? error.stack ?? error.message : String(error) };
}

/** The oracle's bounds of gradients are of first order, and of one order of sums: what is beyond them by less is no bug. */
const gradientSlack = 4;

/** By tensor, the verdict; `convolved` are the answers whose bounds carry the error of convolved states through the layer. */
function verdictsOf(results: RunResults, answers: GradientResult, convolved: () => GradientResult, standard: Standard): readonly (Verdict & { readonly key: string })[] {
  const expected = expectedTensors(answers);
  return [...results].flatMap(([key, tensor]) => {
    const reference = expected.get(key);
    if (reference === undefined) return [];
    const isGradient = key.startsWith('gradient');
    const own = { ...standard, boundFactor: standard.boundFactor * (isGradient ? gradientSlack : 1) };
    const verdict = judgeTensor(tensor, reference, own, isGradient);
    if (verdict.kind !== 'wrong' || !standard.normwise) return [{ ...verdict, key }];
    const second = judgeTensor(tensor, required(expectedTensors(convolved()).get(key), key), own, isGradient);
    return [second.kind === 'wrong' ? { ...verdict, key } : { ...second, kind: 'vacuous', key }];
  });
}

/** Everything that is tried on one case. */
export async function examineCase(generated: GeneratedCase, devices: Devices, effort: Effort): Promise<Examination> {
  const findings: Finding[] = [];
  const vacuous: string[] = [];
  const names: string[] = [];
  const refused: string[] = [];
  const uses = new Map<string, number>();
  let right = 0;
  const answers = { f32: generated.answers, wgsl: effort.webgpu ? answersOf(generated, wgslRounding) : null };
  const convolved = { f32: once(() => answersOf(generated, withConvolution(float32Rounding))), wgsl: once(() => answersOf(generated, withConvolution(wgslRounding))) };
  for (const { name, compile, run, standard, target } of checksOf(generated, devices, effort)) {
    // what is wrong in Tensor IR is wrong everywhere
    if (findings.some((each) => each.check === 'Tensor IR')) break;
    try {
      const results = await run(compile());
      if (results === null) continue;
      names.push(name);
      for (const { kind, key, detail, use } of verdictsOf(results, answers[target] ?? answers.f32, convolved[target], standard)) {
        if (kind === 'right') right++;
        if (kind === 'vacuous') vacuous.push(`${name}, ${key}: ${detail}`);
        if (kind === 'wrong') findings.push({ kind, check: name, signature: `${name}: wrong ${key.split(':')[0] ?? ''}`, detail: `${key}: ${detail}` });
        if (kind !== 'wrong') uses.set(name, Math.max(use, uses.get(name) ?? 0));
      }
    } catch (error) {
      if (error instanceof SsmError && error.code === 'SSM5001') refused.push(`${name}: ${error.message}`);
      else findings.push(crashOf(name, error));
    }
  }
  return { findings, right, vacuous, refused, checks: names, uses };
}

/** The same from a recipe; null where its results are not representable. */
export async function examineRecipe(recipe: LayerRecipe, devices: Devices, effort: Effort): Promise<Examination | null> {
  try {
    const generated = makeCase(recipe);
    return generated === null ? null : await examineCase(generated, devices, effort);
  } catch (error) {
    return { findings: [crashOf('the layer itself', error)], right: 0, vacuous: [], refused: [], checks: [], uses: new Map() };
  }
}
