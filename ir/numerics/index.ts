/**
 * The numerics library: elementary functions as Kernel IR expressions, one table from names to
 * expansions. Composite functions use the primitives exp2, log2, sine, cosine where their accuracy
 * suffices; targets without good primitives replace these by the `expand…` functions.
 */
import { multiply, unary, type KernelBuilder } from '../kernel/builder.ts';
import type { KernelExpression } from '../kernel/nodes.ts';
import {
  expandErf,
  expandSoftplus,
  expandTanh,
  lowerGelu,
  lowerLogSigmoid,
  lowerRelu,
  lowerSigmoid,
  lowerSign,
  lowerSilu,
} from './activation.ts';
import { expandExp2, expandExpm1, expandPhi1, lowerExponential } from './exponential.ts';
import { expandLog1p, expandLog2, lowerLogarithm } from './logarithm.ts';
import { expandCosine, expandSine } from './trigonometry.ts';

export { expandCosine, expandExp2, expandLog2, expandSine };

/** Functions of one real operand that `lowerFunction` knows. */
export type FunctionName =
  | 'exp'
  | 'exp2'
  | 'log'
  | 'log2'
  | 'expm1'
  | 'log1p'
  | 'phi1'
  | 'softplus'
  | 'sigmoid'
  | 'log-sigmoid'
  | 'silu'
  | 'relu'
  | 'gelu'
  | 'tanh'
  | 'erf'
  | 'sine'
  | 'cosine'
  | 'square'
  | 'square-root'
  | 'absolute'
  | 'sign';

/** Makes the value of a function from a bound operand; may bind intermediate values. */
export type Expansion = (builder: KernelBuilder, x: KernelExpression) => KernelExpression;

/** All functions. */
export const functionTable: Readonly<Record<FunctionName, Expansion>> = {
  exp: lowerExponential,
  exp2: (_, x) => unary('exp2', x),
  log: lowerLogarithm,
  log2: (_, x) => unary('log2', x),
  expm1: expandExpm1,
  log1p: expandLog1p,
  phi1: expandPhi1,
  softplus: expandSoftplus,
  sigmoid: lowerSigmoid,
  'log-sigmoid': lowerLogSigmoid,
  silu: lowerSilu,
  relu: lowerRelu,
  gelu: lowerGelu,
  tanh: expandTanh,
  erf: expandErf,
  sine: (_, x) => unary('sine', x),
  cosine: (_, x) => unary('cosine', x),
  square: (_, x) => multiply(x, x),
  'square-root': (_, x) => unary('square-root', x),
  absolute: (_, x) => unary('absolute', x),
  sign: lowerSign,
};

/** The value of `name` at `x` (f32 scalar or vector); binds `x` and what is used twice in `builder`. */
export function lowerFunction(
  builder: KernelBuilder,
  name: FunctionName,
  x: KernelExpression,
): KernelExpression {
  return functionTable[name](builder, builder.let('x', x));
}
