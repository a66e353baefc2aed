/** The tensors that a run gives its caller: the caller's own (`into`) or new ones. */
import type { Session } from './session.ts';
import type { CheckedRequest } from './request.ts';
import { createTensor, type CudaTensor } from './tensor.ts';

export type Results = ReadonlyMap<string, CudaTensor>;

/** Ends the result tensors that a failed run made. */
export function disposeNew(results: Results, request: CheckedRequest): void {
  for (const [name, tensor] of results) if (!request.into.has(name)) tensor[Symbol.dispose]();
}

/** Results of a request, all or none. */
export function allocateResults(session: Session, layer: string, request: CheckedRequest): Results {
  const results = new Map<string, CudaTensor>();
  try {
    for (const { tensor, length } of request.results) {
      const label = `${layer}/${request.entry.name}/${tensor.name}`;
      results.set(tensor.name, request.into.get(tensor.name) ?? createTensor(session, tensor.storage, length, label));
    }
  } catch (error) {
    disposeNew(results, request);
    throw error;
  }
  return results;
}
