/** Launches of the operations that convolutions consist of. */
import type { Machine } from '../parameters.ts';
import type { ConvolutionOp, TensorInstruction } from '../../tensor/ops.ts';
import type { ConvolutionAlgorithm, ConvolutionContext } from './context.ts';
import { emitDirect } from './direct.ts';
import { emitMoment } from './moment.ts';
import { emitPower } from './power.ts';
import { emitResponse } from './response.ts';

export type { ConvolutionAlgorithm, ConvolutionContext } from './context.ts';

/** The choice in words. */
export function describeAlgorithm(_machine: Machine, _algorithm: ConvolutionAlgorithm): string {
  return 'direct convolution';
}

/** Appends the launches of one operation; its operands lie in memory. */
export function emitConvolution(context: ConvolutionContext, op: ConvolutionOp, instruction: TensorInstruction): void {
  switch (op.kind) {
    case 'impulse-response':
      return emitResponse(context, op, instruction);
    case 'power-moment':
      return emitMoment(context, op, instruction);
    case 'power':
      return emitPower(context, op, instruction);
    case 'convolve':
    case 'correlate':
      return emitDirect(context, op, instruction);
    default:
      return op satisfies never;
  }
}
