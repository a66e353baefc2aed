/**
 * Σ over axes of a product, where each factor has axes that the other lacks (but for broadcasts), is a
 * contraction (projections, weight gradients): a launch of its own with reuse (decisions 22). So are both
 * parts of a sum of two such products. Sums that remain `reduce` are evaluated in one pass over their operand.
 */
import { required } from '../../support/invariant.ts';
import type { ValueIds } from '../tensor/builder.ts';
import type { TensorFunction, TensorInstruction, TensorModule, TensorOp, ValueId } from '../tensor/ops.ts';
import { definitionsOf, typesOf } from '../tensor/walk.ts';
import { eliminateDeadInFunction } from './eliminate-dead.ts';

/** The module with contractions in place of sums of products. */
export function formContractions(module: TensorModule, ids: ValueIds): TensorModule {
  return { ...module, functions: module.functions.map((each) => formInFunction(each, ids)) };
}

type Sum = Extract<TensorOp, { kind: 'reduce' }>;
type Contraction = { readonly op: Extract<TensorOp, { kind: 'contract' }>; readonly isNegated: boolean };
type Factor = { readonly value: ValueId; readonly isNegated: boolean };

function formInFunction(target: TensorFunction, ids: ValueIds): TensorFunction {
  const definitions = definitionsOf(target.instructions);
  const types = typesOf(target.instructions);
  const axesOf = (id: ValueId): readonly string[] => required(types.get(id), `type of %${id}`).axes;
  /** a factor as it was before it was broadcast, and whether it was negated after that */
  const bareFactor = (id: ValueId): Factor => {
    const op = definitions.get(id)?.op;
    if (op?.kind === 'broadcast') return { value: op.operand, isNegated: false };
    const negated = op?.kind === 'unary' && op.function === 'negate' ? definitions.get(op.operand)?.op : undefined;
    return negated?.kind === 'broadcast' ? { value: negated.operand, isNegated: true } : { value: id, isNegated: false };
  };
  const contractionOf = (term: ValueId, over: readonly string[]): Contraction | null => {
    const product = definitions.get(term)?.op;
    if (product?.kind !== 'binary' || product.function !== 'multiply') return null;
    const [a, b] = [bareFactor(product.left), bareFactor(product.right)];
    const isCovered = axesOf(term).every((axis) => axesOf(a.value).includes(axis) || axesOf(b.value).includes(axis));
    const [left, right] = isCovered ? [a.value, b.value] : [product.left, product.right];
    const lacks = (one: ValueId, other: ValueId): boolean => axesOf(one).some((axis) => !axesOf(other).includes(axis));
    if (!lacks(left, right) || !lacks(right, left)) return null;
    return { op: { kind: 'contract', left, right, over }, isNegated: isCovered && a.isNegated !== b.isNegated };
  };
  const instructions = target.instructions.flatMap((instruction): readonly TensorInstruction[] => {
    const { op } = instruction;
    if (op.kind !== 'reduce' || op.function !== 'sum') return [instruction];
    const whole = contractionOf(op.operand, op.over);
    if (whole === null) return sumOfContractions(instruction, op, definitions.get(op.operand)?.op, contractionOf, ids) ?? [instruction];
    if (!whole.isNegated) return [{ ...instruction, op: whole.op }];
    const { made, value } = partOf(instruction, whole, ids);
    return [made, { ...instruction, op: { kind: 'unary', function: 'negate', operand: value } }];
  });
  return eliminateDeadInFunction({ ...target, instructions });
}

/** A contraction that the result of an instruction is computed from. */
function partOf(instruction: TensorInstruction, { op }: Contraction, ids: ValueIds): { readonly made: TensorInstruction; readonly value: ValueId } {
  const result = required(instruction.results[0], 'sum');
  const value = ids.mint();
  return { made: { op, results: [{ ...result, id: value, name: `${result.name}_part` }] }, value };
}

/** Σ (a·b ± c·d) as two contractions: the real part of complex products, of which no term may be stored. */
function sumOfContractions(
  instruction: TensorInstruction, { over }: Sum, terms: TensorOp | undefined, contractionOf: (term: ValueId, over: readonly string[]) => Contraction | null, ids: ValueIds,
): readonly TensorInstruction[] | null {
  if (terms?.kind !== 'binary' || (terms.function !== 'add' && terms.function !== 'subtract')) return null;
  const [left, right] = [contractionOf(terms.left, over), contractionOf(terms.right, over)];
  if (left === null || right === null || left.isNegated || right.isNegated) return null;
  const [one, other] = [partOf(instruction, left, ids), partOf(instruction, right, ids)];
  return [one.made, other.made, { ...instruction, op: { ...terms, left: one.value, right: other.value } }];
}
