/** Making expressions: operators, calls and names, all with the place that the builder was told. */
import type { ArgumentSyntax, BinarySyntaxOperator, CallSyntax, ExpressionSyntax, Name } from '../ast.ts';
import { ssmError } from '../../support/diagnostic.ts';
import type { Span } from '../../support/source.ts';
import type { Axes, Axis, Expression, NamedOperands, Operand } from './values.ts';

/** Where what is being made stands: a place in a `.ts` file that is read, or nowhere. */
export type Here = () => Span;

export type ExpressionMaker = {
  readonly wrap: (syntax: ExpressionSyntax) => Expression;
  readonly reference: (name: string) => Expression;
  readonly axis: (name: string) => Axis;
  readonly syntaxOf: (operand: Operand) => ExpressionSyntax;
  readonly nameOf: (text: string) => Name;
  readonly binary: (operator: BinarySyntaxOperator, left: Operand, right: Operand) => Expression;
  readonly unary: (operator: '-' | 'not', operand: Operand) => Expression;
  readonly call: (name: string, axes: Axes, operands: readonly Operand[], named?: NamedOperands) => Expression & { readonly syntax: CallSyntax };
};

/** Names that the language can read; anything else would end up in a tree that no text has. */
export function checkName(text: unknown): string {
  if (typeof text === 'string' && /^[A-Za-z_][A-Za-z0-9_]*$/.test(text)) return text;
  throw ssmError('SSM6004', `\`${String(text)}\` cannot be a name`, 'use ASCII letters, digits and `_`');
}

/** True for what the builder's functions give. */
export function isExpression(value: unknown): value is Expression {
  return typeof value === 'object' && value !== null && 'syntax' in value && 'toThe' in value;
}

/** Builds expressions whose places are those of the calls that make them. */
export function createExpressions(here: Here): ExpressionMaker {
  const nameOf = (text: string): Name => ({ text: checkName(text), span: here() });
  const number = (value: number): ExpressionSyntax => {
    if (!Number.isFinite(value)) throw ssmError('SSM6004', `${value} is no number of the language`, 'use finite numbers');
    const size: ExpressionSyntax = { kind: 'number', value: Math.abs(value), span: here() };
    return value < 0 ? { kind: 'unary', operator: '-', operand: size, span: here() } : size;
  };
  const syntaxOf = (operand: Operand): ExpressionSyntax => {
    if (typeof operand === 'number') return number(operand);
    if (isExpression(operand)) return operand.syntax;
    throw ssmError('SSM6004', `${String(operand)} is neither a number nor a value of the layer`);
  };
  const binary: ExpressionMaker['binary'] = (operator, left, right) =>
    wrap({ kind: 'binary', operator, left: syntaxOf(left), right: syntaxOf(right), span: here() });
  const unary: ExpressionMaker['unary'] = (operator, operand) => wrap({ kind: 'unary', operator, operand: syntaxOf(operand), span: here() });
  const wrap = <Syntax extends ExpressionSyntax>(syntax: Syntax): Expression & { readonly syntax: Syntax } => {
    const self = { syntax };
    const with2 = (operator: BinarySyntaxOperator) => (other: Operand): Expression => binary(operator, expression, other);
    const expression: Expression & { readonly syntax: Syntax } = Object.freeze({
      ...self,
      plus: with2('+'), minus: with2('-'), times: with2('*'), over: with2('/'), toThe: with2('^'),
      isLess: with2('<'), isAtMost: with2('<='), isGreater: with2('>'), isAtLeast: with2('>='), isEqual: with2('=='), isNotEqual: with2('!='),
      and: with2('and'), or: with2('or'),
      negate: () => unary('-', expression),
      not: () => unary('not', expression),
      output: (name: string) => wrap({ kind: 'member', object: syntax, member: nameOf(name), span: here() }),
    });
    return expression;
  };
  const call: ExpressionMaker['call'] = (name, axes, operands, named = {}) => {
    const list: ArgumentSyntax[] = operands.map((each) => ({ name: null, value: syntaxOf(each) }));
    for (const [key, value] of Object.entries(named)) list.push({ name: nameOf(key), value: syntaxOf(value) });
    const over = (Array.isArray(axes) ? axes as readonly Axis[] : [axes as Axis]).map((each) => nameOf(each.axis));
    return wrap({ kind: 'call', callee: nameOf(name), axes: over, arguments: list, span: here() });
  };
  const reference = (name: string): Expression => wrap({ kind: 'name', name: checkName(name), span: here() });
  const axis = (name: string): Axis => Object.freeze({ ...reference(name), axis: name });
  return { wrap, reference, axis, syntaxOf, nameOf, binary, unary, call };
}
