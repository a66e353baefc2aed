/** Parameters of a layer in the page: from its initialisers, small seeded numbers where it has none. */
import type { LayerSpec } from '../../../dsl/spec.ts';
import { randomStream } from '../../../ir/initial/random.ts';
import type { PreparedText } from '../services/protocol.ts';
import { widthOf } from './signals.ts';

const spread = 0.3;

/** Values by parameter, all of them. */
export function completeParameters({
  spec,
  parameters,
}: Pick<PreparedText, 'spec' | 'parameters'>): Readonly<Record<string, Float64Array>> {
  return Object.fromEntries(
    spec.params.map((each) => [each.name, parameters.get(each.name) ?? drawn(spec, each)]),
  );
}

function drawn(spec: LayerSpec, param: LayerSpec['params'][number]): Float64Array {
  const stream = randomStream(1, param.name, 0);
  return Float64Array.from({ length: widthOf(spec, param) }, (_, at) => spread * stream.normal(at));
}
