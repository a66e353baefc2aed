/**
 * Reads the affine form off a right-hand side: rhs = coefficient · x + drive, both free of x. What
 * is not of that form is refused at the term that breaks it, with the reason.
 */
import type { SpecExpression } from '../spec.ts';
import { arithmetic, isNumber, negateOf, numberOf, selectOf, toComplex } from './build.ts';
import { complain } from './elaboration.ts';
import type { Place } from './elaboration.ts';
import { operandsOf, readingOf } from './walk.ts';

/** rhs = coefficient · x + drive. */
export type AffineForm = { readonly coefficient: SpecExpression; readonly drive: SpecExpression };

/** null: absent, that is zero */
type Parts = { readonly coefficient: SpecExpression | null; readonly drive: SpecExpression | null };

/** The affine form of a right-hand side in the state `path`; null after a complaint. */
export function readAffine(place: Place, rhs: SpecExpression, path: string): AffineForm | null {
  const known = new Map<SpecExpression, boolean>();

  function reads(expression: SpecExpression): boolean {
    const before = known.get(expression);
    if (before !== undefined) return before;
    const isReading = expression.kind === 'reference' && expression.target === 'previous'
      && expression.name === path;
    const found = isReading || operandsOf(expression).map(reads).includes(true);
    known.set(expression, found);
    return found;
  }

  function split(expression: SpecExpression): Parts | null {
    if (!reads(expression)) return { coefficient: null, drive: expression };
    switch (expression.kind) {
      case 'reference':
        return { coefficient: numberOf(1, expression.span), drive: null };
      case 'negate': {
        const inner = split(expression.operand);
        return inner === null ? null : mapParts(inner, (part) => negateOf(part, expression.span));
      }
      case 'binary':
        return splitBinary(expression);
      case 'select':
        return splitSelect(expression);
      default:
        return refuse(place, expression, path);
    }
  }

  function splitBinary(expression: SpecExpression & { kind: 'binary' }): Parts | null {
    const { operator, left, right, span } = expression;
    if (operator === 'add' || operator === 'subtract') {
      const first = split(left);
      const second = split(right);
      return first === null || second === null ? null : addParts(first, second, expression);
    }
    if (operator === 'multiply') {
      if (reads(left) && reads(right)) return refuseProduct(place, expression, path);
      const factor = reads(left) ? right : left;
      const inner = split(reads(left) ? left : right);
      return inner === null ? null : mapParts(inner, (part) => times(factor, part, expression));
    }
    if (operator === 'divide' && !reads(right)) {
      const inner = split(left);
      return inner === null ? null : mapParts(inner, (part) => arithmetic('divide', part, right, span));
    }
    return refuse(place, expression, path);
  }

  function splitSelect(expression: SpecExpression & { kind: 'select' }): Parts | null {
    if (reads(expression.condition)) return refuse(place, expression, path);
    const first = split(expression.whenTrue);
    const second = split(expression.whenFalse);
    if (first === null || second === null) return null;
    const choose = (one: SpecExpression | null, other: SpecExpression | null): SpecExpression | null => {
      if (one === null && other === null) return null;
      const zero = numberOf(0, expression.span);
      const [whenTrue, whenFalse] = sameType(one ?? zero, other ?? zero);
      return selectOf(expression.condition, whenTrue, whenFalse, expression.span);
    };
    return {
      coefficient: choose(first.coefficient, second.coefficient), drive: choose(first.drive, second.drive),
    };
  }

  const parts = split(rhs);
  if (parts === null) return null;
  const zero = numberOf(0, rhs.span);
  return { coefficient: parts.coefficient ?? zero, drive: parts.drive ?? zero };
}

function sameType(one: SpecExpression, other: SpecExpression): readonly [SpecExpression, SpecExpression] {
  return one.type === other.type ? [one, other] : [toComplex(one), toComplex(other)];
}

function mapParts(parts: Parts, change: (part: SpecExpression) => SpecExpression): Parts {
  return {
    coefficient: parts.coefficient === null ? null : change(parts.coefficient),
    drive: parts.drive === null ? null : change(parts.drive),
  };
}

function addParts(first: Parts, second: Parts, expression: SpecExpression & { kind: 'binary' }): Parts {
  const isSum = expression.operator === 'add';
  const combine = (one: SpecExpression | null, other: SpecExpression | null): SpecExpression | null => {
    if (other === null) return one;
    if (one === null) return isSum ? other : negateOf(other, expression.span);
    return arithmetic(isSum ? 'add' : 'subtract', one, other, expression.span);
  };
  return {
    coefficient: combine(first.coefficient, second.coefficient), drive: combine(first.drive, second.drive),
  };
}

function times(factor: SpecExpression, part: SpecExpression, expression: SpecExpression & {
  kind: 'binary',
}): SpecExpression {
  if (isNumber(part, 1)) return factor;
  return expression.left === factor
    ? arithmetic('multiply', factor, part, expression.span)
    : arithmetic('multiply', part, factor, expression.span);
}

function refuseProduct(place: Place, product: SpecExpression & { kind: 'binary' }, path: string): null {
  const first = readingOf(product.left, path);
  const second = readingOf(product.right, path);
  const secondary = [first, second].flatMap((each) => (each === null ? [] : [{
    span: each.span, text: 'the state',
  }]));
  return complain(place, {
    code: 'SSM3004', span: product.span, message: 'the state occurs in both factors of a product',
    label: 'not affine in the state', secondary,
    notes: ['the coefficient of a state may depend on inputs and parameters, not on the state: only then do updates combine associatively'],
    help: 'let the coefficient depend on the input instead of the state',
  });
}

const reasons: Readonly<Partial<Record<SpecExpression['kind'], string>>> = {
  reduce: 'a sum over the state couples its elements; only elementwise transitions are implemented',
  delay: 'a delayed state makes a recurrence of higher order; only the previous state may occur',
  gather: 'picking from the state couples its elements; only elementwise transitions are implemented',
  rename: 'the state under another axis is a matrix transition; only elementwise transitions are implemented',
};

function refuse(place: Place, term: SpecExpression, path: string): null {
  const reading = readingOf(term, path);
  const secondary = reading === null || reading === term ? [] : [{ span: reading.span, text: 'the state' }];
  const structure = reasons[term.kind];
  if (structure !== undefined) {
    return complain(place, {
      code: 'SSM3002', span: term.span,
      message: 'this use of the state needs a transition structure that is not supported',
      label: 'couples elements of the state', secondary, notes: [structure],
      help: 'write the transition as a coefficient times the state, element by element',
    });
  }
  return complain(place, {
    code: 'SSM3001', span: term.span,
    message: `the right-hand side is not affine in the state: ${describe(term)}`, label: 'offending term',
    secondary,
    notes: ['a scan combines updates of the form coefficient · x + drive; other updates do not combine associatively'],
    help: 'keep the state linear here, and apply nonlinear functions to it in an output or a later `let`',
  });
}

function describe(term: SpecExpression): string {
  switch (term.kind) {
    case 'elementwise':
      return term.function === 'real' || term.function === 'imag' || term.function === 'conj'
        ? `\`${term.function}\` of the state is not complex-linear` : `it stands inside \`${term.function}\``;
    case 'binary':
      if (term.operator === 'divide') return 'it stands in a denominator';
      if (term.operator === 'power') return 'it stands inside a power';
      return 'it stands in a comparison';
    case 'select':
      return 'it stands in a condition';
    case 'reduce-time':
      return 'it is reduced over time';
    default:
      return 'it stands inside a nonlinear operation';
  }
}
