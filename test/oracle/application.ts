/**
 * Layers: their items in order, and the application of one layer in another, which is the same walk
 * in a scope of its own whose states, parameters and fresh axes carry the instance's path.
 */
import type {
  CallSyntax, ExpressionSyntax, ItemSyntax, LayerSyntax, LetSyntax, TensorSyntax,
} from '../../dsl/ast.ts';
import { invariant, required } from '../../support/invariant.ts';
import { tailTable } from './delays.ts';
import { evaluateExpression } from './expressions.ts';
import { broadcastTo, leafTensor, type NodeTensor } from './node-tensor.ts';
import { axisSize, declareAxis, evaluateSize, fullAxisName, withFullAxes, type Scope } from './scope.ts';
import { evaluateState } from './states.ts';

/** Runs the items of a layer whose inputs and axis parameters are already in its scope. */
export function runItems(layer: LayerSyntax, scope: Scope): ReadonlyMap<string, NodeTensor> {
  const outputs = new Map<string, NodeTensor>();
  for (const item of layer.items) runItem(item, scope, outputs);
  return outputs;
}

function runItem(item: ItemSyntax, scope: Scope, outputs: Map<string, NodeTensor>): void {
  switch (item.kind) {
    case 'axis':
      if (scope.axisNames.has(item.name.text)) return;
      declareAxis(scope, item.name.text, evaluateSize(item.size, scope));
      return;
    case 'input':
      required(scope.values.get(item.tensor.name.text), `input ${item.tensor.name.text}`);
      return;
    case 'param':
      scope.values.set(item.tensor.name.text, { kind: 'tensor', tensor: paramTensor(item.tensor, scope) });
      return;
    case 'let':
      runLet(item, scope);
      return;
    case 'assertion':
      return;
    case 'state':
      evaluateState(item, scope);
      return;
    case 'output':
      outputs.set(
        item.tensor.name.text,
        stated(evaluateExpression(item.value, scope), item.tensor.axes.map((axis) => axis.text), scope),
      );
  }
}

function runLet(item: LetSyntax, scope: Scope): void {
  const name = item.name.text;
  if (item.value.kind === 'call' && isLayer(item.value, scope)) {
    scope.values.set(name, { kind: 'instance', outputs: applyLayer(item.value, scope, name) });
    return;
  }
  const value = evaluateExpression(item.value, scope);
  const tensor = item.axes === null ? value : stated(value, item.axes.map((axis) => axis.text), scope);
  scope.values.set(name, { kind: 'tensor', tensor });
}

const isLayer = (call: CallSyntax, scope: Scope): boolean =>
  scope.run.tree.layers.some((layer) => layer.name.text === call.callee.text);

/** The value over its own batch and time and exactly the axes that were written, in their order. */
export function stated(value: NodeTensor, written: readonly string[], scope: Scope): NodeTensor {
  const leading = ['batch', 'time'].filter((axis) => value.axes.includes(axis));
  const axes = [...leading, ...written.map((axis) => fullAxisName(scope, axis))];
  const shape = [...leading, ...written].map((axis) => axisSize(scope, axis));
  return broadcastTo(value, axes, shape);
}

const isComplexTensor = (tensor: TensorSyntax): boolean => tensor.type?.name.text === 'complex';

function paramTensor(tensor: TensorSyntax, scope: Scope): NodeTensor {
  const path = `${scope.prefix}${tensor.name.text}`;
  const known = scope.run.paramNodes.get(path);
  if (known !== undefined) return known;
  const numbers = required(scope.run.params.get(path), `parameter ${path}`);
  const axes = tensor.axes.map((axis) => fullAxisName(scope, axis.text));
  const nodes = leafTensor(scope.run.tape, withFullAxes(numbers, axes, scope), axes, !isComplexTensor(tensor));
  scope.run.paramNodes.set(path, nodes);
  return nodes;
}

/** Inlines a layer; `instance` is the name of the `let`, null where the call stands in an expression. */
export function applyLayer(
  call: CallSyntax,
  scope: Scope,
  instance: string | null,
): ReadonlyMap<string, NodeTensor> {
  const name = call.callee.text;
  const layer = required(scope.run.tree.layers.find((each) => each.name.text === name), `layer ${name}`);
  invariant(!scope.layers.includes(layer), `layer ${layer.name.text} applies itself`);
  const inner: Scope = {
    run: scope.run,
    prefix: `${scope.prefix}${instance ?? layer.name.text}.`,
    axisNames: new Map(),
    values: new Map(),
    tapMask: null,
    tails: tailTable(layer, scope.run.tree),
    shortcut: null,
    layers: [...scope.layers, layer],
  };
  bindInputs(layer, call, scope, inner);
  bindAxes(layer, call, scope, inner);
  return runItems(layer, inner);
}

const inputsOf = (layer: LayerSyntax): readonly TensorSyntax[] =>
  layer.items.flatMap((item) => (item.kind === 'input' ? [item.tensor] : []));

/** Named arguments that are no axis go to the input of that name, positional ones in order. */
function bindInputs(layer: LayerSyntax, call: CallSyntax, scope: Scope, inner: Scope): void {
  const axes = new Set(layer.axes.map((axis) => axis.name.text));
  let position = 0;
  for (const { name, value } of call.arguments) {
    if (name !== null && axes.has(name.text)) continue;
    const input = name?.text ?? required(inputsOf(layer)[position++], `input ${position}`).name.text;
    inner.values.set(input, { kind: 'tensor', tensor: evaluateExpression(value, scope) });
  }
}

/** `D = E` binds to the caller's axis, a number makes a fresh one, the rest is read off the inputs. */
function bindAxes(layer: LayerSyntax, call: CallSyntax, scope: Scope, inner: Scope): void {
  for (const { name, value } of call.arguments) {
    if (name === null || !layer.axes.some((axis) => axis.name.text === name.text)) continue;
    if (value.kind === 'name') inner.axisNames.set(name.text, fullAxisName(scope, value.name));
    else declareAxis(inner, name.text, evaluateSize(value, scope));
  }
  for (const input of inputsOf(layer)) bindInferredAxes(input, inner);
  for (const { name, size } of layer.axes) {
    if (inner.axisNames.has(name.text)) continue;
    declareAxis(inner, name.text, evaluateSize(required<ExpressionSyntax>(size, `size of ${name.text}`), inner));
  }
}

/** When one declared axis of an input is open and one axis of its value is unused, they are the same. */
function bindInferredAxes(input: TensorSyntax, inner: Scope): void {
  const value = inner.values.get(input.name.text);
  if (value?.kind !== 'tensor') return;
  const open = input.axes.filter((axis) => !inner.axisNames.has(axis.text));
  const bound = new Set(input.axes.map((axis) => inner.axisNames.get(axis.text)));
  const free = value.tensor.axes.filter((axis) => axis !== 'batch' && axis !== 'time' && !bound.has(axis));
  const [axis, full] = [open[0], free[0]];
  if (open.length !== 1 || free.length !== 1 || axis === undefined || full === undefined) return;
  inner.axisNames.set(axis.text, full);
}
