/**
 * Values as linear forms: Σ of a coefficient that does not vary with time and a signal that does.
 * Convolutions need them twice: to part the drive of a recurrence from its input (B̄ ⊙ u), and to see
 * which sums over states are read-outs (Σ C ⊙ x) with a fixed C.
 */
import { required } from '../../support/invariant.ts';
import { TensorBuilder } from '../tensor/builder.ts';
import type { TensorInstruction, ValueId } from '../tensor/ops.ts';

/** coefficient · signal; a null coefficient is 1. */
export type LinearTerm = { readonly coefficient: ValueId | null; readonly signal: ValueId };
export type LinearForm = readonly LinearTerm[];

/** More terms than this are not worth an impulse response each. */
const mostTerms = 4;

export function multiplyCoefficients(builder: TensorBuilder, left: ValueId | null, right: ValueId | null): ValueId | null {
  if (left === null || right === null) return left ?? right;
  return builder.multiply(left, right);
}

export function scaleForm(builder: TensorBuilder, form: LinearForm, factor: ValueId): LinearForm {
  return form.map((term) => ({ ...term, coefficient: multiplyCoefficients(builder, term.coefficient, factor) }));
}

/** Terms of equal signals become one. */
export function addForms(builder: TensorBuilder, left: LinearForm, right: LinearForm): LinearForm {
  const terms = new Map<ValueId, ValueId | null>(left.map((term) => [term.signal, term.coefficient]));
  for (const { signal, coefficient } of right) {
    const before = terms.get(signal);
    const one = (id: ValueId | null): ValueId => id ?? builder.constant(1);
    terms.set(signal, before === undefined ? coefficient : builder.add(one(before), one(coefficient)));
  }
  return [...terms].map(([signal, coefficient]) => ({ signal, coefficient }));
}

export type FormScope = {
  /** where new coefficients are made */
  readonly builder: TensorBuilder;
  readonly definitions: ReadonlyMap<ValueId, TensorInstruction>;
  readonly isFixed: (id: ValueId) => boolean;
};

/**
 * The form of a value from those of its operands; `known` gives the form of an operand, or null for
 * one that is not linear in what is asked about. Null where the operation is not linear.
 */
export function formOf(scope: FormScope, id: ValueId, known: (id: ValueId) => LinearForm | null): LinearForm | null {
  const { builder } = scope;
  const op = required(scope.definitions.get(id), `definition of %${id}`).op;
  if (op.kind === 'unary' && op.function === 'negate') {
    const form = known(op.operand);
    return form === null ? null : scaleForm(builder, form, builder.constant(-1));
  }
  if (op.kind === 'broadcast') return known(op.operand);
  if (op.kind !== 'binary') return null;
  const [left, right] = [known(op.left), known(op.right)];
  switch (op.function) {
    case 'add':
    case 'subtract': {
      if (left === null || right === null) return null;
      return addForms(builder, left, op.function === 'add' ? right : scaleForm(builder, right, builder.constant(-1)));
    }
    case 'multiply':
      if (left !== null && scope.isFixed(op.right)) return scaleForm(builder, left, op.right);
      if (right !== null && scope.isFixed(op.left)) return scaleForm(builder, right, op.left);
      return null;
    case 'divide':
      if (left === null || !scope.isFixed(op.right)) return null;
      return scaleForm(builder, left, builder.divide(builder.constant(1), op.right));
    default:
      return null;
  }
}

/** A drive as fixed coefficients of signals; a signal is what cannot be taken apart further. */
export function formOfDrive(scope: FormScope, id: ValueId): LinearForm {
  if (scope.isFixed(id)) {
    const always = scope.builder.broadcast(scope.builder.constant(1), ['time']);
    return [{ coefficient: id, signal: always }];
  }
  const known = (operand: ValueId): LinearForm | null => (scope.isFixed(operand) ? null : formOfDrive(scope, operand));
  const withFixed = (operand: ValueId): LinearForm => formOfDrive(scope, operand);
  const op = required(scope.definitions.get(id), `definition of %${id}`).op;
  const isSum = op.kind === 'binary' && (op.function === 'add' || op.function === 'subtract');
  const form = op.kind === 'broadcast' || op.kind === 'unary' || op.kind === 'binary' ? formOf(scope, id, isSum ? withFixed : known) : null;
  return form === null || form.length > mostTerms ? [{ coefficient: null, signal: id }] : form;
}
