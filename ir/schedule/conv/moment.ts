/**
 * Moments, Σ over time of f(n) · signal: a thread has one channel and some modes of it and walks over
 * blocks of 64 powers, Σ_i a^(64 i) (Σ_q a^(8 q) (Σ_j a^j s_(64 i + 8 q + j))), the middle sum by
 * Horner's rule; a^0 … a^8 stay in registers, and modes share what is loaded of the signal. On a GPU
 * time is cut into pieces whose sums a second launch adds up in order.
 */
import { ceilDivideSizes, type SizeExpression } from '../../../support/size.ts';
import { required } from '../../../support/invariant.ts';
import { add, binary, convert, integer, less, literal, multiply, select, subtract, variable } from '../../kernel/builder.ts';
import { f32, type KernelExpression, type Variable } from '../../kernel/nodes.ts';
import type { PowerParts } from '../../numerics/powers.ts';
import type { ConvolutionOp, TensorInstruction } from '../../tensor/ops.ts';
import { loadValue, type Coordinates, type MemoryReference } from '../access.ts';
import { storeValue } from '../scan-request.ts';
import type { ConvolutionContext } from './context.ts';
import { axesWithout, channelOf, coordinateOf, emitPlaces, wide, zero, type Axis, type Place } from './places.ts';
import { loadRow, powersPerRow, powerTable, productOfParts, type PowerTable } from './power-table.ts';

type MomentOp = Extract<ConvolutionOp, { kind: 'power-moment' }>;

/** Blocks of 64 powers per piece on a machine of many threads. */
const blocksPerPiece = 16;
/** Powers in registers. */
const group = 8;
/** Modes of one thread on a machine of many threads, as far as they divide the axis. */
const mostModes = 4;

/** The launches of one moment. */
export function emitMoment(context: ConvolutionContext, op: MomentOp, instruction: TensorInstruction): void {
  const { extent } = context;
  const results = instruction.results;
  const axes = required(results[0], 'moment').type.axes;
  const signalAxes = context.axesOf(op.signal);
  const channel = channelOf(axes.filter((axis) => signalAxes.includes(axis)), extent) ?? channelOf(axes, extent);
  const table = powerTable(context, op.base, channel?.name ?? null);
  const isCut = context.machine.maximumWorkgroup > 1;
  const modes = isCut ? modesPerThread(axes.filter((axis) => axis !== channel?.name && !signalAxes.includes(axis)), extent) : null;
  const piece = isCut ? context.declareAxis('piece', ceilDivideSizes(extent(table.axis), blocksPerPiece)) : null;
  const grid = axesWithout(axes, [channel?.name], extent).map((each) => (each.name === modes?.axis ? { ...each, size: modes.threads } : each));
  const targets = results.map((result, part) => (piece === null ? context.memory(result.id) : context.scratch(`${context.name}_pieces${part}`, [piece, ...axes])));
  context.launch(emitPlaces({
    name: `${context.name}_moment`, notes: [`sums over time of powers and a value over ${signalAxes.join(', ')}`], machine: context.machine,
    axes: [...grid, ...(piece === null ? [] : [{ name: piece, size: extent(piece) }])], channel,
  }, (place) => walkBlocks(context, op, place, { table, piece, targets, modes })));
  if (piece !== null) emitPieceSums(context, { axes, channel, piece, targets, results: results.map((result) => context.memory(result.id)) });
}

/** Neighbours along an axis that one thread has, and how many threads that makes. */
type Modes = { readonly axis: string; readonly count: number; readonly threads: number };

/** Modes along the last axis that the signal lacks. */
function modesPerThread(axes: readonly string[], extent: (axis: string) => SizeExpression): Modes | null {
  const axis = axes.at(-1);
  const size = axis === undefined ? null : extent(axis);
  if (axis === undefined || typeof size !== 'number') return null;
  const count = [mostModes, 2].find((each) => size % each === 0);
  return count === undefined ? null : { axis, count, threads: size / count };
}

type Walk = { readonly table: PowerTable; readonly piece: string | null; readonly targets: readonly MemoryReference[]; readonly modes: Modes | null };

/** What a thread keeps of one mode: a^0 … a^8, the sum over its blocks, and the sums of the present block. */
type Mode = {
  readonly coordinates: Coordinates;
  readonly powers: readonly PowerParts[];
  readonly totals: readonly Variable[];
  /** Σ a^j s over the groups of the block that are done */
  readonly plain: readonly Variable[];
  /** Σ j · a^j · s over them; empty where nothing counts */
  readonly counted: readonly Variable[];
};

function walkBlocks(context: ConvolutionContext, op: MomentOp, place: Place, walk: Walk): void {
  const { builder } = place;
  const { table, piece, targets } = walk;
  const rows = builder.let('rows', subtract(builder.uniform('rows', context.extent(table.axis)), integer(powersPerRow)));
  const start = piece === null ? integer(0) : builder.let('start', multiply(coordinateOf(place.coordinates, piece), integer(blocksPerPiece)));
  const end = piece === null ? rows : builder.let('end', binary('minimum', add(start, integer(blocksPerPiece)), rows));
  const modes = coordinatesOfModes(place, walk.modes).map((coordinates) => openMode(op, place, table, coordinates));
  builder.for('block', { start, end }, (block) => {
    const first = builder.let('first', multiply(block, integer(powersPerRow)));
    sumBlock(context, op, place, modes, first);
    for (const mode of modes) {
      const upper = loadRow(builder, table, add(block, integer(powersPerRow)), mode.coordinates, place.vector);
      addTerms(place, mode.totals, productOfParts(builder, upper, sumsOfBlock(op, place, mode, first)));
    }
  });
  for (const { coordinates, totals } of modes) {
    targets.forEach((target, part) => storeValue(builder, target, coordinates, variable(required(totals[part], 'total')), place.vector));
  }
}

function coordinatesOfModes({ builder, coordinates }: Place, modes: Modes | null): readonly Coordinates[] {
  if (modes === null) return [coordinates];
  const first = builder.let('mode', multiply(coordinateOf(coordinates, modes.axis), integer(modes.count)));
  return Array.from({ length: modes.count }, (_, at) => new Map([...coordinates, [modes.axis, at === 0 ? first : builder.let('mode', add(first, integer(at)))]]));
}

function openMode(op: MomentOp, place: Place, table: PowerTable, coordinates: Coordinates): Mode {
  const { builder, vector } = place;
  const powers = Array.from({ length: group + 1 }, (_, j) => loadRow(builder, table, integer(j), coordinates, vector));
  const open = (name: string): readonly Variable[] => table.parts.map(() => builder.var(name, zero(place)));
  return { coordinates, powers, totals: open('total'), plain: open('sum'), counted: op.factor === 'power' ? [] : open('counted') };
}

/** Sums of one block for all modes, group after group from the last one. */
function sumBlock(context: ConvolutionContext, op: MomentOp, place: Place, modes: readonly Mode[], first: KernelExpression): void {
  const { builder } = place;
  const length = builder.uniform('length', 'length');
  const before = builder.let('before', add(first, integer(shiftOf(op) - op.start)));
  for (const each of modes.flatMap(({ plain, counted }) => [...plain, ...counted])) builder.assign(each, zero(place));
  const walk = (isGuarded: boolean): void => builder.for('done', { start: integer(0), end: integer(powersPerRow), step: group }, (done) => {
    const from = builder.let('from', add(before, subtract(integer(powersPerRow - group), done)));
    const values = Array.from({ length: group }, (_, j) => signalAt(context, op, place, add(from, integer(j)), isGuarded));
    for (const mode of modes) addGroup(place, mode, values);
  });
  const isWhole = binary('and', less(integer(-1), before), less(add(before, integer(powersPerRow - 1)), length));
  builder.if(isWhole, () => walk(false), () => walk(true));
}

/** S ← a^8 S + Σ_j a^j s_j, and for counts D ← a^8 (D + 8 S) + Σ_j j · a^j s_j. */
function addGroup(place: Place, { powers, plain, counted }: Mode, values: readonly KernelExpression[]): void {
  const { builder } = place;
  const stride = required(powers[group], 'power');
  const sums = plain.map((each) => builder.let('sum', variable(each)));
  const number = (value: number): KernelExpression => literal(value, place.type);
  const terms = values.map((value, j) => required(powers[j], 'power').map((power) => builder.let('term', multiply(power, value))));
  if (counted.length > 0) {
    const shifted = counted.map((each, part) => builder.let('shifted', add(variable(each), multiply(number(group), required(sums[part], 'sum')))));
    setTo(place, counted, productOfParts(builder, stride, shifted));
    terms.slice(1).forEach((term, at) => addTerms(place, counted, term.map((each) => multiply(number(at + 1), each))));
  }
  setTo(place, plain, productOfParts(builder, stride, sums));
  terms.forEach((term) => addTerms(place, plain, term));
}

/** How much further than its power a signal's count is. */
function shiftOf(op: MomentOp): number {
  return op.factor === 'derivative' ? 1 : 0;
}

/** Σ_j f · a^j · s of a finished block, f = 1 or the count of its token. */
function sumsOfBlock(op: MomentOp, place: Place, { plain, counted }: Mode, first: KernelExpression): PowerParts {
  const { builder } = place;
  if (counted.length === 0) return plain.map((each) => variable(each));
  const base = builder.let('base', wide(place, convert(add(first, integer(shiftOf(op))), f32)));
  return plain.map((each, part) => builder.let('sum', add(multiply(base, variable(each)), variable(required(counted[part], 'counted')))));
}

function setTo({ builder }: Place, targets: readonly Variable[], values: PowerParts): void {
  targets.forEach((target, part) => builder.assign(target, required(values[part], 'part')));
}

function addTerms({ builder }: Place, totals: readonly Variable[], terms: readonly KernelExpression[]): void {
  totals.forEach((total, part) => builder.assign(total, add(variable(total), required(terms[part], 'term'))));
}

/** The signal `elapsed` tokens into the visiting order, 0 outside of the sequence. */
function signalAt(context: ConvolutionContext, op: MomentOp, place: Place, elapsed: KernelExpression, isGuarded: boolean): KernelExpression {
  const { builder, coordinates, vector } = place;
  const length = builder.uniform('length', 'length');
  const last = subtract(length, integer(1));
  const at = builder.let('elapsed', elapsed);
  const safe = isGuarded ? builder.let('safe', binary('maximum', integer(0), binary('minimum', at, last))) : at;
  const time = op.order === 'forward' ? safe : builder.let('t', subtract(last, safe));
  const value = wide(place, loadValue(builder, context.memory(op.signal), new Map([...coordinates, ['time', time]]), vector));
  if (!isGuarded) return builder.let('signal', value);
  return builder.let('signal', select(binary('equal', safe, at), value, literal(0, place.type)));
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
