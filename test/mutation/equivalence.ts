/**
 * Changes that are no mutants: rules, each with the reason why no result can differ. What no rule sees
 * and no test kills is a survivor, which is to be explained or given a test.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { Kernel, KernelStatement } from '../../ir/kernel/nodes.ts';
import { visitExpressions, visitStatements } from '../../ir/kernel/walk.ts';
import { canonicalText, Tables } from './canonical.ts';
import type { Site } from './sites.ts';

type Body = readonly KernelStatement[];

export type Change = { readonly original: Kernel; readonly changed: Kernel; readonly operator: string; readonly site: Site | null };

/** An access to memory of the workgroup; `index` null: it depends on more than the invocation. */
type Access = { readonly memory: number; readonly writes: boolean; readonly index: readonly number[] | null };

/** Accesses of statements, nested ones included. */
function accessesOf(body: Body, tables: Tables): readonly Access[] {
  const found: Access[] = [];
  visitStatements(body, (statement) => {
    if (statement.kind === 'store') found.push({ memory: statement.buffer.id, writes: true, index: null });
    if (statement.kind === 'store-shared') found.push({ memory: statement.array.id, writes: true, index: statement.value.type.width === 1 ? tables.of(statement.index) : null });
  });
  visitExpressions(body, (expression) => {
    if (expression.kind === 'load') found.push({ memory: expression.buffer.id, writes: false, index: null });
    if (expression.kind === 'load-shared') found.push({ memory: expression.array.id, writes: false, index: expression.type.width === 1 ? tables.of(expression.index) : null });
  });
  return found;
}

/** Whether two invocations may touch one element, one of them writing. */
function conflict(left: Access, right: Access): boolean {
  if (left.memory !== right.memory || !(left.writes || right.writes)) return false;
  const [from, to] = [left.index, right.index];
  if (from === null || to === null) return true;
  return from.some((element, invocation) => to.some((other, another) => other === element && another !== invocation));
}

function areIndependent(left: readonly Access[], right: readonly Access[]): boolean {
  return !left.some((one) => right.some((other) => conflict(one, other)));
}

const isBarrier = (statement: KernelStatement): boolean => statement.kind === 'barrier';

/** Statements since the barrier before a place, and from a place to the barrier behind it. */
function stretchBefore(body: Body, end: number): Body {
  return body.slice(body.findLastIndex((each, at) => at < end && isBarrier(each)) + 1, end);
}
function stretchFrom(body: Body, start: number): Body {
  const next = body.findIndex((each, at) => at >= start && isBarrier(each));
  return body.slice(start, next < 0 ? undefined : next);
}

/**
 * Whether what the barrier keeps apart needs no barrier: all that it separates, or, where a statement
 * moves across it, that statement and the other side. Only outside of loops.
 */
function separatesNothing({ original, site, operator }: Change): boolean {
  if (site?.kind !== 'statement' || site.body !== original.body) return false;
  const { body, position } = site;
  const of = (statements: Body): readonly Access[] => accessesOf(statements, new Tables(original));
  if (operator === 'drop-barrier') return areIndependent(of(stretchBefore(body, position)), of(stretchFrom(body, position + 1)));
  if (isBarrier(site.statement)) return areIndependent(of(stretchBefore(body, position)), of(body.slice(position + 1, position + 2)));
  if (!body.slice(position + 1, position + 2).some(isBarrier)) return false;
  return areIndependent(of([site.statement]), of(stretchFrom(body, position + 2)));
}

const rules: readonly { readonly reason: string; readonly applies: (change: Change) => boolean }[] = [
  { reason: 'nothing reads what changed, or it is the same for every invocation', applies: ({ original, changed }) => canonicalText(original) === canonicalText(changed) },
  { reason: 'the barrier keeps apart no two invocations that touch one element', applies: (change) => ['drop-barrier', 'stale-read'].includes(change.operator) && separatesNothing(change) },
];

/** The reason why no result can differ, or null. */
export function whyEquivalent(change: Change): string | null {
  return rules.find((each) => each.applies(change))?.reason ?? null;
}

/** Names that the library of elementary functions shares with other code. */
const sharedNames: ReadonlySet<string> = new Set(['decay', 'sum', 'value', 'x', 'u', 't', 'n', 'k', 'step', 'rate', 'size', 'whole', 'part', 'low', 'high', 'upper', 'lower', 'middle', 'shifted']);

const libraryNames: ReadonlySet<string> = new Set(readdirSync('ir/numerics').flatMap((file) =>
  [...readFileSync(`ir/numerics/${file}`, 'utf8').matchAll(/\.(?:let|var)\('([^']+)'/g)].flatMap(([, name]) => (name === undefined || sharedNames.has(name) ? [] : [name]))));

/** A polynomial's coefficient, a threshold: every constant that no other code has. */
function isCoefficient(value: number): boolean {
  return Math.abs(value) > 0 && ![0.5, 1, 2, 3].includes(Math.abs(value));
}

/**
 * Whether a statement computes an elementary function (exp, log1p, softplus, φ₁, …). Their branches for
 * extreme arguments and their coefficients are not for layers to test: test/ir/numerics compares them
 * with float64 over their whole range.
 */
export function isOfLibrary({ statement }: Site): boolean {
  if (statement.kind !== 'let' && statement.kind !== 'var') return false;
  const { element } = statement.variable.type;
  if (element !== 'f32' && element !== 'bool') return false;
  let isFormula = false;
  visitExpressions([statement], (each) => {
    if (each.kind === 'literal' && each.type.element === 'f32') isFormula ||= isCoefficient(each.value);
    // the choice between two of its formulas has the name of what is computed
    if (each.kind === 'select' && each.condition.kind === 'variable') isFormula ||= libraryNames.has(each.condition.variable.name);
  });
  return isFormula || libraryNames.has(statement.variable.name);
}
