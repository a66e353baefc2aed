/**
 * A warning for transitions that grow without bound whatever the parameters are: dx/dt = J·x with
 * Re J provably positive, or next x = a·x with a number |a| > 1. Signs are read off the formula.
 */
import type { SpecExpression, StateSpec } from '../spec.ts';
import { complain } from './elaboration.ts';
import type { Place } from './elaboration.ts';
import { constantOf } from './types.ts';

type Sign = 'positive' | 'negative' | 'unknown';

const positiveFunctions: ReadonlySet<string> = new Set(['exp', 'softplus', 'sigmoid']);

function signOf(expression: SpecExpression): Sign {
  const constant = constantOf(expression);
  if (constant !== null && constant !== 0) return constant > 0 ? 'positive' : 'negative';
  switch (expression.kind) {
    case 'negate':
      return opposite(signOf(expression.operand));
    case 'elementwise': {
      const [first] = expression.operands;
      if (expression.function === 'complex' && first !== undefined) return signOf(first);
      return positiveFunctions.has(expression.function) && expression.type === 'real'
        ? 'positive'
        : 'unknown';
    }
    case 'binary':
      return signOfBinary(expression);
    default:
      return 'unknown';
  }
}

function opposite(sign: Sign): Sign {
  if (sign === 'unknown') return sign;
  return sign === 'positive' ? 'negative' : 'positive';
}

function signOfBinary(expression: SpecExpression & { kind: 'binary' }): Sign {
  const left = signOf(expression.left);
  const right = signOf(expression.right);
  if (left === 'unknown' || right === 'unknown') return 'unknown';
  switch (expression.operator) {
    case 'add':
      return left === right ? left : 'unknown';
    case 'multiply':
    case 'divide':
      if (expression.left.type === 'complex' || expression.right.type === 'complex') return 'unknown';
      return left === right ? 'positive' : 'negative';
    default:
      return 'unknown';
  }
}

/** Warns about a state that grows whatever its parameters are. */
export function warnUnstable(place: Place, state: StateSpec): void {
  const isContinuous = state.discretization.rule !== 'none';
  const constant = constantOf(state.coefficient);
  const isUnstable = isContinuous
    ? signOf(state.coefficient) === 'positive'
    : constant !== null && Math.abs(constant) > 1;
  if (!isUnstable) return;
  complain(place, {
    code: 'SSM3007', severity: 'warning', span: state.coefficient.span,
    message: `the state \`${state.name}\` grows without bound`, label: 'unstable coefficient',
    notes: [isContinuous ? 'dx/dt = a·x decays only where Re a < 0' : 'next x = a·x decays only where |a| < 1'],
    help: isContinuous ? 'negate the coefficient, as in `-exp(a) * x`' : 'use a coefficient between -1 and 1',
  });
}
