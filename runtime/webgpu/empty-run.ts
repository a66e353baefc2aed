/**
 * Runs without tokens or without sequences, defined without a kernel: outputs are empty, the final
 * state is the initial one, so the gradient of the initial state is the final cotangent, and all
 * other gradients are zero.
 */
import type { ManifestTensor } from '../../backends/artifact.ts';
import { required } from '../../support/invariant.ts';
import type { CheckedRequest } from './request.ts';
import type { Session } from './session.ts';
import { uploadBytes } from '../storage.ts';
import { isWebGpuTensor, type WebGpuTensor } from './tensor.ts';

/** The given tensor whose values the result takes over, or null for zeros. */
function sourceOf(result: ManifestTensor, request: CheckedRequest): string | null {
  const role = result.role === 'final' ? 'initial' : 'final-cotangent';
  if (result.role !== 'final' && result.role !== 'gradient') return null;
  const source = request.inputs.find(({ tensor }) => tensor.role === role && tensor.subject === result.subject);
  return source?.tensor.name ?? null;
}

/** Writes the defined values into the results. */
export async function fillEmptyRun(
  session: Session, request: CheckedRequest, results: ReadonlyMap<string, WebGpuTensor>,
): Promise<void> {
  const encoder = session.device.createCommandEncoder({ label: 'ssm/empty-run' });
  const writes: (() => void)[] = [];
  for (const { tensor, length } of request.results) {
    if (length === 0) continue;
    const target = required(results.get(tensor.name), `result ${tensor.name}`).buffer();
    const source = sourceOf(tensor, request);
    const value = source === null ? undefined : request.given.get(source);
    if (value === undefined) encoder.clearBuffer(target);
    else if (isWebGpuTensor(value)) encoder.copyBufferToBuffer(value.buffer(), 0, target, 0, target.size);
    else writes.push(() => session.device.queue.writeBuffer(target, 0, uploadBytes(value)));
  }
  session.device.queue.submit([encoder.finish()]);
  writes.forEach((write) => write());
  await session.allocationsDone();
}
