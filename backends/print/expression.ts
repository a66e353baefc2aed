/**
 * Prints Kernel IR expressions for C-like languages (WGSL, CUDA C++): precedence, parentheses and
 * line breaks are decided here once; how a node is spelled comes from the target's table. Operands of
 * shifts, bit operators and mixed `&&`/`||` are always parenthesised: WGSL's grammar demands it, and
 * C++ compilers warn without.
 */
import { concat, group, indent, join, line, softLine, text, type Doc } from '../../support/doc.ts';
import type {
  BinaryOperator, Builtin, KernelExpression, KernelType, UnaryOperator, Uniform, Variable,
} from '../../ir/kernel/nodes.ts';

/** How tightly the outermost operator of a printed expression binds. */
export type Level = 'primary' | 'unary' | 'multiplicative' | 'additive' | 'relational' | 'other';

/** A printed expression and its outermost level. */
export type Printed = { readonly doc: Doc; readonly level: Level };

/** Expressions whose form differs by target; the table prints them whole. */
export type SpecialExpression = Extract<
  KernelExpression,
  {
    readonly kind:
      | 'select' | 'convert' | 'bitcast' | 'load' | 'load-shared' | 'element' | 'shuffle-xor'
      | 'splat' | 'extract' | 'compose' | 'horizontal-add';
  }
>;

/** What a target says about its spelling of expressions. */
export type ExpressionSpelling = {
  /** may begin with `-` */
  readonly literal: (value: number, type: KernelType) => string;
  readonly builtin: (builtin: Builtin) => string;
  readonly variable: (variable: Variable) => string;
  /** a primary expression */
  readonly uniform: (uniform: Uniform) => string;
  /** name of a function of one argument, or null for the prefix operators `-` and `!` */
  readonly unaryFunction: (operator: UnaryOperator, type: KernelType) => string | null;
  /** name of a function of two arguments, or null for an infix operator */
  readonly binaryFunction: (operator: BinaryOperator, operandType: KernelType) => string | null;
  readonly special: (expression: SpecialExpression, print: (operand: KernelExpression) => Printed) => Printed;
};

const tightness: Readonly<Record<Level, number>> = {
  primary: 5, unary: 4, multiplicative: 3, additive: 2, relational: 1, other: 0,
};

type Infix = { readonly symbol: string; readonly level: Level; readonly left: Level; readonly right: Level };

/** `left` and `right`: the loosest level an operand may have without parentheses. */
const infix: Readonly<Record<BinaryOperator, Infix | null>> = {
  add: { symbol: '+', level: 'additive', left: 'additive', right: 'multiplicative' },
  subtract: { symbol: '-', level: 'additive', left: 'additive', right: 'multiplicative' },
  multiply: { symbol: '*', level: 'multiplicative', left: 'multiplicative', right: 'unary' },
  divide: { symbol: '/', level: 'multiplicative', left: 'multiplicative', right: 'unary' },
  remainder: { symbol: '%', level: 'multiplicative', left: 'multiplicative', right: 'unary' },
  minimum: null,
  maximum: null,
  'shift-left': { symbol: '<<', level: 'other', left: 'unary', right: 'unary' },
  'shift-right': { symbol: '>>', level: 'other', left: 'unary', right: 'unary' },
  'bit-and': { symbol: '&', level: 'other', left: 'unary', right: 'unary' },
  'bit-or': { symbol: '|', level: 'other', left: 'unary', right: 'unary' },
  less: { symbol: '<', level: 'relational', left: 'additive', right: 'additive' },
  'less-equal': { symbol: '<=', level: 'relational', left: 'additive', right: 'additive' },
  equal: { symbol: '==', level: 'relational', left: 'additive', right: 'additive' },
  'not-equal': { symbol: '!=', level: 'relational', left: 'additive', right: 'additive' },
  and: { symbol: '&&', level: 'other', left: 'relational', right: 'relational' },
  or: { symbol: '||', level: 'other', left: 'relational', right: 'relational' },
};

/** In parentheses, broken inside them when long. */
export function parenthesised(doc: Doc): Doc {
  return group(concat('(', indent(concat(softLine, doc)), softLine, ')'));
}

/** The document, in parentheses unless it binds at least as tightly as `loosest`. */
export function operandDoc(printed: Printed, loosest: Level): Doc {
  return tightness[printed.level] >= tightness[loosest] ? printed.doc : parenthesised(printed.doc);
}

/** `name(a, b)`. */
export function callDoc(name: string, operands: readonly Printed[]): Printed {
  if (operands.length === 0) return { doc: text(`${name}()`), level: 'primary' };
  const list = join(operands.map((each) => each.doc), concat(',', line));
  return { doc: group(concat(`${name}(`, indent(concat(softLine, list)), softLine, ')')), level: 'primary' };
}

/** `base[index]`, with a primary base. */
export function indexDoc(base: Doc | string, index: Printed): Printed {
  return { doc: group(concat(base, '[', indent(concat(softLine, index.doc)), softLine, ']')), level: 'primary' };
}

/** Something that needs no parentheses anywhere. */
export function primary(of: string): Printed {
  return { doc: text(of), level: 'primary' };
}

function printUnary(
  spelling: ExpressionSpelling, operator: UnaryOperator, type: KernelType, operand: Printed,
): Printed {
  const name = spelling.unaryFunction(operator, type);
  if (name !== null) return callDoc(name, [operand]);
  return { doc: concat(operator === 'not' ? '!' : '-', operandDoc(operand, 'primary')), level: 'unary' };
}

/** `a && b && c` and `a + b + c` read as chains: a left operand of the same operator joins ours. */
function printBinary(
  spelling: ExpressionSpelling, operator: BinaryOperator, leftExpression: KernelExpression, left: Printed, right: Printed,
): Printed {
  const name = spelling.binaryFunction(operator, leftExpression.type);
  const form = infix[operator];
  if (name !== null || form === null) return callDoc(name ?? operator, [left, right]);
  const chained = (operator === 'and' || operator === 'or')
    && leftExpression.kind === 'binary' && leftExpression.operator === operator;
  const leftDoc = chained ? left.doc : operandDoc(left, form.left);
  return {
    doc: group(concat(leftDoc, indent(concat(line, `${form.symbol} `, operandDoc(right, form.right))))),
    level: form.level,
  };
}

/** An expression in the target's words. */
export function printExpression(expression: KernelExpression, spelling: ExpressionSpelling): Printed {
  const print = (operand: KernelExpression): Printed => printExpression(operand, spelling);
  switch (expression.kind) {
    case 'literal': {
      const literal = spelling.literal(expression.value, expression.type);
      return { doc: text(literal), level: literal.startsWith('-') ? 'unary' : 'primary' };
    }
    case 'variable':
      return primary(spelling.variable(expression.variable));
    case 'builtin':
      return primary(spelling.builtin(expression.builtin));
    case 'uniform':
      return primary(spelling.uniform(expression.uniform));
    case 'unary':
      return printUnary(spelling, expression.operator, expression.type, print(expression.operand));
    case 'binary':
      return printBinary(spelling, expression.operator, expression.left, print(expression.left), print(expression.right));
    default:
      return spelling.special(expression, print);
  }
}
