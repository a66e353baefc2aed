/**
 * One Tensor IR operation on float64 tensors, for all kinds but the scan. Written for clarity: each
 * operation is one walk over the space that its doc comment in ops.ts names.
 */
import { invariant, required } from '../../support/invariant.ts';
import { evaluateConvolution } from './interpret-convolution.ts';
import {
  analyticFunction, binaryFunctions, complexBinaryFunction, complexUnaryFunction, unaryFunctions, type Complex,
} from './interpret-functions.ts';
import {
  copyAlong, forEachRow, imaginaryOf, scalarTensor, spread, stridesAlong, zeros, type SizeOf, type Tensor,
} from './interpret-tensor.ts';
import type { AffineScanOp, TensorOp, TensorType, TensorValue, ValueId } from './ops.ts';

/** Where an instruction runs: whole functions, or a block of tokens of a scan's region. */
export type Frame = {
  /** sizes of all axes; `time` is the number of tokens of this frame */
  readonly sizeOf: SizeOf;
  /** tokens of the whole sequence */
  readonly length: number;
  /** position of the frame's first token */
  readonly timeStart: number;
  readonly argument: (op: Extract<TensorOp, { kind: 'argument' }>, type: TensorType) => Tensor;
};

type ReadValue = (id: ValueId) => Tensor;
type Of<Kind extends TensorOp['kind']> = Extract<TensorOp, { kind: Kind }>;

/** Every kind but the scan, which has a file of its own. */
export type PlainOp = Exclude<TensorOp, AffineScanOp>;

/** Applies `compute` to the real numbers of the operands, element by element. */
function mapReal(
  axes: readonly string[], sizeOf: SizeOf, operands: readonly Tensor[], compute: (...values: number[]) => number,
): Tensor {
  const result = zeros(axes, sizeOf, 'real');
  const [left = scalarTensor(0), right = left, third = left] = operands;
  const strides = [result, left, right, third].map((tensor) => stridesAlong(tensor, axes));
  const read = (tensor: Tensor, at: number): number => tensor.re[at] ?? NaN;
  forEachRow({ shape: result.shape, strides }, ([o = 0, l = 0, r = 0, t = 0], [so = 0, sl = 0, sr = 0, st = 0], count) => {
    for (let i = 0; i < count; i++) {
      result.re[o + i * so] = compute(read(left, l + i * sl), read(right, r + i * sr), read(third, t + i * st));
    }
  });
  return result;
}

/** As `mapReal` for complex numbers. */
function mapComplex(
  axes: readonly string[], sizeOf: SizeOf, operands: readonly Tensor[],
  compute: (left: Complex, right: Complex) => Complex,
): Tensor {
  const result = zeros(axes, sizeOf, 'complex');
  const [left = scalarTensor(0), right = left] = operands;
  const [leftIm, rightIm, im] = [imaginaryOf(left), imaginaryOf(right), imaginaryOf(result)];
  const strides = [result, left, right].map((tensor) => stridesAlong(tensor, axes));
  forEachRow({ shape: result.shape, strides }, ([o = 0, l = 0, r = 0], [so = 0, sl = 0, sr = 0], count) => {
    for (let i = 0; i < count; i++) {
      const [atLeft, atRight] = [l + i * sl, r + i * sr];
      const value = compute(
        { re: left.re[atLeft] ?? NaN, im: leftIm[atLeft] ?? NaN },
        { re: right.re[atRight] ?? NaN, im: rightIm[atRight] ?? NaN },
      );
      result.re[o + i * so] = value.re;
      im[o + i * so] = value.im;
    }
  });
  return { ...result, im };
}

function evaluateUnary(op: Of<'unary'>, type: TensorType, read: ReadValue, frame: Frame): Tensor {
  const operand = read(op.operand);
  if (operand.im === null) return mapReal(type.axes, frame.sizeOf, [operand], unaryFunctions[op.function]);
  const compute = required(complexUnaryFunction(op.function), `complex ${op.function}`);
  return mapComplex(type.axes, frame.sizeOf, [operand], compute);
}

function evaluateBinary(op: Of<'binary'>, type: TensorType, read: ReadValue, frame: Frame): Tensor {
  const operands = [read(op.left), read(op.right)];
  if (operands.every((each) => each.im === null)) {
    return mapReal(type.axes, frame.sizeOf, operands, binaryFunctions[op.function]);
  }
  const compute = required(complexBinaryFunction(op.function), `complex ${op.function}`);
  return mapComplex(type.axes, frame.sizeOf, operands, compute);
}

/** The same computation on the real and, when there are any, on the imaginary numbers. */
function byPart(operands: readonly Tensor[], compute: (parts: readonly Tensor[]) => Tensor): Tensor {
  const real = compute(operands.map((each) => ({ ...each, im: null })));
  if (operands.every((each) => each.im === null)) return real;
  return { ...real, im: compute(operands.map((each) => ({ ...each, re: imaginaryOf(each), im: null }))).re };
}

function evaluateSelect(op: Of<'select'>, type: TensorType, read: ReadValue, frame: Frame): Tensor {
  const condition = read(op.condition);
  const choose = (flag: number, whenTrue: number, whenFalse: number): number => (flag !== 0 ? whenTrue : whenFalse);
  return byPart([read(op.whenTrue), read(op.whenFalse)], (branches) =>
    mapReal(type.axes, frame.sizeOf, [condition, ...branches], choose));
}

function evaluateAnalytic(op: Of<'analytic'>, type: TensorType, read: ReadValue, frame: Frame): readonly Tensor[] {
  const [re, im] = [spread(read(op.re), type.axes, frame.sizeOf), spread(read(op.im), type.axes, frame.sizeOf)];
  const result = mapComplex(type.axes, frame.sizeOf, [{ ...re, im: im.re }], (z) => analyticFunction(op.function, z));
  return [{ ...result, im: null }, { ...result, re: imaginaryOf(result), im: null }];
}

/** Walks the operand; the summed axes do not move in the result. Shared with the yields of scans. */
export function reduceTensor(
  operand: Tensor, name: 'sum' | 'maximum', axes: readonly string[], sizeOf: SizeOf,
): Tensor {
  return byPart([operand], ([part = operand]) => {
    const result = zeros(axes, sizeOf, 'real');
    if (name === 'maximum') result.re.fill(-Infinity);
    const strides = [stridesAlong(result, part.axes), stridesAlong(part, part.axes)];
    forEachRow({ shape: part.shape, strides }, ([o = 0, p = 0], [so = 0, sp = 0], count) => {
      for (let i = 0; i < count; i++) {
        const [before, value] = [result.re[o + i * so] ?? NaN, part.re[p + i * sp] ?? NaN];
        result.re[o + i * so] = name === 'sum' ? before + value : Math.max(before, value);
      }
    });
    return result;
  });
}

function evaluateContract(op: Of<'contract'>, type: TensorType, read: ReadValue, { sizeOf }: Frame): Tensor {
  const [left, right] = [read(op.left), read(op.right)];
  const result = zeros(type.axes, sizeOf, 'real');
  const space = [...type.axes, ...op.over];
  const strides = [result, left, right].map((tensor) => stridesAlong(tensor, space));
  forEachRow({ shape: space.map(sizeOf), strides }, ([o = 0, l = 0, r = 0], [so = 0, sl = 0, sr = 0], count) => {
    for (let i = 0; i < count; i++) {
      const product = (left.re[l + i * sl] ?? NaN) * (right.re[r + i * sr] ?? NaN);
      result.re[o + i * so] = (result.re[o + i * so] ?? NaN) + product;
    }
  });
  return result;
}

/** Copies the tokens from `from` on to the tokens from `to` on; the rest stays zero. */
function moveTokens(
  operand: Tensor, axes: readonly string[], sizeOf: SizeOf, moved: { from: number; to: number; count: number },
): Tensor {
  return byPart([operand], ([part = operand]) => {
    const result = zeros(axes, sizeOf, 'real');
    const space = axes.includes('time') ? axes : part.axes;
    const shape = space.map((axis) => (axis === 'time' ? moved.count : sizeOf(axis)));
    const strides = [stridesAlong(result, space), stridesAlong(part, space)];
    const time = space.indexOf('time');
    const start = [moved.to * (strides[0]?.[time] ?? 0), moved.from * (strides[1]?.[time] ?? 0)];
    copyAlong({ shape, strides, start }, result.re, part.re);
    return result;
  });
}

/** Moves the operand along time and, with a tail, adds what the tail has for the first tokens. */
function evaluateDelay(op: Of<'delay'>, type: TensorType, read: ReadValue, frame: Frame): Tensor {
  const { operand, steps, tail } = op;
  const moved = evaluateSlide({ kind: 'slide', operand, from: 'time', to: 'time', steps, lengths: 0 }, type, read, frame);
  if (tail === null) return moved;
  const first = { kind: 'slide', operand: tail.value, from: tail.axis, to: 'time', steps: steps - frame.sizeOf(tail.axis), lengths: 0 } as const;
  const carried = evaluateSlide(first, type, read, frame);
  const sum = (left: Float64Array, right: Float64Array | null): Float64Array => left.map((each, at) => each + (right?.[at] ?? 0));
  return { ...moved, re: sum(moved.re, carried.re), im: moved.im === null ? null : sum(moved.im, carried.im) };
}

function evaluateSlide(op: Of<'slide'>, type: TensorType, read: ReadValue, { sizeOf, length }: Frame): Tensor {
  const shift = op.steps + op.lengths * length;
  const [from, to] = [Math.max(0, -shift), Math.max(0, shift)];
  const count = Math.max(0, Math.min(sizeOf(op.from) - from, sizeOf(op.to) - to));
  return byPart([read(op.operand)], ([part = read(op.operand)]) => {
    const result = zeros(type.axes, sizeOf, 'real');
    const shape = type.axes.map((axis) => (axis === op.to ? count : sizeOf(axis)));
    const own = type.axes.map((axis) => (axis === op.to ? op.from : axis));
    const strides = [stridesAlong(result, type.axes), stridesAlong(part, own)];
    const at = type.axes.indexOf(op.to);
    const start = [to * (strides[0]?.[at] ?? 0), from * (strides[1]?.[at] ?? 0)];
    if (count > 0) copyAlong({ shape, strides, start }, result.re, part.re);
    return result;
  });
}

function rowOf(value: number | undefined, size: number, axis: string): number {
  const row = value ?? NaN;
  invariant(Number.isInteger(row) && row >= 0 && row < size, `index ${row} outside axis ${axis} of size ${size}`);
  return row;
}

function evaluateGather(op: Of<'gather'>, type: TensorType, read: ReadValue, { sizeOf }: Frame): Tensor {
  const index = read(op.index);
  return byPart([read(op.table)], ([table = index]) => {
    const result = zeros(type.axes, sizeOf, 'real');
    const others = type.axes.map((axis) => (axis === op.axis ? '' : axis));
    const [rowStride = 0] = stridesAlong(table, [op.axis]);
    const strides = [stridesAlong(result, type.axes), stridesAlong(table, others), stridesAlong(index, type.axes)];
    forEachRow({ shape: result.shape, strides }, ([o = 0, t = 0, x = 0], [so = 0, st = 0, sx = 0], count) => {
      for (let i = 0; i < count; i++) {
        const row = rowOf(index.re[x + i * sx], sizeOf(op.axis), op.axis);
        result.re[o + i * so] = table.re[t + i * st + row * rowStride] ?? NaN;
      }
    });
    return result;
  });
}

function evaluateScatterAdd(op: Of<'scatter-add'>, type: TensorType, read: ReadValue, { sizeOf }: Frame): Tensor {
  const [values, index] = [read(op.values), read(op.index)];
  const result = zeros(type.axes, sizeOf, 'real');
  const space = [...new Set([...values.axes, ...index.axes])];
  const kept = space.map((axis) => (op.over.includes(axis) ? '' : axis));
  const [rowStride = 0] = stridesAlong(result, [op.axis]);
  const strides = [stridesAlong(result, kept), stridesAlong(values, space), stridesAlong(index, space)];
  forEachRow({ shape: space.map(sizeOf), strides }, ([o = 0, v = 0, x = 0], [so = 0, sv = 0, sx = 0], count) => {
    for (let i = 0; i < count; i++) {
      const at = o + i * so + rowOf(index.re[x + i * sx], sizeOf(op.axis), op.axis) * rowStride;
      result.re[at] = (result.re[at] ?? NaN) + (values.re[v + i * sv] ?? NaN);
    }
  });
  return result;
}

function evaluateIota(op: Of<'iota'>, { sizeOf, timeStart }: Frame): Tensor {
  const size = sizeOf(op.axis);
  const first = op.axis === 'time' ? timeStart : 0;
  return { axes: [op.axis], shape: [size], re: Float64Array.from({ length: size }, (_, at) => first + at), im: null };
}

function evaluateRename(op: Of<'rename'>, type: TensorType, read: ReadValue, { sizeOf }: Frame): Tensor {
  const operand = read(op.operand);
  const axes = operand.axes.map((axis) => (axis === op.from ? op.to : axis));
  return spread({ ...operand, axes }, type.axes, sizeOf);
}

function evaluateComplex(op: Of<'complex'>, type: TensorType, read: ReadValue, { sizeOf }: Frame): Tensor {
  return { ...spread(read(op.re), type.axes, sizeOf), im: spread(read(op.im), type.axes, sizeOf).re };
}

function evaluatePart(op: Of<'part'>, read: ReadValue): Tensor {
  const operand = read(op.operand);
  return { ...operand, re: op.part === 're' ? operand.re : imaginaryOf(operand), im: null };
}

/** The results of one operation, of the types that its values declare. */
export function evaluateOperation(
  op: PlainOp, results: readonly TensorValue[], read: ReadValue, frame: Frame,
): readonly Tensor[] {
  const { type } = required(results[0], 'result');
  const { sizeOf } = frame;
  switch (op.kind) {
    case 'argument':
      return [frame.argument(op, type)];
    case 'constant':
      return [scalarTensor(op.value)];
    case 'length':
      return [scalarTensor(frame.length)];
    case 'iota':
      return [evaluateIota(op, frame)];
    case 'unary':
      return [evaluateUnary(op, type, read, frame)];
    case 'binary':
      return [evaluateBinary(op, type, read, frame)];
    case 'select':
      return [evaluateSelect(op, type, read, frame)];
    case 'complex':
      return [evaluateComplex(op, type, read, frame)];
    case 'part':
      return [evaluatePart(op, read)];
    case 'analytic':
      return evaluateAnalytic(op, type, read, frame);
    case 'broadcast':
      return [spread(read(op.operand), type.axes, sizeOf)];
    case 'rename':
      return [evaluateRename(op, type, read, frame)];
    case 'reduce':
      return [reduceTensor(read(op.operand), op.function, type.axes, sizeOf)];
    case 'contract':
      return [evaluateContract(op, type, read, frame)];
    case 'delay':
      return [evaluateDelay(op, type, read, frame)];
    case 'slide':
      return [evaluateSlide(op, type, read, frame)];
    case 'last':
      return [moveTokens(read(op.operand), type.axes, sizeOf, { from: sizeOf('time') - 1, to: 0, count: 1 })];
    case 'at-last':
      return [moveTokens(read(op.operand), type.axes, sizeOf, { from: 0, to: sizeOf('time') - 1, count: 1 })];
    case 'gather':
      return [evaluateGather(op, type, read, frame)];
    case 'scatter-add':
      return [evaluateScatterAdd(op, type, read, frame)];
    case 'impulse-response':
    case 'power-moment':
    case 'power':
    case 'convolve':
    case 'correlate':
      return evaluateConvolution(op, results, read, sizeOf);
    default:
      return op satisfies never;
  }
}
