/** Types of operands: what a place needs, what came, and how to get from one to the other. */
import type { SpecExpression, SpecType } from '../spec.ts';
import { complain } from './elaboration.ts';
import type { Place } from './elaboration.ts';
import { elementwiseOf } from './build.ts';

const conversions: Readonly<Record<SpecType, string>> = {
  real: 'a real value', complex: 'a complex value', flag: 'a flag', index: 'an index',
};

/** True if the value has one of the types; else a complaint that says how to convert it. */
export function requireType(
  place: Place, value: SpecExpression, types: readonly SpecType[], what: string,
): boolean {
  if (types.includes(value.type)) return true;
  complain(place, {
    code: 'SSM2008', span: value.span,
    message: `${what} must be ${types.map((each) => conversions[each]).join(' or ')}, not ${conversions[value.type]}`,
    label: `this is ${conversions[value.type]}`, help: howToConvert(value.type, types),
  });
  return false;
}

function howToConvert(from: SpecType, to: readonly SpecType[]): string {
  if (from === 'complex' && to.includes('real')) return 'take `real(…)`, `imag(…)` or `abs(…)` of it';
  if (to.includes('flag')) return from === 'complex'
    ? 'compare its real part, as in `real(z) > 0`'
    : 'compare it, as in `p > 0.5`';
  if (to.includes('index')) return 'declare the input as `index(10)`, with the number of its values';
  if (from === 'flag') return 'write `to_real(…)`, or `if … then … else …`';
  return 'write `to_real(…)`';
}

/** An operand of arithmetic. */
export function isNumeric(place: Place, value: SpecExpression, what: string): boolean {
  return requireType(place, value, ['real', 'complex'], what);
}

/** A real operand of a comparison: indices count as their numbers. */
export function asComparable(place: Place, value: SpecExpression): SpecExpression | null {
  if (value.type === 'index') return elementwiseOf('to_real', [value], 'real', value.span);
  return requireType(place, value, ['real', 'index'], 'an operand of a comparison') ? value : null;
}

/** The number that an expression is at compile time, or null. */
export function constantOf(value: SpecExpression): number | null {
  if (value.kind === 'number') return value.value;
  if (value.kind === 'negate') {
    const inner = constantOf(value.operand);
    return inner === null ? null : -inner;
  }
  if (value.kind !== 'binary') return null;
  const left = constantOf(value.left);
  const right = constantOf(value.right);
  if (left === null || right === null) return null;
  switch (value.operator) {
    case 'add':
      return left + right;
    case 'subtract':
      return left - right;
    case 'multiply':
      return left * right;
    case 'divide':
      return left / right;
    case 'power':
      return left ** right;
    default:
      return null;
  }
}
