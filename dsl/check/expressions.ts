/** Expressions: syntax to typed expressions, with operators here and calls in `calls.ts`. */
import type { BinarySyntaxOperator, CallSyntax, ExpressionSyntax } from '../ast.ts';
import type { SpecExpression } from '../spec.ts';
import { arithmetic, binaryOf, negateOf, numberOf, selectOf, toComplex } from './build.ts';
import { complain } from './elaboration.ts';
import type { Checked, Place } from './elaboration.ts';
import { readMember, readName } from './names.ts';
import { asComparable, constantOf, isNumeric, requireType } from './types.ts';
import { assertNever } from '../../support/invariant.ts';
import type { Span } from '../../support/source.ts';

/** Handles calls; given in from outside, since calls have expressions as arguments. */
export type CallHandler = (place: Place, call: CallSyntax) => Checked;

/** The typed value of an expression; null when something in it was reported. */
export function checkExpression(place: Place, syntax: ExpressionSyntax, call: CallHandler): Checked {
  switch (syntax.kind) {
    case 'number':
      return numberOf(syntax.value, syntax.span);
    case 'name':
      return readName(place, { text: syntax.name, span: syntax.span });
    case 'member':
      return checkMember(place, syntax);
    case 'unary':
      return checkUnary(place, syntax, call);
    case 'binary': {
      const left = checkExpression(place, syntax.left, call);
      const right = checkExpression(place, syntax.right, call);
      return left === null || right === null ? null : checkBinary(place, {
        operator: syntax.operator, left, right, span: syntax.span,
      });
    }
    case 'conditional':
      return checkConditional(place, syntax, call);
    case 'call':
      return call(place, syntax);
    default:
      return assertNever(syntax, 'checkExpression');
  }
}

function checkMember(place: Place, syntax: ExpressionSyntax & { kind: 'member' }): Checked {
  if (syntax.object.kind === 'name') return readMember(
    place, { text: syntax.object.name, span: syntax.object.span }, syntax.member,
  );
  return complain(place, {
    code: 'SSM2007', span: syntax.object.span, message: 'an output is read from a named application',
    label: 'has no name',
    help: 'apply the layer in a `let`, and read the output from that name',
  });
}

function checkUnary(place: Place, syntax: ExpressionSyntax & { kind: 'unary' }, call: CallHandler): Checked {
  const operand = checkExpression(place, syntax.operand, call);
  if (operand === null) return null;
  if (syntax.operator === '-') return isNumeric(place, operand, 'the operand of `-`')
    ? negateOf(operand, syntax.span)
    : null;
  if (!requireType(place, operand, ['flag'], 'the operand of `not`')) return null;
  return {
    kind: 'not', operand, axes: operand.axes, type: 'flag', variance: operand.variance, span: syntax.span,
  };
}

type Operation = {
  readonly operator: BinarySyntaxOperator;
  readonly left: SpecExpression;
  readonly right: SpecExpression;
  readonly span: Span;
};

function checkBinary(place: Place, operation: Operation): Checked {
  const { operator, left, right, span } = operation;
  switch (operator) {
    case '+':
    case '-':
    case '*':
    case '/': {
      const isLeft = isNumeric(place, left, `an operand of \`${operator}\``);
      const isRight = isNumeric(place, right, `an operand of \`${operator}\``);
      const name = { '+': 'add', '-': 'subtract', '*': 'multiply', '/': 'divide' } as const;
      return isLeft && isRight ? arithmetic(name[operator], left, right, span) : null;
    }
    case '^':
      return checkPower(place, left, right, span);
    case 'and':
    case 'or': {
      const isLeft = requireType(place, left, ['flag'], `an operand of \`${operator}\``);
      const isRight = requireType(place, right, ['flag'], `an operand of \`${operator}\``);
      return isLeft && isRight ? binaryOf(operator, left, right, 'flag', span) : null;
    }
    default:
      return checkComparison(place, operation);
  }
}

function checkComparison(place: Place, operation: Operation): Checked {
  const left = asComparable(place, operation.left);
  const right = asComparable(place, operation.right);
  if (left === null || right === null) return null;
  switch (operation.operator) {
    case '<':
      return binaryOf('less', left, right, 'flag', operation.span);
    case '<=':
      return binaryOf('less-equal', left, right, 'flag', operation.span);
    case '>':
      return binaryOf('less', right, left, 'flag', operation.span);
    case '>=':
      return binaryOf('less-equal', right, left, 'flag', operation.span);
    case '==':
      return binaryOf('equal', left, right, 'flag', operation.span);
    default:
      return binaryOf('not-equal', left, right, 'flag', operation.span);
  }
}

function checkPower(place: Place, base: SpecExpression, exponent: SpecExpression, span: Span): Checked {
  if (!isNumeric(place, base, 'the base of `^`')) return null;
  const power = constantOf(exponent);
  if (power === null || !Number.isFinite(power)) {
    return complain(place, {
      code: 'SSM2008', span: exponent.span,
      message: 'the exponent of `^` must be a number known at compile time', label: 'not constant',
      notes: ['a power with a variable exponent is exp(exponent · log(base)) and needs a positive base'],
      help: 'write `exp(exponent * log(base))`',
    });
  }
  if (base.type === 'complex' && !Number.isInteger(power)) {
    return complain(place, {
      code: 'SSM2008', span: exponent.span, message: `a complex value has no single power of ${power}`,
      label: 'not a whole number',
      notes: ['fractional powers of complex numbers have several values'],
      help: 'use a whole exponent, or work with `abs(…)`',
    });
  }
  return arithmetic('power', base, numberOf(power, exponent.span), span);
}

function checkConditional(
  place: Place, syntax: ExpressionSyntax & { kind: 'conditional' }, call: CallHandler,
): Checked {
  const condition = checkExpression(place, syntax.condition, call);
  let whenTrue = checkExpression(place, syntax.whenTrue, call);
  let whenFalse = checkExpression(place, syntax.whenFalse, call);
  if (condition === null || whenTrue === null || whenFalse === null) return null;
  if (!requireType(place, condition, ['flag'], 'the condition of `if`')) return null;
  if (whenTrue.type === 'complex' && whenFalse.type === 'real') whenFalse = toComplex(whenFalse);
  if (whenFalse.type === 'complex' && whenTrue.type === 'real') whenTrue = toComplex(whenTrue);
  if (!requireType(place, whenFalse, [whenTrue.type], 'the `else` branch')) return null;
  return selectOf(condition, whenTrue, whenFalse, syntax.span);
}
