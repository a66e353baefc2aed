/**
 * Sizes that are known only at run time: integer expressions over the batch and the length (in
 * tokens). Compile-time axes are already numbers in them. The compiler writes them into kernels'
 * grids and into manifests; the runtime evaluates them before a launch.
 */
import { assertNever } from './invariant.ts';

export type SizeExpression =
  | number
  | 'batch'
  | 'length'
  | { readonly operator: 'add' | 'multiply' | 'ceil-divide' | 'minimum'; readonly left: SizeExpression; readonly right: SizeExpression };

export type RunSizes = { readonly batch: number; readonly length: number };

/** The value in float64, exact below 2^53. */
export function evaluateSize(size: SizeExpression, sizes: RunSizes): number {
  if (typeof size === 'number') return size;
  if (size === 'batch') return sizes.batch;
  if (size === 'length') return sizes.length;
  const left = evaluateSize(size.left, sizes);
  const right = evaluateSize(size.right, sizes);
  switch (size.operator) {
    case 'add':
      return left + right;
    case 'multiply':
      return left * right;
    case 'ceil-divide':
      return Math.ceil(left / right);
    case 'minimum':
      return Math.min(left, right);
    default:
      return assertNever(size.operator, 'evaluateSize');
  }
}

export function addSizes(left: SizeExpression, right: SizeExpression): SizeExpression {
  if (left === 0) return right;
  if (right === 0) return left;
  if (typeof left === 'number' && typeof right === 'number') return left + right;
  return { operator: 'add', left, right };
}

export function multiplySizes(left: SizeExpression, right: SizeExpression): SizeExpression {
  if (left === 1) return right;
  if (right === 1) return left;
  if (left === 0 || right === 0) return 0;
  if (typeof left === 'number' && typeof right === 'number') return left * right;
  return { operator: 'multiply', left, right };
}

export function ceilDivideSizes(left: SizeExpression, right: SizeExpression): SizeExpression {
  if (right === 1) return left;
  if (typeof left === 'number' && typeof right === 'number') return Math.ceil(left / right);
  return { operator: 'ceil-divide', left, right };
}

/** Product of all, 1 for none. */
export function productOfSizes(sizes: readonly SizeExpression[]): SizeExpression {
  return sizes.reduce<SizeExpression>(multiplySizes, 1);
}

/** `batch * ceil(length / 64)`, as messages and generated comments show it. */
export function formatSize(size: SizeExpression): string {
  if (typeof size !== 'object') return String(size);
  const left = formatSize(size.left);
  const right = formatSize(size.right);
  switch (size.operator) {
    case 'add':
      return `(${left} + ${right})`;
    case 'multiply':
      return `${left} * ${right}`;
    case 'ceil-divide':
      return `ceil(${left} / ${right})`;
    case 'minimum':
      return `min(${left}, ${right})`;
    default:
      return assertNever(size.operator, 'formatSize');
  }
}
