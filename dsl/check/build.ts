/**
 * Makes typed expressions: every function here computes axes, type and variance of what it makes
 * from its operands, which are known to fit. Checks and messages are the callers'.
 */
import type { ElementwiseFunction, SpecBinaryOperator, SpecExpression, SpecType, Variance } from '../spec.ts';
import type { Span } from '../../support/source.ts';

/** Varies with nothing. */
export const constantVariance: Variance = { batch: false, time: false };
/** Varies with batch and time. */
export const tokenVariance: Variance = { batch: true, time: true };

/** Axes of all operands in order of first appearance. */
export function unionAxes(operands: readonly SpecExpression[]): readonly string[] {
  return [...new Set(operands.flatMap((each) => each.axes))];
}

/** Varies with what any operand varies with. */
export function unionVariance(operands: readonly SpecExpression[]): Variance {
  return {
    batch: operands.some((each) => each.variance.batch), time: operands.some((each) => each.variance.time),
  };
}

export function numberOf(value: number, span: Span): SpecExpression {
  return { kind: 'number', value, axes: [], type: 'real', variance: constantVariance, span };
}

export function isNumber(expression: SpecExpression, value: number): boolean {
  return expression.kind === 'number' && expression.value === value;
}

export function iotaOf(axis: string, span: Span): SpecExpression {
  return { kind: 'iota', axis, axes: [axis], type: 'real', variance: constantVariance, span };
}

export function negateOf(operand: SpecExpression, span: Span): SpecExpression {
  if (operand.kind === 'number') return numberOf(-operand.value, span);
  return {
    kind: 'negate', operand, axes: operand.axes, type: operand.type, variance: operand.variance, span,
  };
}

/** Arithmetic of reals and complexes: complex if either operand is. */
export function arithmetic(
  operator: 'add' | 'subtract' | 'multiply' | 'divide' | 'power', left: SpecExpression,
  right: SpecExpression, span: Span,
): SpecExpression {
  const type: SpecType = left.type === 'complex' || right.type === 'complex' ? 'complex' : 'real';
  return binaryOf(operator, left, right, type, span);
}

export function binaryOf(
  operator: SpecBinaryOperator, left: SpecExpression, right: SpecExpression, type: SpecType, span: Span,
): SpecExpression {
  const operands = [left, right];
  return {
    kind: 'binary', operator, left, right, axes: unionAxes(operands), type,
    variance: unionVariance(operands), span,
  };
}

export function elementwiseOf(
  name: ElementwiseFunction, operands: readonly SpecExpression[], type: SpecType, span: Span,
): SpecExpression {
  return {
    kind: 'elementwise', function: name, operands, axes: unionAxes(operands), type,
    variance: unionVariance(operands), span,
  };
}

export function selectOf(
  condition: SpecExpression, whenTrue: SpecExpression, whenFalse: SpecExpression, span: Span,
): SpecExpression {
  const operands = [condition, whenTrue, whenFalse];
  const type = whenTrue.type;
  return {
    kind: 'select', condition, whenTrue, whenFalse, axes: unionAxes(operands), type,
    variance: unionVariance(operands), span,
  };
}

export function reduceOf(
  operator: 'sum' | 'mean' | 'max', over: readonly string[], operand: SpecExpression, span: Span,
): SpecExpression {
  const axes = operand.axes.filter((axis) => !over.includes(axis));
  return {
    kind: 'reduce', operator, over, operand, axes, type: operand.type, variance: operand.variance, span,
  };
}

/** A real value as a complex one. */
export function toComplex(operand: SpecExpression): SpecExpression {
  if (operand.type === 'complex') return operand;
  return elementwiseOf('complex', [operand, numberOf(0, operand.span)], 'complex', operand.span);
}

/**
 * The same numbers over more axes. There is no operation for it: adding a zero that has the axis
 * (or, for flags, a truth that has it) says the same in ordinary ones.
 */
export function widen(operand: SpecExpression, axes: readonly string[]): SpecExpression {
  let wide = operand;
  for (const axis of axes) {
    if (wide.axes.includes(axis)) continue;
    const zero = binaryOf(
      'multiply', numberOf(0, operand.span), iotaOf(axis, operand.span), 'real', operand.span,
    );
    wide = operand.type === 'flag'
      ? binaryOf(
        'and', wide,
        binaryOf('less-equal', numberOf(0, operand.span), iotaOf(axis, operand.span), 'flag', operand.span),
        'flag', operand.span,
      )
      : arithmetic('add', wide, zero, operand.span);
  }
  return wide;
}
