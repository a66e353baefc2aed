/**
 * Powers a^n of the transition of a time-invariant recurrence, n up to 2^24, as (re, im).
 *
 * a = e^(step · (re + i im)): the phase of one token is kept as a fraction of a turn in 48 fixed-point
 * bits, formed from a double-float product. Multiplying it by n is integer arithmetic modulo one turn,
 * exact, so that the phase of n tokens is as good as that of one (reliability D8). What is left of it
 * is below an eighth of a turn and goes into the own sine and cosine.
 * a given as a value: products of double-floats, square and multiply.
 */
import { add, binary, convert, literal, multiply, select, subtract, unary, variable, type KernelBuilder } from '../kernel/builder.ts';
import { i32, type KernelExpression } from '../kernel/nodes.ts';
import { addDouble, exactProduct, multiplyDouble, negateDouble, type DoubleFloat } from './double-float.ts';
import { lowerFunction } from './index.ts';
import { constant, integerConstant, integerType } from './polynomial.ts';
import { expandSmallAngle, pickQuadrant } from './trigonometry.ts';

/** re and, for a complex base, im. */
export type PowerParts = readonly KernelExpression[];

/** Three digits of 16 bits, the highest first: a fraction of a turn. */
type Turns = readonly [KernelExpression, KernelExpression, KernelExpression];

const inverseTurnHigh = Math.fround(1 / (2 * Math.PI));
const inverseTurnLow = Math.fround(1 / (2 * Math.PI) - inverseTurnHigh);

/** Digits of a non-negative number's fraction. */
function digitsOf(builder: KernelBuilder, x: KernelExpression): Turns {
  const whole = (value: KernelExpression): KernelExpression => builder.let('whole', unary('floor', value));
  const next = (value: KernelExpression, floor: KernelExpression): KernelExpression => builder.let('scaled', multiply(subtract(value, floor), constant(65536, x)));
  const first = next(x, whole(x));
  const [high, second] = [whole(first), next(first, whole(first))];
  const third = next(second, whole(second));
  const integer = (value: KernelExpression): KernelExpression => builder.let('digit', convert(value, integerType(x)));
  return [integer(high), integer(whole(second)), integer(whole(third))];
}

/** Carries from the lowest digit up; whole turns are dropped. Digits may be negative or above 16 bits. */
function normalise(builder: KernelBuilder, [high, middle, low]: Turns): Turns {
  const carry = (value: KernelExpression): KernelExpression => binary('shift-right', value, integerConstant(16, value));
  const digit = (value: KernelExpression): KernelExpression => builder.let('digit', binary('bit-and', value, integerConstant(65535, value)));
  const l = builder.let('low', low);
  const m = builder.let('middle', add(middle, carry(l)));
  const h = builder.let('high', add(high, carry(m)));
  return [digit(h), digit(m), digit(l)];
}

/** factor · turns modulo one turn, for 0 ≤ factor ≤ 4096. */
function scaleTurns(builder: KernelBuilder, turns: Turns, factor: KernelExpression): Turns {
  return normalise(builder, [multiply(turns[0], factor), multiply(turns[1], factor), multiply(turns[2], factor)]);
}

function addTurns(builder: KernelBuilder, left: Turns, right: Turns): Turns {
  return normalise(builder, [add(left[0], right[0]), add(left[1], right[1]), add(left[2], right[2])]);
}

/** |step · im| / 2π modulo one turn. */
function turnsOf(builder: KernelBuilder, step: KernelExpression, im: KernelExpression): Turns {
  const phase = exactProduct(builder, step, im);
  const turns = multiplyDouble(builder, phase, { high: constant(inverseTurnHigh, im), low: constant(inverseTurnLow, im) });
  const isNegative = builder.let('isNegative', binary('less', turns.high, constant(0, im)));
  const flipped = negateDouble(turns);
  const high = builder.let('turns', select(isNegative, flipped.high, turns.high));
  const low = builder.let('turns', select(isNegative, flipped.low, turns.low));
  const isBelow = builder.let('isBelow', binary('less', low, constant(0, im)));
  const digits = digitsOf(builder, high);
  const rest = digitsOf(builder, builder.let('rest', unary('absolute', low)));
  const signed = (digit: KernelExpression): KernelExpression => select(isBelow, unary('negate', digit), digit);
  return normalise(builder, [add(digits[0], signed(rest[0])), add(digits[1], signed(rest[1])), add(digits[2], signed(rest[2]))]);
}

/** [cos, sin] of 2π · turns, from the two highest digits of 16 bits. */
export function rotation(builder: KernelBuilder, [high, middle]: readonly [KernelExpression, KernelExpression, ...unknown[]]): readonly [KernelExpression, KernelExpression] {
  const quadrant = builder.let('quadrant', binary('shift-right', add(high, integerConstant(0x2000, high)), integerConstant(14, high)));
  const offset = subtract(high, binary('shift-left', quadrant, integerConstant(14, high)));
  const fixed = add(multiply(offset, integerConstant(65536, high)), middle);
  const float = convert(fixed, { element: 'f32', width: high.type.width });
  const angle = builder.let('angle', multiply(float, constant(2 * Math.PI * 2 ** -32, float)));
  const parts = expandSmallAngle(builder, angle);
  const bound = { sine: builder.let('sine', parts.sine), cosine: builder.let('cosine', parts.cosine) };
  const next = builder.let('quadrant', add(quadrant, integerConstant(1, high)));
  return [pickQuadrant(builder, bound, next), pickQuadrant(builder, bound, quadrant)];
}

/**
 * Prepares e^(step · (re + i im)) for many n. The function it returns may be called in an inner scope;
 * n is a scalar i32 with 0 ≤ n < 2^24.
 */
export function prepareExponentialPowers(
  builder: KernelBuilder, base: { readonly step: KernelExpression; readonly re: KernelExpression; readonly im: KernelExpression | null },
): (n: KernelExpression) => PowerParts {
  const [step, re] = [builder.let('step', base.step), builder.let('rate', base.re)];
  const magnitude = (n: KernelExpression): KernelExpression => {
    const count = builder.let('count', convert(n, { element: 'f32', width: 1 }));
    return builder.let('magnitude', lowerFunction(builder, 'exp', multiply(multiply(step, count), re)));
  };
  if (base.im === null) return (n) => [magnitude(n)];
  const im = builder.let('frequency', base.im);
  const turns = turnsOf(builder, step, im);
  const upper = scaleTurns(builder, turns, literal(4096, turns[0].type));
  const isNegative = builder.let('isNegative', binary('less', multiply(step, im), constant(0, im)));
  return (n) => {
    const [low, high] = [binary('bit-and', n, literal(4095, i32)), binary('shift-right', n, literal(12, i32))];
    const phase = addTurns(builder, scaleTurns(builder, turns, builder.let('n', low)), scaleTurns(builder, upper, builder.let('n', high)));
    const size = magnitude(n);
    const [cosine, sine] = rotation(builder, phase);
    const bound = builder.let('sine', sine);
    return [multiply(size, cosine), multiply(size, select(isNegative, unary('negate', bound), bound))];
  };
}

/** A base as double-floats; im is null for a real one. */
export type PreciseBase = { readonly re: DoubleFloat; readonly im: DoubleFloat | null };

export function preciseProduct(builder: KernelBuilder, left: PreciseBase, right: PreciseBase): PreciseBase {
  const product = (a: DoubleFloat, b: DoubleFloat): DoubleFloat => multiplyDouble(builder, a, b);
  if (left.im === null || right.im === null) return { re: product(left.re, right.re), im: null };
  return {
    re: addDouble(builder, product(left.re, right.re), negateDouble(product(left.im, right.im))),
    im: addDouble(builder, product(left.re, right.im), product(left.im, right.re)),
  };
}

/** Mutable variables that hold a precise number. */
export type PreciseVariable = { readonly read: () => PreciseBase; readonly assign: (value: PreciseBase) => void };

export function preciseVariable(builder: KernelBuilder, name: string, first: PreciseBase): PreciseVariable {
  const numbers = (value: PreciseBase): readonly KernelExpression[] => [value.re, ...(value.im === null ? [] : [value.im])].flatMap(({ high, low }) => [high, low]);
  const held = numbers(first).map((each) => builder.var(name, each));
  const part = (at: number): DoubleFloat | null => {
    const [high, low] = [held[at], held[at + 1]];
    return high === undefined || low === undefined ? null : { high: builder.let(name, variable(high)), low: builder.let(name, variable(low)) };
  };
  return {
    read: () => ({ re: part(0) ?? first.re, im: part(2) }),
    assign: (value) => {
      const bound = numbers(value).map((each) => builder.let(name, each));
      held.forEach((target, at) => builder.assign(target, bound[at] ?? literal(0, target.type)));
    },
  };
}

/** base^n by squaring, n a scalar i32 below 2^24. */
export function precisePower(builder: KernelBuilder, base: PreciseBase, n: KernelExpression): PreciseBase {
  const like = base.re.high;
  const of = (value: number): DoubleFloat => ({ high: constant(value, like), low: constant(0, like) });
  const total = preciseVariable(builder, 'power', { re: of(1), im: base.im === null ? null : of(0) });
  const square = preciseVariable(builder, 'square', base);
  builder.for('bit', { start: literal(0, i32), end: literal(24, i32) }, (bit) => {
    const rest = builder.let('rest', binary('shift-right', n, bit));
    builder.if(binary('less', literal(0, i32), rest), () => {
      const isSet = binary('equal', binary('bit-and', rest, literal(1, i32)), literal(1, i32));
      builder.if(isSet, () => total.assign(preciseProduct(builder, total.read(), square.read())));
      square.assign(preciseProduct(builder, square.read(), square.read()));
    });
  });
  return total.read();
}
