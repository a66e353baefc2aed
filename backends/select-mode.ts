/**
 * Which mode does `auto` take? Where sizes are expected, every legal way is planned and its cost
 * estimated; convolution is taken only where it is clearly cheaper than the recurrence that the
 * schedule's rule gives, since a recurrence serves every length and keeps each entry's own accuracy.
 */
import type { Plan } from '../ir/plan.ts';
import type { Machine } from '../ir/schedule/parameters.ts';
import type { RunSizes } from '../support/size.ts';
import type { Decision, TargetName } from './artifact.ts';
import { costOfWay, machineRates, nameOfWay, type Way, type WayCost } from './mode-costs.ts';

export type ModeSelection = {
  readonly chosen: Way;
  /** every legal way; empty where no sizes are known */
  readonly costs: readonly WayCost[];
  readonly reason: string;
};

export type ModeQuestion = {
  readonly target: TargetName;
  readonly machine: Machine;
  readonly expected: { readonly batch: number; readonly length?: number } | null;
  /** sizes for costs where none are expected, or null for none */
  readonly nominal: RunSizes | null;
  /** why the layer is no convolution, or null */
  readonly obstacle: string | null;
  /** what the schedule's rule makes of the recurrence at these sizes */
  readonly rule: 'recurrent' | 'scan';
  readonly planForward: (way: Way) => Plan;
};

/** Estimates are rough: convolution must be this much faster to be taken. */
const clearly = 1.25;

const recurrences: readonly Way[] = [{ mode: 'recurrent' }, { mode: 'scan' }];
const convolutions: readonly Way[] = [{ mode: 'conv', convolution: 'direct' }, { mode: 'conv', convolution: 'fft' }];

/** The mode for a request of `auto`, with what it was weighed against. */
export function selectMode(question: ModeQuestion): ModeSelection {
  const { expected, nominal, obstacle, rule } = question;
  const recurrence: Way = { mode: rule };
  const sizes = expected?.length === undefined ? nominal : { batch: expected.batch, length: expected.length };
  const costs = sizes === null ? [] : weighWays(question, sizes);
  if (obstacle !== null) return { chosen: recurrence, costs, reason: `no convolution: ${obstacle}` };
  if (expected?.length === undefined) {
    return { chosen: recurrence, costs, reason: `${expected === null ? 'batch and length are' : 'the length is'} not known (--batch, --length), and a recurrence serves every size` };
  }
  const own = timeOf(costs, recurrence);
  const best = costs.filter(({ way }) => way.mode === 'conv').reduce((least, each) => (each.nanoseconds < least.nanoseconds ? each : least));
  const compared = `${best.name} is estimated at ${shortTime(best.nanoseconds)} a token, ${rule} at ${shortTime(own)}, on ${machineRates[question.target].name}`;
  if (best.nanoseconds * clearly < own) return { chosen: best.way, costs, reason: compared };
  return { chosen: recurrence, costs, reason: `${compared}; convolution is taken where it is ${clearly} times faster` };
}

function weighWays({ target, machine, obstacle, planForward }: ModeQuestion, sizes: RunSizes): readonly WayCost[] {
  const ways = obstacle === null ? [...recurrences, ...convolutions] : recurrences;
  return ways.map((way) => costOfWay(way, planForward(way), sizes, machine, machineRates[target]));
}

/** The selection as the manifest has it. */
export function modeDecision({ chosen, costs, reason }: ModeSelection): Decision {
  const others = costs.filter((each) => each.name !== nameOfWay(chosen));
  return { subject: 'mode', chosen: nameOfWay(chosen), alternatives: others.map((each) => `${each.name} (${shortTime(each.nanoseconds)} a token)`), reason };
}

function timeOf(costs: readonly WayCost[], way: Way): number {
  return costs.find((each) => each.way.mode === way.mode)?.nanoseconds ?? Infinity;
}

function shortTime(nanoseconds: number): string {
  return nanoseconds >= 1e3 ? `${Number((nanoseconds / 1e3).toPrecision(2))} µs` : `${Number(nanoseconds.toPrecision(2))} ns`;
}
