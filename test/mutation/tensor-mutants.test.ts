/**
 * Mistakes of whole operations: instructions of the finished Tensor IR of every example, also inside of
 * scans, made wrong one by one. The comparison that judges the pipeline (float64, the oracle) sees them.
 */
import { describe, expect, it } from 'vitest';
import { runTensorPipeline } from '../../ir/pipeline.ts';
import { interpretFunction } from '../../ir/tensor/interpret.ts';
import type { TensorFunction, TensorInstruction, TensorModule, TensorOp } from '../../ir/tensor/ops.ts';
import type { EntryName } from '../../ir/plan.ts';
import { InternalError, required } from '../../support/invariant.ts';
import { relativeToLargest } from '../oracle/agreement.ts';
import { exampleLayers, loadExample, numbersOf, type CaseNumbers } from '../support/kernel-cases.ts';
import type { Tensors } from '../support/pieces.ts';
import { chooser } from './mutants.ts';

/** As in test/numeric/golden-tensor-ir.test.ts. */
const bar = 1e-9;

type Change = { readonly name: string; readonly op: TensorOp };

/** Wrong versions of an operation. */
function wrongVersions(op: TensorOp): readonly Change[] {
  switch (op.kind) {
    case 'binary':
      if (op.function === 'subtract') return [{ name: 'swapped operands', op: { ...op, left: op.right, right: op.left } }, { name: 'wrong sign', op: { ...op, function: 'add' } }];
      if (op.function === 'add') return [{ name: 'wrong sign', op: { ...op, function: 'subtract' } }];
      return op.function === 'multiply' ? [{ name: 'sum for product', op: { ...op, function: 'add' } }] : [];
    case 'affine-scan':
      return [
        { name: 'wrong direction', op: { ...op, order: op.order === 'forward' ? 'reverse' : 'forward' } },
        ...(op.initial === null ? [] : [{ name: 'no initial state', op: { ...op, initial: null } }]),
        ...op.region.flatMap((each, at) => wrongVersions(each.op).map((change): Change => ({ name: `${change.name} in a scan`, op: { ...op, region: replaceOp(op.region, at, change.op) } }))),
      ];
    default:
      return [];
  }
}

function replaceOp(instructions: readonly TensorInstruction[], position: number, op: TensorOp): readonly TensorInstruction[] {
  return instructions.map((each, at) => (at === position ? { ...each, op } : each));
}

function run(module: TensorModule, body: TensorFunction, { sizes, given }: CaseNumbers, saved: Tensors): Tensors {
  return interpretFunction(module, body, { ...sizes, arguments: new Map([...given, ...saved]) });
}

/** Whether a function's results agree with the oracle; what cannot be evaluated does not. */
function agrees(module: TensorModule, body: TensorFunction, numbers: CaseNumbers, saved: Tensors): boolean {
  try {
    const made = run(module, body, numbers, saved);
    const expected = numbers.expected[body.name as EntryName];
    return [...made].every(([key, value]) => {
      const wanted = expected.get(key);
      return wanted === undefined || relativeToLargest(value, wanted) < bar;
    });
  } catch (error) {
    if (error instanceof InternalError) return false;
    throw error;
  }
}

const layers = exampleLayers.filter((each) => each.convolvedAt === undefined);
const perFunction = 6;

describe.each(layers.map((each) => [each.name, each] as const))('%s', (_name, layer) => {
  const { module } = runTensorPipeline(loadExample(layer).spec, { withRespectTo: null, checkpointInterval: 4 });
  // some sequences of every layer with resets start without one
  const numbers = numbersOf(layer, 13);
  const of = (name: string): TensorFunction => required(module.functions.find((each) => each.name === name), name);
  const saved = new Map([...run(module, of('forwardSaved'), numbers, new Map())].filter(([key]) => key.startsWith('saved:')));

  it.each(['forward', 'backwardFinal'])('%s', (name) => {
    const body = of(name);
    const given = name === 'forward' ? new Map() : saved;
    expect(agrees(module, body, numbers, given)).toBe(true);
    const all = body.instructions.flatMap((each, at) => wrongVersions(each.op).map((change) => ({ ...change, at })));
    const choose = chooser(layer.name.length);
    const chosen = Array.from({ length: perFunction }, () => required(all[choose(all.length)], 'a change'));
    const survivors = chosen.filter(({ op, at }) => agrees(module, { ...body, instructions: replaceOp(body.instructions, at, op) }, numbers, given));
    expect(survivors.map((each) => `${each.name} at ${each.at}`)).toEqual([]);
  });
});
