/**
 * Sums that are only added to each other become one sum of their terms, within the regions of scans: on a
 * GPU each sum over the inner axis is finished through shared memory, so that one costs half of two.
 */
import { required } from '../../support/invariant.ts';
import type { ValueIds } from '../tensor/builder.ts';
import type { AffineScanOp, TensorFunction, TensorInstruction, TensorOp, TensorType, ValueId } from '../tensor/ops.ts';
import { definitionsOf, operandsOf, regionInputs, regionRoots, typesOf } from '../tensor/walk.ts';
import { trimRegion } from './eliminate-dead.ts';

type Reduce = Extract<TensorOp, { kind: 'reduce' }>;
type Binary = Extract<TensorOp, { kind: 'binary' }>;

/** The function with fewer sums in its scans. */
export function mergeSums(target: TensorFunction, ids: ValueIds): TensorFunction {
  return { ...target, instructions: target.instructions.map((each) => (each.op.kind === 'affine-scan' ? { ...each, op: mergeInRegion(each.op, ids) } : each)) };
}

function mergeInRegion(op: AffineScanOp, ids: ValueIds): AffineScanOp {
  let current = op;
  for (let merged = mergeOnce(current, ids); merged !== null; merged = mergeOnce(current, ids)) current = merged;
  return current;
}

/** A sum of which an addition is the only reader. */
type Found = { readonly sum: Reduce; readonly rest: ValueId | null };

/** The region with one pair of sums less, or null where there is none. */
function mergeOnce(op: AffineScanOp, ids: ValueIds): AffineScanOp | null {
  const definitions = definitionsOf(op.region);
  const types = typesOf(op.region, regionInputs(op));
  const uses = usesOf(op);
  const once = <Kind extends TensorOp['kind']>(id: ValueId, kind: Kind): Extract<TensorOp, { kind: Kind }> | null => {
    const made = definitions.get(id)?.op;
    return made?.kind === kind && uses.get(id) === 1 ? (made as Extract<TensorOp, { kind: Kind }>) : null;
  };
  const sumIn = (id: ValueId): Found | null => {
    const sum = once(id, 'reduce');
    if (sum !== null) return sum.function === 'sum' ? { sum, rest: null } : null;
    const chain = once(id, 'binary');
    if (chain?.function !== 'add') return null;
    for (const [here, other] of [[chain.right, chain.left], [chain.left, chain.right]] as const) {
      const last = once(here, 'reduce');
      if (last?.function === 'sum') return { sum: last, rest: other };
    }
    return null;
  };
  for (const instruction of op.region) {
    if (instruction.op.kind !== 'binary' || instruction.op.function !== 'add') continue;
    const [left, right] = [sumIn(instruction.op.left), sumIn(instruction.op.right)];
    if (left !== null && right !== null && areAlike(left.sum, right.sum, types)) return withMerged(op, { instruction, left, right }, { types, ids });
  }
  return null;
}

function usesOf(op: AffineScanOp): ReadonlyMap<ValueId, number> {
  const uses = new Map<ValueId, number>();
  for (const id of [...op.region.flatMap((each) => operandsOf(each.op)), ...regionRoots(op)]) uses.set(id, (uses.get(id) ?? 0) + 1);
  return uses;
}

function areAlike(left: Reduce, right: Reduce, types: ReadonlyMap<ValueId, TensorType>): boolean {
  const axesOf = (id: ValueId): string => required(types.get(id), `type of %${id}`).axes.join();
  return left.over.join() === right.over.join() && axesOf(left.operand) === axesOf(right.operand);
}

type Pair = { readonly instruction: TensorInstruction; readonly left: Found; readonly right: Found };

/** The addition of two chains becomes an addition of what is left of them and of one sum. */
function withMerged(op: AffineScanOp, { instruction, left, right }: Pair, { types, ids }: { types: ReadonlyMap<ValueId, TensorType>; ids: ValueIds }): AffineScanOp {
  const result = required(instruction.results[0], 'result');
  const made: TensorInstruction[] = [];
  const bind = (name: string, type: TensorType, made_: Binary | Reduce): ValueId => {
    const id = ids.mint();
    made.push({ op: made_, results: [{ id, name, type }] });
    return id;
  };
  const sumOf = (a: ValueId, b: ValueId): Binary => ({ kind: 'binary', function: 'add', left: a, right: b });
  const terms = bind('terms', required(types.get(left.sum.operand), 'type of terms'), sumOf(left.sum.operand, right.sum.operand));
  const sum: Reduce = { ...left.sum, operand: terms };
  const rests = [left.rest, right.rest].filter((each) => each !== null);
  const [first, second] = rests;
  if (first === undefined) made.push({ op: sum, results: [result] });
  else {
    const total = bind('sum', result.type, sum);
    const rest = second === undefined ? first : bind('rest', result.type, sumOf(first, second));
    made.push({ op: sumOf(rest, total), results: [result] });
  }
  return trimRegion({ ...op, region: op.region.flatMap((each) => (each === instruction ? made : [each])) });
}
