/**
 * Turns register arrays that are indexed only by literals into one `var` per element, because WASM
 * has no private arrays and WGSL compilers tend to put them into memory. The variables start with
 * zero: a well-formed kernel never reads an element that it has not written, so the value is not
 * seen, and a target's optimizer drops it. Runs after unrolling, which makes indices literal.
 */
import { literal, variable } from '../builder.ts';
import type { ArrayId, Kernel, KernelExpression, KernelStatement, RegisterArray, Variable, VariableId } from '../nodes.ts';
import { rewriteExpression, visitExpressions, visitStatements } from '../walk.ts';
import { freshIds, rewriteBody, rewriteDirect, withBody } from './rewrite.ts';

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

function promoteStatement(statement: KernelStatement, elements: Elements): readonly KernelStatement[] {
  const changed = rewriteDirect(statement, (expression) =>
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
  return withBody(kernel, rewriteBody(kernel.body, (statement) => promoteStatement(statement, elements)));
}
