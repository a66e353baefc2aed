/** What the launches of a convolution need to know of the plan that they become part of. */
import type { SizeExpression } from '../../../support/size.ts';
import type { Kernel } from '../../kernel/nodes.ts';
import type { ValueId } from '../../tensor/ops.ts';
import type { MemoryReference } from '../access.ts';
import type { Machine } from '../parameters.ts';

export type ConvolutionContext = {
  readonly machine: Machine;
  /** where an operand or a result lies */
  readonly memory: (id: ValueId) => MemoryReference;
  readonly axesOf: (id: ValueId) => readonly string[];
  readonly extent: (axis: string) => SizeExpression;
  /** a new tensor between launches; axes in memory order */
  readonly scratch: (name: string, axes: readonly string[]) => MemoryReference;
  /** a run-time axis of this plan; returns its unique name */
  readonly declareAxis: (axis: string, size: SizeExpression) => string;
  readonly launch: (kernel: Kernel) => void;
  /** stem of this operation's kernels */
  readonly name: string;
  /** tensors that operations of this plan share, by what they hold */
  readonly shared: Map<string, readonly MemoryReference[]>;
  readonly algorithm: ConvolutionAlgorithm;
  /** whether a later convolution or correlation of this plan takes the value too */
  readonly isConvolvedLater: (id: ValueId) => boolean;
};

/** How convolutions and correlations are evaluated; `auto`: by the length of the run. */
export type ConvolutionAlgorithm = 'direct' | 'fft' | 'auto';
