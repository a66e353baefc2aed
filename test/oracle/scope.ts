/**
 * What names mean while the oracle walks a syntax tree: the run (sizes of batch and time, given
 * numbers, collected final states) and one scope per applied layer, whose states and parameters carry
 * the prefix of the path.
 */
import type { ExpressionSyntax, LayerSyntax, SourceTree } from '../../dsl/ast.ts';
import { required } from '../../support/invariant.ts';
import type { TailTable } from './delays.ts';
import type { NodeTensor, OracleTensor } from './node-tensor.ts';
import type { Tape } from './tape.ts';

/** One evaluation of one layer on given numbers. */
export type Run = {
  readonly tape: Tape;
  readonly tree: SourceTree;
  readonly batch: number;
  readonly length: number;
  /** sizes by full axis name; grows while layers are entered */
  readonly sizes: Map<string, number>;
  readonly params: ReadonlyMap<string, OracleTensor>;
  readonly initial: ReadonlyMap<string, OracleTensor>;
  /** nodes of what was given, by path: what gradients can be asked for */
  readonly paramNodes: Map<string, NodeTensor>;
  readonly initialNodes: Map<string, NodeTensor>;
  readonly finalNodes: Map<string, NodeTensor>;
};

export type ScopeValue =
  | { readonly kind: 'tensor'; readonly tensor: NodeTensor }
  | { readonly kind: 'state'; readonly updated: NodeTensor; readonly previous: NodeTensor }
  | { readonly kind: 'instance'; readonly outputs: ReadonlyMap<string, NodeTensor> };

/** A flag per token (over batch and time) at which delays stop. */
export type TapMask = {
  readonly flags: NodeTensor;
  /** path of the tail of its earlier values, without prefix */
  readonly path: string;
  /** 0: the boundary is before the token with the flag, 1: after it */
  readonly nearest: 0 | 1;
};

export type Scope = {
  readonly run: Run;
  /** '' or 'block.ssm.' */
  readonly prefix: string;
  /** axis as written → full name */
  readonly axisNames: Map<string, string>;
  readonly values: Map<string, ScopeValue>;
  /** inside the block of a state with `reset when`: where its flag is up, so that taps stop there */
  readonly tapMask: TapMask | null;
  /** the tails of this layer's delays */
  readonly tails: TailTable;
  /** answers an expression before it is evaluated: token loops put slices of known values here */
  readonly shortcut: ((expression: ExpressionSyntax) => NodeTensor | null) | null;
  /** the layer and all that apply it, outermost first */
  readonly layers: readonly LayerSyntax[];
};

export function fullAxisName(scope: Scope, written: string): string {
  if (written === 'time' || written === 'batch') return written;
  return required(scope.axisNames.get(written), `axis ${written}`);
}

export function axisSize(scope: Scope, written: string): number {
  if (written === 'time') return scope.run.length;
  if (written === 'batch') return scope.run.batch;
  return required(scope.run.sizes.get(fullAxisName(scope, written)), `size of ${written}`);
}

/** Declares an axis of this scope under its prefixed name. */
export function declareAxis(scope: Scope, written: string, size: number): void {
  const name = `${scope.prefix}${written}`;
  scope.axisNames.set(written, name);
  scope.run.sizes.set(name, size);
}

/** A size: numbers, axis names and arithmetic of both. */
export function evaluateSize(expression: ExpressionSyntax, scope: Scope): number {
  if (expression.kind === 'number') return expression.value;
  if (expression.kind === 'name') return axisSize(scope, expression.name);
  required(expression.kind === 'binary' ? expression : null, 'size expression');
  if (expression.kind !== 'binary') return NaN;
  const left = evaluateSize(expression.left, scope);
  const right = evaluateSize(expression.right, scope);
  switch (expression.operator) {
    case '+': return left + right;
    case '-': return left - right;
    case '*': return left * right;
    case '/': return left / right;
    case '^': return left ** right;
    default: return NaN;
  }
}

/** Callers may name the axes of a tensor by full name or as the text that declares it does. */
export function withFullAxes(numbers: OracleTensor, wanted: readonly string[], scope: Scope): OracleTensor {
  if (numbers.axes.every((axis) => wanted.includes(axis))) return numbers;
  return { ...numbers, axes: numbers.axes.map((axis) => scope.axisNames.get(axis) ?? axis) };
}
