/**
 * What the builder's functions take and give: expressions, axes, layers. Values are plain and frozen;
 * an expression is its syntax with methods that make larger ones.
 */
import type { ExpressionSyntax, LayerSyntax, SourceTree, StateClauseSyntax, TypeSyntax } from '../ast.ts';

/** A value of the language. Methods read from left to right: `a.times(x).plus(u)` is `a * x + u`. */
export type Expression = {
  readonly syntax: ExpressionSyntax;
  plus(other: Operand): Expression;
  minus(other: Operand): Expression;
  times(other: Operand): Expression;
  over(other: Operand): Expression;
  /** the exponent is known at compile time */
  toThe(exponent: Operand): Expression;
  negate(): Expression;
  isLess(other: Operand): Expression;
  isAtMost(other: Operand): Expression;
  isGreater(other: Operand): Expression;
  isAtLeast(other: Operand): Expression;
  isEqual(other: Operand): Expression;
  isNotEqual(other: Operand): Expression;
  and(other: Operand): Expression;
  or(other: Operand): Expression;
  not(): Expression;
  /** an output of an applied layer that has several */
  output(name: string): Expression;
};

/** Numbers stand for themselves. */
export type Operand = Expression | number;

/** An axis: a dimension of tensors, and its size where a number is needed. */
export type Axis = Expression & { readonly axis: string };

/** One axis or several. */
export type Axes = Axis | readonly Axis[];

/** Arguments by name, for those that the language names (`std`, `boundary`). */
export type NamedOperands = Readonly<Record<string, Operand>>;

/** What a tensor is declared with. */
export type TensorOptions = {
  readonly axes?: readonly Axis[];
  /** `real` when absent; `index(10)` for indices */
  readonly type?: 'real' | 'complex' | 'flag' | IndexType;
  /** one value per sequence instead of one per token */
  readonly perSequence?: boolean;
};

export type ParamOptions = Pick<TensorOptions, 'axes' | 'type'> & {
  /** absent: the caller brings the numbers */
  readonly initial?: Operand;
};

/** Made by `index(values)`. */
export type IndexType = { readonly type: TypeSyntax };

type WithoutName<Clause> = Clause extends { readonly name: unknown } ? Omit<Clause, 'name'> : Clause;

/** A line of a state's block; the state's own name is filled in by `state`. */
export type StateClause = WithoutName<StateClauseSyntax>;

/** Layers that a compiler can be given: one, and those that it applies. */
export type LayerSource = {
  readonly name: string;
  readonly tree: SourceTree;
};

/** A layer made by the builder. */
export type BuiltLayer = LayerSource & { readonly syntax: LayerSyntax };

/** The declarations of one layer, in the order in which they are made. */
export type LayerScope = {
  /** `axis E = 2 * D` */
  axis(name: string, size: Operand): Axis;
  /** `input u[D]` */
  input(name: string, options?: TensorOptions): Expression;
  /** `param W[K, D] = normal()` */
  param(name: string, options?: ParamOptions): Expression;
  /** `let v = …`; axes where they are to be stated */
  define(name: string, value: Operand, axes?: readonly Axis[]): Expression;
  /** `selective dt, B` */
  selective(...values: readonly Expression[]): void;
  /** `time_invariant A` */
  timeInvariant(...values: readonly Expression[]): void;
  /** `state x[D, N] { … }`; inside the block the state is its previous value */
  state(name: string, options: Pick<TensorOptions, 'axes' | 'type'>, clauses: (state: Expression) => readonly StateClause[]): Expression;
  /** `output y[D] = …` */
  output(name: string, options: TensorOptions, value: Operand): void;
};
