/**
 * Convolutions' operations on float64 tensors, each as the loop that its doc comment in ops.ts names.
 * Powers are e^(n·log a): the references for kernels that form them from tables.
 */
import { required } from '../../support/invariant.ts';
import { forEachRow, stridesAlong, zeros, type SizeOf, type Tensor } from './interpret-tensor.ts';
import { operandsOfBase } from './convolution.ts';
import type { ConvolutionOp, PowerBase, PowerFactor, TensorValue, ValueId } from './ops.ts';

type Read = (id: ValueId) => Tensor;
type Pair = readonly [number, number];
type Place = { readonly at: (tensor: Tensor) => number; readonly timeStep: (tensor: Tensor) => number };

/** Visits every element of a space without time; offsets by tensor. */
function forEachPlace(axes: readonly string[], sizeOf: SizeOf, tensors: readonly Tensor[], visit: (place: Place) => void): void {
  const strides = tensors.map((tensor) => stridesAlong(tensor, axes));
  const offsets = new Map<Tensor, number>();
  const steps = new Map(tensors.map((tensor) => [tensor, stridesAlong(tensor, ['time'])[0] ?? 0]));
  const place: Place = { at: (tensor) => offsets.get(tensor) ?? 0, timeStep: (tensor) => steps.get(tensor) ?? 0 };
  forEachRow({ shape: axes.map(sizeOf), strides }, (starts, moves, count) => {
    for (let i = 0; i < count; i++) {
      tensors.forEach((tensor, k) => offsets.set(tensor, (starts[k] ?? 0) + i * (moves[k] ?? 0)));
      visit(place);
    }
  });
}

/** f(n) of the base at a place. */
function powerAt(base: PowerBase, read: Read, place: Place): (n: number, factor: PowerFactor) => Pair {
  const number = (id: ValueId): number => {
    const tensor = read(id);
    return tensor.re[place.at(tensor)] ?? NaN;
  };
  const [re, im] = [number(base.re), base.im === null ? 0 : number(base.im)];
  const step = base.kind === 'exponential' && base.step !== null ? number(base.step) : 1;
  const polar = (n: number): Pair => {
    const size = base.kind === 'exponential' ? Math.exp(n * step * re) : Math.hypot(re, im) ** n;
    const angle = n * (base.kind === 'exponential' ? step * im : Math.atan2(im, re));
    if (base.im === null) return [base.kind === 'exponential' ? size : re ** n, 0];
    return [size * Math.cos(angle), size * Math.sin(angle)];
  };
  return (n, factor) => {
    if (factor === 'power') return polar(n);
    if (n === 0) return [0, 0];
    const [x, y] = polar(factor === 'count' ? n : n - 1);
    return [n * x, n * y];
  };
}

const exponentAt = (op: { readonly start: number; readonly order: 'forward' | 'reverse' }, time: number, length: number): number =>
  op.start + (op.order === 'forward' ? time : length - 1 - time);

function evaluateResponse(op: Extract<ConvolutionOp, { kind: 'impulse-response' }>, result: Tensor, read: Read, sizeOf: SizeOf): void {
  const length = sizeOf('time');
  const [weightRe, weightIm] = op.weight.map(read);
  const axes = [...result.axes.filter((axis) => axis !== 'time'), ...op.over];
  const tensors = [...new Set([result, ...operandsOfBase(op.base).map(read), ...op.weight.map(read)])];
  forEachPlace(axes, sizeOf, tensors, (place) => {
    const power = powerAt(op.base, read, place);
    const part = (tensor: Tensor | undefined): number => (tensor === undefined ? 0 : (tensor.re[place.at(tensor)] ?? NaN));
    const [re, im] = [part(weightRe), part(weightIm)];
    for (let time = 0; time < length; time++) {
      const [x, y] = power(exponentAt(op, time, length), 'power');
      const at = place.at(result) + time * place.timeStep(result);
      result.re[at] = (result.re[at] ?? NaN) + re * x - im * y;
    }
  });
}

function evaluateMoment(op: Extract<ConvolutionOp, { kind: 'power-moment' }>, results: readonly Tensor[], read: Read, sizeOf: SizeOf): void {
  const length = sizeOf('time');
  const [re, im] = results;
  const signal = read(op.signal);
  const tensors = [...new Set([...results, signal, ...operandsOfBase(op.base).map(read)])];
  forEachPlace(required(re, 'moment').axes, sizeOf, tensors, (place) => {
    const power = powerAt(op.base, read, place);
    const sum = [0, 0];
    for (let time = 0; time < length; time++) {
      const [x, y] = power(exponentAt(op, time, length), op.factor);
      const value = signal.re[place.at(signal) + time * place.timeStep(signal)] ?? NaN;
      sum[0] = (sum[0] ?? 0) + x * value;
      sum[1] = (sum[1] ?? 0) + y * value;
    }
    if (re !== undefined) re.re[place.at(re)] = sum[0] ?? NaN;
    if (im !== undefined) im.re[place.at(im)] = sum[1] ?? NaN;
  });
}

function evaluatePower(op: Extract<ConvolutionOp, { kind: 'power' }>, results: readonly Tensor[], read: Read, sizeOf: SizeOf): void {
  const n = op.steps + op.lengths * sizeOf('time');
  const tensors = [...new Set([...results, ...operandsOfBase(op.base).map(read)])];
  forEachPlace(required(results[0], 'power').axes, sizeOf, tensors, (place) => {
    const value = powerAt(op.base, read, place)(n, op.factor);
    results.forEach((result, part) => { result.re[place.at(result)] = value[part] ?? NaN; });
  });
}

/** y_t = Σ r_k s_(t∓k), or c_k = Σ l_(s+k) e_s: pairs of tokens whose distance is the third token. */
function evaluateSliding(op: Extract<ConvolutionOp, { kind: 'convolve' | 'correlate' }>, result: Tensor, read: Read, sizeOf: SizeOf): void {
  const length = sizeOf('time');
  const [left, right] = op.kind === 'convolve' ? [read(op.response), read(op.signal)] : [read(op.late), read(op.early)];
  const over = op.kind === 'convolve' ? [] : op.over;
  const axes = [...result.axes.filter((axis) => axis !== 'time'), ...over];
  forEachPlace(axes, sizeOf, [...new Set([result, left, right])], (place) => {
    const value = (tensor: Tensor, time: number): number => tensor.re[place.at(tensor) + time * place.timeStep(tensor)] ?? NaN;
    for (let time = 0; time < length; time++) {
      let sum = 0;
      if (op.kind === 'correlate') for (let s = 0; s + time < length; s++) sum += value(left, s + time) * value(right, s);
      else if (op.order === 'forward') for (let k = 0; k <= time; k++) sum += value(left, k) * value(right, time - k);
      else for (let k = 0; time + k < length; k++) sum += value(left, k) * value(right, time + k);
      const at = place.at(result) + time * place.timeStep(result);
      result.re[at] = (result.re[at] ?? NaN) + sum;
    }
  });
}

/** The results of one operation. */
export function evaluateConvolution(op: ConvolutionOp, values: readonly TensorValue[], read: Read, sizeOf: SizeOf): readonly Tensor[] {
  const results = values.map((value) => zeros(value.type.axes, sizeOf, 'real'));
  const first = required(results[0], 'result');
  switch (op.kind) {
    case 'impulse-response':
      evaluateResponse(op, first, read, sizeOf);
      break;
    case 'power-moment':
      evaluateMoment(op, results, read, sizeOf);
      break;
    case 'power':
      evaluatePower(op, results, read, sizeOf);
      break;
    case 'convolve':
    case 'correlate':
      evaluateSliding(op, first, read, sizeOf);
      break;
    default:
      op satisfies never;
  }
  return results;
}
