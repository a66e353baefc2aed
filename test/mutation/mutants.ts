/**
 * Mutants of the kernels that the examples emit: which there are, a sample of them by seed, and whether
 * the ordinary checks (verifier, sanitizer, agreement with the oracle at the ordinary lengths) see them.
 */
import { assertKernel, defaultLimits } from '../../ir/kernel/verify.ts';
import { integer, literal, loadedType } from '../../ir/kernel/builder.ts';
import type { Kernel, KernelStatement } from '../../ir/kernel/nodes.ts';
import { printStatementHead } from '../../ir/kernel/print.ts';
import type { EntryName, Plan } from '../../ir/plan.ts';
import { InternalError, required } from '../../support/invariant.ts';
import { checkPlan, kernelCases, lengthsOf, numbersOf, plansOf, type KernelCase, type SavedTensors } from '../support/kernel-cases.ts';
import { seededNumbers } from '../support/oracle-requests.ts';
import { isOfLibrary, whyEquivalent } from './equivalence.ts';
import { launchOperators, mutationOperators, type MakeKernel } from './operators.ts';
import { formatSite, sitesOf, type Site } from './sites.ts';

/**
 * The cases whose kernels are changed. Pieces of time on wide machines are left to narrow ones: the same
 * schedules write both, but a few tokens fill no tile of a wide workgroup.
 */
export const mutationCases: readonly KernelCase[] = kernelCases.filter(({ configuration: { options } }) =>
  options.mode !== 'scan' || options.target === 'wasm' || options.machine !== undefined);

export type Mutant = {
  readonly id: string;
  readonly operator: string;
  readonly entry: EntryName;
  /** position in the plan, and name */
  readonly kernel: number;
  readonly kernelName: string;
  /** the changed statement, as it was */
  readonly place: string;
  /** equal for mutants that are one mistake of the compiler (`kindOf`) */
  readonly mistake: string;
  readonly changed: Kernel;
  /** the unchanged kernel with an access out of bounds at the place: whether the place is reached */
  readonly mined: Kernel | null;
  /** why no result can differ from the original's, or null; dear to find out, for survivors only */
  readonly equivalence: () => string | null;
};

export type Plans = ReadonlyMap<EntryName, Plan>;

/** A wrong version of a kernel that is made when asked for; `site` null: the launch is changed. */
export type Variant = {
  readonly operator: string;
  readonly site: Site | null;
  /** number among the versions that the operator makes of the statement */
  readonly ordinal: number;
  readonly make: MakeKernel;
};

/** All wrong versions of a kernel. */
export function* variantsOf(kernel: Kernel): Generator<Variant> {
  for (const { name, of } of launchOperators) {
    for (const [ordinal, make] of of(kernel).entries()) yield { operator: name, site: null, ordinal, make };
  }
  const counts = new Map<string, number>();
  let statement: KernelStatement | null = null;
  for (const site of sitesOf(kernel)) {
    if (site.statement !== statement) counts.clear();
    statement = site.statement;
    for (const { name, at } of mutationOperators) {
      for (const make of at(site)) {
        const ordinal = counts.get(name) ?? 0;
        counts.set(name, ordinal + 1);
        yield { operator: name, site, ordinal, make };
      }
    }
  }
}

const plain = (text: string): string => text.replaceAll(/[%~@$#][0-9]+:/g, '').replaceAll(/[0-9.]+/g, '0');

/**
 * What a variant changes, in words that are the same wherever the compiler writes the same statement:
 * without numbers of variables and sizes. Barriers are told apart by what stands around them.
 */
export function kindOf(kernel: Kernel, { operator, site, ordinal }: Pick<Variant, 'operator' | 'site' | 'ordinal'>): string {
  const place = site === null ? plain(kernel.name) : site.kind === 'statement' && ['drop-barrier', 'stale-read'].includes(operator)
    ? site.body.slice(Math.max(0, site.position - 1), site.position + 2).map((each) => printStatementHead(each)).join(' ; ')
    : formatSite(site);
  return `${operator} ${ordinal} ${plain(place)}`;
}

/** Integers below a bound, from a seed. */
export function chooser(seed: number): (count: number) => number {
  const next = seededNumbers(seed);
  return (count) => Math.min(count - 1, Math.floor(((next() + 1) / 2) * count));
}

type Candidate = { readonly entry: EntryName; readonly kernel: number; readonly variant: number };

/** Where each operator applies in the plans; variants are numbered, since all of them would not fit into memory. */
function candidatesOf(plans: Plans): ReadonlyMap<string, readonly Candidate[]> {
  const found = new Map<string, Candidate[]>();
  for (const [entry, plan] of plans) {
    const transforms = plan.kernels.some((each) => each.name.includes('_fft_'));
    for (const [kernel, each] of plan.kernels.entries()) {
      // beside transforms, direct convolution is for sequences beyond 2^20 tokens; it has cases of its own
      if (transforms && each.name.endsWith('_direct')) continue;
      let variant = 0;
      for (const { operator } of variantsOf(each)) {
        const known = found.get(operator) ?? [];
        known.push({ entry, kernel, variant: variant++ });
        found.set(operator, known);
      }
    }
  }
  return found;
}

function nthVariant(kernel: Kernel, wanted: number): Variant {
  let at = 0;
  for (const variant of variantsOf(kernel)) if (at++ === wanted) return variant;
  throw new InternalError(`kernel ${kernel.name} has no variant ${wanted}`);
}

/** The mutant of a candidate, or null where the place is not for kernels' tests to see. */
function makeMutant(name: string, plans: Plans, { entry, kernel, variant }: Candidate): Mutant | null {
  const original = required(plans.get(entry)?.kernels[kernel], 'kernel');
  const { operator, site, ordinal, make } = nthVariant(original, variant);
  if (site !== null && isOfLibrary(site)) return null;
  const changed = make();
  return {
    id: `${name}/${entry}/${kernel}:${original.name}/${operator}#${variant}`, operator, entry, kernel, kernelName: original.name, changed,
    place: site === null ? 'the launch' : formatSite(site), mistake: kindOf(original, { operator, site, ordinal }),
    mined: site === null ? null : mine(site), equivalence: () => whyEquivalent({ original, changed, operator, site }),
  };
}

/** At most `count` mutants of a case that are the given mistake. */
export function twinsOf(name: string, plans: Plans, mistake: string, count: number): readonly Mutant[] {
  const [operator = ''] = mistake.split(' ');
  const twins: Mutant[] = [];
  for (const [entry, plan] of plans) {
    for (const [kernel, each] of plan.kernels.entries()) {
      let variant = -1;
      for (const found of variantsOf(each)) {
        variant += 1;
        if (found.operator !== operator || kindOf(each, found) !== mistake) continue;
        const twin = makeMutant(name, plans, { entry, kernel, variant });
        if (twin !== null) twins.push(twin);
        if (twins.length === count) return twins;
      }
    }
  }
  return twins;
}

/** `count` different mutants of a case: an operator first, then a place for it, so that rare operators count as much. */
export function chooseMutants(name: string, plans: Plans, count: number, seed: number): readonly Mutant[] {
  const choose = chooser(seed);
  const candidates = [...candidatesOf(plans)].sort(([left], [right]) => (left < right ? -1 : 1));
  const chosen = new Map<string, Mutant>();
  for (let attempt = 0; attempt < 8 * count && chosen.size < count; attempt++) {
    const [, places] = required(candidates[choose(candidates.length)], 'operator');
    const { entry, kernel, variant } = required(places[choose(places.length)], 'place');
    const mutant = makeMutant(name, plans, { entry, kernel, variant });
    if (mutant !== null) chosen.set(mutant.id, mutant);
  }
  return [...chosen.values()];
}

/** Writes out of bounds where the site's statement is reached. */
function mine(site: Site): Kernel | null {
  const { kernel, before } = site;
  const target = kernel.buffers.find((each) => each.access !== 'read');
  if (target === undefined) return null;
  const value = literal(0, loadedType(target.storage));
  return before([{ kind: 'store', buffer: target, index: integer(-1), value, aligned: false }]);
}

export type Killer = 'verifier' | 'sanitizer' | 'disagreement' | 'crash';

/** `survived`: every check passed; `unreached`: so it did, but the place is not executed at this case's lengths. */
export type Verdict = { readonly by: Killer | 'survived' | 'unreached'; readonly message: string };

function withKernel(plan: Plan, position: number, changed: Kernel): Plan {
  return { ...plan, kernels: plan.kernels.map((each, at) => (at === position ? changed : each)) };
}

/** What killed a mutant, by the error's first words. */
function verdictOf(error: unknown): Verdict {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof InternalError)) return { by: 'crash', message };
  return { by: / is wrong by /.test(message) ? 'disagreement' : 'sanitizer', message };
}

function verify(kernel: Kernel, sharedBytes: number): Verdict | null {
  try {
    assertKernel(kernel, 'a mutant', { ...defaultLimits, sharedBytes: Math.max(defaultLimits.sharedBytes, sharedBytes) });
    return null;
  } catch (error) {
    return { by: 'verifier', message: error instanceof Error ? error.message.split('\n')[0] ?? '' : String(error) };
  }
}

/** A case with what its unchanged plans save, for judging many mutants of it. */
export type Judged = { readonly plans: Plans; readonly judge: (mutant: Mutant) => Verdict };

/** Compiles a case and prepares the judgement of its mutants. */
export function prepareCase(each: KernelCase): Judged {
  // a step is a kernel for one token, which narrow machines borrow from the schedules of many
  const plans = new Map([...plansOf(each)].filter(([entry]) => entry !== 'step' || lengthsOf(each).includes(1)));
  const kept = new Map<number, SavedTensors>();
  const saved = (length: number): SavedTensors => {
    const known = kept.get(length) ?? checkPlan(required(plans.get('forwardSaved'), 'forwardSaved'), numbersOf(each.layer, length), new Map());
    kept.set(length, known);
    return known;
  };
  const run = (plan: Plan, length: number): void => {
    const made = checkPlan(plan, numbersOf(each.layer, length), plan.entry.startsWith('backward') ? saved(length) : new Map());
    // what forwardSaved keeps is judged by what backward makes of it
    if (plan.entry === 'forwardSaved') checkPlan(required(plans.get('backwardFinal'), 'backwardFinal'), numbersOf(each.layer, length), made);
  };
  const shortFirst = [...lengthsOf(each)].sort((left, right) => left - right);
  const runWith = (mutant: Mutant, kernel: Kernel): Verdict | null => {
    const plan = withKernel(required(plans.get(mutant.entry), mutant.entry), mutant.kernel, kernel);
    for (const length of mutant.entry === 'step' ? [1] : shortFirst) {
      try { run(plan, length); } catch (error) { return verdictOf(error); }
    }
    return null;
  };
  const judge = (mutant: Mutant): Verdict => {
    const refused = verify(mutant.changed, each.configuration.options.machine?.sharedBytes ?? 0);
    if (refused !== null) return refused;
    const found = runWith(mutant, mutant.changed);
    if (found !== null) return found;
    const isReached = mutant.mined === null || runWith(mutant, mutant.mined) !== null;
    return isReached ? { by: 'survived', message: 'all checks passed' } : { by: 'unreached', message: 'not executed at these lengths' };
  };
  return { plans, judge };
}
