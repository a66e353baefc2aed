/**
 * Schedule `loop-nest`: the general launch for everything that is no recurrence. One result, one
 * element per thread (GPU) or one row per workgroup with the last axis in vectors (CPU); sums and
 * contractions are a loop, everything elementwise between memory and the result is evaluated in
 * place at the coordinates where it is needed (delays, renames and gathers only change coordinates).
 */
import { invariant, required } from '../../support/invariant.ts';
import { ceilDivideSizes, productOfSizes, type SizeExpression } from '../../support/size.ts';
import { add, binary, builtin, compose, convert, divide, extract, horizontalAdd, integer, KernelBuilder, less, literal, multiply, remainder, select, splat, subtract, variable } from '../kernel/builder.ts';
import { f32, i32, withWidth, type Kernel, type KernelExpression, type Variable, type VectorWidth } from '../kernel/nodes.ts';
import type { TensorInstruction, TensorOp, ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { loadValue, strideOf, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import { emitElementwise } from './elementwise.ts';
import type { LoopNestParameters } from './parameters.ts';
import { storeValue } from './scan-request.ts';

export type LoopNestRequest = {
  readonly name: string;
  readonly notes: readonly string[];
  readonly root: ValueId;
  /** axes of the result in canonical order */
  readonly axes: readonly string[];
  readonly target: MemoryReference;
  /** further elementwise results over the same axes, computed in the same place */
  readonly also: readonly { readonly root: ValueId; readonly target: MemoryReference }[];
  readonly definitions: ReadonlyMap<ValueId, TensorInstruction>;
  readonly axesOf: (id: ValueId) => readonly string[];
  readonly names: (id: ValueId) => string;
  /** memory of a materialised value, or null for one that is evaluated in place */
  readonly memory: (id: ValueId) => MemoryReference | null;
  readonly extent: (axis: string) => SizeExpression;
};

type Vector = { readonly axis: string; readonly width: VectorWidth } | null;
type Site = { readonly coordinates: Coordinates; readonly vector: Vector };

/** The kernel of one launch. */
export function emitLoopNest(request: LoopNestRequest, parameters: LoopNestParameters): Kernel {
  return new LoopNestEmission(request, parameters).run();
}

class LoopNestEmission {
  readonly #request: LoopNestRequest;
  readonly #parameters: LoopNestParameters;
  readonly #builder = new KernelBuilder();
  #memo = new Map<ValueId, Map<Coordinates, KernelExpression>>();
  /** coordinates of the first vector of a row's strip by those of the others: values without the row's axis are the same there */
  #firstOf: ReadonlyMap<Coordinates, Coordinates> = new Map();

  constructor(request: LoopNestRequest, parameters: LoopNestParameters) {
    this.#request = request;
    this.#parameters = parameters;
  }

  run(): Kernel {
    const { name, notes, axes } = this.#request;
    const { workgroupSize } = this.#parameters;
    const vector = this.#chooseVector();
    const rowAxis = workgroupSize === 1 ? (axes.at(-1) ?? null) : null;
    const gridAxes = rowAxis === null ? axes : axes.slice(0, -1);
    const total = productOfSizes(gridAxes.map((axis) => this.#request.extent(axis)));
    const builder = this.#builder;
    const place = workgroupSize === 1 ? builtin('workgroup-x') : builder.let('thread', add(multiply(builtin('workgroup-x'), integer(workgroupSize)), builtin('invocation')));
    const body = (): void => this.#rows(this.#splitAxes(place, gridAxes), rowAxis, vector);
    if (workgroupSize === 1) body();
    else builder.if(less(place, builder.uniform('threads', total)), body);
    const gridX = workgroupSize === 1 ? total : ceilDivideSizes(total, workgroupSize);
    return builder.finish({ name, notes, workgroupSize, grid: [gridX, 1, 1] });
  }

  #splitAxes(flat: KernelExpression, axes: readonly string[]): Coordinates {
    const entries: (readonly [string, KernelExpression])[] = [];
    let rest = flat;
    [...axes].reverse().forEach((axis, at) => {
      const isOuter = at === axes.length - 1;
      const size = this.#builder.uniform(axis === 'time' ? 'length' : axis, this.#request.extent(axis));
      entries.push([axis, isOuter ? rest : this.#builder.let(axisName(axis), remainder(rest, size))]);
      if (!isOuter) rest = this.#builder.let('rest', divide(rest, size));
    });
    return new Map(entries);
  }

  #rows(coordinates: Coordinates, rowAxis: string | null, vector: Vector): void {
    if (rowAxis === null) {
      this.#element({ coordinates, vector });
      return;
    }
    const size = this.#builder.uniform(rowAxis === 'time' ? 'length' : rowAxis, this.#request.extent(rowAxis));
    const width = vector?.axis === rowAxis ? vector.width : 1;
    const strips = vector?.axis === rowAxis ? this.#strips(vector) : 1;
    this.#builder.for(axisName(rowAxis), { start: integer(0), end: size, step: width * strips }, (index) => {
      this.#memo = new Map();
      this.#elements(Array.from({ length: strips }, (_, strip) =>
        ({ coordinates: withCoordinates(coordinates, [[rowAxis, add(index, integer(strip * width))]]), vector })));
    });
  }

  /** Vectors of a row whose sums grow side by side, so that one addition need not wait for another. */
  #strips(vector: Exclude<Vector, null>): number {
    const { kind } = required(this.#request.definitions.get(this.#request.root), 'root').op;
    const size = this.#request.extent(vector.axis);
    if (kind !== 'contract' && kind !== 'reduce' || typeof size !== 'number') return 1;
    return [4, 2].find((strips) => size % (strips * vector.width) === 0) ?? 1;
  }

  #element(site: Site): void {
    this.#elements([site]);
  }

  #elements(sites: readonly Site[]): void {
    const { root, target } = this.#request;
    const values = this.#rootValues(root, sites);
    sites.forEach((site, at) => {
      const value = required(values[at], 'element');
      const isLoopVector = site.vector !== null && !this.#request.axes.includes(site.vector.axis);
      const outer = isLoopVector ? null : site.vector;
      const stored = target.tensor.storage === 'i32' ? convert(value, withWidth(i32, value.type.width)) : value;
      storeValue(this.#builder, target, site.coordinates, stored, outer);
      for (const other of this.#request.also) {
        const further = this.#evaluate(other.root, site);
        const kept = other.target.tensor.storage === 'i32' ? convert(further, withWidth(i32, further.type.width)) : further;
        storeValue(this.#builder, other.target, site.coordinates, kept, outer);
      }
    });
  }

  /** Memory of a value that this launch does not make itself. */
  #memoryOf(id: ValueId): MemoryReference | null {
    const reference = this.#request.memory(id);
    const isOwn = reference === this.#request.target || this.#request.also.some((each) => each.root === id);
    return isOwn ? null : reference;
  }

  #rootValues(root: ValueId, sites: readonly Site[]): readonly KernelExpression[] {
    const lies = this.#request.memory(root);
    if (lies !== null && lies !== this.#request.target) return sites.map((site) => this.#evaluate(root, site)); // a copy
    const op = required(this.#request.definitions.get(root), `definition of %${root}`).op;
    switch (op.kind) {
      case 'reduce':
        return this.#loop(op.over, sites, op.function, (inner) => this.#evaluate(op.operand, inner));
      case 'contract':
        return this.#loop(op.over, sites, 'sum', (inner) => multiply(this.#evaluate(op.left, inner), this.#evaluate(op.right, inner)));
      case 'scatter-add':
        return this.#loop(op.over, sites, 'sum', (inner) => {
          const wanted = required(inner.coordinates.get(op.axis), op.axis);
          const hits = binary('equal', this.#evaluate(op.index, inner), wanted);
          return select(hits, this.#evaluate(op.values, inner), literal(0));
        });
      default:
        return sites.map((site) => this.#evaluate(root, site));
    }
  }

  /** Sums or maxima over loops, one per site; the vector axis (the same of all sites) may be one of the looped ones. */
  #loop(over: readonly string[], sites: readonly Site[], combine: 'sum' | 'maximum', value: (site: Site) => KernelExpression): readonly KernelExpression[] {
    const builder = this.#builder;
    const vector = required(sites[0], 'site').vector;
    const width = vector?.width ?? 1;
    const start = combine === 'sum' ? 0 : -3.4028234663852886e38;
    const totals = sites.map((): Variable => builder.var(combine, literal(start, withWidth(f32, width))));
    const open = (axes: readonly string[], looped: readonly (readonly [string, KernelExpression])[]): void => {
      const [axis, ...rest] = axes;
      if (axis === undefined) {
        const outer = this.#memo;
        this.#memo = new Map();
        const inner = sites.map((site) => ({ ...site, coordinates: withCoordinates(site.coordinates, looped) }));
        this.#firstOf = new Map(inner.slice(1).map((site) => [site.coordinates, required(inner[0], 'site').coordinates]));
        const terms = inner.map((site) => splat(value(site), width));
        totals.forEach((total, at) => {
          const [before, term] = [variable(total), required(terms[at], 'term')];
          builder.assign(total, combine === 'sum' ? add(before, term) : binary('maximum', before, term));
        });
        this.#memo = outer;
        return;
      }
      const size = builder.uniform(axis === 'time' ? 'length' : axis, this.#request.extent(axis));
      const step = vector?.axis === axis ? vector.width : 1;
      builder.for(axisName(axis), { start: integer(0), end: size, step }, (index) => open(rest, [...looped, [axis, index]]));
    };
    open(over, []);
    return totals.map((total) => {
      if (vector === null || !over.includes(vector.axis)) return variable(total);
      if (combine === 'sum') return horizontalAdd(variable(total));
      return Array.from({ length: width }, (_, lane) => extract(variable(total), lane)).reduce((most, each) => binary('maximum', most, each));
    });
  }

  #evaluate(id: ValueId, asked: Site): KernelExpression {
    const first = asked.vector === null || this.#request.axesOf(id).includes(asked.vector.axis) ? undefined : this.#firstOf.get(asked.coordinates);
    const site = first === undefined ? asked : { ...asked, coordinates: first };
    const known = this.#memo.get(id)?.get(site.coordinates);
    if (known !== undefined) return known;
    const value = this.#builder.let(this.#request.names(id), this.#compute(id, site));
    this.#remember(id, site, value);
    return value;
  }

  #remember(id: ValueId, site: Site, value: KernelExpression): void {
    const byCoordinates = this.#memo.get(id) ?? new Map<Coordinates, KernelExpression>();
    byCoordinates.set(site.coordinates, value);
    this.#memo.set(id, byCoordinates);
  }

  #compute(id: ValueId, site: Site): KernelExpression {
    const reference = this.#memoryOf(id);
    if (reference !== null) return loadValue(this.#builder, reference, site.coordinates, site.vector);
    const definition = required(this.#request.definitions.get(id), `definition of %${id}`);
    const { op } = definition;
    switch (op.kind) {
      case 'argument':
        return loadValue(this.#builder, required(this.#request.memory(id), 'argument'), site.coordinates, site.vector);
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
        const values = emitElementwise(this.#builder, op, operandsOf(op).map((each) => this.#evaluate(each, site)));
        definition.results.forEach((result, at) => {
          if (result.id !== id) this.#remember(result.id, site, this.#builder.let(result.name, required(values[at], 'result')));
        });
        return required(values[definition.results.findIndex((result) => result.id === id)], 'result');
      }
      case 'rename': {
        const coordinates = withCoordinates(site.coordinates, [[op.from, required(site.coordinates.get(op.to), op.to)]]);
        // behind the rename, `from` is the axis `to` of this side: a vector along another `from` stays outside
        const vector = site.vector?.axis === op.to ? { axis: op.from, width: site.vector.width } : site.vector?.axis === op.from ? null : site.vector;
        return this.#evaluate(op.operand, { coordinates, vector });
      }
      case 'delay':
        return this.#delayed(op, site);
      case 'slide':
        return this.#slid(op, site);
      case 'last':
        return this.#evaluate(op.operand, { ...site, coordinates: withCoordinates(site.coordinates, [['time', subtract(this.#length(), integer(1))]]) });
      case 'at-last': {
        const isLast = binary('equal', required(site.coordinates.get('time'), 'time'), subtract(this.#length(), integer(1)));
        return select(isLast, this.#evaluate(op.operand, site), literal(0));
      }
      case 'gather':
        return this.#evaluate(op.table, {
          vector: site.vector?.axis === op.axis ? null : site.vector, // the row is one place of that axis
          coordinates: withCoordinates(site.coordinates, [[op.axis, this.#evaluate(op.index, site)]]),
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
    const value = this.#evaluate(op.operand, { ...site, coordinates: withCoordinates(site.coordinates, [['time', safe]]) });
    if (op.tail === null) return select(inside, value, literal(0));
    const { axis } = op.tail;
    const size = this.#request.extent(axis);
    invariant(typeof size === 'number', `size of ${axis}`);
    const slot = builder.let('slot', select(inside, integer(0), add(source, integer(size))));
    const before = this.#evaluate(op.tail.value, { ...site, coordinates: withCoordinates(site.coordinates, [[axis, slot]]) });
    return select(inside, value, before);
  }

  #slid(op: Extract<TensorOp, { kind: 'slide' }>, site: Site): KernelExpression {
    const builder = this.#builder;
    const size = (axis: string): KernelExpression => {
      const extent = this.#request.extent(axis);
      return typeof extent === 'number' ? integer(extent) : this.#length();
    };
    const shift = op.lengths === 0 ? integer(op.steps) : add(multiply(this.#length(), integer(op.lengths)), integer(op.steps));
    const source = builder.let('source', subtract(required(site.coordinates.get(op.to), op.to), shift));
    const inside = builder.let('inside', binary('and', binary('less-equal', integer(0), source), less(source, size(op.from))));
    const safe = builder.let('source', select(inside, source, integer(0)));
    const value = this.#evaluate(op.operand, { ...site, coordinates: withCoordinates(site.coordinates, [[op.from, safe]]) });
    return select(inside, value, literal(0));
  }

  /** The axis along which vectors lie: the last result axis or the last looped one, whichever loads better. */
  #chooseVector(): Vector {
    const width = this.#parameters.vectorWidth;
    if (width === 1) return null;
    const op = required(this.#request.definitions.get(this.#request.root), 'root').op;
    const over = op.kind === 'reduce' || op.kind === 'contract' || op.kind === 'scatter-add' ? op.over : [];
    const candidates = [this.#request.axes.at(-1), over.at(-1)].filter((axis): axis is string => axis !== undefined && axis !== 'time' && axis !== 'batch');
    const scored = candidates
      .filter((axis) => { const size = this.#request.extent(axis); return typeof size === 'number' && size % width === 0; })
      .map((axis) => ({ axis, cost: this.#vectorCost(axis) }))
      .filter((each) => Number.isFinite(each.cost))
      .sort((left, right) => left.cost - right.cost);
    const best = scored[0];
    return best === undefined ? null : { axis: best.axis, width };
  }

  /** Loads per vector along an axis, infinite where an index varies along it. */
  #vectorCost(axis: string): number {
    const { root, definitions, memory, axesOf } = this.#request;
    const visit = (id: ValueId, along: string, isRoot: boolean): number => {
      const reference = isRoot ? null : memory(id);
      if (reference !== null) {
        if (!reference.tensor.axes.includes(along)) return 0;
        return strideOf(reference, along) === 1 && reference.part === null ? 1 : 8;
      }
      const definition = definitions.get(id);
      if (definition === undefined) return 0;
      const { op } = definition;
      if (op.kind === 'rename' && op.from === along) return 0; // the operand has another axis of that name
      if (op.kind === 'rename') return visit(op.operand, op.to === along ? op.from : along, false);
      if (op.kind === 'slide' && (op.from === along || op.to === along)) return Infinity;
      if (op.kind === 'gather') return axesOf(op.index).includes(along) ? Infinity : op.axis === along ? 0 : visit(op.table, along, false);
      if (op.kind === 'scatter-add' && (op.axis === along || axesOf(op.index).includes(along))) return Infinity;
      return operandsOf(op).reduce((sum, each) => sum + visit(each, along, false), 0);
    };
    return visit(root, axis, true) + this.#request.also.reduce((sum, each) => sum + visit(each.root, axis, true), 0) + (this.#request.axes.includes(axis) ? 0 : 0.5);
  }
}

function axisName(axis: string): string {
  if (axis === 'batch') return 'b';
  if (axis === 'time') return 't';
  return axis.toLowerCase().replace(/[^a-z0-9]/g, '_');
}

