/**
 * The oracle: one layer of a syntax tree on given numbers, in float64, written from the semantics
 * alone (it imports nothing of the compiler but the types of the tree). `evaluateLayer` gives outputs
 * and final states with error bounds; `gradient` adds the gradients of everything that was given.
 */
import type { LayerSyntax, SourceTree, TensorSyntax } from '../../dsl/ast.ts';
import { invariant, required } from '../../support/invariant.ts';
import { runItems } from './application.ts';
import { complexOf, type Complex } from './complex-functions.ts';
import { tailTable } from './delays.ts';
import {
  leafTensor, positionsOf, readTensor, type BoundedTensor, type NodeTensor, type OracleTensor,
} from './node-tensor.ts';
import { float64Rounding, type Rounding } from './rounding.ts';
import { declareAxis, evaluateSize, type Run, type Scope } from './scope.ts';
import { createTape, gradientBound, sweepBackward, type Adjoints, type Tape } from './tape.ts';

export type { BoundedTensor, OracleTensor } from './node-tensor.ts';

export type EvaluationRequest = {
  readonly tree: SourceTree;
  /** null: the last layer of the tree */
  readonly layer: string | null;
  /** overrides of declared axes */
  readonly sizes: ReadonlyMap<string, number>;
  readonly batch: number;
  readonly length: number;
  /** over batch, time and the declared axes (batch only for `per sequence`), in any order of axes */
  readonly inputs: ReadonlyMap<string, OracleTensor>;
  /** by path; axes named as in the text that declares them */
  readonly params: ReadonlyMap<string, OracleTensor>;
  /** by state path, over batch and the state's axes; absent states start at zero */
  readonly initial: ReadonlyMap<string, OracleTensor>;
  /** how a device may round; absent: float64 */
  readonly rounding?: Rounding;
};

export type EvaluationResult = {
  readonly outputs: ReadonlyMap<string, BoundedTensor>;
  readonly final: ReadonlyMap<string, BoundedTensor>;
};

export type GradientRequest = EvaluationRequest & {
  /** dL/d(output), dL/d(final state); absent ones are zero. Complex: dL/dRe + i dL/dIm. */
  readonly cotangents: {
    readonly outputs: ReadonlyMap<string, OracleTensor>;
    readonly final: ReadonlyMap<string, OracleTensor>;
  };
};

export type GradientResult = EvaluationResult & {
  readonly gradients: {
    readonly inputs: ReadonlyMap<string, BoundedTensor>;
    readonly params: ReadonlyMap<string, BoundedTensor>;
    readonly initial: ReadonlyMap<string, BoundedTensor>;
  };
};

type Walk = {
  readonly run: Run;
  readonly outputNodes: ReadonlyMap<string, NodeTensor>;
  readonly inputNodes: ReadonlyMap<string, NodeTensor>;
};

/** Outputs and final states with error bounds for the given rounding model (float64 by default). */
export function evaluateLayer(request: EvaluationRequest): EvaluationResult {
  return resultOf(walkLayer(request, 'values'));
}

/** Also the gradient of ⟨cotangents, results⟩ with respect to every input, parameter and initial state. */
export function gradient(request: GradientRequest): GradientResult {
  const walk = walkLayer(request, 'gradients');
  const seeds = new Map<number, Complex>();
  addSeeds(seeds, walk.run.tape, walk.outputNodes, request.cotangents.outputs);
  addSeeds(seeds, walk.run.tape, walk.run.finalNodes, request.cotangents.final);
  const adjoints = sweepBackward(walk.run.tape, seeds);
  const { run } = walk;
  const read = (nodes: ReadonlyMap<string, NodeTensor>, storage: number): ReadonlyMap<string, BoundedTensor> =>
    mapValues(nodes, (tensor) => readGradient(run, adjoints, tensor, storage));
  return {
    ...resultOf(walk),
    gradients: {
      inputs: read(walk.inputNodes, run.tape.rounding.storage),
      // gradients of parameters and states are never stored in less than f32
      params: read(run.paramNodes, 0),
      initial: read(run.initialNodes, 0),
    },
  };
}

function walkLayer(request: EvaluationRequest, mode: 'values' | 'gradients'): Walk {
  const { tree, batch, length } = request;
  const layer = chooseLayer(tree, request.layer);
  const run: Run = {
    tape: createTape(request.rounding ?? float64Rounding, mode),
    tree,
    batch,
    length,
    sizes: new Map([['batch', batch], ['time', length]]),
    params: request.params,
    initial: request.initial,
    paramNodes: new Map(),
    initialNodes: new Map(),
    finalNodes: new Map(),
  };
  const scope: Scope = {
    run, prefix: '', axisNames: new Map(), values: new Map(), tapMask: null, shortcut: null,
    tails: tailTable(layer, tree), layers: [layer],
  };
  declareAxes(layer, request.sizes, scope);
  const inputNodes = new Map<string, NodeTensor>();
  for (const item of layer.items) {
    if (item.kind !== 'input') continue;
    const tensor = inputTensor(item.tensor, request.inputs, scope);
    inputNodes.set(item.tensor.name.text, tensor);
    scope.values.set(item.tensor.name.text, { kind: 'tensor', tensor });
  }
  return { run, inputNodes, outputNodes: runItems(layer, scope) };
}

function chooseLayer(tree: SourceTree, name: string | null): LayerSyntax {
  const found = name === null ? tree.layers.at(-1) : tree.layers.find((layer) => layer.name.text === name);
  return required(found, `layer ${name ?? ''}`);
}

/** Axis parameters first, then `axis` items, since inputs may be declared over either. */
function declareAxes(layer: LayerSyntax, sizes: ReadonlyMap<string, number>, scope: Scope): void {
  const items = layer.items.flatMap((item) => (item.kind === 'axis' ? [item] : []));
  for (const { name, size } of [...layer.axes, ...items]) {
    const given = sizes.get(name.text);
    const chosen = given ?? evaluateSize(required(size, `size of ${name.text}`), scope);
    invariant(Number.isSafeInteger(chosen) && chosen > 0, `axis ${name.text} has size ${chosen}`);
    declareAxis(scope, name.text, chosen);
  }
}

function inputTensor(tensor: TensorSyntax, inputs: ReadonlyMap<string, OracleTensor>, scope: Scope): NodeTensor {
  const name = tensor.name.text;
  const numbers = required(inputs.get(name), `input ${name}`);
  const leading = tensor.perSequence ? ['batch'] : ['batch', 'time'];
  const axes = [...leading, ...tensor.axes.map((axis) => axis.text)];
  return leafTensor(scope.run.tape, numbers, axes, tensor.type?.name.text !== 'complex');
}

function resultOf(walk: Walk): EvaluationResult {
  const { tape, finalNodes } = walk.run;
  return {
    outputs: mapValues(walk.outputNodes, (tensor) => readTensor(tape, tensor, tape.rounding.storage)),
    final: mapValues(finalNodes, (tensor) => readTensor(tape, tensor, 0)),
  };
}

function mapValues<A, B>(map: ReadonlyMap<string, A>, change: (value: A) => B): ReadonlyMap<string, B> {
  return new Map([...map].map(([key, value]) => [key, change(value)]));
}

function addSeeds(
  seeds: Map<number, Complex>,
  tape: Tape,
  nodes: ReadonlyMap<string, NodeTensor>,
  cotangents: ReadonlyMap<string, OracleTensor>,
): void {
  for (const [name, cotangent] of cotangents) {
    const tensor = required(nodes.get(name), `result ${name}`);
    const positions = positionsOf(cotangent, tensor.axes, tensor.shape);
    tensor.nodes.forEach((node, at) => {
      const known = seeds.get(node) ?? complexOf(0);
      const from = positions[at]!;
      seeds.set(node, complexOf(known.re + cotangent.re[from]!, known.im + (cotangent.im?.[from] ?? 0)));
    });
  }
}

function readGradient(run: Run, adjoints: Adjoints, tensor: NodeTensor, storage: number): BoundedTensor {
  const isReal = tensor.nodes.every((node) => run.tape.isReal[node] === 1);
  const boundAt = (node: number): number => {
    const bound = gradientBound(run.tape, adjoints, node, run.length);
    return bound + storage * (Math.hypot(adjoints.re[node]!, adjoints.im[node]!) + bound);
  };
  return {
    axes: tensor.axes,
    shape: tensor.shape,
    re: Float64Array.from(tensor.nodes, (node) => adjoints.re[node]!),
    im: isReal ? null : Float64Array.from(tensor.nodes, (node) => adjoints.im[node]!),
    bound: Float64Array.from(tensor.nodes, boundAt),
  };
}
