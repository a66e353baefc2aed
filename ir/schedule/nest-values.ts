/**
 * Values of a launch that is no recurrence, on demand at coordinates: what lies in memory is loaded,
 * everything elementwise between memory and a result is evaluated in place (delays, renames and gathers
 * only change coordinates), sums and contractions are loops. Each value is computed once per place.
 */
import { invariant, required } from '../../support/invariant.ts';
import type { SizeExpression } from '../../support/size.ts';
import { add, binary, compose, convert, extract, horizontalAdd, integer, less, literal, minimum, multiply, select, splat, subtract, variable, type KernelBuilder } from '../kernel/builder.ts';
import { f32, withWidth, type KernelExpression, type Variable, type VectorWidth } from '../kernel/nodes.ts';
import type { TensorInstruction, TensorOp, ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { loadValue, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import { emitElementwise } from './elementwise.ts';

/** What a launch may know of the values around it. */
export type NestContext = {
  readonly definitions: ReadonlyMap<ValueId, TensorInstruction>;
  readonly axesOf: (id: ValueId) => readonly string[];
  readonly names: (id: ValueId) => string;
  /** memory of a materialised value that this launch does not make itself, or null for one that is evaluated in place */
  readonly memory: (id: ValueId) => MemoryReference | null;
  readonly extent: (axis: string) => SizeExpression;
  /** sums over time that are formed piece by piece: at a place with the axis `axis`, time runs over one piece of `size` tokens */
  readonly pieces?: { readonly axis: string; readonly size: SizeExpression } | null;
};

export type NestVector = { readonly axis: string; readonly width: VectorWidth } | null;

/** A place: coordinates of axes, and the axis along which a vector of values lies. */
export type Site = { readonly coordinates: Coordinates; readonly vector: NestVector };

/** A reduction that is formed by a loop. */
export type LoopedSum = { readonly combine: 'sum' | 'maximum'; readonly value: (site: Site) => KernelExpression };

/** How a reducing operation is a loop: the axes and the term at a place; null for operations that are no reduction. */
export function loopOf(values: NestValues, op: TensorOp): { readonly over: readonly string[]; readonly sum: LoopedSum } | null {
  switch (op.kind) {
    case 'reduce':
      return { over: op.over, sum: { combine: op.function, value: (site) => values.evaluate(op.operand, site) } };
    case 'contract':
      return { over: op.over, sum: { combine: 'sum', value: (site) => multiply(values.evaluate(op.left, site), values.evaluate(op.right, site)) } };
    case 'scatter-add':
      return {
        over: op.over,
        sum: {
          combine: 'sum',
          value: (site) => {
            const hits = binary('equal', values.evaluate(op.index, site), required(site.coordinates.get(op.axis), op.axis));
            return select(hits, values.evaluate(op.values, site), literal(0));
          },
        },
      };
    default:
      return null;
  }
}

/** Evaluates values of one launch. */
export class NestValues {
  readonly #builder: KernelBuilder;
  readonly #context: NestContext;
  #memo = new Map<ValueId, Map<Coordinates, KernelExpression>>();
  /** values in registers of this thread, wherever they are asked for */
  readonly #held = new Map<ValueId, KernelExpression>();
  /** coordinates of the first vector of a row's strip by those of the others: values without the row's axis are the same there */
  #firstOf: ReadonlyMap<Coordinates, Coordinates> = new Map();

  constructor(builder: KernelBuilder, context: NestContext) {
    this.#builder = builder;
    this.#context = context;
  }

  /** Forgets all places: a new row begins. */
  forget(): void {
    this.#memo = new Map();
  }

  /** From now on the value is this one, at every place that is asked for. */
  hold(id: ValueId, value: KernelExpression): void {
    this.#held.set(id, value);
  }

  /** Sums or maxima over the same loops, for each sum one per site; the vector axis (the same of all sites) may be one of the looped ones. */
  loop(over: readonly string[], sites: readonly Site[], sums: readonly LoopedSum[]): readonly (readonly KernelExpression[])[] {
    const builder = this.#builder;
    const vector = required(sites[0], 'site').vector;
    const width = vector?.width ?? 1;
    const totals = sums.map(({ combine }) => sites.map((): Variable =>
      builder.var(combine, literal(combine === 'sum' ? 0 : -3.4028234663852886e38, withWidth(f32, width)))));
    const open = (axes: readonly string[], looped: readonly (readonly [string, KernelExpression])[]): void => {
      const [axis, ...rest] = axes;
      if (axis === undefined) {
        this.#addTerms(sites.map((site) => ({ ...site, coordinates: withCoordinates(site.coordinates, looped) })), sums, totals, width);
        return;
      }
      const step = vector?.axis === axis ? vector.width : 1;
      const range = this.rangeOf(axis, required(sites[0], 'site').coordinates);
      builder.for(axisName(axis), { ...range, step }, (index) => open(rest, [...looped, [axis, index]]));
    };
    open(over, []);
    return sums.map(({ combine }, at) => required(totals[at], 'totals').map((total) => {
      if (vector === null || !over.includes(vector.axis)) return variable(total);
      if (combine === 'sum') return horizontalAdd(variable(total));
      return Array.from({ length: width }, (_, lane) => extract(variable(total), lane)).reduce((most, each) => binary('maximum', most, each));
    }));
  }

  /** What a loop over an axis covers: all of it, or of time the piece at this place. */
  rangeOf(axis: string, coordinates: Coordinates): { readonly start: KernelExpression; readonly end: KernelExpression } {
    const size = this.#builder.uniform(axis === 'time' ? 'length' : axis, this.#context.extent(axis));
    const { pieces } = this.#context;
    const piece = axis !== 'time' || pieces === undefined || pieces === null ? undefined : coordinates.get(pieces.axis);
    if (pieces === undefined || pieces === null || piece === undefined) return { start: integer(0), end: size };
    const length = this.#builder.uniform('piece', pieces.size);
    const start = this.#builder.let('piece_start', multiply(piece, length));
    return { start, end: this.#builder.let('piece_end', minimum(add(start, length), size)) };
  }

  #addTerms(inner: readonly Site[], sums: readonly LoopedSum[], totals: readonly (readonly Variable[])[], width: VectorWidth): void {
    const outer = this.#memo;
    this.#memo = new Map();
    this.#firstOf = new Map(inner.slice(1).map((site) => [site.coordinates, required(inner[0], 'site').coordinates]));
    sums.forEach(({ combine, value }, sum) => {
      const terms = inner.map((site) => splat(value(site), width));
      required(totals[sum], 'totals').forEach((total, at) => {
        const [before, term] = [variable(total), required(terms[at], 'term')];
        this.#builder.assign(total, combine === 'sum' ? add(before, term) : binary('maximum', before, term));
      });
    });
    this.#memo = outer;
  }

  /** The value at a place. */
  evaluate(id: ValueId, asked: Site): KernelExpression {
    const held = this.#held.get(id);
    if (held !== undefined) return held;
    const first = asked.vector === null || this.#context.axesOf(id).includes(asked.vector.axis) ? undefined : this.#firstOf.get(asked.coordinates);
    const site = first === undefined ? asked : { ...asked, coordinates: first };
    const known = this.#memo.get(id)?.get(site.coordinates);
    if (known !== undefined) return known;
    const value = this.#builder.let(this.#context.names(id), this.#compute(id, site));
    this.#remember(id, site, value);
    return value;
  }

  #remember(id: ValueId, site: Site, value: KernelExpression): void {
    const byCoordinates = this.#memo.get(id) ?? new Map<Coordinates, KernelExpression>();
    byCoordinates.set(site.coordinates, value);
    this.#memo.set(id, byCoordinates);
  }

  #compute(id: ValueId, site: Site): KernelExpression {
    const reference = this.#context.memory(id);
    if (reference !== null) return loadValue(this.#builder, reference, site.coordinates, site.vector);
    const definition = required(this.#context.definitions.get(id), `definition of %${id}`);
    const { op } = definition;
    switch (op.kind) {
      case 'constant':
        return literal(op.value);
      case 'length':
        return convert(this.#length(), f32);
      case 'iota':
        return this.#iota(op.axis, site);
      case 'unary':
      case 'binary':
      case 'select':
      case 'analytic':
      case 'broadcast': {
        const values = emitElementwise(this.#builder, op, operandsOf(op).map((each) => this.evaluate(each, site)));
        definition.results.forEach((result, at) => {
          if (result.id !== id) this.#remember(result.id, site, this.#builder.let(result.name, required(values[at], 'result')));
        });
        return required(values[definition.results.findIndex((result) => result.id === id)], 'result');
      }
      case 'rename': {
        const coordinates = withCoordinates(site.coordinates, [[op.from, required(site.coordinates.get(op.to), op.to)]]);
        // behind the rename, `from` is the axis `to` of this side: a vector along another `from` stays outside
        const vector = site.vector?.axis === op.to ? { axis: op.from, width: site.vector.width } : site.vector?.axis === op.from ? null : site.vector;
        return this.evaluate(op.operand, { coordinates, vector });
      }
      case 'delay':
        return this.#delayed(op, site);
      case 'slide':
        return this.#slid(op, site);
      case 'last':
        return this.evaluate(op.operand, { ...site, coordinates: withCoordinates(site.coordinates, [['time', subtract(this.#length(), integer(1))]]) });
      case 'at-last': {
        const isLast = binary('equal', required(site.coordinates.get('time'), 'time'), subtract(this.#length(), integer(1)));
        return select(isLast, this.evaluate(op.operand, site), literal(0));
      }
      case 'gather':
        return this.evaluate(op.table, {
          vector: site.vector?.axis === op.axis ? null : site.vector, // the row is one place of that axis
          coordinates: withCoordinates(site.coordinates, [[op.axis, this.evaluate(op.index, site)]]),
        });
      default:
        throw new Error(`${op.kind} must be a launch of its own`);
    }
  }

  #length(): KernelExpression {
    return this.#builder.uniform('length', 'length');
  }

  #iota(axis: string, site: Site): KernelExpression {
    const start = convert(required(site.coordinates.get(axis), axis), f32);
    if (site.vector?.axis !== axis) return start;
    return add(start, compose(Array.from({ length: site.vector.width }, (_, lane) => literal(lane))));
  }

  #delayed(op: Extract<TensorOp, { kind: 'delay' }>, site: Site): KernelExpression {
    const builder = this.#builder;
    const time = required(site.coordinates.get('time'), 'time');
    const source = builder.let('source', subtract(time, integer(op.steps)));
    const inside = builder.let('inside', op.steps > 0 ? binary('less-equal', integer(0), source) : less(source, this.#length()));
    const safe = builder.let('source', select(inside, source, time));
    const value = this.evaluate(op.operand, { ...site, coordinates: withCoordinates(site.coordinates, [['time', safe]]) });
    if (op.tail === null) return select(inside, value, literal(0));
    const { axis } = op.tail;
    const size = this.#context.extent(axis);
    invariant(typeof size === 'number', `size of ${axis}`);
    const slot = builder.let('slot', select(inside, integer(0), add(source, integer(size))));
    const before = this.evaluate(op.tail.value, { ...site, coordinates: withCoordinates(site.coordinates, [[axis, slot]]) });
    return select(inside, value, before);
  }

  #slid(op: Extract<TensorOp, { kind: 'slide' }>, site: Site): KernelExpression {
    const builder = this.#builder;
    const size = (axis: string): KernelExpression => {
      const extent = this.#context.extent(axis);
      return typeof extent === 'number' ? integer(extent) : this.#length();
    };
    const shift = op.lengths === 0 ? integer(op.steps) : add(multiply(this.#length(), integer(op.lengths)), integer(op.steps));
    const source = builder.let('source', subtract(required(site.coordinates.get(op.to), op.to), shift));
    const inside = builder.let('inside', binary('and', binary('less-equal', integer(0), source), less(source, size(op.from))));
    const safe = builder.let('source', select(inside, source, integer(0)));
    const value = this.evaluate(op.operand, { ...site, coordinates: withCoordinates(site.coordinates, [[op.from, safe]]) });
    return select(inside, value, literal(0));
  }
}

/** Stem of a loop variable. */
export function axisName(axis: string): string {
  if (axis === 'batch') return 'b';
  if (axis === 'time') return 't';
  return axis.toLowerCase().replace(/[^a-z0-9]/g, '_');
}
