/**
 * The recurrence of Tensor IR in float64. A region is elementwise over tokens, so it is evaluated in
 * blocks of tokens with the ordinary operations: producer, then the recurrence token by token, then
 * the consumer; nothing of size length × state is held. A history is replayed twice: once through
 * for the state before every block, and again inside each block.
 */
import { required } from '../../support/invariant.ts';
import { reduceTensor, type Frame } from './interpret-operations.ts';
import {
  assembleParts, copyAlong, elementCount, imaginaryOf, partsOf, sliceTime, stridesAlong, writeTime, zeros,
  type Tensor,
} from './interpret-tensor.ts';
import {
  checkpointAxis, type AffineScanOp, type Coefficient, type TensorInstruction, type TensorValue, type ValueId,
} from './ops.ts';
import { operandsOf } from './walk.ts';

type Values = Map<ValueId, Tensor>;

/** Evaluates instructions in order and adds their results to the values. */
export type RunInstructions = (instructions: readonly TensorInstruction[], values: Values, frame: Frame) => void;

/** What evaluating a scan needs from its surroundings. */
export type ScanRequest = {
  readonly op: AffineScanOp;
  readonly results: readonly TensorValue[];
  /** values of the enclosing function */
  readonly read: (id: ValueId) => Tensor;
  readonly frame: Frame;
  readonly run: RunInstructions;
};

/** Consecutive tokens that are evaluated together. */
type Block = { readonly start: number; readonly count: number };

/** What one recurrence, the scan's own or the replayed one, consists of. */
type Recurrence = {
  readonly order: 'forward' | 'reverse';
  readonly form: AffineScanOp['form'];
  readonly coefficient: Coefficient;
  readonly drive: readonly ValueId[];
  readonly release: readonly ValueId[] | null;
  readonly previous: readonly TensorValue[];
  readonly current: readonly TensorValue[];
  /** the state that is carried on, axes batch × state, complex or real */
  readonly carried: Tensor;
  readonly checkpoints: Checkpoints | null;
};

/** States before tokens 0, Q, 2Q, … of the visiting order; `store` writes them, `load` continues from them. */
type Checkpoints = { readonly action: 'store' | 'load'; readonly interval: number; readonly states: Tensor };

/** Region instructions by what they depend on. */
type Stages = {
  /** needed by the replayed recurrence; a subset of `producer` */
  readonly history: readonly TensorInstruction[];
  readonly producer: readonly TensorInstruction[];
  readonly afterHistory: readonly TensorInstruction[];
  readonly consumer: readonly TensorInstruction[];
};

const elementsPerBlock = 1 << 16;

function stateAxes(op: AffineScanOp): readonly string[] {
  return ['batch', ...op.axes];
}

function coefficientIds(coefficient: Coefficient): readonly ValueId[] {
  return coefficient.kind === 'exponent' ? [coefficient.exponent] : coefficient.parts;
}

/** Instructions that the roots need, in order. */
function neededFor(
  instructions: readonly TensorInstruction[], roots: readonly ValueId[],
): readonly TensorInstruction[] {
  const needed = new Set<ValueId>(roots);
  const kept: TensorInstruction[] = [];
  for (const instruction of instructions.toReversed()) {
    if (!instruction.results.some((value) => needed.has(value.id))) continue;
    for (const id of operandsOf(instruction.op)) needed.add(id);
    kept.unshift(instruction);
  }
  return kept;
}

function stagesOf(op: AffineScanOp): Stages {
  const rank = new Map<ValueId, 1 | 2>();
  for (const value of [...(op.history?.previous ?? []), ...(op.history?.current ?? [])]) rank.set(value.id, 1);
  for (const value of [...op.previous, ...op.current]) rank.set(value.id, 2);
  const lists: [TensorInstruction[], TensorInstruction[], TensorInstruction[]] = [[], [], []];
  for (const instruction of op.region) {
    const highest = Math.max(0, ...operandsOf(instruction.op).map((id) => rank.get(id) ?? 0)) as 0 | 1 | 2;
    lists[highest].push(instruction);
    if (highest > 0) for (const value of instruction.results) rank.set(value.id, highest as 1 | 2);
  }
  const roots = op.history === null ? [] : [...coefficientIds(op.history.coefficient), ...op.history.drive];
  return { history: neededFor(lists[0], roots), producer: lists[0], afterHistory: lists[1], consumer: lists[2] };
}

function blocksOf(op: AffineScanOp, { sizeOf, length }: Frame): readonly Block[] {
  const perToken = Math.max(1, elementCount(stateAxes(op).map(sizeOf)));
  const count = Math.max(1, Math.floor(elementsPerBlock / perToken));
  const blocks: Block[] = [];
  for (let start = 0; start < length; start += count) blocks.push({ start, count: Math.min(count, length - start) });
  return blocks;
}

function inVisitingOrder(blocks: readonly Block[], order: 'forward' | 'reverse'): readonly Block[] {
  return order === 'forward' ? blocks : blocks.toReversed();
}

function blockFrame(frame: Frame, { start, count }: Block): Frame {
  return { ...frame, timeStart: start, sizeOf: (axis) => (axis === 'time' ? count : frame.sizeOf(axis)) };
}

/** The region's parameters for the tokens of a block. */
function blockValues({ op, read }: ScanRequest, { start, count }: Block): Values {
  const values: Values = new Map();
  op.parameters.forEach((parameter, at) => {
    values.set(parameter.id, sliceTime(read(required(op.operands[at], 'scan operand')), start, count));
  });
  return values;
}

function isComplexState(parts: readonly TensorValue[]): boolean {
  return parts.length === 2 || parts[0]?.type.dtype === 'complex';
}

function startState(
  { op, read, frame }: ScanRequest, initial: readonly ValueId[] | null, parts: readonly TensorValue[],
): Tensor {
  const axes = stateAxes(op);
  const state = zeros(axes, frame.sizeOf, isComplexState(parts) ? 'complex' : 'real');
  if (initial === null) return state;
  const given = assembleParts(initial.map(read), axes, frame.sizeOf);
  state.re.set(given.re);
  if (given.im !== null) state.im?.set(given.im);
  return state;
}

/** The transition 2^exponent or the value itself, for all tokens of a block. */
function transitionOf(coefficient: Coefficient, values: Values, axes: readonly string[], frame: Frame): Tensor {
  const parts = coefficientIds(coefficient).map((id) => required(values.get(id), `coefficient %${id}`));
  const tensor = assembleParts(parts, axes, frame.sizeOf);
  return coefficient.kind === 'value' ? tensor : { ...tensor, re: tensor.re.map((exponent) => 2 ** exponent) };
}

/** Copies the checkpoint of the k-th visited token from or into the carried state. */
function touchCheckpoint(checkpoints: Checkpoints, carried: Tensor, visited: number): void {
  const axis = checkpointAxis(checkpoints.interval);
  const { states } = checkpoints;
  const strides = [stridesAlong(states, carried.axes), stridesAlong(carried, carried.axes)];
  const start = [(visited / checkpoints.interval) * (stridesAlong(states, [axis])[0] ?? 0), 0];
  const copy = (saved: Float64Array, state: Float64Array): void => {
    if (checkpoints.action === 'store') copyAlong({ shape: carried.shape, strides, start }, saved, state);
    else copyAlong({ shape: carried.shape, strides: strides.toReversed(), start: start.toReversed() }, state, saved);
  };
  copy(states.re, carried.re);
  if (states.im !== null && carried.im !== null) copy(states.im, carried.im);
}

/** Tensors of one block on axes batch × time × state: transition, drive, release, states before and after. */
type BlockArrays = {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly release: Tensor | null;
  readonly previous: Tensor;
  readonly current: Tensor;
};

/** Consecutive elements of one token: first in the block's arrays, first in the carried state. */
type TokenSlot = { readonly from: number; readonly to: number; readonly count: number };

function updateReal(form: AffineScanOp['form'], carried: Float64Array, arrays: BlockArrays, slot: TokenSlot): void {
  const { a, b, release, previous, current } = arrays;
  for (let i = 0; i < slot.count; i++) {
    const at = slot.from + i;
    const before = carried[slot.to + i] ?? NaN;
    const rate = a.re[at] ?? NaN;
    const drive = b.re[at] ?? NaN;
    const now = form === 'decay-then-add' ? rate * before + drive : before + drive;
    previous.re[at] = before;
    current.re[at] = now;
    carried[slot.to + i] = form === 'decay-then-add' ? now : rate * now + (release?.re[at] ?? 0);
  }
}

function updateComplex(form: AffineScanOp['form'], carried: Tensor, arrays: BlockArrays, slot: TokenSlot): void {
  const { a, b, release, previous, current } = arrays;
  const [carriedIm, previousIm, currentIm] = [imaginaryOf(carried), imaginaryOf(previous), imaginaryOf(current)];
  const decaysFirst = form === 'decay-then-add';
  for (let i = 0; i < slot.count; i++) {
    const [at, kept] = [slot.from + i, slot.to + i];
    const [re, im] = [carried.re[kept] ?? NaN, carriedIm[kept] ?? NaN];
    const [rate, rateIm] = [a.re[at] ?? NaN, a.im?.[at] ?? 0];
    const nowRe = (decaysFirst ? rate * re - rateIm * im : re) + (b.re[at] ?? NaN);
    const nowIm = (decaysFirst ? rate * im + rateIm * re : im) + (b.im?.[at] ?? 0);
    previous.re[at] = re;
    previousIm[at] = im;
    current.re[at] = nowRe;
    currentIm[at] = nowIm;
    carried.re[kept] = decaysFirst ? nowRe : rate * nowRe - rateIm * nowIm + (release?.re[at] ?? 0);
    carriedIm[kept] = decaysFirst ? nowIm : rate * nowIm + rateIm * nowRe + (release?.im?.[at] ?? 0);
  }
}

/** Runs a recurrence over a block and adds the states before and after each token to the values. */
function runRecurrence(recurrence: Recurrence, op: AffineScanOp, values: Values, frame: Frame, block: Block): void {
  const { carried, checkpoints, order } = recurrence;
  const axes = ['batch', 'time', ...op.axes];
  const dtype = carried.im === null ? 'real' : 'complex';
  const assemble = (ids: readonly ValueId[]): Tensor =>
    assembleParts(ids.map((id) => required(values.get(id), `region value %${id}`)), axes, frame.sizeOf);
  const arrays: BlockArrays = {
    a: transitionOf(recurrence.coefficient, values, axes, frame),
    b: assemble(recurrence.drive),
    release: recurrence.release === null ? null : assemble(recurrence.release),
    previous: zeros(axes, frame.sizeOf, dtype),
    current: zeros(axes, frame.sizeOf, dtype),
  };
  const batches = frame.sizeOf('batch');
  const count = elementCount(op.axes.map(frame.sizeOf));
  for (let step = 0; step < block.count; step++) {
    const token = order === 'forward' ? step : block.count - 1 - step;
    const position = block.start + token;
    const visited = order === 'forward' ? position : frame.length - 1 - position;
    if (checkpoints !== null && visited % checkpoints.interval === 0) touchCheckpoint(checkpoints, carried, visited);
    for (let batch = 0; batch < batches; batch++) {
      const from = (batch * block.count + token) * count;
      const slot: TokenSlot = { from, to: batch * count, count };
      if (carried.im === null) updateReal(recurrence.form, carried.re, arrays, slot);
      else updateComplex(recurrence.form, carried, arrays, slot);
    }
  }
  bind(values, recurrence.previous, arrays.previous);
  bind(values, recurrence.current, arrays.current);
}

function bind(values: Values, names: readonly TensorValue[], tensor: Tensor): void {
  partsOf(tensor, names.length).forEach((part, at) => {
    const name = names[at];
    if (name !== undefined) values.set(name.id, part);
  });
}

function historyRecurrence(request: ScanRequest): Recurrence | null {
  const { history } = request.op;
  if (history === null) return null;
  const interval = history.interval;
  const axes = ['batch', checkpointAxis(interval), ...request.op.axes];
  const saved = history.checkpoints.map(request.read);
  return {
    ...history,
    form: 'decay-then-add',
    release: null,
    carried: startState(request, history.initial, history.current),
    checkpoints: saved.length === 0
      ? null
      : { action: 'load', interval, states: assembleParts(saved, axes, request.frame.sizeOf) },
  };
}

function copyState(state: Tensor): Tensor {
  return { ...state, re: state.re.slice(), im: state.im?.slice() ?? null };
}

/** The replayed state before each block (in the history's visiting order), by the block's first token. */
function statesBeforeBlocks(
  request: ScanRequest, recurrence: Recurrence, stages: Stages, blocks: readonly Block[],
): ReadonlyMap<number, Tensor> {
  const states = new Map<number, Tensor>();
  for (const block of inVisitingOrder(blocks, recurrence.order)) {
    states.set(block.start, copyState(recurrence.carried));
    const frame = blockFrame(request.frame, block);
    const values = blockValues(request, block);
    request.run(stages.history, values, frame);
    runRecurrence(recurrence, request.op, values, frame, block);
  }
  return states;
}

/** Adds a block's part of a yield to its result: written along time, or summed over it. */
function collectYield(result: Tensor, value: Tensor, sumsTime: boolean, frame: Frame): void {
  const part = reduceTensor(value, 'sum', result.axes, frame.sizeOf);
  if (!sumsTime) {
    writeTime(result, frame.timeStart, part);
    return;
  }
  const [sum, added] = [imaginaryOf(result), imaginaryOf(part)];
  for (let i = 0; i < result.re.length; i++) {
    result.re[i] = (result.re[i] ?? NaN) + (part.re[i] ?? NaN);
    if (result.im !== null) result.im[i] = (sum[i] ?? NaN) + (added[i] ?? NaN);
  }
}

function mainRecurrence(request: ScanRequest): Recurrence {
  const { op, frame } = request;
  const carried = startState(request, op.initial, op.current);
  const interval = op.checkpointInterval;
  if (interval === null) return { ...op, carried, checkpoints: null };
  const dtype = carried.im === null ? 'real' : 'complex';
  const states = zeros(['batch', checkpointAxis(interval), ...op.axes], frame.sizeOf, dtype);
  return { ...op, carried, checkpoints: { action: 'store', interval, states } };
}

/** The results of a scan: yields, the final state's parts, the checkpoints' parts. */
export function evaluateScan(request: ScanRequest): readonly Tensor[] {
  const { op, results, frame, run } = request;
  const stages = stagesOf(op);
  const blocks = blocksOf(op, frame);
  const main = mainRecurrence(request);
  const history = historyRecurrence(request);
  const before = history === null ? null : statesBeforeBlocks(request, history, stages, blocks);
  const yields = op.yields.map((_, at) => {
    const { type } = required(results[at], 'yield result');
    return zeros(type.axes, frame.sizeOf, type.dtype === 'complex' ? 'complex' : 'real');
  });
  for (const block of inVisitingOrder(blocks, op.order)) {
    const local = blockFrame(frame, block);
    const values = blockValues(request, block);
    run(stages.producer, values, local);
    if (history !== null && before !== null) {
      const carried = copyState(required(before.get(block.start), 'replayed state'));
      runRecurrence({ ...history, carried }, op, values, local, block);
    }
    run(stages.afterHistory, values, local);
    runRecurrence(main, op, values, local, block);
    run(stages.consumer, values, local);
    op.yields.forEach((each, at) => {
      const value = required(values.get(each.value), `yield %${each.value}`);
      collectYield(required(yields[at], 'yield'), value, each.sumOver.includes('time'), local);
    });
  }
  const finals = op.emitsFinal ? partsOf(main.carried, op.current.length) : [];
  const checkpoints = main.checkpoints === null ? [] : partsOf(main.checkpoints.states, op.current.length);
  return [...yields, ...finals, ...checkpoints];
}
