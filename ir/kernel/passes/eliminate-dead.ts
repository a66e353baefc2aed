/**
 * Removes what no store, barrier or branch that matters can see: unused lets, variables, register and
 * shared arrays that are only written, and loops and branches left without effect. Reading memory has no
 * effect of its own, so unused loads go too. Header tables stay: bindings are the plan's business.
 */
import type { ArrayId, Kernel, KernelExpression, KernelStatement, SharedId, VariableId } from '../nodes.ts';
import { bodiesOf, expressionsOf, mapBodies, operandsOf } from '../walk.ts';
import { withBody } from './rewrite.ts';

type Live = { readonly variables: Set<VariableId>; readonly arrays: Set<ArrayId>; readonly shared: Set<SharedId> };

function markExpression(expression: KernelExpression, live: Live): void {
  if (expression.kind === 'variable') live.variables.add(expression.variable.id);
  if (expression.kind === 'element') live.arrays.add(expression.array.id);
  if (expression.kind === 'load-shared') live.shared.add(expression.array.id);
  for (const operand of operandsOf(expression)) markExpression(operand, live);
}

/** Whether the statement has an effect, as far as is known, its bodies included. */
function isLive(statement: KernelStatement, live: Live): boolean {
  switch (statement.kind) {
    case 'store':
    case 'barrier':
      return true;
    case 'store-shared':
      return live.shared.has(statement.array.id);
    case 'let':
    case 'var':
    case 'assign':
      return live.variables.has(statement.variable.id);
    case 'array':
    case 'set-element':
      return live.arrays.has(statement.array.id);
    case 'comment':
      return false;
    case 'for':
    case 'if':
      return bodiesOf(statement).some((body) => body.some((each) => isLive(each, live)));
    default:
      return statement satisfies never;
  }
}

/** Marks what live statements read; the caller repeats until the sets stop growing. */
function markBody(body: readonly KernelStatement[], live: Live): void {
  for (const statement of body) {
    if (!isLive(statement, live)) continue;
    for (const expression of expressionsOf(statement)) markExpression(expression, live);
    for (const inner of bodiesOf(statement)) markBody(inner, live);
  }
}

function sweep(body: readonly KernelStatement[], live: Live): readonly KernelStatement[] {
  const kept = body.flatMap((statement): readonly KernelStatement[] => {
    if (statement.kind === 'comment') return [statement];
    if (!isLive(statement, live)) return [];
    const before = bodiesOf(statement);
    const swept = before.map((inner) => sweep(inner, live));
    if (swept.every((inner, at) => inner === before[at])) return [statement];
    return [mapBodies(statement, (inner) => swept[before.indexOf(inner)] ?? inner)];
  });
  return kept.length === body.length && kept.every((each, at) => each === body[at]) ? body : kept;
}

/** Removes all dead statements. */
export function eliminateDead(kernel: Kernel): Kernel {
  const live: Live = { variables: new Set(), arrays: new Set(), shared: new Set() };
  const size = (): number => live.variables.size + live.arrays.size + live.shared.size;
  let before = -1;
  while (size() !== before) {
    before = size();
    markBody(kernel.body, live);
  }
  return withBody(kernel, sweep(kernel.body, live));
}
