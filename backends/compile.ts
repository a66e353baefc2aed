/**
 * LayerSpec + target + options → artifact: the Tensor IR pipeline once, then plans for every entry
 * point under the machine's schedules, then the back end. All choices are recorded as decisions.
 */
import type { LayerSpec, ParamSpec } from '../dsl/spec.ts';
import { obstaclesToConvolution } from '../ir/explain/convolution-facts.ts';
import { assertKernel, defaultLimits } from '../ir/kernel/verify.ts';
import { pinLength, stepObstacle } from '../ir/passes/pin-length.ts';
import { hoistFixed } from '../ir/passes/hoist-fixed.ts';
import { mergeSums } from '../ir/passes/merge-sums.ts';
import { splitKernels, type SplitKernelsOptions } from '../ir/passes/split-kernels.ts';
import type { EntryName, Plan, TensorRole } from '../ir/plan.ts';
import { runTensorPipeline, type TensorPassOptions } from '../ir/pipeline.ts';
import { transformFrom, type ConvolutionAlgorithm } from '../ir/schedule/conv/index.ts';
import type { Machine, ScanSchedule } from '../ir/schedule/parameters.ts';
import type { RegionPlan } from '../ir/schedule/region-plan.ts';
import { selectSchedule, selectStepSchedule, type ModeRequest, type ScheduleDecision } from '../ir/schedule/select-schedule.ts';
import type { TensorFunction, TensorModule } from '../ir/tensor/ops.ts';
import { contentHash } from '../support/hash.ts';
import { required } from '../support/invariant.ts';
import type { RunSizes } from '../support/size.ts';
import type { Artifact, Decision, ManifestParameter, TargetName } from './artifact.ts';
import { requestConvolutions } from './convolutions.ts';
import { emitCuda } from './cuda/index.ts';
import { machines } from './machines.ts';
import type { Way } from './mode-costs.ts';
import { modeDecision, selectMode, type ModeSelection } from './select-mode.ts';
import { emitWasm } from './wasm/index.ts';
import { emitWgsl } from './wgsl/index.ts';
import { defaultWgslTarget, type WgslTarget } from './wgsl/target.ts';

export const compilerVersion = 'statefuse 0.1.0';

export type CompileOptions = {
  readonly target: TargetName;
  readonly mode?: ModeRequest;
  /** tokens per piece of time in mode `scan`; a multiple of the checkpoint interval */
  readonly pieceLength?: number;
  /** sizes that the layer will mostly run at; mode auto then cuts time where they leave the machine empty. All sizes stay right */
  readonly expected?: { readonly batch: number; readonly length?: number };
  /** how mode `conv` convolves; absent: directly below a length that the machine decides, by FFT from there on */
  readonly convolution?: ConvolutionAlgorithm;
  /** storage of floating-point inputs, outputs and their cotangents; parameters and states stay f32 */
  readonly storage?: 'f32' | 'f16' | 'bf16';
  /** tokens between saved states */
  readonly checkpointInterval?: number;
  /** subjects to differentiate; absent: all */
  readonly withRespectTo?: ReadonlySet<string>;
  /** entry points that are made, the step only beside `forward`; absent: all */
  readonly entries?: 'forward-only' | 'all' | ReadonlySet<EntryName>;
  readonly machine?: Machine;
  /** overrides the choice for every scan (a tuner, a test) */
  readonly schedule?: (plan: RegionPlan) => ScanSchedule;
  /** may replace what the rule chose, with a reason for the manifest (measured schedules) */
  readonly decide?: (plan: RegionPlan, rule: ScheduleDecision) => ScheduleDecision;
  readonly wgsl?: WgslTarget;
  readonly onPass?: (name: string, module: TensorModule) => void;
};

export type CompileResult = { readonly artifact: Artifact; readonly plans: readonly Plan[]; readonly module: TensorModule };

const defaultInterval = 64;

/** Least tokens per piece in mode `scan`, where nobody says. */
const defaultPiece = 256;

/** Compiles a checked layer. Throws an InternalError on a bug, an SsmError where a target cannot hold the layer. */
export function compileSpec(spec: LayerSpec, options: CompileOptions): CompileResult {
  const settled = settleMode(spec, options);
  const { module, plans, decisions, interval, isConvolved } = planLayer(spec, settled.options);
  decisions.unshift(...settled.decisions);
  const header = {
    layer: spec.name, compiler: compilerVersion, mode: isConvolved ? 'conv' : modeOfSchedules(decisions),
    contentHash: contentHash(JSON.stringify([spec, options.target, options.storage ?? 'f32', interval, decisions])),
    axes: spec.axes, parameters: spec.params.map((param) => parameterOf(spec, param)), decisions,
  } as const;
  const { manifest, code } = emit(options, plans, header);
  const indexInputs = spec.inputs.flatMap(({ name, values }) => (values === null ? [] : [{ name, values }]));
  return { artifact: { manifest: indexInputs.length === 0 ? manifest : { ...manifest, indexInputs }, code }, plans, module };
}

/** The plans alone, without a target's text: what estimates and the interpreter of Kernel IR take. */
export function planSpec(spec: LayerSpec, options: CompileOptions): readonly Plan[] {
  return planLayer(spec, settleMode(spec, options).options).plans;
}

/** Mode of a layer whose recurrences were scheduled so. */
function modeOfSchedules(decisions: readonly Decision[]): 'recurrent' | 'scan' {
  return decisions.some((each) => each.chosen.includes('three-pass')) ? 'scan' : 'recurrent';
}

/** `auto` made definite where sizes are expected and convolution is legal; other requests as they are. */
function settleMode(spec: LayerSpec, options: CompileOptions): { readonly options: CompileOptions; readonly decisions: readonly Decision[] } {
  const isOpen = (options.mode ?? 'auto') === 'auto' && options.expected?.length !== undefined && options.schedule === undefined;
  if (!isOpen || obstaclesToConvolution(spec).length > 0) return { options, decisions: [] };
  const selection = explainMode(spec, options);
  const { chosen } = selection;
  const decisions = [modeDecision(selection)];
  if (chosen.mode !== 'conv') return { options, decisions };
  const isUsual = (options.expected?.length ?? 0) >= transformFrom('auto') === (chosen.convolution === 'fft');
  return { options: { ...options, mode: 'conv', convolution: isUsual ? 'auto' : chosen.convolution }, decisions };
}

/** What `auto` takes at the expected sizes, whatever mode the options ask for, with the costs of every legal way there or at `nominal` sizes. */
export function explainMode(spec: LayerSpec, options: CompileOptions, nominal: RunSizes | null = null): ModeSelection {
  const own: CompileOptions = { ...options, mode: 'auto', entries: 'forward-only', onPass: () => {} };
  const rule = modeOfSchedules(planLayer(spec, own).decisions);
  const planForward = (way: Way): Plan => {
    const pinned = way.mode === rule ? own : { ...own, ...way };
    return required(planLayer(spec, pinned).plans.find((each) => each.entry === 'forward'), 'forward plan');
  };
  return selectMode({
    target: options.target, machine: options.machine ?? machines[options.target], expected: options.expected ?? null, nominal,
    obstacle: obstaclesToConvolution(spec)[0] ?? null, rule, planForward,
  });
}

type PlannedLayer = {
  readonly module: TensorModule;
  readonly plans: readonly Plan[];
  readonly decisions: Decision[];
  readonly interval: number;
  readonly isConvolved: boolean;
};

const allEntries: ReadonlySet<string> = new Set<EntryName>(['forward', 'forwardSaved', 'backward', 'backwardFinal', 'step']);
const forwardEntries: ReadonlySet<string> = new Set<EntryName>(['forward', 'step']);

function wantedEntries({ entries = 'all' }: CompileOptions): ReadonlySet<string> {
  return entries === 'all' ? allEntries : entries === 'forward-only' ? forwardEntries : entries;
}

/** Every entry point's plan under the options' mode. */
function planLayer(spec: LayerSpec, options: CompileOptions): PlannedLayer {
  const machine = options.machine ?? machines[options.target];
  const interval = options.checkpointInterval ?? defaultCheckpoints(spec, machine);
  const decisions: Decision[] = [];
  const request: ModeRequest = options.mode ?? 'auto';
  const passes = { withRespectTo: options.withRespectTo ?? null, checkpointInterval: interval };
  const convolved = request === 'conv' ? requestConvolutions(spec, options.convolution ?? 'auto', decisions) : null;
  const { module, ids } = runTensorPipeline(spec, convolved === null ? passes : { ...passes, convolutions: convolved.choice }, options.onPass);
  convolved?.finish();
  const choose = (plan: RegionPlan, isStep = false): ScheduleDecision => {
    if (options.schedule !== undefined) return { schedule: options.schedule(plan), alternatives: [], reason: 'given by the caller' };
    const rule = selectSchedule(plan, machine, { mode: request, pieceLength: options.pieceLength ?? Math.max(defaultPiece, interval * 4), interval, isStep, ...(options.expected === undefined ? {} : { expected: options.expected }) });
    return options.decide?.(plan, rule) ?? rule;
  };
  // gradients of inputs are stored as the inputs are; those of parameters and states stay f32
  const streams = new Set(spec.inputs.map((each) => each.name));
  const entries = wantedEntries(options);
  const wanted = module.functions.filter((each) => entries.has(each.name));
  const splitting: SplitKernelsOptions = {
    machine, choose, layout: declaredLayout(spec), convolutions: options.convolution ?? 'auto',
    storage: (role, subject, dtype) => {
      if (dtype === 'flag' || dtype === 'index') return 'i32';
      const isStream = role === 'input' || role === 'output' || role === 'output-cotangent' || (role === 'gradient' && streams.has(subject));
      return isStream ? (options.storage ?? 'f32') : 'f32';
    },
    onDecision: (subject, decision) => decisions.push({
      subject, chosen: describeSchedule(decision.schedule), alternatives: decision.alternatives, reason: decision.reason,
    }),
  };
  const planned = wanted.map((body) => splitKernels(module, machine.maximumWorkgroup > 1 ? mergeSums(hoistFixed(body, ids), ids) : body, ids, splitting));
  const recordStep = (reason: string): void => void decisions.push({ subject: 'step', chosen: 'absent', alternatives: [], reason });
  const forward = entries.has('step') ? wanted.find((each) => each.name === 'forward') : undefined;
  // a single token has schedules of its own where threads share work
  const stepping: SplitKernelsOptions = {
    ...splitting,
    choose: (plan) => (options.schedule === undefined ? selectStepSchedule(plan, machine) : null) ?? choose(plan, true),
    onDecision: (subject, decision) => splitting.onDecision(subject.replace(/^forward/, 'step'), decision),
  };
  const ownStep = machine.maximumWorkgroup > 1 && forward !== undefined && stepObstacle(forward) === null ? splitKernels(module, forward, ids, stepping) : null;
  const step = convolved === null
    ? stepPlan(ownStep ?? planned.find((each) => each.entry === 'forward'), forward, recordStep)
    : forward === undefined ? [] : recurrentStep(spec, passes, stepping, recordStep);
  const plans = [...planned, ...step];
  const limits = { ...defaultLimits, sharedBytes: Math.max(defaultLimits.sharedBytes, machine.sharedBytes) };
  plans.forEach((plan) => plan.kernels.forEach((kernel) => assertKernel(kernel, `plan ${plan.entry}`, limits)));
  return { module, plans, decisions, interval, isConvolved: convolved !== null };
}

function emit(options: CompileOptions, plans: readonly Plan[], header: Parameters<typeof emitWasm>[1]): Artifact {
  switch (options.target) {
    case 'wasm':
      return emitWasm(plans, header);
    case 'wgsl':
      return emitWgsl(plans, header, options.wgsl ?? defaultWgslTarget);
    case 'cuda':
      return emitCuda(plans, header);
    default:
      return options.target satisfies never;
  }
}

/** The step of a layer in mode `conv`: one token is a recurrence in every mode. */
function recurrentStep(spec: LayerSpec, passes: TensorPassOptions, splitting: SplitKernelsOptions, record: (reason: string) => void): readonly Plan[] {
  const { module, ids } = runTensorPipeline(spec, passes);
  const body = module.functions.find((each) => each.name === 'forward');
  if (body === undefined) return [];
  return stepPlan(splitKernels(module, body, ids, { ...splitting, onDecision: () => {} }), body, record);
}

/** The one-token step, or the recorded reason why there is none. */
function stepPlan(forward: Plan | undefined, body: TensorFunction | undefined, record: (reason: string) => void): readonly Plan[] {
  if (forward === undefined || body === undefined) return [];
  const obstacle = stepObstacle(body);
  if (obstacle === null) return [{ ...pinLength(forward, 1), entry: 'step' }];
  record(obstacle);
  return [];
}

/** Tensors lie as their declarations say: batch, time, then the axes in the order they are written in. */
function declaredLayout(spec: LayerSpec): (role: TensorRole, subject: string, axes: readonly string[]) => readonly string[] {
  const declared = new Map<string, readonly string[]>();
  for (const each of [...spec.inputs, ...spec.params, ...spec.outputs]) declared.set(each.name, each.axes);
  for (const item of spec.body) if (item.kind === 'state') declared.set(item.name, item.axes);
  for (const tail of spec.tails) declared.set(tail.name, [tail.name, ...tail.axes]);
  return (_role, subject, axes) => {
    const own = declared.get(subject) ?? [];
    const leading = axes.filter((axis) => !own.includes(axis));
    return [...leading, ...own.filter((axis) => axes.includes(axis))];
  };
}

/** Tokens between saved states: what a thread can replay in registers; complex states take more of them but are dearer to save, and without register exchange sums over channels need the memory. */
function defaultCheckpoints(spec: LayerSpec, machine: Machine): number {
  if (machine.maximumWorkgroup === 1) return defaultInterval;
  const isComplex = spec.body.some((item) => item.kind === 'state' && item.type === 'complex');
  return isComplex || machine.shuffleWidth < 32 ? 16 : 8;
}

function parameterOf(spec: LayerSpec, param: ParamSpec): ManifestParameter {
  const shape = param.axes.map((axis) => required(spec.axes.find((each) => each.name === axis), axis).size);
  const initialiser = param.initial === null ? null : param.initial.kind === 'call' ? param.initial.name : param.initial.kind;
  return { name: param.name, axes: param.axes, shape, complex: param.type === 'complex', initialiser };
}

/** `sequential(lanes 4, states 4)`, `three-pass of 256 tokens over lanes(…)`. */
export function describeSchedule(schedule: ScanSchedule): string {
  const { kind, ...rest } = schedule.parameters;
  const inner = `${kind}(${Object.entries(rest).map(([name, value]) => `${name} ${String(value)}`).join(', ')})`;
  return schedule.split === null ? inner : `three-pass of ${schedule.split.size} tokens over ${inner}`;
}
