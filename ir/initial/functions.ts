/** Elementwise functions of initialisers: operators and the functions of the language, real and complex. */
import {
  exponential, exponentialMinusOne, hyperbolicTangent, inverseSoftplus, logarithm, logarithmOnePlus, softplus,
} from './portable.ts';
import type { Pair } from './values.ts';

/** `gives`: the type of the result; `same` is complex when an operand is. */
export type InitialFunction = {
  readonly gives: 'same' | 'real' | 'complex';
  readonly acceptsComplex: boolean;
  readonly apply: (...entries: readonly Pair[]) => Pair;
};

const zero: Pair = [0, 0];

function real(apply: (left: number, right: number) => number): InitialFunction {
  return { gives: 'real', acceptsComplex: false, apply: ([x] = zero, [y] = zero) => [apply(x, y), 0] };
}

function complex(gives: InitialFunction['gives'], apply: (left: Pair, right: Pair) => Pair): InitialFunction {
  return { gives, acceptsComplex: true, apply: (left = zero, right = zero) => apply(left, right) };
}

function product([a, b]: Pair, [c, d]: Pair): Pair {
  return [a * c - b * d, a * d + b * c];
}

function quotient([a, b]: Pair, [c, d]: Pair): Pair {
  if (d === 0) return [a / c, b / c];
  const size = c * c + d * d;
  return [(a * c + b * d) / size, (b * c - a * d) / size];
}

function raise(base: number, exponent: number): number {
  if (Number.isInteger(exponent) && Math.abs(exponent) <= 64) {
    let power = 1;
    for (let step = 0; step < Math.abs(exponent); step++) power *= base;
    return exponent < 0 ? 1 / power : power;
  }
  if (exponent === 0.5) return Math.sqrt(base);
  return exponential(exponent * logarithm(base));
}

/** By call name. */
export const initialFunctions: ReadonlyMap<string, InitialFunction> = new Map([
  ['add', complex('same', ([a, b], [c, d]) => [a + c, b + d])],
  ['subtract', complex('same', ([a, b], [c, d]) => [a - c, b - d])],
  ['multiply', complex('same', product)],
  ['divide', complex('same', quotient)],
  ['negate', complex('same', ([a, b]) => [-a, -b])],
  ['power', real(raise)],
  ['exp', complex('same', ([a, b]) => [exponential(a) * Math.cos(b), exponential(a) * Math.sin(b)])],
  ['log', real(logarithm)],
  ['sqrt', real(Math.sqrt)],
  ['sin', real(Math.sin)],
  ['cos', real(Math.cos)],
  ['tanh', real(hyperbolicTangent)],
  ['abs', complex('real', ([a, b]) => [b === 0 ? Math.abs(a) : Math.sqrt(a * a + b * b), 0])],
  ['sign', real(Math.sign)],
  ['sigmoid', real((x) => (x >= 0 ? 1 / (1 + exponential(-x)) : exponential(x) / (1 + exponential(x))))],
  ['softplus', real(softplus)],
  ['inverse_softplus', real(inverseSoftplus)],
  ['expm1', real(exponentialMinusOne)],
  ['log1p', real(logarithmOnePlus)],
  ['square', complex('same', (each) => product(each, each))],
  ['max', real(Math.max)],
  ['min', real(Math.min)],
  ['complex', { gives: 'complex', acceptsComplex: false, apply: ([re] = zero, [im] = zero) => [re, im] }],
  ['real', complex('real', ([re]) => [re, 0])],
  ['imag', complex('real', ([, im]) => [im, 0])],
  ['conj', complex('same', ([re, im]) => [re, -im])],
]);
