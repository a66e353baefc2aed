/** Whether the compiler can make a layer a convolution: the pass itself is asked, on the forward function alone. */
import type { LayerSpec } from '../../dsl/spec.ts';
import { formConvolutions } from '../passes/form-convolutions.ts';
import { lowerComplex } from '../passes/lower-complex.ts';
import { lowerSpec } from '../passes/lower-spec.ts';
import { ValueIds } from '../tensor/builder.ts';

/** One reason per state that stays a recurrence; a layer without a state has none to convolve. */
export function obstaclesToConvolution(spec: LayerSpec): readonly string[] {
  if (!spec.body.some((item) => item.kind === 'state')) return ['the layer has no state'];
  const ids = new ValueIds();
  const obstacles: string[] = [];
  formConvolutions(lowerComplex(lowerSpec(spec, ids), ids), ids, {
    wants: () => true, onConvolved: () => {}, onObstacle: (state, reason) => obstacles.push(`${state}: ${reason}`),
  });
  return obstacles;
}
