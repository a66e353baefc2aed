/**
 * Several results in one launch on a GPU: each thread owns an element of the group's axes and computes
 * all results there, in order; what one result needs of another stays in a register. With `across`, the
 * threads of a row share the last axes: sums over them go through shared memory, in a fixed order, and
 * results without these axes are stored by the row's first thread. Loops over the same axes (partial
 * sums of several gradients) run together.
 */
import { required } from '../../support/invariant.ts';
import { ceilDivideSizes, productOfSizes, type SizeExpression } from '../../support/size.ts';
import { add, binary, builtin, convert, divide, integer, KernelBuilder, less, loadShared, minimum, multiply, remainder, subtract, variable } from '../kernel/builder.ts';
import { f32, i32, withWidth, type Kernel, type KernelExpression } from '../kernel/nodes.ts';
import type { TensorOp, ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import type { Coordinates, MemoryReference } from './access.ts';
import { axisName, loopOf, NestValues, type LoopedSum, type NestContext, type Site } from './nest-values.ts';
import { isEqual, storeValue } from './scan-request.ts';

export type NestMember = {
  readonly root: ValueId;
  /** null: nobody outside of the group reads it */
  readonly target: MemoryReference | null;
};

export type NestGroupRequest = NestContext & {
  readonly name: string;
  readonly notes: readonly string[];
  readonly members: readonly NestMember[];
  readonly axes: readonly string[];
  readonly across: readonly string[];
  readonly maximumWorkgroup: number;
};

/** The kernel of a group. */
export function emitNestGroup(request: NestGroupRequest): Kernel {
  return new NestGroupEmission(request).run();
}

/** A member that is a loop: over axes of its own, and over the row's threads. */
type Loop = { readonly member: NestMember; readonly own: readonly string[]; readonly isAcross: boolean; readonly sum: LoopedSum };

class NestGroupEmission {
  readonly #request: NestGroupRequest;
  readonly #builder = new KernelBuilder();
  readonly #values: NestValues;
  readonly #threads: number;
  readonly #workgroupSize: number;
  readonly #done = new Set<NestMember>();
  #site: Site = { coordinates: new Map(), vector: null };
  #isValid: KernelExpression | null = null;
  #isFirst: KernelExpression | null = null;

  constructor(request: NestGroupRequest) {
    this.#request = request;
    this.#values = new NestValues(this.#builder, request);
    this.#threads = request.across.reduce((product, axis) => product * Number(request.extent(axis)), 1);
    const most = Math.min(256, request.maximumWorkgroup);
    this.#workgroupSize = Math.max(1, Math.floor(most / this.#threads)) * this.#threads;
  }

  run(): Kernel {
    const { name, notes, axes, across, extent } = this.#request;
    const builder = this.#builder;
    const rows = productOfSizes(axes.slice(0, axes.length - across.length).map(extent));
    const total = productOfSizes(axes.map(extent));
    const place = builder.let('thread', add(multiply(builtin('workgroup-x'), integer(this.#workgroupSize)), builtin('invocation')));
    if (across.length === 0) builder.if(less(place, builder.uniform('threads', total)), () => this.#at(place));
    else this.#row(place, total);
    const gridX = across.length === 0 ? ceilDivideSizes(total, this.#workgroupSize) : ceilDivideSizes(rows, this.#workgroupSize / this.#threads);
    return builder.finish({ name, notes, workgroupSize: this.#workgroupSize, grid: [gridX, 1, 1] });
  }

  /** Threads beyond the last row repeat it, since all meet at barriers; they store nothing. */
  #row(place: KernelExpression, total: SizeExpression): void {
    const builder = this.#builder;
    const count = builder.uniform('threads', total);
    const isWhole = typeof total === 'number' && total % this.#workgroupSize === 0;
    this.#isValid = isWhole ? null : builder.let('valid', less(place, count));
    this.#isFirst = builder.let('first', isEqual(remainder(builtin('invocation'), integer(this.#threads)), integer(0)));
    const within = remainder(builtin('invocation'), integer(this.#threads));
    const safe = isWhole ? place : builder.let('safe', minimum(place, add(subtract(count, integer(this.#threads)), within)));
    this.#at(safe);
  }

  #at(place: KernelExpression): void {
    this.#site = { coordinates: this.#split(place), vector: null };
    for (const member of this.#request.members) if (!this.#done.has(member)) this.#member(member);
  }

  #split(flat: KernelExpression): Coordinates {
    const { axes, extent } = this.#request;
    const entries: (readonly [string, KernelExpression])[] = [];
    let rest = flat;
    [...axes].reverse().forEach((axis, at) => {
      const isOuter = at === axes.length - 1;
      const size = this.#builder.uniform(axis === 'time' ? 'length' : axis, extent(axis));
      entries.push([axis, isOuter ? rest : this.#builder.let(axisName(axis), remainder(rest, size))]);
      if (!isOuter) rest = this.#builder.let('rest', divide(rest, size));
    });
    return new Map(entries);
  }

  #opOf(member: NestMember): TensorOp | null {
    if (this.#request.memory(member.root) !== null) return null; // a copy
    return required(this.#request.definitions.get(member.root), `definition of %${member.root}`).op;
  }

  #loop(member: NestMember): Loop | null {
    const op = this.#opOf(member);
    const loop = op === null ? null : loopOf(this.#values, op);
    if (loop === null) return null;
    const { across } = this.#request;
    return { member, sum: loop.sum, own: loop.over.filter((axis) => !across.includes(axis)), isAcross: loop.over.some((axis) => across.includes(axis)) };
  }

  #member(member: NestMember): void {
    const loop = this.#loop(member);
    if (loop === null) {
      this.#finish(member, this.#values.evaluate(member.root, this.#site));
      return;
    }
    const together = loop.own.length === 0 ? [loop] : [loop, ...this.#loopsLike(loop)];
    const totals = loop.own.length === 0 ? [loop.sum.value(this.#site)] : this.#values.loop(loop.own, [this.#site], together.map((each) => each.sum)).map((each) => required(each[0], 'total'));
    together.forEach((each, at) => {
      const total = required(totals[at], 'total');
      this.#finish(each.member, each.isAcross ? this.#sumAcross(each, total) : total);
    });
  }

  /** Later members that loop over the same axes and need no result of this group. */
  #loopsLike(first: Loop): readonly Loop[] {
    const own = new Set(this.#request.members.map((each) => each.root));
    return this.#request.members.flatMap((member) => {
      if (member === first.member || this.#done.has(member)) return [];
      const loop = this.#loop(member);
      const isAlike = loop !== null && loop.own.length === first.own.length && loop.own.every((axis, at) => axis === first.own[at]);
      return isAlike && !this.#needs(member.root, own) ? [loop] : [];
    });
  }

  /** Whether a value is computed from one of the given ones. */
  #needs(root: ValueId, values: ReadonlySet<ValueId>): boolean {
    const { memory, definitions } = this.#request;
    const seen = new Set<ValueId>();
    const visit = (id: ValueId): boolean => {
      if (seen.has(id) || memory(id) !== null) return false;
      seen.add(id);
      const definition = definitions.get(id);
      return definition !== undefined && operandsOf(definition.op).some((operand) => values.has(operand) || visit(operand));
    };
    return visit(root);
  }

  #finish(member: NestMember, value: KernelExpression): void {
    this.#done.add(member);
    const builder = this.#builder;
    const bound = builder.let(this.#request.names(member.root), value);
    this.#values.hold(member.root, bound);
    const { target } = member;
    if (target === null) return;
    const stored = target.tensor.storage === 'i32' ? convert(bound, withWidth(i32, 1)) : bound;
    const isNarrow = this.#request.across.some((axis) => !this.#request.axesOf(member.root).includes(axis));
    const conditions = [this.#isValid, isNarrow ? this.#isFirst : null].filter((each): each is KernelExpression => each !== null);
    const guard = (at: number): void => {
      const condition = conditions[at];
      if (condition === undefined) storeValue(builder, target, this.#site.coordinates, stored, null);
      else builder.if(condition, () => guard(at + 1));
    };
    guard(0);
  }

  /** The sum (or maximum) of a row's threads, in order; every thread gets it. */
  #sumAcross({ sum, member }: Loop, own: KernelExpression): KernelExpression {
    const builder = this.#builder;
    const shared = builder.shared(`${this.#request.names(member.root)}_row`, f32, this.#workgroupSize);
    builder.storeShared(shared, builtin('invocation'), own);
    builder.barrier();
    const first = builder.let('row', multiply(divide(builtin('invocation'), integer(this.#threads)), integer(this.#threads)));
    const total = builder.var('total', loadShared(shared, first));
    builder.for('n', { start: integer(1), end: integer(this.#threads) }, (index) => {
      const next = loadShared(shared, add(first, index));
      builder.assign(total, sum.combine === 'sum' ? add(variable(total), next) : binary('maximum', variable(total), next));
    });
    return variable(total);
  }
}
