/**
 * The transition of a recurrence as a base of powers. a^n is e^(n·log a) where the text gives log a
 * (zero-order hold, a decay written as exp): then Δ and λ stay apart, and the phase n·Δ·λ of thousands
 * of tokens is not the n-th power of one rounded number. Other transitions are powers of their value.
 */
import { required } from '../../support/invariant.ts';
import type { TensorBuilder } from '../tensor/builder.ts';
import type { Coefficient, PowerBase, TensorInstruction, ValueId } from '../tensor/ops.ts';

type Product = { readonly scale: number; readonly factors: readonly ValueId[] };

function productOf(id: ValueId, definitions: ReadonlyMap<ValueId, TensorInstruction>): Product {
  const op = required(definitions.get(id), `definition of %${id}`).op;
  if (op.kind === 'constant') return { scale: op.value, factors: [] };
  if (op.kind === 'unary' && op.function === 'negate') {
    const inner = productOf(op.operand, definitions);
    return inner.factors.length < 2 ? { scale: 1, factors: [id] } : { ...inner, scale: -inner.scale };
  }
  if (op.kind !== 'binary' || op.function !== 'multiply') return { scale: 1, factors: [id] };
  const [left, right] = [productOf(op.left, definitions), productOf(op.right, definitions)];
  return { scale: left.scale * right.scale, factors: [...left.factors, ...right.factors] };
}

/** One value of what is left of a product; scales that are 1 up to float64 rounding go. */
function merged(builder: TensorBuilder, scale: number, factors: readonly ValueId[]): ValueId {
  const isOne = Math.abs(scale - 1) < 1e-14;
  const [first, ...rest] = isOne && factors.length > 0 ? factors : [builder.constant(isOne ? 1 : scale), ...factors];
  return rest.reduce((product, each) => builder.multiply(product, each), required(first, 'factor'));
}

/** e^(re + i·im), times `scale`, with a common factor as the step. */
function exponential(builder: TensorBuilder, re: Product, im: Product | null): PowerBase {
  const step = re.factors.length > 1 ? (re.factors.find((id) => im === null || im.factors.includes(id)) ?? null) : null;
  const without = (product: Product): ValueId => {
    const at = step === null ? -1 : product.factors.indexOf(step);
    return merged(builder, product.scale, product.factors.filter((_, place) => place !== at));
  };
  return { kind: 'exponential', step, re: without(re), im: im === null ? null : without(im) };
}

/** The base of a transition given by its parts or its exponent of two (values of the function). */
export function powerBaseOf(builder: TensorBuilder, coefficient: Coefficient, definitions: ReadonlyMap<ValueId, TensorInstruction>): PowerBase {
  if (coefficient.kind === 'exponent') {
    const product = productOf(coefficient.exponent, definitions);
    return exponential(builder, { ...product, scale: product.scale * Math.LN2 }, null);
  }
  const [re, im] = coefficient.parts;
  const whole = required(definitions.get(required(re, 'transition')), 'transition');
  const isPair = im !== undefined && whole.results[0]?.id === re && whole.results[1]?.id === im;
  if (isPair && whole.op.kind === 'analytic' && whole.op.function === 'exp') {
    return exponential(builder, productOf(whole.op.re, definitions), productOf(whole.op.im, definitions));
  }
  if (im === undefined && whole.op.kind === 'unary' && whole.op.function === 'exp') {
    return exponential(builder, productOf(whole.op.operand, definitions), null);
  }
  return { kind: 'value', re: required(re, 'transition'), im: im ?? null };
}
