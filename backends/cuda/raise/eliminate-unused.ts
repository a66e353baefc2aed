/**
 * Eliminates bindings that nothing reads: nvcc warns about each, and warnings of generated code are
 * errors here. Runs last. Before: any valid kernel. After: each variable, register array and shared
 * array is read somewhere; expressions are pure, so nothing else changes.
 */
import type { Kernel, KernelStatement } from '../../../ir/kernel/nodes.ts';
import { mapBodies, visitExpressions } from '../../../ir/kernel/walk.ts';

/** Ids of variables and arrays whose value some expression reads. */
function readIds(body: readonly KernelStatement[]): ReadonlySet<number> {
  const ids = new Set<number>();
  visitExpressions(body, (expression) => {
    if (expression.kind === 'variable') ids.add(expression.variable.id);
    if (expression.kind === 'element' || expression.kind === 'load-shared') ids.add(expression.array.id);
  });
  return ids;
}

function isUseful(statement: KernelStatement, read: ReadonlySet<number>): boolean {
  switch (statement.kind) {
    case 'let':
    case 'var':
    case 'assign':
      return read.has(statement.variable.id);
    case 'array':
    case 'set-element':
    case 'store-shared':
      return read.has(statement.array.id);
    case 'for':
      return statement.body.length > 0;
    case 'if':
      return statement.whenTrue.length > 0 || statement.whenFalse.length > 0;
    case 'store':
    case 'barrier':
    case 'comment':
      return true;
    default:
      return statement satisfies never;
  }
}

function count(body: readonly KernelStatement[]): number {
  return body.reduce((sum, each) => sum + 1 + (each.kind === 'for' ? count(each.body)
    : each.kind === 'if' ? count(each.whenTrue) + count(each.whenFalse) : 0), 0);
}

function sweep(body: readonly KernelStatement[], read: ReadonlySet<number>): readonly KernelStatement[] {
  return body.map((each) => mapBodies(each, (inner) => sweep(inner, read))).filter((each) => isUseful(each, read));
}

/** The kernel without bindings that nothing reads. */
export function eliminateUnused(kernel: Kernel): Kernel {
  let body = kernel.body;
  for (;;) {
    const next = sweep(body, readIds(body));
    if (count(next) === count(body)) break;
    body = next;
  }
  const read = readIds(body);
  return { ...kernel, body, shared: kernel.shared.filter((each) => read.has(each.id)) };
}
