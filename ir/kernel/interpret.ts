/**
 * The reference executor of Kernel IR. It runs workgroups one after the other, each in lockstep over
 * its invocations, with a shadow of all memory: reads of uninitialised elements, accesses out of
 * bounds, races inside and between workgroups, barriers and shuffles that not everybody reaches, and
 * integer overflow are findings. One interpreter with two roundings: faithful f32 stands for the
 * targets, f64 for the algebra (decision 27).
 */
import { InternalError, required } from '../../support/invariant.ts';
import { evaluateSize, productOfSizes, type RunSizes } from '../../support/size.ts';
import type { Plan, TensorRole } from '../plan.ts';
import {
  makeAccessLog, makeReporter, type Machine, type Memory, type Rounding, type SanitizerFinding,
} from './interpret-machine.ts';
import { compileBody } from './interpret-statements.ts';
import { loadedType } from './builder.ts';
import type { Buffer, Kernel, SharedArray } from './nodes.ts';

export { formatFinding, type FindingKind, type Rounding, type SanitizerFinding } from './interpret-machine.ts';

export type InterpretOptions = {
  readonly rounding: Rounding;
  /** order of invocations within statements and of workgroups; results must not depend on it */
  readonly order?: 'ascending' | 'shuffled';
  /** of the shuffled order; 1 if absent */
  readonly seed?: number;
  /** false leaves out initialisation flags and race detection (bounds are always checked) */
  readonly watch?: boolean;
  /** what a finding does; `throw` if absent */
  readonly findings?: 'throw' | 'collect';
  /** buffers that hold values before the launch; absent: all with access `read` */
  readonly initialised?: ReadonlySet<string>;
  /** statements of workgroups after which a launch counts as endless; 10^8 if absent */
  readonly stepLimit?: number;
};

/** Values of a tensor and which of its elements have been written. */
type TensorState = { readonly values: Float64Array; readonly written: Uint8Array | null };

type StateOf = (buffer: Buffer) => TensorState;

/** Numbers in [0, 1) from a seed (mulberry32): the order must be reproducible. */
function makeRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** 0 … length-1, shuffled if asked for. */
function orderOf(length: number, options: InterpretOptions): Int32Array {
  const order = Int32Array.from({ length }, (_, position) => position);
  if (options.order !== 'shuffled') return order;
  const random = makeRandom(options.seed ?? 1);
  for (let last = length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other] ?? 0, order[last] ?? 0];
  }
  return order;
}

function poisonOf(element: string): number {
  return element === 'f32' || element === 'f64' ? NaN : 0;
}

function bufferMemory(buffer: Buffer, state: TensorState, isWatched: boolean): Memory {
  const { values, written } = state;
  const log = isWatched && buffer.access !== 'read' ? makeAccessLog(values.length, 'global') : null;
  const poison = poisonOf(loadedType(buffer.storage).element);
  return { name: buffer.name, length: values.length, values, written, log, poison };
}

function sharedMemory({ name, length, type }: SharedArray, isWatched: boolean): Memory {
  const written = isWatched ? new Uint8Array(length) : null;
  const log = isWatched ? makeAccessLog(length, 'shared') : null;
  return { name, length, values: new Float64Array(length * type.width), written, log, poison: poisonOf(type.element) };
}

function makeMachine(kernel: Kernel, sizes: RunSizes, findings: SanitizerFinding[], options: InterpretOptions): Machine {
  const size = kernel.workgroupSize;
  const lanes = (): Float64Array => new Float64Array(size);
  const invocations = Float64Array.from({ length: size }, (_, invocation) => invocation);
  const everyone = orderOf(size, options);
  const machine: Machine = {
    kernel, size, rounding: options.rounding, active: everyone, count: size, everyone, pool: { made: [], used: [] },
    variables: new Map(), arrays: new Map(), memories: new Map(), builtins: [lanes(), lanes(), lanes(), invocations],
    uniformValue: ({ value, name }) => {
      const evaluated = evaluateSize(value, sizes);
      if (evaluated !== (evaluated | 0)) machine.report('integer-overflow', { buffer: name });
      return evaluated;
    },
    statement: null, workgroup: 0, epoch: 0, steps: 0, stepLimit: options.stepLimit ?? 1e8,
    report: makeReporter(findings, options.findings ?? 'throw', () => machine),
  };
  return machine;
}

function attachMemories(machine: Machine, sizes: RunSizes, stateOf: StateOf, isWatched: boolean): void {
  for (const buffer of machine.kernel.buffers) {
    const state = stateOf(buffer);
    if (state.values.length !== evaluateSize(buffer.size, sizes)) {
      machine.report('buffer-size', { buffer: buffer.name, index: state.values.length });
    }
    machine.memories.set(buffer.id, bufferMemory(buffer, state, isWatched));
  }
  for (const array of machine.kernel.shared) machine.memories.set(array.id, sharedMemory(array, isWatched));
}

/** Shared memory holds nothing at the start of a workgroup. */
function clearShared(machine: Machine): void {
  for (const { id } of machine.kernel.shared) machine.memories.get(id)?.written?.fill(0);
}

function runGrid(machine: Machine, sizes: RunSizes, options: InterpretOptions): void {
  const run = compileBody(machine.kernel.body, machine);
  const [x, y, z] = machine.kernel.grid.map((each) => evaluateSize(each, sizes));
  const [columns, rows, layers] = [x ?? 0, y ?? 0, z ?? 0];
  for (const group of orderOf(columns * rows * layers, options)) {
    machine.workgroup = group;
    machine.epoch += 1;
    machine.active = machine.everyone;
    machine.count = machine.size;
    machine.builtins[0].fill(group % columns);
    machine.builtins[1].fill(Math.floor(group / columns) % rows);
    machine.builtins[2].fill(Math.floor(group / (columns * rows)));
    clearShared(machine);
    run();
  }
}

function launch(kernel: Kernel, sizes: RunSizes, stateOf: StateOf, options: InterpretOptions): SanitizerFinding[] {
  const findings: SanitizerFinding[] = [];
  const machine = makeMachine(kernel, sizes, findings, options);
  attachMemories(machine, sizes, stateOf, options.watch !== false);
  runGrid(machine, sizes, options);
  return findings;
}

/** Runs one launch on `buffers` (by buffer name, changed in place) and returns what was found. */
export function interpretKernel(
  kernel: Kernel, sizes: RunSizes, buffers: ReadonlyMap<string, Float64Array>, options: InterpretOptions,
): readonly SanitizerFinding[] {
  return launch(kernel, sizes, (buffer) => {
    const values = required(buffers.get(buffer.name), `buffer ${buffer.name}`);
    const isInitialised = options.initialised?.has(buffer.name) ?? buffer.access === 'read';
    const written = options.watch === false || isInitialised ? null : new Uint8Array(values.length);
    return { values, written };
  }, options);
}

const givenRoles: ReadonlySet<TensorRole> = new Set(['input', 'param', 'initial', 'output-cotangent', 'final-cotangent']);
const resultRoles: ReadonlySet<TensorRole> = new Set(['output', 'final', 'gradient']);

export type PlanRun = {
  /** every tensor of the plan, the given ones included */
  readonly tensors: ReadonlyMap<string, Float64Array>;
  readonly findings: readonly SanitizerFinding[];
};

/**
 * Runs all kernels of a plan. Given tensors (inputs, parameters, initial states, cotangents, and for
 * backward the saved ones) come from `given`; everything else starts uninitialised, and outputs,
 * final states and gradients must be complete at the end.
 */
export function interpretPlan(plan: Plan, sizes: RunSizes, given: ReadonlyMap<string, Float64Array>, options: InterpretOptions): PlanRun {
  const findings: SanitizerFinding[] = [];
  const states = new Map<string, TensorState>();
  for (const tensor of plan.tensors) {
    const length = evaluateSize(productOfSizes(tensor.dims), sizes);
    const values = given.get(tensor.name);
    const isGiven = givenRoles.has(tensor.role) || (tensor.role === 'saved' && values !== undefined);
    if (isGiven && values?.length !== length) throw new InternalError(`tensor ${tensor.name} has ${values?.length ?? 'no'} elements, not ${length}`);
    const made = values !== undefined && isGiven ? values.slice() : new Float64Array(length).fill(poisonOf(loadedType(tensor.storage).element));
    states.set(tensor.name, { values: made, written: isGiven || options.watch === false ? null : new Uint8Array(length) });
  }
  const stateOf = ({ name }: Buffer): TensorState => required(states.get(name), `tensor ${name} of the plan`);
  for (const kernel of plan.kernels) findings.push(...launch(kernel, sizes, stateOf, options));
  findings.push(...unwrittenResults(plan, states));
  const [first] = findings;
  if (first !== undefined && options.findings !== 'collect') throw new InternalError(`tensor ${first.buffer} is not complete: element ${first.index} was never written`);
  return { tensors: new Map([...states].map(([name, { values }]) => [name, values])), findings };
}

function unwrittenResults(plan: Plan, states: ReadonlyMap<string, TensorState>): SanitizerFinding[] {
  return plan.tensors.flatMap(({ name, role }): SanitizerFinding[] => {
    const isResult = resultRoles.has(role) || (role === 'saved' && plan.entry === 'forwardSaved');
    const index = isResult ? states.get(name)?.written?.indexOf(0) ?? -1 : -1;
    if (index < 0) return [];
    return [{ kind: 'unwritten-output', kernel: '', statement: '', buffer: name, index, invocation: null, workgroup: 0 }];
  });
}
