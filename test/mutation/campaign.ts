/**
 * A mutation run over many cases: mutants chosen by seed, judged one by one, counted by operator. A
 * mutant that its own case does not see is looked for in the layer's other cases and in those of long
 * sequences: a mistake of the compiler would be in all of them, and what one case cannot show (no
 * whole tile, one thread per channel) another does.
 */
import { hasLongSequences, type ExampleLayer, type KernelCase } from '../support/kernel-cases.ts';
import { explanationOf } from './explained.ts';
import { chooseMutants, prepareCase, twinsOf, type Judged, type Mutant, type Verdict } from './mutants.ts';

export type Outcome = Verdict['by'] | 'equivalent' | 'elsewhere' | 'explained';

export type Result = { readonly mutant: Mutant; readonly outcome: Outcome; readonly message: string };

export type CampaignOptions = {
  readonly cases: readonly KernelCase[];
  /** where mistakes are looked for that a case does not see */
  readonly twins: readonly KernelCase[];
  readonly perCase: number;
  readonly seed: number;
  readonly onResult?: (result: Result) => void;
};

/** Judges the mutants of all cases. */
export function runCampaign({ cases, twins, perCase, seed, onResult = () => {} }: CampaignOptions): readonly Result[] {
  const results: Result[] = [];
  const record = (result: Result): void => {
    results.push(result);
    onResult(result);
  };
  for (const layer of new Set(cases.map((each) => each.layer))) {
    const open: Result[] = [];
    for (const each of cases.filter((one) => one.layer === layer)) {
      const prepared = prepareCase(each);
      for (const mutant of chooseMutants(each.name, prepared.plans, perCase, seed * 1009 + cases.indexOf(each))) {
        const result = judged(mutant, prepared);
        if (result.outcome === 'survived' || result.outcome === 'unreached') open.push(result);
        else record(result);
      }
    }
    const related = twins.filter((each) => exampleOf(each.layer) === exampleOf(layer));
    const long = [...twins.filter(hasLongSequences).slice(0, 1), ...twins.filter((each) => each.layer.convolvedAt !== undefined)];
    seekTwins(open, [...new Set([...related, ...long])]).forEach(record);
  }
  return results;
}

function exampleOf({ name, file }: ExampleLayer): string {
  return file ?? name;
}

function judged(mutant: Mutant, { judge }: Judged): Result {
  const { by, message } = judge(mutant);
  if (by !== 'survived' && by !== 'unreached') return { mutant, outcome: by, message };
  const equivalence = mutant.equivalence();
  return equivalence === null ? { mutant, outcome: by, message } : { mutant, outcome: 'equivalent', message: equivalence };
}

/** What no case sees may have been reviewed. */
function explained(result: Result): Result {
  const explanation = result.outcome === 'survived' ? explanationOf(result.mutant) : null;
  return explanation === null ? result : { ...result, outcome: 'explained', message: explanation };
}

/** How many places of a case are tried for a mistake. */
const mostTwins = 4;

/** Results with those killed in another case marked so. */
function seekTwins(open: readonly Result[], cases: readonly KernelCase[]): readonly Result[] {
  let left = open;
  const found: Result[] = [];
  for (const each of cases) {
    if (left.length === 0) break;
    const { plans, judge } = prepareCase(each);
    left = left.filter((result) => {
      const twin = twinsOf(each.name, plans, result.mutant.mistake, mostTwins).find((one) => isKill(judge(one)));
      if (twin !== undefined) found.push({ ...result, outcome: 'elsewhere', message: `as ${twin.id}` });
      return twin === undefined;
    });
  }
  return [...found, ...left.map(explained)];
}

function isKill({ by }: Verdict): boolean {
  return by !== 'survived' && by !== 'unreached';
}

const outcomes: readonly Outcome[] = ['disagreement', 'sanitizer', 'verifier', 'crash', 'elsewhere', 'equivalent', 'explained', 'unreached', 'survived'];

/** Whether a result needs somebody's attention. */
export function isOpen({ outcome }: Result): boolean {
  return outcome === 'survived' || outcome === 'unreached' || outcome === 'crash';
}

/** Counts by operator and outcome, as a table of Markdown. */
export function summaryTable(results: readonly Result[]): string {
  const operators = [...new Set(results.map((each) => each.mutant.operator))].sort();
  const row = (name: string, of: readonly Result[]): string =>
    `| ${[name, of.length, ...outcomes.map((outcome) => of.filter((each) => each.outcome === outcome).length)].join(' | ')} |`;
  return [
    `| operator | mutants | ${outcomes.join(' | ')} |`,
    `| --- | ${outcomes.map(() => '---:').join(' | ')} | ---: |`,
    ...operators.map((operator) => row(operator, results.filter((each) => each.mutant.operator === operator))),
    row('all', results),
  ].join('\n');
}
