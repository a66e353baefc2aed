/**
 * Trees that are a little simpler than a tree: one layer, statement or clause less, one axis smaller, one
 * expression replaced by a part of it. Most of them are no layers any more, which whoever tries them
 * finds out; nothing here knows the language's rules.
 */
import type { ArgumentSyntax, ExpressionSyntax, ItemSyntax, LayerSyntax, SourceTree, StateClauseSyntax } from '../../dsl/ast.ts';

/** Every list with one entry left out. */
function withoutOne<T>(list: readonly T[]): readonly (readonly T[])[] {
  return list.map((_, left) => list.filter((__, at) => at !== left));
}

/** Every list with one entry replaced by what `change` makes of it. */
function withOneChanged<T>(list: readonly T[], change: (entry: T) => readonly T[]): readonly (readonly T[])[] {
  return list.flatMap((entry, at) => change(entry).map((made) => list.map((each, other) => (other === at ? made : each))));
}

/** Simpler trees, what saves most first. */
export function simplerTrees(tree: SourceTree): readonly SourceTree[] {
  const { layers } = tree;
  const changed = (change: (layer: LayerSyntax) => readonly LayerSyntax[]): readonly (readonly LayerSyntax[])[] => withOneChanged(layers, change);
  return [
    ...(layers.length > 1 ? withoutOne(layers) : []),
    ...changed(smallerAxes),
    ...changed((layer) => withoutOne(layer.items).map((items) => ({ ...layer, items }))),
    ...changed((layer) => withoutOne(layer.axes).map((axes) => ({ ...layer, axes }))),
    ...changed((layer) => withOneChanged(layer.items, simplerItems).map((items) => ({ ...layer, items }))),
  ].map((each) => ({ ...tree, layers: each }));
}

/** Axis parameters of size 1, 2, or half of what they are. */
function smallerAxes(layer: LayerSyntax): readonly LayerSyntax[] {
  return withOneChanged(layer.axes, (axis) => {
    const { size } = axis;
    if (size?.kind !== 'number') return [];
    const smaller = [1, 2, Math.ceil(size.value / 2)].filter((value) => value < size.value);
    return [...new Set(smaller)].map((value) => ({ ...axis, size: { ...size, value } }));
  }).map((axes) => ({ ...layer, axes }));
}

function simplerItems(item: ItemSyntax): readonly ItemSyntax[] {
  switch (item.kind) {
    case 'axis':
      return simplerExpressions(item.size).map((size) => ({ ...item, size }));
    case 'param':
      return item.initial === null ? [] : simplerExpressions(item.initial).map((initial) => ({ ...item, initial }));
    case 'let':
    case 'output':
      return simplerExpressions(item.value).map((value) => ({ ...item, value }));
    case 'assertion':
      return withoutOne(item.names).map((names) => ({ ...item, names }));
    case 'state':
      return [...withoutOne(item.clauses), ...withOneChanged(item.clauses, simplerClauses)].map((clauses) => ({ ...item, clauses }));
    case 'input':
      return [];
    default:
      return item satisfies never;
  }
}

function simplerClauses(clause: StateClauseSyntax): readonly StateClauseSyntax[] {
  switch (clause.kind) {
    case 'derivative':
    case 'next':
      return simplerExpressions(clause.value).map((value) => ({ ...clause, value }));
    case 'reset':
      return simplerExpressions(clause.condition).map((condition) => ({ ...clause, condition }));
    case 'discretize':
      return [
        ...(clause.inputRule === null ? [] : [{ ...clause, inputRule: null }]),
        ...withOneChanged(clause.rule.arguments, simplerArguments).map((changed) => ({ ...clause, rule: { ...clause.rule, arguments: changed } })),
      ];
    case 'order':
    case 'structure':
      return [];
    default:
      return clause satisfies never;
  }
}

function simplerArguments(argument: ArgumentSyntax): readonly ArgumentSyntax[] {
  return simplerExpressions(argument.value).map((value) => ({ ...argument, value }));
}

/** A part in place of the whole, then the whole with a simpler part. */
function simplerExpressions(expression: ExpressionSyntax): readonly ExpressionSyntax[] {
  const inside = <Key extends string>(key: Key, part: ExpressionSyntax): readonly ExpressionSyntax[] =>
    simplerExpressions(part).map((made) => ({ ...expression, [key]: made } as ExpressionSyntax));
  switch (expression.kind) {
    case 'number':
    case 'name':
      return [];
    case 'member':
      return [expression.object];
    case 'unary':
      return [expression.operand, ...inside('operand', expression.operand)];
    case 'binary': {
      const { left, right } = expression;
      return [left, right, ...inside('left', left), ...inside('right', right)];
    }
    case 'conditional': {
      const { condition, whenTrue, whenFalse } = expression;
      return [whenTrue, whenFalse, ...inside('condition', condition), ...inside('whenTrue', whenTrue), ...inside('whenFalse', whenFalse)];
    }
    case 'call':
      return [
        ...expression.arguments.map((each) => each.value),
        ...withOneChanged(expression.arguments, simplerArguments).map((changed) => ({ ...expression, arguments: changed })),
      ];
    default:
      return expression satisfies never;
  }
}
