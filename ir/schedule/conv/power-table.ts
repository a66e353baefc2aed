/**
 * Tables of powers of a base, so that a^n is one product: rows 0 … 63 hold a^row, the rows after them
 * a^(64 · (row − 64)), n = 64 i + j. A table has a 64th of length × state entries; all operations of a
 * plan on the same base share one.
 */
import { addSizes, ceilDivideSizes } from '../../../support/size.ts';
import { add, binary, integer, less, literal, multiply, select, subtract, type KernelBuilder } from '../../kernel/builder.ts';
import { i32, type KernelExpression } from '../../kernel/nodes.ts';
import { preciseProduct, precisePower, preciseVariable, prepareExponentialPowers, type PowerParts, type PreciseBase } from '../../numerics/powers.ts';
import { operandsOfBase } from '../../tensor/convolution.ts';
import type { PowerBase } from '../../tensor/ops.ts';
import { loadValue, type Coordinates, type MemoryReference } from '../access.ts';
import { storeValue } from '../scan-request.ts';
import type { ConvolutionContext } from './context.ts';
import { emitPlaces, wide, type ChannelVector, type Place } from './places.ts';

/** Powers per row of the second level. */
export const powersPerRow = 64;

/** Rows that one thread makes. */
const rowsPerRun = 8;

export type PowerTable = { readonly axis: string; readonly parts: readonly MemoryReference[] };

/** Axis of the rows: powers up to length + 1. */
function rowAxis(context: ConvolutionContext): string {
  const upper = ceilDivideSizes(addSizes('length', 2), powersPerRow);
  return context.declareAxis('power', addSizes(upper, powersPerRow));
}

/** The table of a base, made by a launch the first time; neighbours in memory along `channel` where the base has that axis. */
export function powerTable(context: ConvolutionContext, base: PowerBase, channel: string | null): PowerTable {
  const axis = rowAxis(context);
  const key = JSON.stringify(base);
  const known = context.shared.get(key);
  if (known !== undefined) return { axis, parts: known };
  const present = new Set(operandsOfBase(base).flatMap((id) => context.axesOf(id)));
  const canonical = operandsOfBase(base).reduce<readonly string[]>((order, id) => [...order, ...context.axesOf(id).filter((each) => !order.includes(each))], []);
  const last = channel !== null && present.has(channel) ? channel : (canonical.at(-1) ?? null);
  const order = [...canonical.filter((each) => each !== last), ...(last === null ? [] : [last])];
  const parts = (base.im === null ? ['powers'] : ['powers_re', 'powers_im']).map((name) => context.scratch(name, [axis, ...order]));
  context.shared.set(key, parts);
  launchTable(context, base, { axis, parts }, { order, channel: last });
  return { axis, parts };
}

function launchTable(context: ConvolutionContext, base: PowerBase, table: PowerTable, layout: { order: readonly string[]; channel: string | null }): void {
  const { extent } = context;
  const rows = extent(table.axis);
  const runs = { name: 'run', size: ceilDivideSizes(rows, rowsPerRun) };
  const others = layout.order.filter((each) => each !== layout.channel).map((name) => ({ name, size: extent(name) }));
  const form = base.kind === 'exponential' ? 'e^(n log a)' : 'products of double-floats';
  context.launch(emitPlaces({
    name: 'powers', notes: [`powers of the transition over ${layout.order.join(', ') || 'one number'}, by ${form}`], machine: context.machine,
    axes: [runs, ...others], channel: layout.channel === null ? null : { name: layout.channel, size: extent(layout.channel) },
  }, (place) => {
    const first = place.builder.let('row', multiply(place.coordinates.get('run') ?? integer(0), integer(rowsPerRun)));
    const end = place.builder.let('end', binary('minimum', add(first, integer(rowsPerRun)), place.builder.uniform('rows', rows)));
    const store = (row: KernelExpression, values: PowerParts): void => table.parts.forEach((target, part) => {
      const value = values[part];
      if (value !== undefined) storeValue(place.builder, target, new Map([...place.coordinates, [table.axis, row]]), value, place.vector);
    });
    if (base.kind === 'exponential') exponentialRows(context, place, base, { first, end, store });
    else valueRows(context, place, base, { first, end, store });
  }));
}

type Rows = { readonly first: KernelExpression; readonly end: KernelExpression; readonly store: (row: KernelExpression, values: PowerParts) => void };

function exponentialRows(context: ConvolutionContext, place: Place, base: Extract<PowerBase, { kind: 'exponential' }>, rows: Rows): void {
  const { builder, coordinates, vector } = place;
  const load = (id: PowerBase['re']): KernelExpression => wide(place, loadValue(builder, context.memory(id), coordinates, vector));
  const power = prepareExponentialPowers(builder, {
    step: base.step === null ? literal(1, place.type) : load(base.step), re: load(base.re), im: base.im === null ? null : load(base.im),
  });
  builder.for('row', { start: rows.first, end: rows.end }, (row) => {
    const isLow = less(row, integer(powersPerRow));
    const n = builder.let('n', select(isLow, row, multiply(subtract(row, integer(powersPerRow)), integer(powersPerRow))));
    rows.store(row, power(n));
  });
}

function valueRows(context: ConvolutionContext, place: Place, base: Extract<PowerBase, { kind: 'value' }>, rows: Rows): void {
  const { builder, coordinates, vector } = place;
  const load = (id: PowerBase['re']): PreciseBase['re'] =>
    ({ high: builder.let('base', wide(place, loadValue(builder, context.memory(id), coordinates, vector))), low: literal(0, place.type) });
  const stride = preciseVariable(builder, 'stride', { re: load(base.re), im: base.im === null ? null : load(base.im) });
  const isHigh = less(integer(powersPerRow - 1), rows.first);
  const start = builder.let('n', select(isHigh, subtract(rows.first, integer(powersPerRow)), rows.first));
  builder.if(isHigh, () => builder.for('squaring', { start: integer(0), end: integer(Math.log2(powersPerRow)) }, () => {
    const value = stride.read();
    stride.assign(preciseProduct(builder, value, value));
  }));
  const step = stride.read();
  const power = preciseVariable(builder, 'power', precisePower(builder, step, start));
  builder.for('row', { start: rows.first, end: rows.end }, (row) => {
    const value = power.read();
    rows.store(row, value.im === null ? [value.re.high] : [value.re.high, value.im.high]);
    power.assign(preciseProduct(builder, value, step));
  });
}

/** Entries of a row. */
export function loadRow(builder: KernelBuilder, table: PowerTable, row: KernelExpression, coordinates: Coordinates, vector: ChannelVector): PowerParts {
  const here = new Map([...coordinates, [table.axis, row]]);
  return table.parts.map((part) => builder.let('power', loadValue(builder, part, here, vector)));
}

/** Row of the second level that n lies in. */
export function upperRow(n: KernelExpression): KernelExpression {
  return add(binary('shift-right', n, literal(6, i32)), integer(powersPerRow));
}

/** Row of the first level for n. */
export function lowerRow(n: KernelExpression): KernelExpression {
  return binary('bit-and', n, literal(powersPerRow - 1, i32));
}

/** left · right for numbers of one or two parts. */
export function productOfParts(builder: KernelBuilder, left: PowerParts, right: PowerParts): PowerParts {
  const [a, b, c, d] = [left[0] ?? literal(0), left[1], right[0] ?? literal(0), right[1]];
  if (b === undefined || d === undefined) return [builder.let('product', multiply(a, c)), ...(d === undefined ? (b === undefined ? [] : [builder.let('product', multiply(b, c))]) : [builder.let('product', multiply(a, d))])];
  return [builder.let('product', subtract(multiply(a, c), multiply(b, d))), builder.let('product', add(multiply(a, d), multiply(b, c)))];
}

