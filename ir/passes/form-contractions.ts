/**
 * Σ over axes of a product, where each factor has axes that the other lacks, is a contraction
 * (projections, weight gradients): a launch of its own with reuse (decisions 22). Sums that remain
 * `reduce` are evaluated in one pass over their operand.
 */
import { required } from '../../support/invariant.ts';
import type { TensorFunction, TensorInstruction, TensorModule, ValueId } from '../tensor/ops.ts';
import { definitionsOf, typesOf } from '../tensor/walk.ts';
import { eliminateDeadInFunction } from './eliminate-dead.ts';

/** The module with contractions in place of sums of products. */
export function formContractions(module: TensorModule): TensorModule {
  return { ...module, functions: module.functions.map(formInFunction) };
}

function formInFunction(target: TensorFunction): TensorFunction {
  const definitions = definitionsOf(target.instructions);
  const types = typesOf(target.instructions);
  const axesOf = (id: ValueId): readonly string[] => required(types.get(id), `type of %${id}`).axes;
  const instructions = target.instructions.map((instruction): TensorInstruction => {
    const { op } = instruction;
    if (op.kind !== 'reduce' || op.function !== 'sum') return instruction;
    const factor = definitions.get(op.operand)?.op;
    if (factor?.kind !== 'binary' || factor.function !== 'multiply') return instruction;
    const [left, right] = [axesOf(factor.left), axesOf(factor.right)];
    const crosses = left.some((axis) => !right.includes(axis)) && right.some((axis) => !left.includes(axis));
    if (!crosses) return instruction;
    return { ...instruction, op: { kind: 'contract', left: factor.left, right: factor.right, over: op.over } };
  });
  return eliminateDeadInFunction({ ...target, instructions });
}
