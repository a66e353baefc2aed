/**
 * Changes that are no mutants: rules, each with the reason why no result can differ. What no rule sees
 * and no test kills is a survivor, which is to be explained or given a test.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { add, integer, less } from '../../ir/kernel/builder.ts';
import type { Kernel, KernelExpression, KernelStatement, VariableId } from '../../ir/kernel/nodes.ts';
import { mutableVariables } from '../../ir/kernel/passes/rewrite.ts';
import { printExpression } from '../../ir/kernel/print.ts';
import { bodiesOf, expressionsOf, operandsOf, visitExpressions, visitStatements } from '../../ir/kernel/walk.ts';
import { separatesNothing } from './barriers.ts';
import { canonicalText } from './canonical.ts';
import type { Site } from './sites.ts';

type Body = readonly KernelStatement[];

export type Change = { readonly original: Kernel; readonly changed: Kernel; readonly operator: string; readonly site: Site | null };

/** Whether an expression has one value wherever its variables are in scope. */
function isFixed(expression: KernelExpression, mutable: ReadonlySet<VariableId>): boolean {
  if (expression.kind === 'variable') return !mutable.has(expression.variable.id);
  return ['literal', 'builtin', 'uniform', 'binary'].includes(expression.kind) && operandsOf(expression).every((each) => isFixed(each, mutable));
}

/** Values of the immutable variables of a kernel. */
function valuesOf({ body }: Kernel): ReadonlyMap<VariableId, KernelExpression> {
  const found = new Map<VariableId, KernelExpression>();
  visitStatements(body, (statement) => {
    if (statement.kind === 'let') found.set(statement.variable.id, statement.value);
  });
  return found;
}

/** Whether all that reads a variable stands in branches where one of these conditions is true. */
function isReadUnder(body: Body, id: VariableId, conditions: ReadonlySet<VariableId>): boolean {
  const reads = (expression: KernelExpression): boolean =>
    (expression.kind === 'variable' && expression.variable.id === id) || operandsOf(expression).some(reads);
  return body.every((statement) => {
    if (expressionsOf(statement).some(reads)) return false;
    const isGuard = statement.kind === 'if' && statement.condition.kind === 'variable' && conditions.has(statement.condition.variable.id);
    return (isGuard ? [statement.whenFalse] : bodiesOf(statement)).every((inner) => isReadUnder(inner, id, conditions));
  });
}

/** Whether `minimum(place, size - 1)` became the place or a later clamp, and is read where `place < size` alone. */
function clampsNothingRead({ original, changed, site }: Change): boolean {
  if (site?.kind !== 'expression' || site.statement.kind !== 'let') return false;
  const { variable: { id }, value } = site.statement;
  if (value.kind !== 'binary' || value.operator !== 'minimum' || !isFixed(value, mutableVariables(original.body))) return false;
  const { left: place, right: last } = value;
  if (last.kind !== 'binary' || last.operator !== 'subtract' || last.right.kind !== 'literal' || last.right.value !== 1) return false;
  const harmless = [place, { ...value, right: { ...last, left: add(last.left, integer(1)) } }].map(printExpression);
  const made = valuesOf(changed).get(id);
  if (made === undefined || !harmless.includes(printExpression(made))) return false;
  const guard = printExpression(less(place, last.left));
  const guards = [...valuesOf(original)].flatMap(([condition, each]) => (printExpression(each) === guard ? [condition] : []));
  return isReadUnder(original.body, id, new Set(guards));
}

/** Whether a barrier that went, or that a statement passed, is needed by none. */
function keepsNothingApart({ original, operator, site }: Change): boolean {
  if (site?.kind !== 'statement' || !['drop-barrier', 'stale-read'].includes(operator)) return false;
  return separatesNothing(original, site, operator === 'drop-barrier');
}

const rules: readonly { readonly reason: string; readonly applies: (change: Change) => boolean }[] = [
  { reason: 'nothing reads what changed, it is the same for every invocation, or a sum that is still zero', applies: ({ original, changed }) => canonicalText(original) === canonicalText(changed) },
  { reason: 'the barrier keeps apart no two invocations that touch one element', applies: keepsNothingApart },
  { reason: 'the clamp of a last element is read by those alone whose element is not behind it', applies: (change) => ['lost-clamp', 'wrong-extent'].includes(change.operator) && clampsNothingRead(change) },
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
