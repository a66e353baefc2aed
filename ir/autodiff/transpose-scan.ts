/**
 * The adjoint of an affine scan is an affine scan over the reversed order (zoo.md 3.3):
 *   λ_t = g_t + conj(a_{t+1}) λ_{t+1},  db_t = λ_t,  da_t = λ_t conj(h_{t−1}),  dh₀ = conj(a_0) λ_0
 * written as add-then-decay, so that token t uses its own a_t. g_t is what the read-outs hand to the
 * state. The region replays the primal region on the forward states that the kernel recomputes from
 * checkpoints (`history`), then runs the reverse-mode rules over it. What the region yields are the
 * cotangents of its operands, summed over the axes that the operand lacks: over channels for a B
 * shared by channels, over time and batch for parameters.
 *
 * Region values that lack batch, time or a channel axis are first moved out of the region, so that
 * sums over those axes happen once, at the boundary, and never inside.
 */
import { invariant, required } from '../../support/invariant.ts';
import { TensorBuilder, unionAxes } from '../tensor/builder.ts';
import { checkpointAxis, isElementwise, type AffineScanOp, type Coefficient, type TensorInstruction, type TensorType, type TensorValue, type ValueId } from '../tensor/ops.ts';
import { mapOperands, operandsOf } from '../tensor/walk.ts';
import { innerAxesOf } from '../passes/fuse-scan.ts';
import { trimRegion } from '../passes/eliminate-dead.ts';
import { pullBack, type VjpContext } from './vjp-rules.ts';

export type ScanTransposeRequest = {
  /** the backward function's list */
  readonly builder: TensorBuilder;
  readonly op: AffineScanOp;
  readonly instruction: TensorInstruction;
  /** by result of the primal scan */
  readonly cotangents: readonly (ValueId | null)[];
  /** value in the backward function of a forward value */
  readonly primal: (id: ValueId) => ValueId;
  /** saved checkpoint parts of this scan, as arguments of the backward function */
  readonly checkpoints: (interval: number, type: TensorType, parts: number) => readonly ValueId[];
  readonly interval: number;
};

export type ScanCotangents = {
  readonly operands: readonly { readonly operand: ValueId; readonly cotangent: ValueId }[];
  /** cotangents of the initial state's parts, if it has one */
  readonly initial: readonly ValueId[];
};

/** Appends the adjoint scan to the backward function and returns the cotangents it makes. */
export function transposeScan(request: ScanTransposeRequest): ScanCotangents {
  return new ScanTransposition(request).run();
}

class ScanTransposition {
  readonly #request: ScanTransposeRequest;
  readonly #op: AffineScanOp;
  readonly #inner: readonly string[];
  readonly #region: TensorBuilder;
  readonly #stateType: TensorType;
  /** primal region value → the replayed one */
  readonly #replayed = new Map<ValueId, ValueId>();
  /** outer operand of the adjoint scan by parameter */
  readonly #operands: ValueId[] = [];
  readonly #parameters: TensorValue[] = [];
  readonly #cotangents = new Map<ValueId, ValueId>();
  readonly #outside: HoistedValues;

  constructor(request: ScanTransposeRequest) {
    this.#request = request;
    this.#op = request.op;
    this.#inner = innerAxesOf(request.op);
    this.#region = new TensorBuilder(request.builder.axes, request.builder.ids);
    this.#stateType = required(request.op.current[0], 'state').type;
    this.#outside = hoistPartialValues(request, this.#inner);
  }

  run(): ScanCotangents {
    const region = this.#region;
    const op = this.#op;
    const state = (values: readonly TensorValue[], suffix: string): TensorValue[] =>
      values.map((value) => region.fresh(`${value.name}${suffix}`, this.#stateType));
    const history = { previous: state(op.previous, ''), current: state(op.current, '') };
    op.previous.forEach((value, at) => this.#replayed.set(value.id, required(history.previous[at], 'state').id));
    op.current.forEach((value, at) => this.#replayed.set(value.id, required(history.current[at], 'state').id));
    const instructions = this.#replay();
    const consumers = dependents(instructions, [...op.previous, ...op.current].map((value) => this.#inRegion(value.id)));
    this.#seed();
    for (const each of [...instructions].reverse()) if (consumers.has(each)) this.#pull(each);
    const zero = region.constant(0);
    const partsOf = (values: readonly TensorValue[]): ValueId[] => values.map((value) => this.#cotangents.get(value.id) ?? zero);
    const drive = partsOf(history.current);
    const hasRelease = history.previous.some((value) => this.#cotangents.has(value.id));
    const release = hasRelease ? partsOf(history.previous) : null;
    const previous = state(op.previous, '_carried');
    const lambda = op.current.map((value) => region.fresh(`d_${value.name}`, this.#stateType));
    this.#recurrenceCotangents(lambda, history.previous);
    for (const each of [...instructions].reverse()) if (!consumers.has(each)) this.#pull(each);
    return this.#finish({ history, drive, release, previous, lambda });
  }

  #inRegion(id: ValueId): ValueId {
    const known = this.#replayed.get(id);
    if (known !== undefined) return known;
    const outer = required(this.#outside.outer.get(id), `region value %${id}`);
    const parameter = this.#region.fresh(this.#request.builder.value(outer).name, this.#request.builder.typeOf(outer));
    this.#operands.push(outer);
    this.#parameters.push(parameter);
    this.#replayed.set(id, parameter.id);
    return parameter.id;
  }

  #replay(): readonly TensorInstruction[] {
    const start = this.#region.instructions.length;
    for (const instruction of this.#op.region) {
      if (this.#outside.hoisted.has(instruction)) continue;
      const op = mapOperands(instruction.op, (id) => this.#inRegion(id));
      const results = instruction.results.map((value): TensorValue => ({ ...value, id: this.#region.ids.mint() }));
      this.#region.append({ op, results });
      instruction.results.forEach((value, at) => this.#replayed.set(value.id, required(results[at], 'replayed').id));
    }
    return this.#region.instructions.slice(start);
  }

  /** Cotangents of the yields enter the region as operands. */
  #seed(): void {
    this.#op.yields.forEach((each, at) => {
      const cotangent = this.#request.cotangents[at] ?? null;
      if (cotangent === null) return;
      const { builder } = this.#request;
      const result = required(this.#request.instruction.results[at], 'yield');
      const parameter = this.#region.fresh(`d_${result.name}`, builder.typeOf(cotangent));
      this.#operands.push(cotangent);
      this.#parameters.push(parameter);
      this.#accumulate(this.#inRegion(each.value), parameter.id);
    });
  }

  /** Sums inner axes that the target lacks and broadcasts those it has; batch, time, channels stay. */
  #accumulate(target: ValueId, cotangent: ValueId): void {
    const region = this.#region;
    const type = region.typeOf(target);
    const missing = this.#inner.filter((axis) => !type.axes.includes(axis));
    const fitted = region.broadcast(region.reduce('sum', missing, cotangent), type.axes);
    const before = this.#cotangents.get(target);
    this.#cotangents.set(target, before === undefined ? fitted : region.add(before, fitted));
  }

  #pull(instruction: TensorInstruction): void {
    invariant(instruction.op.kind !== 'affine-scan', 'scan in a region');
    const cotangents = instruction.results.map((value) => this.#cotangents.get(value.id) ?? null);
    if (cotangents.every((each) => each === null)) return;
    const context: VjpContext = { builder: this.#region, primal: (id) => id, typeOf: (id) => this.#region.typeOf(id) };
    for (const { operand, cotangent } of pullBack(context, instruction.op, instruction, cotangents)) {
      if (this.#region.constantOf(operand) === null) this.#accumulate(operand, cotangent);
    }
  }

  /** dā from λ and the state before the update, db̄ = λ. */
  #recurrenceCotangents(lambda: readonly TensorValue[], before: readonly TensorValue[]): void {
    const region = this.#region;
    const product = (left: TensorValue, right: TensorValue): ValueId => region.multiply(left.id, right.id);
    const pairs = lambda.map((value, at) => [value, required(before[at], 'state')] as const);
    const inner = pairs.map(([left, right]) => product(left, right)).reduce((sum, each) => region.add(sum, each));
    const { coefficient } = this.#op;
    if (coefficient.kind === 'exponent') {
      const exponent = this.#inRegion(coefficient.exponent);
      const decay = region.rename(region.unary('exp2', exponent), 'decay');
      this.#accumulate(exponent, region.multiply(region.constant(Math.LN2), region.multiply(decay, inner)));
    } else {
      const [re, im] = coefficient.parts;
      this.#accumulate(this.#inRegion(required(re, 'coefficient')), inner);
      if (im !== undefined) {
        const [first, second] = pairs;
        invariant(first !== undefined && second !== undefined, 'complex state');
        this.#accumulate(this.#inRegion(im), region.subtract(product(second[0], first[1]), product(first[0], second[1])));
      }
    }
    this.#op.drive.forEach((id, at) => this.#accumulate(this.#inRegion(id), required(lambda[at], 'part').id));
  }

  #reversedCoefficient(): Coefficient {
    const { coefficient } = this.#op;
    if (coefficient.kind === 'exponent') return { kind: 'exponent', exponent: this.#inRegion(coefficient.exponent) };
    const [re, im] = coefficient.parts.map((id) => this.#inRegion(id));
    const parts = [required(re, 'coefficient'), ...(im === undefined ? [] : [this.#region.unary('negate', im)])];
    return { kind: 'value', parts };
  }

  #finish(made: {
    history: { previous: readonly TensorValue[]; current: readonly TensorValue[] };
    drive: readonly ValueId[];
    release: readonly ValueId[] | null;
    previous: readonly TensorValue[];
    lambda: readonly TensorValue[];
  }): ScanCotangents {
    const { builder, op, interval } = this.#request;
    const region = this.#region;
    const targets = this.#parameters.flatMap((parameter, at) => {
      const cotangent = this.#cotangents.get(parameter.id);
      const outer = required(this.#operands[at], 'operand');
      return cotangent === undefined || parameter.type.dtype !== 'real' ? [] : [{ outer, parameter, cotangent }];
    });
    const yields = targets.map(({ parameter, cotangent }) => ({
      value: region.rename(cotangent, `d_${parameter.name}`),
      sumOver: region.typeOf(cotangent).axes.filter((axis) => !parameter.type.axes.includes(axis)),
    }));
    const historyCoefficient: Coefficient = op.coefficient.kind === 'exponent'
      ? { kind: 'exponent', exponent: this.#inRegion(op.coefficient.exponent) }
      : { kind: 'value', parts: op.coefficient.parts.map((id) => this.#inRegion(id)) };
    const finals = op.emitsFinal ? op.current.map((_, at) => this.#request.cotangents[op.yields.length + at] ?? null) : [];
    const initial = finals.some((each) => each !== null) ? finals.map((each) => each ?? builder.constant(0)) : null;
    const bare: AffineScanOp = {
      kind: 'affine-scan', state: op.state, order: op.order === 'forward' ? 'reverse' : 'forward', form: 'add-then-decay',
      axes: op.axes, operands: this.#operands, parameters: this.#parameters, region: [], coefficient: this.#reversedCoefficient(),
      drive: made.drive, release: made.release, previous: made.previous, current: made.lambda, initial,
      history: {
        order: op.order, coefficient: historyCoefficient, drive: op.drive.map((id) => this.#inRegion(id)),
        initial: op.initial?.map(this.#request.primal) ?? null, checkpoints: [], interval,
        previous: made.history.previous, current: made.history.current,
      },
      yields, emitsFinal: op.initial !== null, checkpointInterval: null,
    };
    const trimmed = trimRegion({ ...bare, region: region.instructions });
    const scan = this.#withCheckpoints(trimmed);
    const results = builder.scan(scan, new Map([...this.#parameters, ...made.history.previous, ...made.history.current, ...made.previous, ...made.lambda, ...region.instructions.flatMap((each) => each.results)].map((value) => [value.id, value])));
    const boundary = targets.map(({ outer }, at) => ({ operand: outer, cotangent: required(results.yields[at], 'yield') }));
    return { operands: this.#outside.finish(boundary), initial: results.finals };
  }

  #withCheckpoints(op: AffineScanOp): AffineScanOp {
    if (op.history === null) return op;
    const { interval } = this.#request;
    const axes = unionAxes(this.#request.builder.axes, ['batch', checkpointAxis(interval)], op.axes);
    const checkpoints = this.#request.checkpoints(interval, { dtype: 'real', axes }, op.current.length);
    return { ...op, history: { ...op.history, checkpoints } };
  }
}

function dependents(instructions: readonly TensorInstruction[], roots: readonly ValueId[]): ReadonlySet<TensorInstruction> {
  const reached = new Set<ValueId>(roots);
  const found = new Set<TensorInstruction>();
  for (const instruction of instructions) {
    if (!operandsOf(instruction.op).some((id) => reached.has(id))) continue;
    found.add(instruction);
    instruction.results.forEach((value) => reached.add(value.id));
  }
  return found;
}

type HoistedValues = {
  readonly hoisted: ReadonlySet<TensorInstruction>;
  /** backward-function value of a region parameter or hoisted region value */
  readonly outer: ReadonlyMap<ValueId, ValueId>;
  /** cotangents of outer values → contributions to the forward scan's operands */
  readonly finish: (boundary: readonly { operand: ValueId; cotangent: ValueId }[]) => readonly { operand: ValueId; cotangent: ValueId }[];
};

/** Clones region values that lack batch, time or a channel axis into the backward function. */
function hoistPartialValues(request: ScanTransposeRequest, inner: readonly string[]): HoistedValues {
  const { builder, op, primal } = request;
  const full = ['batch', 'time', ...op.axes.filter((axis) => !inner.includes(axis))];
  const outer = new Map<ValueId, ValueId>();
  const forwardOperand = new Map<ValueId, ValueId>();
  op.parameters.forEach((parameter, at) => {
    const operand = required(op.operands[at], 'operand');
    outer.set(parameter.id, primal(operand));
    forwardOperand.set(primal(operand), operand);
  });
  const hoisted = new Set<TensorInstruction>();
  const clones: TensorInstruction[] = [];
  for (const instruction of op.region) {
    if (instruction.op.kind === 'constant') {
      outer.set(required(instruction.results[0], 'constant').id, builder.constant(instruction.op.value));
      continue;
    }
    const isPartial = instruction.results.every((value) => full.some((axis) => !value.type.axes.includes(axis)));
    const isReady = operandsOf(instruction.op).every((id) => outer.has(id));
    if (!isPartial || !isReady || !isElementwise(instruction.op)) continue;
    const clone: TensorInstruction = {
      op: mapOperands(instruction.op, (id) => required(outer.get(id), 'hoisted operand')),
      results: instruction.results.map((value) => ({ ...value, id: builder.ids.mint() })),
    };
    builder.append(clone);
    clones.push(clone);
    hoisted.add(instruction);
    instruction.results.forEach((value, at) => outer.set(value.id, required(clone.results[at], 'clone').id));
  }
  return { hoisted, outer, finish: (boundary) => pullBackHoisted(builder, clones, forwardOperand, boundary) };
}

function pullBackHoisted(
  builder: TensorBuilder,
  clones: readonly TensorInstruction[],
  forwardOperand: ReadonlyMap<ValueId, ValueId>,
  boundary: readonly { operand: ValueId; cotangent: ValueId }[],
): readonly { operand: ValueId; cotangent: ValueId }[] {
  const cotangents = new Map<ValueId, ValueId>();
  const accumulate = (target: ValueId, cotangent: ValueId): void => {
    const type = builder.typeOf(target);
    const extra = builder.typeOf(cotangent).axes.filter((axis) => !type.axes.includes(axis));
    const fitted = builder.broadcast(builder.reduce('sum', extra, cotangent), type.axes);
    const before = cotangents.get(target);
    cotangents.set(target, before === undefined ? fitted : builder.add(before, fitted));
  };
  for (const each of boundary) accumulate(each.operand, each.cotangent);
  const context: VjpContext = { builder, primal: (id) => id, typeOf: (id) => builder.typeOf(id) };
  for (const clone of [...clones].reverse()) {
    invariant(clone.op.kind !== 'affine-scan', 'scan in a region');
    const arriving = clone.results.map((value) => cotangents.get(value.id) ?? null);
    if (arriving.every((each) => each === null)) continue;
    for (const { operand, cotangent } of pullBack(context, clone.op, clone, arriving)) accumulate(operand, cotangent);
  }
  return [...cotangents].flatMap(([id, cotangent]) => {
    const operand = forwardOperand.get(id);
    return operand === undefined ? [] : [{ operand, cotangent }];
  });
}
