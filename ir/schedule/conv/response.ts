/**
 * Impulse responses, Σ over modes of Re(w ⊙ a^n): a thread has 8 or 32 neighbouring n of one channel,
 * forms w ⊙ a^(64 i) once per mode, its products with a^0, a^8, … and theirs with a^0 … a^7, which all
 * groups of 8 share. The response of an initial state is skipped where that state is zero.
 */
import { addSizes, ceilDivideSizes } from '../../../support/size.ts';
import { required } from '../../../support/invariant.ts';
import { add, binary, horizontalAdd, integer, less, literal, multiply, subtract, unary, variable, type KernelBuilder } from '../../kernel/builder.ts';
import type { KernelExpression, Variable } from '../../kernel/nodes.ts';
import type { PowerParts } from '../../numerics/powers.ts';
import type { ConvolutionOp, TensorInstruction } from '../../tensor/ops.ts';
import { loadValue, type Coordinates } from '../access.ts';
import type { Machine } from '../parameters.ts';
import { storeValue } from '../scan-request.ts';
import type { ConvolutionContext } from './context.ts';
import { axesWithout, channelOf, coordinateOf, emitPlaces, forAxes, wide, zero, type Place } from './places.ts';
import { loadRow, lowerRow, powerTable, productOfParts, upperRow, type PowerTable } from './power-table.ts';

type ResponseOp = Extract<ConvolutionOp, { kind: 'impulse-response' }>;

/** Neighbouring powers that are loaded once, and how many groups of them a thread has: a GPU hides no loads behind its arithmetic, a CPU's registers hold one. */
const group = 8;
const groupsOf = (machine: Machine): number => (machine.maximumWorkgroup === 1 ? 1 : 4);

/** The launch of one response. */
export function emitResponse(context: ConvolutionContext, op: ResponseOp, instruction: TensorInstruction): void {
  const { extent } = context;
  const result = required(instruction.results[0], 'response');
  const axes = result.type.axes;
  const channel = channelOf(axes, extent);
  const table = powerTable(context, op.base, channel?.name ?? null);
  const tile = group * groupsOf(context.machine);
  const tiles = { name: 'tile', size: ceilDivideSizes(addSizes('length', op.start), tile) };
  context.launch(emitPlaces({
    name: `${context.name}_response`, notes: [`sums of powers over ${op.over.join(', ') || 'one mode'}: the response of ${axes.join(', ')}`],
    machine: context.machine, axes: [...axesWithout(axes, ['time', channel?.name], extent), tiles], channel,
  }, (place) => {
    const totals = Array.from({ length: tile }, () => place.builder.var('total', zero(place)));
    const first = place.builder.let('first', multiply(coordinateOf(place.coordinates, 'tile'), integer(tile)));
    const isPerSequence = op.weight.some((id) => context.axesOf(id).includes('batch'));
    const sum = (): void => addModes(context, op, place, { table, totals, first });
    if (isPerSequence) place.builder.if(binary('not-equal', sizeOfWeights(context, op, place), literal(0)), sum);
    else sum();
    storeTotals(context, op, place, { totals, first, result: result.id });
  }));
}

function modesOf(context: ConvolutionContext, op: ResponseOp): Parameters<typeof forAxes>[1] {
  return op.over.map((name) => ({ name, size: context.extent(name) }));
}

function loadWeights(context: ConvolutionContext, op: ResponseOp, place: Place, coordinates: Coordinates): readonly KernelExpression[] {
  return op.weight.map((id) => place.builder.let('weight', wide(place, loadValue(place.builder, context.memory(id), coordinates, place.vector))));
}

/** Σ |w| over modes and lanes: not 0 where there is anything to do. */
function sizeOfWeights(context: ConvolutionContext, op: ResponseOp, place: Place): KernelExpression {
  const { builder } = place;
  const size = builder.var('size', zero(place));
  forAxes(builder, modesOf(context, op), place.coordinates, (inner) => {
    const parts = loadWeights(context, op, place, inner).map((each) => unary('absolute', each));
    builder.assign(size, parts.reduce((total, each) => add(total, each), variable(size)));
  });
  return builder.let('size', horizontalAdd(variable(size)));
}

type Sums = { readonly table: PowerTable; readonly totals: readonly Variable[]; readonly first: KernelExpression };

function addModes(context: ConvolutionContext, op: ResponseOp, place: Place, { table, totals, first }: Sums): void {
  const { builder, vector } = place;
  const [upper, lower] = [builder.let('upper', upperRow(first)), builder.let('lower', lowerRow(first))];
  const isOne = totals.length === group;
  forAxes(builder, modesOf(context, op), place.coordinates, (inner) => {
    const scaled = productOfParts(builder, loadWeights(context, op, place, inner), loadRow(builder, table, upper, inner, vector));
    // one group takes its powers from where it begins in the row, several share those from 0 on
    const powers = Array.from({ length: group }, (_, j) => loadRow(builder, table, isOne ? add(lower, integer(j)) : integer(j), inner, vector));
    for (let from = 0; from < totals.length; from += group) {
      const start = isOne ? scaled : productOfParts(builder, scaled, loadRow(builder, table, add(lower, integer(from)), inner, vector));
      powers.forEach((power, j) => addRealProduct(builder, required(totals[from + j], 'total'), start, power));
    }
  });
}

/** total += Re(left · right), as two fused operations where a machine has them */
function addRealProduct(builder: KernelBuilder, total: Variable, left: PowerParts, right: PowerParts): void {
  const re = add(variable(total), multiply(required(left[0], 're'), required(right[0], 're')));
  const [b, d] = [left[1], right[1]];
  builder.assign(total, b === undefined || d === undefined ? re : subtract(re, multiply(b, d)));
}

function storeTotals(
  context: ConvolutionContext, op: ResponseOp, place: Place,
  { totals, first, result }: { totals: readonly Variable[]; first: KernelExpression; result: ResponseOp['base']['re'] },
): void {
  const { builder, coordinates, vector } = place;
  const length = builder.uniform('length', 'length');
  totals.forEach((total, j) => {
    const elapsed = builder.let('elapsed', add(first, integer(j - op.start)));
    const isInside = j < op.start ? binary('and', less(integer(-1), elapsed), less(elapsed, length)) : less(elapsed, length);
    builder.if(isInside, () => {
      const time = op.order === 'forward' ? elapsed : builder.let('t', subtract(subtract(length, integer(1)), elapsed));
      storeValue(builder, context.memory(result), new Map([...coordinates, ['time', time]]), variable(total), vector);
    });
  });
}
