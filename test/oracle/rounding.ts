/**
 * Models of how a device may round: the unit roundoff of its arithmetic, the roundoff of storage,
 * and the error its functions are allowed. The oracle computes in float64 and carries, beside each
 * value, how far a device that keeps this model may be away from it.
 */

export type Rounding = {
  readonly name: string;
  /** unit roundoff of arithmetic and accumulation */
  readonly unit: number;
  /** unit roundoff of stored outputs beyond `unit`: 0, 2^-11 (f16) or 2^-8 (bf16) */
  readonly storage: number;
  /** smallest normal number: below it a device may flush to zero */
  readonly tiny: number;
  /** allowed absolute error of function `name` at |x| with |f(x)|, its operand being exact */
  readonly functionError: (name: string, operandSize: number, resultSize: number) => number;
  /** allowed error of a quotient, in unit roundoffs of the result */
  readonly divide: number;
  /** error of a state in parts of the largest one of its sequence, where states are convolved by FFT; else 0 */
  readonly sequence: number;
  /** applied to every value the tape makes: identity, or the rounding of an emulated device */
  readonly round: (value: number) => number;
};

const exactly = (value: number): number => value;

/** Errors of careful implementations, in unit roundoffs of the result (an ulp is at most two). */
const carefulUnits: ReadonlyMap<string, number> = new Map([
  ['exp', 5], ['expm1', 6], ['log', 6], ['log1p', 6], ['sqrt', 2], ['sin', 4], ['cos', 4],
  ['tanh', 10], ['sigmoid', 10], ['softplus', 8], ['silu', 12], ['gelu', 12], ['log_sigmoid', 8],
  ['square', 1], ['phi1', 10], ['relu', 0], ['sign', 0], ['abs', 2],
]);

/**
 * Functions that are one exponential and a little more: e^x is taken as 2^(x·log₂e), whose exponent
 * is rounded twice more than x, so their relative error grows by 2|x| units.
 */
const exponentials: ReadonlySet<string> = new Set(['exp', 'sigmoid', 'silu', 'softplus', 'log_sigmoid']);

function carefulError(unit: number): Rounding['functionError'] {
  return (name, operandSize, resultSize) => {
    const units = (carefulUnits.get(name) ?? 8) + (exponentials.has(name) ? 2 * operandSize : 0);
    const relative = units * unit * resultSize;
    if (name === 'gelu') return relative + 4 * unit * Math.min(operandSize, 8);
    if (name === 'sin' || name === 'cos') return relative + 2 * unit * Math.max(1, operandSize * 0.01);
    return relative;
  };
}

/** float64 itself: what a second float64 evaluation may differ by. */
export const float64Rounding: Rounding = {
  name: 'f64', unit: 2 ** -53, storage: 0, tiny: 2 ** -1022, divide: 2, sequence: 0, round: exactly, functionError: carefulError(2 ** -53),
};

/** f32 arithmetic with correctly rounded operations and our own functions (CUDA, WASM, interpreter). */
export const float32Rounding: Rounding = {
  name: 'f32', unit: 2 ** -24, storage: 0, tiny: 2 ** -126, divide: 2, sequence: 0, round: exactly, functionError: carefulError(2 ** -24),
};

/**
 * f32 under WGSL's rules: sums and products may be rounded either way (2 units), a quotient is within
 * 2.5 ulp, exp and exp2 within 3 + 2|x| ulp of their own operand (6 + 4|x| units for exp, 6 + 6|x| with
 * two more roundings where exp is taken as exp2), log 3 ulp or 2^-21 absolute near 1, tanh 1e-5
 * absolute; the other functions are made of exp.
 */
export const wgslRounding: Rounding = {
  name: 'wgsl',
  unit: 2 ** -23,
  storage: 0,
  tiny: 2 ** -126,
  divide: 2.5,
  sequence: 0,
  round: exactly,
  functionError: (name, operandSize, resultSize) => {
    const unit = 2 ** -24;
    const careful = 2 * carefulError(unit)(name, operandSize, resultSize);
    const throughExp = (6 + 8 * operandSize) * unit;
    switch (name) {
      case 'exp': return throughExp * resultSize;
      case 'phi1':
      case 'expm1':
      case 'sigmoid':
      case 'softplus':
      case 'log_sigmoid':
      case 'silu': return careful + throughExp * resultSize;
      case 'log':
      case 'log1p': return careful + 6 * unit * resultSize + (operandSize > 0.5 && operandSize < 2 ? 2 ** -21 : 0);
      case 'tanh': return 1e-5 + careful;
      case 'gelu': return careful + 8 * unit * Math.min(operandSize, 8) + throughExp * Math.min(operandSize, 1);
      default: return careful;
    }
  },
};

/** The same arithmetic with outputs stored in half precision; inputs must be rounded by the caller. */
export function withStorage(rounding: Rounding, dtype: 'f16' | 'bf16'): Rounding {
  return { ...rounding, name: `${rounding.name} ${dtype}`, storage: dtype === 'f16' ? 2 ** -11 : 2 ** -8 };
}

/** The same arithmetic where states are convolved: an FFT is accurate beside the largest value of a sequence only. */
export function withConvolution(rounding: Rounding): Rounding {
  return { ...rounding, name: `${rounding.name} convolved`, sequence: 4e-6 };
}

/** An f32 device in the order of the naive evaluation, for tests of the bounds: every node is rounded. */
export const emulatedFloat32: Rounding = { ...float32Rounding, name: 'emulated f32', round: Math.fround };
