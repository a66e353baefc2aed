/**
 * The ways in which kernels are made wrong. Each operator is one mistake that people make in kernels by
 * hand, as a rewrite of Kernel IR at one place; some kinds of places have several wrong versions.
 */
import { add, extract, integer, literal, subtract, variable } from '../../ir/kernel/builder.ts';
import { sameType, f32, i32, withWidth, type Kernel, type KernelExpression, type KernelStatement, type Uniform } from '../../ir/kernel/nodes.ts';
import { rewriteBody } from '../../ir/kernel/passes/rewrite.ts';
import { mapExpressions, rewriteExpression, visitExpressions, visitStatements } from '../../ir/kernel/walk.ts';
import { addSizes } from '../../support/size.ts';
import type { ExpressionSite, Site, StatementSite } from './sites.ts';

export type MutationOperator = {
  readonly name: string;
  /** what somebody did wrong */
  readonly mistake: string;
  /** wrong versions of the kernel at this site, made when asked for */
  readonly at: (site: Site) => readonly MakeKernel[];
};

export type MakeKernel = () => Kernel;

type Of<Kind extends KernelExpression['kind']> = Extract<KernelExpression, { readonly kind: Kind }>;
type StatementOf<Kind extends KernelStatement['kind']> = Extract<KernelStatement, { readonly kind: Kind }>;

/** An operator on statements of these kinds: lists that take the statement's place. */
function onStatement<Kind extends KernelStatement['kind']>(
  kinds: readonly Kind[], change: (statement: StatementOf<Kind>, site: StatementSite) => readonly (readonly KernelStatement[])[],
): MutationOperator['at'] {
  return (site) => {
    if (site.kind !== 'statement' || !(kinds as readonly string[]).includes(site.statement.kind)) return [];
    const { body, position } = site;
    return change(site.statement as StatementOf<Kind>, site).map((made) => () => site.rebuild([...body.slice(0, position), ...made, ...body.slice(position + 1)]));
  };
}

/** An operator on expressions of one kind. */
function onExpression<Kind extends KernelExpression['kind']>(
  kind: Kind, change: (expression: Of<Kind>, site: ExpressionSite) => readonly KernelExpression[],
): MutationOperator['at'] {
  return (site) => (site.kind === 'expression' && site.expression.kind === kind ? change(site.expression as Of<Kind>, site).map((made) => () => site.rebuild(made)) : []);
}

function onBinary(
  operators: readonly Of<'binary'>['operator'][], change: (expression: Of<'binary'>, site: ExpressionSite) => readonly KernelExpression[],
): MutationOperator['at'] {
  return onExpression('binary', (expression, site) => (operators.includes(expression.operator) ? change(expression, site) : []));
}

const isFloat = ({ type }: KernelExpression): boolean => type.element === 'f32';
const oneMore = (expression: KernelExpression): KernelExpression => add(expression, integer(1));
const oneLess = (expression: KernelExpression): KernelExpression => subtract(expression, integer(1));
const isInteger = ({ type }: KernelExpression): boolean => sameType(type, i32);

/** Variables and memories that a statement changes, nested ones included. */
function written(statement: KernelStatement): ReadonlySet<number> {
  const ids = new Set<number>();
  visitStatements([statement], (each) => {
    if (each.kind === 'assign') ids.add(each.variable.id);
    if (each.kind === 'store') ids.add(each.buffer.id);
    if (each.kind === 'store-shared' || each.kind === 'set-element') ids.add(each.array.id);
  });
  return ids;
}

function readsAny(statement: KernelStatement, ids: ReadonlySet<number>): boolean {
  let found = false;
  visitExpressions([statement], (each) => {
    if (each.kind === 'variable') found ||= ids.has(each.variable.id);
    if (each.kind === 'load') found ||= ids.has(each.buffer.id);
    if (each.kind === 'load-shared' || each.kind === 'element') found ||= ids.has(each.array.id);
  });
  return found;
}

/** The statement after this one before it, where that makes a read stale (or fresh too early), or moves past a barrier. */
function swapWithNext(site: Site): readonly MakeKernel[] {
  if (site.kind !== 'statement') return [];
  const { body, position, statement } = site;
  const next = body[position + 1];
  if (next === undefined || next.kind === 'comment') return [];
  const touchesMemory = (each: KernelStatement): boolean => ['store', 'store-shared'].includes(each.kind);
  const crosses = (statement.kind === 'barrier' && touchesMemory(next)) || (next.kind === 'barrier' && touchesMemory(statement));
  const isStale = readsAny(next, written(statement)) || readsAny(statement, written(next));
  if (!crosses && !isStale) return [];
  return [() => site.rebuild([...body.slice(0, position), next, statement, ...body.slice(position + 2)])];
}

/** `sum = sum + term`: the order of the terms is no matter of meaning. */
function isRunningSum({ variable: target, value }: StatementOf<'assign'>): boolean {
  return value.kind === 'binary' && value.operator === 'add' && value.left.kind === 'variable' && value.left.variable.id === target.id;
}

/** The loop from its end to its start, where iterations hand something on and also write it down. */
function reverseLoop(statement: StatementOf<'for'>): readonly (readonly KernelStatement[])[] {
  const { start, end, step, body } = statement;
  const inner = new Set<number>();
  let stores = false;
  visitStatements(body, (each) => {
    if (each.kind === 'var') inner.add(each.variable.id);
    stores ||= each.kind === 'store';
  });
  const handsOn = body.some((each) => each.kind === 'assign' && !inner.has(each.variable.id) && !isRunningSum(each));
  if (step !== 1 || !stores || !handsOn) return [];
  const last = oneLess(add(start, end));
  const mirrored = subtract(last, variable(statement.variable));
  const turn = (expression: KernelExpression): KernelExpression =>
    rewriteExpression(expression, (node) => (node.kind === 'variable' && node.variable.id === statement.variable.id ? mirrored : node));
  return [[{ ...statement, body: rewriteBody(body, (each) => [mapExpressions(each, turn)]) }]];
}

function shiftBounds(loop: StatementOf<'for'>): readonly (readonly KernelStatement[])[] {
  const iteration = integer(loop.step);
  const off = [{ end: subtract(loop.end, iteration) }, { end: add(loop.end, iteration) }, { start: add(loop.start, iteration) }];
  return off.map((bounds) => [{ ...loop, ...bounds, unroll: false }]);
}

function wrongInitial({ variable: name, value }: StatementOf<'var'>): readonly (readonly KernelStatement[])[] {
  if (value.type.element !== 'f32') return [];
  const isZero = value.kind === 'literal' && value.value === 0;
  return [[{ kind: 'var', variable: name, value: literal(isZero ? 1 : 0, value.type) }]];
}

function wrongShuffle({ operand, mask, type }: Of<'shuffle-xor'>): readonly KernelExpression[] {
  const masks = [mask / 2, mask * 2].filter((each) => each >= 1 && each <= 16);
  return [operand, ...masks.map((each): KernelExpression => ({ kind: 'shuffle-xor', operand, mask: each, type }))];
}

/** Constants that carry meaning of their own, outside of polynomials. */
const plainConstants: ReadonlySet<number> = new Set([-1, 0.5, 1, 2]);

export const mutationOperators: readonly MutationOperator[] = [
  { name: 'drop-barrier', mistake: 'a barrier is missing', at: onStatement(['barrier'], () => [[]]) },
  { name: 'drop-store', mistake: 'a result or an exchanged value is not written', at: onStatement(['store', 'store-shared', 'set-element'], () => [[]]) },
  { name: 'drop-carry', mistake: 'a carried value or a running sum is not updated', at: onStatement(['assign'], () => [[]]) },
  { name: 'stale-read', mistake: 'a value is read before or after its turn', at: swapWithNext },
  { name: 'wrong-initial', mistake: 'a recurrence or a sum starts from something else', at: onStatement(['var'], wrongInitial) },
  { name: 'reverse-time', mistake: 'a recurrence runs in the other direction', at: onStatement(['for'], reverseLoop) },
  {
    name: 'bound-off-by-one', mistake: 'a loop starts or ends one iteration off',
    at: onStatement(['for'], shiftBounds),
  },
  { name: 'drop-guard', mistake: 'a tail is not masked: the guard is always true', at: onStatement(['if'], ({ whenTrue }) => [whenTrue]) },
  {
    name: 'index-off-by-one', mistake: 'an access is one element off',
    at: (site) => {
      const isIndex = site.kind === 'expression' && site.role === 'index' && site.isWhole && isInteger(site.expression);
      return isIndex ? [() => site.rebuild(oneMore(site.expression))] : [];
    },
  },
  {
    name: 'wrong-stride', mistake: 'an index is multiplied by the wrong extent',
    at: onBinary(['multiply'], (expression) => (isInteger(expression) ? [{ ...expression, right: oneMore(expression.right) }] : [])),
  },
  {
    name: 'wrong-extent', mistake: 'a size of the run is one too large',
    at: onExpression('uniform', (expression) => [oneMore(expression)]),
  },
  {
    name: 'interval-off', mistake: 'an interval, tile or group is one too long',
    at: onBinary(['divide', 'remainder'], (expression) => {
      const isConstant = isInteger(expression) && expression.right.kind === 'literal';
      return isConstant ? [{ ...expression, right: oneMore(expression.right) }] : [];
    }),
  },
  {
    name: 'swapped-operands', mistake: 'the operands of a subtraction or division are swapped',
    at: onBinary(['subtract', 'divide'], (expression) => (isFloat(expression) ? [{ ...expression, left: expression.right, right: expression.left }] : [])),
  },
  {
    name: 'wrong-sign', mistake: 'a conjugate is missing: plus for minus',
    at: (site) => [
      ...onBinary(['subtract'], (expression) => (isFloat(expression) ? [{ ...expression, operator: 'add' }] : []))(site),
      ...onExpression('unary', (expression) => (expression.operator === 'negate' && isFloat(expression) ? [expression.operand] : []))(site),
    ],
  },
  { name: 'dropped-term', mistake: 'a term of a sum is missing', at: onBinary(['add', 'subtract'], (expression) => (isFloat(expression) ? [expression.left, expression.right] : [])) },
  { name: 'dropped-factor', mistake: 'a factor of a product is missing', at: onBinary(['multiply'], (expression) => (isFloat(expression) ? [expression.left, expression.right] : [])) },
  { name: 'lost-choice', mistake: 'a reset, mask or branch is always or never taken', at: onExpression('select', ({ whenTrue, whenFalse }) => [whenTrue, whenFalse]) },
  { name: 'lost-clamp', mistake: 'an index or a value is not clamped', at: onBinary(['minimum', 'maximum'], ({ left, right }) => [left, right]) },
  {
    name: 'wrong-comparison', mistake: 'an edge is counted to the wrong side',
    at: onBinary(['less', 'less-equal'], (expression) => {
      const other = expression.operator === 'less' ? 'less-equal' : 'less';
      return isInteger(expression.left) ? [{ ...expression, operator: other }] : [];
    }),
  },
  { name: 'fewer-lanes', mistake: 'a reduction leaves threads out or counts them twice', at: onExpression('shuffle-xor', wrongShuffle) },
  { name: 'fewer-components', mistake: 'a sum over a vector takes one component', at: onExpression('horizontal-add', ({ operand }) => [extract(operand, 0), extract(operand, operand.type.width - 1)]) },
  {
    name: 'wrong-constant', mistake: 'a factor such as 2 or 0.5 is another',
    at: onExpression('literal', (expression, { role }) => {
      const isPlain = role === 'value' && isFloat(expression) && plainConstants.has(expression.value);
      return isPlain ? [literal(expression.value + 1, withWidth(f32, expression.type.width))] : [];
    }),
  },
];

/** A launch operator changes what surrounds the body: the grid, the run-time sizes. */
export type LaunchOperator = { readonly name: string; readonly mistake: string; readonly of: (kernel: Kernel) => readonly MakeKernel[] };

function shortGrid(kernel: Kernel): readonly MakeKernel[] {
  return kernel.grid.flatMap((size, axis): MakeKernel[] => {
    const grid = kernel.grid.map((each, at) => (at === axis ? addSizes(each, -1) : each));
    return size === 1 ? [] : [() => ({ ...kernel, grid: grid as unknown as Kernel['grid'] })];
  });
}

function smallerUniform(kernel: Kernel, of: Uniform): Kernel {
  const smaller: Uniform = { ...of, value: addSizes(of.value, -1) };
  const replace = (expression: KernelExpression): KernelExpression =>
    rewriteExpression(expression, (node) => (node.kind === 'uniform' && node.uniform === of ? { ...node, uniform: smaller } : node));
  const body = rewriteBody(kernel.body, (statement) => [mapExpressions(statement, replace)]);
  return { ...kernel, body, uniforms: kernel.uniforms.map((each) => (each === of ? smaller : each)) };
}

export const launchOperators: readonly LaunchOperator[] = [
  { name: 'short-grid', mistake: 'the last workgroups are not launched', of: shortGrid },
  { name: 'wrong-uniform', mistake: 'a run-time size is handed over one too small', of: (kernel) => kernel.uniforms.map((each) => () => smallerUniform(kernel, each)) },
];
