/**
 * Runs without tokens or without sequences, defined without a kernel: outputs are empty, the final
 * state is the initial one, so the gradient of the initial state is the final cotangent, and all
 * other gradients are zero.
 */
import type { ManifestTensor } from '../../backends/artifact.ts';
import { required } from '../../support/invariant.ts';
import type { CheckedRequest } from './request.ts';
import type { Results } from './results.ts';
import type { Session } from './session.ts';
import { isCudaTensor } from './tensor.ts';

/** The given tensor whose values the result takes over, or null for zeros. */
function sourceOf(result: ManifestTensor, request: CheckedRequest): string | null {
  const role = result.role === 'final' ? 'initial' : 'final-cotangent';
  if (result.role !== 'final' && result.role !== 'gradient') return null;
  return request.inputs.find(({ tensor }) => tensor.role === role && tensor.subject === result.subject)?.tensor.name ?? null;
}

/** Writes the defined values into the results. */
export function fillEmptyRun(session: Session, request: CheckedRequest, results: Results): void {
  for (const { tensor } of request.results) {
    const target = required(results.get(tensor.name), `result ${tensor.name}`);
    if (target.bytes === 0) continue;
    const source = sourceOf(tensor, request);
    const value = source === null ? undefined : request.given.get(source);
    session.call(`\`${tensor.name}\``, (native) => {
      if (value === undefined) native.fill(target.block(), 0, target.bytes);
      else if (isCudaTensor(value)) native.copy(value.block(), target.block(), target.bytes);
      else native.upload(target.block(), 0, value);
    });
  }
}
