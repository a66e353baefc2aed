/**
 * Sums over time of schedule `blocks` in a backward pass: what each block adds to them, and how they are
 * finished with the correlations of signals within blocks (see adjoint-blocks for the formulas).
 */
import { required } from '../../support/invariant.ts';
import { add, element, integer, literal, multiply } from '../kernel/builder.ts';
import type { KernelExpression, RegisterArray } from '../kernel/nodes.ts';
import { addNumbers, addShorter, conjugate, type AdjointNumbers, type StateArrays } from './adjoint-coefficients.ts';
import type { AdjointTotal } from './adjoint-form.ts';
import { applyTransition, type InnerSite, type StateParts } from './region-values.ts';

/** Sums over time per state; those that no total needs are absent. */
export type Sums = {
  /** Σ F ⊙ c */
  readonly driven: StateArrays | null;
  /** Σ G ⊙ H */
  readonly read: StateArrays | null;
  /** Σ c ⊙ (K a^(K−1) ⊙ H + b ⊙ F'), and Σ G' ⊙ H */
  readonly turned: { readonly before: StateArrays; readonly after: StateArrays } | null;
};

/** A block's states and sums over its tokens: H, c, F, F', b, G, G' and K a^(K−1). */
export type BlockSums = {
  readonly start: StateArrays;
  readonly after: StateParts;
  readonly replayed: StateArrays;
  readonly replayedWeighted: StateArrays | null;
  readonly replayDrive: StateArrays;
  readonly sum: StateParts;
  readonly weighted: StateParts;
  readonly slope: StateParts;
};

/** Σ g·r, Σ s·h and Σ g ⊙ conj(h) of a state, by part; null for what no total needs. */
export type FinishedSums = { readonly [Name in 'driven' | 'read' | 'turned']: StateParts | null };

export class AdjointTotals {
  readonly #numbers: AdjointNumbers;

  constructor(numbers: AdjointNumbers) {
    this.#numbers = numbers;
  }

  /** Registers for what the totals need, zero. */
  declare(): Sums {
    const totals = [...this.#numbers.form.totals.values()];
    const numbers = this.#numbers;
    const needs = (of: (total: AdjointTotal) => boolean): boolean => totals.some(of);
    return {
      driven: needs((each) => each.driven.some((number) => number !== null)) ? numbers.zeros('driven_sum') : null,
      read: needs((each) => each.read.some((number) => number !== null)) ? numbers.zeros('read_sum') : null,
      turned: needs((each) => each.turned.some((number) => number !== null)) ? { before: numbers.zeros('turned_sum'), after: numbers.zeros('turned_rest') } : null,
    };
  }

  /** Adds what a block's tokens take of the states at its ends. */
  addBlock(sums: Sums, { step }: InnerSite, of: BlockSums): void {
    const numbers = this.#numbers;
    const start = numbers.bind('start', numbers.get(of.start, step));
    if (sums.driven !== null) numbers.accumulate(sums.driven, step, applyTransition(numbers.get(of.replayed, step), of.after));
    if (sums.read !== null) numbers.accumulate(sums.read, step, applyTransition(of.sum, start));
    if (sums.turned === null) return;
    const weighted = numbers.get(required(of.replayedWeighted, 'weighted sum'), step);
    const slopes = numbers.bind('slope', addNumbers(applyTransition(of.slope, start), applyTransition(numbers.get(of.replayDrive, step), weighted)));
    numbers.accumulate(sums.turned.before, step, applyTransition(slopes, of.after));
    numbers.accumulate(sums.turned.after, step, applyTransition(of.weighted, start));
  }

  /** Σ g·r, Σ s·h and Σ g ⊙ conj(h) of a state, by part. */
  finish({ driven, read, turned }: Sums, site: InnerSite, { correlation, powers }: { correlation: RegisterArray; powers: StateArrays }): FinishedSums {
    const numbers = this.#numbers;
    const weights = Array.from({ length: numbers.block }, (_, distance) => element(correlation, integer(distance)));
    const among = numbers.bind('among', sumParts(weights.map((weight, distance) => numbers.scaledPower(powers, site, distance, weight))));
    const slopes = numbers.bind('among_slope', sumParts(weights.slice(1).map((weight, at) => numbers.scaledPower(powers, site, at, multiply(weight, literal(at + 1))))));
    const drive = numbers.drive();
    const replayDrive = numbers.fixed(numbers.form.replayDrive);
    const turn = (left: StateParts, right: StateParts): StateParts => numbers.bind('product', applyTransition(left, right));
    return {
      driven: driven === null ? null : conjugate(addNumbers(numbers.get(driven, site.step), turn(drive, among))),
      read: read === null ? null : addNumbers(turn(numbers.power(powers, site, 1), numbers.get(read, site.step)), turn(replayDrive, among)),
      turned: turned === null ? null : conjugate(addNumbers(
        addNumbers(numbers.get(turned.before, site.step), turn(drive, numbers.get(turned.after, site.step))), turn(drive, turn(replayDrive, slopes)))),
    };
  }

  /** A yielded sum over time of the state whose inner iteration has begun. */
  totalOf({ driven, read, turned }: AdjointTotal, finished: FinishedSums): KernelExpression {
    const pairs = [...driven.map((number, part) => [number, finished.driven?.[part]] as const), ...read.map((number, part) => [number, finished.read?.[part]] as const),
      ...turned.map((number, part) => [number, finished.turned?.[part]] as const)];
    const terms = pairs.flatMap(([number, sum]) => (number === null ? [] : [multiply(required(this.#numbers.fixed([number])[0], 'number'), required(sum, 'sum'))]));
    return terms.length === 0 ? literal(0) : terms.reduce((left, right) => add(left, right));
  }
}

function sumParts(numbers: readonly StateParts[]): StateParts {
  return numbers.reduce((left, right) => addShorter(left, right));
}
