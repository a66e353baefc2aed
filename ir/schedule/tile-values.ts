/**
 * Which values cross the phases of a tiled scan: per-channel scalars that the states' updates read
 * (made for a whole tile, channels side by side), sums over states that per-channel results read, and
 * what is fixed in time. Found by walking from what each phase must deliver towards its operands.
 */
import { required } from '../../support/invariant.ts';
import type { TensorInstruction, ValueId } from '../tensor/ops.ts';
import { operandsOf } from '../tensor/walk.ts';
import { hasChannelAxis, hasInnerAxis, ofCoefficient, variesInTime, type RegionPlan } from './region-plan.ts';
import { rootIds, type PassRoots } from './scan-thread.ts';

export type TileValues = {
  /** per-channel (or per-token) scalars that updates of states read, varying in time */
  readonly staged: readonly ValueId[];
  /** per-channel exponents of transitions, of which updates of states read the power */
  readonly stagedPowers: readonly ValueId[];
  /** the same, fixed in time */
  readonly stagedFixed: readonly ValueId[];
  /** values over inner axes fixed in time, computed once per channel */
  readonly fixedInner: readonly ValueId[];
  /** exponents fixed in time whose power is computed once per channel */
  readonly fixedPowers: readonly ValueId[];
  /** scalars fixed in time that the phases with channels side by side read */
  readonly fixedScalars: readonly ValueId[];
  /** operands over time and channels, whose rows are copied for a tile first */
  readonly rows: readonly ValueId[];
  /** sums over inner axes that per-channel results read */
  readonly sums: readonly ValueId[];
};

type Walk = { readonly plan: RegionPlan; readonly seen: Set<ValueId> };

/** Visits values from `ids` towards operands; `visit` says whether to go on behind a value. */
function walk({ plan, seen }: Walk, ids: Iterable<ValueId>, visit: (id: ValueId, made: TensorInstruction | undefined) => boolean): void {
  const stack = [...ids];
  for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    const made = plan.definitions.get(id);
    if (made?.op.kind === 'constant') continue;
    if (visit(id, made) && made !== undefined) stack.push(...operandsOf(made.op));
  }
}

/** Exponents of the passes' transitions. */
function exponentsOf(passes: readonly PassRoots[]): readonly ValueId[] {
  return [...new Set(passes.flatMap(({ recurrence }) => (recurrence.coefficient.kind === 'exponent' ? ofCoefficient(recurrence.coefficient) : [])))];
}

/** What updates of states and sums over them start from, without exponents whose power is at hand. */
function innerNeeds(plan: RegionPlan, passes: readonly PassRoots[], live: Live, powers: ReadonlySet<ValueId>): readonly ValueId[] {
  return passes.flatMap((roots) => [
    ...rootIds({ ...roots, values: roots.values.filter((id) => hasInnerAxis(plan, id)) }).filter((id) => !powers.has(id)),
    ...live(roots).filter((each) => each.op.kind === 'reduce').flatMap((each) => operandsOf(each.op)),
  ]);
}

type Live = (roots: PassRoots) => readonly TensorInstruction[];

/** Analyses the passes of one scan; the first pass is the full one. */
export function planTile(plan: RegionPlan, passes: readonly PassRoots[], live: Live): TileValues {
  const isEarly = (id: ValueId): boolean => !hasInnerAxis(plan, id) && plan.levels.get(id) === 0;
  const exponents = exponentsOf(passes);
  const fixedPowers = exponents.filter((id) => !variesInTime(plan, id));
  const stagedPowers = exponents.filter((id) => variesInTime(plan, id) && isEarly(id));
  const [staged, stagedFixed, fixedInner] = [new Set<ValueId>(), new Set<ValueId>(), new Set<ValueId>()];
  const needed = innerNeeds(plan, passes, live, new Set([...fixedPowers, ...stagedPowers]));
  walk({ plan, seen: new Set() }, needed, (id, made) => {
    const varies = variesInTime(plan, id);
    if (hasInnerAxis(plan, id)) {
      if (!varies && (made !== undefined || plan.parameters.has(id))) fixedInner.add(id);
      return varies;
    }
    if (!isEarly(id)) return made?.op.kind !== 'reduce';
    (varies ? staged : stagedFixed).add(id);
    return false;
  });
  const results = required(passes[0], 'pass').values.filter((id) => !hasInnerAxis(plan, id));
  const outer = outerNeeds(plan, [...results, ...staged, ...stagedPowers]);
  return {
    staged: [...staged], stagedPowers, stagedFixed: [...stagedFixed], fixedInner: [...fixedInner], fixedPowers,
    fixedScalars: [...new Set([...outer.fixed, ...stagedFixed])], rows: outer.rows, sums: outer.sums,
  };
}

/** What the phases before and after the states' updates read. */
function outerNeeds(plan: RegionPlan, needed: readonly ValueId[]): { fixed: readonly ValueId[]; rows: readonly ValueId[]; sums: readonly ValueId[] } {
  const [fixed, rows, sums] = [new Set<ValueId>(), new Set<ValueId>(), new Set<ValueId>()];
  walk({ plan, seen: new Set() }, needed, (id, made) => {
    if (!variesInTime(plan, id)) {
      fixed.add(id);
      return false;
    }
    if (plan.parameters.has(id) && hasChannelAxis(plan, id)) rows.add(id);
    if (made?.op.kind !== 'reduce') return true;
    sums.add(id);
    return false;
  });
  return { fixed: [...fixed], rows: [...rows], sums: [...sums] };
}
