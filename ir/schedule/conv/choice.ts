/**
 * Directly or by FFT? Both are launched, and the length of the run decides which of them works: a
 * kernel asks once, the same for all threads. Beyond the longest transform it is always direct.
 */
import { binary, integer, less, type KernelBuilder } from '../../kernel/builder.ts';
import { bool, type KernelExpression } from '../../kernel/nodes.ts';
import type { ConvolutionAlgorithm, ConvolutionContext } from './context.ts';
import { longestTransform } from './fft-core.ts';

/** The length from which on a transform is cheaper than the products of all pairs of tokens; measured on one core and on an H200 alike. */
const cheaperFrom = 1024;

/** The length from which on the algorithm transforms. */
export function transformFrom(algorithm: ConvolutionAlgorithm): number {
  if (algorithm === 'direct') return Infinity;
  return algorithm === 'fft' ? 1 : cheaperFrom;
}

/** Whether this run transforms; uniform. */
export function isTransformed(builder: KernelBuilder, { algorithm }: Pick<ConvolutionContext, 'algorithm'>): KernelExpression {
  const length = builder.uniform('length', 'length');
  const from = transformFrom(algorithm);
  const fits = less(length, integer(longestTransform + 1));
  return from <= 1 ? fits : binary('and', less(integer(from - 1), length), fits);
}

/** Whether this run multiplies pairs of tokens; uniform. */
export function isDirect(builder: KernelBuilder, { algorithm }: Pick<ConvolutionContext, 'algorithm'>): KernelExpression {
  if (algorithm === 'direct') return { kind: 'literal', value: 1, type: bool };
  const length = builder.uniform('length', 'length');
  const from = transformFrom(algorithm);
  const beyond = less(integer(longestTransform), length);
  return from <= 1 ? beyond : binary('or', less(length, integer(from)), beyond);
}

/** The choice in words. */
export function describeAlgorithm(algorithm: ConvolutionAlgorithm): string {
  const from = transformFrom(algorithm);
  if (from === Infinity) return 'direct convolution';
  if (from <= 1) return `convolution by FFT up to ${longestTransform} tokens`;
  return `direct convolution below ${from} tokens, by FFT from there on`;
}
