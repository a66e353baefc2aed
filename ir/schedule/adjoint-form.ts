/**
 * Whether the backward pass of a time-invariant recurrence can take whole blocks of tokens at once, and
 * the numbers that a block needs. Beside the replayed states h ← a ⊙ h + b·r it walks the adjoint
 * g ← ā ⊙ g + w·s back in time. What it sums over time are products of g or s with h or r; a block of K
 * tokens adds to each of them a few products with the states at its ends (see adjoint-blocks), and the
 * rest is fixed numbers times the correlations Σ_j s_(j+d) r_j, which are the same for all states. The
 * forms are found as what values are bilinear in; layers are told apart by nothing else.
 */
import { add, divide, literal, multiply, unary } from '../kernel/builder.ts';
import type { Coefficient, TensorOp, ValueId } from '../tensor/ops.ts';
import { readOutsOf, type FixedNumber, type ReadOut } from './blocks-form.ts';
import { hasInnerAxis, ofCoefficient, variesInTime, type Recurrence, type RegionPlan } from './region-plan.ts';

/** By part of a state; null for zero. */
type Numbers = readonly (FixedNumber | null)[];

/** A sum over time of values over inner axes, as numbers times the sums that a block adds to. */
export type AdjointTotal = {
  /** times Σ g·r, by part of g */
  readonly driven: Numbers;
  /** times Σ s·h, by part of h */
  readonly read: Numbers;
  /** times Σ g ⊙ conjugate of the state before it, by part */
  readonly turned: Numbers;
};

export type AdjointForm = {
  /** s, a number per token and channel, and w by part */
  readonly signal: ValueId;
  readonly drive: Numbers;
  /** r and b */
  readonly replaySignal: ValueId;
  readonly replayDrive: Numbers;
  readonly readOuts: readonly ReadOut[];
  /** by yielded value */
  readonly totals: ReadonlyMap<ValueId, AdjointTotal>;
};

/** A product of values that vary in time and of a fixed number; `constant` where that is known. */
type Term = { readonly atoms: readonly ValueId[]; readonly number: FixedNumber; readonly constant: number | null };

const times = (left: Term, right: Term): Term => ({
  atoms: [...left.atoms, ...right.atoms],
  number: left.constant === 1 ? right.number : right.constant === 1 ? left.number : (value) => multiply(left.number(value), right.number(value)),
  constant: left.constant === null || right.constant === null ? null : left.constant * right.constant,
});

const negated = (term: Term): Term => ({ ...term, number: (value) => unary('negate', term.number(value)), constant: term.constant === null ? null : -term.constant });

const over = (term: Term, { number, constant }: Term): Term => ({
  ...term, number: (value) => divide(term.number(value), number(value)), constant: term.constant === null || constant === null ? null : term.constant / constant,
});

const ofConstant = (constant: number): Term => ({ atoms: [], number: () => literal(constant), constant });

/** A value as a sum of products of at most two values that vary in time; null where it is something else. */
function termsOf(plan: RegionPlan, id: ValueId, isState: (id: ValueId) => boolean): readonly Term[] | null {
  const op = plan.definitions.get(id)?.op;
  if (!variesInTime(plan, id)) return [op?.kind === 'constant' ? ofConstant(op.value) : { atoms: [], number: (value) => value(id), constant: null }];
  if (isState(id) || !hasInnerAxis(plan, id)) return [{ ...ofConstant(1), atoms: [id] }];
  const known = (operand: ValueId): readonly Term[] | null => termsOf(plan, operand, isState);
  if (op?.kind === 'broadcast') return known(op.operand);
  if (op?.kind === 'unary' && op.function === 'negate') return known(op.operand)?.map(negated) ?? null;
  return op?.kind === 'binary' ? termsOfBinary(op, known) : null;
}

function termsOfBinary({ function: operator, left, right }: Extract<TensorOp, { kind: 'binary' }>, known: (id: ValueId) => readonly Term[] | null): readonly Term[] | null {
  const [first, second] = [known(left), known(right)];
  if (first === null || second === null) return null;
  if (operator === 'add') return [...first, ...second];
  if (operator === 'subtract') return [...first, ...second.map(negated)];
  const [divisor, another] = second;
  if (operator === 'divide' && divisor?.atoms.length === 0 && another === undefined) return first.map((each) => over(each, divisor));
  if (operator !== 'multiply') return null;
  const products = first.flatMap((one) => second.map((other) => times(one, other)));
  return products.every((each) => each.atoms.length <= 2) ? products : null;
}

/** A recurrence's drive as one signal and a number per part. */
function driveOf(plan: RegionPlan, { drive }: Recurrence): { signal: ValueId; numbers: Numbers } | null {
  const signals = new Set<ValueId>();
  const numbers: (FixedNumber | null)[] = [];
  for (const id of drive) {
    const terms = termsOf(plan, id, () => false);
    if (terms === null) return null;
    const driven = terms.filter((each) => each.constant !== 0);
    if (driven.some((each) => each.atoms.length !== 1)) return null;
    for (const each of driven) each.atoms.forEach((atom) => signals.add(atom));
    numbers.push(driven.reduce<FixedNumber | null>((sum, each) => addNumbers(sum, each.number), null));
  }
  const [signal] = signals;
  return signal === undefined || signals.size > 1 || plan.levels.get(signal) !== 0 ? null : { signal, numbers };
}

function addNumbers(left: FixedNumber | null, right: FixedNumber): FixedNumber {
  return left === null ? right : (value) => add(left(value), right(value));
}

/** Whether the adjoint's transition is the conjugate of the replayed one. */
function areConjugate(plan: RegionPlan, adjoint: Coefficient, replayed: Coefficient): boolean {
  const isNegative = (id: ValueId | undefined, of: ValueId | undefined): boolean => {
    const op = id === undefined ? undefined : plan.definitions.get(id)?.op;
    return op?.kind === 'unary' && op.function === 'negate' && op.operand === of;
  };
  const [[re, im], [ofRe, ofIm]] = [ofCoefficient(adjoint), ofCoefficient(replayed)];
  if (adjoint.kind !== replayed.kind || re !== ofRe) return false;
  return im === undefined ? ofIm === undefined : isNegative(im, ofIm) || isNegative(ofIm, im);
}

type Signals = { readonly signal: ValueId; readonly replaySignal: ValueId };

/** What a total is made of, collected term by term. */
class TotalBuilder {
  readonly #driven: (FixedNumber | null)[];
  readonly #read: (FixedNumber | null)[];
  /** factors of products of parts; of complex states only constants, whose signs must be those of a product */
  readonly #pairs: number[][];
  #square: FixedNumber | null = null;

  constructor(parts: number) {
    this.#driven = Array.from({ length: parts }, () => null);
    this.#read = Array.from({ length: parts }, () => null);
    this.#pairs = Array.from({ length: parts }, () => Array.from({ length: parts }, () => 0));
  }

  /** False where the term is none of those that blocks can sum. */
  take(plan: RegionPlan, { atoms, number, constant }: Term, { signal, replaySignal }: Signals): boolean {
    const { recurrence, history } = plan;
    const partOf = (values: Recurrence['current'] | undefined, within = atoms): number => values?.findIndex((value) => within.includes(value.id)) ?? -1;
    const [adjoint, before, after] = [partOf(recurrence.current), partOf(history?.previous), partOf(history?.current)];
    if (atoms.length !== 2) return false;
    if (adjoint >= 0 && atoms.includes(replaySignal)) this.#driven[adjoint] = addNumbers(this.#driven[adjoint] ?? null, number);
    else if (after >= 0 && atoms.includes(signal)) this.#read[after] = addNumbers(this.#read[after] ?? null, number);
    else if (adjoint >= 0 && before >= 0 && recurrence.current.length === 1) this.#square = addNumbers(this.#square, number);
    else if (adjoint >= 0 && before >= 0 && constant !== null) {
      const row = this.#pairs[adjoint];
      if (row !== undefined) row[before] = (row[before] ?? 0) + constant;
    } else return false;
    return true;
  }

  /** Null where the products of adjoints and states are none with the conjugate. */
  finish(): AdjointTotal | null {
    const [driven, read] = [this.#driven, this.#read];
    if (this.#pairs.length === 1) return { driven, read, turned: [this.#square] };
    const [[re = 0, cross = 0] = [], [turn = 0, im = 0] = []] = this.#pairs;
    return re === im && turn === -cross ? { driven, read, turned: [re, turn].map((each) => (each === 0 ? null : () => literal(each))) } : null;
  }
}

function totalOf(plan: RegionPlan, yielded: ValueId, signals: Signals): AdjointTotal | null {
  const states = [plan.recurrence, plan.history].flatMap((each) => [...(each?.current ?? [])]);
  const atoms = new Set([...states, ...(plan.history?.previous ?? [])].map((value) => value.id));
  const terms = termsOf(plan, yielded, (id) => atoms.has(id));
  const made = new TotalBuilder(plan.recurrence.current.length);
  return terms !== null && terms.every((each) => made.take(plan, each, signals)) ? made.finish() : null;
}

/** Sums over time by yielded value, or null where a yield over inner axes is none. */
function totalsOf(plan: RegionPlan, signals: Signals): ReadonlyMap<ValueId, AdjointTotal> | null {
  const totals = new Map<ValueId, AdjointTotal>();
  for (const { value, sumOver } of plan.op.yields.filter((each) => hasInnerAxis(plan, each.value))) {
    const total = sumOver.includes('time') ? totalOf(plan, value, signals) : null;
    if (total === null) return null;
    totals.set(value, total);
  }
  return totals;
}

/** The form of a backward scan, or null where its tokens must be taken one by one. */
export function adjointFormOf(plan: RegionPlan): AdjointForm | null {
  const { recurrence, history, op } = plan;
  if (history === null || plan.inner.length === 0 || plan.channels.length === 0 || plan.direction !== 'descending' || recurrence.release !== null) return null;
  if (plan.loopCount > 1 || plan.recurrenceLevel > 0 || history.current.length !== recurrence.current.length) return null;
  const coefficient = ofCoefficient(history.coefficient);
  if (coefficient.length !== history.current.length || coefficient.some((id) => variesInTime(plan, id)) || !areConjugate(plan, recurrence.coefficient, history.coefficient)) return null;
  const summed = [...plan.channels, ...plan.inner].map((each) => each.name);
  if (op.yields.some((each) => each.sumOver.some((axis) => summed.includes(axis)) || !variesInTime(plan, each.value))) return null;
  const [drive, replayDrive] = [driveOf(plan, recurrence), driveOf(plan, history)];
  if (drive === null || replayDrive === null) return null;
  const signals = { signal: drive.signal, replaySignal: replayDrive.signal };
  const readOuts = readOutsOf(plan, op.yields.map((each) => each.value).filter((id) => !hasInnerAxis(plan, id)));
  const totals = totalsOf(plan, signals);
  return readOuts === null || totals === null ? null : { ...signals, drive: drive.numbers, replayDrive: replayDrive.numbers, readOuts, totals };
}
