/**
 * What a run request must obey on every device, in one place: which tensors of an entry the caller
 * brings and which it gets back, and the sizes.
 */
import type { EntryPointName, ManifestTensor } from '../backends/artifact.ts';
import { ssmError } from '../support/diagnostic.ts';
import { showValue } from '../support/show-value.ts';
import type { RunSizes } from '../support/size.ts';

/** Largest element count that i32 indices reach. */
export const maximumElements: number = 2 ** 31 - 1;

/** What the caller brings, gets back, or never sees. */
export function directionOf(tensor: ManifestTensor, entry: EntryPointName): 'given' | 'result' | 'scratch' {
  switch (tensor.role) {
    case 'output':
    case 'final':
    case 'gradient':
      return 'result';
    case 'saved':
      return entry === 'forwardSaved' ? 'result' : 'given';
    case 'scratch':
      return 'scratch';
    default:
      return 'given';
  }
}

/** The sizes, if both are non-negative integers; SSM6004 otherwise. */
export function checkSizes(sizes: unknown): RunSizes {
  const size = (name: 'batch' | 'length'): number => {
    const value: unknown = (sizes as Readonly<Record<string, unknown>> | undefined | null)?.[name];
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    throw ssmError('SSM6004', `\`sizes.${name}\` must be a non-negative integer, found ${showValue(value)}`);
  };
  return { batch: size('batch'), length: size('length') };
}

/** Throws SSM6004 for what is given as a signal and cannot abort anything. */
export function checkSignal(signal: unknown): asserts signal is AbortSignal | undefined {
  if (signal === undefined) return;
  const candidate = signal as Partial<AbortSignal> | null;
  if (typeof candidate !== 'object' || typeof candidate?.throwIfAborted !== 'function') throw ssmError('SSM6004', '`signal` must be an AbortSignal');
}
