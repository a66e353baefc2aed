/**
 * States: the right-hand side, its discretization, and the plain loop over tokens. A right-hand side
 * that is elementwise affine in the state is taken apart into coefficient and drive, because the
 * discretizations are written in them and because the error of a scan is known (two extra recurrences
 * S and T that cover any bracketing); any other `next x = …` is evaluated token by token.
 */
import type { ExpressionSyntax, StateClauseSyntax, StateSyntax } from '../../dsl/ast.ts';
import { invariant, required } from '../../support/invariant.ts';
import { readAffine, type Affine } from './affine.ts';
import { complexOf } from './complex-functions.ts';
import { discretize } from './discretize.ts';
import { evaluateExpression } from './expressions.ts';
import { broadcastTo, elementCount, leafTensor, mapTensors, scalarTensor, type NodeTensor } from './node-tensor.ts';
import { scanAffine, type ScanResult } from './scan.ts';
import { scanByToken } from './scan-by-token.ts';
import { axisSize, fullAxisName, withFullAxes, type Scope } from './scope.ts';
import { addNodes } from './tape-operations.ts';
import { pushNode } from './tape.ts';

/** What a scan needs to know besides its coefficients. */
export type StateFrame = {
  readonly name: string;
  readonly isReal: boolean;
  /** the declared axes, without batch and time */
  readonly axes: readonly string[];
  readonly shape: readonly number[];
  readonly initial: NodeTensor;
  readonly order: 'forward' | 'reverse';
  /** over batch, time and the state's axes; null where there is no reset */
  readonly flags: NodeTensor | null;
  /** the same as it was written */
  readonly condition: NodeTensor | null;
  readonly action: 'reset' | 'restart';
};

type ClauseOf<K extends StateClauseSyntax['kind']> = Extract<StateClauseSyntax, { kind: K }>;

function clauseOf<K extends StateClauseSyntax['kind']>(item: StateSyntax, kind: K): ClauseOf<K> | null {
  return (item.clauses.find((clause) => clause.kind === kind) as ClauseOf<K> | undefined) ?? null;
}

/** Evaluates a state for all tokens, and puts its values and its final entries where they belong. */
export function evaluateState(item: StateSyntax, scope: Scope): void {
  const name = item.tensor.name.text;
  const order = clauseOf(item, 'order');
  const written = order?.order.text ?? 'forward';
  if (written !== 'bidirectional') {
    invariant(written === 'forward' || written === 'reverse', `order ${written}`);
    const { updated, previous } = runDirection(item, scope, name, written);
    scope.values.set(name, { kind: 'state', updated, previous });
    return;
  }
  const names = order?.options.map((option) => option.text) ?? [];
  const options = names.filter((option) => option !== 'sum' && option !== 'twice');
  invariant(options.length === 0, `order bidirectional ${options.join(' ')}`);
  const forward = runDirection(item, scope, name, 'forward');
  const reverse = runDirection(item, scope, `${name}_reverse`, 'reverse');
  const add = (a: NodeTensor, b: NodeTensor): NodeTensor =>
    mapTensors([a, b], (left, right) => addNodes(scope.run.tape, left, right));
  scope.values.set(name, {
    kind: 'state',
    updated: add(forward.updated, reverse.updated),
    previous: add(forward.previous, reverse.previous),
  });
}

function runDirection(item: StateSyntax, scope: Scope, storedName: string, order: 'forward' | 'reverse'): ScanResult {
  const { run } = scope;
  const frame = frameOf(item, scope, storedName, order);
  const mask = { path: `${storedName}.reset.tail`, nearest: order === 'reverse' ? 1 : 0 } as const;
  const block: Scope = { ...scope, tapMask: frame.condition === null ? null : { flags: frame.condition, ...mask } };
  const result = scanState(item, block, frame);
  const leading = { axes: ['batch', ...frame.axes], shape: [run.batch, ...frame.shape] };
  run.finalNodes.set(`${scope.prefix}${storedName}`, { ...leading, nodes: result.final });
  return result;
}

function frameOf(item: StateSyntax, scope: Scope, storedName: string, order: 'forward' | 'reverse'): StateFrame {
  const axes = item.tensor.axes.map((axis) => fullAxisName(scope, axis.text));
  const shape = item.tensor.axes.map((axis) => axisSize(scope, axis.text));
  const isReal = item.tensor.type?.name.text !== 'complex';
  const { batch, length } = scope.run;
  const reset = clauseOf(item, 'reset');
  const condition = reset === null ? null : evaluateExpression(reset.condition, scope);
  const frameAxes = ['batch', 'time', ...axes];
  const flags = condition === null ? null : broadcastTo(condition, frameAxes, [batch, length, ...shape]);
  return {
    name: item.tensor.name.text,
    isReal,
    axes,
    shape,
    initial: initialTensor(`${scope.prefix}${storedName}`, axes, shape, isReal, scope),
    order,
    flags,
    condition,
    action: reset?.action ?? 'reset',
  };
}

/** The given initial state, or zeros; leaves of the tape either way, so that gradients can be asked. */
function initialTensor(
  path: string,
  axes: readonly string[],
  shape: readonly number[],
  isReal: boolean,
  scope: Scope,
): NodeTensor {
  const { run } = scope;
  const given = run.initial.get(path);
  const wanted = ['batch', ...axes];
  const nodes = given === undefined
    ? zeroLeaves(wanted, [run.batch, ...shape], isReal, scope)
    : leafTensor(run.tape, withFullAxes(given, wanted, scope), wanted, isReal);
  run.initialNodes.set(path, nodes);
  return nodes;
}

function zeroLeaves(
  axes: readonly string[],
  shape: readonly number[],
  isReal: boolean,
  scope: Scope,
): NodeTensor {
  const nodes = Int32Array.from({ length: elementCount(shape) }, () =>
    pushNode(scope.run.tape, complexOf(0), { isReal, bound: 0 }));
  return { axes, shape, nodes };
}

function scanState(item: StateSyntax, scope: Scope, frame: StateFrame): ScanResult {
  const derivative = clauseOf(item, 'derivative');
  if (derivative === null) {
    const next = required(clauseOf(item, 'next'), `next ${frame.name}`);
    return scanNext(next.value, scope, frame);
  }
  const affine = required(readAffine(derivative.value, frame.name, scope), `affine form of d${frame.name}/dt`);
  const clause = required(clauseOf(item, 'discretize'), `discretize of ${frame.name}`);
  const [first, second] = clause.rule.arguments.map((argument) => evaluateExpression(argument.value, scope));
  const rule = clause.rule.callee.text;
  const alpha = rule === 'gbt' ? required(first, 'alpha') : null;
  const delta = required(rule === 'gbt' ? second : first, 'delta');
  const inputRule = clause.inputRule?.text ?? null;
  return scanAffine(scope, frame, discretize({ rule, alpha, delta, inputRule, affine }, scope));
}

function scanNext(value: ExpressionSyntax, scope: Scope, frame: StateFrame): ScanResult {
  const affine: Affine | null = readAffine(value, frame.name, scope);
  if (affine === null) return scanByToken(value, scope, frame);
  const zero = scalarTensor(scope.run.tape, 0);
  return scanAffine(scope, frame, { coefficient: affine.coefficient ?? zero, drive: affine.drive ?? zero });
}
