/**
 * A sample of the mutation run (`bash scripts/mutants.sh` is the whole): kernels of a few examples, made
 * wrong in every way that applies to them. The ordinary checks see each, or a rule or a reviewed
 * explanation says why no result can differ.
 */
import { describe, expect, it } from 'vitest';
import { required } from '../../support/invariant.ts';
import { isOpen, runCampaign, summaryTable } from './campaign.ts';
import { whyEquivalent } from './equivalence.ts';
import { chooseMutants, mutationCases, prepareCase, variantsOf, type Mutant } from './mutants.ts';
import { launchOperators, mutationOperators } from './operators.ts';

const perCase = 7;

/** Cases with every schedule and mode among them, small ones. */
const sampled = [
  's4d (cpu, recurrent)', 'hgrn (narrow gpu, recurrent)', 's6 (narrow gpu with shuffles, recurrent)', 's5-reset (cpu, scan)',
  'rg-lru (narrow gpu, scan)', 'lru (gpu, conv direct)', 'dss (cpu, conv fft)', 'mamba-projections (narrow gpu, recurrent)',
];

const caseOf = (name: string): (typeof mutationCases)[number] => required(mutationCases.find((each) => each.name === name), name);

describe('a sample of mutants', () => {
  it.each(sampled)('of %s', (name) => {
    const each = caseOf(name);
    const results = runCampaign({ cases: [each], twins: mutationCases, perCase, seed: 7 });
    expect(results.length).toBe(perCase);
    expect(results.filter(isOpen).map(({ mutant, outcome, message }) => `${outcome}: ${mutant.id}: ${mutant.place}: ${message}`)).toEqual([]);
    expect(summaryTable(results)).toContain(`| all | ${perCase} |`);
  });
});

describe('the machinery', () => {
  const forward = required(prepareCase(caseOf('s6 (narrow gpu with shuffles, recurrent)')).plans.get('forwardSaved')?.kernels[0], 'kernel');

  it('lets an unchanged kernel live', () => {
    const { plans, judge } = prepareCase(caseOf('hgrn (narrow gpu, recurrent)'));
    const kernel = required(plans.get('forward')?.kernels[0], 'kernel');
    const [mutant] = chooseMutants('hgrn', plans, 1, 1);
    expect(judge({ ...required(mutant, 'mutant'), entry: 'forward', kernel: 0, changed: kernel, mined: null }).by).toBe('survived');
  });

  it.each(['dss (narrow gpu with shuffles, recurrent)', 's6 (narrow gpu with shuffles, recurrent)'])('calls no barrier needless whose absence is seen: %s', (name) => {
    const { plans, judge } = prepareCase(caseOf(name));
    const kernels = required(plans.get('forward'), 'forward').kernels;
    const judged = kernels.flatMap((original, kernel) => [...variantsOf(original)].flatMap(({ operator, site, make }) => {
      if (operator !== 'drop-barrier') return [];
      const changed = make();
      const equivalence = whyEquivalent({ original, changed, operator, site });
      const mutant: Mutant = { id: name, operator, entry: 'forward', kernel, kernelName: original.name, place: '', mistake: '', changed, mined: null, equivalence: () => equivalence };
      return [{ isNeedless: equivalence !== null, by: judge(mutant).by }];
    }));
    const seen = judged.filter((each) => each.by === 'sanitizer');
    expect(judged.length).toBeGreaterThan(0);
    expect(seen.filter((each) => each.isNeedless)).toEqual([]);
    // one thread of dss has a channel to itself, two of s6 share one
    expect(seen.length > 0).toBe(name.startsWith('s6'));
    expect(judged.filter((each) => each.by === 'survived' && !each.isNeedless)).toEqual([]);
  });

  it('applies nearly every operator to one kernel', () => {
    const found = new Set([...variantsOf(forward)].map((each) => each.operator));
    const missing = [...mutationOperators, ...launchOperators].map((each) => each.name).filter((name) => !found.has(name));
    expect(missing.sort()).toEqual(['fewer-components', 'fewer-lanes', 'reverse-time']);
  });
});
