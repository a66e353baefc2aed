/** Initialisers that draw: one number per entry of the parameter, or of the axes in the call's brackets. */
import { cosineOfTurns, exponential, logarithm } from './portable.ts';
import type { RandomStream } from './random.ts';

/** A distribution: its parameters' names with what they are when left out, and a number by index. */
export type Draw = {
  readonly arguments: readonly { readonly name: string; readonly absent: number }[];
  /** null when the parameters make sense, else why not */
  readonly refusal: (first: number, second: number) => string | null;
  readonly at: (stream: RandomStream, index: number, first: number, second: number) => number;
  /** the imaginary part where every number is complex, whatever the parameter's type */
  readonly imaginaryAt?: (stream: RandomStream, index: number, first: number, second: number) => number;
};

const interval = (name: string): Pick<Draw, 'arguments' | 'refusal'> => ({
  arguments: [{ name: 'low', absent: name === 'uniform' ? 0 : 1e-3 }, { name: 'high', absent: name === 'uniform' ? 1 : 1e-1 }],
  refusal: (low, high) => {
    if (!(low <= high)) return `\`low\` is ${low}, \`high\` is ${high}`;
    return name === 'log_uniform' && !(low > 0) ? `\`low\` is ${low}, but must be above 0` : null;
  },
});

/** Uniform over the ring between two radii, at any angle: LRU (Orvieto et al. 2023), lemma 3.2. */
function ringRadius(stream: RandomStream, index: number, low: number, high: number): number {
  return Math.sqrt(low * low + (high * high - low * low) * stream.uniform(2 * index));
}

/** By call name; arguments in their order. */
export const draws: ReadonlyMap<string, Draw> = new Map<string, Draw>([
  ['normal', {
    arguments: [{ name: 'mean', absent: 0 }, { name: 'std', absent: 1 }],
    refusal: (_mean, std) => (std >= 0 ? null : `\`std\` is ${std}`),
    at: (stream, index, mean, std) => mean + std * stream.normal(index),
  }],
  ['uniform', { ...interval('uniform'), at: (stream, index, low, high) => low + (high - low) * stream.uniform(index) }],
  ['log_uniform', {
    ...interval('log_uniform'),
    at: (stream, index, low, high) => {
      const from = logarithm(low);
      const drawn = exponential(from + (logarithm(high) - from) * stream.uniform(index));
      return Math.min(high, Math.max(low, drawn));
    },
  }],
  ['lru_ring', {
    arguments: [{ name: 'low', absent: 0.9 }, { name: 'high', absent: 0.999 }],
    refusal: (low, high) => (0 <= low && low <= high ? null : `\`low\` is ${low}, \`high\` is ${high}`),
    at: (stream, index, low, high) => ringRadius(stream, index, low, high) * cosineOfTurns(stream.uniform(2 * index + 1)),
    imaginaryAt: (stream, index, low, high) => {
      const quarterBack = stream.uniform(2 * index + 1) + 0.75;
      return ringRadius(stream, index, low, high) * cosineOfTurns(quarterBack - Math.floor(quarterBack));
    },
  }],
]);
