/**
 * Direct convolution and correlation: a thread has 8 neighbouring tokens of one channel and walks over
 * the other operand in blocks of 8, so that 15 and 8 values are loaded for 64 products.
 */
import { ceilDivideSizes } from '../../../support/size.ts';
import { required } from '../../../support/invariant.ts';
import { add, binary, integer, less, literal, multiply, select, subtract, variable } from '../../kernel/builder.ts';
import type { KernelExpression } from '../../kernel/nodes.ts';
import type { ConvolutionOp, TensorInstruction, ValueId } from '../../tensor/ops.ts';
import { loadValue, type Coordinates } from '../access.ts';
import { storeValue } from '../scan-request.ts';
import { isDirect } from './choice.ts';
import type { ConvolutionContext } from './context.ts';
import { axesWithout, channelOf, coordinateOf, emitPlaces, forAxes, wide, zero, type Place } from './places.ts';

const tile = 8;

type SlidingOp = Extract<ConvolutionOp, { kind: 'convolve' | 'correlate' }>;
type Load = (time: KernelExpression, coordinates: Coordinates) => KernelExpression;

/** The launch of one convolution or correlation. */
export function emitDirect(context: ConvolutionContext, op: SlidingOp, instruction: TensorInstruction): void {
  const { extent, machine } = context;
  const result = required(instruction.results[0], 'convolution');
  const axes = result.type.axes;
  const channel = channelOf(axes, extent);
  const tiles = { name: 'tile', size: ceilDivideSizes('length', tile) };
  const what = op.kind === 'convolve' ? `${op.order} convolution` : 'correlation';
  context.launch(emitPlaces({
    name: `${context.name}_direct`, notes: [`direct ${what} over ${axes.join(', ')}`], machine,
    axes: [...axesWithout(axes, ['time', channel?.name], extent), tiles], channel,
  }, (place) => place.builder.if(isDirect(place.builder, context), () => {
    const { builder } = place;
    const first = builder.let('first', multiply(coordinateOf(place.coordinates, 'tile'), integer(tile)));
    const totals = Array.from({ length: tile }, () => builder.var('total', zero(place)));
    const add8 = (at: number, value: KernelExpression): void => {
      const total = required(totals[at], 'total');
      builder.assign(total, add(variable(total), value));
    };
    if (op.kind === 'convolve') convolveTile(context, op, place, { first, add8 });
    else correlateTile(context, op, place, { first, add8 });
    const length = builder.uniform('length', 'length');
    totals.forEach((total, j) => {
      const at = builder.let('at', add(first, integer(j)));
      builder.if(less(at, length), () => {
        const time = op.kind === 'convolve' ? timeOf(place, op.order, at) : at;
        storeValue(builder, context.memory(result.id), new Map([...place.coordinates, ['time', time]]), variable(total), place.vector);
      });
    });
  })));
}

type Tile = { readonly first: KernelExpression; readonly add8: (at: number, value: KernelExpression) => void };

/** Token of a place in the visiting order. */
function timeOf({ builder }: Place, order: 'forward' | 'reverse', at: KernelExpression): KernelExpression {
  return order === 'forward' ? at : builder.let('t', subtract(subtract(builder.uniform('length', 'length'), integer(1)), at));
}

/** Loads at a token that may lie behind the end: there the last one (not used), or 0. */
function loader(context: ConvolutionContext, id: ValueId, place: Place, beyond: 'any' | 'zero'): Load {
  const { builder, vector } = place;
  return (time, coordinates) => {
    const last = subtract(builder.uniform('length', 'length'), integer(1));
    const safe = builder.let('safe', binary('minimum', time, last));
    const value = wide(place, loadValue(builder, context.memory(id), new Map([...coordinates, ['time', safe]]), vector));
    return builder.let('value', beyond === 'any' ? value : select(binary('equal', safe, time), value, literal(0, place.type)));
  };
}

/** y_t = Σ_s r_(t−s) v_s: whole blocks of s before the tile, then the triangle of the tile itself. */
function convolveTile(context: ConvolutionContext, op: Extract<SlidingOp, { kind: 'convolve' }>, place: Place, { first, add8 }: Tile): void {
  const { builder, coordinates, vector } = place;
  const response = loader(context, op.response, place, 'any');
  const signal: Load = (at) => {
    const time = timeOf(place, op.order, at);
    return builder.let('signal', wide(place, loadValue(builder, context.memory(op.signal), new Map([...coordinates, ['time', time]]), vector)));
  };
  const multiplyBlock = (source: KernelExpression, isDiagonal: boolean): void => {
    const distance = builder.let('distance', subtract(first, source));
    const lags = Array.from({ length: 2 * tile - 1 }, (_, at) => (isDiagonal && at < tile - 1 ? null : response(add(distance, integer(at - tile + 1)), coordinates)));
    for (let i = 0; i < tile; i++) {
      const place8 = add(source, integer(i));
      const last = subtract(builder.uniform('length', 'length'), integer(1));
      const value = signal(isDiagonal ? builder.let('s', binary('minimum', place8, last)) : place8, coordinates);
      for (let j = 0; j < tile; j++) {
        const lag = lags[j - i + tile - 1];
        if (lag !== null && lag !== undefined) add8(j, multiply(lag, value));
      }
    }
  };
  builder.for('source', { start: integer(0), end: first, step: tile }, (source) => multiplyBlock(source, false));
  multiplyBlock(first, true);
}

/** c_k = Σ_s late_(s+k) early_s, also over further axes. */
function correlateTile(context: ConvolutionContext, op: Extract<SlidingOp, { kind: 'correlate' }>, place: Place, { first, add8 }: Tile): void {
  const { builder } = place;
  const [late, early] = [loader(context, op.late, place, 'zero'), loader(context, op.early, place, 'any')];
  const over = op.over.map((name) => ({ name, size: context.extent(name) }));
  forAxes(builder, over, place.coordinates, (inner) => {
    const end = builder.let('end', subtract(builder.uniform('length', 'length'), first));
    builder.for('source', { start: integer(0), end, step: tile }, (source) => {
      const ahead = builder.let('ahead', add(source, first));
      const lates = Array.from({ length: 2 * tile - 1 }, (_, at) => late(add(ahead, integer(at)), inner));
      for (let i = 0; i < tile; i++) {
        const value = early(add(source, integer(i)), inner);
        for (let j = 0; j < tile; j++) add8(j, multiply(required(lates[i + j], 'late'), value));
      }
    });
  });
}
