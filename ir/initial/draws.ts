/** Initialisers that draw: one number per entry of the parameter, or of the axes in the call's brackets. */
import { exponential, logarithm } from './portable.ts';
import type { RandomStream } from './random.ts';

/** A distribution: its parameters' names with what they are when left out, and a number by index. */
export type Draw = {
  readonly arguments: readonly { readonly name: string; readonly absent: number }[];
  /** null when the parameters make sense, else why not */
  readonly refusal: (first: number, second: number) => string | null;
  readonly at: (stream: RandomStream, index: number, first: number, second: number) => number;
};

const interval = (name: string): Pick<Draw, 'arguments' | 'refusal'> => ({
  arguments: [{ name: 'low', absent: name === 'uniform' ? 0 : 1e-3 }, { name: 'high', absent: name === 'uniform' ? 1 : 1e-1 }],
  refusal: (low, high) => {
    if (!(low <= high)) return `\`low\` is ${low}, \`high\` is ${high}`;
    return name === 'log_uniform' && !(low > 0) ? `\`low\` is ${low}, but must be above 0` : null;
  },
});

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
]);
