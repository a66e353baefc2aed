/**
 * Tensors of tape nodes over named axes. Broadcasting, slicing, shifting, gathering and renaming move
 * node numbers and make no new nodes; only arithmetic does. `batch` and `time` are axes like others.
 */
import { invariant, required } from '../../support/invariant.ts';
import { complexOf } from './complex-functions.ts';
import { constantNode, sumNodes } from './tape-operations.ts';
import { pushNode, type Tape } from './tape.ts';

export type NodeTensor = {
  readonly axes: readonly string[];
  readonly shape: readonly number[];
  readonly nodes: Int32Array;
};

/** Numbers over named axes, as callers give and receive them. `im` is null for real tensors. */
export type OracleTensor = {
  readonly axes: readonly string[];
  readonly shape: readonly number[];
  readonly re: Float64Array;
  readonly im: Float64Array | null;
};

/** A result with the error bound of every entry (of the modulus for complex entries). */
export type BoundedTensor = OracleTensor & { readonly bound: Float64Array };

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((total, size) => total * size, 1);
}

export function scalarTensor(tape: Tape, value: number): NodeTensor {
  return { axes: [], shape: [], nodes: Int32Array.of(constantNode(tape, value)) };
}

export function sizeOfAxis(tensor: NodeTensor | OracleTensor, axis: string): number {
  const size = tensor.shape[tensor.axes.indexOf(axis)];
  return required(size, `axis ${axis} of a tensor over [${tensor.axes.join(', ')}]`);
}

/**
 * Positions in a tensor over `axes` (row-major, with `shape`) of every element of a tensor over
 * `wantedAxes`: the one place that knows how names broadcast. Axes that are absent contribute 0.
 */
export function positionsOf(
  source: { readonly axes: readonly string[]; readonly shape: readonly number[] },
  wantedAxes: readonly string[],
  wantedShape: readonly number[],
): Int32Array {
  const strides = wantedAxes.map((axis, dimension) => {
    const at = source.axes.indexOf(axis);
    if (at < 0) return 0;
    const [found, wanted] = [source.shape[at], wantedShape[dimension]];
    invariant(found === wanted, `axis ${axis} has sizes ${found} and ${wanted}`);
    return elementCount(source.shape.slice(at + 1));
  });
  for (const axis of source.axes) {
    invariant(wantedAxes.includes(axis), `axis ${axis} is not in [${wantedAxes.join(', ')}]`);
  }
  let positions = Int32Array.of(0);
  wantedShape.forEach((size, dimension) => {
    const next = new Int32Array(positions.length * size);
    const stride = strides[dimension]!;
    for (let outer = 0; outer < positions.length; outer++) {
      for (let inner = 0; inner < size; inner++) next[outer * size + inner] = positions[outer]! + inner * stride;
    }
    positions = next;
  });
  return positions;
}

/** The same nodes over more axes, in the order asked for. */
export function broadcastTo(tensor: NodeTensor, axes: readonly string[], shape: readonly number[]): NodeTensor {
  const same = axes.length === tensor.axes.length && axes.every((axis, at) => axis === tensor.axes[at]);
  if (same) return tensor;
  return { axes, shape, nodes: positionsOf(tensor, axes, shape).map((at) => tensor.nodes[at]!) };
}

/** The union of the axes: batch, then time, then the others in order of appearance. */
export function unionAxes(tensors: readonly NodeTensor[]): { axes: readonly string[]; shape: readonly number[] } {
  const sizes = new Map<string, number>();
  for (const tensor of tensors) {
    tensor.axes.forEach((axis, at) => {
      const known = sizes.get(axis);
      invariant(known === undefined || known === tensor.shape[at], `axis ${axis} has two sizes`);
      sizes.set(axis, tensor.shape[at]!);
    });
  }
  const leading = ['batch', 'time'].filter((axis) => sizes.has(axis));
  const axes = [...leading, ...[...sizes.keys()].filter((axis) => !leading.includes(axis))];
  return { axes, shape: axes.map((axis) => sizes.get(axis)!) };
}

/** One node per element of up to three broadcast operands. */
export function mapTensors(
  operands: readonly NodeTensor[],
  apply: (first: number, second: number, third: number) => number,
): NodeTensor {
  const { axes, shape } = unionAxes(operands);
  const aligned = operands.map((operand) => broadcastTo(operand, axes, shape).nodes);
  const nodes = new Int32Array(elementCount(shape));
  const [first, second, third] = aligned;
  for (let at = 0; at < nodes.length; at++) nodes[at] = apply(first![at]!, second?.[at] as number, third?.[at] as number);
  return { axes, shape, nodes };
}

/** Reduces axes by a function of the nodes along them. */
export function reduceAxes(
  tensor: NodeTensor,
  over: readonly string[],
  combine: (nodes: readonly number[]) => number,
): NodeTensor {
  for (const axis of over) sizeOfAxis(tensor, axis);
  const kept = tensor.axes.filter((axis) => !over.includes(axis));
  const keptShape = kept.map((axis) => sizeOfAxis(tensor, axis));
  const overShape = over.map((axis) => sizeOfAxis(tensor, axis));
  const count = elementCount(overShape);
  const positions = positionsOf(tensor, [...kept, ...over], [...keptShape, ...overShape]);
  const nodes = new Int32Array(elementCount(keptShape));
  for (let at = 0; at < nodes.length; at++) {
    const along: number[] = [];
    for (let each = at * count; each < (at + 1) * count; each++) along.push(tensor.nodes[positions[each]!]!);
    nodes[at] = combine(along);
  }
  return { axes: kept, shape: keptShape, nodes };
}

export function sumAxes(tape: Tape, tensor: NodeTensor, over: readonly string[]): NodeTensor {
  return reduceAxes(tensor, over, (nodes) => sumNodes(tape, nodes, over.includes('time') ? 'running' : 'any'));
}

/** The entries at one position of an axis, which disappears; unchanged where the axis is absent. */
export function sliceAxis(tensor: NodeTensor, axis: string, position: number): NodeTensor {
  const at = tensor.axes.indexOf(axis);
  if (at < 0) return tensor;
  const axes = tensor.axes.filter((each) => each !== axis);
  const shape = tensor.shape.filter((_, dimension) => dimension !== at);
  const inner = elementCount(tensor.shape.slice(at + 1));
  const size = tensor.shape[at]!;
  const nodes = new Int32Array(elementCount(shape));
  for (let to = 0; to < nodes.length; to++) {
    const outer = Math.floor(to / inner);
    nodes[to] = tensor.nodes[(outer * size + position) * inner + (to % inner)]!;
  }
  return { axes, shape, nodes };
}

export function renameAxis(tensor: NodeTensor, from: string, to: string): NodeTensor {
  return { ...tensor, axes: tensor.axes.map((axis) => (axis === from ? to : axis)) };
}

/** Fresh nodes for given numbers, in the order of axes asked for; inputs are exact, so bounds are 0. */
export function leafTensor(tape: Tape, numbers: OracleTensor, axes: readonly string[], isReal: boolean): NodeTensor {
  invariant(numbers.axes.length === axes.length, `expected axes [${axes.join(', ')}], got [${numbers.axes.join(', ')}]`);
  invariant(numbers.re.length === elementCount(numbers.shape), 'a tensor has another length than its shape');
  const shape = axes.map((axis) => sizeOfAxis(numbers as NodeTensor | OracleTensor, axis));
  const positions = positionsOf(numbers, axes, shape);
  const nodes = positions.map((at) =>
    pushNode(tape, complexOf(numbers.re[at]!, numbers.im?.[at] ?? 0), { isReal, bound: 0 }));
  return { axes, shape, nodes };
}

/** Values and bounds of nodes as numbers; `storage` adds the rounding of stored outputs. */
export function readTensor(tape: Tape, tensor: NodeTensor, storage: number): BoundedTensor {
  const re = Float64Array.from(tensor.nodes, (node) => tape.re[node]!);
  const isReal = tensor.nodes.every((node) => tape.isReal[node] === 1);
  const im = isReal ? null : Float64Array.from(tensor.nodes, (node) => tape.im[node]!);
  const bound = Float64Array.from(tensor.nodes, (node) => {
    const size = Math.hypot(tape.re[node]!, tape.im[node]!);
    return tape.bound[node]! + storage * (size + tape.bound[node]!);
  });
  return { axes: tensor.axes, shape: tensor.shape, re, im, bound };
}
