/**
 * Which elements of the workgroup's memory an invocation can touch, as sets that hold at least these:
 * whole numbers, or classes of numbers that differ by multiples of a modulus where a loop's length or
 * a clamp is not known. Two accesses whose sets are disjoint for different invocations need no barrier.
 */
import type { Kernel, KernelExpression, KernelStatement, VariableId } from '../../ir/kernel/nodes.ts';
import { visitStatements } from '../../ir/kernel/walk.ts';
import type { Tables } from './canonical.ts';

/** Numbers by invocation; all that differ from one by a multiple of `modulus` belong too (0: it alone). */
export type Elements = { readonly modulus: number; readonly isNatural: boolean; readonly of: readonly (readonly number[])[] };

/** More numbers than this per invocation are not told apart. */
const mostNumbers = 64;

const reduced = (number: number, modulus: number): number => (modulus === 0 ? number : ((number % modulus) + modulus) % modulus);

function greatestDivisor(left: number, right: number): number {
  return right === 0 ? left : greatestDivisor(right, left % right);
}

/** Whether different invocations may touch one element. */
export function mayMeet(left: Elements, right: Elements): boolean {
  const modulus = greatestDivisor(left.modulus, right.modulus);
  const owners = new Map<number, Set<number>>();
  for (const [invocation, numbers] of left.of.entries()) {
    for (const number of numbers) {
      const key = reduced(number, modulus);
      owners.set(key, (owners.get(key) ?? new Set()).add(invocation));
    }
  }
  return right.of.some((numbers, invocation) => numbers.some((number) => {
    const found = owners.get(reduced(number, modulus));
    return found !== undefined && (found.size > 1 || !found.has(invocation));
  }));
}

function combine(left: Elements, right: Elements, modulus: number, apply: (left: number, right: number) => number): Elements['of'] {
  return left.of.map((numbers, invocation) =>
    [...new Set(numbers.flatMap((number) => (right.of[invocation] ?? []).map((other) => reduced(apply(number, other), modulus))))]);
}

/** The numbers that integer expressions of one kernel can have. */
export class ElementSets {
  readonly #tables: Tables;
  readonly #size: number;
  readonly #variables = new Map<VariableId, Elements>();

  constructor(kernel: Kernel, tables: Tables) {
    this.#tables = tables;
    this.#size = kernel.workgroupSize;
    visitStatements(kernel.body, (statement) => {
      if (statement.kind === 'let' && statement.value.type.element === 'i32') {
        this.#variables.set(statement.variable.id, this.of(statement.value));
      }
      if (statement.kind === 'for') this.#variables.set(statement.variable.id, this.#ofLoop(statement));
    });
  }

  /** At least the numbers that an integer expression can have. */
  of(expression: KernelExpression): Elements {
    const table = this.#tables.of(expression);
    if (table !== null) return { modulus: 0, isNatural: table.every((value) => value >= 0), of: table.map((value) => [value]) };
    if (expression.kind === 'variable') return this.#variables.get(expression.variable.id) ?? this.#any(false);
    if (expression.kind === 'builtin') return this.#any(true);
    if (expression.kind !== 'binary') return this.#any(false);
    const [left, right] = [this.of(expression.left), this.of(expression.right)];
    switch (expression.operator) {
      case 'add': return this.#sum(left, right, 1);
      case 'subtract': return this.#sum(left, right, -1);
      case 'multiply': return this.#product(left, right);
      case 'divide': return this.#quotient(left, right);
      case 'remainder': return this.#remainder(left, right);
      case 'minimum': case 'maximum': return this.#any(left.isNatural && right.isNatural);
      default: return this.#any(false);
    }
  }

  /** Any number. */
  #any(isNatural: boolean): Elements {
    return { modulus: 1, isNatural, of: Array.from({ length: this.#size }, () => [0]) };
  }

  #same(numbers: readonly number[]): Elements {
    return { modulus: 0, isNatural: numbers.every((each) => each >= 0), of: Array.from({ length: this.#size }, () => numbers) };
  }

  #limited(modulus: number, isNatural: boolean, of: Elements['of']): Elements {
    return of.some((each) => each.length > mostNumbers) ? this.#any(isNatural) : { modulus, isNatural, of };
  }

  #sum(left: Elements, right: Elements, sign: 1 | -1): Elements {
    const modulus = greatestDivisor(left.modulus, right.modulus);
    const isNatural = sign > 0 && left.isNatural && right.isNatural;
    return this.#limited(modulus, isNatural, combine(left, right, modulus, (one, other) => one + sign * other));
  }

  /** A class times a constant is a class of a larger modulus: it keeps apart what is added to it. */
  #product(left: Elements, right: Elements): Elements {
    const isNatural = left.isNatural && right.isNatural;
    const factors = new Set(right.of.flat());
    const [factor = 0] = factors;
    const isConstant = right.modulus === 0 && factors.size === 1 && factor > 0;
    if (!isConstant && left.modulus + right.modulus > 0) return this.#any(isNatural);
    const modulus = isConstant ? left.modulus * factor : 0;
    return this.#limited(modulus, isNatural, combine(left, right, modulus, (one, other) => one * other));
  }

  #quotient(left: Elements, right: Elements): Elements {
    const isNatural = left.isNatural && right.isNatural;
    if (left.modulus + right.modulus > 0) return this.#any(isNatural);
    return this.#limited(0, isNatural, combine(left, right, 0, (one, other) => Math.trunc(one / other)));
  }

  #remainder(left: Elements, right: Elements): Elements {
    const isNatural = left.isNatural && right.isNatural;
    if (left.modulus + right.modulus === 0) return this.#limited(0, isNatural, combine(left, right, 0, (one, other) => one % other));
    const count = right.modulus === 0 ? Math.max(...right.of.flat()) : mostNumbers + 1;
    return isNatural && count <= mostNumbers ? this.#same(Array.from({ length: count }, (_, each) => each)) : this.#any(isNatural);
  }

  #ofLoop({ start, end, step }: Extract<KernelStatement, { readonly kind: 'for' }>): Elements {
    if (start.kind !== 'literal') return this.#any(this.of(start).isNatural);
    const count = end.kind === 'literal' ? Math.ceil((end.value - start.value) / step) : mostNumbers + 1;
    if (count > mostNumbers) return this.#any(start.value >= 0);
    return this.#same(Array.from({ length: count }, (_, each) => start.value + each * step));
  }
}

/** Neighbours from an index on, as many as the type is wide. */
export function widened(elements: Elements, width: number): Elements {
  const neighbours = (number: number): readonly number[] => Array.from({ length: width }, (_, each) => number + each);
  return { ...elements, of: elements.of.map((numbers) => numbers.flatMap(neighbours)) };
}
