/** Tensor IR's elementwise operations as Kernel IR expressions, for every schedule alike. */
import { required } from '../../support/invariant.ts';
import { lowerFunction, type FunctionName } from '../numerics/index.ts';
import { lowerAnalytic, lowerPhi2 } from '../numerics/analytic.ts';
import { binary, convert, divide, literal, multiply, select, splat, unary, type KernelBuilder } from '../kernel/builder.ts';
import { f32, withWidth, type BinaryOperator, type KernelExpression } from '../kernel/nodes.ts';
import type { BinaryFunction, TensorOp, UnaryFunction } from '../tensor/ops.ts';

export type ElementwiseOp = Extract<TensorOp, { kind: 'unary' | 'binary' | 'select' | 'analytic' | 'broadcast' }>;

/** Values of the operation's results from those of its operands, in operand order. */
export function emitElementwise(builder: KernelBuilder, op: ElementwiseOp, operands: readonly KernelExpression[]): readonly KernelExpression[] {
  const operand = (at: number): KernelExpression => required(operands[at], `operand ${at} of ${op.kind}`);
  switch (op.kind) {
    case 'unary':
      return [emitUnary(builder, op.function, operand(0))];
    case 'binary':
      return [emitBinary(builder, op.function, operand(0), operand(1))];
    case 'select':
      return [select(asCondition(operand(0)), operand(1), operand(2))];
    case 'analytic': {
      const [re, im] = [operand(0), operand(1)];
      const width = re.type.width > im.type.width ? re.type.width : im.type.width;
      return lowerAnalytic(builder, op.function, builder.let('re', splat(re, width)), builder.let('im', splat(im, width)));
    }
    case 'broadcast':
      return [operand(0)];
    default:
      return op satisfies never;
  }
}

/** Flags are stored as i32 and compared as bool. */
function asCondition(value: KernelExpression): KernelExpression {
  return value.type.element === 'bool' ? value : binary('not-equal', value, literal(0, value.type));
}

const named: Partial<Record<UnaryFunction, FunctionName>> = {
  exp: 'exp', exp2: 'exp2', log: 'log', 'square-root': 'square-root', sine: 'sine', cosine: 'cosine', tanh: 'tanh',
  sigmoid: 'sigmoid', softplus: 'softplus', expm1: 'expm1', log1p: 'log1p', erf: 'erf', phi1: 'phi1', absolute: 'absolute', sign: 'sign',
};

function emitUnary(builder: KernelBuilder, name: UnaryFunction, operand: KernelExpression): KernelExpression {
  const known = named[name];
  if (known !== undefined) return lowerFunction(builder, known, operand);
  switch (name) {
    case 'negate':
      return unary('negate', operand);
    case 'not':
      return unary('not', asCondition(operand));
    case 'phi2':
      return lowerPhi2(builder, operand);
    case 'to-real':
      return toReal(operand);
    default:
      throw new Error(`no kernel form of ${name}`);
  }
}

/** Flags and indices as f32; f32 as it is. */
export function toReal(operand: KernelExpression): KernelExpression {
  return operand.type.element === 'f32' || operand.type.element === 'f64' ? operand : convert(operand, withWidth(f32, operand.type.width));
}

const operators: Readonly<Record<Exclude<BinaryFunction, 'power' | 'and' | 'or'>, BinaryOperator>> = {
  add: 'add', subtract: 'subtract', multiply: 'multiply', divide: 'divide', maximum: 'maximum', minimum: 'minimum',
  less: 'less', 'less-equal': 'less-equal', equal: 'equal', 'not-equal': 'not-equal',
};

function emitBinary(builder: KernelBuilder, name: BinaryFunction, left: KernelExpression, right: KernelExpression): KernelExpression {
  if (name === 'and' || name === 'or') return binary(name, asCondition(left), asCondition(right));
  if (name === 'power') return emitPower(builder, left, right);
  const [a, b] = left.type.element === right.type.element && left.type.element !== 'bool' ? [left, right] : [toReal(left), toReal(right)];
  return binary(operators[name], a, b);
}

/** Small integer powers by products, others as 2^(r·log2 x) for positive x. */
function emitPower(builder: KernelBuilder, left: KernelExpression, right: KernelExpression): KernelExpression {
  const base = builder.let('base', left);
  const exponent = right.kind === 'literal' ? right.value : null;
  if (exponent !== null && Number.isInteger(exponent) && Math.abs(exponent) <= 8) {
    let product: KernelExpression = literal(1, base.type);
    for (let count = 0; count < Math.abs(exponent); count++) product = count === 0 ? base : multiply(product, base);
    return exponent < 0 ? divide(literal(1, base.type), product) : product;
  }
  if (exponent === 0.5) return unary('square-root', base);
  if (exponent === -0.5) return divide(literal(1, base.type), unary('square-root', base));
  return unary('exp2', multiply(right, unary('log2', base)));
}

