/**
 * Exponentials and turns of what is fixed in time leave a scan's region for a launch of their own: in
 * the region every sequence's threads would form them again, a sine per state, before the first token.
 * Only where the region has complex functions over inner axes; a plain exponential is cheaper than the
 * launch. Not for single tokens, which the launch would delay.
 */
import { required } from '../../support/invariant.ts';
import { isElementwise, type AffineScanOp, type TensorFunction, type TensorInstruction, type TensorValue, type ValueId } from '../tensor/ops.ts';
import type { ValueIds } from '../tensor/builder.ts';
import { mapOperands, operandsOf, regionRoots } from '../tensor/walk.ts';
import { liveInstructions, trimRegion } from './eliminate-dead.ts';
import { innerAxesOf } from './fuse-scan.ts';

/** The function with costly fixed values of its scans computed before them. */
export function hoistFixed(target: TensorFunction, ids: ValueIds): TensorFunction {
  return { ...target, instructions: target.instructions.flatMap((each) => (each.op.kind === 'affine-scan' ? hoistFrom(each, each.op, ids) : [each])) };
}

const isFixed = ({ type }: TensorValue): boolean => !type.axes.includes('time') && !type.axes.includes('batch');

/** A sign costs nothing where it is used, and a tensor of its own if it is handed over. */
const isNegation = ({ op }: TensorInstruction): boolean => op.kind === 'unary' && op.function === 'negate';

/** What can be computed outside of a region, and which of it is worth that or follows from it. */
type Fixed = { readonly all: readonly TensorInstruction[]; readonly costly: ReadonlySet<TensorInstruction> };

function fixedOf(op: AffineScanOp): Fixed {
  const inner = innerAxesOf(op);
  const known = new Set(op.parameters.filter(isFixed).map((value) => value.id));
  const costlyValues = new Set<ValueId>();
  const all: TensorInstruction[] = [];
  const costly = new Set<TensorInstruction>();
  for (const instruction of op.region) {
    const operands = operandsOf(instruction.op);
    if (!isElementwise(instruction.op) || !instruction.results.every(isFixed) || !operands.every((id) => known.has(id))) continue;
    all.push(instruction);
    const isStart = instruction.op.kind === 'analytic' && instruction.results.some((value) => value.type.axes.some((axis) => inner.includes(axis)));
    const isCostly = isStart || operands.some((id) => costlyValues.has(id));
    if (isCostly && !isNegation(instruction)) costly.add(instruction);
    for (const value of instruction.results) {
      known.add(value.id);
      if (isCostly) costlyValues.add(value.id);
    }
  }
  return { all, costly };
}

function hoistFrom(instruction: TensorInstruction, op: AffineScanOp, ids: ValueIds): readonly TensorInstruction[] {
  const { all, costly } = fixedOf(op);
  const rest = op.region.filter((each) => !costly.has(each));
  const used = new Set([...regionRoots(op), ...rest.flatMap((each) => operandsOf(each.op))]);
  const handed = [...costly].flatMap((each) => each.results.filter((value) => used.has(value.id)));
  if (handed.length === 0) return [instruction];
  const outside = new Map(op.parameters.map((value, at) => [value.id, required(op.operands[at], 'operand')]));
  const moved = liveInstructions(all, handed.map((value) => value.id)).map((each): TensorInstruction => {
    const results = each.results.map((value) => ({ ...value, id: ids.mint() }));
    const made = mapOperands(each.op, (id) => required(outside.get(id), `%${id} outside of the region`));
    each.results.forEach((value, at) => outside.set(value.id, required(results[at], 'result').id));
    return { op: made, results };
  });
  const hoisted = trimRegion({
    ...op, region: rest, parameters: [...op.parameters, ...handed],
    operands: [...op.operands, ...handed.map((value) => required(outside.get(value.id), 'hoisted value'))],
  });
  return [...moved, { ...instruction, op: hoisted }];
}
