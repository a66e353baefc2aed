/** Turns an expansion into a plain JavaScript function with faithful f32 arithmetic (scalars only). */
import { f32, type KernelExpression, type VariableId } from '../../../ir/kernel/nodes.ts';
import { KernelBuilder, variable } from '../../../ir/kernel/builder.ts';
import type { Expansion } from '../../../ir/numerics/index.ts';

const binaryText: Readonly<Record<string, string>> = {
  add: '+',
  subtract: '-',
  multiply: '*',
  divide: '/',
  less: '<',
  'less-equal': '<=',
  equal: '===',
  'not-equal': '!==',
  and: '&&',
  or: '||',
  'bit-and': '&',
  'bit-or': '|',
  'shift-left': '<<',
  'shift-right': '>>',
};

function textOf(expression: KernelExpression): string {
  const isFloat = expression.type.element === 'f32';
  switch (expression.kind) {
    case 'literal':
      return Object.is(expression.value, -0) ? '-0' : `(${expression.value})`;
    case 'variable':
      return `v${expression.variable.id}`;
    case 'unary': {
      const operand = textOf(expression.operand);
      switch (expression.operator) {
        case 'negate':
          return `(-${operand})`;
        case 'absolute':
          return `Math.abs(${operand})`;
        case 'floor':
          return `Math.floor(${operand})`;
        case 'square-root':
          return `Math.fround(Math.sqrt(${operand}))`;
        case 'exp2':
          return `Math.fround(2 ** ${operand})`;
        case 'log2':
          return `Math.fround(Math.log2(${operand}))`;
        case 'sine':
          return `Math.fround(Math.sin(${operand}))`;
        case 'cosine':
          return `Math.fround(Math.cos(${operand}))`;
        case 'not':
          return `(!${operand})`;
        default:
          throw new Error('no evaluation');
      }
    }
    case 'binary': {
      const text = `(${textOf(expression.left)} ${binaryText[expression.operator]} ${textOf(expression.right)})`;
      if (expression.type.element === 'bool') return text;
      return isFloat ? `Math.fround${text}` : `(${text} | 0)`;
    }
    case 'select':
      return `(${textOf(expression.condition)} ? ${textOf(expression.whenTrue)} : ${textOf(expression.whenFalse)})`;
    case 'convert':
      return isFloat ? `Math.fround(${textOf(expression.operand)})` : `(${textOf(expression.operand)} | 0)`;
    case 'bitcast':
      return `${isFloat ? 'toFloat' : 'toBits'}(${textOf(expression.operand)})`;
    default:
      throw new Error(`no evaluation of ${expression.kind}`);
  }
}

const floats = new Float32Array(1);
const integers = new Int32Array(floats.buffer);

/** The function that `expansion` computes. */
export function compileExpansion(expansion: Expansion): (x: number) => number {
  const builder = new KernelBuilder();
  const input = { id: 1000 as VariableId, name: 'x', type: f32 };
  let result: KernelExpression | undefined;
  const body = builder.nested(() => {
    result = expansion(builder, variable(input));
  });
  const lines = body.map((statement) => {
    if (statement.kind !== 'let') throw new Error(`no evaluation of ${statement.kind}`);
    return `const v${statement.variable.id} = ${textOf(statement.value)};`;
  });
  const source = `return (v1000) => { ${lines.join('\n')} return ${textOf(result!)}; };`;
  const toFloat = (bits: number): number => {
    integers[0] = bits;
    return floats[0]!;
  };
  const toBits = (value: number): number => {
    floats[0] = value;
    return integers[0]!;
  };
  return new Function('toFloat', 'toBits', source)(toFloat, toBits) as (x: number) => number;
}

/** Distance of `value` from `exact` in units in the last place of the f32 nearest to `exact`. */
export function ulpError(value: number, exact: number): number {
  if (Number.isNaN(value) !== Number.isNaN(exact)) return Infinity;
  if (Number.isNaN(exact) || value === Math.fround(exact)) return 0;
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(exact))), -126);
  return Math.abs(value - exact) / 2 ** (exponent - 23);
}
