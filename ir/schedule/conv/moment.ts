/**
 * Moments, Σ over time of f(n) · signal: a thread has one mode of one channel and walks over blocks of
 * 64 powers, Σ_i a^(64 i) (Σ_j a^j s_(64 i + j)). On a GPU time is cut into pieces whose sums a second
 * launch adds up in order.
 */
import { ceilDivideSizes } from '../../../support/size.ts';
import { required } from '../../../support/invariant.ts';
import { add, binary, convert, integer, less, literal, multiply, select, subtract, variable } from '../../kernel/builder.ts';
import { f32, type KernelExpression, type Variable } from '../../kernel/nodes.ts';
import type { PowerParts } from '../../numerics/powers.ts';
import type { ConvolutionOp, TensorInstruction } from '../../tensor/ops.ts';
import { loadValue, type MemoryReference } from '../access.ts';
import { storeValue } from '../scan-request.ts';
import type { ConvolutionContext } from './context.ts';
import { axesWithout, channelOf, coordinateOf, emitPlaces, wide, zero, type Axis, type Place } from './places.ts';
import { loadRow, powersPerRow, powerTable, productOfParts, type PowerTable } from './power-table.ts';

type MomentOp = Extract<ConvolutionOp, { kind: 'power-moment' }>;

/** Blocks of 64 powers per piece on a machine of many threads. */
const blocksPerPiece = 16;
const unrolled = 8;

/** The launches of one moment. */
export function emitMoment(context: ConvolutionContext, op: MomentOp, instruction: TensorInstruction): void {
  const { extent } = context;
  const results = instruction.results;
  const axes = required(results[0], 'moment').type.axes;
  const signalAxes = context.axesOf(op.signal);
  const channel = channelOf(axes.filter((axis) => signalAxes.includes(axis)), extent) ?? channelOf(axes, extent);
  const table = powerTable(context, op.base, channel?.name ?? null);
  const isCut = context.machine.maximumWorkgroup > 1;
  const piece = isCut ? context.declareAxis('piece', ceilDivideSizes(extent(table.axis), blocksPerPiece)) : null;
  const grid = [...axesWithout(axes, [channel?.name], extent), ...(piece === null ? [] : [{ name: piece, size: extent(piece) }])];
  const targets = results.map((result, part) => (piece === null ? context.memory(result.id) : context.scratch(`${context.name}_pieces${part}`, [piece, ...axes])));
  context.launch(emitPlaces({
    name: `${context.name}_moment`, notes: [`sums over time of powers and a value over ${signalAxes.join(', ')}`], machine: context.machine, axes: grid, channel,
  }, (place) => walkBlocks(context, op, place, { table, piece, targets })));
  if (piece !== null) emitPieceSums(context, { axes, channel, piece, targets, results: results.map((result) => context.memory(result.id)) });
}

type Walk = { readonly table: PowerTable; readonly piece: string | null; readonly targets: readonly MemoryReference[] };

function walkBlocks(context: ConvolutionContext, op: MomentOp, place: Place, { table, piece, targets }: Walk): void {
  const { builder } = place;
  const totals = targets.map(() => builder.var('total', zero(place)));
  const rows = builder.let('rows', subtract(builder.uniform('rows', context.extent(table.axis)), integer(powersPerRow)));
  const start = piece === null ? integer(0) : builder.let('start', multiply(coordinateOf(place.coordinates, piece), integer(blocksPerPiece)));
  const end = piece === null ? rows : builder.let('end', binary('minimum', add(start, integer(blocksPerPiece)), rows));
  builder.for('block', { start, end }, (block) => {
    const upper = loadRow(builder, table, add(block, integer(powersPerRow)), place.coordinates, place.vector);
    const first = builder.let('first', multiply(block, integer(powersPerRow)));
    const sums = blockSums(context, op, place, { table, first });
    productOfParts(builder, upper, sums).forEach((value, part) => {
      const total = totals[part];
      if (total !== undefined) builder.assign(total, add(variable(total), value));
    });
  });
  targets.forEach((target, part) => storeValue(builder, target, place.coordinates, variable(required(totals[part], 'total')), place.vector));
}

/** Σ_j f · a^j · s over one block, f = 1 or the count n. */
function blockSums(context: ConvolutionContext, op: MomentOp, place: Place, { table, first }: { table: PowerTable; first: KernelExpression }): PowerParts {
  const { builder } = place;
  const shift = op.factor === 'derivative' ? 1 : 0;
  const isCounted = op.factor !== 'power';
  const plain = table.parts.map(() => builder.var('sum', zero(place)));
  const counted = isCounted ? table.parts.map(() => builder.var('counted', zero(place))) : [];
  const length = builder.uniform('length', 'length');
  const before = builder.let('before', add(first, integer(shift - op.start)));
  const walk = (isGuarded: boolean): void => builder.for('j', { start: integer(0), end: integer(powersPerRow), step: unrolled }, (j) => {
    for (let k = 0; k < unrolled; k++) {
      const elapsed = builder.let('elapsed', add(before, add(j, integer(k))));
      const value = signalAt(context, op, place, elapsed, isGuarded);
      const power = loadRow(builder, table, add(j, integer(k)), place.coordinates, place.vector);
      const terms = power.map((each) => builder.let('term', multiply(each, value)));
      addTerms(place, plain, terms);
      if (isCounted) {
        const count = builder.let('count', convert(add(j, integer(k + shift)), f32));
        addTerms(place, counted, terms.map((each) => multiply(wide(place, count), each)));
      }
    }
  });
  const isWhole = binary('and', less(integer(-1), before), less(add(before, integer(powersPerRow - 1)), length));
  builder.if(isWhole, () => walk(false), () => walk(true));
  if (!isCounted) return plain.map((each) => variable(each));
  const base = builder.let('base', convert(first, f32));
  return plain.map((each, part) => builder.let('sum', add(multiply(wide(place, base), variable(each)), variable(required(counted[part], 'counted')))));
}

function addTerms({ builder }: Place, totals: readonly Variable[], terms: readonly KernelExpression[]): void {
  totals.forEach((total, part) => builder.assign(total, add(variable(total), required(terms[part], 'term'))));
}

/** The signal `elapsed` tokens into the visiting order, 0 outside of the sequence. */
function signalAt(context: ConvolutionContext, op: MomentOp, place: Place, elapsed: KernelExpression, isGuarded: boolean): KernelExpression {
  const { builder, coordinates, vector } = place;
  const length = builder.uniform('length', 'length');
  const last = subtract(length, integer(1));
  const safe = isGuarded ? builder.let('safe', binary('maximum', integer(0), binary('minimum', elapsed, last))) : elapsed;
  const time = op.order === 'forward' ? safe : builder.let('t', subtract(last, safe));
  const value = wide(place, loadValue(builder, context.memory(op.signal), new Map([...coordinates, ['time', time]]), vector));
  if (!isGuarded) return builder.let('signal', value);
  return builder.let('signal', select(binary('equal', safe, elapsed), value, literal(0, place.type)));
}

type PieceSums = {
  readonly axes: readonly string[];
  readonly channel: Axis | null;
  readonly piece: string;
  readonly targets: readonly MemoryReference[];
  readonly results: readonly MemoryReference[];
};

function emitPieceSums(context: ConvolutionContext, { axes, channel, piece, targets, results }: PieceSums): void {
  const { extent, machine } = context;
  context.launch(emitPlaces({
    name: `${context.name}_sum`, notes: ['adds up the pieces of time'], machine, axes: axesWithout(axes, [channel?.name], extent), channel,
  }, (place) => {
    const { builder, coordinates, vector } = place;
    const totals = results.map(() => builder.var('total', zero(place)));
    builder.for('piece', { start: integer(0), end: builder.uniform('pieces', extent(piece)) }, (index) => {
      addTerms(place, totals, targets.map((target) => loadValue(builder, target, new Map([...coordinates, [piece, index]]), vector)));
    });
    results.forEach((target, part) => storeValue(builder, target, coordinates, variable(required(totals[part], 'total')), vector));
  }));
}
