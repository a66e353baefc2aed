/**
 * Prints Kernel IR statements for C-like languages (WGSL, CUDA C++). Blocks, loops, assignments and
 * comments are common; declarations, stores and barriers come from the target's table.
 */
import { concat, group, hardLine, indent, line, text, type Doc } from '../../support/doc.ts';
import { commentText } from '../../support/namer.ts';
import type { KernelExpression, KernelStatement, Variable } from '../../ir/kernel/nodes.ts';
import { printExpression, type ExpressionSpelling, type Printed } from './expression.ts';

/** Statements that have a form of their own in each target. */
export type SpecialStatement = Extract<
  KernelStatement,
  { readonly kind: 'array' | 'set-element' | 'store' | 'store-shared' | 'barrier' }
>;

/** What a target says about its spelling of statements. */
export type StatementSpelling = ExpressionSpelling & {
  /** the words before ` = value`: `let x`, `const float x` */
  readonly declaration: (variable: Variable, mutability: 'constant' | 'mutable') => string;
  /** the words before ` = start` of a counted loop: `var t`, `int t` */
  readonly loopVariable: (variable: Variable) => string;
  /** a line before a counted loop, for languages with loop pragmas; none by default */
  readonly loopHint?: (unroll: boolean) => string | null;
  /** whole lines, with their semicolons */
  readonly statement: (statement: SpecialStatement, print: (expression: KernelExpression) => Printed) => readonly Doc[];
};

/** `left = right;`, broken after the equals sign when long. */
export function assignmentDoc(left: Doc | string, right: Printed): Doc {
  return group(concat(left, ' =', indent(concat(line, right.doc)), ';'));
}

function block(head: Doc, body: readonly KernelStatement[], spelling: StatementSpelling): Doc {
  return concat(head, ' {', indent(concat(hardLine, printStatements(body, spelling))), hardLine, '}');
}

function printIf(statement: Extract<KernelStatement, { kind: 'if' }>, spelling: StatementSpelling): Doc {
  const condition = printExpression(statement.condition, spelling);
  const head = concat('if (', condition.doc, ')');
  const whenTrue = block(head, statement.whenTrue, spelling);
  if (statement.whenFalse.length === 0) return whenTrue;
  return concat(whenTrue, ' ', block(text('else'), statement.whenFalse, spelling));
}

function printFor(statement: Extract<KernelStatement, { kind: 'for' }>, spelling: StatementSpelling): Doc {
  const name = spelling.variable(statement.variable);
  const start = printExpression(statement.start, spelling);
  const end = printExpression(
    {
      kind: 'binary', operator: 'less', right: statement.end, type: { element: 'bool', width: 1 },
      left: { kind: 'variable', variable: statement.variable, type: statement.variable.type },
    },
    spelling,
  );
  const step = spelling.literal(statement.step, statement.variable.type);
  const first = concat(spelling.loopVariable(statement.variable), ' = ', start.doc);
  const head = concat('for (', first, '; ', end.doc, `; ${name} += ${step})`);
  return block(head, statement.body, spelling);
}

function loopHints(unroll: boolean, spelling: StatementSpelling): readonly Doc[] {
  const hint = spelling.loopHint?.(unroll) ?? null;
  return hint === null ? [] : [text(hint)];
}

function printStatement(statement: KernelStatement, spelling: StatementSpelling): readonly Doc[] {
  const print = (expression: KernelExpression): Printed => printExpression(expression, spelling);
  switch (statement.kind) {
    case 'let':
      return [assignmentDoc(spelling.declaration(statement.variable, 'constant'), print(statement.value))];
    case 'var':
      return [assignmentDoc(spelling.declaration(statement.variable, 'mutable'), print(statement.value))];
    case 'assign':
      return [assignmentDoc(spelling.variable(statement.variable), print(statement.value))];
    case 'for':
      return [...loopHints(statement.unroll, spelling), printFor(statement, spelling)];
    case 'if':
      return [printIf(statement, spelling)];
    case 'comment':
      return [text(`// ${commentText(statement.text)}`)];
    default:
      return spelling.statement(statement, print);
  }
}

/** A list of statements, one or more lines each. */
export function printStatements(body: readonly KernelStatement[], spelling: StatementSpelling): Doc {
  const lines = body.flatMap((each) => printStatement(each, spelling));
  return concat(...lines.flatMap((each, at) => (at === 0 ? [each] : [hardLine, each])));
}
