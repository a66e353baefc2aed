/**
 * Expressions of the language on tensors of nodes, straight from decisions.md: operands broadcast by
 * axis name, `time` is an axis like others, a delay looks at earlier tokens and finds zero before the
 * first. Nothing is simplified or reordered.
 */
import type { BinarySyntaxOperator, CallSyntax, ExpressionSyntax } from '../../dsl/ast.ts';
import { invariant, required } from '../../support/invariant.ts';
import { scalarFunctions } from './complex-functions.ts';
import {
  broadcastTo, mapTensors, reduceAxes, renameAxis, scalarTensor, sizeOfAxis, sliceAxis, sumAxes, unionAxes,
  type NodeTensor,
} from './node-tensor.ts';
import { axisSize, fullAxisName, type Scope, type ScopeValue } from './scope.ts';
import {
  absNode, addNodes, applyFunction, complexNode, conjugateNode, constantNode, divideNodes, extremeNode,
  imagNode, multiplyNodes, negateNode, powerNode, realNode,
} from './tape-operations.ts';
import { applyLayer } from './application.ts';
import { evaluateDelay } from './delays.ts';

export function evaluateExpression(expression: ExpressionSyntax, scope: Scope): NodeTensor {
  const known = scope.shortcut?.(expression);
  if (known !== undefined && known !== null) return known;
  const tape = scope.run.tape;
  switch (expression.kind) {
    case 'number':
      return scalarTensor(tape, expression.value);
    case 'name':
      return evaluateName(expression.name, scope);
    case 'member':
      return evaluateMember(expression.object, expression.member.text, scope);
    case 'unary': {
      const operand = evaluateExpression(expression.operand, scope);
      if (expression.operator === '-') return mapTensors([operand], (node) => negateNode(tape, node));
      return mapTensors([operand], (node) => constantNode(tape, tape.re[node] === 0 ? 1 : 0));
    }
    case 'binary': {
      const left = evaluateExpression(expression.left, scope);
      const right = evaluateExpression(expression.right, scope);
      return combine(expression.operator, left, right, scope);
    }
    case 'conditional':
      return select(
        evaluateExpression(expression.condition, scope),
        evaluateExpression(expression.whenTrue, scope),
        evaluateExpression(expression.whenFalse, scope),
        scope,
      );
    case 'call':
      return evaluateCall(expression, scope);
  }
}

function evaluateName(name: string, scope: Scope): NodeTensor {
  const { tape, length } = scope.run;
  const value = scope.values.get(name);
  if (value !== undefined) return tensorOf(value, name);
  if (scope.axisNames.has(name)) return scalarTensor(tape, axisSize(scope, name));
  if (name === 'pi') return scalarTensor(tape, Math.PI);
  if (name === 'length') return scalarTensor(tape, length);
  if (name === 'position') return countAlong('time', length, scope);
  if (name === 'true' || name === 'false') return scalarTensor(tape, name === 'true' ? 1 : 0);
  return required<NodeTensor>(null, `name ${name}`);
}

function tensorOf(value: ScopeValue, name: string): NodeTensor {
  if (value.kind === 'tensor') return value.tensor;
  if (value.kind === 'state') return value.updated;
  invariant(value.outputs.size === 1, `${name} has several outputs`);
  return required([...value.outputs.values()][0], `output of ${name}`);
}

function evaluateMember(object: ExpressionSyntax, member: string, scope: Scope): NodeTensor {
  if (object.kind === 'call') return required(applyLayer(object, scope, null).get(member), `output ${member}`);
  const value = object.kind === 'name' ? scope.values.get(object.name) : undefined;
  invariant(value?.kind === 'instance', `${member} is not an output of an applied layer`);
  return required(value.outputs.get(member), `output ${member}`);
}

function countAlong(axis: string, size: number, scope: Scope): NodeTensor {
  const nodes = Int32Array.from({ length: size }, (_, at) => constantNode(scope.run.tape, at));
  return { axes: [axis], shape: [size], nodes };
}

/** Arithmetic makes nodes with gradients; comparisons and logic make flags (0 or 1) without. */
export function combine(
  operator: BinarySyntaxOperator,
  left: NodeTensor,
  right: NodeTensor,
  scope: Scope,
): NodeTensor {
  const tape = scope.run.tape;
  const flag = (test: (a: number, b: number) => boolean): NodeTensor =>
    mapTensors([left, right], (a, b) => constantNode(tape, test(tape.re[a]!, tape.re[b]!) ? 1 : 0));
  switch (operator) {
    case '+': return mapTensors([left, right], (a, b) => addNodes(tape, a, b));
    case '-': return mapTensors([left, right], (a, b) => addNodes(tape, a, b, -1));
    case '*': return mapTensors([left, right], (a, b) => multiplyNodes(tape, a, b));
    case '/': return mapTensors([left, right], (a, b) => divideNodes(tape, a, b));
    case '^': return mapTensors([left, right], (a, b) => powerNode(tape, a, tape.re[b]!));
    case '<': return flag((a, b) => a < b);
    case '<=': return flag((a, b) => a <= b);
    case '>': return flag((a, b) => a > b);
    case '>=': return flag((a, b) => a >= b);
    case '==': return flag((a, b) => a === b);
    case '!=': return flag((a, b) => a !== b);
    case 'and': return flag((a, b) => a !== 0 && b !== 0);
    case 'or': return flag((a, b) => a !== 0 || b !== 0);
  }
}

export function select(
  condition: NodeTensor,
  whenTrue: NodeTensor,
  whenFalse: NodeTensor,
  scope: Scope,
): NodeTensor {
  return mapTensors([condition, whenTrue, whenFalse], (flag, a, b) => (scope.run.tape.re[flag] !== 0 ? a : b));
}

function evaluateCall(call: CallSyntax, scope: Scope): NodeTensor {
  const name = call.callee.text;
  if (scope.run.tree.layers.some((layer) => layer.name.text === name)) {
    const outputs = applyLayer(call, scope, null);
    return tensorOf({ kind: 'instance', outputs }, name);
  }
  const tape = scope.run.tape;
  const operand = (at: number): NodeTensor => evaluateExpression(argumentAt(call, at), scope);
  if (call.axes.length > 0 && call.callee.text !== 'iota') return evaluateOverAxes(call, scope);
  if (scalarFunctions.has(name)) return mapTensors([operand(0)], (node) => applyFunction(tape, name, node));
  switch (name) {
    case 'abs': return mapTensors([operand(0)], (node) => absNode(tape, node));
    case 'real': return mapTensors([operand(0)], (node) => realNode(tape, node));
    case 'imag': return mapTensors([operand(0)], (node) => imagNode(tape, node));
    case 'conj': return mapTensors([operand(0)], (node) => conjugateNode(tape, node));
    case 'to_real': return operand(0);
    case 'complex': return mapTensors([operand(0), operand(1)], (re, im) => complexNode(tape, re, im));
    case 'max':
    case 'min': return mapTensors([operand(0), operand(1)], (a, b) => extremeNode(tape, a, b, name));
    case 'iota': return iota(call, scope);
    case 'last': return last(operand(0), scope);
    case 'delay': return evaluateDelay(call, scope, (each) => evaluateExpression(each, scope));
    case 'rename': return renameAxis(operand(0), axisArgument(call, 1, scope), axisArgument(call, 2, scope));
    case 'prev': return previousState(argumentAt(call, 0), scope);
    default: return required<NodeTensor>(null, `function ${name}`);
  }
}

/** What arguments may be called when they are written by name. */
const argumentNames: ReadonlyMap<string, readonly string[]> = new Map([
  ['gather', ['table', 'index']], ['pick', ['table', 'index']],
  ['max', ['left', 'right']], ['min', ['left', 'right']], ['complex', ['real', 'imaginary']],
]);

function argumentAt(call: CallSyntax, at: number): ExpressionSyntax {
  const isReduction = call.axes.length > 0 && (call.callee.text === 'max' || call.callee.text === 'min');
  const names = isReduction ? undefined : argumentNames.get(call.callee.text);
  const wanted = (names ?? ['value'])[at];
  const named = call.arguments.find((argument) => argument.name !== null && argument.name.text === wanted);
  const positional = call.arguments.filter((argument) => argument.name === null);
  return required(named ?? positional[at], `argument ${at + 1} of ${call.callee.text}`).value;
}

function axisArgument(call: CallSyntax, at: number, scope: Scope): string {
  const expression = argumentAt(call, at);
  invariant(expression.kind === 'name', 'expected the name of an axis');
  return fullAxisName(scope, expression.name);
}

function iota(call: CallSyntax, scope: Scope): NodeTensor {
  const [bracketed] = call.axes;
  const axis = bracketed === undefined ? axisArgument(call, 0, scope) : fullAxisName(scope, bracketed.text);
  return countAlong(axis, required(scope.run.sizes.get(axis), `size of ${axis}`), scope);
}

/** Inside the state's own block both the bare name and `prev` are the previous value. */
function previousState(expression: ExpressionSyntax, scope: Scope): NodeTensor {
  invariant(expression.kind === 'name', 'prev needs the name of a state');
  const value = required(scope.values.get(expression.name), `state ${expression.name}`);
  if (value.kind === 'state') return value.previous;
  invariant(scope.shortcut !== null, `${expression.name} is not a state`);
  return tensorOf(value, expression.name);
}

/** Reductions, softmax and norms over bracketed axes, gather and pick along one. */
function evaluateOverAxes(call: CallSyntax, scope: Scope): NodeTensor {
  const tape = scope.run.tape;
  const axes = call.axes.map((axis) => fullAxisName(scope, axis.text));
  const operand = evaluateExpression(argumentAt(call, 0), scope);
  switch (call.callee.text) {
    case 'sum': return sumAxes(tape, operand, axes);
    case 'mean': return meanAxes(operand, axes, scope);
    case 'max':
    case 'min': {
      const which = call.callee.text;
      return reduceAxes(operand, axes, (nodes) => nodes.reduce((a, b) => extremeNode(tape, a, b, which)));
    }
    case 'softmax': {
      const weights = exponentials(operand, axes, scope).weights;
      return combine('/', weights, sumAxes(tape, weights, axes), scope);
    }
    case 'log_softmax': {
      const { shifted, weights } = exponentials(operand, axes, scope);
      const total = mapTensors([sumAxes(tape, weights, axes)], (node) => applyFunction(tape, 'log', node));
      return combine('-', shifted, total, scope);
    }
    case 'rms_norm': return normalise(operand, axes, epsilonOf(call, scope), scope);
    case 'layer_norm': {
      const centred = combine('-', operand, meanAxes(operand, axes, scope), scope);
      return normalise(centred, axes, epsilonOf(call, scope), scope);
    }
    case 'gather':
    case 'pick': {
      const index = evaluateExpression(argumentAt(call, 1), scope);
      return gather(operand, required(axes[0], 'axis'), index, scope);
    }
    default: return required<NodeTensor>(null, `function ${call.callee.text}[…]`);
  }
}

function meanAxes(operand: NodeTensor, axes: readonly string[], scope: Scope): NodeTensor {
  const count = axes.reduce((product, axis) => product * sizeOfAxis(operand, axis), 1);
  const divisor = scalarTensor(scope.run.tape, Math.max(1, count));
  return combine('/', sumAxes(scope.run.tape, operand, axes), divisor, scope);
}

/** e^(x − max x): the maximum is a constant of the formula, so no gradient goes through it. */
function exponentials(
  operand: NodeTensor,
  axes: readonly string[],
  scope: Scope,
): { shifted: NodeTensor; weights: NodeTensor } {
  const tape = scope.run.tape;
  const largest = reduceAxes(operand, axes, (nodes) =>
    constantNode(tape, Math.max(...nodes.map((node) => tape.re[node]!))));
  const shifted = combine('-', operand, largest, scope);
  return { shifted, weights: mapTensors([shifted], (node) => applyFunction(tape, 'exp', node)) };
}

/** x / √(mean x² + ε). */
function normalise(operand: NodeTensor, axes: readonly string[], epsilon: NodeTensor, scope: Scope): NodeTensor {
  const tape = scope.run.tape;
  const squares = mapTensors([operand], (node) => applyFunction(tape, 'square', node));
  const power = combine('+', meanAxes(squares, axes, scope), epsilon, scope);
  return combine('/', operand, mapTensors([power], (node) => applyFunction(tape, 'sqrt', node)), scope);
}

function epsilonOf(call: CallSyntax, scope: Scope): NodeTensor {
  const given = call.arguments.find((argument) => argument.name?.text === 'eps');
  return given === undefined ? scalarTensor(scope.run.tape, 1e-5) : evaluateExpression(given.value, scope);
}

/** table[index, …]: the row that each index names; the index may vary with batch and time. */
function gather(table: NodeTensor, axis: string, index: NodeTensor, scope: Scope): NodeTensor {
  const size = sizeOfAxis(table, axis);
  const rows = Array.from({ length: size }, (_, row) => sliceAxis(table, axis, row));
  const template = required(rows[0], `row of ${axis}`);
  const { axes, shape } = unionAxes([template, index]);
  const aligned = rows.map((row) => broadcastTo(row, axes, shape).nodes);
  const indices = broadcastTo(index, axes, shape).nodes;
  const nodes = indices.map((node, at) => {
    const row = scope.run.tape.re[node]!;
    invariant(Number.isInteger(row) && row >= 0 && row < size, `index ${row} is outside ${axis} of size ${size}`);
    return aligned[row]![at]!;
  });
  return { axes, shape, nodes };
}

/** The value at the last token, which is a value per sequence. */
function last(operand: NodeTensor, scope: Scope): NodeTensor {
  const { length, tape } = scope.run;
  if (length > 0) return sliceAxis(operand, 'time', length - 1);
  return reduceAxes(operand, ['time'], () => constantNode(tape, 0));
}
