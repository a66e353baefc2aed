/**
 * Tensor IR function → plan: which values get memory, which launches make them, in which order.
 * A scan, a contraction, a reduction and a scatter are launches; elementwise values between them are
 * evaluated where they are used, unless that would repeat costly work, then they are launches too.
 * Yields that a scan kernel cannot finish alone (sums over batch, over groups of channels, over
 * splits of time) go through a partial tensor and a reduction.
 */
import { invariant, required } from '../../support/invariant.ts';
import { ceilDivideSizes, multiplySizes, type SizeExpression } from '../../support/size.ts';
import type { Kernel, StorageType } from '../kernel/nodes.ts';
import type { EntryName, Plan, PlanTensor, TensorRole } from '../plan.ts';
import { emitConvolution, type ConvolutionAlgorithm } from '../schedule/conv/index.ts';
import { emitLoopNest } from '../schedule/loop-nest.ts';
import { contractPlanOf, emitContraction } from '../schedule/contract.ts';
import { emitNestGroup, type NestGroupRequest } from '../schedule/nest-group.ts';
import type { NestContext } from '../schedule/nest-values.ts';
import { groupLaunches, type LaunchGroup } from './group-launches.ts';
import type { MemoryReference } from '../schedule/access.ts';
import type { Machine, ScanSchedule } from '../schedule/parameters.ts';
import { planRegion, type RegionPlan } from '../schedule/region-plan.ts';
import { emitScan, partialAxes, type ScanLaunchContext } from '../schedule/scan.ts';
import type { ScheduleDecision } from '../schedule/select-schedule.ts';
import type { ValueIds } from '../tensor/builder.ts';
import {
  checkpointIntervalOf, isConvolutionOp, isElementwise,
  type AffineScanOp, type ConvolutionOp, type FunctionResult, type TensorFunction, type TensorInstruction, type TensorModule, type TensorOp, type TensorType, type TensorValue, type ValueId,
} from '../tensor/ops.ts';
import { definitionsOf, operandsOf } from '../tensor/walk.ts';

export type SplitKernelsOptions = {
  readonly machine: Machine;
  readonly choose: (plan: RegionPlan) => ScheduleDecision;
  /** storage of tensors the caller sees, by role and subject */
  readonly storage: (role: TensorRole, subject: string, dtype: TensorType['dtype']) => StorageType;
  /** memory order of the axes of tensors the caller sees; absent: canonical */
  readonly layout?: (role: TensorRole, subject: string, axes: readonly string[]) => readonly string[];
  /** how convolutions are evaluated, where there are any; absent: directly */
  readonly convolutions?: ConvolutionAlgorithm;
  readonly onDecision: (subject: string, decision: ScheduleDecision) => void;
};

/** The plan of one entry point. */
export function splitKernels(module: TensorModule, target: TensorFunction, ids: ValueIds, options: SplitKernelsOptions): Plan {
  return new KernelSplit(module, target, ids, options).run();
}

type Waiting = { readonly root: ValueId; readonly target: MemoryReference; readonly name: string };

/** Pieces of sums over time: the axis (no other's name starts so), the least number of tokens in one, and the most pieces of a sequence. */
const [pieceAxis, leastPiece, mostPieces] = ['stretch', 256, 64];

/** Results of one elementwise launch; more would exceed the buffers of a small device. */
const mostShared = 4;

function sameAxes(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((axis, at) => axis === right[at]);
}

class KernelSplit {
  readonly #module: TensorModule;
  readonly #target: TensorFunction;
  readonly #ids: ValueIds;
  readonly #options: SplitKernelsOptions;
  readonly #definitions: Map<ValueId, TensorInstruction>;
  readonly #types = new Map<ValueId, TensorType>();
  readonly #names = new Map<ValueId, string>();
  readonly #uses = new Map<ValueId, number>();
  readonly #memory = new Map<ValueId, MemoryReference>();
  readonly #tensors: PlanTensor[] = [];
  readonly #kernels: Kernel[] = [];
  readonly #pseudoExtents = new Map<string, SizeExpression>();
  readonly #convolutionTensors = new Map<string, readonly MemoryReference[]>();
  #scratch = 0;
  #waiting: Waiting[] = [];

  constructor(module: TensorModule, target: TensorFunction, ids: ValueIds, options: SplitKernelsOptions) {
    this.#module = module;
    this.#target = target;
    this.#ids = ids;
    this.#options = options;
    this.#definitions = new Map(definitionsOf(target.instructions));
    for (const each of target.instructions) {
      for (const value of each.results) {
        this.#types.set(value.id, value.type);
        this.#names.set(value.id, value.name);
      }
      for (const id of operandsOf(each.op)) this.#uses.set(id, (this.#uses.get(id) ?? 0) + 1);
    }
    for (const result of target.results) this.#uses.set(result.value, (this.#uses.get(result.value) ?? 0) + 1);
  }

  run(): Plan {
    for (const each of this.#target.instructions) if (each.op.kind === 'argument') this.#argument(each, each.op);
    const copies = this.#target.results.filter((result) => !this.#claimResult(result));
    for (const each of this.#target.instructions) this.#launch(each);
    for (const result of copies) this.#nest(result.value, this.#resultReference(result), this.#subjectName(result));
    this.#flush();
    const bound = new Set(this.#kernels.flatMap((kernel) => kernel.buffers.map((buffer) => buffer.name)));
    return { entry: this.#target.name as EntryName, tensors: this.#tensors.filter((each) => bound.has(each.name)), kernels: this.#kernels };
  }

  #typeOf(id: ValueId): TensorType {
    return required(this.#types.get(id), `type of %${id}`);
  }

  #extent(axis: string): SizeExpression {
    if (axis === 'batch' || axis === 'time') return axis === 'batch' ? 'batch' : 'length';
    const interval = checkpointIntervalOf(axis);
    if (interval !== null) return ceilDivideSizes('length', interval);
    const pseudo = this.#pseudoExtents.get(axis);
    if (pseudo !== undefined) return pseudo;
    return required(this.#module.axes.find((each) => each.name === axis), `axis ${axis}`).size;
  }

  #tensor(name: string, role: TensorRole, subject: string | null, type: TensorType, isComplex: boolean): PlanTensor {
    const known = this.#tensors.find((each) => each.name === name);
    if (known !== undefined) return known;
    const ordered = role === 'scratch' || role === 'saved' ? type.axes : (this.#options.layout?.(role, subject ?? '', type.axes) ?? type.axes);
    const axes = isComplex ? [...ordered, 'complex'] : ordered;
    const storage = this.#options.storage(role, subject ?? '', type.dtype);
    const dims = axes.map((axis) => (axis === 'complex' ? 2 : this.#extent(axis)));
    const tensor: PlanTensor = { name, role, subject, storage, axes, dims };
    this.#tensors.push(tensor);
    return tensor;
  }

  #argument(instruction: TensorInstruction, op: Extract<TensorOp, { kind: 'argument' }>): void {
    const [value] = instruction.results;
    invariant(value !== undefined, 'argument value');
    const isPart = op.part !== 'whole';
    const separate = op.role === 'saved' && isPart;
    const name = argumentName(op.role, op.subject) + (separate ? `.${op.part}` : '');
    const tensor = this.#tensor(name, op.role, op.subject, value.type, isPart && !separate);
    this.#memory.set(value.id, { tensor, part: isPart && !separate ? (op.part === 're' ? 0 : 1) : null });
  }

  #subjectName(result: FunctionResult): string {
    const names = { output: result.subject, final: `${result.subject}.final`, saved: `saved.${result.subject}`, gradient: `grad.${result.subject}` };
    return names[result.role];
  }

  #resultReference(result: FunctionResult): MemoryReference {
    const isPart = result.part !== 'whole';
    const separate = result.role === 'saved' && isPart;
    const name = this.#subjectName(result) + (separate ? `.${result.part}` : '');
    const tensor = this.#tensor(name, result.role, result.subject, this.#typeOf(result.value), isPart && !separate);
    return { tensor, part: isPart && !separate ? (result.part === 're' ? 0 : 1) : null };
  }

  /**
   * Lets the launch that makes a value write the result tensor itself; false if it lies elsewhere
   * already, or if others who read it would read it rounded to 16 bits, or beside the other part of a
   * complex result that they write.
   */
  #claimResult(result: FunctionResult): boolean {
    const reference = this.#resultReference(result);
    if (this.#memory.has(result.value)) return false;
    const isRead = (this.#uses.get(result.value) ?? 0) > 1;
    if (isRead && (reference.part !== null || isHalf(reference))) return false;
    this.#memory.set(result.value, reference);
    return true;
  }

  #scratchFor(id: ValueId): MemoryReference {
    const known = this.#memory.get(id);
    if (known !== undefined) return known;
    const name = `scratch.${this.#scratch++}.${required(this.#names.get(id), 'name')}`;
    const made: MemoryReference = { tensor: this.#tensor(name, 'scratch', null, this.#typeOf(id), false), part: null };
    this.#memory.set(id, made);
    return made;
  }

  #launch(instruction: TensorInstruction): void {
    const { op } = instruction;
    if (op.kind === 'argument') return;
    if (op.kind === 'affine-scan') {
      this.#scan(instruction, op);
      return;
    }
    if (isConvolutionOp(op)) {
      this.#convolution(instruction, op);
      return;
    }
    for (const value of instruction.results) {
      if (!this.#memory.has(value.id) && !this.#needsMemory(value.id, op)) continue;
      this.#nest(value.id, this.#scratchFor(value.id), value.name);
    }
  }

  #needsMemory(id: ValueId, op: TensorOp): boolean {
    if (op.kind === 'reduce' || op.kind === 'contract' || op.kind === 'scatter-add') return true;
    if ((this.#uses.get(id) ?? 0) === 0) return false;
    const cost = this.#inlineCost(id);
    const users = this.#target.instructions.filter((each) => operandsOf(each.op).includes(id));
    return users.some((user) => {
      switch (user.op.kind) {
        case 'affine-scan':
          return true;
        case 'contract':
        case 'scatter-add':
          return cost > 1;
        case 'delay':
        case 'slide':
        case 'gather':
        case 'reduce':
          return cost > 6;
        default:
          return cost > 12 && users.length > 1;
      }
    });
  }

  /** Rough operations per element when evaluated in place. */
  #inlineCost(id: ValueId): number {
    if (this.#memory.has(id)) return 1;
    const op = this.#definitions.get(id)?.op;
    if (op === undefined || !(isElementwise(op) || op.kind === 'delay' || op.kind === 'slide' || op.kind === 'gather' || op.kind === 'rename' || op.kind === 'last')) return 1;
    if (op.kind === 'constant' || op.kind === 'length' || op.kind === 'iota') return 0;
    const own = op.kind === 'analytic' ? 40 : op.kind === 'unary' && op.function !== 'negate' && op.function !== 'to-real' ? 10 : op.kind === 'broadcast' || op.kind === 'rename' ? 0 : 1;
    return operandsOf(op).reduce((sum, each) => sum + this.#inlineCost(each), own);
  }

  /** A launch for a value. On GPUs launches wait for the next recurrence to be grouped, on CPUs elementwise ones to share a loop. */
  #nest(root: ValueId, target: MemoryReference, name: string): void {
    if (this.#options.machine.maximumWorkgroup > 1) {
      const op = this.#definitions.get(root)?.op;
      if (op !== undefined && !this.#isCopy({ root, target, name })) this.#sumInPieces(root, op, name);
      this.#waiting.push({ root, target, name });
      return;
    }
    const op = this.#definitions.get(root)?.op;
    const isShareable = op !== undefined && isElementwise(op) && (this.#memory.get(root) ?? target) === target;
    const first = this.#waiting[0];
    const fits = first !== undefined && sameAxes(this.#typeOf(first.root).axes, this.#typeOf(root).axes) && this.#waiting.length < mostShared;
    if (!isShareable || !fits) this.#flush();
    this.#waiting.push({ root, target, name });
    if (!isShareable) this.#flush();
  }

  /**
   * A sum over all tokens has too few results to fill a GPU: pieces of time and sequences are summed side
   * by side first, at most 64 pieces however long the sequence is, and then added up in order.
   */
  #sumInPieces(root: ValueId, op: TensorOp, name: string): void {
    if (!(op.kind === 'contract' || (op.kind === 'reduce' && op.function === 'sum')) || !op.over.includes('time')) return;
    const { axes } = this.#typeOf(root);
    if (axes.includes('batch') || axes.includes('time')) return;
    const count: SizeExpression = { operator: 'minimum', left: mostPieces, right: ceilDivideSizes('length', leastPiece) };
    const extra = [...op.over.filter((axis) => axis === 'batch'), this.#declareAxis(pieceAxis, count)];
    const partial: TensorValue = { id: this.#ids.mint(), name: `${name}_partial`, type: { dtype: 'real', axes: [...extra, ...axes] } };
    this.#types.set(partial.id, partial.type);
    this.#names.set(partial.id, kernelName(partial.name));
    this.#definitions.set(partial.id, { op: { ...op, over: op.over.filter((axis) => axis !== 'batch') }, results: [partial] });
    const instruction = required(this.#definitions.get(root), 'sum');
    this.#waiting.push({ root: partial.id, target: this.#scratchFor(partial.id), name: partial.name });
    this.#definitions.set(root, { op: { kind: 'reduce', function: 'sum', over: extra, operand: partial.id }, results: instruction.results });
  }

  /** Emits the waiting launches, before anything that may read what they make. */
  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    if (waiting.length === 0) return;
    if (this.#options.machine.maximumWorkgroup === 1) {
      this.#emitNest(waiting, (id) => this.#memory.get(id) ?? null);
      return;
    }
    const place = new Map(waiting.flatMap((each, at) => (this.#isCopy(each) ? [] : [[each.root, at] as const])));
    const groups = groupLaunches(waiting, {
      rootOf: (each) => each.root, axesOf: (id) => this.#typeOf(id).axes, definitions: this.#definitions,
      liesFor: (each, id) => (each.root === id ? this.#isCopy(each) : this.#memory.has(id) && (place.get(id) ?? -1) < waiting.indexOf(each)),
      extent: (axis) => this.#extent(axis), maximumWorkgroup: this.#options.machine.maximumWorkgroup,
    });
    const groupOf = new Map(groups.flatMap(({ members }, at) => members.filter((each) => !this.#isCopy(each)).map((each) => [each.root, at] as const)));
    groups.forEach((group, at) => {
      // what this stretch makes lies in memory for later groups only
      const memory = (id: ValueId): MemoryReference | null => ((groupOf.get(id) ?? -1) < at ? (this.#memory.get(id) ?? null) : null);
      const request = this.#groupRequest(group, memory);
      const tiles = contractPlanOf(request);
      if (tiles !== null) this.#kernels.push(emitContraction(request, tiles));
      else if (group.members.length === 1) this.#emitNest(group.members, (id) => (id === group.members[0]?.root ? (this.#memory.get(id) ?? null) : memory(id)));
      else this.#kernels.push(emitNestGroup(request));
    });
  }

  /** Whether a launch only copies a value that lies elsewhere. */
  #isCopy({ root, target }: Waiting): boolean {
    return (this.#memory.get(root) ?? target) !== target;
  }

  #context(memory: (id: ValueId) => MemoryReference | null): NestContext {
    const piece = [...this.#pseudoExtents.keys()].find((axis) => axis.startsWith(pieceAxis));
    return {
      definitions: this.#definitions, axesOf: (id) => this.#typeOf(id).axes, names: (id) => required(this.#names.get(id), 'name'),
      memory, extent: (axis) => this.#extent(axis),
      pieces: piece === undefined ? null : { axis: piece, size: multiplySizes(leastPiece, ceilDivideSizes('length', leastPiece * mostPieces)) },
    };
  }

  #emitNest([first, ...also]: readonly Waiting[], memory: (id: ValueId) => MemoryReference | null): void {
    if (first === undefined) return;
    const { machine } = this.#options;
    const axes = this.#typeOf(first.root).axes;
    const isCpu = machine.maximumWorkgroup === 1;
    const parameters = { kind: 'loop-nest', workgroupSize: isCpu ? 1 : Math.min(256, machine.maximumWorkgroup), vectorWidth: machine.vectorWidth } as const;
    this.#kernels.push(emitLoopNest({
      ...this.#context(memory), name: kernelName(first.name), notes: [noteOf([first, ...also], axes)], root: first.root, axes, target: first.target, also,
    }, parameters));
  }

  #groupRequest({ members, axes, across }: LaunchGroup<Waiting>, memory: (id: ValueId) => MemoryReference | null): NestGroupRequest {
    const own = new Set(members.filter((each) => !this.#isCopy(each)).map((each) => each.root));
    const first = required(members[0], 'member');
    return {
      ...this.#context(memory), name: kernelName(first.name), notes: [noteOf(members, axes)], axes, across,
      maximumWorkgroup: this.#options.machine.maximumWorkgroup,
      members: members.map(({ root, target }) => ({ root, target: own.has(root) && target.tensor.role === 'scratch' && this.#isInternal(root, own) ? null : target })),
    };
  }

  /** Whether nothing but the results of one launch is computed from a value; one that is only copied out is made again by who else reads it. */
  #isInternal(id: ValueId, own: ReadonlySet<ValueId>): boolean {
    const isPartial = !this.#uses.has(id); // of a sum in pieces, read by another launch
    if (isPartial || this.#target.results.some((each) => each.value === id)) return false;
    return this.#target.instructions.filter((each) => operandsOf(each.op).includes(id)).every((user) =>
      user.results.every((value) => (own.has(value.id) && this.#memory.has(value.id)) || (!this.#memory.has(value.id) && isElementwise(user.op) && this.#isInternal(value.id, own))));
  }

  #scan(instruction: TensorInstruction, op: AffineScanOp): void {
    const plan = planRegion(op, this.#module.axes);
    const decision = this.#options.choose(plan);
    this.#options.onDecision(`${this.#target.name}: ${op.state}`, decision);
    for (const operand of operandsOf(op)) {
      if (!this.#memory.has(operand)) this.#nest(operand, this.#scratchFor(operand), required(this.#names.get(operand), 'name'));
    }
    this.#flush();
    const context: ScanLaunchContext = {
      name: `${kernelName(op.state)}_${this.#target.name === 'backward' || this.#target.name === 'backwardFinal' ? 'backward' : 'scan'}`,
      memory: (id) => required(this.#memory.get(id), `memory of %${id}`),
      machine: this.#options.machine,
      scratch: (name, axes) => ({ tensor: this.#tensor(`scratch.${this.#scratch++}.${name}`, 'scratch', null, { dtype: 'real', axes }, false), part: null }),
      declareAxis: (axis, size) => this.#declareAxis(axis, size),
    };
    const pending: { value: ValueId; reduceTo: ValueId; over: readonly string[] }[] = [];
    const yields = op.yields.map((yielded, at) => {
      const result = required(instruction.results[at], 'yield');
      const shape = partialAxes(plan, decision.schedule, yielded, required(plan.types.get(yielded.value), 'type').axes, (axis, size) => this.#declareAxis(axis, size));
      const target = this.#scratchFor(result.id);
      // groups of channels add to memory one after the other, which must not round to 16 bits each time
      const isRounded = shape.sumsChannels && isHalf(target);
      if (shape.over.length === 0 && !isRounded) return { yielded, sumsTime: shape.sumsTime, sumsChannels: shape.sumsChannels, target };
      const partial = this.#ids.mint();
      this.#types.set(partial, { dtype: 'real', axes: shape.axes });
      this.#names.set(partial, `${result.name}_partial`);
      pending.push({ value: partial, reduceTo: result.id, over: shape.over });
      return { yielded, sumsTime: shape.sumsTime, sumsChannels: shape.sumsChannels, target: this.#scratchFor(partial) };
    });
    const rest = instruction.results.slice(op.yields.length).map((value) => this.#scratchFor(value.id));
    const parts = op.current.length;
    const finals = op.emitsFinal ? rest.slice(0, parts) : null;
    const checkpoints = op.checkpointInterval === null ? null : { interval: op.checkpointInterval, targets: rest.slice(op.emitsFinal ? parts : 0) };
    this.#kernels.push(...emitScan(context, { plan, schedule: decision.schedule satisfies ScanSchedule, yields, finals, checkpoints }));
    for (const each of pending) {
      const result = required(instruction.results.find((value) => value.id === each.reduceTo), 'yield');
      const made: TensorOp = each.over.length === 0 ? { kind: 'broadcast', operand: each.value, axes: result.type.axes } : { kind: 'reduce', function: 'sum', over: each.over, operand: each.value };
      this.#definitions.set(each.reduceTo, { op: made, results: [result] });
      this.#nest(each.reduceTo, this.#scratchFor(each.reduceTo), result.name);
    }
  }

  #convolution(instruction: TensorInstruction, op: ConvolutionOp): void {
    for (const operand of operandsOf(op)) {
      this.#flush(); // a waiting launch must not read what is made only now
      if (!this.#memory.has(operand)) this.#nest(operand, this.#scratchFor(operand), required(this.#names.get(operand), 'name'));
    }
    this.#flush();
    for (const value of instruction.results) this.#scratchFor(value.id);
    emitConvolution({
      machine: this.#options.machine, name: kernelName(required(instruction.results[0], 'result').name), algorithm: this.#options.convolutions ?? 'direct',
      memory: (id) => required(this.#memory.get(id), `memory of %${id}`), axesOf: (id) => this.#typeOf(id).axes, extent: (axis) => this.#extent(axis),
      scratch: (name, axes) => ({ tensor: this.#tensor(`scratch.${this.#scratch++}.${name}`, 'scratch', null, { dtype: 'real', axes }, false), part: null }),
      declareAxis: (axis, size) => this.#declareAxis(axis, size), launch: (kernel) => this.#kernels.push(kernel), shared: this.#convolutionTensors,
      isConvolvedLater: (id) => this.#target.instructions.slice(this.#target.instructions.indexOf(instruction) + 1)
        .some((each) => (each.op.kind === 'convolve' || each.op.kind === 'correlate') && operandsOf(each.op).includes(id)),
    }, op, instruction);
  }

  #declareAxis(axis: string, size: SizeExpression): string {
    const known = [...this.#pseudoExtents].find(([name, extent]) => name.startsWith(axis) && JSON.stringify(extent) === JSON.stringify(size));
    if (known !== undefined) return known[0];
    const name = `${axis}${this.#pseudoExtents.size}`;
    this.#pseudoExtents.set(name, size);
    return name;
  }
}

function argumentName(role: Extract<TensorOp, { kind: 'argument' }>['role'], subject: string): string {
  const names = {
    input: subject, param: subject, initial: `${subject}.initial`, saved: `saved.${subject}`,
    'output-cotangent': `d.${subject}`, 'final-cotangent': `d.${subject}.final`,
  };
  return names[role];
}

/** Whether what is stored there is rounded to 16 bits. */
function isHalf({ tensor }: MemoryReference): boolean {
  return tensor.storage === 'f16' || tensor.storage === 'bf16';
}

/** One line with what a launch computes. */
function noteOf(members: readonly Waiting[], axes: readonly string[]): string {
  const names = members.slice(0, 8).map((each) => kernelName(each.name)).join(', ');
  const others = members.length > 8 ? ` and ${members.length - 8} more` : '';
  return `computes ${names}${others} over ${axes.join(', ') || 'one element'}`;
}

/** Identifier stem of a kernel: letters, digits and underscores of the path. */
function kernelName(path: string): string {
  const stem = path.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_+|_+$/g, '');
  return /^[A-Za-z]/.test(stem) ? stem : `k_${stem}`;
}
