/**
 * Sums of products as tiles on a GPU: a workgroup takes 64 rows by up to 64 columns of the results, and
 * each thread 4 by 4 of them. What the sums need of both sides goes through shared memory, a few places
 * of the summed axis at a time, so that a number is loaded from memory once per tile and not once per
 * result. Several sums over the same axes run together, and elementwise results of the same places are
 * computed where the sums are. Terms are added in order: the same bits as one thread per result.
 */
import { required } from '../../support/invariant.ts';
import { ceilDivideSizes, productOfSizes, type SizeExpression } from '../../support/size.ts';
import { add, binary, builtin, convert, divide, extract, integer, KernelBuilder, less, literal, loadShared, minimum, multiply, remainder, select, subtract, variable } from '../kernel/builder.ts';
import { f32, i32, type Kernel, type KernelExpression, type SharedArray, type Variable } from '../kernel/nodes.ts';
import type { ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { withCoordinates, type Coordinates } from './access.ts';
import { toReal } from './elementwise.ts';
import { axisName, NestValues } from './nest-values.ts';
import type { NestGroupRequest, NestMember } from './nest-group.ts';
import { storeValue } from './scan-request.ts';

/** Rows of a workgroup's tile. */
const tileRows = 64;
/** Rows, and columns, of a thread. */
const side = 4;
/** Most sums of one launch: each takes sixteen registers. */
const mostSums = 4;
/** Fewer rows, columns or terms than this leave most of a tile empty. */
const leastExtent = 16;

/** A sum over `over` of left · right; rows are the axes of `left` alone, columns those of `right` alone. */
type Contraction = { readonly member: NestMember; readonly left: ValueId; readonly right: ValueId };

type Shape = {
  readonly over: string;
  /** axes of both sides */
  readonly outer: readonly string[];
  readonly rows: readonly string[];
  readonly columns: readonly string[];
};

export type ContractPlan = Shape & { readonly sums: readonly Contraction[] };

/** How a group of launches is tiles of sums of products, or null where it is not. */
export function contractPlanOf(request: NestGroupRequest): ContractPlan | null {
  const { members, axes, across, definitions, memory, maximumWorkgroup } = request;
  if (across.length > 0 || maximumWorkgroup < tileRows * side) return null;
  const own = new Set(members.map((each) => each.root));
  const found: (Contraction & Shape)[] = [];
  for (const member of members) {
    const op = memory(member.root) === null ? definitions.get(member.root)?.op : undefined;
    if (op === undefined || !['reduce', 'scatter-add', 'contract'].includes(op.kind)) continue;
    if (op.kind !== 'contract' || op.over.length !== 1 || operandsOf(op).some((operand) => needs(request, operand, own))) return null;
    const sides = sidesOf(request, op.left, op.right, required(op.over[0], 'axis'));
    if (sides === null) return null;
    found.push({ member, ...sides });
  }
  const [shape] = found;
  if (shape === undefined || found.length > mostSums || !found.every((each) => isAlike(each, shape))) return null;
  const { over, outer, rows, columns } = shape;
  const isCovered = axes.length === outer.length + rows.length + columns.length;
  return isCovered && isLarge(request, shape) ? { over, outer, rows, columns, sums: found } : null;
}

function isAlike(left: Shape, right: Shape): boolean {
  const key = ({ over, outer, rows, columns }: Shape): string => JSON.stringify([over, outer, rows, columns]);
  return key(left) === key(right);
}

type Sides = Shape & Pick<Contraction, 'left' | 'right'>;

/** The sides of a contraction, the one with the group's last axis to the right. */
function sidesOf({ axes, axesOf, pieces }: NestGroupRequest, left: ValueId, right: ValueId, over: string): Sides | null {
  const last = axes.at(-1);
  if (last === undefined || !axesOf(left).includes(over) || !axesOf(right).includes(over)) return null;
  const [first, second] = axesOf(right).includes(last) ? [left, right] : [right, left];
  const [ofFirst, ofSecond] = [axesOf(first), axesOf(second)];
  // time runs over the pieces that their axis counts, so both sides vary along it
  const varies = (side: readonly string[], axis: string): boolean => side.includes(axis) || (over === 'time' && axis === pieces?.axis);
  const pick = (isLeft: boolean, isRight: boolean): readonly string[] =>
    axes.filter((axis) => varies(ofFirst, axis) === isLeft && varies(ofSecond, axis) === isRight);
  const [outer, rows, columns] = [pick(true, true), pick(true, false), pick(false, true)];
  const isProduct = pick(false, false).length === 0 && rows.length > 0 && columns.length > 0;
  return isProduct ? { over, outer, rows, columns, left: first, right: second } : null;
}

function isLarge({ extent }: NestGroupRequest, { over, rows, columns }: Shape): boolean {
  const isEnough = (size: SizeExpression): boolean => typeof size !== 'number' || size >= leastExtent;
  return typeof productOfSizes(columns.map(extent)) === 'number' && [[over], rows, columns].every((axes) => isEnough(productOfSizes(axes.map(extent))));
}

/** Whether a value is computed from one of the given ones, which do not lie in memory yet. */
function needs(request: NestGroupRequest, id: ValueId, values: ReadonlySet<ValueId>): boolean {
  if (values.has(id)) return true;
  const definition = request.memory(id) === null ? request.definitions.get(id) : undefined;
  return definition !== undefined && operandsOf(definition.op).some((operand) => needs(request, operand, values));
}

/** Bytes of shared memory for all sides, however much a machine has: several workgroups then share a processor. */
const stagedBytes = 16_384;

/** Places of the summed axis that lie in shared memory at once. */
function depthFor({ sums }: ContractPlan): number {
  const sides = new Set(sums.flatMap((each) => [each.left, each.right])).size;
  const bytesPerPlace = 4 * sides * (tileRows + side);
  return required([16, 8, 4].find((depth) => depth * bytesPerPlace <= stagedBytes), 'depth');
}

/** The kernel of a group that is tiles. */
export function emitContraction(request: NestGroupRequest, plan: ContractPlan): Kernel {
  return new ContractEmission(request, plan).run();
}

/** One side of a sum in shared memory: `count` rows or columns of the tile for each place of the summed axis. */
type Staged = { readonly id: ValueId; readonly array: SharedArray; readonly axes: readonly string[]; readonly first: KernelExpression; readonly count: number };

class ContractEmission {
  readonly #request: NestGroupRequest;
  readonly #plan: ContractPlan;
  readonly #builder = new KernelBuilder();
  readonly #values: NestValues;
  readonly #tileColumns: number;
  readonly #workgroupSize: number;
  readonly #depth: number;

  constructor(request: NestGroupRequest, plan: ContractPlan) {
    this.#request = request;
    this.#plan = plan;
    this.#values = new NestValues(this.#builder, request);
    this.#tileColumns = Number(productOfSizes(plan.columns.map(request.extent))) > 32 ? 64 : 32;
    this.#workgroupSize = (tileRows / side) * (this.#tileColumns / side);
    this.#depth = depthFor(plan);
  }

  run(): Kernel {
    const { name, notes, extent } = this.#request;
    const { outer, rows, columns, sums } = this.#plan;
    const builder = this.#builder;
    const rowTiles = ceilDivideSizes(productOfSizes(rows.map(extent)), tileRows);
    const columnTiles = Math.ceil(Number(productOfSizes(columns.map(extent))) / this.#tileColumns);
    const place = builtin('workgroup-x');
    const rest = builder.let('rest', divide(place, integer(columnTiles)));
    const rowCount = builder.uniform('row_tiles', rowTiles);
    const around = this.#split(divide(rest, rowCount), outer);
    const firstRow = builder.let('first_row', multiply(remainder(rest, rowCount), integer(tileRows)));
    const firstColumn = builder.let('first_column', multiply(remainder(place, integer(columnTiles)), integer(this.#tileColumns)));
    const staged = this.#declareStaged(firstRow, firstColumn);
    const totals = sums.map(({ member }) => Array.from({ length: side * side }, () => builder.var(this.#request.names(member.root), literal(0))));
    this.#sumUp(around, staged, totals);
    this.#finish(around, { firstRow, firstColumn }, totals);
    return builder.finish({
      name, notes: [...notes, `tiles of ${tileRows} by ${this.#tileColumns}, ${this.#depth} terms at a time`], workgroupSize: this.#workgroupSize,
      grid: [productOfSizes([...outer.map(extent), rowTiles, columnTiles]), 1, 1],
    });
  }

  #split(flat: KernelExpression, axes: readonly string[]): Coordinates {
    const entries: (readonly [string, KernelExpression])[] = [];
    let rest = flat;
    [...axes].reverse().forEach((axis, at) => {
      const isOuter = at === axes.length - 1;
      const size = this.#size(axis);
      entries.push([axis, this.#builder.let(axisName(axis), isOuter ? rest : remainder(rest, size))]);
      if (!isOuter) rest = this.#builder.let('rest', divide(rest, size));
    });
    return new Map(entries);
  }

  #size(axis: string): KernelExpression {
    return this.#builder.uniform(axis === 'time' ? 'length' : axisName(axis), this.#request.extent(axis));
  }

  /** Number of rows or columns in all. */
  #countOf(axes: readonly string[]): KernelExpression {
    return this.#builder.uniform('count', productOfSizes(axes.map(this.#request.extent)));
  }

  #declareStaged(firstRow: KernelExpression, firstColumn: KernelExpression): ReadonlyMap<ValueId, Staged> {
    const { sums, rows, columns } = this.#plan;
    const staged = new Map<ValueId, Staged>();
    const declare = (id: ValueId, axes: readonly string[], first: KernelExpression, count: number): void => {
      if (!staged.has(id)) staged.set(id, { id, axes, first, count, array: this.#builder.shared(this.#request.names(id), f32, this.#depth * (count + side)) });
    };
    for (const { left, right } of sums) {
      declare(left, rows, firstRow, tileRows);
      declare(right, columns, firstColumn, this.#tileColumns);
    }
    return staged;
  }

  /** The loop over the summed axis. */
  #sumUp(around: Coordinates, staged: ReadonlyMap<ValueId, Staged>, totals: readonly (readonly Variable[])[]): void {
    const builder = this.#builder;
    const { over } = this.#plan;
    const range = this.#values.rangeOf(over, around);
    builder.for('base', { ...range, step: this.#depth }, (base) => {
      for (const each of staged.values()) this.#stage(each, around, base, range.end);
      builder.barrier();
      builder.for('k', { start: integer(0), end: integer(this.#depth) }, (k) => this.#addTerms(k, staged, totals));
      builder.barrier();
    });
  }

  /** Loads one side; places beyond the last row, column or term are zero or not used. */
  #stage(staged: Staged, around: Coordinates, base: KernelExpression, end: KernelExpression): void {
    const builder = this.#builder;
    const { over } = this.#plan;
    const size = this.#depth * staged.count;
    const isAlongTerms = this.#isAlongTerms(staged);
    builder.for('pass', { start: integer(0), end: integer(size / this.#workgroupSize), unroll: true }, (pass) => {
      const at = builder.let('at', add(multiply(pass, integer(this.#workgroupSize)), builtin('invocation')));
      const k = builder.let('term', isAlongTerms ? remainder(at, integer(this.#depth)) : divide(at, integer(staged.count)));
      const index = builder.let('index', isAlongTerms ? divide(at, integer(this.#depth)) : remainder(at, integer(staged.count)));
      const flat = builder.let('flat', minimum(add(staged.first, index), subtract(this.#countOf(staged.axes), integer(1))));
      const place = builder.let('place', add(base, k));
      const coordinates = withCoordinates(around, [...this.#split(flat, staged.axes), [over, builder.let('inside', minimum(place, subtract(end, integer(1))))]]);
      const value = toReal(this.#values.evaluate(staged.id, { coordinates, vector: null }));
      builder.storeShared(staged.array, add(multiply(k, integer(staged.count + side)), index), select(less(place, end), value, literal(0)));
    });
  }

  /** Whether neighbouring terms lie closer in memory than neighbouring rows. */
  #isAlongTerms({ id }: Staged): boolean {
    const axes = this.#request.memory(id)?.tensor.axes.filter((axis) => axis !== 'complex') ?? [];
    return axes.length === 0 || axes.at(-1) === this.#plan.over;
  }

  #addTerms(k: KernelExpression, staged: ReadonlyMap<ValueId, Staged>, totals: readonly (readonly Variable[])[]): void {
    const builder = this.#builder;
    const across = this.#tileColumns / side;
    const loaded = new Map([...staged].map(([id, { array, count, axes }]) => {
      const thread = axes === this.#plan.rows ? divide(builtin('invocation'), integer(across)) : remainder(builtin('invocation'), integer(across));
      const four = builder.let('four', loadShared(array, add(multiply(k, integer(count + side)), multiply(thread, integer(side))), side));
      return [id, Array.from({ length: side }, (_, at) => extract(four, at))] as const;
    }));
    this.#plan.sums.forEach(({ left, right }, sum) => totals[sum]?.forEach((total, at) => {
      const row = required(loaded.get(left)?.[Math.floor(at / side)], 'row');
      const column = required(loaded.get(right)?.[at % side], 'column');
      builder.assign(total, add(variable(total), multiply(row, column)));
    }));
  }

  /** All results of this thread's rows and columns. */
  #finish(around: Coordinates, { firstRow, firstColumn }: { firstRow: KernelExpression; firstColumn: KernelExpression }, totals: readonly (readonly Variable[])[]): void {
    const builder = this.#builder;
    const { rows, columns } = this.#plan;
    const across = this.#tileColumns / side;
    const row = builder.let('row', add(firstRow, multiply(divide(builtin('invocation'), integer(across)), integer(side))));
    const column = builder.let('column', add(firstColumn, multiply(remainder(builtin('invocation'), integer(across)), integer(side))));
    for (let at = 0; at < side * side; at++) {
      const [r, c] = [builder.let('r', add(row, integer(Math.floor(at / side)))), builder.let('c', add(column, integer(at % side)))];
      builder.if(binary('and', less(r, this.#countOf(rows)), less(c, this.#countOf(columns))), () => {
        const coordinates = withCoordinates(around, [...this.#split(r, rows), ...this.#split(c, columns)]);
        this.#element(coordinates, totals.map((each) => required(each[at], 'total')));
      });
    }
  }

  #element(coordinates: Coordinates, totals: readonly Variable[]): void {
    this.#values.forget();
    this.#plan.sums.forEach(({ member }, sum) => this.#values.hold(member.root, variable(required(totals[sum], 'total'))));
    for (const { root, target } of this.#request.members) {
      const value = this.#values.evaluate(root, { coordinates, vector: null });
      if (target !== null) storeValue(this.#builder, target, coordinates, target.tensor.storage === 'i32' ? convert(value, i32) : value, null);
    }
  }
}
