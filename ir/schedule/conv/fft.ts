/**
 * Convolution and correlation by FFT: the packed spectra of both operands (each value's once in a
 * plan), their product, and the transform back. A transform is two launches, columns and rows of the
 * four-step split; spectra stay in the order that they leave the rows in, since products only need
 * bins k and h − k. Nothing is larger than the two parts of a spectrum, 2 · length each; a product takes the
 * place of an operand's spectrum that nobody needs afterwards, and what is free serves the next operation.
 */
import { ceilDivideSizes, multiplySizes, productOfSizes, type SizeExpression } from '../../../support/size.ts';
import { required } from '../../../support/invariant.ts';
import { add, binary, builtin, divide, integer, KernelBuilder, less, literal, load, multiply, remainder, select, splat, subtract, unary, variable } from '../../kernel/builder.ts';
import { f32, withWidth, type Buffer, type Kernel, type KernelExpression, type KernelType, type VectorWidth } from '../../kernel/nodes.ts';
import type { ConvolutionOp, TensorInstruction, ValueId } from '../../tensor/ops.ts';
import { bufferOf, loadValue, type Coordinates, type MemoryReference } from '../access.ts';
import { storeValue } from '../scan-request.ts';
import { isTransformed } from './choice.ts';
import type { ConvolutionContext } from './context.ts';
import {
  forPoints, inverseSize, mostPoints, openExchange, powerOfTwoOf, product, synchronise, transform, transformSizes, transformThreads, twiddle,
  type Complex, type TransformSizes,
} from './fft-core.ts';
import { channelOf, forAxes, type Axis } from './places.ts';

type SlidingOp = Extract<ConvolutionOp, { kind: 'convolve' | 'correlate' }>;

/** The sequences of a value: one row per place of its axes without time, lanes along the channel axis. */
type Rows = { readonly axes: readonly Axis[]; readonly lanes: VectorWidth; readonly channel: string | null };

type SpectrumParts = readonly [MemoryReference, MemoryReference];
type Spectrum = { readonly rows: Rows; readonly parts: SpectrumParts };
type OperandSpectrum = Spectrum & { readonly value: ValueId };

/** The launches of one convolution or correlation. */
export function emitTransformed(context: ConvolutionContext, op: SlidingOp, instruction: TensorInstruction): void {
  const result = required(instruction.results[0], 'convolution');
  const channel = channelOf(result.type.axes, context.extent)?.name ?? null;
  const [late, early] = op.kind === 'correlate' ? [op.late, op.early] : op.order === 'forward' ? [op.response, op.signal] : [op.signal, op.response];
  const left = spectrumOf(context, late, channel);
  const right = spectrumOf(context, early, channel);
  const done = [left, right].filter((each) => !context.isConvolvedLater(each.value));
  const rows = rowsOf(context, result.type.axes, channel);
  // each thread writes the bins that it has read, of the same row
  const replaced = op.kind === 'convolve' ? done.find((each) => JSON.stringify(each.rows) === JSON.stringify(rows)) : undefined;
  const made: Spectrum = replaced ?? { rows, parts: spectrumMemory(context, rows) };
  const isCorrelation = op.kind === 'correlate' || op.order === 'reverse';
  const over = op.kind === 'correlate' ? op.over.map((name) => ({ name, size: context.extent(name) })) : [];
  launchProduct(context, { left, right, made, isCorrelation, over });
  launchRows(context, made, 'inverse');
  launchInverseColumns(context, made, context.memory(result.id));
  for (const each of done) context.shared.delete(spectrumKey(each.value, each.rows));
  const free = [made, ...done].map(({ parts }) => parts);
  free.filter((each, at) => free.findIndex((other) => isSameMemory(each, other)) === at).forEach((each) => freeSpectrum(context, each));
}

function rowsOf(context: ConvolutionContext, axes: readonly string[], channel: string | null): Rows {
  const { machine, extent } = context;
  const size = channel === null || !axes.includes(channel) ? 0 : Number(extent(channel));
  const lanes = machine.maximumWorkgroup === 1 && size > 0 && size % machine.vectorWidth === 0 ? machine.vectorWidth : 1;
  const own = axes.filter((axis) => axis !== 'time').map((name) => ({ name, size: name === channel ? size / lanes : extent(name) }));
  return { axes: own, lanes, channel: size > 0 ? channel : null };
}

/** re and im: at most 2 · length points per row. */
function spectrumMemory(context: ConvolutionContext, rows: Rows): SpectrumParts {
  const count = productOfSizes([...rows.axes.map((each) => each.size), rows.lanes, multiplySizes('length', 2)]);
  const axis = context.declareAxis('bin', count);
  const [re, im, ...others] = context.shared.get(freeKey(axis)) ?? [];
  if (re === undefined || im === undefined) return [context.scratch('spectrum_re', [axis]), context.scratch('spectrum_im', [axis])];
  context.shared.set(freeKey(axis), others);
  return [re, im];
}

function isSameMemory(left: SpectrumParts, right: SpectrumParts): boolean {
  return left[0].tensor === right[0].tensor;
}

/** Under which the plan's free spectra of a size stand, re and im in turn. */
function freeKey(axis: string): string {
  return `free spectra over ${axis}`;
}

function freeSpectrum({ shared }: ConvolutionContext, parts: SpectrumParts): void {
  const key = freeKey(required(parts[0].tensor.axes[0], 'bins'));
  shared.set(key, [...(shared.get(key) ?? []), ...parts]);
}

function spectrumKey(value: ValueId, rows: Rows): string {
  return `spectrum of %${value} along ${rows.channel ?? ''}`;
}

function spectrumOf(context: ConvolutionContext, value: ValueId, channel: string | null): OperandSpectrum {
  const rows = rowsOf(context, context.axesOf(value), channel);
  const key = spectrumKey(value, rows);
  const known = context.shared.get(key);
  if (known !== undefined) return { value, rows, parts: [required(known[0], 're'), required(known[1], 'im')] };
  const made: OperandSpectrum = { value, rows, parts: spectrumMemory(context, rows) };
  context.shared.set(key, made.parts);
  launchForwardColumns(context, made, context.memory(value));
  launchRows(context, made, 'forward');
  return made;
}

/** What a transform's kernel has at hand. */
type Frame = {
  readonly builder: KernelBuilder;
  readonly sizes: TransformSizes;
  readonly type: KernelType;
  /** of the row, worked out where asked for; the channel's is that of its first lane */
  readonly coordinates: () => Coordinates;
  /** first point of the row in a spectrum */
  readonly start: KernelExpression;
  /** which columns or which row of the four-step split */
  readonly block: KernelExpression;
  readonly vector: { readonly axis: string; readonly width: VectorWidth } | null;
};

/** Coordinates of a row from its number, the channel's in elements. */
function coordinatesOf(builder: KernelBuilder, rows: Rows, number: KernelExpression): Map<string, KernelExpression> {
  const coordinates = new Map<string, KernelExpression>();
  let rest = number;
  [...rows.axes].reverse().forEach((axis, at) => {
    const isOuter = at === rows.axes.length - 1;
    const size = builder.uniform('size', axis.size);
    const own = isOuter ? rest : builder.let('place', remainder(rest, size));
    coordinates.set(axis.name, axis.name === rows.channel ? multiply(own, integer(rows.lanes)) : own);
    if (!isOuter) rest = builder.let('rest', divide(rest, size));
  });
  return coordinates;
}

/** Number of the row that holds a place: the inverse of `coordinatesOf`. */
function rowNumber(builder: KernelBuilder, rows: Rows, coordinates: Coordinates): KernelExpression {
  return rows.axes.reduce<KernelExpression>((number, axis) => {
    const own = required(coordinates.get(axis.name), axis.name);
    const place = axis.name === rows.channel && rows.lanes > 1 ? divide(own, integer(rows.lanes)) : own;
    return add(multiply(number, builder.uniform('size', axis.size)), place);
  }, integer(0));
}

/** A kernel with one workgroup per row and block of it; blocks that this length lacks do nothing. */
function emitBlocks(context: ConvolutionContext, rows: Rows, header: { name: string; note: string }, body: (frame: Frame) => void): void {
  const builder = new KernelBuilder();
  const { machine } = context;
  const blocks: SizeExpression = ceilDivideSizes(multiplySizes('length', 2), mostPoints);
  const type = withWidth(f32, rows.lanes);
  builder.if(isTransformed(builder, context), () => {
    const sizes = transformSizes(builder);
    const count = builder.uniform('blocks', blocks);
    const place = builtin('workgroup-x');
    const [number, block] = [builder.let('row', divide(place, count)), builder.let('block', remainder(place, count))];
    builder.if(less(block, powerOfTwoOf(sizes.column)), () => {
      const coordinates = (): Coordinates => coordinatesOf(builder, rows, number);
      const start = builder.let('start', binary('shift-left', number, sizes.whole));
      body({ builder, sizes, type, coordinates, start, block, vector: rows.channel === null ? null : { axis: rows.channel, width: rows.lanes } });
    });
  });
  const made: Kernel = builder.finish({
    name: `${context.name}_${header.name}`, notes: [header.note], workgroupSize: transformThreads(machine),
    grid: [productOfSizes([...rows.axes.map((each) => each.size), blocks]), 1, 1],
  });
  context.launch(made);
}

/** e^(−2πi j / 1024), j < 512: one small launch per plan. */
function twiddleTable(context: ConvolutionContext): readonly [MemoryReference, MemoryReference] {
  const known = context.shared.get('twiddles');
  if (known !== undefined) return [required(known[0], 're'), required(known[1], 'im')];
  const axis = context.declareAxis('twiddle', mostPoints / 2);
  const made = [context.scratch('twiddles_re', [axis]), context.scratch('twiddles_im', [axis])] as const;
  context.shared.set('twiddles', made);
  const builder = new KernelBuilder();
  const threads = transformThreads(context.machine);
  const place = builder.let('place', threads === 1 ? builtin('workgroup-x') : add(multiply(builtin('workgroup-x'), integer(threads)), builtin('invocation')));
  const value = twiddle(builder, place, integer(Math.log2(mostPoints)));
  made.forEach((target, part) => builder.store(bufferOf(builder, target, 'write'), place, required(value[part], 'part')));
  context.launch(builder.finish({ name: 'twiddles', notes: ['roots of unity'], workgroupSize: threads, grid: [mostPoints / 2 / threads, 1, 1] }));
  return made;
}

function twiddleBuffers(context: ConvolutionContext, builder: KernelBuilder): readonly [Buffer, Buffer] {
  const [re, im] = twiddleTable(context);
  return [bufferOf(builder, re, 'read'), bufferOf(builder, im, 'read')];
}

/** Index of a point in a spectrum's memory. */
function pointIndex(frame: Frame, point: KernelExpression): KernelExpression {
  return multiply(add(frame.start, point), integer(frame.type.width));
}

function loadPoint(frame: Frame, buffers: readonly Buffer[], point: KernelExpression): Complex {
  const index = frame.builder.let('at', pointIndex(frame, point));
  const [re, im] = buffers.map((buffer) => frame.builder.let('bin', load(buffer, index, frame.type.width, true)));
  return [required(re, 're'), required(im, 'im')];
}

function storePoint(frame: Frame, buffers: readonly Buffer[], point: KernelExpression, value: Complex): void {
  const index = frame.builder.let('at', pointIndex(frame, point));
  buffers.forEach((buffer, part) => frame.builder.store(buffer, index, required(value[part], 'part'), true));
}

/** Column and place in it of point i of a block of columns, and the factor between columns and rows. */
function columnPlace(frame: Frame, index: KernelExpression): { readonly place: KernelExpression; readonly column: KernelExpression; readonly point: KernelExpression } {
  const { builder, sizes, block } = frame;
  const logColumns = subtract(sizes.points, sizes.column);
  const place = builder.let('place', binary('shift-right', index, logColumns));
  const inside = subtract(index, binary('shift-left', place, logColumns));
  const column = builder.let('column', add(binary('shift-left', block, logColumns), inside));
  return { place, column, point: builder.let('point', add(binary('shift-left', place, sizes.points), column)) };
}

/** value · e^(∓2πi place · column / h), where there is more than one row. */
function turned(frame: Frame, value: Complex, { place, column }: { place: KernelExpression; column: KernelExpression }, direction: 'forward' | 'inverse'): Complex {
  const { builder, sizes, type } = frame;
  const held = value.map((each) => builder.var('turned', each));
  builder.if(less(integer(0), sizes.column), () => {
    const [cosine, sine] = twiddle(builder, builder.let('angle', multiply(place, column)), sizes.whole);
    const factor: Complex = [splat(cosine, type.width), splat(direction === 'forward' ? sine : unary('negate', sine), type.width)];
    const made = product(value, factor).map((each) => builder.let('turned', each));
    held.forEach((target, part) => builder.assign(target, required(made[part], 'part')));
  });
  const [re, im] = held.map((each) => builder.let('turned', variable(each)));
  return [required(re, 're'), required(im, 'im')];
}

const swap = ([re, im]: Complex): Complex => [im, re];

function launchForwardColumns(context: ConvolutionContext, made: Spectrum, source: MemoryReference): void {
  const { machine } = context;
  const twiddleMemory = twiddleTable(context);
  emitBlocks(context, made.rows, { name: 'fft_columns', note: 'packs tokens in pairs and transforms the columns of the four-step split' }, (frame) => {
    const { builder, sizes, type } = frame;
    const exchange = openExchange(builder, machine, type);
    const points = powerOfTwoOf(sizes.points);
    const length = builder.uniform('length', 'length');
    const coordinates = frame.coordinates();
    forPoints(builder, machine, points, (index) => {
      const { point } = columnPlace(frame, index);
      const token = (offset: number): KernelExpression => {
        const time = builder.let('t', add(multiply(point, integer(2)), integer(offset)));
        const safe = builder.let('safe', binary('minimum', time, subtract(length, integer(1))));
        const value = splat(loadValue(builder, source, new Map([...coordinates, ['time', safe]]), frame.vector), type.width);
        return builder.let('value', select(less(time, length), value, literal(0, type)));
      };
      exchange.store(index, [token(0), token(1)]);
    });
    synchronise(builder, machine);
    const base = transform({
      builder, machine, exchange, type, twiddles: [bufferOf(builder, twiddleMemory[0], 'read'), bufferOf(builder, twiddleMemory[1], 'read')],
      logPoints: sizes.points, logLength: sizes.column, logStride: subtract(sizes.points, sizes.column),
    });
    const buffers = made.parts.map((part) => bufferOf(builder, part, 'write'));
    forPoints(builder, machine, points, (index) => {
      const at = columnPlace(frame, index);
      storePoint(frame, buffers, at.point, turned(frame, exchange.load(add(base, index)), at, 'forward'));
    });
  });
}

function launchRows(context: ConvolutionContext, made: Spectrum, direction: 'forward' | 'inverse'): void {
  const { machine } = context;
  twiddleTable(context);
  emitBlocks(context, made.rows, { name: 'fft_rows', note: `transforms the rows of the four-step split, ${direction}` }, (frame) => {
    const { builder, sizes, type } = frame;
    const exchange = openExchange(builder, machine, type);
    const points = powerOfTwoOf(sizes.points);
    const buffers = made.parts.map((part) => bufferOf(builder, part, 'read-write'));
    const place = (index: KernelExpression): KernelExpression => add(binary('shift-left', frame.block, sizes.points), index);
    const placed = (value: Complex): Complex => (direction === 'forward' ? value : swap(value));
    forPoints(builder, machine, points, (index) => exchange.store(index, placed(loadPoint(frame, buffers, place(index)))));
    synchronise(builder, machine);
    const base = transform({
      builder, machine, exchange, type, twiddles: twiddleBuffers(context, builder),
      logPoints: sizes.points, logLength: sizes.points, logStride: integer(0),
    });
    forPoints(builder, machine, points, (index) => storePoint(frame, buffers, place(index), placed(exchange.load(add(base, index)))));
  });
}

function launchInverseColumns(context: ConvolutionContext, made: Spectrum, target: MemoryReference): void {
  const { machine } = context;
  emitBlocks(context, made.rows, { name: 'fft_back', note: 'transforms the columns back and unpacks pairs of tokens' }, (frame) => {
    const { builder, sizes, type } = frame;
    const exchange = openExchange(builder, machine, type);
    const points = powerOfTwoOf(sizes.points);
    const buffers = made.parts.map((part) => bufferOf(builder, part, 'read'));
    forPoints(builder, machine, points, (index) => {
      const at = columnPlace(frame, index);
      exchange.store(index, swap(turned(frame, loadPoint(frame, buffers, at.point), at, 'inverse')));
    });
    synchronise(builder, machine);
    const base = transform({
      builder, machine, exchange, type, twiddles: twiddleBuffers(context, builder),
      logPoints: sizes.points, logLength: sizes.column, logStride: subtract(sizes.points, sizes.column),
    });
    const length = builder.uniform('length', 'length');
    const scale = splat(inverseSize(builder, sizes), type.width);
    const coordinates = frame.coordinates();
    forPoints(builder, machine, points, (index) => {
      const { point } = columnPlace(frame, index);
      swap(exchange.load(add(base, index))).forEach((value, offset) => {
        const time = builder.let('t', add(multiply(point, integer(2)), integer(offset)));
        builder.if(less(time, length), () => storeValue(builder, target, new Map([...coordinates, ['time', time]]), multiply(value, scale), frame.vector));
      });
    });
  });
}

type Product = {
  readonly left: Spectrum;
  readonly right: Spectrum;
  readonly made: Spectrum;
  readonly isCorrelation: boolean;
  readonly over: readonly Axis[];
};

/** Spectra of the even and the odd tokens in bin k, from bins k and h − k of the packed one. */
type Halves = { readonly even: Complex; readonly odd: Complex };

function halvesOf(builder: KernelBuilder, [a, b]: Complex, [c, d]: Complex, width: VectorWidth): Halves {
  const half = (value: KernelExpression): KernelExpression => builder.let('half', splat(multiply(value, literal(0.5, value.type)), width));
  return { even: [half(add(a, c)), half(subtract(b, d))], odd: [half(add(b, d)), half(subtract(c, a))] };
}

const sum = (left: Complex, right: Complex): Complex => [add(left[0], right[0]), add(left[1], right[1])];
const conjugate = ([re, im]: Complex): Complex => [re, unary('negate', im)];

/** Even and odd tokens of the convolution, or of the correlation of left (late) with right (early). */
function productOfHalves(left: Halves, right: Halves, factor: Complex, isCorrelation: boolean): readonly [Complex, Complex] {
  if (!isCorrelation) {
    return [
      sum(product(left.even, right.even), product(factor, product(left.odd, right.odd))),
      sum(product(left.even, right.odd), product(left.odd, right.even)),
    ];
  }
  const [even, odd] = [conjugate(right.even), conjugate(right.odd)];
  return [
    sum(product(left.even, even), product(left.odd, odd)),
    sum(product(left.odd, even), product(conjugate(factor), product(left.even, odd))),
  ];
}

/**
 * Bins k and h − k of every row; each thread has one pair. Pairs are counted as the first half of every row
 * of the four-step split holds them, so that neighbouring threads meet neighbouring points.
 */
function launchProduct(context: ConvolutionContext, { left, right, made, isCorrelation, over }: Product): void {
  const builder = new KernelBuilder();
  const { rows } = made;
  const threads = Math.min(64, context.machine.maximumWorkgroup);
  const pairs: SizeExpression = ceilDivideSizes(multiplySizes('length', 2), 2); // h/2 + 1 ≤ length + 1/2 for h > 1
  const run = threads === 1 ? 64 : 1;
  const perRow = ceilDivideSizes({ operator: 'add', left: pairs, right: 1 }, run);
  const total = productOfSizes([...rows.axes.map((each) => each.size), perRow]);
  const place = builder.let('thread', threads === 1 ? builtin('workgroup-x') : add(multiply(builtin('workgroup-x'), integer(threads)), builtin('invocation')));
  const isInside = binary('and', isTransformed(builder, context), less(place, builder.uniform('threads', total)));
  builder.if(isInside, () => {
    const sizes = transformSizes(builder);
    const count = builder.uniform('per_row', perRow);
    const [number, first] = [builder.let('row', divide(place, count)), builder.let('first', multiply(remainder(place, count), integer(run)))];
    const coordinates = coordinatesOf(builder, rows, number);
    const half = builder.let('half', binary('shift-right', powerOfTwoOf(sizes.whole), integer(1)));
    const end = builder.let('end', binary('minimum', add(first, integer(run)), add(half, integer(1))));
    builder.for('pair', { start: first, end }, (pair) => {
      const k = builder.let('k', select(less(pair, half), binOfPair(builder, sizes, pair), half));
      productOfBins(builder, { left, right, made, isCorrelation, over }, { sizes, number, coordinates, k });
    });
  });
  context.launch(builder.finish({
    name: `${context.name}_fft_product`, notes: [isCorrelation ? 'products of spectra with conjugates: a correlation' : 'products of spectra: a convolution'],
    workgroupSize: threads, grid: [ceilDivideSizes(total, threads), 1, 1],
  }));
}

/** The bin at place p of row r, p · n₁ + r, for pair r · (points / 2) + p. */
function binOfPair(builder: KernelBuilder, { points, column }: TransformSizes, pair: KernelExpression): KernelExpression {
  const logHalf = builder.let('log_half', binary('maximum', integer(0), subtract(points, integer(1))));
  const row = builder.let('split_row', binary('shift-right', pair, logHalf));
  const place = subtract(pair, binary('shift-left', row, logHalf));
  return builder.let('bin', add(binary('shift-left', place, column), row));
}

type Bins = { readonly sizes: TransformSizes; readonly number: KernelExpression; readonly coordinates: Coordinates; readonly k: KernelExpression };

function productOfBins(builder: KernelBuilder, { left, right, made, isCorrelation, over }: Product, { sizes, number, coordinates, k }: Bins): void {
  const width = made.rows.lanes;
  const whole = powerOfTwoOf(sizes.whole);
  const mirror = builder.let('mirror', binary('bit-and', subtract(whole, k), subtract(whole, integer(1))));
  /** where the rows' transform leaves bin k: row k mod n₁, place k / n₁ */
  const pointOf = (bin: KernelExpression): KernelExpression => {
    const place = binary('shift-right', bin, sizes.column);
    return builder.let('point', add(binary('shift-left', subtract(bin, binary('shift-left', place, sizes.column)), sizes.points), place));
  };
  const [own, other] = [pointOf(k), pointOf(mirror)];
  const [cosine, sine] = twiddle(builder, binary('bit-and', k, subtract(whole, integer(1))), sizes.whole);
  const factor: Complex = [splat(cosine, width), splat(sine, width)];
  const totals = [0, 1, 2, 3].map(() => builder.var('total', literal(0, withWidth(f32, width))));
  forAxes(builder, over, coordinates, (inner) => {
    const halves = ({ rows, parts }: Spectrum): Halves => {
      const start = builder.let('start', binary('shift-left', rowNumber(builder, rows, inner), sizes.whole));
      const bin = (point: KernelExpression): Complex => {
        const index = builder.let('at', multiply(add(start, point), integer(rows.lanes)));
        const [re, im] = parts.map((part) => builder.let('bin', load(bufferOf(builder, part, isSameMemory(parts, made.parts) ? 'read-write' : 'read'), index, rows.lanes, true)));
        return [required(re, 're'), required(im, 'im')];
      };
      return halvesOf(builder, bin(own), bin(other), width);
    };
    const [even, odd] = productOfHalves(halves(left), halves(right), factor, isCorrelation);
    [...even, ...odd].forEach((value, at) => {
      const target = required(totals[at], 'total');
      builder.assign(target, add(variable(target), value));
    });
  });
  const [a, b, c, d] = totals.map((each) => builder.let('total', variable(each)));
  const [evenRe, evenIm, oddRe, oddIm] = [required(a, 'even'), required(b, 'even'), required(c, 'odd'), required(d, 'odd')];
  const start = builder.let('start', binary('shift-left', number, sizes.whole));
  const isInPlace = [left, right].some(({ parts }) => isSameMemory(parts, made.parts));
  const store = (point: KernelExpression, value: Complex): void => made.parts.forEach((part, at) =>
    builder.store(bufferOf(builder, part, isInPlace ? 'read-write' : 'write'), multiply(add(start, point), integer(width)), required(value[at], 'part'), true));
  store(own, [subtract(evenRe, oddIm), add(evenIm, oddRe)]);
  store(other, [add(evenRe, oddIm), subtract(oddRe, evenIm)]);
}
