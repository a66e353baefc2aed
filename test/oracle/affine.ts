/**
 * Reads coefficient and drive off a right-hand side that is elementwise affine in the state, by
 * evaluating it on pairs (coefficient, drive). Anything else gives null, not a wrong answer.
 */
import type { CallSyntax, ExpressionSyntax } from '../../dsl/ast.ts';
import { combine, evaluateExpression, select } from './expressions.ts';
import { mapTensors, scalarTensor, type NodeTensor } from './node-tensor.ts';
import type { Scope } from './scope.ts';
import { complexNode, constantNode, negateNode } from './tape-operations.ts';

/** coefficient·x + drive; null parts are absent (zero). */
export type Affine = { readonly coefficient: NodeTensor | null; readonly drive: NodeTensor | null };

/** Whether a name occurs anywhere in an expression. */
export function mentions(expression: ExpressionSyntax, name: string): boolean {
  switch (expression.kind) {
    case 'number': return false;
    case 'name': return expression.name === name;
    case 'member': return mentions(expression.object, name);
    case 'unary': return mentions(expression.operand, name);
    case 'binary': return mentions(expression.left, name) || mentions(expression.right, name);
    case 'conditional':
      return [expression.condition, expression.whenTrue, expression.whenFalse]
        .some((each) => mentions(each, name));
    case 'call': return expression.arguments.some((argument) => mentions(argument.value, name));
  }
}

export function readAffine(expression: ExpressionSyntax, state: string, scope: Scope): Affine | null {
  if (!mentions(expression, state)) return { coefficient: null, drive: evaluateExpression(expression, scope) };
  const tape = scope.run.tape;
  switch (expression.kind) {
    case 'name':
      return { coefficient: scalarTensor(tape, 1), drive: null };
    case 'unary': {
      const operand = expression.operator === '-' ? readAffine(expression.operand, state, scope) : null;
      const negate = (tensor: NodeTensor): NodeTensor => mapTensors([tensor], (node) => negateNode(tape, node));
      return operand === null ? null : mapParts(operand, negate);
    }
    case 'binary': {
      const left = readAffine(expression.left, state, scope);
      const right = readAffine(expression.right, state, scope);
      return left === null || right === null ? null : combineAffine(expression.operator, left, right, scope);
    }
    case 'conditional': {
      if (mentions(expression.condition, state)) return null;
      const condition = evaluateExpression(expression.condition, scope);
      const whenTrue = readAffine(expression.whenTrue, state, scope);
      const whenFalse = readAffine(expression.whenFalse, state, scope);
      if (whenTrue === null || whenFalse === null) return null;
      const zero = scalarTensor(tape, 0);
      const either = (a: NodeTensor | null, b: NodeTensor | null): NodeTensor | null =>
        a === null && b === null ? null : select(condition, a ?? zero, b ?? zero, scope);
      return {
        coefficient: either(whenTrue.coefficient, whenFalse.coefficient),
        drive: either(whenTrue.drive, whenFalse.drive),
      };
    }
    case 'call':
      return readAffineCall(expression, state, scope);
    default:
      return null;
  }
}

/** `prev(x)` is x inside its own block; complex(a, b) = a + i·b. */
function readAffineCall(call: CallSyntax, state: string, scope: Scope): Affine | null {
  const [first, second] = call.arguments.map((argument) => argument.value);
  if (first === undefined) return null;
  if (call.callee.text === 'prev') return readAffine(first, state, scope);
  if (call.callee.text !== 'complex' || second === undefined) return null;
  const [re, im] = [readAffine(first, state, scope), readAffine(second, state, scope)];
  if (re === null || im === null) return null;
  const tape = scope.run.tape;
  const imaginary = complexNode(tape, constantNode(tape, 0), constantNode(tape, 1));
  const unit = { axes: [], shape: [], nodes: Int32Array.of(imaginary) };
  return combineAffine('+', re, mapParts(im, (tensor) => combine('*', unit, tensor, scope)), scope);
}

function mapParts(affine: Affine, change: (tensor: NodeTensor) => NodeTensor): Affine {
  return {
    coefficient: affine.coefficient === null ? null : change(affine.coefficient),
    drive: affine.drive === null ? null : change(affine.drive),
  };
}

function combineAffine(operator: string, left: Affine, right: Affine, scope: Scope): Affine | null {
  const tape = scope.run.tape;
  if (operator === '+' || operator === '-') {
    const join = (a: NodeTensor | null, b: NodeTensor | null): NodeTensor | null => {
      if (b === null) return a;
      if (a !== null) return combine(operator, a, b, scope);
      return operator === '+' ? b : mapTensors([b], (node) => negateNode(tape, node));
    };
    return { coefficient: join(left.coefficient, right.coefficient), drive: join(left.drive, right.drive) };
  }
  if (operator === '*') {
    if (left.coefficient !== null && right.coefficient !== null) return null;
    const [varying, factor] = left.coefficient === null ? [right, left.drive] : [left, right.drive];
    return factor === null ? null : mapParts(varying, (tensor) => combine('*', factor, tensor, scope));
  }
  if (operator === '/' && right.coefficient === null && right.drive !== null) {
    const divisor = right.drive;
    return mapParts(left, (tensor) => combine('/', tensor, divisor, scope));
  }
  return null;
}
