/**
 * Turns register arrays that are indexed only by literals into one `var` per element, because WASM
 * has no private arrays and WGSL compilers tend to put them into memory. A variable is defined where
 * its element is first written, if that is in the list of the array; otherwise it starts with zero,
 * which nobody sees, since a well-formed kernel never reads what it has not written. Runs after
 * unrolling, which makes indices literal.
 */
import { literal, variable } from '../builder.ts';
import type { ArrayId, Kernel, KernelExpression, KernelStatement, RegisterArray, Variable, VariableId } from '../nodes.ts';
import { mapBodies, mapExpressions, operandsOf, rewriteExpression, visitExpressions, visitStatements } from '../walk.ts';
import { freshIds, rewriteBody, withBody } from './rewrite.ts';

/** Arrays of which some use is not a literal index inside of the array. */
function dynamicArrays(kernel: Kernel): ReadonlySet<ArrayId> {
  const dynamic = new Set<ArrayId>();
  const note = (array: RegisterArray, index: KernelExpression): void => {
    const isStatic = index.kind === 'literal' && index.value >= 0 && index.value < array.length;
    if (!isStatic) dynamic.add(array.id);
  };
  visitExpressions(kernel.body, (each) => each.kind === 'element' && note(each.array, each.index));
  visitStatements(kernel.body, (each) => each.kind === 'set-element' && note(each.array, each.index));
  return dynamic;
}

type Elements = ReadonlyMap<ArrayId, readonly Variable[]>;

function makeElements(kernel: Kernel): Elements {
  const dynamic = dynamicArrays(kernel);
  const fresh = freshIds(kernel);
  const elements = new Map<ArrayId, readonly Variable[]>();
  visitStatements(kernel.body, (statement) => {
    if (statement.kind !== 'array' || dynamic.has(statement.array.id)) return;
    const { id, name, type, length } = statement.array;
    elements.set(id, Array.from({ length }, (_, at): Variable => ({ id: fresh() as VariableId, name: `${name}_${at}`, type })));
  });
  return elements;
}

/** The variable of a promoted element, undefined for other arrays. */
function elementAt(elements: Elements, array: RegisterArray, index: KernelExpression): Variable | undefined {
  return index.kind === 'literal' ? elements.get(array.id)?.[index.value] : undefined;
}

/** Variables that a body reads or assigns, in promoted form. */
function mentionedIn(statement: KernelStatement): ReadonlySet<VariableId> {
  const mentioned = new Set<VariableId>();
  visitExpressions([statement], (each) => each.kind === 'variable' && mentioned.add(each.variable.id));
  visitStatements([statement], (each) => each.kind === 'assign' && mentioned.add(each.variable.id));
  return mentioned;
}

function readsVariable(expression: KernelExpression, id: VariableId): boolean {
  if (expression.kind === 'variable') return expression.variable.id === id;
  return operandsOf(expression).some((operand) => readsVariable(operand, id));
}

/** Defines each variable at its first assignment, if nothing in the list mentions it before. */
function delayDefinitions(body: readonly KernelStatement[], promoted: ReadonlySet<VariableId>): readonly KernelStatement[] {
  const waiting = new Map<VariableId, number>();
  const made: (KernelStatement | null)[] = [...body];
  body.forEach((statement, at) => {
    if (statement.kind === 'var' && promoted.has(statement.variable.id)) waiting.set(statement.variable.id, at);
    if (waiting.size === 0) return;
    const defined = statement.kind === 'assign' ? waiting.get(statement.variable.id) : undefined;
    if (statement.kind === 'assign' && defined !== undefined && !readsVariable(statement.value, statement.variable.id)) {
      made[defined] = null;
      made[at] = { ...statement, kind: 'var' };
    }
    for (const id of mentionedIn(statement)) waiting.delete(id);
  });
  return made.filter((each) => each !== null);
}

function promoteStatement(statement: KernelStatement, elements: Elements): readonly KernelStatement[] {
  const changed = mapExpressions(statement, (expression) =>
    rewriteExpression(expression, (node) => {
      const found = node.kind === 'element' ? elementAt(elements, node.array, node.index) : undefined;
      return found === undefined ? node : variable(found);
    }),
  );
  if (changed.kind === 'set-element') {
    const target = elementAt(elements, changed.array, changed.index);
    return target === undefined ? [changed] : [{ kind: 'assign', variable: target, value: changed.value }];
  }
  const made = changed.kind === 'array' ? elements.get(changed.array.id) : undefined;
  return made?.map((each) => ({ kind: 'var', variable: each, value: literal(0, each.type) })) ?? [changed];
}

/** Promotes all arrays with literal indices. */
export function promoteArrays(kernel: Kernel): Kernel {
  const elements = makeElements(kernel);
  if (elements.size === 0) return kernel;
  const promoted = new Set([...elements.values()].flat().map((each) => each.id));
  const delayIn = (body: readonly KernelStatement[]): readonly KernelStatement[] =>
    delayDefinitions(body.map((statement) => mapBodies(statement, delayIn)), promoted);
  const replaced = rewriteBody(kernel.body, (statement) => promoteStatement(statement, elements));
  return withBody(kernel, delayIn(replaced));
}
