/** Launches of the operations that convolutions consist of. */
import type { ConvolutionOp, TensorInstruction } from '../../tensor/ops.ts';
import type { ConvolutionContext } from './context.ts';
import { emitDirect } from './direct.ts';
import { emitTransformed } from './fft.ts';
import { emitMoment } from './moment.ts';
import { emitPower } from './power.ts';
import { emitResponse } from './response.ts';

export { describeAlgorithm, transformFrom } from './choice.ts';
export type { ConvolutionAlgorithm, ConvolutionContext } from './context.ts';

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
      emitDirect(context, op, instruction);
      if (context.algorithm !== 'direct') emitTransformed(context, op, instruction);
      return;
    default:
      return op satisfies never;
  }
}
