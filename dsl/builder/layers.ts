/** Making layers: each declaration of the builder appends the statement that a text would have there. */
import type { AxisParameterSyntax, ItemSyntax, LayerSyntax, Name, TensorSyntax, TypeSyntax } from '../ast.ts';
import { ssmError } from '../../support/diagnostic.ts';
import type { SourceFile } from '../../support/source.ts';
import type { ExpressionMaker, Here } from './expressions.ts';
import type {
  Axis, BuiltLayer, Expression, LayerScope, LayerSource, Operand, StateClause, TensorOptions,
} from './values.ts';

/** What builds one layer: sizes of its axes (null: chosen when it is compiled) and what declares the rest. */
export type BuildLayer = <Sizes extends Readonly<Record<string, Operand | null>>>(
  name: string,
  sizes: Sizes,
  declare: (scope: LayerScope & { readonly axes: { readonly [axis in keyof Sizes]: Axis } }) => void,
  options?: { readonly documentation?: string; readonly uses?: readonly LayerSource[] },
) => BuiltLayer;

/** The file that messages about built layers name; its text is empty. */
const builderFile: SourceFile = { name: 'builder', text: '' };

/** The layers of some sources, each once, in order. */
function layersOf(sources: readonly LayerSource[]): readonly LayerSyntax[] {
  return [...new Set(sources.flatMap((each) => each.tree.layers))];
}

/** A function that builds layers in some file. */
export function createLayerBuilder(here: Here, maker: ExpressionMaker, file: SourceFile = builderFile): BuildLayer {
  return (name, sizes, declare, { documentation = '', uses = [] } = {}) => {
    const items: ItemSyntax[] = [];
    const parameters = Object.entries(sizes).map(([axis, size]): AxisParameterSyntax =>
      ({ name: maker.nameOf(axis), size: size === null ? null : maker.syntaxOf(size) }));
    const axes = Object.fromEntries(Object.keys(sizes).map((each) => [each, maker.axis(each)])) as { readonly [axis in keyof typeof sizes]: Axis };
    declare({ ...createScope(here, maker, (item) => void items.push(item)), axes });
    const syntax: LayerSyntax = { kind: 'layer', name: maker.nameOf(name), documentation, axes: parameters, items, span: here() };
    return { name, syntax, tree: { file, layers: [...layersOf(uses), syntax] } };
  };
}

function createScope(here: Here, maker: ExpressionMaker, add: (item: ItemSyntax) => void): LayerScope {
  const { nameOf, syntaxOf, reference } = maker;
  const tensorOf = (name: string, { axes = [], type, perSequence = false }: TensorOptions): TensorSyntax =>
    ({ name: nameOf(name), axes: axes.map((each) => nameOf(each.axis)), type: typeOf(type, here, nameOf), perSequence, span: here() });
  return {
    axis(name, size) {
      add({ kind: 'axis', name: nameOf(name), size: syntaxOf(size), span: here() });
      return maker.axis(name);
    },
    input(name, options = {}) {
      add({ kind: 'input', tensor: tensorOf(name, options), span: here() });
      return reference(name);
    },
    param(name, { initial, ...options } = {}) {
      add({ kind: 'param', tensor: tensorOf(name, options), initial: initial === undefined ? null : syntaxOf(initial), span: here() });
      return reference(name);
    },
    define(name, value, axes) {
      const stated = axes === undefined ? null : axes.map((each) => nameOf(each.axis));
      add({ kind: 'let', name: nameOf(name), axes: stated, value: syntaxOf(value), span: here() });
      return reference(name);
    },
    selective: (...values) => add({ kind: 'assertion', assertion: 'selective', names: values.map((each) => declaredName(each)), span: here() }),
    timeInvariant: (...values) => add({ kind: 'assertion', assertion: 'time_invariant', names: values.map((each) => declaredName(each)), span: here() }),
    state(name, options, clauses) {
      const tensor = tensorOf(name, options);
      const named = clauses(reference(name)).map((each: StateClause) =>
        each.kind === 'derivative' || each.kind === 'next' ? { ...each, name: nameOf(name) } : each);
      add({ kind: 'state', tensor, clauses: named, span: here() });
      return reference(name);
    },
    output: (name, options, value) => add({ kind: 'output', tensor: tensorOf(name, options), value: syntaxOf(value), span: here() }),
  };
}

function typeOf(type: TensorOptions['type'], here: Here, nameOf: (text: string) => Name): TypeSyntax | null {
  if (type === undefined) return null;
  return typeof type === 'string' ? { name: nameOf(type), argument: null, span: here() } : type.type;
}

function declaredName({ syntax }: Expression): Name {
  if (syntax.kind === 'name') return { text: syntax.name, span: syntax.span };
  throw ssmError('SSM6004', 'assertions are about declared values', 'name the value with `define` first');
}
