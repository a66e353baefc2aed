/**
 * Recurrences that are not elementwise affine (matrix states, contractions of the state): the
 * right-hand side is evaluated once per token on the previous value. The bound is that of exactly
 * this sequential order.
 */
import type { ExpressionSyntax } from '../../dsl/ast.ts';
import { mentions } from './affine.ts';
import { evaluateExpression } from './expressions.ts';
import { broadcastTo, elementCount, sliceAxis, type NodeTensor } from './node-tensor.ts';
import type { ScanResult } from './scan.ts';
import type { Scope } from './scope.ts';
import type { StateFrame } from './states.ts';
import { constantNode } from './tape-operations.ts';

export function scanByToken(value: ExpressionSyntax, scope: Scope, frame: StateFrame): ScanResult {
  const { batch, length, tape } = scope.run;
  const axes = ['batch', 'time', ...frame.axes];
  const shape = [batch, length, ...frame.shape];
  const stateAxes = ['batch', ...frame.axes];
  const stateShape = [batch, ...frame.shape];
  const elements = elementCount(frame.shape);
  const updated = new Int32Array(elementCount(shape));
  const previous = new Int32Array(updated.length);
  const knownValues = new Map<ExpressionSyntax, NodeTensor>();
  const zero = constantNode(tape, 0);
  let state = frame.initial.nodes;
  for (let visited = 0; visited < length; visited++) {
    const time = frame.order === 'forward' ? visited : length - 1 - visited;
    const offsetOf = (row: number): number =>
      (Math.floor(row / elements) * length + time) * elements + (row % elements);
    const before = state.map((node, row) => {
      const flag = frame.flags?.nodes[offsetOf(row)];
      if (flag === undefined || tape.re[flag] === 0) return node;
      return frame.action === 'restart' ? frame.initial.nodes[row]! : zero;
    });
    const token = tokenScope(scope, frame, { axes: stateAxes, shape: stateShape, nodes: before }, time, knownValues);
    state = broadcastTo(evaluateExpression(value, token), stateAxes, stateShape).nodes;
    before.forEach((node, row) => void (previous[offsetOf(row)] = node));
    state.forEach((node, row) => void (updated[offsetOf(row)] = node));
  }
  const final = Int32Array.from(state);
  return { updated: { axes, shape, nodes: updated }, previous: { axes, shape, nodes: previous }, final };
}

/** The scope of one token: what does not mention the state is evaluated once for all tokens and sliced. */
function tokenScope(
  scope: Scope,
  frame: StateFrame,
  before: NodeTensor,
  time: number,
  knownValues: Map<ExpressionSyntax, NodeTensor>,
): Scope {
  const values = new Map(scope.values).set(frame.name, { kind: 'tensor', tensor: before });
  const shortcut = (expression: ExpressionSyntax): NodeTensor | null => {
    if (mentions(expression, frame.name)) return null;
    const known = knownValues.get(expression) ?? evaluateExpression(expression, scope);
    knownValues.set(expression, known);
    return sliceAxis(known, 'time', time);
  };
  return { ...scope, values, shortcut };
}
