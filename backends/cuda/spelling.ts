/**
 * How CUDA C++ spells the nodes of Kernel IR: the table behind the shared C-like printer. Scalars use
 * operators and the CUDA mathematics functions, vectors the prelude's `sf_vector`; every prelude
 * function that a spelling uses is noted in `fragments`.
 */
import { concat, text, type Doc } from '../../support/doc.ts';
import { assertNever } from '../../support/invariant.ts';
import {
  type BinaryOperator, type Buffer, type Builtin, type KernelExpression, type KernelType, type UnaryOperator,
} from '../../ir/kernel/nodes.ts';
import {
  callDoc, indexDoc, operandDoc, primary, type Printed, type SpecialExpression,
} from '../print/expression.ts';
import { f32Digits, f64Digits, integerDigits } from '../print/literal.ts';
import { assignmentDoc, type SpecialStatement, type StatementSpelling } from '../print/statement.ts';
import type { FragmentName } from './prelude.ts';
import { elementNames, typeName } from './types.ts';

/** What the spelling of one kernel refers to. */
export type SpellingContext = {
  readonly nameOf: (id: number) => string;
  /** lanes that take part in a shuffle: an expression of type unsigned int */
  readonly shuffleLanes: string;
  /** prelude fragments used so far; the printer adds to it */
  readonly fragments: Set<FragmentName>;
};

type Print = (operand: KernelExpression) => Printed;

const builtins: Readonly<Record<Builtin, string>> = {
  'workgroup-x': 'int(blockIdx.x)',
  'workgroup-y': 'int(blockIdx.y)',
  'workgroup-z': 'int(blockIdx.z)',
  invocation: 'int(threadIdx.x)',
};

type ScalarFunctions = { readonly f32: string; readonly f64: string; readonly vector: string };

const unaryFunctions: Readonly<Record<Exclude<UnaryOperator, 'negate' | 'not'>, ScalarFunctions>> = {
  absolute: { f32: 'fabsf', f64: 'fabs', vector: 'sf_absolute' },
  floor: { f32: 'floorf', f64: 'floor', vector: 'sf_floor' },
  'square-root': { f32: 'sqrtf', f64: 'sqrt', vector: 'sf_square_root' },
  exp2: { f32: 'sf_exp2', f64: 'sf_exp2', vector: 'sf_exp2' },
  log2: { f32: 'log2f', f64: 'log2', vector: 'sf_log2' },
  sine: { f32: 'sinf', f64: 'sin', vector: 'sf_sine' },
  cosine: { f32: 'cosf', f64: 'cos', vector: 'sf_cosine' },
};

const extremes: Readonly<Record<'minimum' | 'maximum', ScalarFunctions & { readonly integer: string }>> = {
  minimum: { f32: 'fminf', f64: 'fmin', integer: 'min', vector: 'sf_minimum' },
  maximum: { f32: 'fmaxf', f64: 'fmax', integer: 'max', vector: 'sf_maximum' },
};

function scalarLiteral(value: number, element: KernelType['element']): string {
  switch (element) {
    case 'f32':
      return `${f32Digits(value)}f`;
    case 'f64':
      return f64Digits(value);
    case 'i32':
      return value === -(2 ** 31) ? '(-2147483647 - 1)' : integerDigits(value, 'i32');
    case 'u32':
      return `${integerDigits(value, 'u32')}u`;
    case 'bool':
      return value !== 0 ? 'true' : 'false';
    default:
      return assertNever(element, 'scalarLiteral');
  }
}

/** `base + index`, as an argument. */
function pointerDoc(context: SpellingContext, buffer: Buffer, index: Printed): Printed {
  return { doc: concat(`${context.nameOf(buffer.id)} + `, operandDoc(index, 'additive')), level: 'additive' };
}

function printLoad(context: SpellingContext, load: Extract<SpecialExpression, { kind: 'load' }>, print: Print): Printed {
  const { buffer, type } = load;
  const index = print(load.index);
  if (type.width > 1) {
    context.fragments.add(`${load.aligned ? 'load' : 'gather'} ${buffer.storage}`);
    const name = load.aligned ? 'sf_load_aligned' : 'sf_load';
    return callDoc(`${name}<${type.width}>`, [pointerDoc(context, buffer, index)]);
  }
  const element = indexDoc(context.nameOf(buffer.id), index);
  switch (buffer.storage) {
    case 'f16':
      return callDoc('__half2float', [element]);
    case 'bf16':
      return callDoc('__bfloat162float', [element]);
    case 'i8':
    case 'u8':
      return callDoc('int', [element]);
    default:
      return element;
  }
}

function bitcastFunction(from: KernelType, to: KernelType): string | null {
  if (from.width > 1) return null;
  const key = `${from.element} ${to.element}`;
  const known: Readonly<Record<string, string>> = {
    'f32 i32': '__float_as_int', 'f32 u32': '__float_as_uint', 'i32 f32': '__int_as_float', 'u32 f32': '__uint_as_float',
    'i32 u32': 'static_cast<unsigned int>', 'u32 i32': 'static_cast<int>',
  };
  return known[key] ?? null;
}

function printConversion(
  context: SpellingContext, expression: Extract<SpecialExpression, { kind: 'convert' | 'bitcast' }>, print: Print,
): Printed {
  const { operand, type } = expression;
  if (expression.kind === 'bitcast') {
    const known = bitcastFunction(operand.type, type);
    if (known === null) context.fragments.add('bitcast');
    if (known === null && type.width > 1) context.fragments.add('vector');
    return callDoc(known ?? `sf_bitcast<${typeName(type)}>`, [print(operand)]);
  }
  if (type.width === 1) return callDoc(`static_cast<${elementNames[type.element]}>`, [print(operand)]);
  context.fragments.add('convert');
  return callDoc(`sf_convert<${elementNames[type.element]}>`, [print(operand)]);
}

function printSelect(context: SpellingContext, expression: Extract<SpecialExpression, { kind: 'select' }>, print: Print): Printed {
  const parts = [expression.condition, expression.whenTrue, expression.whenFalse].map(print);
  const [condition, whenTrue, whenFalse] = parts;
  if (expression.type.width > 1 || condition === undefined || whenTrue === undefined || whenFalse === undefined) {
    context.fragments.add('select');
    return callDoc('sf_select', parts);
  }
  return {
    doc: concat(operandDoc(condition, 'relational'), ' ? ', operandDoc(whenTrue, 'additive'), ' : ', operandDoc(whenFalse, 'additive')),
    level: 'other',
  };
}

function printShuffle(context: SpellingContext, expression: Extract<SpecialExpression, { kind: 'shuffle-xor' }>, print: Print): Printed {
  const operand = print(expression.operand);
  const vector = expression.type.width > 1;
  if (vector) context.fragments.add('shuffle');
  const call = callDoc(vector ? 'sf_shuffle_xor' : '__shfl_xor_sync', [primary(context.shuffleLanes), operand, primary(String(expression.mask))]);
  return !vector && expression.type.element === 'bool' ? callDoc('static_cast<bool>', [call]) : call;
}

/** Expressions whose form is CUDA's own. */
function printSpecial(context: SpellingContext, expression: SpecialExpression, print: Print): Printed {
  switch (expression.kind) {
    case 'select':
      return printSelect(context, expression, print);
    case 'convert':
    case 'bitcast':
      return printConversion(context, expression, print);
    case 'load':
      return printLoad(context, expression, print);
    case 'load-shared':
      if (expression.type.width > expression.array.type.width) {
        context.fragments.add('shared neighbours');
        const first = indexDoc(context.nameOf(expression.array.id), print(expression.index));
        return callDoc(`sf_neighbours<${expression.type.width}>`, [{ doc: concat('&', first.doc), level: 'primary' }]);
      }
      return indexDoc(context.nameOf(expression.array.id), print(expression.index));
    case 'element':
      return indexDoc(context.nameOf(expression.array.id), print(expression.index));
    case 'shuffle-xor':
      return printShuffle(context, expression, print);
    case 'splat':
      context.fragments.add('splat');
      return callDoc(`sf_splat<${expression.type.width}>`, [print(expression.operand)]);
    case 'extract':
      return { doc: concat(operandDoc(print(expression.operand), 'primary'), `.lane[${expression.lane}]`), level: 'primary' };
    case 'compose': {
      context.fragments.add('vector');
      const lanes = callDoc('', expression.operands.map(print)).doc;
      return { doc: concat(`sf_compose<${elementNames[expression.type.element]}>`, lanes), level: 'primary' };
    }
    case 'horizontal-add':
      context.fragments.add('horizontal-add');
      return callDoc('sf_horizontal_add', [print(expression.operand)]);
    default:
      return assertNever(expression, 'printSpecial');
  }
}

function storedValue(statement: Extract<SpecialStatement, { kind: 'store' }>, value: Printed): Printed {
  switch (statement.buffer.storage) {
    case 'f16':
      return callDoc('__float2half_rn', [value]);
    case 'bf16':
      return callDoc('__float2bfloat16_rn', [value]);
    case 'i8':
      return callDoc('static_cast<signed char>', [value]);
    case 'u8':
      return callDoc('static_cast<unsigned char>', [value]);
    default:
      return value;
  }
}

function printStore(context: SpellingContext, statement: Extract<SpecialStatement, { kind: 'store' }>, print: Print): Doc {
  const { buffer, value } = statement;
  const index = print(statement.index);
  if (value.type.width === 1) {
    return assignmentDoc(indexDoc(context.nameOf(buffer.id), index).doc, storedValue(statement, print(value)));
  }
  context.fragments.add(`${statement.aligned ? 'store' : 'scatter'} ${buffer.storage}`);
  const name = statement.aligned ? 'sf_store_aligned' : 'sf_store';
  return concat(callDoc(`${name}<${value.type.width}>`, [pointerDoc(context, buffer, index), print(value)]).doc, ';');
}

function printSpecialStatement(context: SpellingContext, statement: SpecialStatement, print: Print): readonly Doc[] {
  switch (statement.kind) {
    case 'array': {
      const { array } = statement;
      if (array.type.width > 1) context.fragments.add('vector');
      return [text(`${typeName(array.type)} ${context.nameOf(array.id)}[${array.length}];`)];
    }
    case 'store-shared': {
      const place = indexDoc(context.nameOf(statement.array.id), print(statement.index));
      if (statement.value.type.width === statement.array.type.width) return [assignmentDoc(place.doc, print(statement.value))];
      context.fragments.add('shared neighbours');
      const call = callDoc('sf_set_neighbours', [{ doc: concat('&', place.doc), level: 'primary' }, print(statement.value)]);
      return [concat(call.doc, ';')];
    }
    case 'set-element':
      return [assignmentDoc(indexDoc(context.nameOf(statement.array.id), print(statement.index)).doc, print(statement.value))];
    case 'store':
      return [printStore(context, statement, print)];
    case 'barrier':
      return [text('__syncthreads();')];
    default:
      return assertNever(statement, 'printSpecialStatement');
  }
}

function unaryFunction(context: SpellingContext, operator: UnaryOperator, type: KernelType): string | null {
  if (type.width > 1) context.fragments.add(`unary ${operator}`);
  if (operator === 'negate' || operator === 'not') return null;
  if (operator === 'exp2') context.fragments.add('exp2');
  const names = unaryFunctions[operator];
  if (type.width > 1) return names.vector;
  if (operator === 'absolute' && type.element === 'i32') return 'abs';
  return type.element === 'f64' ? names.f64 : names.f32;
}

function binaryFunction(context: SpellingContext, operator: BinaryOperator, type: KernelType): string | null {
  if (type.width > 1) context.fragments.add(`binary ${operator}`);
  if (operator === 'divide' && type.width === 1 && type.element === 'f32') {
    context.fragments.add('divide');
    return 'sf_divide';
  }
  if (operator !== 'minimum' && operator !== 'maximum') return null;
  const names = extremes[operator];
  if (type.width > 1) return names.vector;
  if (type.element === 'f32' || type.element === 'f64') return names[type.element];
  return names.integer;
}

/** The table of one kernel. */
export function cudaSpelling(context: SpellingContext): StatementSpelling {
  const declared = (type: KernelType): string => {
    if (type.width > 1) context.fragments.add('vector');
    return typeName(type);
  };
  return {
    literal: (value, type) => {
      if (type.width === 1) return scalarLiteral(value, type.element);
      context.fragments.add('splat');
      return `sf_splat<${type.width}>(${scalarLiteral(value, type.element)})`;
    },
    builtin: (builtin) => builtins[builtin],
    variable: (variable) => context.nameOf(variable.id),
    uniform: (uniform) => context.nameOf(uniform.id),
    unaryFunction: (operator, type) => unaryFunction(context, operator, type),
    binaryFunction: (operator, type) => binaryFunction(context, operator, type),
    special: (expression, print) => printSpecial(context, expression, print),
    declaration: (variable, mutability) =>
      `${mutability === 'constant' ? 'const ' : ''}${declared(variable.type)} ${context.nameOf(variable.id)}`,
    loopVariable: (variable) => `${declared(variable.type)} ${context.nameOf(variable.id)}`,
    loopHint: (unroll) => (unroll ? '#pragma unroll' : null),
    statement: (statement, print) => printSpecialStatement(context, statement, print),
  };
}
