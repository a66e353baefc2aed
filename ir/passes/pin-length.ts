/**
 * A plan for one fixed length: `length` becomes a number in sizes, grids and uniforms, uniforms that
 * are numbers now become literals, and loops of a single trip lose their loop. With length 1 it makes
 * the one-token step out of the forward pass: the same states, layout and arithmetic.
 */
import { required } from '../../support/invariant.ts';
import { evaluateSize, type SizeExpression } from '../../support/size.ts';
import { add, binary, integer, multiply, select, subtract, unary, uniform } from '../kernel/builder.ts';
import type { Buffer, Kernel, KernelExpression, KernelStatement } from '../kernel/nodes.ts';
import { unrollLoops } from '../kernel/passes/unroll-loops.ts';
import { mapBodies, mapExpressions, rewriteExpression } from '../kernel/walk.ts';
import type { Plan } from '../plan.ts';
import type { AffineScanOp, TensorFunction, TensorOp, ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';

/**
 * Why the forward function run on one token after another, with the states handed on, is not the
 * forward function run on all of them; null if it is. Reductions over time would need accumulators in
 * the state record, and positions a count of the tokens before.
 */
export function stepObstacle(forward: TensorFunction): string | null {
  const initial = new Set(forward.instructions.flatMap(({ op, results }) =>
    (op.kind === 'argument' && op.role === 'initial' ? results.map((value) => value.id) : [])));
  for (const { op } of forward.instructions) {
    if (valuesReadBy(op).some((id) => initial.has(id))) return 'a state restarts from the initial state of the sequence';
    const found = obstacleOf(op) ?? (op.kind === 'affine-scan' ? obstacleInScan(op) : null);
    if (found !== null) return found;
  }
  return null;
}

/** What an operation reads, apart from the state that it goes on from. */
function valuesReadBy(op: TensorOp): readonly ValueId[] {
  if (op.kind === 'affine-scan') return op.operands;
  if (op.kind === 'delay') return [op.operand];
  return op.kind === 'slide' ? [] : operandsOf(op);
}

function obstacleOf(op: TensorOp): string | null {
  switch (op.kind) {
    case 'length':
      return 'a value depends on the length of the sequence';
    case 'iota':
      return op.axis === 'time' ? 'a value depends on the position of the token in the sequence' : null;
    case 'reduce':
    case 'contract':
    case 'scatter-add':
      return op.over.includes('time') ? 'a reduction over time needs all tokens' : null;
    case 'last':
    case 'at-last':
      return 'a result is of the last token only';
    default:
      return null;
  }
}

function obstacleInScan(op: AffineScanOp): string | null {
  if (op.order === 'reverse') return `the state ${op.state} runs in reverse and needs the tokens to come`;
  if (op.yields.some((each) => each.sumOver.includes('time'))) return 'a reduction over time needs all tokens';
  return op.region.reduce<string | null>((found, each) => found ?? obstacleOf(each.op), null);
}

/** The plan for sequences of exactly `length` tokens. */
export function pinLength(plan: Plan, length: number): Plan {
  return {
    ...plan,
    tensors: plan.tensors.map((tensor) => ({ ...tensor, dims: tensor.dims.map((dim) => pinSize(dim, length)) })),
    kernels: plan.kernels.map((kernel) => pinKernel(kernel, length)),
  };
}

function pinSize(size: SizeExpression, length: number): SizeExpression {
  if (size === 'length') return length;
  if (typeof size !== 'object') return size;
  const [left, right] = [pinSize(size.left, length), pinSize(size.right, length)];
  if (typeof left === 'number' && typeof right === 'number') return evaluateSize({ ...size, left, right }, { batch: 1, length });
  if (size.operator === 'multiply' && (left === 1 || right === 1)) return left === 1 ? right : left;
  return { ...size, left, right };
}

function pinKernel(kernel: Kernel, length: number): Kernel {
  const uniforms = kernel.uniforms.map((each) => ({ ...each, value: pinSize(each.value, length) }));
  const numbers = new Map(uniforms.flatMap((each) => (typeof each.value === 'number' ? [[each.id, each.value] as const] : [])));
  const buffers = kernel.buffers.map((each) => ({ ...each, size: pinSize(each.size, length) }));
  const pinned = new Map(kernel.buffers.map((each, at) => [each.id, required(buffers[at], 'buffer')]));
  const bufferOf = (buffer: Buffer): Buffer => required(pinned.get(buffer.id), 'buffer');
  const rebuild = (expression: KernelExpression): KernelExpression => {
    if (expression.kind === 'load') return { ...expression, buffer: bufferOf(expression.buffer) };
    if (expression.kind === 'uniform') {
      const known = numbers.get(expression.uniform.id);
      return known === undefined ? uniform(required(uniforms.find((each) => each.id === expression.uniform.id), 'uniform')) : integer(known);
    }
    return refold(expression);
  };
  const visit = (body: readonly KernelStatement[]): readonly KernelStatement[] =>
    body.map((statement) => {
      const changed = mapExpressions(statement, (each) => rewriteExpression(each, rebuild));
      const placed = changed.kind === 'store' ? { ...changed, buffer: bufferOf(changed.buffer) } : changed;
      return mapBodies(markSingleTrip(placed), visit);
    });
  const [x, y, z] = kernel.grid;
  const made: Kernel = {
    ...kernel,
    grid: [pinSize(x, length), pinSize(y, length), pinSize(z, length)],
    uniforms: uniforms.filter((each) => typeof each.value !== 'number'),
    buffers,
    body: visit(kernel.body),
  };
  return unrollLoops(made, { limit: 4096 });
}

function markSingleTrip(statement: KernelStatement): KernelStatement {
  if (statement.kind !== 'for' || statement.start.kind !== 'literal' || statement.end.kind !== 'literal') return statement;
  return statement.end.value - statement.start.value <= statement.step ? { ...statement, unroll: true } : statement;
}

/** Lets the builder fold index arithmetic again. */
function refold(expression: KernelExpression): KernelExpression {
  if (expression.kind === 'binary' && expression.type.element === 'i32' && expression.type.width === 1) {
    if (expression.operator === 'add') return add(expression.left, expression.right);
    if (expression.operator === 'subtract') return subtract(expression.left, expression.right);
    if (expression.operator === 'multiply') return multiply(expression.left, expression.right);
    return binary(expression.operator, expression.left, expression.right);
  }
  if (expression.kind === 'unary') return unary(expression.operator, expression.operand);
  if (expression.kind === 'select' && expression.condition.kind === 'literal') return select(expression.condition, expression.whenTrue, expression.whenFalse);
  return expression;
}
