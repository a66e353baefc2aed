/**
 * The only place that makes Tensor IR instructions. Types are inferred here, so that an instruction
 * cannot be ill-typed; the verifier re-derives and compares. Trivial algebra (x·1, x+0, constants)
 * is folded on the way, because every layer text has plenty of it.
 */
import { invariant, required } from '../../support/invariant.ts';
import { typesOfConvolution } from './convolution.ts';
import {
  checkpointAxis, checkpointIntervalOf,
  type AffineScanOp, type ArgumentRole, type BinaryFunction, type ComplexPart, type ConvolutionOp, type DelayTail, type Slide, type TensorDtype, type TensorInstruction,
  type TensorOp, type TensorType, type TensorValue, type UnaryFunction, type ValueId,
} from './ops.ts';

export type AxisTable = readonly { readonly name: string; readonly size: number }[];

const comparisons: ReadonlySet<BinaryFunction> = new Set(['less', 'less-equal', 'equal', 'not-equal']);
const logic: ReadonlySet<BinaryFunction> = new Set(['and', 'or']);

/** Rank of an axis in the canonical order: batch, checkpoints, time, then the table. */
export function axisRank(table: AxisTable, axis: string): number {
  if (axis === 'batch') return -3;
  if (checkpointIntervalOf(axis) !== null) return -2;
  if (axis === 'time') return -1;
  const rank = table.findIndex((each) => each.name === axis);
  invariant(rank >= 0, `unknown axis ${axis}`);
  return rank;
}

/** Union of axis lists in canonical order. */
export function unionAxes(table: AxisTable, ...lists: readonly (readonly string[])[]): readonly string[] {
  const all = [...new Set(lists.flat())];
  return all.sort((left, right) => axisRank(table, left) - axisRank(table, right));
}

/** Mints value ids; one per module, so that ids are unique over functions and regions. */
export class ValueIds {
  #next = 0;
  mint(): ValueId {
    return this.#next++ as ValueId;
  }
}

export type ArgumentRequest = {
  readonly role: ArgumentRole;
  readonly subject: string;
  readonly part?: ComplexPart;
  readonly type: TensorType;
};

/** Appends instructions to one list (a function's or a region's). */
export class TensorBuilder {
  readonly axes: AxisTable;
  readonly ids: ValueIds;
  readonly instructions: TensorInstruction[] = [];
  readonly #values = new Map<ValueId, TensorValue>();
  readonly #definitions = new Map<ValueId, TensorOp>();

  constructor(axes: AxisTable, ids: ValueIds) {
    this.axes = axes;
    this.ids = ids;
  }

  /** Makes values of another list (region parameters, states) known here. */
  adopt(values: readonly TensorValue[]): void {
    for (const value of values) this.#values.set(value.id, value);
  }

  value(id: ValueId): TensorValue {
    return required(this.#values.get(id), `value %${id}`);
  }

  typeOf(id: ValueId): TensorType {
    return this.value(id).type;
  }

  /** The operation that made a value, or null for adopted ones. */
  definition(id: ValueId): TensorOp | null {
    return this.#definitions.get(id) ?? null;
  }

  /** A fresh value that no instruction defines (region parameters and states). */
  fresh(name: string, type: TensorType): TensorValue {
    const value: TensorValue = { id: this.ids.mint(), name, type };
    this.#values.set(value.id, value);
    return value;
  }

  /** Appends an instruction as it is, with its own results. */
  append(instruction: TensorInstruction): void {
    this.instructions.push(instruction);
    for (const value of instruction.results) {
      this.#values.set(value.id, value);
      this.#definitions.set(value.id, instruction.op);
    }
  }

  #emit(op: TensorOp, name: string, type: TensorType): ValueId {
    const value: TensorValue = { id: this.ids.mint(), name, type };
    this.append({ op, results: [value] });
    return value.id;
  }

  /** Gives a value the name its author used, for readers of dumps and kernels. */
  rename(id: ValueId, name: string): ValueId {
    const at = this.instructions.findLastIndex((each) => each.results.some((value) => value.id === id));
    const instruction = this.instructions[at];
    if (instruction === undefined || instruction.op.kind === 'argument') return id;
    const results = instruction.results.map((value) => (value.id === id ? { ...value, name } : value));
    this.instructions[at] = { ...instruction, results };
    for (const value of results) this.#values.set(value.id, value);
    return id;
  }

  argument(request: ArgumentRequest): ValueId {
    const { role, subject, part = 'whole', type } = request;
    return this.#emit({ kind: 'argument', role, subject, part }, subject, type);
  }

  constant(value: number): ValueId {
    return this.#emit({ kind: 'constant', value }, 'c', { dtype: 'real', axes: [] });
  }

  length(): ValueId {
    return this.#emit({ kind: 'length' }, 'length', { dtype: 'real', axes: [] });
  }

  iota(axis: string): ValueId {
    return this.#emit({ kind: 'iota', axis }, axis === 'time' ? 'position' : 'iota', { dtype: 'real', axes: [axis] });
  }

  /** The number of a constant, or null. */
  constantOf(id: ValueId): number | null {
    const op = this.definition(id);
    return op?.kind === 'constant' ? op.value : null;
  }

  unary(name: UnaryFunction, operand: ValueId): ValueId {
    const type = this.typeOf(operand);
    const known = this.constantOf(operand);
    if (name === 'negate') {
      if (known !== null) return this.constant(-known);
      const inner = this.definition(operand);
      if (inner?.kind === 'unary' && inner.function === 'negate') return inner.operand;
    }
    if (name === 'to-real' && type.dtype === 'real') return operand;
    const dtype: TensorDtype = name === 'to-real' ? 'real' : type.dtype;
    return this.#emit({ kind: 'unary', function: name, operand }, name.replace('-', '_'), { dtype, axes: type.axes });
  }

  #fold(name: BinaryFunction, left: ValueId, right: ValueId): ValueId | null {
    const [a, b] = [this.constantOf(left), this.constantOf(right)];
    if (a !== null && b !== null) {
      if (name === 'add') return this.constant(a + b);
      if (name === 'subtract') return this.constant(a - b);
      if (name === 'multiply') return this.constant(a * b);
      if (name === 'divide' && b !== 0) return this.constant(a / b);
    }
    if (name === 'add' && a === 0) return right;
    if ((name === 'add' || name === 'subtract') && b === 0) return left;
    if (name === 'subtract' && a === 0) return this.unary('negate', right);
    if (name === 'multiply' && a === 1) return right;
    if ((name === 'multiply' || name === 'divide') && b === 1) return left;
    if (name === 'multiply' && (a === 0 || b === 0)) return this.constant(0);
    if (name === 'multiply' && a === -1) return this.unary('negate', right);
    if (name === 'multiply' && b === -1) return this.unary('negate', left);
    if (name === 'power' && b === 1) return left;
    if (name === 'power' && b === 2) return this.binary('multiply', left, left);
    return null;
  }

  binary(name: BinaryFunction, left: ValueId, right: ValueId): ValueId {
    const [a, b] = [this.typeOf(left), this.typeOf(right)];
    if (a.dtype !== 'flag' && b.dtype !== 'flag') {
      const folded = this.#fold(name, left, right);
      if (folded !== null) return folded;
    }
    const isComplex = a.dtype === 'complex' || b.dtype === 'complex';
    const dtype: TensorDtype = comparisons.has(name) || logic.has(name) ? 'flag' : isComplex ? 'complex' : 'real';
    const type: TensorType = { dtype, axes: unionAxes(this.axes, a.axes, b.axes) };
    return this.#emit({ kind: 'binary', function: name, left, right }, name.replace('-', '_'), type);
  }

  add(left: ValueId, right: ValueId): ValueId {
    return this.binary('add', left, right);
  }

  subtract(left: ValueId, right: ValueId): ValueId {
    return this.binary('subtract', left, right);
  }

  multiply(left: ValueId, right: ValueId): ValueId {
    return this.binary('multiply', left, right);
  }

  divide(left: ValueId, right: ValueId): ValueId {
    return this.binary('divide', left, right);
  }

  select(condition: ValueId, whenTrue: ValueId, whenFalse: ValueId): ValueId {
    const [c, a, b] = [this.typeOf(condition), this.typeOf(whenTrue), this.typeOf(whenFalse)];
    const dtype: TensorDtype = a.dtype === 'complex' || b.dtype === 'complex' ? 'complex' : a.dtype;
    const axes = unionAxes(this.axes, c.axes, a.axes, b.axes);
    return this.#emit({ kind: 'select', condition, whenTrue, whenFalse }, 'selected', { dtype, axes });
  }

  complex(re: ValueId, im: ValueId): ValueId {
    const axes = unionAxes(this.axes, this.typeOf(re).axes, this.typeOf(im).axes);
    return this.#emit({ kind: 'complex', re, im }, 'z', { dtype: 'complex', axes });
  }

  part(part: 're' | 'im', operand: ValueId): ValueId {
    const type = this.typeOf(operand);
    if (type.dtype !== 'complex') return part === 're' ? operand : this.constant(0);
    return this.#emit({ kind: 'part', part, operand }, part, { dtype: 'real', axes: type.axes });
  }

  /** [re, im] of f(re + i·im). */
  analytic(name: 'exp' | 'phi1' | 'phi2', re: ValueId, im: ValueId): readonly [ValueId, ValueId] {
    const axes = unionAxes(this.axes, this.typeOf(re).axes, this.typeOf(im).axes);
    const type: TensorType = { dtype: 'real', axes };
    const results: [TensorValue, TensorValue] = [
      { id: this.ids.mint(), name: `${name}_re`, type },
      { id: this.ids.mint(), name: `${name}_im`, type },
    ];
    this.append({ op: { kind: 'analytic', function: name, re, im }, results });
    return [results[0].id, results[1].id];
  }

  broadcast(operand: ValueId, axes: readonly string[]): ValueId {
    const type = this.typeOf(operand);
    const wide = unionAxes(this.axes, type.axes, axes);
    if (wide.length === type.axes.length) return operand;
    return this.#emit({ kind: 'broadcast', operand, axes: wide }, this.value(operand).name, { dtype: type.dtype, axes: wide });
  }

  renameAxis(operand: ValueId, from: string, to: string): ValueId {
    const type = this.typeOf(operand);
    if (from === to || !type.axes.includes(from)) return operand;
    const axes = unionAxes(this.axes, type.axes.map((axis) => (axis === from ? to : axis)));
    return this.#emit({ kind: 'rename', operand, from, to }, this.value(operand).name, { dtype: type.dtype, axes });
  }

  /** Sum over axes that the operand has; the rest are ignored. */
  reduce(name: 'sum' | 'maximum', over: readonly string[], operand: ValueId): ValueId {
    const type = this.typeOf(operand);
    const present = over.filter((axis) => type.axes.includes(axis));
    if (present.length === 0) return operand;
    const axes = type.axes.filter((axis) => !present.includes(axis));
    return this.#emit({ kind: 'reduce', function: name, over: present, operand }, name, { dtype: type.dtype, axes });
  }

  contract(left: ValueId, right: ValueId, over: readonly string[]): ValueId {
    const union = unionAxes(this.axes, this.typeOf(left).axes, this.typeOf(right).axes);
    const axes = union.filter((axis) => !over.includes(axis));
    return this.#emit({ kind: 'contract', left, right, over }, 'product', { dtype: 'real', axes });
  }

  /** A tail has the operand's axes, `axis` in the place of time. */
  delay(operand: ValueId, steps: number, tail: DelayTail | null = null): ValueId {
    if (steps === 0) return operand;
    return this.#emit({ kind: 'delay', operand, steps, tail }, 'delayed', this.typeOf(operand));
  }

  slide(operand: ValueId, slide: Slide): ValueId {
    const { from, to, steps, lengths } = slide;
    const type = this.typeOf(operand);
    const axes = unionAxes(this.axes, type.axes.map((axis) => (axis === from ? to : axis)));
    return this.#emit({ kind: 'slide', operand, from, to, steps, lengths }, this.value(operand).name, { dtype: type.dtype, axes });
  }

  last(operand: ValueId): ValueId {
    const type = this.typeOf(operand);
    return this.#emit({ kind: 'last', operand }, 'last', { dtype: type.dtype, axes: type.axes.filter((axis) => axis !== 'time') });
  }

  atLast(operand: ValueId): ValueId {
    const type = this.typeOf(operand);
    return this.#emit({ kind: 'at-last', operand }, 'at_last', { dtype: type.dtype, axes: unionAxes(this.axes, type.axes, ['time']) });
  }

  gather(table: ValueId, axis: string, index: ValueId): ValueId {
    const type = this.typeOf(table);
    const axes = unionAxes(this.axes, type.axes.filter((each) => each !== axis), this.typeOf(index).axes);
    return this.#emit({ kind: 'gather', table, axis, index }, 'gathered', { dtype: type.dtype, axes });
  }

  scatterAdd(values: ValueId, axis: string, index: ValueId, over: readonly string[]): ValueId {
    const type = this.typeOf(values);
    const union = unionAxes(this.axes, type.axes, this.typeOf(index).axes);
    const axes = unionAxes(this.axes, union.filter((each) => !over.includes(each)), [axis]);
    return this.#emit({ kind: 'scatter-add', values, axis, index, over }, 'scattered', { dtype: type.dtype, axes });
  }

  /** Appends an operation of convolutions; one id per result. */
  convolution(op: ConvolutionOp, name: string): readonly ValueId[] {
    const types = typesOfConvolution(op, { union: (...lists) => unionAxes(this.axes, ...lists), typeOf: (id) => this.typeOf(id) });
    invariant(typeof types !== 'string', `${op.kind}: ${String(types)}`);
    const part = (at: number): string => (types.length === 1 ? name : `${name}_${at === 0 ? 're' : 'im'}`);
    const results = types.map((type, at): TensorValue => ({ id: this.ids.mint(), name: part(at), type }));
    this.append({ op, results });
    return results.map((value) => value.id);
  }

  /** Appends a scan and returns its results: yields, final parts, checkpoint parts. */
  scan(op: AffineScanOp, regionTypes: ReadonlyMap<ValueId, TensorValue>): ScanResults {
    const yields = op.yields.map((each): TensorValue => {
      const value = required(regionTypes.get(each.value), `yield %${each.value}`);
      const axes = value.type.axes.filter((axis) => !each.sumOver.includes(axis));
      return { id: this.ids.mint(), name: value.name, type: { dtype: value.type.dtype, axes } };
    });
    const stateName = op.state.split('.').at(-1) ?? op.state;
    const dtype = op.current[0]?.type.dtype ?? 'real';
    const stateType: TensorType = { dtype, axes: unionAxes(this.axes, ['batch'], op.axes) };
    const part = (suffix: string, type: TensorType): TensorValue => ({ id: this.ids.mint(), name: `${stateName}_${suffix}`, type });
    const finals = op.emitsFinal ? op.current.map(() => part('final', stateType)) : [];
    const interval = op.checkpointInterval;
    const checkpointType = (axis: string): TensorType => ({ dtype, axes: unionAxes(this.axes, ['batch', axis], op.axes) });
    const checkpoints = interval === null ? [] : op.current.map(() => part('checkpoints', checkpointType(checkpointAxis(interval))));
    this.append({ op, results: [...yields, ...finals, ...checkpoints] });
    const idsOf = (values: readonly TensorValue[]): ValueId[] => values.map((value) => value.id);
    return { yields: idsOf(yields), finals: idsOf(finals), checkpoints: idsOf(checkpoints) };
  }
}

export type ScanResults = {
  readonly yields: readonly ValueId[];
  readonly finals: readonly ValueId[];
  readonly checkpoints: readonly ValueId[];
};
