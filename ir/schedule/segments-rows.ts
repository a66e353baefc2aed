/**
 * Rows of a tile that one thread of schedule `segments` keeps in registers: what its tokens read from
 * memory, all loaded before the first use, so that many accesses are on their way at once. Re and im
 * of an interleaved complex tensor are read and written as one vector.
 */
import { required } from '../../support/invariant.ts';
import { add, compose, element, extract, integer, load, loadedType, splat, type KernelBuilder } from '../kernel/builder.ts';
import { withWidth, type KernelExpression, type KernelType, type RegisterArray, type VectorWidth } from '../kernel/nodes.ts';
import type { ValueId } from '../tensor/ops.ts';
import { bufferOf, elementIndex, loadValue, strideOf, type Coordinates, type MemoryReference } from './access.ts';
import type { RegionPlan } from './region-plan.ts';
import { storeValue } from './scan-request.ts';

type Vector = { readonly axis: string; readonly width: VectorWidth };

/** One operand, or both parts of a complex one. */
type Row = { readonly ids: readonly ValueId[]; readonly reference: MemoryReference; readonly isPair: boolean; readonly type: KernelType };

/** Whether both parts of a complex tensor can be accessed as one vector along the axis. */
function isPairable(reference: MemoryReference, vector: Vector): boolean {
  const { axes, dims } = reference.tensor;
  const size = dims.at(-2);
  return reference.part === 0 && axes.at(-2) === vector.axis && strideOf(reference, vector.axis) === 2 && typeof size === 'number' && size % vector.width === 0;
}

function rowsOf(ids: readonly ValueId[], plan: RegionPlan, memory: (operand: ValueId) => MemoryReference, vector: Vector): readonly Row[] {
  const referenceOf = (id: ValueId): MemoryReference =>
    memory(required(plan.op.operands[required(plan.parameters.get(id), 'parameter')], 'operand'));
  const typeOf = ({ tensor }: MemoryReference): KernelType => withWidth(loadedType(tensor.storage), tensor.axes.includes(vector.axis) ? vector.width : 1);
  const paired = new Set<ValueId>();
  const rows: Row[] = [];
  for (const id of ids) {
    const reference = referenceOf(id);
    const other = ids.find((each) => referenceOf(each).tensor === reference.tensor && referenceOf(each).part === 1);
    if (isPairable(reference, vector) && other !== undefined) {
      paired.add(id).add(other);
      rows.push({ ids: [id, other], reference, isPair: true, type: typeOf(reference) });
    }
  }
  for (const id of ids) {
    if (paired.has(id)) continue;
    const reference = referenceOf(id);
    rows.push({ ids: [id], reference, isPair: false, type: typeOf(reference) });
  }
  return rows;
}

/** Register arrays with the operands of a thread's tokens. */
export class SegmentRows {
  readonly #builder: KernelBuilder;
  readonly #vector: Vector;
  readonly #rows: readonly Row[];
  readonly #arrays = new Map<ValueId, RegisterArray>();
  readonly #next = new Map<ValueId, RegisterArray>();
  readonly #tokens: number;

  constructor(builder: KernelBuilder, plan: RegionPlan, memory: (operand: ValueId) => MemoryReference, options: { ids: readonly ValueId[]; vector: Vector; tokens: number }) {
    this.#builder = builder;
    this.#vector = options.vector;
    this.#tokens = options.tokens;
    this.#rows = rowsOf(options.ids, plan, memory, options.vector);
    for (const row of this.#rows) {
      for (const id of row.ids) this.#arrays.set(id, builder.array(`${required(plan.names.get(id), 'name')}_rows`, row.type, this.#tokens));
    }
  }

  /** Declares a second set of registers for the tile after the current one. */
  declareNext(): void {
    for (const [id, array] of this.#arrays) this.#next.set(id, this.#builder.array(`${array.name}_next`, array.type, array.length));
  }

  /** Makes the tile that was loaded ahead the current one. */
  takeNext(index: KernelExpression): void {
    for (const [id, array] of this.#arrays) this.#builder.setElement(array, index, element(required(this.#next.get(id), 'next row'), index));
  }

  /** Loads the operands of token `index`. */
  load(index: KernelExpression, at: Coordinates, target: 'current' | 'next'): void {
    const arrays = target === 'current' ? this.#arrays : this.#next;
    for (const row of this.#rows) {
      const values = row.isPair ? this.#loadPair(row, at) : [loadValue(this.#builder, row.reference, at, this.#vector)];
      row.ids.forEach((id, part) =>
        this.#builder.setElement(required(arrays.get(id), 'row'), index, splat(required(values[part], 'part'), row.type.width)));
    }
  }

  #loadPair(row: Row, at: Coordinates): readonly [KernelExpression, KernelExpression] {
    const builder = this.#builder;
    const buffer = bufferOf(builder, row.reference, 'read');
    const first = builder.let('first', elementIndex(builder, row.reference, at));
    const lanes = row.type.width;
    if (lanes === 1) {
      const both = builder.let('both', load(buffer, first, 2, true));
      return [extract(both, 0), extract(both, 1)];
    }
    const numbers = Array.from({ length: lanes / 2 }, (_, half) => builder.let('both', load(buffer, add(first, integer(half * 4)), 4, true)));
    const part = (offset: 0 | 1): KernelExpression => compose(numbers.flatMap((both) => [extract(both, offset), extract(both, offset + 2)]));
    return [part(0), part(1)];
  }

  /** The value of an operand at token `index`, or null if it is not among the rows. */
  read(id: ValueId, index: KernelExpression): KernelExpression | null {
    const array = this.#arrays.get(id);
    return array === undefined ? null : element(array, index);
  }
}

/** A result of a token and where it goes. */
export type RowStore = { readonly target: MemoryReference; readonly value: KernelExpression };

/** Stores the results of one token, both parts of a complex tensor at once. */
export function storeRows(builder: KernelBuilder, stores: readonly RowStore[], at: Coordinates, vector: Vector): void {
  const done = new Set<RowStore>();
  for (const each of stores) {
    if (done.has(each)) continue;
    const other = stores.find((one) => one.target.tensor === each.target.tensor && one.target.part === 1 && one !== each);
    if (other === undefined || !isPairable(each.target, vector)) continue;
    done.add(each).add(other);
    storePair(builder, each, other, at, vector.width);
  }
  for (const each of stores) if (!done.has(each)) storeValue(builder, each.target, at, splat(each.value, vector.width), vector);
}

function storePair(builder: KernelBuilder, re: RowStore, im: RowStore, at: Coordinates, lanes: VectorWidth): void {
  const buffer = bufferOf(builder, re.target, 'write');
  const first = builder.let('at', elementIndex(builder, re.target, at));
  const [a, b] = [splat(re.value, lanes), splat(im.value, lanes)];
  if (lanes === 1) {
    builder.store(buffer, first, compose([a, b]), true);
    return;
  }
  const [left, right] = [builder.let('re', a), builder.let('im', b)];
  for (let lane = 0; lane < lanes; lane += 2) {
    const both = compose([extract(left, lane), extract(right, lane), extract(left, lane + 1), extract(right, lane + 1)]);
    builder.store(buffer, add(first, integer(lane * 2)), both, true);
  }
}
