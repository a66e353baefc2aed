/**
 * What a launch costs, read off its Kernel IR before target rewrites. Bytes are a floor: every buffer
 * once, however often it is read. Operations are those of the kernel as scheduled: loops whose trips
 * differ between workgroups (a triangle of tokens) count with the mean of some that are spread evenly,
 * a branch that only some invocations take counts for all.
 */
import { storageBytes, type Builtin, type Kernel, type KernelExpression, type KernelStatement, type VariableId } from '../kernel/nodes.ts';
import { bodiesOf, expressionsOf, operandsOf } from '../kernel/walk.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';

export type OperationCounts = {
  /** powers of two, the only exponential there is */
  readonly exponentials: number;
  /** logarithms, sines, cosines, roots, divisions */
  readonly functions: number;
  /** additions, multiplications, minima, maxima of floats */
  readonly flops: number;
};

export type LaunchCost = OperationCounts & { readonly bytes: number; readonly invocations: number };

type Tally = { exponentials: number; functions: number; flops: number };
type Known = { readonly value: number | null; readonly varies: boolean };
type Frame = {
  readonly sizes: RunSizes;
  readonly values: Map<VariableId, Known>;
  readonly tally: Tally;
  /** the workgroup whose trips are counted */
  readonly workgroup: Readonly<Partial<Record<Builtin, number>>>;
  readonly dataBranches: DataBranches;
  /** whether a loop's trips depended on the workgroup */
  differs: boolean;
};

/** Whether a branch that only numbers in memory decide (is this initial state zero?) counts as taken. */
export type DataBranches = 'taken' | 'passed';

/** Workgroups that stand for all where trips differ, and the fraction between neighbours: the golden section spreads any number of them. */
const [sampledWorkgroups, goldenSection] = [13, 0.6180339887498949];

const unknown: Known = { value: null, varies: false };

/** Whole-launch totals for a batch and a length. */
export function costOfKernel(kernel: Kernel, sizes: RunSizes, dataBranches: DataBranches = 'taken'): LaunchCost {
  const grid = kernel.grid.map((each) => evaluateSize(each, sizes));
  const count = (fraction: number): Frame => {
    const [x, y, z] = grid.map((each) => Math.floor(fraction * each));
    const workgroup = { 'workgroup-x': x ?? 0, 'workgroup-y': y ?? 0, 'workgroup-z': z ?? 0 };
    const frame: Frame = { sizes, values: new Map(), tally: { exponentials: 0, functions: 0, flops: 0 }, workgroup, dataBranches, differs: false };
    countBody(kernel.body, 1, frame);
    return frame;
  };
  const first = count(0);
  const tallies = [first.tally];
  if (first.differs) for (let sample = 1; sample < sampledWorkgroups; sample++) tallies.push(count((sample * goldenSection) % 1).tally);
  const mean = (name: keyof Tally): number => tallies.reduce((sum, each) => sum + each[name], 0) / tallies.length;
  const invocations = grid.reduce((product, each) => product * each, kernel.workgroupSize);
  const bytes = kernel.buffers.reduce((sum, each) => {
    const passes = each.access === 'read-write' ? 2 : 1;
    return sum + evaluateSize(each.size, sizes) * storageBytes[each.storage] * passes;
  }, 0);
  return {
    bytes, invocations, exponentials: mean('exponentials') * invocations, functions: mean('functions') * invocations, flops: mean('flops') * invocations,
  };
}

function countBody(body: readonly KernelStatement[], times: number, frame: Frame): void {
  for (const statement of body) countStatement(statement, times, frame);
}

function countStatement(statement: KernelStatement, times: number, frame: Frame): void {
  for (const each of expressionsOf(statement)) countExpression(each, times, frame);
  switch (statement.kind) {
    case 'let':
      frame.values.set(statement.variable.id, evaluate(statement.value, frame));
      return;
    case 'for': {
      const [start, end] = [evaluate(statement.start, frame), evaluate(statement.end, frame)];
      frame.values.set(statement.variable.id, start);
      frame.differs ||= start.varies || end.varies;
      const trips = start.value === null || end.value === null ? 1 : Math.max(0, Math.ceil((end.value - start.value) / statement.step));
      if (trips > 0) countBody(statement.body, times * trips, frame);
      return;
    }
    case 'if': {
      const condition = evaluate(statement.condition, frame);
      const isKnown = condition.value !== null && !condition.varies;
      const isTaken = isKnown ? condition.value !== 0 : condition.varies || frame.dataBranches === 'taken';
      if (isTaken) countBody(statement.whenTrue, times, frame);
      else countBody(statement.whenFalse, times, frame);
      return;
    }
    default:
      for (const body of bodiesOf(statement)) countBody(body, times, frame);
  }
}

const functionOperators: ReadonlySet<string> = new Set(['log2', 'sine', 'cosine', 'square-root', 'divide', 'floor']);
const flopOperators: ReadonlySet<string> = new Set(['add', 'subtract', 'multiply', 'minimum', 'maximum', 'negate', 'absolute']);

function countExpression(expression: KernelExpression, times: number, frame: Frame): void {
  for (const operand of operandsOf(expression)) countExpression(operand, times, frame);
  const { element, width } = expression.type;
  if (element !== 'f32' && element !== 'f64') return;
  if (expression.kind === 'horizontal-add') frame.tally.flops += times * (expression.operand.type.width - 1);
  if (expression.kind !== 'unary' && expression.kind !== 'binary') return;
  const count = times * width;
  if (expression.operator === 'exp2') frame.tally.exponentials += count;
  else if (functionOperators.has(expression.operator)) frame.tally.functions += count;
  else if (flopOperators.has(expression.operator)) frame.tally.flops += count;
}

/** Integer arithmetic of bounds, with one workgroup and its first invocation; null where data decide. */
function evaluate(expression: KernelExpression, frame: Frame): Known {
  switch (expression.kind) {
    case 'literal':
      return { value: expression.value, varies: false };
    case 'builtin':
      return { value: frame.workgroup[expression.builtin] ?? 0, varies: true };
    case 'uniform':
      return { value: evaluateSize(expression.uniform.value, frame.sizes), varies: false };
    case 'variable':
      return frame.values.get(expression.variable.id) ?? unknown;
    case 'binary': {
      const [left, right] = [evaluate(expression.left, frame), evaluate(expression.right, frame)];
      const value = left.value === null || right.value === null ? null : apply(expression.operator, left.value, right.value);
      return { value, varies: left.varies || right.varies };
    }
    case 'select': {
      const condition = evaluate(expression.condition, frame);
      if (condition.value === null) return unknown;
      const chosen = evaluate(condition.value === 0 ? expression.whenFalse : expression.whenTrue, frame);
      return { value: chosen.value, varies: chosen.varies || condition.varies };
    }
    default:
      return unknown;
  }
}

function apply(operator: Extract<KernelExpression, { kind: 'binary' }>['operator'], left: number, right: number): number | null {
  switch (operator) {
    case 'add': return left + right;
    case 'subtract': return left - right;
    case 'multiply': return left * right;
    case 'divide': return right === 0 ? null : Math.trunc(left / right);
    case 'remainder': return right === 0 ? null : left % right;
    case 'minimum': return Math.min(left, right);
    case 'maximum': return Math.max(left, right);
    case 'shift-left': return left * 2 ** right;
    case 'shift-right': return Math.floor(left / 2 ** right);
    case 'less': return Number(left < right);
    case 'less-equal': return Number(left <= right);
    case 'equal': return Number(left === right);
    case 'not-equal': return Number(left !== right);
    case 'and': return Number(left !== 0 && right !== 0);
    case 'or': return Number(left !== 0 || right !== 0);
    default: return null;
  }
}
