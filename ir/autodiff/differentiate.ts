/**
 * Reverse-mode differentiation of a function: `forward` → `forwardSaved` and `backward`.
 *
 * backward takes the inputs, parameters and initial states again, what forwardSaved kept, and the
 * cotangents of outputs and (as a variant) of final states. Elementwise values are recomputed from
 * those; results of scans, contractions and reductions that backward needs are saved, and of a
 * recurrence only a checkpoint every `interval` tokens. Gradients follow decisions 10 and 15.
 */
import { required } from '../../support/invariant.ts';
import { eliminateDeadInFunction } from '../passes/eliminate-dead.ts';
import { TensorBuilder, unionAxes, type ValueIds } from '../tensor/builder.ts';
import { checkpointAxis, isElementwise, type FunctionResult, type TensorFunction, type TensorInstruction, type TensorModule, type TensorType, type TensorValue, type ValueId } from '../tensor/ops.ts';
import { definitionsOf, mapOperands } from '../tensor/walk.ts';
import { pullBack, type VjpContext } from './vjp-rules.ts';
import { transposeScan } from './transpose-scan.ts';

export type DifferentiateOptions = {
  /** subjects (input, parameter, state path) whose gradients are wanted; null means all real ones */
  readonly withRespectTo: ReadonlySet<string> | null;
  /** whether cotangents of the final states arrive; an absent cotangent is a variant, not zeros */
  readonly finalCotangents: boolean;
  /** tokens per checkpoint */
  readonly checkpointInterval: number;
  /** name of the backward function */
  readonly name: 'backward' | 'backwardFinal';
};

export type Differentiated = { readonly forwardSaved: TensorFunction; readonly backward: TensorFunction };

/** Differentiates the function `forward` of a module in real arithmetic with fused scans. */
export function differentiate(module: TensorModule, forward: TensorFunction, ids: ValueIds, options: DifferentiateOptions): Differentiated {
  return new Differentiation(module, forward, ids, options).run();
}

class Differentiation {
  readonly #forward: TensorFunction;
  readonly #options: DifferentiateOptions;
  readonly #builder: TensorBuilder;
  readonly #definitions: ReadonlyMap<ValueId, TensorInstruction>;
  readonly #values = new Map<ValueId, TensorValue>();
  readonly #primal = new Map<ValueId, ValueId>();
  readonly #cotangents = new Map<ValueId, ValueId>();
  readonly #saved = new Map<ValueId, string>();
  readonly #checkpointed = new Map<TensorInstruction, readonly TensorValue[]>();

  constructor(module: TensorModule, forward: TensorFunction, ids: ValueIds, options: DifferentiateOptions) {
    this.#forward = forward;
    this.#options = options;
    this.#builder = new TensorBuilder(module.axes, ids);
    this.#definitions = definitionsOf(forward.instructions);
    for (const instruction of forward.instructions) for (const value of instruction.results) this.#values.set(value.id, value);
  }

  run(): Differentiated {
    this.#seed();
    for (const instruction of [...this.#forward.instructions].reverse()) this.#pull(instruction);
    const results = this.#gradients();
    const backward: TensorFunction = { name: this.#options.name, instructions: this.#builder.instructions, results };
    return { forwardSaved: this.#forwardSaved(), backward: eliminateDeadInFunction(backward) };
  }

  #typeOf(id: ValueId): TensorType {
    return required(this.#values.get(id), `value %${id}`).type;
  }

  #seed(): void {
    for (const result of this.#forward.results) {
      const isFinal = result.role === 'final';
      if (isFinal && !this.#options.finalCotangents) continue;
      const role = isFinal ? 'final-cotangent' : 'output-cotangent';
      const cotangent = this.#builder.argument({ role, subject: result.subject, part: result.part, type: this.#typeOf(result.value) });
      this.#accumulate(result.value, cotangent);
    }
  }

  /** Adds a cotangent, summed over the axes that the value lacks and broadcast to those it has. */
  #accumulate(target: ValueId, cotangent: ValueId): void {
    const builder = this.#builder;
    const type = this.#typeOf(target);
    if (type.dtype !== 'real' || this.#definitions.get(target)?.op.kind === 'constant') return;
    const extra = builder.typeOf(cotangent).axes.filter((axis) => !type.axes.includes(axis));
    const fitted = builder.broadcast(builder.reduce('sum', extra, cotangent), type.axes);
    const before = this.#cotangents.get(target);
    this.#cotangents.set(target, before === undefined ? fitted : builder.add(before, fitted));
  }

  #pull(instruction: TensorInstruction): void {
    const cotangents = instruction.results.map((value) => this.#cotangents.get(value.id) ?? null);
    if (cotangents.every((each) => each === null)) return;
    if (instruction.op.kind === 'affine-scan') {
      const { op } = instruction;
      const made = transposeScan({
        builder: this.#builder, op, instruction, cotangents, interval: this.#options.checkpointInterval,
        primal: (id) => this.primal(id),
        checkpoints: (interval, type, parts) => this.#checkpointArguments(instruction, interval, type, parts),
      });
      for (const { operand, cotangent } of made.operands) this.#accumulate(operand, cotangent);
      made.initial.forEach((cotangent, at) => {
        const target = op.initial?.[at];
        if (target !== undefined) this.#accumulate(target, cotangent);
      });
      return;
    }
    const context: VjpContext = { builder: this.#builder, primal: (id) => this.primal(id), typeOf: (id) => this.#typeOf(id) };
    for (const { operand, cotangent } of pullBack(context, instruction.op, instruction, cotangents)) this.#accumulate(operand, cotangent);
  }

  /** The value in the backward function: an argument, recomputed, or saved by forwardSaved. */
  primal(id: ValueId): ValueId {
    const known = this.#primal.get(id);
    if (known !== undefined) return known;
    const definition = required(this.#definitions.get(id), `definition of %${id}`);
    const { op } = definition;
    const isRecomputed = op.kind === 'argument' || op.kind === 'rename' || op.kind === 'delay' || op.kind === 'slide' || op.kind === 'last' || isElementwise(op);
    if (isRecomputed) {
      const results = definition.results.map((value): TensorValue => ({ ...value, id: this.#builder.ids.mint() }));
      const clone: TensorInstruction = { op: mapOperands(op, (operand) => this.primal(operand)), results };
      this.#builder.append(clone);
      definition.results.forEach((value, at) => this.#primal.set(value.id, required(results[at], 'clone').id));
      return required(this.#primal.get(id), 'clone');
    }
    // numbered by its place in forward: both backward functions read what one forwardSaved writes
    const subject = `${required(this.#values.get(id), 'value').name}.${[...this.#values.keys()].indexOf(id)}`;
    this.#saved.set(id, subject);
    const argument = this.#builder.argument({ role: 'saved', subject, type: this.#typeOf(id) });
    this.#primal.set(id, argument);
    return argument;
  }

  #checkpointArguments(instruction: TensorInstruction, interval: number, type: TensorType, parts: number): readonly ValueId[] {
    const op = instruction.op;
    const state = op.kind === 'affine-scan' ? op.state : '';
    const values: TensorValue[] = [];
    const made: ValueId[] = [];
    for (let part = 0; part < parts; part++) {
      const name = parts === 1 ? 'whole' : part === 0 ? 're' : 'im';
      made.push(this.#builder.argument({ role: 'saved', subject: `${state}.checkpoints`, part: name, type }));
      values.push({ id: this.#builder.ids.mint(), name: `${checkpointAxis(interval)}_${name}`, type });
    }
    this.#checkpointed.set(instruction, values);
    return made;
  }

  #gradients(): readonly FunctionResult[] {
    const results = this.#forward.instructions.flatMap((instruction): FunctionResult[] => {
      const { op } = instruction;
      const [value] = instruction.results;
      if (op.kind !== 'argument' || value === undefined || value.type.dtype !== 'real') return [];
      const wanted = this.#options.withRespectTo;
      if (wanted !== null && !wanted.has(op.subject)) return [];
      const cotangent = this.#cotangents.get(value.id) ?? this.#zeros(value.type);
      return [{ role: 'gradient', subject: op.subject, part: op.part, value: cotangent }];
    });
    return results.flatMap((each): FunctionResult[] => {
      // of a complex tensor that is read through one part, the other part's gradient is zero
      const other = each.part === 're' ? 'im' : 're';
      const isAlone = each.part !== 'whole' && !results.some((result) => result.subject === each.subject && result.part === other);
      if (!isAlone) return [each];
      const missing: FunctionResult = { ...each, part: other, value: this.#zeros(this.#builder.typeOf(each.value)) };
      return each.part === 're' ? [each, missing] : [missing, each];
    });
  }

  #zeros(type: TensorType): ValueId {
    return this.#builder.broadcast(this.#builder.constant(0), type.axes);
  }

  /** forward with checkpoints and the values that backward reads as further results. */
  #forwardSaved(): TensorFunction {
    const results: FunctionResult[] = [...this.#forward.results];
    const instructions = this.#forward.instructions.map((instruction): TensorInstruction => {
      const values = this.#checkpointed.get(instruction);
      if (values === undefined || instruction.op.kind !== 'affine-scan') return instruction;
      const { op } = instruction;
      values.forEach((value, part) => {
        const name = values.length === 1 ? 'whole' : part === 0 ? 're' : 'im';
        results.push({ role: 'saved', subject: `${op.state}.checkpoints`, part: name, value: value.id });
      });
      const axes = unionAxes(this.#builder.axes, ['batch'], op.axes);
      const finals = op.emitsFinal ? [] : op.current.map((value): TensorValue => ({ id: this.#builder.ids.mint(), name: `${value.name}_final`, type: { dtype: 'real', axes } }));
      return { op: { ...op, emitsFinal: true, checkpointInterval: this.#options.checkpointInterval }, results: [...instruction.results, ...finals, ...values] };
    });
    for (const [id, subject] of this.#saved) results.push({ role: 'saved', subject, part: 'whole', value: id });
    return eliminateDeadInFunction({ name: 'forwardSaved', instructions, results });
  }
}
