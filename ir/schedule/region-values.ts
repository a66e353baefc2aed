/**
 * Emits the values of a region on demand: a value is computed where it is first needed, bound to a
 * name, and remembered for the rest of its scope (the whole thread for values fixed in time, one
 * token for per-token scalars, one inner iteration for values over inner axes). What nobody asks for
 * is never emitted, so one region serves the full pass, the summary pass and the replay.
 *
 * A thread holds `lanes` channels side by side as a vector (1 on GPUs); values over inner axes are
 * emitted per channel, with the inner axis as a vector of `innerWidth`.
 */
import { invariant, required } from '../../support/invariant.ts';
import {
  add, compose, convert, element, extract, integer, literal, multiply, splat, subtract, unary,
  type KernelBuilder,
} from '../kernel/builder.ts';
import { f32, withWidth, type KernelExpression, type RegisterArray, type VectorWidth } from '../kernel/nodes.ts';
import type { Coefficient, ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { loadValue, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import { emitElementwise, toReal, type ElementwiseOp } from './elementwise.ts';
import { hasChannelAxis, hasInnerAxis, variesInTime, type Recurrence, type RegionPlan } from './region-plan.ts';

export type RegionValuesOptions = {
  readonly builder: KernelBuilder;
  readonly plan: RegionPlan;
  readonly memory: (operand: ValueId) => MemoryReference;
  /** channels of this thread, side by side */
  readonly lanes: VectorWidth;
  /** width of vectors along the inner axis */
  readonly innerWidth: VectorWidth;
  /** vectors (or single states) of one channel in this thread */
  readonly innerSteps: number;
};

/** Where an inner iteration stands: the loop index and the coordinates of the inner axes. */
export type InnerSite = { readonly step: KernelExpression; readonly coordinates: readonly (readonly [string, KernelExpression])[] };

type StateSource = (id: ValueId, lane: number) => KernelExpression | null;

export class RegionValues {
  readonly #options: RegionValuesOptions;
  readonly #fixedScalars = new Map<ValueId, KernelExpression>();
  readonly #fixedArrays = new Map<string, RegisterArray>();
  #token = new Map<ValueId, KernelExpression>();
  #tokenLanes = new Map<ValueId, KernelExpression[]>();
  #inner = new Map<string, KernelExpression>();
  #scope: 'fixed' | 'token' = 'fixed';
  #base: Coordinates = new Map();
  #time: KernelExpression | null = null;
  #site: InnerSite | null = null;
  #states: StateSource = () => null;
  #override: (id: ValueId) => KernelExpression | null = () => null;
  #overrideInner: StateSource = () => null;
  #powers: StateSource = () => null;

  constructor(options: RegionValuesOptions) {
    this.#options = options;
  }

  /** Sets batch and channel coordinates; the last channel axis' coordinate is that of lane 0. */
  place(coordinates: Coordinates): void {
    this.#base = coordinates;
  }

  /** Starts a token: scalars of the previous one are forgotten. */
  beginToken(time: KernelExpression): void {
    this.#scope = 'token';
    this.#time = time;
    this.#token = new Map();
    this.#tokenLanes = new Map();
  }

  /** Values that come from elsewhere in this phase (shared memory), asked before anything else. */
  overrideScalars(source: (id: ValueId) => KernelExpression | null): void {
    this.#override = source;
  }

  /** Values over inner axes that come from elsewhere in this phase (staged in shared memory). */
  overrideInner(source: StateSource): void {
    this.#overrideInner = source;
  }

  /** All coordinates at an inner iteration. */
  coordinatesAt(site: InnerSite): Coordinates {
    return withCoordinates(this.#coordinates(), site.coordinates);
  }

  /** How states are read in inner iterations (register arrays, histories). */
  readStates(source: StateSource): void {
    this.#states = source;
  }

  /** Powers of transitions that were computed before (once per channel, in the replay). */
  readPowers(source: StateSource): void {
    this.#powers = source;
  }

  /** Gives a scalar its value for this token (a finished reduction, a recurrence without inner axes). */
  setScalar(id: ValueId, value: KernelExpression): void {
    this.#token.set(id, value);
  }

  #nameOf(id: ValueId): string {
    return required(this.#options.plan.names.get(id), `name of %${id}`);
  }

  #coordinates(): Coordinates {
    const time: (readonly [string, KernelExpression])[] = this.#time === null ? [] : [['time', this.#time]];
    return withCoordinates(this.#base, [...time, ...(this.#site?.coordinates ?? [])]);
  }

  #vectorChannel(): { axis: string; width: VectorWidth } | null {
    const axis = this.#options.plan.channels.at(-1);
    return axis === undefined ? null : { axis: axis.name, width: this.#options.lanes };
  }

  /** Value of a scalar (no inner axis): width `lanes` if it varies over channels, else 1. */
  scalar(id: ValueId): KernelExpression {
    const fixed = !variesInTime(this.#options.plan, id);
    const memo = this.#fixedScalars.get(id) ?? this.#token.get(id);
    if (memo !== undefined) return memo;
    const from = this.#override(id);
    const value = from ?? this.#computeScalar(id);
    const bound = this.#options.builder.let(this.#nameOf(id), value);
    if (fixed && this.#scope === 'fixed') this.#fixedScalars.set(id, bound);
    else this.#token.set(id, bound);
    return bound;
  }

  #computeScalar(id: ValueId): KernelExpression {
    const { plan, builder, memory } = this.#options;
    const parameter = plan.parameters.get(id);
    if (parameter !== undefined) {
      const operand = required(plan.op.operands[parameter], 'operand');
      return loadValue(builder, memory(operand), this.#coordinates(), this.#vectorChannel());
    }
    const definition = required(plan.definitions.get(id), `definition of %${id}`);
    const { op } = definition;
    switch (op.kind) {
      case 'constant':
        return literal(op.value);
      case 'length':
        return convert(this.#lengthOf(), f32);
      case 'iota':
        return this.#iota(op.axis);
      case 'reduce':
        throw new Error(`reduction ${this.#nameOf(id)} is not ready in this phase`);
      case 'unary':
      case 'binary':
      case 'select':
      case 'analytic':
      case 'broadcast': {
        const values = emitElementwise(builder, op satisfies ElementwiseOp, operandsOf(op).map((each) => this.scalar(each)));
        return this.#bindAll(definition.results.map((value) => value.id), values, id, (each, value) => {
          (this.#scope === 'fixed' ? this.#fixedScalars : this.#token).set(each, value);
        });
      }
      default:
        throw new Error(`${op.kind} inside the region of ${plan.op.state}`);
    }
  }

  /** Binds the other results of a multi-result operation and returns the asked one. */
  #bindAll(ids: readonly ValueId[], values: readonly KernelExpression[], asked: ValueId, keep: (id: ValueId, value: KernelExpression) => void): KernelExpression {
    ids.forEach((each, at) => {
      if (each !== asked) keep(each, this.#options.builder.let(this.#nameOf(each), required(values[at], 'result')));
    });
    return required(values[ids.indexOf(asked)], 'result');
  }

  #lengthOf(): KernelExpression {
    return this.#options.builder.uniform('length', 'length');
  }

  #iota(axis: string): KernelExpression {
    const coordinate = required(this.#coordinates().get(axis), `coordinate of ${axis}`);
    const start = convert(coordinate, f32);
    const channel = this.#vectorChannel();
    const width: VectorWidth = channel?.axis === axis ? channel.width : this.#isVectorInner(axis) ? this.#options.innerWidth : 1;
    if (width === 1) return start;
    return add(start, compose(Array.from({ length: width }, (_, lane) => literal(lane))));
  }

  #isVectorInner(axis: string): boolean {
    return this.#options.plan.inner.at(-1)?.name === axis && this.#site !== null;
  }

  /** A scalar's value in one channel of this thread. */
  scalarLane(id: ValueId, lane: number): KernelExpression {
    const value = this.scalar(id);
    if (value.type.width === 1) return value;
    const known = this.#tokenLanes.get(id) ?? [];
    const made = known[lane];
    if (made !== undefined) return made;
    const bound = this.#options.builder.let(this.#nameOf(id), extract(value, lane));
    known[lane] = bound;
    this.#tokenLanes.set(id, known);
    return bound;
  }

  /** Makes scalars available before an inner loop opens, in every channel. */
  prepareScalars(ids: Iterable<ValueId>): void {
    for (const id of ids) {
      if (this.#isConstant(id)) continue;
      this.scalar(id);
      for (let lane = 0; lane < this.#options.lanes; lane++) this.scalarLane(id, lane);
    }
  }

  #isConstant(id: ValueId): boolean {
    return this.#options.plan.definitions.get(id)?.op.kind === 'constant';
  }

  /** Starts an inner iteration. */
  beginInner(site: InnerSite): void {
    this.#site = site;
    this.#inner = new Map();
  }

  endInner(): void {
    this.#site = null;
    this.#inner = new Map();
  }

  #key(id: ValueId, lane: number): string {
    return hasChannelAxis(this.#options.plan, id) ? `${id}.${lane}` : `${id}`;
  }

  /** Value in channel `lane` at the current inner iteration; also of scalars. */
  inner(id: ValueId, lane: number): KernelExpression {
    const { plan, builder } = this.#options;
    if (this.#isConstant(id)) return this.scalar(id);
    if (!hasInnerAxis(plan, id)) return this.scalarLane(id, lane);
    const key = this.#key(id, lane);
    const memo = this.#inner.get(key);
    if (memo !== undefined) return memo;
    const stored = this.#fixedArrays.get(key);
    const state = this.#states(id, lane) ?? this.#overrideInner(id, lane);
    const value = state ?? (stored === undefined ? this.#computeInner(id, lane) : element(stored, this.step()));
    const bound = builder.let(this.#nameOf(id), value);
    this.#inner.set(key, bound);
    return bound;
  }

  /** Gives a value over inner axes its value for this iteration. */
  setInner(id: ValueId, lane: number, value: KernelExpression): void {
    this.#inner.set(this.#key(id, lane), value);
  }

  /** The loop index of the current inner iteration. */
  step(): KernelExpression {
    return required(this.#site, 'inner iteration').step;
  }

  #computeInner(id: ValueId, lane: number): KernelExpression {
    const { plan, builder, memory, innerWidth } = this.#options;
    const parameter = plan.parameters.get(id);
    if (parameter !== undefined) {
      const operand = required(plan.op.operands[parameter], 'operand');
      const axis = required(plan.inner.at(-1), 'inner axis').name;
      return loadValue(builder, memory(operand), this.#laneCoordinates(lane), { axis, width: innerWidth });
    }
    const definition = required(plan.definitions.get(id), `definition of %${id}`);
    const { op } = definition;
    if (op.kind === 'iota') return this.#iota(op.axis);
    invariant(op.kind === 'unary' || op.kind === 'binary' || op.kind === 'select' || op.kind === 'analytic' || op.kind === 'broadcast', `${op.kind} over inner axes`);
    if (op.kind === 'unary' && op.function === 'exp2') return this.power(op.operand, lane);
    const values = emitElementwise(builder, op, operandsOf(op).map((each) => this.inner(each, lane)));
    return this.#bindAll(definition.results.map((value) => value.id), values, id, (each, value) => this.setInner(each, lane, value));
  }

  #laneCoordinates(lane: number): Coordinates {
    const coordinates = this.#coordinates();
    const channel = this.#options.plan.channels.at(-1);
    if (channel === undefined || lane === 0) return coordinates;
    const first = required(coordinates.get(channel.name), channel.name);
    return withCoordinates(coordinates, [[channel.name, add(first, integer(lane))]]);
  }

  /** 2^exponent, once per exponent and iteration however often it is asked for. */
  power(exponent: ValueId, lane: number): KernelExpression {
    const key = `exp2:${this.#key(exponent, lane)}`;
    const known = this.#inner.get(key);
    if (known !== undefined) return known;
    const { builder, plan } = this.#options;
    const isScalar = plan.inner.length === 0;
    const computed = this.#powers(exponent, lane) ?? unary('exp2', isScalar ? this.scalar(exponent) : this.inner(exponent, lane));
    const made = builder.let('decay', computed);
    if (!isScalar) this.#inner.set(key, made);
    return made;
  }

  /** Keeps values fixed in time in register arrays, one per channel; loops over inner steps are opened by `each`. */
  keepFixed(ids: readonly ValueId[], each: (body: (site: InnerSite) => void) => void): void {
    const { builder, lanes, innerSteps, innerWidth, plan } = this.#options;
    if (ids.length === 0) return;
    const arrays = new Map<string, RegisterArray>();
    for (const id of ids) {
      for (let lane = 0; lane < lanes; lane++) {
        const key = this.#key(id, lane);
        if (!arrays.has(key)) arrays.set(key, builder.array(this.#nameOf(id), withWidth(f32, innerWidth), innerSteps));
      }
    }
    const scalars = [...fixedScalarsNeeded(plan, ids)];
    this.prepareScalars(scalars);
    each((site) => {
      this.beginInner(site);
      for (const id of ids) {
        for (let lane = 0; lane < lanes; lane++) {
          const array = required(arrays.get(this.#key(id, lane)), 'array');
          if (lane === 0 || hasChannelAxis(plan, id)) builder.setElement(array, site.step, splat(toReal(this.inner(id, lane)), innerWidth));
        }
      }
      this.endInner();
    });
    for (const [key, array] of arrays) this.#fixedArrays.set(key, array);
  }
}

function* fixedScalarsNeeded(plan: RegionPlan, ids: readonly ValueId[]): Iterable<ValueId> {
  const seen = new Set<ValueId>();
  const stack = [...ids];
  for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    if (!hasInnerAxis(plan, id)) {
      yield id;
      continue;
    }
    const definition = plan.definitions.get(id);
    if (definition !== undefined) stack.push(...operandsOf(definition.op));
  }
}

export type StateParts = readonly KernelExpression[];

/** a ⊙ h for a real or complex transition on a real or complex state. */
export function applyTransition(transition: readonly KernelExpression[], state: StateParts): StateParts {
  const [re, im] = transition;
  const a = required(re, 'transition');
  const [first, second] = state;
  const h = required(first, 'state');
  if (im === undefined) return state.map((part) => multiply(a, part));
  const k = required(second, 'imaginary state');
  return [subtract(multiply(a, h), multiply(im, k)), add(multiply(a, k), multiply(im, h))];
}

export type RecurrenceValues = {
  readonly transition: (coefficient: Coefficient) => readonly KernelExpression[];
  readonly value: (id: ValueId) => KernelExpression;
  readonly bind: (name: string, value: KernelExpression) => KernelExpression;
};

/** One update: the current state, and what is carried on. */
export function advance(recurrence: Recurrence, previous: StateParts, values: RecurrenceValues): { current: StateParts; carried: StateParts } {
  const transition = values.transition(recurrence.coefficient);
  const bindParts = (parts: StateParts): StateParts =>
    parts.map((part, at) => values.bind(required(recurrence.current[at], 'state').name, part));
  const drive = recurrence.drive.map(values.value);
  const withDrive = (parts: StateParts): StateParts => parts.map((part, at) => addUnlessZero(part, required(drive[at], 'drive')));
  if (recurrence.form === 'decay-then-add') {
    const current = bindParts(withDrive(applyTransition(transition, previous)));
    return { current, carried: current };
  }
  const current = bindParts(withDrive(previous));
  const decayed = applyTransition(transition, current);
  const release = recurrence.release?.map(values.value) ?? null;
  return { current, carried: release === null ? decayed : decayed.map((part, at) => addUnlessZero(part, required(release[at], 'release'))) };
}

function addUnlessZero(left: KernelExpression, right: KernelExpression): KernelExpression {
  return right.kind === 'literal' && right.value === 0 ? left : add(left, right);
}

