/**
 * Full unrolling of the loops that ask for it, with the counter replaced by constants, so that
 * indices of register arrays become constants and the arrays live in locals. Copies of a body keep
 * their variables' ids: each copy sets them before it reads them.
 */
import { binary, integer } from '../../../ir/kernel/builder.ts';
import type { Kernel, KernelExpression, KernelStatement, VariableId } from '../../../ir/kernel/nodes.ts';
import { bodiesOf, mapBodies, mapExpressions, rewriteExpression } from '../../../ir/kernel/walk.ts';

/** A kernel with more statements than this keeps its loops. */
const statementLimit = 20_000;

type Known = Map<VariableId, KernelExpression>;

function countStatements(body: readonly KernelStatement[]): number {
  return body.reduce((sum, statement) => sum + 1 + bodiesOf(statement).reduce((inner, each) => inner + countStatements(each), 0), 0);
}

function foldComparison(expression: KernelExpression): KernelExpression {
  if (expression.kind !== 'binary' || expression.left.kind !== 'literal' || expression.right.kind !== 'literal') return expression;
  if (expression.left.type.element !== 'i32' || expression.type.element !== 'bool') return expression;
  const [a, b] = [expression.left.value, expression.right.value];
  const holds = { 'less': a < b, 'less-equal': a <= b, 'equal': a === b, 'not-equal': a !== b };
  const { operator, type } = expression;
  if (operator !== 'less' && operator !== 'less-equal' && operator !== 'equal' && operator !== 'not-equal') return expression;
  return { kind: 'literal', value: holds[operator] ? 1 : 0, type };
}

function substitute(expression: KernelExpression, known: Known): KernelExpression {
  return rewriteExpression(expression, (each) => {
    if (each.kind === 'variable') return known.get(each.variable.id) ?? each;
    if (each.kind !== 'binary' || each.left.kind !== 'literal' && each.right.kind !== 'literal') return each;
    if (each.left.type.element !== 'i32') return each;
    return foldComparison(binary(each.operator, each.left, each.right));
  });
}

function literalBounds(statement: Extract<KernelStatement, { readonly kind: 'for' }>): readonly number[] | null {
  if (!statement.unroll || statement.start.kind !== 'literal' || statement.end.kind !== 'literal') return null;
  const [start, end] = [statement.start.value, statement.end.value];
  const count = Math.max(0, Math.ceil((end - start) / statement.step));
  if (count * countStatements(statement.body) > statementLimit) return null;
  return Array.from({ length: count }, (_, at) => start + at * statement.step);
}

function unrollStatement(original: KernelStatement, known: Known): readonly KernelStatement[] {
  const statement = mapExpressions(original, (expression) => substitute(expression, known));
  if (statement.kind === 'let' && statement.value.kind === 'literal' && statement.value.type.width === 1) {
    known.set(statement.variable.id, statement.value);
    return [];
  }
  if (statement.kind === 'if' && statement.condition.kind === 'literal') {
    return unrollBody(statement.condition.value !== 0 ? statement.whenTrue : statement.whenFalse, known);
  }
  if (statement.kind !== 'for') return [mapBodies(statement, (body) => unrollBody(body, known))];
  const values = literalBounds(statement);
  if (values === null) return [mapBodies(statement, (body) => unrollBody(body, known))];
  return values.flatMap((value) => {
    known.set(statement.variable.id, integer(value));
    return unrollBody(statement.body, known);
  });
}

function unrollBody(body: readonly KernelStatement[], known: Known): readonly KernelStatement[] {
  return body.flatMap((statement) => unrollStatement(statement, known));
}

/** The kernel with its marked loops unrolled. */
export function unrollMarkedLoops(kernel: Kernel): Kernel {
  return { ...kernel, body: unrollBody(kernel.body, new Map()) };
}
