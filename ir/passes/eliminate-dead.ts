/**
 * Removes instructions whose results nobody uses, in functions and in regions: yields that are not
 * read, region instructions that reach neither the recurrence nor a yield, parameters that nothing
 * reads, a history that is not consulted, finals without a reader; and saved values that no backward
 * function takes.
 */
import type { AffineScanOp, TensorFunction, TensorInstruction, TensorModule, TensorValue, ValueId } from '../tensor/ops.ts';
import { operandsOf, regionRoots } from '../tensor/walk.ts';

/** The module without dead instructions. */
export function eliminateDead(module: TensorModule): TensorModule {
  const functions = module.functions.map(eliminateDeadInFunction);
  return { ...module, functions: dropUnreadSaved(functions) };
}

/** Functions that save only what others take; as they are where no function takes anything saved. */
function dropUnreadSaved(functions: readonly TensorFunction[]): readonly TensorFunction[] {
  const taken = new Set(functions.flatMap((each) => each.instructions.flatMap(({ op }) =>
    (op.kind === 'argument' && op.role === 'saved' ? [`${op.subject} ${op.part}`] : []))));
  if (taken.size === 0) return functions;
  return functions.map((each) => {
    const results = each.results.filter(({ role, subject, part }) => role !== 'saved' || taken.has(`${subject} ${part}`));
    return results.length === each.results.length ? each : eliminateDeadInFunction({ ...each, results });
  });
}

/** The function without dead instructions. */
export function eliminateDeadInFunction(target: TensorFunction): TensorFunction {
  const live = new Set<ValueId>(target.results.map((each) => each.value));
  const kept: TensorInstruction[] = [];
  for (const instruction of [...target.instructions].reverse()) {
    if (!instruction.results.some((value) => live.has(value.id))) continue;
    const trimmed = instruction.op.kind === 'affine-scan' ? trimScan(instruction.op, instruction.results, live) : instruction;
    for (const operand of operandsOf(trimmed.op)) live.add(operand);
    kept.push(trimmed);
  }
  return { ...target, instructions: kept.reverse() };
}

/** Instructions of a list that the roots need. */
export function liveInstructions(instructions: readonly TensorInstruction[], roots: Iterable<ValueId>): readonly TensorInstruction[] {
  const live = new Set<ValueId>(roots);
  const kept: TensorInstruction[] = [];
  for (const instruction of [...instructions].reverse()) {
    if (!instruction.results.some((value) => live.has(value.id))) continue;
    for (const operand of operandsOf(instruction.op)) live.add(operand);
    kept.push(instruction);
  }
  return kept.reverse();
}

function trimScan(op: AffineScanOp, results: readonly TensorValue[], live: ReadonlySet<ValueId>): TensorInstruction {
  const parts = op.current.length;
  const finals = op.emitsFinal ? results.slice(op.yields.length, op.yields.length + parts) : [];
  const checkpoints = results.slice(op.yields.length + finals.length);
  const liveYields = op.yields.flatMap((each, at) => {
    const result = results[at];
    return result !== undefined && live.has(result.id) ? [{ yielded: each, result }] : [];
  });
  const emitsFinal = finals.some((value) => live.has(value.id));
  const emitsCheckpoints = checkpoints.some((value) => live.has(value.id));
  const trimmed = trimRegion({
    ...op,
    yields: liveYields.map((each) => each.yielded),
    emitsFinal,
    checkpointInterval: emitsCheckpoints ? op.checkpointInterval : null,
  });
  const keptResults = [...liveYields.map((each) => each.result), ...(emitsFinal ? finals : []), ...(emitsCheckpoints ? checkpoints : [])];
  return { op: trimmed, results: keptResults };
}

/** The scan without dead region instructions, parameters and history. */
export function trimRegion(op: AffineScanOp): AffineScanOp {
  const withoutHistory = dropUnusedHistory(op);
  const region = liveInstructions(withoutHistory.region, regionRoots(withoutHistory));
  const used = new Set<ValueId>(regionRoots(withoutHistory));
  for (const instruction of region) for (const operand of operandsOf(instruction.op)) used.add(operand);
  const kept = op.parameters.map((value) => used.has(value.id));
  return {
    ...withoutHistory,
    region,
    operands: op.operands.filter((_, at) => kept[at]),
    parameters: op.parameters.filter((_, at) => kept[at]),
  };
}

function dropUnusedHistory(op: AffineScanOp): AffineScanOp {
  if (op.history === null) return op;
  const bare: AffineScanOp = { ...op, history: null };
  const replayed = new Set([...op.history.previous, ...op.history.current].map((value) => value.id));
  const region = liveInstructions(op.region, regionRoots(bare));
  const isRead = [...regionRoots(bare), ...region.flatMap((each) => operandsOf(each.op))].some((id) => replayed.has(id));
  return isRead ? op : bare;
}
