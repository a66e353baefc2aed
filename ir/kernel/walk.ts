/** Generic access to the children of Kernel IR nodes; walks and rewrites are written on these. */
import type { KernelExpression, KernelStatement } from './nodes.ts';

/** Direct operands of an expression, in evaluation order. */
export function operandsOf(expression: KernelExpression): readonly KernelExpression[] {
  switch (expression.kind) {
    case 'literal':
    case 'variable':
    case 'builtin':
    case 'uniform':
      return [];
    case 'binary':
      return [expression.left, expression.right];
    case 'select':
      return [expression.condition, expression.whenTrue, expression.whenFalse];
    case 'load':
    case 'load-shared':
    case 'element':
      return [expression.index];
    case 'compose':
      return expression.operands;
    case 'unary':
    case 'convert':
    case 'bitcast':
    case 'shuffle-xor':
    case 'splat':
    case 'extract':
    case 'horizontal-add':
      return [expression.operand];
    default:
      return expression satisfies never;
  }
}

/** The same expression with its operands replaced; the same object when nothing changed. */
export function mapOperands(
  expression: KernelExpression,
  change: (operand: KernelExpression) => KernelExpression,
): KernelExpression {
  switch (expression.kind) {
    case 'literal':
    case 'variable':
    case 'builtin':
    case 'uniform':
      return expression;
    case 'binary': {
      const left = change(expression.left);
      const right = change(expression.right);
      return left === expression.left && right === expression.right ? expression : { ...expression, left, right };
    }
    case 'select': {
      const condition = change(expression.condition);
      const whenTrue = change(expression.whenTrue);
      const whenFalse = change(expression.whenFalse);
      const same = condition === expression.condition && whenTrue === expression.whenTrue && whenFalse === expression.whenFalse;
      return same ? expression : { ...expression, condition, whenTrue, whenFalse };
    }
    case 'load':
    case 'load-shared':
    case 'element': {
      const index = change(expression.index);
      return index === expression.index ? expression : { ...expression, index };
    }
    case 'compose': {
      const operands = expression.operands.map(change);
      return operands.every((each, at) => each === expression.operands[at]) ? expression : { ...expression, operands };
    }
    case 'unary':
    case 'convert':
    case 'bitcast':
    case 'shuffle-xor':
    case 'splat':
    case 'extract':
    case 'horizontal-add': {
      const operand = change(expression.operand);
      return operand === expression.operand ? expression : { ...expression, operand };
    }
    default:
      return expression satisfies never;
  }
}

/** Bottom-up rewrite of an expression tree. */
export function rewriteExpression(
  expression: KernelExpression,
  rule: (expression: KernelExpression) => KernelExpression,
): KernelExpression {
  return rule(mapOperands(expression, (operand) => rewriteExpression(operand, rule)));
}

/** Expressions that stand directly in a statement (not those of nested statements). */
export function expressionsOf(statement: KernelStatement): readonly KernelExpression[] {
  switch (statement.kind) {
    case 'let':
    case 'var':
    case 'assign':
      return [statement.value];
    case 'set-element':
    case 'store':
    case 'store-shared':
      return [statement.index, statement.value];
    case 'for':
      return [statement.start, statement.end];
    case 'if':
      return [statement.condition];
    case 'array':
    case 'barrier':
    case 'comment':
      return [];
    default:
      return statement satisfies never;
  }
}

/** The same statement with its direct expressions replaced (nested bodies untouched); the same object when nothing changed. */
export function mapExpressions(
  statement: KernelStatement,
  change: (expression: KernelExpression) => KernelExpression,
): KernelStatement {
  switch (statement.kind) {
    case 'let':
    case 'var':
    case 'assign': {
      const value = change(statement.value);
      return value === statement.value ? statement : { ...statement, value };
    }
    case 'set-element':
    case 'store':
    case 'store-shared': {
      const index = change(statement.index);
      const value = change(statement.value);
      return index === statement.index && value === statement.value ? statement : { ...statement, index, value };
    }
    case 'for': {
      const start = change(statement.start);
      const end = change(statement.end);
      return start === statement.start && end === statement.end ? statement : { ...statement, start, end };
    }
    case 'if': {
      const condition = change(statement.condition);
      return condition === statement.condition ? statement : { ...statement, condition };
    }
    case 'array':
    case 'barrier':
    case 'comment':
      return statement;
    default:
      return statement satisfies never;
  }
}

/** Nested statement lists. */
export function bodiesOf(statement: KernelStatement): readonly (readonly KernelStatement[])[] {
  if (statement.kind === 'for') return [statement.body];
  if (statement.kind === 'if') return [statement.whenTrue, statement.whenFalse];
  return [];
}

/** Whether two lists hold the same objects. */
export function sameList<T>(left: readonly T[], right: readonly T[]): boolean {
  return left === right || (left.length === right.length && left.every((each, at) => each === right[at]));
}

/** The same statement with its nested lists replaced; the same object when they hold the same statements. */
export function mapBodies(
  statement: KernelStatement,
  change: (body: readonly KernelStatement[]) => readonly KernelStatement[],
): KernelStatement {
  if (statement.kind === 'for') {
    const body = change(statement.body);
    return sameList(body, statement.body) ? statement : { ...statement, body };
  }
  if (statement.kind === 'if') {
    const whenTrue = change(statement.whenTrue);
    const whenFalse = change(statement.whenFalse);
    const isSame = sameList(whenTrue, statement.whenTrue) && sameList(whenFalse, statement.whenFalse);
    return isSame ? statement : { ...statement, whenTrue, whenFalse };
  }
  return statement;
}

/** Visits every statement, outer before inner. */
export function visitStatements(body: readonly KernelStatement[], visit: (statement: KernelStatement) => void): void {
  for (const statement of body) {
    visit(statement);
    for (const inner of bodiesOf(statement)) visitStatements(inner, visit);
  }
}

/** Visits every expression of a body, operands before the expressions that use them. */
export function visitExpressions(body: readonly KernelStatement[], visit: (expression: KernelExpression) => void): void {
  const visitTree = (expression: KernelExpression): void => {
    for (const operand of operandsOf(expression)) visitTree(operand);
    visit(expression);
  };
  visitStatements(body, (statement) => expressionsOf(statement).forEach(visitTree));
}
