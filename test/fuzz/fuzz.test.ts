/** Every fuzzer over a fixed number of inputs; `scripts/fuzz` goes on from there. */
import { describe, expect, it } from 'vitest';
import { fuzzTargets } from './targets/index.ts';

describe('fuzzers find nothing', () => {
  it.each(fuzzTargets.map((each) => [each.name, each] as const))('%s', async (_, target) => {
    const { runs, failure } = await target.fuzz({ seed: 20_261_122, runs: target.runs });
    expect(failure ?? '').toBe('');
    expect(runs).toBe(target.runs);
  });
});
