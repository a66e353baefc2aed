/**
 * Syntax tree of `.ssm` text, with spans and nothing resolved: the parser and the TypeScript
 * builder both make it. Names are plain strings here; meaning begins in `dsl/check`.
 */
import type { SourceFile, Span } from '../support/source.ts';

export type Name = { readonly text: string; readonly span: Span };

export type SourceTree = { readonly file: SourceFile; readonly layers: readonly LayerSyntax[] };

/** `layer S4D(D = 256, N = 32) { … }`; the parameters are axes with default sizes. */
export type LayerSyntax = {
  readonly kind: 'layer';
  readonly name: Name;
  /** text of the `///` lines before it; never emitted into generated code */
  readonly documentation: string;
  readonly axes: readonly AxisParameterSyntax[];
  readonly items: readonly ItemSyntax[];
  readonly span: Span;
};

export type AxisParameterSyntax = { readonly name: Name; readonly size: ExpressionSyntax | null };

export type ItemSyntax =
  | AxisSyntax
  | InputSyntax
  | ParamSyntax
  | LetSyntax
  | AssertionSyntax
  | StateSyntax
  | OutputSyntax;

/** `axis M = N` (a copy of the size), `axis E = 2 * D` (derived size), `axis K = 10`. */
export type AxisSyntax = {
  readonly kind: 'axis';
  readonly name: Name;
  readonly size: ExpressionSyntax;
  readonly span: Span;
};

/** A declared tensor: `u[D]`, `C[D, N]: complex`, `label: index(10) per sequence`. */
export type TensorSyntax = {
  readonly name: Name;
  readonly axes: readonly Name[];
  readonly type: TypeSyntax | null;
  /** `per sequence`: varies with the batch, not with time */
  readonly perSequence: boolean;
  readonly span: Span;
};

export type TypeSyntax = {
  /** `real`, `complex`, `flag`, `index` */
  readonly name: Name;
  /** `index(10)`: the number of values */
  readonly argument: ExpressionSyntax | null;
  readonly span: Span;
};

/** `input u[D], z[D]`: one item per declared tensor. */
export type InputSyntax = { readonly kind: 'input'; readonly tensor: TensorSyntax; readonly span: Span };

export type ParamSyntax = {
  readonly kind: 'param';
  readonly tensor: TensorSyntax;
  /** the initialiser; null means zeros are NOT assumed: the caller must bring the value */
  readonly initial: ExpressionSyntax | null;
  readonly span: Span;
};

/** `let dt = …`, or with stated axes `let dt[D] = …`. */
export type LetSyntax = {
  readonly kind: 'let';
  readonly name: Name;
  readonly axes: readonly Name[] | null;
  readonly value: ExpressionSyntax;
  readonly span: Span;
};

/** `selective dt, B` and `time_invariant A` assert what is inferred anyway. */
export type AssertionSyntax = {
  readonly kind: 'assertion';
  readonly assertion: 'selective' | 'time_invariant';
  readonly names: readonly Name[];
  readonly span: Span;
};

export type StateSyntax = {
  readonly kind: 'state';
  readonly tensor: TensorSyntax;
  readonly clauses: readonly StateClauseSyntax[];
  readonly span: Span;
};

export type StateClauseSyntax =
  /** `dx/dt = rhs` */
  | { readonly kind: 'derivative'; readonly name: Name; readonly value: ExpressionSyntax; readonly span: Span }
  /** `next x = rhs` */
  | { readonly kind: 'next'; readonly name: Name; readonly value: ExpressionSyntax; readonly span: Span }
  /** `discretize zoh(dt)` or `discretize zoh(dt), input euler` */
  | { readonly kind: 'discretize'; readonly rule: CallSyntax; readonly inputRule: Name | null; readonly span: Span }
  /** `order forward`, `order reverse`, `order bidirectional` (and later maps, trees, grids) */
  | { readonly kind: 'order'; readonly order: Name; readonly options: readonly Name[]; readonly span: Span }
  /** `reset when flag`; `restart initial when flag` */
  | { readonly kind: 'reset'; readonly action: 'reset' | 'restart'; readonly condition: ExpressionSyntax; readonly span: Span }
  /** `structure diagonal`: asserts the structure that is read off anyway */
  | { readonly kind: 'structure'; readonly structure: Name; readonly span: Span };

/** `output y[D] = …`, `output loss per sequence = …`. */
export type OutputSyntax = {
  readonly kind: 'output';
  readonly tensor: TensorSyntax;
  readonly value: ExpressionSyntax;
  readonly span: Span;
};

export type BinarySyntaxOperator = '+' | '-' | '*' | '/' | '^' | '<' | '<=' | '>' | '>=' | '==' | '!=' | 'and' | 'or';

export type ExpressionSyntax =
  | { readonly kind: 'number'; readonly value: number; readonly span: Span }
  | { readonly kind: 'name'; readonly name: string; readonly span: Span }
  /** `block.y`: an output of an applied layer */
  | { readonly kind: 'member'; readonly object: ExpressionSyntax; readonly member: Name; readonly span: Span }
  | { readonly kind: 'unary'; readonly operator: '-' | 'not'; readonly operand: ExpressionSyntax; readonly span: Span }
  | {
      readonly kind: 'binary';
      readonly operator: BinarySyntaxOperator;
      readonly left: ExpressionSyntax;
      readonly right: ExpressionSyntax;
      readonly span: Span;
    }
  /** `if p then a else b` */
  | {
      readonly kind: 'conditional';
      readonly condition: ExpressionSyntax;
      readonly whenTrue: ExpressionSyntax;
      readonly whenFalse: ExpressionSyntax;
      readonly span: Span;
    }
  | CallSyntax;

/**
 * `exp(x)`, `sum[N](C * x)`, `delay(u, 3)`, `log_uniform(1e-3, 1e-1)`, and the application of a
 * layer `S4D(u = h, D = E, N = 16)`: functions, reductions and layers share one form.
 */
export type CallSyntax = {
  readonly kind: 'call';
  readonly callee: Name;
  /** the bracketed axes of `sum[N](…)`, `mean[time](…)`; empty when none are written */
  readonly axes: readonly Name[];
  readonly arguments: readonly ArgumentSyntax[];
  readonly span: Span;
};

export type ArgumentSyntax = { readonly name: Name | null; readonly value: ExpressionSyntax };
