/**
 * Scalar operations on the tape: value, derivative and error bound of each. An operation adds its
 * own rounding (u·|v|, √5 times that for complex products) and passes on |df/dx| times the bounds
 * of its operands; sums of n terms add (⌈log₂ n⌉ + 1)·u·Σ|term|, which covers any order.
 */
import {
  addComplex, complexOf, divideComplex, modulus, multiplyComplex, scalarFunctions,
  type Complex, type ScalarFunction,
} from './complex-functions.ts';
import { boundOf, isRealNode, pushNode, valueOf, type Edge, type Tape } from './tape.ts';
import { required } from '../../support/invariant.ts';

const one = complexOf(1);
const minusOne = complexOf(-1);

/** A number that no gradient reaches; a device of less than float64 rounds it once. */
export function constantNode(tape: Tape, re: number): number {
  const bound = tape.rounding.unit > 2 ** -53 && Number.isFinite(re) ? Math.abs(re - Math.fround(re)) : 0;
  return pushNode(tape, complexOf(re), { isReal: true, bound });
}

export function addNodes(tape: Tape, left: number, right: number, sign: 1 | -1 = 1): number {
  const [a, b] = [valueOf(tape, left), valueOf(tape, right)];
  const value = complexOf(a.re + sign * b.re, a.im + sign * b.im);
  const bound = boundOf(tape, left) + boundOf(tape, right) + tape.rounding.unit * modulus(value);
  return pushNode(tape, value, { isReal: isRealNode(tape, left) && isRealNode(tape, right), bound }, [
    { parent: left, partial: one, partialBound: 0 },
    { parent: right, partial: sign === 1 ? one : minusOne, partialBound: 0 },
  ]);
}

/** Rounding of a product: √5 covers the four products and two sums of a complex one. */
export function productUnit(tape: Tape, left: number, right: number): number {
  return (isRealNode(tape, left) || isRealNode(tape, right) ? 1 : Math.sqrt(5)) * tape.rounding.unit;
}

export function multiplyNodes(tape: Tape, left: number, right: number): number {
  const [a, b] = [valueOf(tape, left), valueOf(tape, right)];
  const [boundA, boundB] = [boundOf(tape, left), boundOf(tape, right)];
  const value = multiplyComplex(a, b);
  const carried = modulus(a) * boundB + modulus(b) * boundA + boundA * boundB;
  const bound = carried + productUnit(tape, left, right) * modulus(a) * modulus(b);
  return pushNode(tape, value, { isReal: isRealNode(tape, left) && isRealNode(tape, right), bound }, [
    { parent: left, partial: b, partialBound: boundB },
    { parent: right, partial: a, partialBound: boundA },
  ]);
}

export function divideNodes(tape: Tape, left: number, right: number): number {
  const [a, b] = [valueOf(tape, left), valueOf(tape, right)];
  const [boundA, boundB] = [boundOf(tape, left), boundOf(tape, right)];
  const isReal = isRealNode(tape, left) && isRealNode(tape, right);
  const quotient = divideComplex(a, b);
  const inverse = divideComplex(one, b);
  const room = modulus(b) - boundB;
  const relative = room > 0 ? boundB / room : Infinity;
  const carried = boundA * modulus(inverse) * (1 + relative) + (relative === 0 ? 0 : modulus(quotient) * relative);
  const bound = carried + tape.rounding.divide * (isReal ? 1 : 3) * tape.rounding.unit * modulus(quotient);
  const slope = multiplyComplex(complexOf(-quotient.re, -quotient.im), inverse);
  return pushNode(tape, quotient, { isReal, bound }, [
    { parent: left, partial: inverse, partialBound: relative * modulus(inverse) },
    { parent: right, partial: slope, partialBound: (bound + relative * modulus(quotient)) * modulus(inverse) },
  ]);
}

export function negateNode(tape: Tape, node: number): number {
  const { re, im } = valueOf(tape, node);
  return pushNode(tape, complexOf(-re, -im), { isReal: isRealNode(tape, node), bound: boundOf(tape, node) }, [
    { parent: node, partial: minusOne, partialBound: 0 },
  ]);
}

/** One of the table `scalarFunctions`, or `phi1`. */
export function applyFunction(tape: Tape, name: string, node: number): number {
  const scalar = required(scalarFunctions.get(name), `function ${name}`);
  return applyScalar(tape, scalar, name, node);
}

/** x^k for a constant exponent k. */
export function powerNode(tape: Tape, node: number, exponent: number): number {
  if (exponent === 0) return constantNode(tape, 1);
  if (exponent === 1) return node;
  const scalar: ScalarFunction = {
    value: (z) => constantPower(z, exponent),
    derivative: (z) => multiplyComplex(complexOf(exponent), constantPower(z, exponent - 1)),
  };
  return applyScalar(tape, scalar, exponent === 2 ? 'square' : 'power', node);
}

function constantPower(z: Complex, exponent: number): Complex {
  if (z.im === 0) return complexOf(z.re ** exponent);
  let product = one;
  for (let k = 0; k < Math.abs(exponent); k++) product = multiplyComplex(product, z);
  return exponent < 0 ? divideComplex(one, product) : product;
}

function applyScalar(tape: Tape, scalar: ScalarFunction, name: string, node: number): number {
  const z = valueOf(tape, node);
  const operandBound = boundOf(tape, node);
  const value = realOrNaN(scalar.value(z), isRealNode(tape, node));
  const derivative = scalar.derivative(z);
  const spread = derivativeSpread(scalar, z, operandBound, derivative);
  const own = tape.rounding.functionError(name, modulus(z), modulus(value));
  const carried = operandBound === 0 ? 0 : (modulus(derivative) + spread) * operandBound;
  const slopeSize = scalar.slopeTerms === undefined ? modulus(derivative) : scalar.slopeTerms(z.re);
  const partialBound = spread + tape.rounding.functionError(name, modulus(z), slopeSize);
  return pushNode(tape, value, { isReal: isRealNode(tape, node), bound: carried + own }, [
    { parent: node, partial: derivative, partialBound },
  ]);
}

/** A real function has no value where only a complex one exists (log and sqrt of negatives). */
function realOrNaN(value: Complex, isReal: boolean): Complex {
  return isReal && value.im !== 0 ? complexOf(NaN) : value;
}

/** How much the derivative changes over the operand's own uncertainty. */
function derivativeSpread(scalar: ScalarFunction, z: Complex, bound: number, derivative: Complex): number {
  if (bound === 0) return 0;
  const changeAt = (re: number): number => {
    const moved = scalar.derivative(complexOf(re, z.im));
    return Math.hypot(moved.re - derivative.re, moved.im - derivative.im);
  };
  const spread = Math.max(changeAt(z.re - bound), changeAt(z.re + bound));
  return Number.isNaN(spread) ? Infinity : spread;
}

/** The modulus; its gradient at 0 is 0. */
export function absNode(tape: Tape, node: number): number {
  const z = valueOf(tape, node);
  const size = modulus(z);
  const own = isRealNode(tape, node) ? 0 : tape.rounding.functionError('abs', size, size);
  const partial = size === 0 ? complexOf(0) : complexOf(z.re / size, -z.im / size);
  const partialBound = size === 0 ? 1 : Math.min(2, (2 * boundOf(tape, node)) / size);
  const edge: Edge = { parent: node, partial, partialBound };
  return pushNode(tape, complexOf(size), { isReal: true, bound: boundOf(tape, node) + own }, [edge]);
}

export function realNode(tape: Tape, node: number): number {
  if (isRealNode(tape, node)) return node;
  return pushNode(tape, complexOf(tape.re[node]!), { isReal: true, bound: boundOf(tape, node) }, [
    { parent: node, partial: one, partialBound: 0 },
  ]);
}

/** The pull-back of w = Im z is i·adjoint, so the partial that the rule conjugates is −i. */
export function imagNode(tape: Tape, node: number): number {
  return pushNode(tape, complexOf(tape.im[node]!), { isReal: true, bound: boundOf(tape, node) }, [
    { parent: node, partial: complexOf(0, -1), partialBound: 0 },
  ]);
}

/** re + i·im of two real nodes. */
export function complexNode(tape: Tape, re: number, im: number): number {
  const value = complexOf(tape.re[re]!, tape.re[im]!);
  const bound = Math.hypot(boundOf(tape, re), boundOf(tape, im));
  return pushNode(tape, value, { isReal: false, bound }, [
    { parent: re, partial: one, partialBound: 0 },
    { parent: im, partial: complexOf(0, 1), partialBound: 0 },
  ]);
}

export function conjugateNode(tape: Tape, node: number): number {
  if (isRealNode(tape, node)) return node;
  return complexNode(tape, realNode(tape, node), negateNode(tape, imagNode(tape, node)));
}

/** The larger (or smaller) of two reals; the first where they are equal. */
export function extremeNode(tape: Tape, left: number, right: number, which: 'max' | 'min'): number {
  const [a, b] = [tape.re[left]!, tape.re[right]!];
  const chosen = which === 'max' ? (b > a ? right : left) : b < a ? right : left;
  const bound = Math.max(boundOf(tape, left), boundOf(tape, right));
  return pushNode(tape, valueOf(tape, chosen), { isReal: true, bound }, [
    { parent: chosen, partial: one, partialBound: 0 },
  ]);
}

/** Σ of nodes: a chain of exact additions, then one bound for any order of summation. */
export function sumNodes(tape: Tape, nodes: readonly number[], order: 'any' | 'running' = 'any'): number {
  let total = nodes[0] ?? constantNode(tape, 0);
  let value = valueOf(tape, total);
  let bound = boundOf(tape, total);
  let sizes = modulus(value);
  const roundings = order === 'running' ? nodes.length : Math.ceil(Math.log2(Math.max(1, nodes.length))) + 1;
  const own = roundings * tape.rounding.unit;
  for (const node of nodes.slice(1)) {
    const term = valueOf(tape, node);
    value = addComplex(value, term);
    sizes += modulus(term);
    bound += boundOf(tape, node);
    const isReal = isRealNode(tape, total) && isRealNode(tape, node);
    total = pushNode(tape, value, { isReal, bound: bound + own * sizes }, [
      { parent: total, partial: one, partialBound: 0 },
      { parent: node, partial: one, partialBound: 0 },
    ]);
  }
  return total;
}
