/**
 * No index of a kernel passes 2^31 where the tensors still fit (H1–H3): kernels count in 32 bits and
 * runtimes refuse tensors of more elements. Intervals are up to four times too wide (a rest of a tile
 * counts as a whole sequence), so tensors here have at most 2^29 elements.
 */
import { describe, expect, it } from 'vitest';
import { integer, multiply } from '../../ir/kernel/builder.ts';
import type { Kernel } from '../../ir/kernel/nodes.ts';
import type { Plan } from '../../ir/plan.ts';
import { evaluateSize, productOfSizes, type RunSizes } from '../../support/size.ts';
import { required } from '../../support/invariant.ts';
import { plansOf } from '../support/kernel-cases.ts';
import { largestIndex } from './index-range.ts';
import { mutationCases } from './mutants.ts';
import { sitesOf } from './sites.ts';

const mostElements = 2 ** 29;

/** Sizes at which the plan's largest tensor has nearly `mostElements`: one long sequence, or many short ones. */
function largestSizes(plan: Plan, longest: number): readonly RunSizes[] {
  const elements = (sizes: RunSizes): number => Math.max(...plan.tensors.map((each) => evaluateSize(productOfSizes(each.dims), sizes)));
  const fit = (of: (scale: number) => RunSizes): RunSizes => {
    let scale = 2 ** 29;
    while (scale > 1 && elements(of(scale)) > mostElements) scale /= 2;
    return of(scale);
  };
  return [fit((scale) => ({ batch: 1, length: Math.min(longest, scale + 1) })), fit((scale) => ({ batch: scale + 1, length: 7 }))];
}

function excess(kernels: readonly Kernel[], sizes: RunSizes): readonly string[] {
  return kernels.filter((each) => largestIndex(each, sizes) >= 2n ** 31n).map((each) => `${each.name} up to ${largestIndex(each, sizes)} at ${JSON.stringify(sizes)}`);
}

describe('indices', () => {
  // narrow machines are of tests only; transforms end at 2^20 tokens, where test/numeric/conv-long runs them
  const cases = mutationCases.filter(({ configuration: { options } }) => options.convolution !== 'fft' && options.machine === undefined);

  it.each(cases.map((each) => [each.name, each] as const))('%s', (_name, each) => {
    for (const plan of plansOf(each).values()) {
      if (plan.entry === 'step') continue;
      for (const sizes of largestSizes(plan, Infinity)) expect(excess(plan.kernels, sizes)).toEqual([]);
    }
  });

  it('sees a stride that wraps', () => {
    const plan = required(plansOf(required(mutationCases[0], 'case')).get('forward'), 'forward');
    const kernel = required(plan.kernels[0], 'kernel');
    const wrapped = [...sitesOf(kernel)].flatMap((site) =>
      (site.kind === 'expression' && site.role === 'index' && site.isWhole ? [site.rebuild(multiply(site.expression, integer(16)))] : []));
    expect(largestSizes(plan, Infinity).some((sizes) => excess(wrapped, sizes).length > 0)).toBe(true);
  });
});
