/** Builds the layers of a tree again by the builder's functions: by the specific one of each form where there is one. */
import type { CallSyntax, ExpressionSyntax, ItemSyntax, SourceTree, StateClauseSyntax, TensorSyntax } from '../../dsl/ast.ts';
import * as builder from '../../dsl/builder/index.ts';
import type { Axis, BuiltLayer, Expression, LayerScope, NamedOperands, StateClause, TensorOptions } from '../../dsl/builder/index.ts';

const camel = (name: string): string => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()).replace('s4DI', 's4dI');
const functions = builder as unknown as Readonly<Record<string, (...values: readonly unknown[]) => Expression>>;
const operators = {
  '+': 'add', '-': 'subtract', '*': 'multiply', '/': 'divide', '^': 'power', '<': 'less', '<=': 'atMost', '>': 'greater', '>=': 'atLeast',
  '==': 'equal', '!=': 'notEqual', and: 'and', or: 'or',
} as const;
const methods = {
  '+': 'plus', '-': 'minus', '*': 'times', '/': 'over', '^': 'toThe', '<': 'isLess', '<=': 'isAtMost', '>': 'isGreater', '>=': 'isAtLeast',
  '==': 'isEqual', '!=': 'isNotEqual', and: 'and', or: 'or',
} as const;

const axis = (name: string): Axis => ({ ...nameOf(name), axis: name });

function nameOf(name: string): Expression {
  if (name === 'pi' || name === 'length' || name === 'position') return builder[name];
  let found: Expression | null = null;
  builder.layer('L', {}, ({ input }) => void (found = input(name)));
  return found!;
}

let calls = 0;

function expression(syntax: ExpressionSyntax): Expression {
  switch (syntax.kind) {
    case 'number':
      throw new Error('numbers are operands');
    case 'name':
      return nameOf(syntax.name);
    case 'member':
      return expression(syntax.object).output(syntax.member.text);
    case 'unary': {
      const value = operand(syntax.operand);
      if (typeof value === 'number' || calls++ % 2 === 0) return syntax.operator === '-' ? builder.negate(value) : builder.not(value);
      return syntax.operator === '-' ? value.negate() : value.not();
    }
    case 'binary': {
      const [left, right] = [operand(syntax.left), operand(syntax.right)];
      if (typeof left === 'number' || calls++ % 2 === 0) return builder[operators[syntax.operator]](left, right);
      return left[methods[syntax.operator]](right);
    }
    case 'conditional':
      return builder.choose(operand(syntax.condition), operand(syntax.whenTrue), operand(syntax.whenFalse));
    case 'call':
      return call(syntax);
    default:
      return syntax satisfies never;
  }
}

const operand = (syntax: ExpressionSyntax): Expression | number => (syntax.kind === 'number' ? syntax.value : expression(syntax));

function call(syntax: CallSyntax): Expression {
  const name = syntax.callee.text;
  const axes = syntax.axes.map((each) => (each.text === 'time' ? builder.time : axis(each.text)));
  const over = axes.length === 1 ? axes[0]! : axes;
  const operands = syntax.arguments.filter((each) => each.name === null).map((each) => operand(each.value));
  const named: NamedOperands = Object.fromEntries(syntax.arguments.flatMap((each) => (each.name === null ? [] : [[each.name.text, operand(each.value)]])));
  const key = name === 'max' && axes.length > 0 ? 'maxOver' : camel(name);
  const own = functions[key];
  const hasNames = Object.keys(named).length > 0;
  if (/^(iota|rename)$/.test(name)) return own!(...operands.map((each) => (typeof each !== 'number' && each.syntax.kind === 'name' && each !== operands[0] || name === 'iota' ? axis((each as Expression & { syntax: { name: string } }).syntax.name) : each)));
  if (/^(sum|mean|max|softmax|log_softmax|layer_norm|rms_norm|gather)$/.test(name) && axes.length > 0) return own!(over, ...operands, ...(hasNames ? [named] : []));
  if (/^(normal|delay)$/.test(name) && (name === 'delay' || operands.length === 0)) return own!(...operands, ...(hasNames ? [named] : []));
  if (own === undefined || hasNames || axes.length > 0) return builder.call(name, axes, operands, named);
  return own(...operands);
}

const options = ({ axes, type, perSequence }: TensorSyntax): TensorOptions => ({
  axes: axes.map((each) => axis(each.text)), ...(perSequence ? { perSequence } : {}),
  ...(type === null ? {} : { type: type.argument === null ? type.name.text as 'real' : builder.index(operand(type.argument)) }),
});

function clause(syntax: StateClauseSyntax): StateClause {
  switch (syntax.kind) {
    case 'derivative':
      return builder.derivative(operand(syntax.value));
    case 'next':
      return builder.next(operand(syntax.value));
    case 'discretize':
      return builder.discretize(call(syntax.rule) as builder.Rule, ...(syntax.inputRule === null ? [] : [syntax.inputRule.text as 'euler']));
    case 'order':
      return builder.order(syntax.order.text, ...syntax.options.map((each) => each.text));
    case 'reset':
      return syntax.action === 'reset' ? builder.resetWhen(operand(syntax.condition)) : builder.restartInitialWhen(operand(syntax.condition));
    case 'structure':
      return builder.structure(syntax.structure.text);
    default:
      return syntax satisfies never;
  }
}

function declare(scope: LayerScope, item: ItemSyntax): unknown {
  switch (item.kind) {
    case 'axis':
      return scope.axis(item.name.text, operand(item.size));
    case 'input':
      return scope.input(item.tensor.name.text, options(item.tensor));
    case 'param':
      return scope.param(item.tensor.name.text, { ...options(item.tensor), ...(item.initial === null ? {} : { initial: operand(item.initial) }) });
    case 'let':
      return scope.define(item.name.text, operand(item.value), ...(item.axes === null ? [] : [item.axes.map((each) => axis(each.text))]));
    case 'assertion':
      return (item.assertion === 'selective' ? scope.selective : scope.timeInvariant)(...item.names.map((each) => nameOf(each.text)));
    case 'state':
      return scope.state(item.tensor.name.text, options(item.tensor), () => item.clauses.map(clause));
    case 'output':
      return scope.output(item.tensor.name.text, options(item.tensor), operand(item.value));
    default:
      return item satisfies never;
  }
}

/** The last layer of a tree with those before it, made by the builder. */
export function rebuild(tree: SourceTree): BuiltLayer {
  const built: BuiltLayer[] = [];
  for (const { name, axes, items, documentation } of tree.layers) {
    const sizes = Object.fromEntries(axes.map((each) => [each.name.text, each.size === null ? null : operand(each.size)]));
    built.push(builder.layer(name.text, sizes, (scope) => items.forEach((each) => void declare(scope, each)), { documentation, uses: built.slice(-1) }));
  }
  return built.at(-1)!;
}
