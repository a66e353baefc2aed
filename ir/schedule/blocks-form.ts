/**
 * Whether a scan can take whole blocks of tokens at once, and the numbers that a block needs. A
 * time-invariant recurrence h ← a ⊙ h + b·u with read-outs y = Σ w ⊙ h has, K tokens later,
 *   h' = a^K ⊙ h + Σ_j a^(K−1−j) ⊙ b · u_j   and   y_j = Σ w ⊙ a^(j+1) ⊙ h + Σ_(m≤j) k_m u_(j−m),
 * k_m = Σ w ⊙ a^m ⊙ b. The second sum of y is the same for all states, so that a state costs two
 * products per part and token instead of the update's and the read-out's. Here b and w are found as
 * what a drive and a read-out are linear in; layers are told apart by nothing else.
 */
import { add, divide, literal, multiply, unary } from '../kernel/builder.ts';
import type { KernelExpression } from '../kernel/nodes.ts';
import { liveInstructions } from '../passes/eliminate-dead.ts';
import type { TensorOp, ValueId } from '../tensor/ops.ts';
import { hasInnerAxis, ofCoefficient, variesInTime, type RegionPlan } from './region-plan.ts';

/** A number that is fixed in time, formed from values of the region at an inner site. */
export type FixedNumber = (value: (id: ValueId) => KernelExpression) => KernelExpression;

/** Σ of a fixed number times a value that varies in time. */
type FixedForm = ReadonlyMap<ValueId, FixedNumber>;

/** A sum over states; by part of the state its weight, null for zero. */
export type ReadOut = { readonly sum: ValueId; readonly weights: readonly (FixedNumber | null)[] };

export type BlockForm = {
  /** what drives the states: a number per token and channel */
  readonly signal: ValueId;
  /** by part; null for zero */
  readonly drive: readonly (FixedNumber | null)[];
  readonly readOuts: readonly ReadOut[];
};

const one: FixedNumber = () => literal(1);

function mapForm(form: FixedForm | null, change: (number: FixedNumber) => FixedNumber): FixedForm | null {
  return form === null ? null : new Map([...form].map(([id, number]) => [id, change(number)]));
}

function addForms(left: FixedForm | null, right: FixedForm | null): FixedForm | null {
  if (left === null || right === null) return null;
  const sum = new Map(left);
  for (const [id, number] of right) {
    const before = sum.get(id);
    sum.set(id, before === undefined ? number : (value) => add(before(value), number(value)));
  }
  return sum;
}

const negated = (number: FixedNumber): FixedNumber => (value) => unary('negate', number(value));

/** A value as a form in those that `isSignal` accepts; null where it is not linear in them. */
function formOf(plan: RegionPlan, id: ValueId, isSignal: (id: ValueId) => boolean): FixedForm | null {
  if (isSignal(id)) return new Map([[id, one]]);
  const op = plan.definitions.get(id)?.op;
  if (op === undefined || !variesInTime(plan, id)) return null;
  const known = (operand: ValueId): FixedForm | null => formOf(plan, operand, isSignal);
  if (op.kind === 'broadcast') return known(op.operand);
  if (op.kind === 'unary' && op.function === 'negate') return mapForm(known(op.operand), negated);
  return op.kind === 'binary' ? formOfBinary(plan, op, known) : null;
}

function formOfBinary(plan: RegionPlan, op: Extract<TensorOp, { kind: 'binary' }>, known: (id: ValueId) => FixedForm | null): FixedForm | null {
  const { left, right } = op;
  const isFixed = (id: ValueId): boolean => !variesInTime(plan, id);
  const scaled = (form: FixedForm | null, factor: ValueId): FixedForm | null => mapForm(form, (number) => (value) => multiply(number(value), value(factor)));
  switch (op.function) {
    case 'add':
      return addForms(known(left), known(right));
    case 'subtract':
      return addForms(known(left), mapForm(known(right), negated));
    case 'multiply':
      if (isFixed(right)) return scaled(known(left), right);
      return isFixed(left) ? scaled(known(right), left) : null;
    case 'divide':
      return isFixed(right) ? mapForm(known(left), (number) => (value) => divide(number(value), value(right))) : null;
    default:
      return null;
  }
}

/** The drive as one signal and a fixed number per part. */
function driveOf(plan: RegionPlan): Pick<BlockForm, 'signal' | 'drive'> | null {
  const isSignal = (id: ValueId): boolean => variesInTime(plan, id) && !hasInnerAxis(plan, id);
  const forms = plan.recurrence.drive.map((id) => (isZero(plan, id) ? new Map<ValueId, FixedNumber>() : formOf(plan, id, isSignal)));
  const signals = new Set(forms.flatMap((form) => (form === null ? [] : [...form.keys()])));
  const [signal] = signals;
  if (signal === undefined || signals.size > 1 || forms.includes(null) || plan.levels.get(signal) !== 0) return null;
  return { signal, drive: forms.map((form) => form?.get(signal) ?? null) };
}

function isZero(plan: RegionPlan, id: ValueId): boolean {
  const op = plan.definitions.get(id)?.op;
  if (op?.kind === 'broadcast') return isZero(plan, op.operand);
  return op?.kind === 'constant' && op.value === 0;
}

/** Sums over states that the results need, or null where one is no read-out of the updated state. */
export function readOutsOf(plan: RegionPlan, results: readonly ValueId[]): readonly ReadOut[] | null {
  const states = plan.recurrence.current.map((value) => value.id);
  const readOuts: ReadOut[] = [];
  for (const { op, results: [sum] } of liveInstructions(plan.op.region, results)) {
    if (op.kind !== 'reduce' || sum === undefined) continue;
    const isWhole = op.function === 'sum' && plan.inner.every((axis) => op.over.includes(axis.name)) && op.over.length === plan.inner.length;
    const form = isWhole ? formOf(plan, op.operand, (id) => states.includes(id)) : null;
    if (form === null) return null;
    readOuts.push({ sum: sum.id, weights: states.map((id) => form.get(id) ?? null) });
  }
  return readOuts;
}

/** The form of a scan, or null where its tokens must be taken one by one. */
export function blockFormOf(plan: RegionPlan): BlockForm | null {
  const { recurrence, history, direction, op } = plan;
  if (plan.inner.length === 0 || plan.channels.length === 0 || history !== null || direction === 'descending' || recurrence.release !== null) return null;
  if (plan.loopCount > 1 || plan.recurrenceLevel > 0 || ofCoefficient(recurrence.coefficient).some((id) => variesInTime(plan, id))) return null;
  const results = op.yields.map((each) => each.value);
  const arePerChannel = op.yields.every((each) => each.sumOver.length === 0 && !hasInnerAxis(plan, each.value) && variesInTime(plan, each.value));
  const drive = driveOf(plan);
  const readOuts = readOutsOf(plan, results);
  return arePerChannel && drive !== null && readOuts !== null ? { ...drive, readOuts } : null;
}
