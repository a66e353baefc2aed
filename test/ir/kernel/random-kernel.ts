/**
 * Random kernels that are well formed and run without findings: every index is reduced to its
 * range, every array is filled before use, each invocation writes its own part of `y`. So any pass
 * can be judged by interpreting before and after. Deterministic in the seed.
 */
import {
  add, binary, bitcast, builtin, compose, convert, element, extract, horizontalAdd, integer, KernelBuilder, less, literal, load, loadShared,
  multiply, select, shuffleXor, splat, subtract, unary, variable,
} from '../../../ir/kernel/builder.ts';
import { bool, f32, i32, u32, withWidth, type Buffer, type KernelExpression, type RegisterArray, type SharedArray, type Variable, type VectorWidth } from '../../../ir/kernel/nodes.ts';
import { ramp, type Sample } from './sample-kernels.ts';

const size = 4;
const part = 16;

type Scope = {
  readonly integers: readonly KernelExpression[];
  readonly floats: readonly KernelExpression[];
  readonly variables: readonly Variable[];
  readonly arrays: readonly RegisterArray[];
  /** shuffles and barriers are legal */
  readonly isUniform: boolean;
};

class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) | 0;
  }
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) | 0;
    return Math.floor(((this.#state >>> 8) / 2 ** 24) * limit);
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

export function randomKernel(seed: number, statements = 14): Sample {
  const random = new Random(seed);
  const k = new KernelBuilder();
  const length = k.uniform('L', 'length');
  const a = k.buffer('in.a', 'f32', 'read', 64);
  const half = k.buffer('h', 'bf16', 'read', 64);
  const y = k.buffer('y', 'f32', 'read-write', size * part);
  const shared = k.shared('tile', f32, 8);
  const me = builtin('invocation');
  k.for('clear', { start: integer(0), end: integer(part) }, (i) => k.store(y, add(multiply(me, integer(part)), i), literal(0)));
  k.storeShared(shared, me, convert(me, f32));
  k.storeShared(shared, add(me, integer(4)), literal(-1.5));
  k.barrier();
  const scope: Scope = { integers: [me, length, builtin('workgroup-x')], floats: [], variables: [], arrays: [], isUniform: true };
  const maker = new Maker(k, random, { a, half, y, shared });
  maker.block(scope, statements, 3);
  const kernel = k.finish({ name: `random_${seed}`, notes: [], workgroupSize: size, grid: [1, 1, 1] });
  return { kernel, sizes: { batch: 2, length: 5 }, inputs: { 'in.a': ramp(64), h: ramp(64, 0.5) }, outputs: { y: size * part }, expected: {} };
}

type Memories = { readonly a: Buffer; readonly half: Buffer; readonly y: Buffer; readonly shared: SharedArray };

class Maker {
  readonly #k: KernelBuilder;
  readonly #random: Random;
  readonly #memories: Memories;
  constructor(k: KernelBuilder, random: Random, memories: Memories) {
    [this.#k, this.#random, this.#memories] = [k, random, memories];
  }

  /** non-negative and below `limit` */
  index(scope: Scope, limit: number): KernelExpression {
    if (this.#random.below(4) === 0) return integer(this.#random.below(limit));
    return binary('remainder', this.integer(scope, 2), integer(limit));
  }

  /** non-negative and small */
  integer(scope: Scope, depth: number): KernelExpression {
    if (depth === 0) return this.#random.below(3) === 0 ? integer(this.#random.below(9)) : this.#random.pick(scope.integers);
    const [left, right] = [this.integer(scope, depth - 1), this.integer(scope, depth - 1)];
    switch (this.#random.below(7)) {
      case 0: return binary('minimum', left, right);
      case 1: return binary('divide', left, integer(1 + this.#random.below(4)));
      case 2: return multiply(binary('remainder', left, integer(11)), right.kind === 'literal' ? right : integer(3));
      case 3: return binary('bit-and', left, integer(7));
      case 4: return select(less(left, right), left, right);
      case 5: return convert(bitcast(bitcast(left, f32), u32), i32);
      default: return binary('remainder', add(left, right), integer(64));
    }
  }

  float(scope: Scope, depth: number): KernelExpression {
    const random = this.#random;
    if (depth === 0) return this.leaf(scope);
    const next = (): KernelExpression => this.float(scope, depth - 1);
    switch (random.below(10)) {
      case 0: return add(next(), next());
      case 1: return subtract(next(), next());
      case 2: return multiply(next(), next());
      case 3: return binary(random.pick(['minimum', 'maximum']), next(), next());
      case 4: return select(binary(random.pick(['less', 'less-equal', 'not-equal']), next(), next()), next(), next());
      case 5: return unary(random.pick(['negate', 'absolute', 'floor', 'exp2', 'sine']), next());
      case 6: return convert(this.integer(scope, 1), f32);
      case 7: return this.vector(scope, depth - 1);
      case 8: return scope.isUniform ? shuffleXor(next(), random.pick([1, 2])) : next();
      default: return this.leaf(scope);
    }
  }

  vector(scope: Scope, depth: number): KernelExpression {
    const width = this.#random.pick<VectorWidth>([2, 4]);
    const parts = Array.from({ length: width }, () => this.float(scope, Math.min(depth, 1)));
    const value = add(compose(parts), splat(this.float(scope, 0), width));
    const wide = add(value, load(this.#memories.a, multiply(this.index(scope, 16), integer(4)), width, true));
    return this.#random.below(2) === 0 ? horizontalAdd(wide) : extract(multiply(wide, literal(0.5, withWidth(f32, width))), this.#random.below(width));
  }

  leaf(scope: Scope): KernelExpression {
    const random = this.#random;
    switch (random.below(6)) {
      case 0: return literal((random.below(17) - 8) / 4);
      case 1: return scope.variables.length > 0 ? variable(random.pick(scope.variables)) : literal(-0);
      case 2: return load(random.pick([this.#memories.a, this.#memories.half]), this.index(scope, 64));
      case 3: return loadShared(this.#memories.shared, this.index(scope, 8));
      case 4: {
        if (scope.arrays.length === 0) return literal(1e-3);
        const array = random.pick(scope.arrays);
        return element(array, this.index(scope, array.length));
      }
      default: return scope.floats.length > 0 ? random.pick(scope.floats) : literal(0.1);
    }
  }

  block(outer: Scope, statements: number, depth: number): void {
    let scope = outer;
    for (let count = 0; count < statements; count += 1) scope = this.statement(scope, depth);
  }

  statement(scope: Scope, depth: number): Scope {
    const [k, random] = [this.#k, this.#random];
    switch (random.below(depth === 0 ? 7 : 10)) {
      case 0: return { ...scope, floats: [...scope.floats, k.let('value', this.float(scope, 3))] };
      case 1: return { ...scope, integers: [...scope.integers, k.let('i', this.integer(scope, 2))] };
      case 2: return { ...scope, variables: [...scope.variables, k.var('sum', this.float(scope, 2))] };
      case 3: return this.array(scope);
      case 4:
        if (scope.variables.length > 0) k.assign(random.pick(scope.variables), this.float(scope, 2));
        return scope;
      case 5:
        if (scope.arrays.length > 0) {
          const array = random.pick(scope.arrays);
          k.setElement(array, this.index(scope, array.length), this.float(scope, 2));
        }
        return scope;
      case 6:
        k.store(this.#memories.y, add(multiply(builtin('invocation'), integer(part)), this.index(scope, part)), this.float(scope, 3));
        return scope;
      case 7:
        this.branch(scope, depth);
        return scope;
      default:
        this.loop(scope, depth);
        return scope;
    }
  }

  array(scope: Scope): Scope {
    const length = 1 + this.#random.below(3);
    const array = this.#k.array('x', f32, length);
    for (let at = 0; at < length; at += 1) this.#k.setElement(array, integer(at), this.float(scope, 1));
    return { ...scope, arrays: [...scope.arrays, array] };
  }

  branch(scope: Scope, depth: number): void {
    const inner = { ...scope, isUniform: false };
    const condition = this.#random.below(4) === 0 ? literal(1, bool) : less(this.integer(scope, 1), this.integer(scope, 1));
    this.#k.if(condition, () => this.block(inner, 3, depth - 1), () => this.block(inner, this.#random.below(3), depth - 1));
  }

  loop(scope: Scope, depth: number): void {
    const isConstant = this.#random.below(2) === 0;
    const start = integer(this.#random.below(3));
    const end = isConstant ? integer(this.#random.below(5)) : this.#random.pick(scope.integers);
    const step = 1 + this.#random.below(2);
    this.#k.for('n', { start, end, step, unroll: isConstant && this.#random.below(3) > 0 }, (index) => {
      this.block({ ...scope, integers: [...scope.integers, index], isUniform: scope.isUniform && isConstant }, 4, depth - 1);
    });
  }
}
