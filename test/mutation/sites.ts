/**
 * Places of a kernel where something can be changed: every statement with its list, and every
 * expression with the part it plays. A site knows how to rebuild the whole kernel around a replacement,
 * because expressions may be shared and cannot be told apart by identity.
 */
import type { Kernel, KernelExpression, KernelStatement } from '../../ir/kernel/nodes.ts';
import { printStatementHead } from '../../ir/kernel/print.ts';
import { bodiesOf, expressionsOf, mapBodies, mapExpressions, mapOperands, operandsOf } from '../../ir/kernel/walk.ts';
import { withBody } from '../../ir/kernel/passes/rewrite.ts';

type Body = readonly KernelStatement[];

/** What an expression is for: a number that is computed, a place in memory, a loop's bound, a decision. */
export type ExpressionRole = 'value' | 'index' | 'bound' | 'condition';

type Place = {
  readonly kernel: Kernel;
  readonly statement: KernelStatement;
  /** the kernel with more statements before the statement */
  readonly before: (inserted: Body) => Kernel;
};

export type StatementSite = Place & {
  readonly kind: 'statement';
  readonly body: Body;
  readonly position: number;
  /** the kernel with another list in place of `body` */
  readonly rebuild: (body: Body) => Kernel;
};

export type ExpressionSite = Place & {
  readonly kind: 'expression';
  readonly expression: KernelExpression;
  readonly role: ExpressionRole;
  /** whether it is the whole index, bound, condition or value */
  readonly isWhole: boolean;
  readonly rebuild: (expression: KernelExpression) => Kernel;
};

export type Site = StatementSite | ExpressionSite;

function replaceAt<T>(list: readonly T[], position: number, value: T): readonly T[] {
  return list.map((each, at) => (at === position ? value : each));
}

/** A change that replaces the child of this number and keeps the others, for the `map…` functions of walk. */
function onlyChild<T>(position: number, value: T): (child: T) => T {
  let at = 0;
  return (child) => (at++ === position ? value : child);
}

/** The part that a statement's expression of this number plays. */
function roleIn(statement: KernelStatement, position: number): ExpressionRole {
  switch (statement.kind) {
    case 'for': return 'bound';
    case 'if': return 'condition';
    case 'store':
    case 'store-shared':
    case 'set-element': return position === 0 ? 'index' : 'value';
    default: return 'value';
  }
}

function roleUnder(parent: KernelExpression, position: number, role: ExpressionRole): ExpressionRole {
  if (parent.kind === 'load' || parent.kind === 'load-shared' || parent.kind === 'element') return 'index';
  return parent.kind === 'select' && position === 0 ? 'condition' : role;
}

function* expressionSites(site: ExpressionSite): Generator<ExpressionSite> {
  yield site;
  const { expression, role } = site;
  const operands = operandsOf(expression);
  for (const [position, operand] of operands.entries()) {
    const inner = roleUnder(expression, position, role);
    yield* expressionSites({
      ...site, expression: operand, role: inner, isWhole: inner !== role,
      rebuild: (changed) => site.rebuild(mapOperands(expression, onlyChild(position, changed))),
    });
  }
}

function* bodySites(kernel: Kernel, body: Body, rebuild: (body: Body) => Kernel): Generator<Site> {
  for (const [position, statement] of body.entries()) {
    if (statement.kind === 'comment') continue;
    const replace = (changed: KernelStatement): Kernel => rebuild(replaceAt(body, position, changed));
    const place: Place = { kernel, statement, before: (inserted) => rebuild([...body.slice(0, position), ...inserted, ...body.slice(position)]) };
    yield { ...place, kind: 'statement', body, position, rebuild };
    for (const [at, expression] of expressionsOf(statement).entries()) {
      yield* expressionSites({
        ...place, kind: 'expression', expression, role: roleIn(statement, at), isWhole: true,
        rebuild: (changed) => replace(mapExpressions(statement, onlyChild(at, changed))),
      });
    }
    for (const [at, inner] of bodiesOf(statement).entries()) {
      yield* bodySites(kernel, inner, (changed) => replace(mapBodies(statement, onlyChild(at, changed))));
    }
  }
}

/** All sites of a kernel, outer before inner, in the order of the text. */
export function sitesOf(kernel: Kernel): Generator<Site> {
  return bodySites(kernel, kernel.body, (body) => withBody(kernel, body));
}

/** One line for people. */
export function formatSite(site: Site): string {
  return printStatementHead(site.statement);
}
