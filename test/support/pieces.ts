/**
 * Sequences in pieces: the tokens of a request's inputs, and the state record handed from one piece to
 * the next. What is computed in pieces must be what is computed at once.
 */
import { required } from '../../support/invariant.ts';
import type { OracleTensor } from '../oracle/node-tensor.ts';

export type Tensors = ReadonlyMap<string, OracleTensor>;

/** Tokens start … start + count − 1 of a tensor; one that does not vary with time as it is. */
export function tokensOf(tensor: OracleTensor, start: number, count: number): OracleTensor {
  const at = tensor.axes.indexOf('time');
  if (at < 0) return tensor;
  const inner = tensor.shape.slice(at + 1).reduce((product, size) => product * size, 1);
  const length = required(tensor.shape[at], 'length');
  const keep = (numbers: Float64Array): Float64Array =>
    numbers.filter((_, index) => { const time = Math.floor(index / inner) % length; return time >= start && time < start + count; });
  const shape = tensor.shape.map((size, axis) => (axis === at ? count : size));
  return { axes: tensor.axes, shape, re: keep(tensor.re), im: tensor.im === null ? null : keep(tensor.im) };
}

/** The same of all tensors. */
export function tokensOfAll(tensors: Tensors, start: number, count: number): Tensors {
  return new Map([...tensors].map(([name, tensor]) => [name, tokensOf(tensor, start, count)]));
}

/** Pieces after one another along time. */
export function joinTokens(pieces: readonly OracleTensor[]): OracleTensor {
  const [first] = pieces;
  const head = required(first, 'a piece');
  const at = head.axes.indexOf('time');
  const inner = head.shape.slice(at + 1).reduce((product, size) => product * size, 1);
  const outer = head.shape.slice(0, at).reduce((product, size) => product * size, 1);
  const join = (part: (piece: OracleTensor) => Float64Array): Float64Array =>
    Float64Array.from(Array.from({ length: outer }, (_, row) => pieces.flatMap((piece) => {
      const width = required(piece.shape[at], 'length') * inner;
      return [...part(piece).subarray(row * width, (row + 1) * width)];
    })).flat());
  const length = pieces.reduce((sum, piece) => sum + required(piece.shape[at], 'length'), 0);
  const shape = head.shape.map((size, axis) => (axis === at ? length : size));
  return { axes: head.axes, shape, re: join((each) => each.re), im: head.im === null ? null : join((each) => required(each.im, 'imaginary part')) };
}
