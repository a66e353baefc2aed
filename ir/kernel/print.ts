/**
 * Kernel IR as text (`.kir`), for readers, golden files and error messages; `parse` reads it back to
 * an equal kernel. Types are not written where operands determine them. Marks before ids tell the
 * name spaces apart: % variable, ~ uniform, @ buffer, $ shared array, # register array.
 */
import { assertNever } from '../../support/invariant.ts';
import type { SizeExpression } from '../../support/size.ts';
import type { BinaryOperator, Kernel, KernelExpression, KernelStatement } from './nodes.ts';
import { formatType } from './types.ts';

/** Operators written between their operands; `minimum` and `maximum` are written as calls. */
export const infixOperators: Readonly<Partial<Record<BinaryOperator, string>>> = {
  'add': '+', 'subtract': '-', 'multiply': '*', 'divide': '/', 'remainder': '%',
  'shift-left': '<<', 'shift-right': '>>', 'bit-and': '&', 'bit-or': '|',
  'less': '<', 'less-equal': '<=', 'equal': '==', 'not-equal': '!=', 'and': '&&', 'or': '||',
};

type Named = { readonly id: number; readonly name: string };

function reference(mark: string, { id, name }: Named): string {
  return `${mark}${id}:${/^[A-Za-z_][A-Za-z0-9_.]*$/.test(name) ? name : JSON.stringify(name)}`;
}

/** A number literal: `1.5`, `3` (i32), `3u`, `1.5d` (f64), `true`; vectors end with `x4`. */
function printLiteral({ value, type }: Extract<KernelExpression, { readonly kind: 'literal' }>): string {
  const width = type.width === 1 ? '' : `x${type.width}`;
  if (type.element === 'bool') return `${value === 0 ? 'false' : 'true'}${width}`;
  const digits = Object.is(value, -0) ? '-0' : String(value);
  if (type.element === 'i32') return digits + width;
  if (type.element === 'u32') return `${digits}u${width}`;
  const decimal = /^-?[0-9]+$/.test(digits) ? `${digits}.0` : digits;
  return `${decimal}${type.element === 'f64' ? 'd' : ''}${width}`;
}

/** Arguments in brackets after a buffer: `[i]`, `[i; 4]`, `[i; 4 aligned]`. */
function printAccess(index: KernelExpression, width: number, aligned: boolean, early = false): string {
  const suffix = width === 1 && !aligned && !early ? '' : `; ${width}${aligned ? ' aligned' : ''}${early ? ' early' : ''}`;
  return `[${printExpression(index)}${suffix}]`;
}

function printOperand(expression: KernelExpression): string {
  const isInfix = expression.kind === 'binary' && infixOperators[expression.operator] !== undefined;
  return isInfix ? `(${printExpression(expression)})` : printExpression(expression);
}

function call(name: string, ...operands: readonly (KernelExpression | number)[]): string {
  return `${name}(${operands.map((each) => (typeof each === 'number' ? String(each) : printExpression(each))).join(', ')})`;
}

/** One expression on one line. */
export function printExpression(expression: KernelExpression): string {
  switch (expression.kind) {
    case 'literal':
      return printLiteral(expression);
    case 'variable':
      return reference('%', expression.variable);
    case 'builtin':
      return expression.builtin;
    case 'uniform':
      return reference('~', expression.uniform);
    case 'unary':
      return call(expression.operator, expression.operand);
    case 'binary': {
      const sign = infixOperators[expression.operator];
      if (sign === undefined) return call(expression.operator, expression.left, expression.right);
      return `${printOperand(expression.left)} ${sign} ${printOperand(expression.right)}`;
    }
    case 'select':
      return call('select', expression.condition, expression.whenTrue, expression.whenFalse);
    case 'convert':
    case 'bitcast':
      return call(`${expression.kind} ${formatType(expression.type)}`, expression.operand);
    case 'load':
      return reference('@', expression.buffer) + printAccess(expression.index, expression.type.width, expression.aligned, expression.early === true);
    case 'load-shared':
      return reference('$', expression.array) + printAccess(expression.index, expression.type.width / expression.array.type.width, false);
    case 'element':
      return `${reference('#', expression.array)}[${printExpression(expression.index)}]`;
    case 'shuffle-xor':
      return call('shuffle-xor', expression.operand, expression.mask);
    case 'splat':
      return call('splat', expression.operand, expression.type.width);
    case 'extract':
      return call('extract', expression.operand, expression.lane);
    case 'compose':
      return call('compose', ...expression.operands);
    case 'horizontal-add':
      return call('horizontal-add', expression.operand);
    default:
      return assertNever(expression, 'printExpression');
  }
}

function printBlock(body: readonly KernelStatement[], indent: string): string {
  return `{\n${body.map((each) => printStatement(each, `${indent}  `)).join('')}${indent}}`;
}

function printHead(statement: KernelStatement): string {
  switch (statement.kind) {
    case 'let':
    case 'var':
      return `${statement.kind} ${reference('%', statement.variable)} = ${printExpression(statement.value)}`;
    case 'assign':
      return `${reference('%', statement.variable)} = ${printExpression(statement.value)}`;
    case 'array':
      return `array ${reference('#', statement.array)} ${formatType(statement.array.type)} [${statement.array.length}]`;
    case 'set-element':
      return `${reference('#', statement.array)}[${printExpression(statement.index)}] = ${printExpression(statement.value)}`;
    case 'store': {
      const access = printAccess(statement.index, statement.value.type.width, statement.aligned);
      return `${reference('@', statement.buffer)}${access} = ${printExpression(statement.value)}`;
    }
    case 'store-shared':
      return `${reference('$', statement.array)}[${printExpression(statement.index)}] = ${printExpression(statement.value)}`;
    case 'for': {
      const range = `${printExpression(statement.start)} .. ${printExpression(statement.end)}`;
      const step = statement.step === 1 ? '' : ` step ${statement.step}`;
      return `for ${reference('%', statement.variable)} = ${range}${step}${statement.unroll ? ' unroll' : ''}`;
    }
    case 'if':
      return `if ${printExpression(statement.condition)}`;
    case 'barrier':
      return 'barrier';
    case 'comment':
      return `comment ${JSON.stringify(statement.text)}`;
    default:
      return assertNever(statement, 'printHead');
  }
}

/** The first line of a statement, without nested bodies, for messages. */
export function printStatementHead(statement: KernelStatement): string {
  return printHead(statement);
}

/** A statement with its nested bodies, ending in a line break. */
export function printStatement(statement: KernelStatement, indent = ''): string {
  const head = `${indent}${printHead(statement)}`;
  if (statement.kind === 'for') return `${head} ${printBlock(statement.body, indent)}\n`;
  if (statement.kind !== 'if') return `${head}\n`;
  const otherwise = statement.whenFalse.length === 0 ? '' : ` else ${printBlock(statement.whenFalse, indent)}`;
  return `${head} ${printBlock(statement.whenTrue, indent)}${otherwise}\n`;
}

/** A size with every nested sum and product in parentheses, so that its shape survives. */
function printSize(size: SizeExpression): string {
  if (typeof size !== 'object') return String(size);
  const [left, right] = [printSize(size.left), printSize(size.right)];
  switch (size.operator) {
    case 'add': return `(${left} + ${right})`;
    case 'multiply': return `(${left} * ${right})`;
    case 'ceil-divide': return `ceil(${left} / ${right})`;
    case 'minimum': return `min(${left}, ${right})`;
    default: return assertNever(size.operator, 'printSize');
  }
}

/** The whole kernel in the `.kir` form. */
export function printKernel(kernel: Kernel): string {
  const lines = [
    `kernel ${JSON.stringify(kernel.name)}`,
    ...kernel.notes.map((note) => `note ${JSON.stringify(note)}`),
    `workgroup ${kernel.workgroupSize}`,
    ...(kernel.resident === undefined ? [] : [`resident ${kernel.resident}`]),
    `grid ${kernel.grid.map(printSize).join(', ')}`,
    ...kernel.uniforms.map((each) => `uniform ${reference('~', each)} = ${printSize(each.value)}`),
    ...kernel.buffers.map((each) => `buffer ${reference('@', each)} ${each.storage} ${each.access} [${printSize(each.size)}]`),
    ...kernel.shared.map((each) => `shared ${reference('$', each)} ${formatType(each.type)} [${each.length}]`),
    `body ${printBlock(kernel.body, '')}`,
  ];
  return `${lines.join('\n')}\n`;
}
