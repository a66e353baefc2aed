/**
 * The pure part of `explain`: a checked layer and its plans as one document of plain data for someone
 * who knows the paper and not the compiler. Rendering is the command line's.
 */
import type { LayerSpec } from '../../dsl/spec.ts';
import { evaluateSize, formatSize, type RunSizes } from '../../support/size.ts';
import { storageBytes } from '../kernel/nodes.ts';
import type { Plan, PlanTensor } from '../plan.ts';
import type { TensorModule } from '../tensor/ops.ts';
import { printFormula } from './formula.ts';
import { costOfKernel } from './launch-cost.ts';
import { describeModes, describeState, readOutQuantities, type ModeFacts, type Quantity, type StateFacts } from './layer-facts.ts';

export type ExplainedTensor = { readonly name: string; readonly axes: readonly string[]; readonly type: string; readonly note: string };

export type ExplainedLaunch = {
  readonly kernel: string;
  readonly purpose: string;
  readonly workgroups: string;
  readonly workgroupSize: number;
  readonly invocations: number;
  readonly bytesPerToken: number;
  readonly exponentialsPerToken: number;
  readonly functionsPerToken: number;
  readonly flopsPerToken: number;
};

export type ExplainedEntry = {
  readonly entry: string;
  readonly launches: readonly ExplainedLaunch[];
  /** tensors between launches and between forward and backward, with their bytes at the nominal sizes */
  readonly saved: readonly { readonly name: string; readonly axes: readonly string[]; readonly shape: string; readonly bytes: number }[];
  readonly scratchBytes: number;
};

/** What no evaluation of the layer can do without. */
export type ExplainedFloor = {
  /** inputs and outputs once */
  readonly bytes: number;
  /** one per entry of each transition that changes from token to token */
  readonly exponentials: number;
  /** the update of every state entry: one multiplication and one addition, 8 for complex ones */
  readonly flops: number;
};

export type ExplainedDecision = { readonly subject: string; readonly chosen: string; readonly alternatives: readonly string[]; readonly reason: string };

/** One way to evaluate the layer with its costs per token of all channels; nanoseconds are an estimate. */
export type ExplainedWay = {
  readonly name: string;
  readonly launches: number;
  readonly bytes: number;
  readonly flops: number;
  readonly exponentials: number;
  /** logarithms, sines, roots, divisions */
  readonly functions: number;
  readonly nanoseconds: number;
};

/** What mode `auto` takes, and why. */
export type ExplainedChoice = { readonly chosen: string; readonly reason: string; readonly machine: string; readonly costs: readonly ExplainedWay[] };

export type Explanation = {
  readonly layer: string;
  readonly axes: readonly { readonly name: string; readonly size: number }[];
  readonly inputs: readonly ExplainedTensor[];
  readonly parameters: readonly ExplainedTensor[];
  readonly lets: readonly { readonly name: string; readonly axes: readonly string[]; readonly formula: string; readonly varies: boolean }[];
  readonly states: readonly StateFacts[];
  /** what delays carry from one piece of a sequence to the next */
  readonly tails: readonly ExplainedTensor[];
  readonly outputs: readonly { readonly name: string; readonly axes: readonly string[]; readonly note: string; readonly formula: string }[];
  readonly readOuts: readonly Quantity[];
  readonly modes: readonly ModeFacts[];
  /** null where nobody weighed the modes: a layer without a state, a target that cannot hold it */
  readonly choice: ExplainedChoice | null;
  readonly transitionForms: readonly { readonly state: string; readonly form: 'exponent' | 'value' }[];
  readonly sizes: RunSizes;
  /** per token of `forward`, whatever the schedule; null without plans */
  readonly floor: ExplainedFloor | null;
  readonly entries: readonly ExplainedEntry[];
  readonly decisions: readonly ExplainedDecision[];
};

export type ExplainRequest = {
  readonly spec: LayerSpec;
  /** null and no plans where the target cannot hold the layer: the text is explained all the same */
  readonly module: TensorModule | null;
  readonly plans: readonly Plan[];
  readonly decisions: readonly ExplainedDecision[];
  /** sizes for which costs are given */
  readonly sizes: RunSizes;
  readonly choice: ExplainedChoice | null;
};

/** Builds the document; costs are per token at the given batch and length. */
export function explainLayer({ spec, module, plans, decisions, sizes, choice }: ExplainRequest): Explanation {
  const states = spec.body.flatMap((item) => (item.kind === 'state' ? [item] : []));
  return {
    layer: spec.name,
    axes: spec.axes,
    inputs: spec.inputs.map((each) => ({ name: each.name, axes: each.axes, type: each.type, note: each.variance.time ? 'per token' : 'per sequence' })),
    parameters: spec.params.map((each) => ({ name: each.name, axes: each.axes, type: each.type, note: each.initial === null ? 'given by the caller' : 'initialised' })),
    lets: spec.body.flatMap((item) =>
      item.kind === 'let' ? [{ name: item.name, axes: item.value.axes, formula: printFormula(item.value), varies: item.value.variance.time }] : []),
    states: states.map((each) => describeState(spec, each)),
    tails: spec.tails.map((each) => ({ name: each.name, axes: [String(each.count), ...each.axes], type: each.type, note: 'carried' })),
    outputs: spec.outputs.map((each) => ({ name: each.name, axes: each.axes, note: each.value.variance.time ? 'per token' : 'per sequence', formula: printFormula(each.value) })),
    readOuts: readOutQuantities(spec),
    modes: describeModes(spec, module),
    choice,
    transitionForms: transitionForms(module),
    sizes,
    floor: floorOf(spec, plans, sizes),
    entries: plans.map((plan) => explainEntry(plan, plan.entry === 'step' ? { batch: sizes.batch, length: 1 } : sizes)),
    decisions,
  };
}

function floorOf(spec: LayerSpec, plans: readonly Plan[], sizes: RunSizes): ExplainedFloor | null {
  const forward = plans.find((plan) => plan.entry === 'forward');
  if (forward === undefined) return null;
  const streams = forward.tensors.filter((each) => each.role === 'input' || each.role === 'output');
  const bytes = streams.reduce((sum, each) => sum + tensorBytes(each, sizes), 0) / (sizes.batch * sizes.length);
  const count = (axes: readonly string[]): number =>
    axes.reduce((product, axis) => product * (spec.axes.find((each) => each.name === axis)?.size ?? 1), 1);
  let [exponentials, flops] = [0, 0];
  for (const state of spec.body) {
    if (state.kind !== 'state') continue;
    const rule = state.discretization;
    const varies = rule.rule !== 'none' && (rule.delta.variance.time || state.coefficient.variance.time);
    if (varies && (rule.rule === 'zoh' || rule.rule === 'dirac')) exponentials += count([...new Set([...state.coefficient.axes, ...rule.delta.axes])]);
    flops += count(state.axes) * (state.type === 'complex' ? 8 : 2);
  }
  return { bytes, exponentials, flops };
}

function tensorBytes(tensor: PlanTensor, sizes: RunSizes): number {
  return tensor.dims.reduce<number>((product, each) => product * evaluateSize(each, sizes), storageBytes[tensor.storage]);
}

function transitionForms(module: TensorModule | null): Explanation['transitionForms'] {
  const forward = module?.functions.find((each) => each.name === 'forward');
  return (forward?.instructions ?? []).flatMap(({ op }) =>
    op.kind === 'affine-scan' ? [{ state: op.state, form: op.coefficient.kind }] : []);
}

function explainEntry(plan: Plan, sizes: RunSizes): ExplainedEntry {
  const tokens = sizes.batch * sizes.length;
  const launches = plan.kernels.map((kernel) => {
    const cost = costOfKernel(kernel, sizes);
    return {
      kernel: kernel.name, purpose: kernel.notes[0] ?? '',
      workgroups: kernel.grid.map(formatSize).filter((each) => each !== '1').join(' × ') || '1',
      workgroupSize: kernel.workgroupSize, invocations: cost.invocations,
      bytesPerToken: cost.bytes / tokens, exponentialsPerToken: cost.exponentials / tokens,
      functionsPerToken: cost.functions / tokens, flopsPerToken: cost.flops / tokens,
    };
  });
  const saved = plan.tensors.filter((each) => each.role === 'saved').map((each) => ({
    name: each.name, axes: each.axes, shape: each.dims.map(formatSize).join(' × '), bytes: tensorBytes(each, sizes),
  }));
  const scratchBytes = plan.tensors.filter((each) => each.role === 'scratch').reduce((sum, each) => sum + tensorBytes(each, sizes), 0);
  return { entry: plan.entry, launches, saved, scratchBytes };
}
