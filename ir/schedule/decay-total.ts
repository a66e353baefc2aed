/**
 * The decay of a thread's states over a piece of time. In general it is the product of all transitions.
 * Where a transition is a power of 2 whose exponent is a value per token times one that is fixed in time
 * (Δ times A), the values per token are added up instead, once per channel and not once per state.
 */
import { required } from '../../support/invariant.ts';
import { add, literal, multiply, unary, variable } from '../kernel/builder.ts';
import type { Variable } from '../kernel/nodes.ts';
import type { ValueId } from '../tensor/ops.ts';
import { hasInnerAxis, variesInTime, type Recurrence, type RegionPlan } from './region-plan.ts';
import type { ScanThread, StateStore } from './scan-thread.ts';

type ScaledExponent = { readonly perToken: ValueId; readonly fixed: ValueId };

/** The factors of an exponent, if it is a product of one per token and one per state. */
function scaledExponent(plan: RegionPlan, { coefficient }: Recurrence): ScaledExponent | null {
  if (coefficient.kind !== 'exponent') return null;
  const op = plan.definitions.get(coefficient.exponent)?.op;
  if (op?.kind !== 'binary' || op.function !== 'multiply') return null;
  const isPerToken = (id: ValueId): boolean => variesInTime(plan, id) && !hasInnerAxis(plan, id);
  const isFixed = (id: ValueId): boolean => !variesInTime(plan, id) && hasInnerAxis(plan, id);
  if (isPerToken(op.left) && isFixed(op.right)) return { perToken: op.left, fixed: op.right };
  return isPerToken(op.right) && isFixed(op.left) ? { perToken: op.right, fixed: op.left } : null;
}

export type DecayTotal = {
  /** Takes the token at hand, before its states advance. */
  readonly take: () => void;
  /** The decay over all tokens taken. */
  readonly finish: () => StateStore;
};

/** Starts the decay of a thread that has inner axes. */
export function startDecayTotal(thread: ScanThread, recurrence: Recurrence): DecayTotal {
  const { coefficient } = recurrence;
  const parts = coefficient.kind === 'exponent' ? 1 : coefficient.parts.length;
  const shape = { ...recurrence, current: recurrence.current.slice(0, parts).map((value) => ({ ...value, name: 'decay_total' })) };
  const total = thread.makeState(shape, (part) => literal(part === 0 ? 1 : 0));
  const factors = scaledExponent(thread.plan, recurrence);
  if (factors === null) return { take: () => thread.multiplyDecay(recurrence, total), finish: () => total };
  const { builder, values } = thread;
  const sums = thread.laneNumbers().map((): Variable => builder.var('exponent_sum', literal(0)));
  const sumOf = (lane: number): Variable => required(sums[lane], 'sum');
  return {
    take: () => {
      for (const lane of thread.laneNumbers()) builder.assign(sumOf(lane), add(variable(sumOf(lane)), values.inner(factors.perToken, lane)));
    },
    finish: () => {
      thread.eachStep((site) => {
        values.beginInner(site);
        for (const lane of thread.laneNumbers()) {
          total.write(0, lane, site.step, unary('exp2', multiply(variable(sumOf(lane)), values.inner(factors.fixed, lane))));
        }
        values.endInner();
      });
      return total;
    },
  };
}
