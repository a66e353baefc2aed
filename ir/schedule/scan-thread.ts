/**
 * One thread's share of a scan: its states in registers, its accumulators, and the code of one token.
 * Schedules place threads and loop over tokens; what happens at a token is the same everywhere.
 * The inner loop reads like the paper: decay, state update, read-out sum.
 */
import { invariant, required } from '../../support/invariant.ts';
import { add, element, horizontalAdd, integer, literal, multiply, splat, variable, type KernelBuilder } from '../kernel/builder.ts';
import { compose } from '../kernel/builder.ts';
import { f32, withWidth, type KernelExpression, type RegisterArray, type Variable, type VectorWidth } from '../kernel/nodes.ts';
import type { Coefficient, TensorInstruction, ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { liveInstructions } from '../passes/eliminate-dead.ts';
import type { MemoryReference } from './access.ts';
import { advance, RegionValues, type InnerSite, type StateParts } from './region-values.ts';
import { hasInnerAxis, ofCoefficient, variesInTime, type Recurrence, type RegionPlan } from './region-plan.ts';

export type ThreadShape = {
  /** channels side by side in one vector */
  readonly lanes: VectorWidth;
  readonly innerWidth: VectorWidth;
  /** inner vectors (or single states) per channel in this thread */
  readonly innerSteps: number;
  /** coordinates of the inner axes at a step */
  readonly site: (step: KernelExpression) => InnerSite;
  readonly unroll: boolean;
};

/** A state's registers: variables when there are no inner axes, else one array per part and lane. */
export type StateStore = {
  readonly read: (part: number, lane: number, step: KernelExpression) => KernelExpression;
  readonly write: (part: number, lane: number, step: KernelExpression, value: KernelExpression) => void;
};

/** Values that one pass over the tokens must make available. */
export type PassRoots = {
  readonly recurrence: Recurrence;
  /** further values (yields) */
  readonly values: readonly ValueId[];
};

/** What is done with values over inner axes, inside the loop, per channel. */
export type InnerSink = { readonly value: ValueId; readonly consume: (site: InnerSite, laneValues: readonly KernelExpression[]) => void };

export class ScanThread {
  readonly builder: KernelBuilder;
  readonly plan: RegionPlan;
  readonly shape: ThreadShape;
  readonly values: RegionValues;
  /** states of the token that later inner loops read, by value and lane */
  #kept = new Map<ValueId, readonly RegisterArray[]>();

  constructor(builder: KernelBuilder, plan: RegionPlan, shape: ThreadShape, memory: (operand: ValueId) => MemoryReference) {
    this.builder = builder;
    this.plan = plan;
    this.shape = shape;
    this.values = new RegionValues({ builder, plan, memory, lanes: shape.lanes, innerWidth: shape.innerWidth, innerSteps: shape.innerSteps });
  }

  get hasInner(): boolean {
    return this.plan.inner.length > 0;
  }

  laneNumbers(): readonly number[] {
    return Array.from({ length: this.hasInner ? this.shape.lanes : 1 }, (_, lane) => lane);
  }

  /** Loop over the inner steps of this thread. */
  eachStep(body: (site: InnerSite) => void): void {
    const { builder, shape } = this;
    if (!this.hasInner) {
      body({ step: integer(0), coordinates: [] });
      return;
    }
    if (shape.innerSteps === 1) {
      body(shape.site(integer(0)));
      return;
    }
    builder.for('n', { start: integer(0), end: integer(shape.innerSteps), unroll: shape.unroll }, (step) => body(shape.site(step)));
  }

  /** Registers for a state of as many parts as the recurrence has, all set by `initial`. */
  makeState(recurrence: Recurrence, initial: (part: number, lane: number, site: InnerSite) => KernelExpression): StateStore {
    const { builder, shape } = this;
    const names = recurrence.current.map((value) => value.name);
    if (!this.hasInner) {
      const variables = names.map((name, part): Variable =>
        builder.var(name, splat(initial(part, 0, { step: integer(0), coordinates: [] }), shape.lanes)));
      const at = (part: number): Variable => required(variables[part], 'state part');
      return { read: (part) => variable(at(part)), write: (part, _lane, _step, value) => builder.assign(at(part), splat(value, shape.lanes)) };
    }
    const arrays = names.map((name) => this.laneNumbers().map((): RegisterArray => builder.array(name, withWidth(f32, shape.innerWidth), shape.innerSteps)));
    const at = (part: number, lane: number): RegisterArray => required(arrays[part]?.[lane], 'state array');
    const write: StateStore['write'] = (part, lane, step, value) => builder.setElement(at(part, lane), step, splat(value, shape.innerWidth));
    this.eachStep((site) => {
      names.forEach((_, part) => this.laneNumbers().forEach((lane) => write(part, lane, site.step, initial(part, lane, site))));
    });
    return { read: (part, lane, step) => element(at(part, lane), step), write };
  }

  /** Region instructions that a pass needs. */
  liveFor(roots: PassRoots): readonly TensorInstruction[] {
    return liveInstructions(this.plan.op.region, rootIds(roots));
  }

  /** Values that the recurrence of a pass reads. */
  recurrenceIds(roots: PassRoots): readonly ValueId[] {
    return rootIds({ ...roots, values: [] });
  }

  /** Computes what is fixed in time before the loop over tokens, into registers. */
  prepareFixed(passes: readonly PassRoots[]): void {
    const { plan, values } = this;
    const arrays = new Set<ValueId>();
    const scalars = new Set<ValueId>();
    for (const roots of passes) {
      const users = this.liveFor(roots).filter((each) => each.results.some((value) => variesInTime(plan, value.id)));
      const used = [...rootIds(roots), ...users.flatMap((each) => operandsOf(each.op))];
      for (const id of used) {
        if (variesInTime(plan, id) || plan.definitions.get(id)?.op.kind === 'constant') continue;
        (hasInnerAxis(plan, id) ? arrays : scalars).add(id);
      }
    }
    for (const id of scalars) values.scalar(id);
    values.keepFixed([...arrays], (body) => this.eachStep(body));
  }

  /** The inner loops of one token for a recurrence: state update, read-out sums, sinks. Scalars made by sums are set in `values`. */
  runToken(roots: PassRoots, store: StateStore, sinks: readonly InnerSink[]): void {
    const live = this.liveFor(roots);
    const lastLevel = this.plan.loopCount - 1;
    this.#keepStates(roots, live, sinks);
    for (let level = 0; level <= lastLevel; level++) this.#runLevel(level, roots, live, store, sinks);
  }

  /** The inner loop in which a recurrence advances. */
  #advanceLevel({ recurrence }: PassRoots): number {
    return recurrence === this.plan.recurrence ? this.plan.recurrenceLevel : 0;
  }

  /** Declares registers for states that loops after that of the update read again (a norm over the states). */
  #keepStates(roots: PassRoots, live: readonly TensorInstruction[], sinks: readonly InnerSink[]): void {
    this.#kept = new Map();
    if (!this.hasInner) return;
    const own = this.#advanceLevel(roots);
    const sums = live.filter((each) => each.op.kind === 'reduce' && this.#levelOf(required(each.results[0], 'sum').id) > own + 1);
    const later = [...sums.flatMap((each) => operandsOf(each.op)), ...sinks.map((each) => each.value).filter((id) => this.#levelOf(id) > own)];
    const read = this.#behind(later).inner;
    for (const value of [...roots.recurrence.previous, ...roots.recurrence.current]) {
      if (!read.has(value.id)) continue;
      const type = withWidth(f32, this.shape.innerWidth);
      this.#kept.set(value.id, this.laneNumbers().map(() => this.builder.array(`${value.name}_kept`, type, this.shape.innerSteps)));
    }
  }

  /** Gives a state its value for this inner iteration, and keeps it where later loops read it. */
  #setState(id: ValueId, lane: number, step: KernelExpression, value: KernelExpression): void {
    this.values.setInner(id, lane, value);
    const array = this.#kept.get(id)?.[lane];
    if (array !== undefined) this.builder.setElement(array, step, splat(value, this.shape.innerWidth));
  }

  #readKept(site: InnerSite): void {
    for (const [id, arrays] of this.#kept) arrays.forEach((array, lane) => this.values.setInner(id, lane, element(array, site.step)));
  }

  #levelOf(id: ValueId): number {
    return required(this.plan.levels.get(id), `level of %${id}`);
  }

  #runLevel(level: number, roots: PassRoots, live: readonly TensorInstruction[], store: StateStore, sinks: readonly InnerSink[]): void {
    const { values } = this;
    const own = this.#advanceLevel(roots);
    const advances = level === own;
    if (!this.hasInner) {
      if (advances) this.#advanceScalar(roots.recurrence, store);
      return;
    }
    const sums = live.filter((each) => each.op.kind === 'reduce' && this.#levelOf(required(each.results[0], 'sum').id) === level + 1);
    const ownSinks = sinks.filter((each) => this.#levelOf(each.value) === level);
    if (!advances && sums.length === 0 && ownSinks.length === 0) return;
    const recurrenceIds = advances ? [...ofCoefficient(roots.recurrence.coefficient), ...roots.recurrence.drive, ...(roots.recurrence.release ?? [])] : [];
    const wanted = [...recurrenceIds, ...sums.flatMap((each) => operandsOf(each.op)), ...ownSinks.map((each) => each.value)];
    values.prepareScalars(this.#behind(wanted).scalars);
    const accumulators = sums.map((each) => this.#accumulator(each));
    this.eachStep((site) => {
      values.beginInner(site);
      if (advances) this.#advanceInner(roots.recurrence, store, site);
      else if (level > own) this.#readKept(site);
      sums.forEach((each, at) => {
        const operand = required(operandsOf(each.op)[0], 'operand');
        this.laneNumbers().forEach((lane) => {
          const sum = required(accumulators[at]?.[lane], 'accumulator');
          this.builder.assign(sum, add(variable(sum), values.inner(operand, lane)));
        });
      });
      for (const sink of ownSinks) sink.consume(site, this.laneNumbers().map((lane) => values.inner(sink.value, lane)));
      values.endInner();
    });
    sums.forEach((each, at) => this.finishSum(required(each.results[0], 'sum').id, required(accumulators[at], 'sum')));
  }

  /** What the computation of inner values reads: scalars, and other inner values. */
  #behind(ids: readonly ValueId[]): { readonly scalars: ReadonlySet<ValueId>; readonly inner: ReadonlySet<ValueId> } {
    const { plan } = this;
    const scalars = new Set<ValueId>();
    const inner = new Set<ValueId>();
    const seen = new Set<ValueId>();
    const stack = [...ids];
    for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
      if (seen.has(id)) continue;
      seen.add(id);
      if (!hasInnerAxis(plan, id)) {
        scalars.add(id);
        continue;
      }
      inner.add(id);
      const definition = plan.definitions.get(id);
      if (definition !== undefined && variesInTime(plan, id)) stack.push(...operandsOf(definition.op));
    }
    return { scalars, inner };
  }

  #accumulator(sum: TensorInstruction): readonly Variable[] {
    const name = required(sum.results[0], 'sum').name;
    const zero = literal(0, withWidth(f32, this.shape.innerWidth));
    return this.laneNumbers().map(() => this.builder.var(name, zero));
  }

  /** Adds up an accumulator's vector; schedules with several lanes per channel override what happens then. */
  finishSum: (id: ValueId, sums: readonly Variable[]) => void = (id, sums) => {
    const totals = sums.map((sum) => horizontalAdd(variable(sum)));
    const value = totals.length === 1 ? required(totals[0], 'sum') : compose(totals);
    this.values.setScalar(id, this.builder.let(required(this.plan.names.get(id), 'name'), value));
  };

  #transitionOf(lane: number): (coefficient: Coefficient) => readonly KernelExpression[] {
    const { values } = this;
    const value = (id: ValueId): KernelExpression => (this.hasInner ? values.inner(id, lane) : values.scalar(id));
    return (coefficient) => (coefficient.kind === 'exponent' ? [values.power(coefficient.exponent, lane)] : coefficient.parts.map(value));
  }

  #advanceInner(recurrence: Recurrence, store: StateStore, site: InnerSite): void {
    const { values, builder } = this;
    for (const lane of this.laneNumbers()) {
      const before = recurrence.previous.map((value, part) => builder.let(value.name, store.read(part, lane, site.step)));
      recurrence.previous.forEach((value, part) => this.#setState(value.id, lane, site.step, required(before[part], 'state')));
      const { current, carried } = advance(recurrence, before, {
        transition: this.#transitionOf(lane),
        value: (id) => values.inner(id, lane),
        bind: (name, value) => builder.let(name, value),
      });
      recurrence.current.forEach((value, part) => this.#setState(value.id, lane, site.step, required(current[part], 'state')));
      carried.forEach((value, part) => store.write(part, lane, site.step, value));
    }
  }

  #advanceScalar(recurrence: Recurrence, store: StateStore): void {
    const { values, builder } = this;
    const zero = integer(0);
    const before = recurrence.previous.map((value, part) => builder.let(value.name, store.read(part, 0, zero)));
    recurrence.previous.forEach((value, part) => values.setScalar(value.id, required(before[part], 'state')));
    const { current, carried } = advance(recurrence, before, {
      transition: this.#transitionOf(0),
      value: (id) => values.scalar(id),
      bind: (name, value) => builder.let(name, value),
    });
    recurrence.current.forEach((value, part) => values.setScalar(value.id, required(current[part], 'state')));
    carried.forEach((value, part) => store.write(part, 0, zero, value));
  }

  /** Multiplies what a chunk's decay has become by this token's transition; `store` holds the product. */
  multiplyDecay(recurrence: Recurrence, store: StateStore): void {
    const { values, builder } = this;
    const ids = ofCoefficient(recurrence.coefficient);
    values.prepareScalars(this.hasInner ? this.#behind(ids).scalars : []);
    this.eachStep((site) => {
      if (this.hasInner) values.beginInner(site);
      for (const lane of this.laneNumbers()) {
        const transition = this.#transitionOf(lane)(recurrence.coefficient);
        const before = transition.map((_, part) => builder.let('decay_before', store.read(part, lane, site.step)));
        productOf(transition, before).forEach((value, part) => store.write(part, lane, site.step, value));
      }
      if (this.hasInner) values.endInner();
    });
  }
}

/** Product of two real or complex transitions. */
export function productOf(left: StateParts, right: StateParts): StateParts {
  const [a, b] = left;
  const [c, d] = right;
  invariant(a !== undefined && c !== undefined, 'product of nothing');
  if (b === undefined || d === undefined) return [multiply(a, c)];
  return [add(multiply(a, c), multiply(multiply(b, d), literal(-1, b.type))), add(multiply(a, d), multiply(b, c))];
}

/** Values that a pass starts from. */
export function rootIds(roots: PassRoots): readonly ValueId[] {
  const { recurrence } = roots;
  return [...ofCoefficient(recurrence.coefficient), ...recurrence.drive, ...(recurrence.release ?? []), ...roots.values];
}
