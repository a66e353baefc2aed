/** How WGSL spells Kernel IR: the table for the common C-like printer. No choices are made here. */
import { concat, text, type Doc } from '../../support/doc.ts';
import { assertNever, invariant } from '../../support/invariant.ts';
import type {
  BinaryOperator, Buffer, Builtin, KernelExpression, KernelType, UnaryOperator,
} from '../../ir/kernel/nodes.ts';
import {
  callDoc, indexDoc, operandDoc, primary, type Printed, type SpecialExpression,
} from '../print/expression.ts';
import { f32Digits, integerDigits } from '../print/literal.ts';
import { isHalf, type HalfNames } from './halves.ts';
import type { KernelNames } from '../print/names.ts';
import { assignmentDoc, type SpecialStatement, type StatementSpelling } from '../print/statement.ts';

/** Names that the printer itself declares in a kernel. */
export type PrinterNames = { readonly uniforms: string; readonly workgroup: string; readonly invocation: string };

/** `f32`, `vec4<f32>`. */
export function typeName(type: KernelType): string {
  invariant(type.element !== 'f64', 'WGSL has no f64');
  return type.width === 1 ? type.element : `vec${type.width}<${type.element}>`;
}

/** Place of an aligned vector in an array of vectors. */
function vectorIndex(index: KernelExpression, width: number): KernelExpression {
  const count: KernelExpression = { kind: 'literal', type: { element: 'u32', width: 1 }, value: Math.log2(width) };
  return { kind: 'binary', operator: 'shift-right', type: index.type, left: index, right: count };
}

function scalarLiteral(value: number, element: KernelType['element']): string {
  switch (element) {
    case 'f32':
      return `${f32Digits(value)}f`;
    case 'i32':
      return value === -(2 ** 31) ? 'i32(-2147483648)' : `${integerDigits(value, element)}i`;
    case 'u32':
      return `${integerDigits(value, element)}u`;
    case 'bool':
      return value !== 0 ? 'true' : 'false';
    case 'f64':
      invariant(false, 'WGSL has no f64');
      break;
    default:
      return assertNever(element, 'scalarLiteral');
  }
}

function literal(value: number, type: KernelType): string {
  const scalar = scalarLiteral(value, type.element);
  return type.width === 1 ? scalar : `${typeName(type)}(${scalar})`;
}

const unaryNames: Readonly<Record<UnaryOperator, string | null>> = {
  negate: null, not: null, absolute: 'abs', floor: 'floor', 'square-root': 'sqrt',
  exp2: 'exp2', log2: 'log2', sine: 'sin', cosine: 'cos',
};

function binaryFunction(operator: BinaryOperator): string | null {
  if (operator === 'minimum') return 'min';
  return operator === 'maximum' ? 'max' : null;
}

const lanes = ['x', 'y', 'z', 'w'] as const;

function lane(vector: Printed, at: number): Printed {
  const name = lanes[at];
  invariant(name !== undefined, `lane ${at}`);
  return { doc: concat(operandDoc(vector, 'primary'), `.${name}`), level: 'primary' };
}

type Context = {
  readonly names: KernelNames;
  readonly own: PrinterNames;
  readonly halves: (buffer: Buffer) => HalfNames;
  readonly barriers: readonly string[];
};

/** A builtin as WGSL has it, of type u32. */
function builtinName(of: Builtin, own: PrinterNames): string {
  switch (of) {
    case 'workgroup-x':
      return `${own.workgroup}.x`;
    case 'workgroup-y':
      return `${own.workgroup}.y`;
    case 'workgroup-z':
      return `${own.workgroup}.z`;
    case 'invocation':
      return own.invocation;
    default:
      return assertNever(of, 'builtinName');
  }
}

function special(
  expression: SpecialExpression, print: (operand: KernelExpression) => Printed, context: Context,
): Printed {
  const { names, own, halves } = context;
  switch (expression.kind) {
    case 'select':
      return callDoc('select', [expression.whenFalse, expression.whenTrue, expression.condition].map(print));
    case 'convert': {
      const { operand, type } = expression;
      if (operand.kind === 'builtin' && type.element === 'u32') return primary(builtinName(operand.builtin, own));
      return callDoc(typeName(type), [print(operand)]);
    }
    case 'splat':
      return callDoc(typeName(expression.type), [print(expression.operand)]);
    case 'bitcast':
      return callDoc(`bitcast<${typeName(expression.type)}>`, [print(expression.operand)]);
    case 'load':
      if (expression.type.width > 1) return indexDoc(names.of(expression.buffer.id), print(vectorIndex(expression.index, expression.type.width)));
      if (isHalf(expression.buffer)) return callDoc(halves(expression.buffer).load, [print(expression.index)]);
      return indexDoc(names.of(expression.buffer.id), print(expression.index));
    case 'load-shared':
    case 'element':
      return indexDoc(names.of(expression.array.id), print(expression.index));
    case 'shuffle-xor':
      return callDoc('subgroupShuffleXor', [print(expression.operand), primary(`${expression.mask}u`)]);
    case 'extract':
      return lane(print(expression.operand), expression.lane);
    case 'compose':
      return callDoc(typeName(expression.type), expression.operands.map(print));
    case 'horizontal-add':
      invariant(false, 'horizontal sums are raised before printing');
      break;
    default:
      return assertNever(expression, 'special');
  }
}

function statement(
  of: SpecialStatement, print: (expression: KernelExpression) => Printed, { names, halves, barriers }: Context,
): readonly Doc[] {
  switch (of.kind) {
    case 'array':
      return [text(`var ${names.of(of.array.id)}: array<${typeName(of.array.type)}, ${of.array.length}>;`)];
    case 'set-element':
    case 'store-shared':
      return [assignmentDoc(indexDoc(names.of(of.array.id), print(of.index)).doc, print(of.value))];
    case 'store':
      if (of.value.type.width > 1) return [assignmentDoc(indexDoc(names.of(of.buffer.id), print(vectorIndex(of.index, of.value.type.width))).doc, print(of.value))];
      if (isHalf(of.buffer)) return [concat(callDoc(halves(of.buffer).store, [of.index, of.value].map(print)).doc, ';')];
      return [assignmentDoc(indexDoc(names.of(of.buffer.id), print(of.index)).doc, print(of.value))];
    case 'barrier':
      return barriers.map(text);
    default:
      return assertNever(of, 'statement');
  }
}

/** The table for one kernel; `barriers` are the calls that a barrier of it stands for. */
export function wgslSpelling(
  names: KernelNames, own: PrinterNames, halves: (buffer: Buffer) => HalfNames, barriers: readonly string[],
): StatementSpelling {
  const context: Context = { names, own, halves, barriers };
  return {
    literal,
    builtin: (name) => `i32(${builtinName(name, own)})`,
    variable: (of) => names.of(of.id),
    uniform: (of) => `${own.uniforms}.${names.of(of.id)}`,
    unaryFunction: (operator) => unaryNames[operator],
    binaryFunction,
    special: (expression, print) => special(expression, print, context),
    declaration: (of, mutability) => `${mutability === 'constant' ? 'let' : 'var'} ${names.of(of.id)}`,
    loopVariable: (of) => `var ${names.of(of.id)}`,
    statement: (of, print) => statement(of, print, context),
  };
}
