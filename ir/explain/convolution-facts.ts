/**
 * Whether the compiler can make a layer a convolution, and what that costs against the recurrence: the
 * pass itself is asked, on the forward function alone. Costs are arithmetic operations per token, read
 * off Tensor IR; they know nothing of memory or of how well a machine is filled.
 */
import type { LayerSpec } from '../../dsl/spec.ts';
import type { RunSizes } from '../../support/size.ts';
import { formConvolutions } from '../passes/form-convolutions.ts';
import { lowerComplex } from '../passes/lower-complex.ts';
import { lowerSpec } from '../passes/lower-spec.ts';
import { ValueIds } from '../tensor/builder.ts';
import { operandsOfConvolution } from '../tensor/convolution.ts';
import { isConvolutionOp, type ConvolutionOp, type TensorModule, type ValueId } from '../tensor/ops.ts';
import { typesOf } from '../tensor/walk.ts';

type Formed = { readonly before: TensorModule; readonly after: TensorModule; readonly obstacles: readonly string[] };

function form(spec: LayerSpec): Formed {
  const ids = new ValueIds();
  const obstacles: string[] = [];
  const before = lowerComplex(lowerSpec(spec, ids), ids);
  const after = formConvolutions(before, ids, {
    wants: () => true, onConvolved: () => {}, onObstacle: (state, reason) => obstacles.push(`${state}: ${reason}`),
  });
  return { before, after, obstacles };
}

/** One reason per state that stays a recurrence; a layer without a state has none to convolve. */
export function obstaclesToConvolution(spec: LayerSpec): readonly string[] {
  if (!spec.body.some((item) => item.kind === 'state')) return ['the layer has no state'];
  return form(spec).obstacles;
}

/** Arithmetic operations per token of the recurrences themselves, and of what takes their place. */
export type ConvolutionCosts = { readonly recurrent: number; readonly direct: number; readonly fft: number };

/** Null where the layer is no convolution. The initial state is taken as zero, which costs nothing. */
export function convolutionCosts(spec: LayerSpec, sizes: RunSizes): ConvolutionCosts | null {
  const { before, after, obstacles } = form(spec);
  if (obstacles.length > 0) return null;
  const count = (axes: Iterable<string>): number =>
    [...new Set(axes)].reduce((product, axis) => product * (spec.axes.find((each) => each.name === axis)?.size ?? 1), 1);
  let recurrent = 0;
  for (const each of before.functions) {
    for (const { op } of each.instructions) {
      // the update, and a read-out of as many parts
      if (op.kind === 'affine-scan') recurrent += count(op.axes) * (op.current.length === 1 ? 4 : op.coefficient.kind === 'value' && op.coefficient.parts.length > 1 ? 12 : 8);
    }
  }
  const total = { recurrent, direct: 0, fft: 0 };
  for (const each of after.functions) {
    const types = typesOf(each.instructions);
    const axesOf = (id: ValueId): readonly string[] => types.get(id)?.axes ?? [];
    for (const { op } of each.instructions) {
      if (!isConvolutionOp(op)) continue;
      const cost = costOf(op, axesOf, count, sizes);
      total.direct += cost.direct;
      total.fft += cost.fft;
    }
  }
  return total;
}

function costOf(
  op: ConvolutionOp, axesOf: (id: ValueId) => readonly string[], count: (axes: Iterable<string>) => number, { batch, length }: RunSizes,
): { readonly direct: number; readonly fft: number } {
  const axes = operandsOfConvolution(op).flatMap(axesOf);
  const both = (cost: number): { direct: number; fft: number } => ({ direct: cost, fft: cost });
  switch (op.kind) {
    case 'impulse-response':
      // per sequence only from an initial state
      return axes.includes('batch') ? both(0) : both((count(axes) * (op.base.im === null ? 2 : 4)) / batch);
    case 'power-moment':
      return both(count(axes) * (op.base.im === null ? 2 : 4));
    case 'power':
      return both(0);
    case 'convolve':
    case 'correlate': {
      const channels = count(axes);
      const logPoints = Math.ceil(Math.log2(Math.max(2, length)));
      const transform = (5 * logPoints * 2 ** logPoints) / length;
      // the input's and the result's transforms per sequence, the response's once
      return { direct: channels * length, fft: channels * (transform * (2 + 1 / batch) + 30) };
    }
    default:
      return op satisfies never;
  }
}
