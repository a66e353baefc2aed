/**
 * Barriers that keep nothing apart: what runs on their two sides touches no element of memory from two
 * invocations, one of them writing. A mutant without such a barrier, or with a statement moved across
 * it, computes the same.
 */
import type { Kernel, KernelExpression, KernelStatement, KernelType, SharedArray } from '../../ir/kernel/nodes.ts';
import { bodiesOf, mapBodies, visitExpressions, visitStatements } from '../../ir/kernel/walk.ts';
import { Tables } from './canonical.ts';
import { ElementSets, mayMeet, widened, type Elements } from './elements.ts';
import type { StatementSite } from './sites.ts';

type Body = readonly KernelStatement[];

/** An access to memory; `elements` null: to a buffer, whose elements are not told apart. */
type Access = { readonly memory: number; readonly writes: boolean; readonly elements: Elements | null };

/** Accesses of statements, nested ones included. */
function accessesOf(body: Body, sets: ElementSets): readonly Access[] {
  const found: Access[] = [];
  const share = (writes: boolean, array: SharedArray, index: KernelExpression, { width }: KernelType): void =>
    void found.push({ memory: array.id, writes, elements: widened(sets.of(index), width / array.type.width) });
  visitStatements(body, (statement) => {
    if (statement.kind === 'store') found.push({ memory: statement.buffer.id, writes: true, elements: null });
    if (statement.kind === 'store-shared') share(true, statement.array, statement.index, statement.value.type);
  });
  visitExpressions(body, (expression) => {
    if (expression.kind === 'load') found.push({ memory: expression.buffer.id, writes: false, elements: null });
    if (expression.kind === 'load-shared') share(false, expression.array, expression.index, expression.type);
  });
  return found;
}

/** Whether two invocations may touch one element, one of them writing. */
function conflict(left: Access, right: Access): boolean {
  if (left.memory !== right.memory || !(left.writes || right.writes)) return false;
  return left.elements === null || right.elements === null || mayMeet(left.elements, right.elements);
}

const isBarrier = (statement: KernelStatement): boolean => statement.kind === 'barrier';

/** What may run from the start of a list to the first barrier on the way; nested lists may be skipped. */
function leading(body: Body): Body {
  const end = body.findIndex(isBarrier);
  return body.slice(0, end < 0 ? undefined : end).map((statement) => mapBodies(statement, leading));
}

/** What may run from the last barrier on the way to the end of a list. */
function trailing(body: Body): Body {
  return body.slice(body.findLastIndex(isBarrier) + 1).map((statement) => mapBodies(statement, trailing));
}

type Place = { readonly body: Body; readonly position: number };

/** Where the statement stands that a nested list belongs to; null for the kernel's own list. */
function outside(list: Body, wanted: Body): Place | null {
  for (const [position, statement] of list.entries()) {
    for (const inner of bodiesOf(statement)) {
      const found = inner === wanted ? { body: list, position } : outside(inner, wanted);
      if (found !== null) return found;
    }
  }
  return null;
}

/** What may run before a place, or from it on, without a barrier between: of loops the other iterations, too. */
function stretch(kernel: Kernel, { body, position }: Place, side: 'before' | 'behind'): Body {
  const near = side === 'before' ? body.slice(0, position) : body.slice(position);
  const cut = side === 'before' ? trailing : leading;
  const outer = near.some(isBarrier) ? null : outside(kernel.body, body);
  if (outer === null) return cut(near);
  const again = outer.body[outer.position]?.kind === 'for' ? cut(body) : [];
  const beyond = { body: outer.body, position: outer.position + (side === 'before' ? 0 : 1) };
  return [...cut(near), ...again, ...stretch(kernel, beyond, side)];
}

/**
 * Whether what a barrier keeps apart needs none: all that it separates (the site is the barrier and goes), or,
 * where a statement changes places with the barrier behind or before it, that statement and the other side.
 */
export function separatesNothing(kernel: Kernel, { body, position }: StatementSite, isDropped: boolean): boolean {
  const sets = new ElementSets(kernel, new Tables(kernel));
  const areIndependent = (left: Body, right: Body): boolean =>
    !accessesOf(left, sets).some((one) => accessesOf(right, sets).some((other) => conflict(one, other)));
  const before = (): Body => stretch(kernel, { body, position }, 'before');
  const behind = (statements: number): Body => stretch(kernel, { body, position: position + statements }, 'behind');
  const [first, second] = body.slice(position, position + 2);
  const isFirst = first !== undefined && isBarrier(first);
  if (isFirst && isDropped) return areIndependent(before(), behind(1));
  if (first === undefined || second === undefined || isFirst === isBarrier(second)) return false;
  return isFirst ? areIndependent(before(), [second]) : areIndependent([first], behind(2));
}
