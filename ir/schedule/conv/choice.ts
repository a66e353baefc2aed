/**
 * Directly or by FFT? Both are launched, and the length of the run decides which of them works: a
 * kernel asks once, the same for all threads. Beyond the longest transform it is always direct.
 */
import { binary, integer, less, type KernelBuilder } from '../../kernel/builder.ts';
import { bool, type KernelExpression } from '../../kernel/nodes.ts';
import type { Machine } from '../parameters.ts';
import type { ConvolutionAlgorithm, ConvolutionContext } from './context.ts';
import { longestTransform } from './fft-core.ts';

/** The length from which on a transform is cheaper than the products of all pairs of tokens. */
export function transformFrom(machine: Machine, algorithm: ConvolutionAlgorithm): number {
  if (algorithm === 'direct') return Infinity;
  if (algorithm === 'fft') return 1;
  return machine.maximumWorkgroup === 1 ? 1024 : 2048;
}

/** Whether this run transforms; uniform. */
export function isTransformed(builder: KernelBuilder, { machine, algorithm }: Pick<ConvolutionContext, 'machine' | 'algorithm'>): KernelExpression {
  const length = builder.uniform('length', 'length');
  const from = transformFrom(machine, algorithm);
  const fits = less(length, integer(longestTransform + 1));
  return from <= 1 ? fits : binary('and', less(integer(from - 1), length), fits);
}

/** Whether this run multiplies pairs of tokens; uniform. */
export function isDirect(builder: KernelBuilder, context: Pick<ConvolutionContext, 'machine' | 'algorithm'>): KernelExpression {
  if (context.algorithm === 'direct') return { kind: 'literal', value: 1, type: bool };
  const length = builder.uniform('length', 'length');
  const from = transformFrom(context.machine, context.algorithm);
  const beyond = less(integer(longestTransform), length);
  return from <= 1 ? beyond : binary('or', less(length, integer(from)), beyond);
}

/** The choice in words. */
export function describeAlgorithm(machine: Machine, algorithm: ConvolutionAlgorithm): string {
  const from = transformFrom(machine, algorithm);
  if (from === Infinity) return 'direct convolution';
  if (from <= 1) return `convolution by FFT up to ${longestTransform} tokens`;
  return `direct convolution below ${from} tokens, by FFT from there on`;
}
