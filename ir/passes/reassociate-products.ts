/**
 * Reorders chains of products so that factors with fewer axes meet first: dt·(B·u) becomes
 * (dt·u)·B, one product per channel instead of one per state; a constant joins what is fixed in time,
 * also out of a product that several products share.
 * Exact up to rounding (it changes the order of multiplications only).
 */
import { invariant, required } from '../../support/invariant.ts';
import { unionAxes, type AxisTable, type ValueIds } from '../tensor/builder.ts';
import type { AffineScanOp, TensorInstruction, TensorModule, TensorValue, ValueId } from '../tensor/ops.ts';
import { definitionsOf, operandsOf, regionInputs, regionRoots } from '../tensor/walk.ts';
import { eliminateDeadInFunction, trimRegion } from './eliminate-dead.ts';

/** The module with regrouped products, in functions and regions. */
export function reassociateProducts(module: TensorModule, ids: ValueIds): TensorModule {
  const functions = module.functions.map((each) => {
    const instructions = regroup(each.instructions, [], each.results.map((result) => result.value), module.axes, ids).map((instruction) =>
      instruction.op.kind === 'affine-scan' ? { ...instruction, op: regroupRegion(instruction.op, module.axes, ids) } : instruction);
    return eliminateDeadInFunction({ ...each, instructions });
  });
  return { ...module, functions };
}

function regroupRegion(op: AffineScanOp, axes: AxisTable, ids: ValueIds): AffineScanOp {
  return trimRegion({ ...op, region: regroup(op.region, regionInputs(op), regionRoots(op), axes, ids) });
}

function regroup(
  instructions: readonly TensorInstruction[],
  inputs: readonly TensorValue[],
  roots: readonly ValueId[],
  axes: AxisTable,
  ids: ValueIds,
): readonly TensorInstruction[] {
  const definitions = definitionsOf(instructions);
  const values = new Map<ValueId, TensorValue>(inputs.map((value) => [value.id, value]));
  for (const each of instructions) for (const value of each.results) values.set(value.id, value);
  const uses = new Map<ValueId, number>();
  const use = (id: ValueId): void => void uses.set(id, (uses.get(id) ?? 0) + 1);
  for (const each of instructions) operandsOf(each.op).forEach(use);
  roots.forEach(use);
  const productOf = (id: ValueId): Extract<TensorInstruction['op'], { kind: 'binary' }> | null => {
    const op = definitions.get(id)?.op;
    return op?.kind === 'binary' && op.function === 'multiply' ? op : null;
  };
  const isConstant = (id: ValueId): boolean => definitions.get(id)?.op.kind === 'constant';
  const onlyMultiplied = multipliedOnly(instructions, roots);
  /** shared products by what stands for them: their factors without constants, and those constants */
  const stripped = new Map<ValueId, readonly ValueId[]>();
  const factorsOf = (id: ValueId, isRoot: boolean): readonly ValueId[] => {
    const op = productOf(id);
    if (op === null || (!isRoot && uses.get(id) !== 1)) return stripped.get(id) ?? [id];
    return [...factorsOf(op.left, false), ...factorsOf(op.right, false)];
  };
  const inner = new Set<ValueId>();
  for (const each of instructions) {
    for (const operand of operandsOf(each.op)) {
      const isPart = each.op.kind === 'binary' && each.op.function === 'multiply' && productOf(operand) !== null && uses.get(operand) === 1;
      if (isPart) inner.add(operand);
    }
  }
  const axesOf = (id: ValueId): readonly string[] => required(values.get(id), `value %${id}`).type.axes;
  const made: TensorInstruction[] = [];
  const multiply = (left: ValueId, right: ValueId, result: TensorValue | null): ValueId => {
    const type = { dtype: 'real', axes: unionAxes(axes, axesOf(left), axesOf(right)) } as const;
    const value: TensorValue = result ?? { id: ids.mint(), name: 'product', type };
    values.set(value.id, value);
    made.push({ op: { kind: 'binary', function: 'multiply', left, right }, results: [value] });
    return value.id;
  };
  for (const each of instructions) {
    const [result] = each.results;
    const factors = result !== undefined && !inner.has(result.id) && productOf(result.id) !== null ? factorsOf(result.id, true) : [];
    if (result === undefined || factors.length < 3 || result.type.dtype !== 'real') {
      made.push(each);
      continue;
    }
    const chain = (wanted: readonly ValueId[], last: TensorValue | null): ValueId => {
      const merge = cheapestPairs(wanted, axesOf, axes);
      const value = merge.reduce<readonly ValueId[]>((rest, { left, right }, at) => {
        const [a, b] = [required(rest[left], 'factor'), required(rest[right], 'factor')];
        return [...rest.filter((_, place) => place !== left && place !== right), multiply(a, b, at === merge.length - 1 ? last : null)];
      }, wanted);
      invariant(value.length === 1, `product ${result.name}`);
      return required(value[0], 'product');
    };
    const constants = factors.filter(isConstant);
    const others = factors.filter((id) => !isConstant(id));
    if (constants.length > 0 && others.length >= 2 && (uses.get(result.id) ?? 0) > 1 && onlyMultiplied.has(result.id)) {
      stripped.set(result.id, [chain(others, null), ...constants]);
      continue;
    }
    chain(factors, result);
  }
  return made;
}

/** Values that nothing but products read, and no root. */
function multipliedOnly(instructions: readonly TensorInstruction[], roots: readonly ValueId[]): ReadonlySet<ValueId> {
  const products = new Set<ValueId>();
  const elsewhere = new Set<ValueId>(roots);
  for (const { op, results } of instructions) {
    const isProduct = op.kind === 'binary' && op.function === 'multiply' && results[0]?.type.dtype === 'real';
    for (const operand of operandsOf(op)) (isProduct ? products : elsewhere).add(operand);
  }
  return new Set([...products].filter((id) => !elsewhere.has(id)));
}

type Merge = { readonly left: number; readonly right: number };

/** Greedy: always multiply next the two factors whose product has the smallest axes; places in the list of what is left. */
function cheapestPairs(factors: readonly ValueId[], axesOf: (id: ValueId) => readonly string[], table: AxisTable): readonly Merge[] {
  const weight = (list: readonly string[]): number =>
    list.reduce((sum, axis) => sum + (axis === 'time' ? 100 : axis === 'batch' ? 10 : Math.log2(1 + (table.find((each) => each.name === axis)?.size ?? 1))), 0);
  let rest = factors.map(axesOf);
  const merges: Merge[] = [];
  while (rest.length > 1) {
    const pairs = rest.flatMap((left, at) => rest.slice(at + 1).map((right, further) => ({ left: at, right: at + 1 + further, axes: unionAxes(table, left, right) })));
    const best = pairs.reduce((least, each) => (weight(each.axes) < weight(least.axes) ? each : least));
    merges.push({ left: best.left, right: best.right });
    rest = [...rest.filter((_, place) => place !== best.left && place !== best.right), best.axes];
  }
  return merges;
}
