/**
 * Numbers of schedule `blocks` in a backward pass that are fixed in time, and products of states. All of it
 * is in terms of the replayed transition a: conjugates of adjoints turn like states, so that one table of
 * powers serves both directions.
 */
import { add, element, integer, literal, multiply, subtract, unary } from '../kernel/builder.ts';
import { f32, type KernelExpression, type RegisterArray } from '../kernel/nodes.ts';
import type { ValueId } from '../tensor/ops.ts';
import type { AdjointForm } from './adjoint-form.ts';
import type { FixedNumber } from './blocks-form.ts';
import type { LanesFrame } from './lanes-frame.ts';
import { applyTransition, type InnerSite, type StateParts } from './region-values.ts';
import type { ScanThread } from './scan-thread.ts';

/** Registers for a number per state, by part. */
export type StateArrays = readonly RegisterArray[];

/** The conjugate of a number; itself where it is real. */
export function conjugate(parts: StateParts): StateParts {
  return parts.map((part, at) => (at === 0 ? part : unary('negate', part)));
}

/** Products of a form's fixed numbers and of a thread's states, part by part. */
export class AdjointNumbers {
  readonly #frame: LanesFrame;
  readonly thread: ScanThread;
  readonly form: AdjointForm;
  /** tokens per block */
  readonly block: number;

  constructor({ frame, thread, form, block }: { frame: LanesFrame; thread: ScanThread; form: AdjointForm; block: number }) {
    this.#frame = frame;
    this.thread = thread;
    this.form = form;
    this.block = block;
  }

  get parts(): number {
    return this.thread.plan.recurrence.current.length;
  }

  bind(name: string, parts: StateParts): StateParts {
    return parts.map((part) => this.#frame.builder.let(name, part));
  }

  declare(name: string, perState = 1): StateArrays {
    return Array.from({ length: this.parts }, () => this.#frame.builder.array(name, f32, this.#frame.steps * perState));
  }

  zeros(name: string): StateArrays {
    const arrays = this.declare(name);
    this.thread.eachStep((site) => this.set(arrays, site.step, arrays.map(() => literal(0))));
    return arrays;
  }

  get(arrays: StateArrays, place: KernelExpression): StateParts {
    return arrays.map((array) => element(array, place));
  }

  set(arrays: StateArrays, place: KernelExpression, values: StateParts): void {
    arrays.forEach((array, part) => this.#frame.builder.setElement(array, place, values[part] ?? literal(0)));
  }

  /** Adds a product to sums per state. */
  accumulate(sums: StateArrays, place: KernelExpression, product: StateParts): void {
    this.set(sums, place, addNumbers(this.get(sums, place), product));
  }

  /** Fixed numbers at the inner iteration that has begun. */
  fixed(numbers: readonly (FixedNumber | null)[]): StateParts {
    const { values } = this.thread;
    return this.bind('factor', numbers.map((number) => number?.((id: ValueId) => values.inner(id, 0)) ?? literal(0)));
  }

  /** a, at the inner iteration that has begun. */
  transition(): StateParts {
    const { values, plan } = this.thread;
    const coefficient = plan.history?.coefficient ?? plan.recurrence.coefficient;
    return coefficient.kind === 'exponent' ? [values.power(coefficient.exponent, 0)] : coefficient.parts.map((id) => values.inner(id, 0));
  }

  /** A power of the transition from the table, from 1 on. */
  power(powers: StateArrays, { step }: InnerSite, exponent: number): StateParts {
    return this.get(powers, add(multiply(step, integer(this.block)), integer(exponent - 1)));
  }

  /** A real number times a power, from 0 on. */
  scaledPower(powers: StateArrays, site: InnerSite, exponent: number, factor: KernelExpression): StateParts {
    return exponent === 0 ? [factor] : this.power(powers, site, exponent).map((part) => multiply(part, factor));
  }

  /** The conjugate of the adjoint's drive, at the inner iteration that has begun. */
  drive(): StateParts {
    return this.bind('factor', conjugate(this.fixed(this.form.drive)));
  }
}

/** The sum of two numbers. */
export function addNumbers(left: StateParts, right: StateParts): StateParts {
  return left.map((part, at) => add(part, right[at] ?? literal(0)));
}

/** Σ weights × parts: what a read-out takes of a state. */
export function weigh(weights: StateParts, parts: StateParts): KernelExpression {
  return weights.map((weight, at) => multiply(weight, parts[at] ?? literal(0))).reduce((left, right) => add(left, right));
}

/** A sum of numbers of which some may be real. */
export function addShorter(left: StateParts, right: StateParts): StateParts {
  const [longer, shorter] = left.length >= right.length ? [left, right] : [right, left];
  return longer.map((part, at) => {
    const other = shorter[at];
    return other === undefined ? part : add(part, other);
  });
}

/** By part of a power p: what it is multiplied with so that the sum is the read-out of p ⊙ state. */
export function turnedWeights(weights: StateParts, state: StateParts): StateParts {
  const [re, im] = state;
  const [first, second] = weights;
  if (re === undefined || im === undefined || first === undefined || second === undefined) return [weigh(weights, state)];
  return [weigh(weights, state), subtract(multiply(second, re), multiply(first, im))];
}

export type AdjointCoefficients = {
  /** a^1 … a^K, state × power */
  readonly powers: StateArrays;
  /** b */
  readonly replayDrive: StateArrays;
  /** a ⊙ conjugate of w: what the block's signals add to the adjoint before it */
  readonly drive: StateArrays;
  /** by read-out: weights of the conjugate */
  readonly weights: readonly StateArrays[];
  /** by read-out: Σ of this thread's states of the read-out of a signal 0 … K−1 tokens later */
  readonly responses: readonly RegisterArray[];
};

/** Declares and computes the coefficients. */
export function adjointCoefficients(numbers: AdjointNumbers): AdjointCoefficients {
  const { form, thread, block } = numbers;
  const { builder } = thread;
  const made: AdjointCoefficients = {
    powers: numbers.declare('power', block), replayDrive: numbers.declare('drive'), drive: numbers.declare('adjoint_drive'),
    weights: form.readOuts.map(() => numbers.declare('weight')), responses: form.readOuts.map(() => builder.array('response', f32, block)),
  };
  for (const response of made.responses) for (let token = 0; token < block; token++) builder.setElement(response, integer(token), literal(0));
  thread.eachStep((site) => {
    thread.values.beginInner(site);
    const transition = numbers.transition();
    const drive = numbers.drive();
    const weights = form.readOuts.map((each) => numbers.bind('weight', conjugate(numbers.fixed(each.weights))));
    numbers.set(made.replayDrive, site.step, numbers.fixed(form.replayDrive));
    numbers.set(made.drive, site.step, applyTransition(transition, drive));
    made.weights.forEach((arrays, at) => numbers.set(arrays, site.step, weights[at] ?? []));
    let power: StateParts | null = null;
    for (let token = 0; token < block; token++) {
      const driven = power === null ? drive : numbers.bind('driven', applyTransition(power, drive));
      made.responses.forEach((response, at) =>
        builder.setElement(response, integer(token), add(element(response, integer(token)), weigh(weights[at] ?? [], driven))));
      power = power === null ? transition : numbers.bind('power', applyTransition(transition, power));
      numbers.set(made.powers, add(multiply(site.step, integer(block)), integer(token)), power);
    }
    thread.values.endInner();
  });
  return made;
}
