/**
 * Schedule `loop-nest`: the general launch for everything that is no recurrence. One result, one
 * element per thread (GPU) or one row per workgroup with the last axis in vectors (CPU); sums and
 * contractions are a loop, everything elementwise between memory and the result is evaluated in
 * place at the coordinates where it is needed (delays, renames and gathers only change coordinates).
 */
import { required } from '../../support/invariant.ts';
import { ceilDivideSizes, productOfSizes } from '../../support/size.ts';
import { add, builtin, convert, divide, integer, KernelBuilder, less, multiply, remainder } from '../kernel/builder.ts';
import { i32, withWidth, type Kernel, type KernelExpression } from '../kernel/nodes.ts';
import type { ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { strideOf, withCoordinates, type Coordinates, type MemoryReference } from './access.ts';
import { axisName, loopOf, NestValues, type NestContext, type NestVector, type Site } from './nest-values.ts';
import type { LoopNestParameters } from './parameters.ts';
import { storeValue } from './scan-request.ts';

export type LoopNestRequest = NestContext & {
  readonly name: string;
  readonly notes: readonly string[];
  readonly root: ValueId;
  /** axes of the result in canonical order */
  readonly axes: readonly string[];
  readonly target: MemoryReference;
  /** further elementwise results over the same axes, computed in the same place */
  readonly also: readonly { readonly root: ValueId; readonly target: MemoryReference }[];
};

type Vector = NestVector;

/** The kernel of one launch. */
export function emitLoopNest(request: LoopNestRequest, parameters: LoopNestParameters): Kernel {
  return new LoopNestEmission(request, parameters).run();
}

class LoopNestEmission {
  readonly #request: LoopNestRequest;
  readonly #parameters: LoopNestParameters;
  readonly #builder = new KernelBuilder();
  readonly #values: NestValues;

  constructor(request: LoopNestRequest, parameters: LoopNestParameters) {
    this.#request = request;
    this.#parameters = parameters;
    this.#values = new NestValues(this.#builder, { ...request, memory: (id) => this.#memoryOf(id) });
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
      this.#values.forget();
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
        const further = this.#values.evaluate(other.root, site);
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
    const isCopy = lies !== null && lies !== this.#request.target;
    const loop = isCopy ? null : loopOf(this.#values, required(this.#request.definitions.get(root), `definition of %${root}`).op);
    if (loop === null) return sites.map((site) => this.#values.evaluate(root, site));
    return required(this.#values.loop(loop.over, sites, [loop.sum])[0], 'totals');
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
