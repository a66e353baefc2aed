/**
 * How large the integers of a kernel can become at given sizes, as intervals of exact numbers. Kernels
 * count in 32 bits, and the sizes where they would wrap are too large to run in a test.
 */
import type { Kernel, KernelExpression, KernelStatement, VariableId } from '../../ir/kernel/nodes.ts';
import { expressionsOf } from '../../ir/kernel/walk.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';

type Range = { readonly low: bigint; readonly high: bigint };

type Scope = { readonly kernel: Kernel; readonly sizes: RunSizes; readonly ranges: Map<VariableId, Range>; largest: bigint };

const whole: Range = { low: -(2n ** 31n), high: 2n ** 31n - 1n };

const least = (...values: readonly bigint[]): bigint => values.reduce((one, other) => (one < other ? one : other));
const most = (...values: readonly bigint[]): bigint => values.reduce((one, other) => (one > other ? one : other));
const upTo = (count: number): Range => ({ low: 0n, high: most(0n, BigInt(count) - 1n) });

function binaryRange(operator: string, left: Range, right: Range): Range {
  const all = (apply: (one: bigint, other: bigint) => bigint): Range => {
    const corners = [left.low, left.high].flatMap((one) => [right.low, right.high].map((other) => apply(one, other)));
    return { low: least(...corners), high: most(...corners) };
  };
  switch (operator) {
    case 'add': return all((one, other) => one + other);
    case 'subtract': return all((one, other) => one - other);
    case 'multiply': return all((one, other) => one * other);
    case 'divide': return all((one, other) => (other > 0n ? one / other : one));
    case 'remainder': return { low: 0n, high: least(most(left.high, 0n), most(right.high - 1n, 0n)) };
    case 'minimum': return { low: least(left.low, right.low), high: least(left.high, right.high) };
    case 'maximum': return { low: most(left.low, right.low), high: most(left.high, right.high) };
    case 'bit-and': return { low: 0n, high: right.low >= 0n ? right.high : most(left.high, right.high) };
    case 'shift-right': return all((one, other) => (other >= 0n && other < 64n ? one >> other : one));
    default: return whole;
  }
}

/** The range of an integer; what is no arithmetic of sizes may be any number of 32 bits. */
function rangeOf(expression: KernelExpression, scope: Scope): Range {
  const { kernel, sizes, ranges } = scope;
  switch (expression.kind) {
    case 'literal': return { low: BigInt(Math.trunc(expression.value)), high: BigInt(Math.trunc(expression.value)) };
    case 'uniform': {
      const value = BigInt(evaluateSize(expression.uniform.value, sizes));
      return { low: value, high: value };
    }
    case 'variable': return ranges.get(expression.variable.id) ?? whole;
    case 'builtin': {
      if (expression.builtin === 'invocation') return upTo(kernel.workgroupSize);
      return upTo(evaluateSize(kernel.grid[expression.builtin === 'workgroup-x' ? 0 : expression.builtin === 'workgroup-y' ? 1 : 2], sizes));
    }
    case 'binary': return expression.type.element === 'i32' ? binaryRange(expression.operator, rangeOf(expression.left, scope), rangeOf(expression.right, scope)) : whole;
    case 'select': {
      const [yes, no] = [rangeOf(expression.whenTrue, scope), rangeOf(expression.whenFalse, scope)];
      return { low: least(yes.low, no.low), high: most(yes.high, no.high) };
    }
    // numbers of index inputs, which the runtime checks
    case 'load': return { low: 0n, high: 0n };
    default: return whole;
  }
}

/** Notes every index below an expression. */
function noteIndices(expression: KernelExpression, scope: Scope): void {
  if (expression.kind === 'load') scope.largest = most(scope.largest, rangeOf(expression.index, scope).high);
  if ('operand' in expression) noteIndices(expression.operand, scope);
  if (expression.kind === 'binary') [expression.left, expression.right].forEach((each) => noteIndices(each, scope));
  if (expression.kind === 'select') [expression.whenTrue, expression.whenFalse].forEach((each) => noteIndices(each, scope));
  if (expression.kind === 'compose') expression.operands.forEach((each) => noteIndices(each, scope));
}

/** `variable < limit` holds inside of a guarded body. */
function guarded(condition: KernelExpression, scope: Scope): readonly (readonly [VariableId, Range])[] {
  if (condition.kind !== 'binary' || condition.operator !== 'less' || condition.left.kind !== 'variable') return [];
  const { id } = condition.left.variable;
  const known = scope.ranges.get(id) ?? whole;
  return [[id, { low: known.low, high: least(known.high, rangeOf(condition.right, scope).high - 1n) }]];
}

/** The guarded body, with what the guard says of a variable while it lasts. */
function walkGuarded({ condition, whenTrue }: Extract<KernelStatement, { readonly kind: 'if' }>, scope: Scope): void {
  const limits = guarded(condition, scope);
  const before = limits.map(([id]) => [id, scope.ranges.get(id) ?? whole] as const);
  limits.forEach(([id, range]) => scope.ranges.set(id, range));
  walk(whenTrue, scope);
  before.forEach(([id, range]) => scope.ranges.set(id, range));
}

function walk(body: readonly KernelStatement[], scope: Scope): void {
  for (const statement of body) {
    expressionsOf(statement).forEach((each) => noteIndices(each, scope));
    switch (statement.kind) {
      case 'let':
      case 'var':
        if (statement.variable.type.element === 'i32') scope.ranges.set(statement.variable.id, statement.kind === 'var' ? whole : rangeOf(statement.value, scope));
        break;
      case 'store':
        scope.largest = most(scope.largest, rangeOf(statement.index, scope).high);
        break;
      case 'for': {
        const [start, end] = [rangeOf(statement.start, scope), rangeOf(statement.end, scope)];
        scope.ranges.set(statement.variable.id, { low: start.low, high: most(start.low, end.high - 1n) });
        walk(statement.body, scope);
        break;
      }
      case 'if':
        walkGuarded(statement, scope);
        walk(statement.whenFalse, scope);
        break;
      default:
        break;
    }
  }
}

/** The largest index into a tensor that the kernel may form at these sizes. */
export function largestIndex(kernel: Kernel, sizes: RunSizes): bigint {
  const scope: Scope = { kernel, sizes, ranges: new Map(), largest: 0n };
  walk(kernel.body, scope);
  return scope.largest;
}
