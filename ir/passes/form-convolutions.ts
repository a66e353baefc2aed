/**
 * Time-invariant recurrences → convolutions (mode `conv`). Before: real Tensor IR with the scans as
 * they were lowered, nothing fused. A scan whose transition does not vary with time goes: each sum of
 * its states with fixed coefficients (`sum[N](C * x)`) becomes the convolution of one impulse response,
 * Σ_N C ⊙ B̄ ⊙ a^k, with the input; the initial state adds its own response C ⊙ a^(t+1) ⊙ h₀, the final
 * state is a moment of the input. States that leave in another way are convolved one by one.
 * Differentiation comes after, so gradients go through the impulse response (decisions 23).
 */
import { invariant, required } from '../../support/invariant.ts';
import { TensorBuilder, type ValueIds } from '../tensor/builder.ts';
import type { AffineScanOp, Coefficient, PowerBase, TensorFunction, TensorInstruction, TensorModule, TensorValue, ValueId } from '../tensor/ops.ts';
import { operandsOfBase } from '../tensor/convolution.ts';
import { definitionsOf, mapOperands } from '../tensor/walk.ts';
import { eliminateDeadInFunction } from './eliminate-dead.ts';
import { sortTopologically } from './fuse-scan.ts';
import { formOf, formOfDrive, type LinearForm } from './linear-forms.ts';
import { powerBaseOf } from './power-base.ts';

export type ConvolutionChoice = {
  /** whether a state that may be convolved shall be */
  readonly wants: (state: string) => boolean;
  /** why a wanted state stays a scan */
  readonly onObstacle: (state: string, reason: string) => void;
  readonly onConvolved: (state: string) => void;
};

/** The module with wanted scans as convolutions. */
export function formConvolutions(module: TensorModule, ids: ValueIds, choice: ConvolutionChoice): TensorModule {
  return { ...module, functions: module.functions.map((each) => formInFunction(module, each, ids, choice)) };
}

function formInFunction(module: TensorModule, target: TensorFunction, ids: ValueIds, choice: ConvolutionChoice): TensorFunction {
  const states = target.instructions.flatMap(({ op }) => (op.kind === 'affine-scan' && choice.wants(op.state) ? [op.state] : []));
  return states.reduce((current, state) => {
    const at = current.instructions.findIndex(({ op }) => op.kind === 'affine-scan' && op.state === state);
    if (at < 0) return current; // nothing reads it
    const made = new ConvolutionForming(module, current, at, ids).run();
    if (typeof made === 'string') choice.onObstacle(state, made);
    else choice.onConvolved(state);
    return typeof made === 'string' ? current : made;
  }, target);
}

/** Why a scan of a lowered function is no convolution, as far as its transition tells; null if it is one. */
export function obstacleToConvolution(op: AffineScanOp, axesOf: (id: ValueId) => readonly string[]): string | null {
  const parts = op.coefficient.kind === 'exponent' ? [op.coefficient.exponent] : op.coefficient.parts;
  if (parts.some((id) => axesOf(id).includes('time'))) return 'its transition varies from token to token';
  if (op.region.some((each) => each.op.kind !== 'constant')) return 'it is fused already';
  return null;
}

type Pair = readonly [ValueId, ValueId | null];
/** A signal of the drive with its weight in the state: drive = Σ weight ⊙ signal. */
type Source = { readonly signal: ValueId; readonly weight: Pair };

class ConvolutionForming {
  readonly #target: TensorFunction;
  readonly #op: AffineScanOp;
  readonly #instruction: TensorInstruction;
  readonly #builder: TensorBuilder;
  readonly #definitions: Map<ValueId, TensorInstruction>;
  readonly #replaced = new Map<ValueId, ValueId>();

  constructor(module: TensorModule, target: TensorFunction, at: number, ids: ValueIds) {
    this.#target = target;
    this.#instruction = required(target.instructions[at], 'scan');
    this.#op = this.#instruction.op as AffineScanOp;
    this.#builder = new TensorBuilder(module.axes, ids);
    target.instructions.forEach((each) => this.#builder.append(each));
    this.#definitions = new Map(definitionsOf(target.instructions));
  }

  run(): TensorFunction | string {
    const obstacle = obstacleToConvolution(this.#op, (id) => this.#axesOf(this.#outside(id)));
    if (obstacle !== null) return obstacle;
    const base = powerBaseOf(this.#builder, this.#coefficient(), this.#definitions);
    const sources = this.#sources();
    this.#readOuts(base, sources);
    const withReadOuts = this.#finish();
    const states = this.#instruction.results.slice(0, this.#op.yields.length);
    const used = states.filter((value) => withReadOuts.instructions.some((each) => each.op.kind === 'affine-scan' && each.results.some((result) => result.id === value.id)));
    const fault = this.#obstacleToStates(used, sources, withReadOuts);
    if (fault !== null) return fault;
    for (const value of used) this.#state(value, base, sources);
    this.#finals(base, sources);
    return this.#finish();
  }

  #axesOf(id: ValueId): readonly string[] {
    return this.#builder.typeOf(id).axes;
  }

  /** The function's value of a region's parameter or constant. */
  #outside(id: ValueId): ValueId {
    const at = this.#op.parameters.findIndex((value) => value.id === id);
    if (at >= 0) return required(this.#op.operands[at], 'operand');
    const op = this.#op.region.find((each) => each.results.some((value) => value.id === id))?.op;
    invariant(op?.kind === 'constant', `%${id} of the region of ${this.#op.state}`);
    return this.#builder.constant(op.value);
  }

  #coefficient(): Coefficient {
    const { coefficient } = this.#op;
    if (coefficient.kind === 'exponent') return { kind: 'exponent', exponent: this.#outside(coefficient.exponent) };
    return { kind: 'value', parts: coefficient.parts.map((id) => this.#outside(id)) };
  }

  #scope(): { builder: TensorBuilder; definitions: ReadonlyMap<ValueId, TensorInstruction>; isFixed: (id: ValueId) => boolean } {
    const isFixed = (id: ValueId): boolean => this.#builder.typeOf(id).dtype === 'real' && !this.#axesOf(id).includes('time');
    return { builder: this.#builder, definitions: this.#definitions, isFixed };
  }

  #sources(): readonly Source[] {
    const builder = this.#builder;
    const forms = this.#op.drive.map((id) => formOfDrive(this.#scope(), this.#outside(id)));
    const isZero = (id: ValueId | null): boolean => id !== null && builder.constantOf(id) === 0;
    const signals = [...new Set(forms.flatMap((form) => form.filter((term) => !isZero(term.coefficient)).map((term) => term.signal)))];
    const weight = (form: LinearForm | undefined, signal: ValueId): ValueId => {
      const term = form?.find((each) => each.signal === signal);
      return term === undefined ? builder.constant(0) : (term.coefficient ?? builder.constant(1));
    };
    return signals.map((signal) => ({ signal, weight: [weight(forms[0], signal), forms.length > 1 ? weight(forms[1], signal) : null] }));
  }

  /** Weights as an operation takes them: no imaginary part for a real base. */
  #weights(base: PowerBase, re: ValueId, im: ValueId | null): readonly ValueId[] {
    return base.im === null ? [re] : [re, im ?? this.#builder.constant(0)];
  }

  #response(base: PowerBase, weight: Pair, over: readonly string[], start: number, order: 'forward' | 'reverse'): ValueId | null {
    const builder = this.#builder;
    const parts = this.#weights(base, ...weight);
    if (parts.every((id) => builder.constantOf(id) === 0)) return null;
    const axes = new Set([...operandsOfBase(base), ...parts].flatMap((id) => this.#axesOf(id)));
    const present = over.filter((axis) => axes.has(axis));
    const op = { kind: 'impulse-response', base, weight: parts, over: present, start, order } as const;
    const response = required(builder.convolution(op, 'response')[0], 'response');
    return builder.multiply(response, builder.constant(this.#statesAlong(over.filter((axis) => !axes.has(axis)))));
  }

  /** How many states are alike that differ along these axes only. */
  #statesAlong(axes: readonly string[]): number {
    return this.#builder.axes.reduce((count, { name, size }) => (axes.includes(name) ? count * size : count), 1);
  }

  /** conj(left) · right, or left · right */
  #product(left: Pair, right: Pair, isConjugate: boolean): Pair {
    const builder = this.#builder;
    const zero = (): ValueId => builder.constant(0);
    const [a, b, c, d] = [left[0], left[1] ?? zero(), right[0], right[1] ?? zero()];
    const [cross, other] = [builder.multiply(b, d), builder.multiply(b, c)];
    const first = builder.multiply(a, c);
    const second = builder.multiply(a, d);
    if (isConjugate) return [builder.add(first, cross), builder.subtract(second, other)];
    return [builder.subtract(first, cross), builder.add(second, other)];
  }

  /** Σ over `over` of Re(conj(readOut) · x) for the states x after or before the update. */
  #readOut(base: PowerBase, sources: readonly Source[], readOut: Pair, over: readonly string[], isPrevious: boolean): ValueId {
    const builder = this.#builder;
    const { order, initial } = this.#op;
    let total: ValueId = builder.constant(0);
    for (const { signal, weight } of sources) {
      const response = this.#response(base, this.#product(readOut, weight, true), over, 0, 'forward');
      if (response === null) continue;
      const [convolved] = builder.convolution({ kind: 'convolve', response, signal, order }, 'convolved');
      total = builder.add(total, required(convolved, 'convolution'));
    }
    if (isPrevious && builder.constantOf(total) === null) total = builder.delay(total, order === 'forward' ? 1 : -1);
    if (initial === null) return total;
    const [re, im] = initial;
    const fromInitial = this.#response(base, this.#product(readOut, [required(re, 'initial state'), im ?? null], true), over, isPrevious ? 0 : 1, order);
    return fromInitial === null ? total : builder.add(total, fromInitial);
  }

  /** Replaces sums of states with fixed coefficients. */
  #readOuts(base: PowerBase, sources: readonly Source[]): void {
    const { yields, axes } = this.#op;
    const forms = new Map<ValueId, LinearForm>();
    yields.forEach((_, at) => {
      const { id } = required(this.#instruction.results[at], 'yield');
      forms.set(id, [{ coefficient: null, signal: id }]);
    });
    const scope = this.#scope();
    for (const each of this.#target.instructions) {
      const [result] = each.results;
      if (result === undefined || each.results.length !== 1 || each === this.#instruction) continue;
      const { op } = each;
      if (op.kind === 'reduce' && op.function === 'sum') {
        const form = forms.get(op.operand);
        const isSeparable = sources.every(({ signal }) => !this.#axesOf(signal).some((axis) => op.over.includes(axis)));
        if (form === undefined || !isSeparable || !op.over.every((axis) => axes.includes(axis))) continue;
        this.#replace(result, this.#sumOfReadOuts(base, sources, form, op.over));
        continue;
      }
      const form = formOf(scope, result.id, (id) => forms.get(id) ?? null);
      if (form !== null) forms.set(result.id, form);
    }
  }

  #sumOfReadOuts(base: PowerBase, sources: readonly Source[], form: LinearForm, over: readonly string[]): ValueId {
    const builder = this.#builder;
    const { yields, current, previous } = this.#op;
    const coefficientOf = (state: TensorValue | undefined): ValueId | null => {
      const at = state === undefined ? -1 : yields.findIndex((each) => each.value === state.id);
      const term = form.find((each) => each.signal === this.#instruction.results[at]?.id);
      return term === undefined ? null : (term.coefficient ?? builder.constant(1));
    };
    let total: ValueId = builder.constant(0);
    for (const states of [current, previous]) {
      const [re, im] = [coefficientOf(states[0]), coefficientOf(states[1])];
      if (re === null && im === null) continue;
      const readOut: Pair = [re ?? builder.constant(0), states.length > 1 ? (im ?? builder.constant(0)) : null];
      total = builder.add(total, this.#readOut(base, sources, readOut, over, states === previous));
    }
    return total;
  }

  #replace(result: TensorValue, value: ValueId): void {
    const name = this.#builder.rename(value, result.name);
    this.#replaced.set(result.id, this.#builder.broadcast(name, result.type.axes));
  }

  /** Convolving states one by one must not store more than the text asks for. */
  #obstacleToStates(used: readonly TensorValue[], sources: readonly Source[], body: TensorFunction): string | null {
    const present = new Set(sources.flatMap(({ signal }) => this.#axesOf(signal)));
    const wider = this.#op.axes.filter((axis) => !present.has(axis));
    const isResult = (value: TensorValue): boolean => body.results.some((each) => each.value === value.id);
    if (used.every(isResult) || wider.length === 0) return null;
    return `its read-out is no sum with coefficients that are fixed in time, so every state over ${wider.join(', ')} would have to be stored for each token`;
  }

  /** One part of the states themselves, before or after the update. */
  #state(value: TensorValue, base: PowerBase, sources: readonly Source[]): void {
    const builder = this.#builder;
    const yielded = required(this.#op.yields[this.#instruction.results.indexOf(value)], 'yield').value;
    const isPrevious = this.#op.previous.some((each) => each.id === yielded);
    const part = (isPrevious ? this.#op.previous : this.#op.current).findIndex((each) => each.id === yielded);
    const [one, zero] = [builder.constant(1), builder.constant(0)];
    const readOut: Pair = this.#op.current.length === 1 ? [one, null] : part === 0 ? [one, zero] : [zero, one];
    this.#replace(value, this.#readOut(base, sources, readOut, [], isPrevious));
  }

  /** h_L = Σ B̄ a^(L−1−t) u_t + a^L h₀ */
  #finals(base: PowerBase, sources: readonly Source[]): void {
    const op = this.#op;
    if (!op.emitsFinal) return;
    const builder = this.#builder;
    const order = op.order === 'forward' ? 'reverse' : 'forward';
    const pairOf = (parts: readonly ValueId[]): Pair => [required(parts[0], 'part'), parts[1] ?? null];
    let total: Pair = [builder.constant(0), null];
    const add = (more: Pair): void => {
      const im = total[1] === null ? more[1] : more[1] === null ? total[1] : builder.add(total[1], more[1]);
      total = [builder.add(total[0], more[0]), im];
    };
    for (const { signal, weight } of sources) {
      const moment = builder.convolution({ kind: 'power-moment', base, signal, start: 0, order, factor: 'power' }, 'moment');
      add(this.#product(weight, pairOf(moment), false));
    }
    if (op.initial !== null) {
      const decay = pairOf(builder.convolution({ kind: 'power', base, steps: 0, lengths: 1, factor: 'power' }, 'decay'));
      add(this.#product(pairOf(op.initial), decay, false));
    }
    const finals = this.#instruction.results.slice(op.yields.length, op.yields.length + op.current.length);
    finals.forEach((result, part) => this.#replace(result, total[part] ?? builder.constant(0)));
  }

  /** The function with replaced values in the place of the old ones. */
  #finish(): TensorFunction {
    const change = (id: ValueId): ValueId => this.#replaced.get(id) ?? id;
    const instructions = this.#builder.instructions.map((each): TensorInstruction => ({ ...each, op: mapOperands(each.op, change) }));
    const results = this.#target.results.map((each) => ({ ...each, value: change(each.value) }));
    return eliminateDeadInFunction({ ...this.#target, instructions: sortTopologically(instructions), results });
  }
}
