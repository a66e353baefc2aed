/** The search by itself, on times that are functions: what it finds, when it stops, what it makes of refusals and noise. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { middleMean, summarize } from '../../cli/measure/statistics.ts';
import { search, type Refusal, type SearchEvent, type SearchRequest, type SearchResult } from '../../cli/tune/search.ts';

type Setting = Partial<Pick<SearchRequest<number>, 'budget' | 'isStopped' | 'resumeAt' | 'onEvent'>> & { readonly start?: number };
type Run = { readonly result: SearchResult<number>; readonly samples: number; readonly seen: ReadonlySet<number>; readonly held: ReadonlySet<number> };

/** Configurations are whole numbers from 0 to 20, neighbours lie one or two apart; a sample takes its time. */
async function run(timeOf: (at: number, sample: number) => number | Refusal, setting: Setting = {}): Promise<Run> {
  let [clock, samples] = [0, 0];
  const [seen, held] = [new Set<number>(), new Set<number>()];
  const { start = 0, ...rest } = setting;
  const result = await search<number>({
    space: { start, keyOf: String, neighbours: (at) => [at - 2, at - 1, at + 1, at + 2].filter((each) => each >= 0 && each <= 20) },
    measurer: {
      sample: (at) => {
        const taken = timeOf(at, samples++);
        seen.add(at);
        if (typeof taken === 'number') {
          clock += taken / 1e3;
          held.add(at);
        }
        return Promise.resolve(taken);
      },
      release: (at) => void held.delete(at),
    },
    now: () => clock, budget: 1e6, isStopped: () => false, onEvent: () => undefined, ...rest,
  });
  return { result, samples, seen, held };
}

const valley = (at: number): number => 10 + Math.abs(at - 13);

describe('search', () => {
  it('walks to the fastest from neighbour to neighbour', async () => {
    const { result } = await run(valley);
    expect(result).toMatchObject({ best: 13, milliseconds: 10, startMilliseconds: 23, ending: 'nothing better' });
    expect(result.samples).toBe(27);
  });

  it('is the same search for the same times', async () => {
    const events = async (): Promise<readonly SearchEvent<number>[]> => {
      const kept: SearchEvent<number>[] = [];
      await run(valley, { onEvent: (event) => void kept.push(event) });
      return kept;
    };
    const first = await events();
    expect(first.length).toBeGreaterThan(20);
    expect(await events()).toEqual(first);
  });

  it('stays with the rule unless something is faster by more than noise', async () => {
    const { result } = await run((at) => (at === 0 ? 10 : 9.9));
    expect(result).toMatchObject({ best: 0, milliseconds: 10, ending: 'nothing better' });
    expect((await run((at) => (at === 1 ? 9 : 10))).result.best).toBe(1);
  });

  it('is not led astray by single slow or fast samples', async () => {
    const { result } = await run((at, sample) => valley(at) * (sample % 7 === 3 ? 5 : sample % 11 === 5 ? 0.2 : 1));
    expect(result.best).toBeGreaterThanOrEqual(12);
    expect(result.best).toBeLessThanOrEqual(14);
  });

  it('goes around what is refused, and counts it', async () => {
    const { result, seen } = await run((at) => (at === 3 || at === 6 ? { kind: 'disagrees', reason: 'wrong' } : valley(at)));
    expect(result).toMatchObject({ best: 13, refused: 2 });
    expect(seen.has(3)).toBe(true);
    expect((await run((at) => (at === 0 ? 5 : { kind: 'refused', reason: 'no' }))).result).toMatchObject({ best: 0, refused: 2, measured: 1 });
  });

  it('ends when its time is up, with the best of what it knows', async () => {
    const { result, samples } = await run(valley, { budget: 1.5 });
    expect(result.ending).toBe('time');
    expect(result.best).toBeGreaterThan(0);
    expect(result.best).toBeLessThan(13);
    expect(samples).toBeLessThan(200);
  });

  it('ends when it is stopped, at once and with the rule if nothing is known', async () => {
    let left = 60;
    const { result } = await run(valley, { isStopped: () => --left < 0 });
    expect(result.ending).toBe('stopped');
    expect((await run(valley, { isStopped: () => true })).result).toMatchObject({ best: 0, ending: 'stopped' });
  });

  it('goes on from where an earlier search was', async () => {
    const { result, samples } = await run(valley, { resumeAt: 12 });
    expect(result.best).toBe(13);
    expect(samples).toBeLessThan((await run(valley)).samples);
    expect((await run(valley, { resumeAt: 20, start: 13 })).result.best).toBe(13);
  });

  it('lets go of what it has no more use for', async () => {
    const { held, seen } = await run(valley);
    expect(seen.size).toBeGreaterThan(14);
    expect(held.size).toBeLessThanOrEqual(3);
  });

  it('never gives something slower than the rule, whatever the times', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.double({ min: 0.1, max: 100, noNaN: true }), { minLength: 21, maxLength: 21 }), fc.nat(20), async (times, start) => {
      const { result } = await run((at) => times[at] ?? NaN, { start });
      expect(result.milliseconds).toBeLessThanOrEqual(result.startMilliseconds);
      expect(times[result.best]).toBeCloseTo(result.milliseconds, 9);
    }), { numRuns: 60 });
  });
});

describe('statistics', () => {
  it('of the middle half leave the tails out', () => {
    expect(middleMean([1, 2, 3, 100])).toBe(2.5);
    expect(middleMean([5])).toBe(5);
    expect(middleMean([0, 0, 65.5, 65.5])).toBe(32.75);
  });

  it('of a few numbers', () => {
    expect(summarize([3, 1, 2])).toEqual({ median: 2, least: 1, most: 3, count: 3 });
  });
});
