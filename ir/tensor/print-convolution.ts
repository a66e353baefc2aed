/** The text of convolutions' operations; `parse-convolution` reads it back. */
import type { ConvolutionOp, PowerBase, ValueId } from './ops.ts';

function ids(values: readonly ValueId[]): string {
  return values.map((id) => `%${id}`).join(', ');
}

/** `exponential step %1 of %2, %3`, `value of %2` */
function printBase(base: PowerBase): string {
  const parts = base.im === null ? [base.re] : [base.re, base.im];
  if (base.kind === 'value') return `value of ${ids(parts)}`;
  return `exponential ${base.step === null ? '' : `step %${base.step} `}of ${ids(parts)}`;
}

/** What stands right of `=`. */
export function printConvolution(op: ConvolutionOp, printAxes: (axes: readonly string[]) => string): string {
  switch (op.kind) {
    case 'impulse-response':
      return `impulse-response ${op.order} ${printBase(op.base)} weight ${ids(op.weight)} over ${printAxes(op.over)} start ${op.start}`;
    case 'power-moment':
      return `power-moment ${op.order} ${printBase(op.base)} signal %${op.signal} start ${op.start} factor ${op.factor}`;
    case 'power':
      return `power ${printBase(op.base)} steps ${op.steps} lengths ${op.lengths} factor ${op.factor}`;
    case 'convolve':
      return `convolve ${op.order} ${ids([op.response, op.signal])}`;
    case 'correlate':
      return `correlate ${ids([op.late, op.early])} over ${printAxes(op.over)}`;
    default:
      return op satisfies never;
  }
}
