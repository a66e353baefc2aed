/** f(n) of a base for one n: an entry of each level of the power table. */
import { addSizes, multiplySizes } from '../../../support/size.ts';
import { required } from '../../../support/invariant.ts';
import { binary, convert, integer, less, literal, multiply, select, subtract } from '../../kernel/builder.ts';
import { f32 } from '../../kernel/nodes.ts';
import type { ConvolutionOp, TensorInstruction } from '../../tensor/ops.ts';
import { storeValue } from '../scan-request.ts';
import type { ConvolutionContext } from './context.ts';
import { axesWithout, channelOf, emitPlaces, wide } from './places.ts';
import { loadRow, lowerRow, powerTable, productOfParts, upperRow } from './power-table.ts';

/** The launch of one power. */
export function emitPower(context: ConvolutionContext, op: Extract<ConvolutionOp, { kind: 'power' }>, instruction: TensorInstruction): void {
  const { extent } = context;
  const axes = required(instruction.results[0], 'power').type.axes;
  const channel = channelOf(axes, extent);
  const table = powerTable(context, op.base, channel?.name ?? null);
  context.launch(emitPlaces({
    name: `${context.name}_power`, notes: ['one power of the transition'], machine: context.machine, axes: axesWithout(axes, [channel?.name], extent), channel,
  }, (place) => {
    const { builder, coordinates, vector } = place;
    const count = builder.uniform('n', addSizes(multiplySizes('length', op.lengths), op.steps));
    const isDerivative = op.factor === 'derivative';
    const n = isDerivative ? builder.let('n', binary('maximum', integer(0), subtract(count, integer(1)))) : count;
    const power = productOfParts(builder, loadRow(builder, table, upperRow(n), coordinates, vector), loadRow(builder, table, lowerRow(n), coordinates, vector));
    const isAny = less(integer(0), count);
    const factor = op.factor === 'power' ? literal(1) : builder.let('factor', select(isAny, convert(count, f32), literal(0)));
    instruction.results.forEach((result, part) => {
      const value = required(power[part], 'part');
      storeValue(builder, context.memory(result.id), coordinates, op.factor === 'power' ? value : multiply(wide(place, factor), value), vector);
    });
  }));
}
