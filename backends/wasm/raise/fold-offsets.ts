/**
 * Puts the constant part of a named index back where the index is used: `let at = row + 8` and a load
 * at `at` become a load at `row + 8`, whose 8 the assembler writes into the instruction. After: lets
 * that only named such sums are without use.
 */
import type { Kernel, KernelExpression, KernelStatement, VariableId } from '../../../ir/kernel/nodes.ts';
import { add, subtract } from '../../../ir/kernel/builder.ts';
import { mapBodies, mapExpressions, rewriteExpression, visitStatements } from '../../../ir/kernel/walk.ts';

type Sums = ReadonlyMap<VariableId, KernelExpression>;

function isStable(expression: KernelExpression, fixed: ReadonlySet<VariableId>): boolean {
  return (
    expression.kind === 'uniform' ||
    expression.kind === 'builtin' ||
    (expression.kind === 'variable' && fixed.has(expression.variable.id))
  );
}

/** Lets of the form x + constant, with x a name that keeps its value while the let is visible. */
function findSums(kernel: Kernel): Sums {
  const fixed = new Set<VariableId>();
  const sums = new Map<VariableId, KernelExpression>();
  visitStatements(kernel.body, (statement) => {
    if (statement.kind === 'for') fixed.add(statement.variable.id);
    if (statement.kind !== 'let') return;
    fixed.add(statement.variable.id);
    const { value } = statement;
    if (value.kind !== 'binary' || value.type.element !== 'i32' || value.right.kind !== 'literal') return;
    if ((value.operator === 'add' || value.operator === 'subtract') && isStable(value.left, fixed))
      sums.set(statement.variable.id, value);
  });
  return sums;
}

/** x + c for a name of it, through chains of names. */
function expandName(expression: KernelExpression, sums: Sums): KernelExpression {
  const value = expression.kind === 'variable' ? sums.get(expression.variable.id) : undefined;
  if (value?.kind !== 'binary') return expression;
  const left = expandName(value.left, sums);
  return value.operator === 'add' ? add(left, value.right) : subtract(left, value.right);
}

function foldIndex(index: KernelExpression, sums: Sums): KernelExpression {
  if (
    index.kind === 'binary' &&
    (index.operator === 'add' || index.operator === 'subtract') &&
    index.type.element === 'i32'
  ) {
    const [left, right] = [foldIndex(index.left, sums), foldIndex(index.right, sums)];
    return left === index.left && right === index.right
      ? index
      : index.operator === 'add'
        ? add(left, right)
        : subtract(left, right);
  }
  return expandName(index, sums);
}

function foldStatement(original: KernelStatement, sums: Sums): KernelStatement {
  const statement = mapExpressions(original, (expression) =>
    rewriteExpression(expression, (each) =>
      each.kind === 'load' || each.kind === 'element'
        ? { ...each, index: foldIndex(each.index, sums) }
        : each,
    ),
  );
  if (statement.kind === 'store' || statement.kind === 'set-element')
    return { ...statement, index: foldIndex(statement.index, sums) };
  return mapBodies(statement, (body) => body.map((each) => foldStatement(each, sums)));
}

/** The kernel with constant parts of indices at the loads and stores. */
export function foldOffsets(kernel: Kernel): Kernel {
  const sums = findSums(kernel);
  return sums.size === 0
    ? kernel
    : { ...kernel, body: kernel.body.map((statement) => foldStatement(statement, sums)) };
}
