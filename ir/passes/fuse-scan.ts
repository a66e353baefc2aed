/**
 * Moves instructions into the regions of affine scans (decisions 17): elementwise producers of the
 * transition and the drive, and from the state on every elementwise consumer and the sums over the
 * state's inner axes. What leaves a region is then read-outs of the size of the output; no tensor of
 * size state × time is left, unless the text asks for one.
 *
 * Inner axes are those that the first read-out sums over (`sum[N](C * x)`); the other axes of the
 * state are channels. A value that varies with time, lacks a channel axis and costs a transcendental
 * stays outside, since every channel would recompute it.
 * May run again later: it continues from what a region already yields.
 */
import { required } from '../../support/invariant.ts';
import { isElementwise, type AffineScanOp, type TensorFunction, type TensorInstruction, type TensorModule, type TensorValue, type UnaryFunction, type ValueId } from '../tensor/ops.ts';
import type { ValueIds } from '../tensor/builder.ts';
import { definitionsOf, mapOperands, operandsOf, regionInputs } from '../tensor/walk.ts';
import { eliminateDeadInFunction } from './eliminate-dead.ts';

/** The module with producers and consumers inside the scans' regions. */
export function fuseScans(module: TensorModule, ids: ValueIds): TensorModule {
  return { ...module, functions: module.functions.map((each) => fuseFunction(each, ids)) };
}

/** The same for one function. */
export function fuseFunction(target: TensorFunction, ids: ValueIds): TensorFunction {
  const scans = target.instructions.flatMap((each) => (each.op.kind === 'affine-scan' ? [required(each.results[0], 'scan result').id] : []));
  let current = target;
  for (const scan of scans) {
    const at = current.instructions.findIndex((each) => each.results.some((value) => value.id === scan));
    if (at >= 0) current = new ScanFusion(current, at, ids).run();
  }
  return eliminateDeadInFunction(current);
}

/**
 * Axes of a state that its read-outs sum over: kept in registers and lanes, not over the grid. Where nothing is summed
 * in the region, those that a result lacks all the same: one thread must know all of them to store it once.
 */
export function innerAxesOf(op: AffineScanOp): readonly string[] {
  for (const instruction of op.region) {
    if (instruction.op.kind === 'reduce') return instruction.op.over.filter((axis) => op.axes.includes(axis));
  }
  const values = [...regionInputs(op), ...op.region.flatMap((each) => each.results)];
  const axesOf = new Map(values.map((value) => [value.id, value.type.axes]));
  return op.axes.filter((axis) => op.yields.some((each) => !axesOf.get(each.value)?.includes(axis) && !each.sumOver.includes(axis)));
}

const costly: ReadonlySet<UnaryFunction> = new Set([
  'exp', 'exp2', 'log', 'square-root', 'sine', 'cosine', 'tanh', 'sigmoid', 'softplus', 'expm1', 'log1p', 'erf', 'phi1', 'phi2',
]);

class ScanFusion {
  readonly #target: TensorFunction;
  readonly #op: AffineScanOp;
  readonly #instruction: TensorInstruction;
  readonly #ids: ValueIds;
  readonly #definitions: ReadonlyMap<ValueId, TensorInstruction>;
  readonly #allowed: ReadonlySet<string>;
  #inner: readonly string[];
  /** outer value → the region's value of it */
  readonly #inside = new Map<ValueId, ValueId>();
  readonly #region: TensorInstruction[] = [];
  readonly #operands: ValueId[] = [];
  readonly #parameters: TensorValue[] = [];
  readonly #absorbed = new Set<TensorInstruction>();
  /** values that need the scan's results */
  readonly #dependent = new Set<ValueId>();

  constructor(target: TensorFunction, at: number, ids: ValueIds) {
    this.#target = target;
    this.#instruction = required(target.instructions[at], 'scan');
    this.#op = this.#instruction.op as AffineScanOp;
    this.#ids = ids;
    this.#definitions = definitionsOf(target.instructions);
    this.#allowed = new Set(['batch', 'time', ...this.#op.axes]);
    this.#inner = innerAxesOf(this.#op);
  }

  run(): TensorFunction {
    const consumers = this.#findConsumers();
    const old = this.#rebuildProducers();
    for (const consumer of consumers) this.#clone(consumer);
    const fused = this.#finish(old);
    const rest = this.#target.instructions.map((each) => (each === this.#instruction ? fused : each)).filter((each) => !this.#absorbed.has(each));
    return { ...this.#target, instructions: sortTopologically(rest) };
  }

  /** Later instructions that can run once per token beside the recurrence, in order. */
  #findConsumers(): readonly TensorInstruction[] {
    const dependent = this.#dependent;
    this.#instruction.results.forEach((value) => dependent.add(value.id));
    const reachable = new Set<ValueId>();
    this.#op.yields.forEach((each, at) => {
      const result = required(this.#instruction.results[at], 'yield');
      if (each.sumOver.length === 0) reachable.add(result.id);
    });
    const consumers: TensorInstruction[] = [];
    const start = this.#target.instructions.indexOf(this.#instruction);
    for (const each of this.#target.instructions.slice(start + 1)) {
      const operands = operandsOf(each.op);
      if (!operands.some((id) => dependent.has(id))) continue;
      each.results.forEach((value) => dependent.add(value.id));
      const isReady = operands.every((id) => reachable.has(id) || !dependent.has(id));
      if (isReady && operands.some((id) => reachable.has(id)) && this.#isConsumer(each)) {
        each.results.forEach((value) => reachable.add(value.id));
        consumers.push(each);
      }
    }
    return consumers;
  }

  #isConsumer(instruction: TensorInstruction): boolean {
    const { op } = instruction;
    const fits = instruction.results.every((value) => value.type.axes.every((axis) => this.#allowed.has(axis)));
    if (!fits) return false;
    if (isElementwise(op)) return true;
    if (op.kind !== 'reduce' || op.function !== 'sum') return false;
    if (!op.over.every((axis) => this.#op.axes.includes(axis))) return false;
    if (this.#inner.length === 0) this.#inner = op.over;
    return op.over.length === this.#inner.length && op.over.every((axis) => this.#inner.includes(axis));
  }

  #mayPull(instruction: TensorInstruction): boolean {
    const { op } = instruction;
    if (!isElementwise(op)) return false;
    return instruction.results.every((value) => {
      if (!value.type.axes.every((axis) => this.#allowed.has(axis))) return false;
      const isCostly = op.kind === 'analytic' || (op.kind === 'unary' && costly.has(op.function)) || (op.kind === 'binary' && op.function === 'power');
      const lacksChannel = this.#op.axes.some((axis) => !this.#inner.includes(axis) && !value.type.axes.includes(axis));
      return !(isCostly && lacksChannel && value.type.axes.includes('time'));
    });
  }

  /** The region's value of an outer value: already inside, pulled in, or a parameter. */
  #enter(id: ValueId): ValueId {
    const known = this.#inside.get(id);
    if (known !== undefined) return known;
    const definition = required(this.#definitions.get(id), `definition of %${id}`);
    if (this.#mayPull(definition)) {
      this.#clone(definition);
      return required(this.#inside.get(id), `pulled %${id}`);
    }
    const value = required(definition.results.find((each) => each.id === id), `value %${id}`);
    const parameter: TensorValue = { id: this.#ids.mint(), name: value.name, type: value.type };
    this.#operands.push(id);
    this.#parameters.push(parameter);
    this.#inside.set(id, parameter.id);
    return parameter.id;
  }

  /** Copies an instruction into the region under fresh ids. */
  #clone(instruction: TensorInstruction): void {
    const op = mapOperands(instruction.op, (id) => this.#enter(id));
    const results = instruction.results.map((value): TensorValue => ({ ...value, id: this.#ids.mint() }));
    this.#region.push({ op, results });
    instruction.results.forEach((value, at) => this.#inside.set(value.id, required(results[at], 'clone').id));
  }

  /** Re-enters the old operands and appends the old region; returns old region value → new one. */
  #rebuildProducers(): (id: ValueId) => ValueId {
    const renamed = new Map<ValueId, ValueId>();
    this.#op.operands.forEach((operand, at) => renamed.set(required(this.#op.parameters[at], 'parameter').id, this.#enter(operand)));
    const change = (id: ValueId): ValueId => renamed.get(id) ?? id;
    for (const each of this.#op.region) this.#region.push({ ...each, op: mapOperands(each.op, change) });
    this.#op.yields.forEach((each, at) => {
      if (each.sumOver.length === 0) this.#inside.set(required(this.#instruction.results[at], 'yield').id, change(each.value));
    });
    return change;
  }

  #finish(change: (id: ValueId) => ValueId): TensorInstruction {
    const op = this.#op;
    const mapCoefficient = (coefficient: AffineScanOp['coefficient']): AffineScanOp['coefficient'] =>
      coefficient.kind === 'exponent' ? { kind: 'exponent', exponent: change(coefficient.exponent) } : { kind: 'value', parts: coefficient.parts.map(change) };
    const yields = op.yields.map((each) => ({ ...each, value: change(each.value) }));
    const yieldResults = this.#instruction.results.slice(0, op.yields.length);
    const known = new Set(regionInputs(op).map((value) => value.id));
    const inRegion = new Set(this.#region.flatMap((each) => each.results.map((value) => value.id)));
    const consumed = new Set(yieldResults.map((value) => value.id));
    for (const [outer, inner] of this.#inside) {
      const definition = required(this.#definitions.get(outer), `definition of %${outer}`);
      const isConsumer = definition !== this.#instruction && inRegion.has(inner) && !known.has(inner) && this.#dependsOnScan(definition);
      if (!isConsumer || consumed.has(outer)) continue;
      this.#absorbed.add(definition);
      yields.push({ value: inner, sumOver: [] });
      yieldResults.push(required(definition.results.find((value) => value.id === outer), 'result'));
    }
    const fused: AffineScanOp = {
      ...op, operands: this.#operands, parameters: this.#parameters, region: this.#region,
      coefficient: mapCoefficient(op.coefficient), drive: op.drive.map(change), release: op.release?.map(change) ?? null, yields,
      history: op.history === null ? null : { ...op.history, coefficient: mapCoefficient(op.history.coefficient), drive: op.history.drive.map(change) },
    };
    return { op: fused, results: [...yieldResults, ...this.#instruction.results.slice(op.yields.length)] };
  }

  #dependsOnScan(instruction: TensorInstruction): boolean {
    return instruction.results.some((value) => this.#dependent.has(value.id));
  }
}

/** The same instructions with definitions before uses, otherwise in the given order. */
export function sortTopologically(instructions: readonly TensorInstruction[]): readonly TensorInstruction[] {
  const definitions = definitionsOf(instructions);
  const done = new Set<TensorInstruction>();
  const sorted: TensorInstruction[] = [];
  const place = (instruction: TensorInstruction): void => {
    if (done.has(instruction)) return;
    done.add(instruction);
    for (const operand of operandsOf(instruction.op)) {
      const definition = definitions.get(operand);
      if (definition !== undefined) place(definition);
    }
    sorted.push(instruction);
  };
  instructions.forEach(place);
  return sorted;
}
