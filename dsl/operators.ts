/**
 * Operator precedence. The parser reads an expression as a flat row of prefixes, operands and
 * operators; this file folds the row into a tree. That keeps the parser's recursion at three rules
 * per bracket instead of ten, so that deep text meets our limit and not the end of the stack.
 */
import type { BinarySyntaxOperator, ExpressionSyntax } from './ast.ts';
import { joinSpans } from '../support/source.ts';
import type { Span } from '../support/source.ts';

export type PrefixSyntax = { readonly operator: '-' | 'not'; readonly span: Span };
export type OperandSyntax = { readonly prefixes: readonly PrefixSyntax[]; readonly value: ExpressionSyntax };
/** operands.length === operators.length + 1 */
export type RowSyntax = {
  readonly operands: readonly OperandSyntax[];
  readonly operators: readonly BinarySyntaxOperator[];
};

/** Operators and prefixes allowed in one row, and the depth allowed of a tree. */
export const rowLimit = 1000;

const precedenceOf: Readonly<Record<BinarySyntaxOperator, number>> = {
  or: 1, and: 2, '<': 4, '<=': 4, '>': 4, '>=': 4, '==': 4, '!=': 4, '+': 5, '-': 5, '*': 6, '/': 6, '^': 8,
};
const notPrecedence = 3;
const minusPrecedence = 7;

/** The tree of a row: `^` binds to the right, everything else to the left; `-x^2` is `-(x^2)`. */
export function foldRow(row: RowSyntax): ExpressionSyntax | null {
  let operandAt = 0;
  let operatorAt = 0;

  function operand(prefixAt: number): ExpressionSyntax | null {
    const current = row.operands[operandAt];
    if (current === undefined) return null;
    const prefix = current.prefixes[prefixAt];
    if (prefix === undefined) {
      operandAt++;
      return current.value;
    }
    const inner = climb(prefix.operator === 'not' ? notPrecedence : minusPrecedence, prefixAt + 1);
    if (inner === null) return null;
    return {
      kind: 'unary', operator: prefix.operator, operand: inner, span: joinSpans(prefix.span, inner.span),
    };
  }

  function climb(least: number, prefixAt: number): ExpressionSyntax | null {
    let left = operand(prefixAt);
    for (;;) {
      const operator = row.operators[operatorAt];
      if (left === null || operator === undefined || precedenceOf[operator] < least) return left;
      operatorAt++;
      const precedence = precedenceOf[operator];
      const right = climb(operator === '^' ? precedence : precedence + 1, 0);
      if (right === null) return null;
      left = { kind: 'binary', operator, left, right, span: joinSpans(left.span, right.span) };
    }
  }

  return climb(0, 0);
}

/** Depth of a tree, without recursion. O(nodes). */
export function depthOf(root: ExpressionSyntax): number {
  const pending: { node: ExpressionSyntax; depth: number }[] = [{ node: root, depth: 1 }];
  let deepest = 0;
  for (let top = pending.pop(); top !== undefined; top = pending.pop()) {
    deepest = Math.max(deepest, top.depth);
    for (const node of childrenOf(top.node)) pending.push({ node, depth: top.depth + 1 });
  }
  return deepest;
}

/** The direct subexpressions, in source order. */
export function childrenOf(node: ExpressionSyntax): readonly ExpressionSyntax[] {
  switch (node.kind) {
    case 'number':
    case 'name':
      return [];
    case 'member':
      return [node.object];
    case 'unary':
      return [node.operand];
    case 'binary':
      return [node.left, node.right];
    case 'conditional':
      return [node.condition, node.whenTrue, node.whenFalse];
    case 'call':
      return node.arguments.map((each) => each.value);
  }
}
