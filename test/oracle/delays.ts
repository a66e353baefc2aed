/**
 * Delays by their meaning: the value of an earlier token; before the first token of the piece, the
 * tail that the last piece left, which is part of the state record. A tap that is told of segments
 * (in the block of a state with resets, or by `boundary = f`) is zero across their boundaries, and the
 * flags of earlier tokens are carried like values. Names and sizes of tails are read off the text of
 * the layer before it runs.
 */
import type { CallSyntax, ExpressionSyntax, ItemSyntax, LayerSyntax, SourceTree, StateSyntax } from '../../dsl/ast.ts';
import { invariant, required } from '../../support/invariant.ts';
import { complexOf } from './complex-functions.ts';
import { broadcastTo, elementCount, leafTensor, unionAxes, type NodeTensor } from './node-tensor.ts';
import { withFullAxes, type Scope, type TapMask } from './scope.ts';
import { constantNode } from './tape-operations.ts';
import { pushNode } from './tape.ts';

/** Tails of one layer: by call, and how many values each holds. Paths without the layer's prefix. */
export type TailTable = {
  readonly paths: ReadonlyMap<CallSyntax, string>;
  readonly counts: ReadonlyMap<string, number>;
};

type Collector = {
  readonly layer: LayerSyntax;
  readonly tree: SourceTree;
  readonly paths: Map<CallSyntax, string>;
  readonly counts: Map<string, number>;
  unnamed: number;
};

/** Reads the delays off a layer's text. */
export function tailTable(layer: LayerSyntax, tree: SourceTree): TailTable {
  const collector: Collector = { layer, tree, paths: new Map(), counts: new Map(), unnamed: 0 };
  for (const item of layer.items) collectItem(collector, item);
  return collector;
}

type Boundary = { readonly path: string; readonly nearest: number };

function collectItem(collector: Collector, item: ItemSyntax): void {
  if (item.kind === 'let' || item.kind === 'output') collect(collector, item.value, []);
  if (item.kind === 'state') collectState(collector, item);
}

function collectState(collector: Collector, item: StateSyntax): void {
  const { name } = item.tensor;
  const written = item.clauses.flatMap((clause) => (clause.kind === 'order' ? [clause.order.text] : []))[0] ?? 'forward';
  const conditions = item.clauses.flatMap((clause) => (clause.kind === 'reset' ? [clause.condition] : []));
  for (const condition of conditions) collect(collector, condition, []);
  const forward = { path: `${name.text}.reset.tail`, nearest: 0 };
  const reverse = { path: `${name.text}${written === 'reverse' ? '' : '_reverse'}.reset.tail`, nearest: 1 };
  const all = written === 'bidirectional' ? [forward, reverse] : written === 'reverse' ? [reverse] : [forward];
  const boundaries = conditions.length === 0 ? [] : all;
  for (const clause of item.clauses) {
    if (clause.kind === 'next' || clause.kind === 'derivative') collect(collector, clause.value, boundaries);
  }
  for (const clause of item.clauses) if (clause.kind === 'discretize') collect(collector, clause.rule, boundaries);
}

function collect(collector: Collector, expression: ExpressionSyntax, boundaries: readonly Boundary[]): void {
  for (const inner of childrenOf(expression)) collect(collector, inner, boundaries);
  if (expression.kind !== 'call' || expression.callee.text !== 'delay') return;
  const steps = stepsOf(expression);
  const widen = (path: string, count: number): void => {
    if (count > 0) collector.counts.set(path, Math.max(count, collector.counts.get(path) ?? 0));
  };
  const named = nameOf(collector, argumentOf(expression, 'value', 0));
  const path = `${named ?? `delay.${++collector.unnamed}`}.tail`;
  collector.paths.set(expression, path);
  widen(path, steps);
  for (const { path: flags, nearest } of boundaries) widen(flags, nearest + steps - 1);
  const flag = boundaryOf(expression);
  if (flag !== null) widen(`${required(nameOf(collector, flag), 'name of a flag')}.tail`, steps - 1);
}

function childrenOf(expression: ExpressionSyntax): readonly ExpressionSyntax[] {
  switch (expression.kind) {
    case 'number':
    case 'name':
    case 'member':
      return [];
    case 'unary':
      return [expression.operand];
    case 'binary':
      return [expression.left, expression.right];
    case 'conditional':
      return [expression.condition, expression.whenTrue, expression.whenFalse];
    case 'call':
      return expression.arguments.map((argument) => argument.value);
  }
}

/** The path of a named value as the layer's text calls it; an applied layer stands for its only output. */
function nameOf({ layer, tree }: Collector, value: ExpressionSyntax): string | null {
  if (value.kind === 'member' && value.object.kind === 'name') return `${value.object.name}.${value.member.text}`;
  if (value.kind !== 'name') return null;
  const applied = layer.items.flatMap((item) =>
    (item.kind === 'let' && item.name.text === value.name && item.value.kind === 'call' ? [item.value.callee.text] : []))[0];
  const inner = tree.layers.find((each) => each.name.text === applied);
  const output = inner?.items.flatMap((item) => (item.kind === 'output' ? [item.tensor.name.text] : []))[0];
  return output === undefined ? value.name : `${value.name}.${output}`;
}

function argumentOf(call: CallSyntax, name: string, at: number): ExpressionSyntax {
  const named = call.arguments.find((argument) => argument.name?.text === name);
  const positional = call.arguments.filter((argument) => argument.name === null);
  return required(named ?? positional[at], `argument ${name} of delay`).value;
}

function stepsOf(call: CallSyntax): number {
  const steps = argumentOf(call, 'steps', 1);
  invariant(steps.kind === 'number', 'expected a number');
  return steps.value;
}

function boundaryOf(call: CallSyntax): ExpressionSyntax | null {
  const positional = call.arguments.filter((argument) => argument.name === null);
  return (call.arguments.find((argument) => argument.name?.text === 'boundary') ?? positional[2])?.value ?? null;
}

/** The value of a call of `delay`. */
export function evaluateDelay(call: CallSyntax, scope: Scope, evaluate: (expression: ExpressionSyntax) => NodeTensor): NodeTensor {
  const steps = stepsOf(call);
  const operand = evaluate(argumentOf(call, 'value', 0));
  const { axes } = unionAxes([operand]);
  const others = axes.filter((axis) => axis !== 'batch' && axis !== 'time');
  const path = required(scope.tails.paths.get(call), 'tail of a delay');
  const delayed = carried(operand, others, path, scope);
  const flag = boundaryOf(call);
  const masks: TapMask[] = scope.tapMask === null ? [] : [scope.tapMask];
  if (flag !== null) masks.push({ flags: evaluate(flag), path: explicitPath(flag, scope), nearest: 0 });
  const { batch, length, tape } = scope.run;
  const cuts = masks.map((mask) => ({ ...mask, at: carried(mask.flags, [], mask.path, scope).at }));
  const isCut = (sequence: number, time: number): boolean => cuts.some(({ at, nearest }) =>
    Array.from({ length: steps }, (_, back) => at(sequence, time - back - nearest, 0)).some((node) => tape.re[node]! > 0.5));
  const elements = elementCount(delayed.shape);
  const zero = constantNode(tape, 0);
  const nodes = new Int32Array(batch * length * elements);
  for (let row = 0; row < batch * length; row++) {
    const [sequence, time] = [Math.floor(row / length), row % length];
    const dropped = isCut(sequence, time);
    for (let element = 0; element < elements; element++) {
      nodes[row * elements + element] = dropped ? zero : delayed.at(sequence, time - steps, element);
    }
  }
  return { axes: ['batch', 'time', ...others], shape: [batch, length, ...delayed.shape], nodes };
}

function explicitPath(flag: ExpressionSyntax, scope: Scope): string {
  const { tree } = scope.run;
  const collector = { layer: required(scope.layers.at(-1), 'layer'), tree, paths: new Map(), counts: new Map(), unnamed: 0 };
  return `${required(nameOf(collector, flag), 'name of a flag')}.tail`;
}

type Carried = {
  readonly shape: readonly number[];
  /** the node of a token, which may lie before the first: then of the tail */
  readonly at: (sequence: number, time: number, element: number) => number;
};

/** A value with its tail in front; leaves the new tail among the final states. */
function carried(value: NodeTensor, others: readonly string[], path: string, scope: Scope): Carried {
  const { batch, length, tape, finalNodes } = scope.run;
  const shape = others.map((axis) => required(value.shape[value.axes.indexOf(axis)], axis));
  const elements = elementCount(shape);
  const source = broadcastTo(value, ['batch', 'time', ...others], [batch, length, ...shape]).nodes;
  const count = scope.tails.counts.get(path) ?? 0;
  const name = `${scope.prefix}${path}`;
  const axes = ['batch', name, ...others];
  const isReal = value.nodes.every((node) => tape.isReal[node] === 1);
  const tail = count === 0 ? null : tailLeaves(name, axes, [batch, count, ...shape], isReal, scope);
  const at = (sequence: number, time: number, element: number): number => {
    if (time >= 0) return source[(sequence * length + time) * elements + element]!;
    return required(tail, `tail ${name}`).nodes[(sequence * count + count + time) * elements + element]!;
  };
  if (tail !== null) {
    const nodes = tail.nodes.map((_, to) => {
      const row = Math.floor(to / elements);
      return at(Math.floor(row / count), length - count + (row % count), to % elements);
    });
    finalNodes.set(name, { ...tail, nodes });
  }
  return { shape, at };
}

function tailLeaves(
  name: string, axes: readonly string[], shape: readonly number[], isReal: boolean, scope: Scope,
): NodeTensor {
  const { run } = scope;
  const known = run.initialNodes.get(name);
  if (known !== undefined) return known;
  const given = run.initial.get(name);
  const zeros = (): NodeTensor => ({
    axes, shape,
    nodes: Int32Array.from({ length: elementCount(shape) }, () => pushNode(run.tape, complexOf(0), { isReal, bound: 0 })),
  });
  const made = given === undefined ? zeros() : leafTensor(run.tape, withFullAxes(given, axes, scope), axes, given.im === null);
  run.initialNodes.set(name, made);
  return made;
}
