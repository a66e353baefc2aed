/**
 * Syntax trees as text, for layers that no text is at hand of: made by the builder, or changed by a
 * program. The printer is naive (every operand that could need brackets has them) and the formatter lays
 * its text out; reading it back gives the same layer, without comments.
 */
import type { ArgumentSyntax, ExpressionSyntax, ItemSyntax, LayerSyntax, Name, SourceTree, StateClauseSyntax, TensorSyntax } from '../ast.ts';
import { format } from './index.ts';
import { required } from '../../support/invariant.ts';

/** The tree as a formatted text. */
export function printTree({ layers }: SourceTree): string {
  const text = layers.map(layerText).join('\n');
  return required(format({ name: 'generated.ssm', text }).text, `formatted text of ${text}`);
}

function layerText({ name, axes, items }: LayerSyntax): string {
  const sizes = axes.map((each) => (each.size === null ? each.name.text : `${each.name.text} = ${expressionText(each.size)}`));
  return `layer ${name.text}(${sizes.join(', ')}) {\n${items.map(itemText).join('\n')}\n}`;
}

const axesText = (axes: readonly Name[]): string => (axes.length === 0 ? '' : `[${axes.map((each) => each.text).join(', ')}]`);

function tensorText({ name, axes, type, perSequence }: TensorSyntax): string {
  const kind = type === null ? '' : `: ${type.name.text}${type.argument === null ? '' : `(${expressionText(type.argument)})`}`;
  return `${name.text}${axesText(axes)}${kind}${perSequence ? ' per sequence' : ''}`;
}

function itemText(item: ItemSyntax): string {
  switch (item.kind) {
    case 'axis': return `axis ${item.name.text} = ${expressionText(item.size)}`;
    case 'input': return `input ${tensorText(item.tensor)}`;
    case 'param': return `param ${tensorText(item.tensor)}${item.initial === null ? '' : ` = ${expressionText(item.initial)}`}`;
    case 'let': return `let ${item.name.text}${axesText(item.axes ?? [])} = ${expressionText(item.value)}`;
    case 'assertion': return `${item.assertion} ${item.names.map((each) => each.text).join(', ')}`;
    case 'state': return `state ${tensorText(item.tensor)} {\n${item.clauses.map(clauseText).join('\n')}\n}`;
    case 'output': return `output ${tensorText(item.tensor)} = ${expressionText(item.value)}`;
    default: return item satisfies never;
  }
}

function clauseText(clause: StateClauseSyntax): string {
  switch (clause.kind) {
    case 'derivative': return `d${clause.name.text}/dt = ${expressionText(clause.value)}`;
    case 'next': return `next ${clause.name.text} = ${expressionText(clause.value)}`;
    case 'discretize': return `discretize ${expressionText(clause.rule)}${clause.inputRule === null ? '' : `, input ${clause.inputRule.text}`}`;
    case 'order': return `order ${clause.order.text}`;
    case 'reset': return `${clause.action === 'reset' ? 'reset when' : 'restart initial when'} ${expressionText(clause.condition)}`;
    case 'structure': return `structure ${clause.structure.text}`;
    default: return clause satisfies never;
  }
}

/** An operand of an operator: in brackets unless it is one token or a call. */
function operandText(operand: ExpressionSyntax): string {
  const isClosed = operand.kind === 'number' || operand.kind === 'name' || operand.kind === 'call' || operand.kind === 'member';
  return isClosed ? expressionText(operand) : `(${expressionText(operand)})`;
}

function argumentText({ name, value }: ArgumentSyntax): string {
  return `${name === null ? '' : `${name.text} = `}${expressionText(value)}`;
}

function expressionText(expression: ExpressionSyntax): string {
  switch (expression.kind) {
    case 'number': return String(expression.value);
    case 'name': return expression.name;
    case 'member': return `${operandText(expression.object)}.${expression.member.text}`;
    case 'unary': return `${expression.operator === 'not' ? 'not ' : '-'}${operandText(expression.operand)}`;
    case 'binary': return `${operandText(expression.left)} ${expression.operator} ${operandText(expression.right)}`;
    case 'conditional':
      return `if ${operandText(expression.condition)} then ${operandText(expression.whenTrue)} else ${operandText(expression.whenFalse)}`;
    case 'call':
      return `${expression.callee.text}${axesText(expression.axes)}(${expression.arguments.map(argumentText).join(', ')})`;
    default: return expression satisfies never;
  }
}
