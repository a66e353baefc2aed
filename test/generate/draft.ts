/** What the statements of one generated layer share while it is made. */
import type { Axis, Expression, LayerScope, TensorOptions } from '../../dsl/builder/index.ts';
import type { Numbers } from './numbers.ts';
import type { LayerRecipe } from './recipe.ts';

/** Rows of the table of `mix: table`. */
export const tableSize = 3;

type Declared = TensorOptions & { readonly numbers?: Numbers };

/** A layer being made, with functions that declare a tensor and note how its numbers are drawn. */
export type Draft = {
  readonly recipe: LayerRecipe;
  readonly scope: LayerScope;
  /** of the sequence that comes in and of what goes out: [D], or [H, D] with heads */
  readonly streamAxes: readonly Axis[];
  readonly stateAxes: readonly Axis[];
  readonly D: Axis;
  readonly N: Axis;
  readonly u: Expression;
  readonly input: (name: string, declared: Declared) => Expression;
  readonly param: (name: string, declared: Pick<Declared, 'axes' | 'numbers'> & { readonly type?: 'complex' }) => Expression;
};
