/**
 * The Tensor IR interpreter: runs one function in float64. It is the second rung of the ladder of
 * correctness (architecture.md): compared with the naive oracle below it, and the reference for
 * Kernel IR and every target above it. Slow by design, linear in the work.
 */
import { InternalError, invariant, required } from '../../support/invariant.ts';
import { evaluateOperation, type Frame } from './interpret-operations.ts';
import { evaluateScan } from './interpret-scan.ts';
import { elementCount, spread, type SizeOf, type Tensor } from './interpret-tensor.ts';
import {
  checkpointIntervalOf, type FunctionResult, type TensorFunction, type TensorInstruction, type TensorModule,
  type TensorType, type ValueId,
} from './ops.ts';

export type { Tensor } from './interpret-tensor.ts';

/** Sizes of a run and the tensors given to it, by `tensorKey`; their axes may stand in any order. */
export type InterpretOptions = {
  readonly batch: number;
  readonly length: number;
  readonly arguments: ReadonlyMap<string, Tensor>;
};

/** The key of an argument or result: `input:u`, `gradient:A_log`. */
export function tensorKey(role: string, subject: string): string {
  return `${role}:${subject}`;
}

/** Sizes of all axes, checkpoint axes included, for a batch and a length. */
export function axisSizes(module: TensorModule, batch: number, length: number): SizeOf {
  const sizes = new Map<string, number>(module.axes.map(({ name, size }) => [name, size]));
  sizes.set('batch', batch);
  sizes.set('time', length);
  return (axis) => {
    const interval = checkpointIntervalOf(axis);
    return interval === null ? required(sizes.get(axis), `size of axis ${axis}`) : Math.ceil(length / interval);
  };
}

function checkShape(key: string, tensor: Tensor, type: TensorType, sizeOf: SizeOf): void {
  const sameAxes = tensor.axes.length === type.axes.length && type.axes.every((axis) => tensor.axes.includes(axis));
  invariant(sameAxes, `argument ${key} has axes [${tensor.axes}], the function wants [${type.axes}]`);
  tensor.axes.forEach((axis, at) => {
    const [size, wanted] = [tensor.shape[at], sizeOf(axis)];
    invariant(size === wanted, `argument ${key} has ${size} along ${axis}, the function wants ${wanted}`);
  });
  const count = elementCount(tensor.shape);
  const isFull = tensor.re.length === count && (tensor.im === null || tensor.im.length === count);
  invariant(isFull, `argument ${key} does not hold ${count} numbers`);
}

function argumentReader(given: ReadonlyMap<string, Tensor>, sizeOf: SizeOf): Frame['argument'] {
  return (op, type) => {
    const key = tensorKey(op.role, op.subject);
    const tensor = required(given.get(key), `argument ${key}`);
    checkShape(key, tensor, type, sizeOf);
    invariant(op.part === 'whole' || tensor.im !== null, `argument ${key} is real, the function wants a complex one`);
    const hasDtype = op.part !== 'whole' || (tensor.im !== null) === (type.dtype === 'complex');
    invariant(hasDtype, `argument ${key} is not ${type.dtype}`);
    const ordered = spread(tensor, type.axes, sizeOf);
    if (op.part === 'whole') return ordered;
    return { ...ordered, re: op.part === 're' ? ordered.re : required(ordered.im, 'imaginary part'), im: null };
  };
}

function runOne({ op, results }: TensorInstruction, read: (id: ValueId) => Tensor, frame: Frame): readonly Tensor[] {
  if (op.kind !== 'affine-scan') return evaluateOperation(op, results, read, frame);
  return evaluateScan({ op, results, read, frame, run: runInstructions });
}

function runInstructions(
  instructions: readonly TensorInstruction[], values: Map<ValueId, Tensor>, frame: Frame,
): void {
  const read = (id: ValueId): Tensor => required(values.get(id), `value %${id}`);
  for (const instruction of instructions) {
    const tensors = runOne(instruction, read, frame);
    instruction.results.forEach((value, at) => {
      const tensor = required(tensors[at], `result ${at} of ${instruction.op.kind}`);
      const hasAxes = tensor.axes.join() === value.type.axes.join();
      const hasType = hasAxes && (tensor.im !== null) === (value.type.dtype === 'complex');
      invariant(hasType, `%${value.id} of ${instruction.op.kind} has axes [${tensor.axes}], not its type`);
      values.set(value.id, tensor);
    });
  }
}

/** Puts the parts of complex results together. */
function collectResults(
  results: readonly FunctionResult[], values: ReadonlyMap<ValueId, Tensor>,
): Map<string, Tensor> {
  const collected = new Map<string, Tensor>();
  const partOf = (key: string, part: string): Tensor => {
    const found = results.find((each) => tensorKey(each.role, each.subject) === key && each.part === part);
    return required(found === undefined ? null : values.get(found.value), `part ${part} of result ${key}`);
  };
  for (const result of results) {
    const key = tensorKey(result.role, result.subject);
    if (collected.has(key)) continue;
    if (result.part === 'whole') collected.set(key, partOf(key, 'whole'));
    else collected.set(key, { ...partOf(key, 're'), im: partOf(key, 'im').re });
  }
  return collected;
}

/**
 * Runs a verified function; results by `tensorKey`, in canonical axis order. Throws an InternalError
 * on arguments that do not fit, an index outside its axis, or an ill-typed function.
 */
export function interpretFunction(
  module: TensorModule, body: TensorFunction, options: InterpretOptions,
): Map<string, Tensor> {
  const { batch, length } = options;
  if (!(Number.isInteger(batch) && batch >= 1 && Number.isInteger(length) && length >= 1)) {
    throw new InternalError(`cannot interpret a batch of ${batch} and a length of ${length}`);
  }
  const sizeOf = axisSizes(module, batch, length);
  const frame: Frame = { sizeOf, length, timeStart: 0, argument: argumentReader(options.arguments, sizeOf) };
  const values = new Map<ValueId, Tensor>();
  runInstructions(body.instructions, values, frame);
  return collectResults(body.results, values);
}
