/** Medians and spreads of repeated measurements; every number of a table or a search goes through here. */

export type Summary = {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly count: number;
};

/** Median, least and most of some numbers. */
export function summarize(numbers: readonly number[]): Summary {
  const sorted = [...numbers].sort((left, right) => left - right);
  const at = (place: number): number => sorted[Math.min(sorted.length - 1, place)] ?? NaN;
  return { median: at(Math.floor(sorted.length / 2)), least: at(0), most: at(sorted.length - 1), count: sorted.length };
}

/**
 * Mean of the middle half: as steady as a median, and, where a clock ticks coarsely, finer than one tick,
 * which a median is not.
 */
export function middleMean(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((left, right) => left - right);
  const cut = Math.max(0, Math.ceil((sorted.length - 2) / 4));
  const middle = sorted.slice(cut, sorted.length - cut);
  return middle.reduce((sum, each) => sum + each, 0) / middle.length;
}

/** A generator of numbers in [0, 1), the same on every machine. */
export function makeRandom(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 8) / 16_777_216;
  };
}
