/**
 * The transform that one workgroup does: Stockham's autosorting FFT between two halves of workgroup
 * memory (on a CPU: of a private array, four channels side by side in a vector).
 *
 * A sequence of `length` real numbers is packed into h = 2^k ≥ length complex ones, even tokens in re
 * and odd ones in im, so that the 2 h real points leave room for a linear convolution. h = columns ×
 * rows (the four-step split): a workgroup has min(h, 1024) points, which are one row, or as many
 * columns as fit. Sizes depend on the run's length and are worked out in the kernel.
 */
import { add, binary, builtin, convert, element, integer, less, literal, load, loadShared, multiply, select, splat, subtract, unary, type KernelBuilder } from '../../kernel/builder.ts';
import type { Buffer, KernelExpression, KernelType } from '../../kernel/nodes.ts';
import { rotation } from '../../numerics/powers.ts';
import type { Machine } from '../parameters.ts';

/** log2 of the points of one workgroup; two halves of re and im fill the 16 KiB that every WebGPU device has. */
export const logMostPoints = 10;
export const mostPoints: number = 2 ** logMostPoints;

/** Longest sequence: columns and rows both fit a workgroup. */
export const longestTransform: number = 2 ** (2 * logMostPoints);

export type Complex = readonly [KernelExpression, KernelExpression];

/** log2 of h, of a workgroup's points (and of the rows' length), of the columns' length; i32, uniform. */
export type TransformSizes = { readonly whole: KernelExpression; readonly points: KernelExpression; readonly column: KernelExpression };

const shiftLeft = (value: KernelExpression, by: KernelExpression): KernelExpression => binary('shift-left', value, by);

/** 2^exponent */
export function powerOfTwoOf(exponent: KernelExpression): KernelExpression {
  return shiftLeft(integer(1), exponent);
}

/** The sizes of this run. */
export function transformSizes(builder: KernelBuilder): TransformSizes {
  const length = builder.uniform('length', 'length');
  let log: KernelExpression = integer(0);
  for (let bit = 0; bit < 2 * logMostPoints; bit++) log = add(log, select(less(integer(2 ** bit), length), integer(1), integer(0)));
  const whole = builder.let('log_size', log);
  const points = builder.let('log_points', binary('minimum', whole, integer(logMostPoints)));
  return { whole, points, column: builder.let('log_column', subtract(whole, points)) };
}

/** e^(−2πi · place / 2^log) for 0 ≤ place < 2^log, log ≤ 20, from the exact fraction of a turn. */
export function twiddle(builder: KernelBuilder, place: KernelExpression, log: KernelExpression): Complex {
  const fraction = builder.let('fraction', shiftLeft(place, subtract(integer(2 * logMostPoints), log)));
  const digits = [
    builder.let('digit', binary('shift-right', fraction, integer(4))),
    builder.let('digit', shiftLeft(binary('bit-and', fraction, integer(15)), integer(12))),
  ] as const;
  const [cosine, sine] = rotation(builder, digits);
  return [builder.let('cosine', cosine), builder.let('sine', unary('negate', sine))];
}

/** Two halves of memory for re and im; indices count points. */
export type Exchange = {
  readonly load: (index: KernelExpression) => Complex;
  readonly store: (index: KernelExpression, value: Complex) => void;
};

/** Workgroup memory, or a private array where a workgroup is one worker. */
export function openExchange(builder: KernelBuilder, machine: Machine, type: KernelType): Exchange {
  if (machine.maximumWorkgroup > 1) {
    const [re, im] = [builder.shared('re', type, 2 * mostPoints), builder.shared('im', type, 2 * mostPoints)];
    return {
      load: (index) => [builder.let('re', loadShared(re, index)), builder.let('im', loadShared(im, index))],
      store: (index, value) => { builder.storeShared(re, index, value[0]); builder.storeShared(im, index, value[1]); },
    };
  }
  const [re, im] = [builder.array('re', type, 2 * mostPoints), builder.array('im', type, 2 * mostPoints)];
  return {
    load: (index) => [builder.let('re', element(re, index)), builder.let('im', element(im, index))],
    store: (index, value) => { builder.setElement(re, index, value[0]); builder.setElement(im, index, value[1]); },
  };
}

/** Invocations of a transform's workgroup. */
export function transformThreads(machine: Machine): number {
  return Math.min(128, machine.maximumWorkgroup);
}

/** Spreads 0 … count − 1 over the invocations. */
export function forPoints(builder: KernelBuilder, machine: Machine, count: KernelExpression, body: (index: KernelExpression) => void): void {
  const threads = transformThreads(machine);
  builder.for('i', { start: threads === 1 ? integer(0) : builtin('invocation'), end: count, step: threads }, body);
}

export function synchronise(builder: KernelBuilder, machine: Machine): void {
  if (machine.maximumWorkgroup > 1) builder.barrier();
}

export type TransformRequest = {
  readonly builder: KernelBuilder;
  readonly machine: Machine;
  readonly exchange: Exchange;
  readonly type: KernelType;
  /** e^(−2πi j / 1024) for j < 512, in two buffers */
  readonly twiddles: readonly [Buffer, Buffer];
  /** log2 of all points, of the length of each transform, and of how many lie interleaved */
  readonly logPoints: KernelExpression;
  readonly logLength: KernelExpression;
  readonly logStride: KernelExpression;
};

export function product([a, b]: Complex, [c, d]: Complex): Complex {
  return [subtract(multiply(a, c), multiply(b, d)), add(multiply(a, d), multiply(b, c))];
}

/**
 * Transforms interleaved sequences (element r of sequence c at c + r · stride) in place of the first
 * half; returns where the results begin. Between n points at distance s, butterfly b takes points b
 * and b + P/2 and gives 2 b − q and 2 b − q + s, q = b mod s, with the twiddle (b − q)/P.
 */
export function transform(request: TransformRequest): KernelExpression {
  const { builder, machine, exchange, type, twiddles, logPoints, logLength, logStride } = request;
  const half = builder.let('half', binary('shift-right', powerOfTwoOf(logPoints), integer(1)));
  const spread = builder.let('spread', subtract(integer(logMostPoints), logPoints));
  builder.for('stage', { start: integer(0), end: logLength }, (stage) => {
    const from = builder.let('from', multiply(binary('bit-and', stage, integer(1)), integer(mostPoints)));
    const to = builder.let('to', subtract(integer(mostPoints), from));
    const distance = builder.let('distance', powerOfTwoOf(add(logStride, stage)));
    const mask = builder.let('mask', subtract(distance, integer(1)));
    forPoints(builder, machine, half, (index) => {
      const inside = builder.let('q', binary('bit-and', index, mask));
      const start = builder.let('p', subtract(index, inside));
      const a = exchange.load(add(from, index));
      const b = exchange.load(add(from, add(index, half)));
      const place = builder.let('place', shiftLeft(start, spread));
      const factor = twiddles.map((buffer) => builder.let('twiddle', splat(load(buffer, place), type.width)));
      const difference: Complex = [builder.let('re', subtract(a[0], b[0])), builder.let('im', subtract(a[1], b[1]))];
      const target = builder.let('target', add(to, add(start, index)));
      exchange.store(target, [add(a[0], b[0]), add(a[1], b[1])]);
      exchange.store(add(target, distance), product(difference, [factor[0] ?? literal(0), factor[1] ?? literal(0)]));
    });
    synchronise(builder, machine);
  });
  return builder.let('base', multiply(binary('bit-and', logLength, integer(1)), integer(mostPoints)));
}

/** log2 as f32 scale 1/h. */
export function inverseSize(builder: KernelBuilder, sizes: TransformSizes): KernelExpression {
  return builder.let('scale', binary('divide', literal(1), convert(powerOfTwoOf(sizes.whole), { element: 'f32', width: 1 })));
}

