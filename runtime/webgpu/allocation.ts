/** The buffers of one run: results that outlive it, and arenas, scratch and uploads that do not. */
import type { Manifest } from '../../backends/artifact.ts';
import { required } from '../../support/invariant.ts';
import { evaluateSize } from '../../support/size.ts';
import type { KernelPipeline } from './pipelines.ts';
import type { CheckedRequest, SizedTensor } from './request.ts';
import type { Session } from './session.ts';
import { bytesPerElement } from '../storage.ts';
import { createTensor, isWebGpuTensor, type WebGpuTensor } from './tensor.ts';
import { bufferUsage } from './usage.ts';
import type { Workspace } from './workspace.ts';

/** What a prepared layer knows when it runs. */
export type RunContext = {
  readonly session: Session;
  readonly manifest: Manifest;
  readonly pipelines: ReadonlyMap<string, KernelPipeline>;
  readonly workspace: Workspace;
};

/** A tensor's bytes in a buffer. */
type Place = { readonly buffer: GPUBuffer; readonly offset: number; readonly bytes: number };

/** Buffers of one run. */
export type Allocation = {
  /** by tensor name: where it lies, in bytes */
  readonly places: ReadonlyMap<string, Place>;
  /** by binding name: tensors with a buffer of their own, and arenas */
  readonly bindings: ReadonlyMap<string, GPUBuffer>;
  readonly results: ReadonlyMap<string, WebGpuTensor>;
  /** to be called when the work is in the queue: what later submissions may overwrite goes back to the workspace */
  readonly submitted: () => void;
  readonly release: (outcome: 'kept' | 'failed') => void;
};

const storageUsage = bufferUsage.storage | bufferUsage.copySource | bufferUsage.copyDestination;

function bytesOf(sized: SizedTensor): number {
  return sized.length * bytesPerElement(sized.tensor.storage);
}

/** Results are the caller's `into` or new tensors. */
export function allocateResults(context: RunContext, request: CheckedRequest): ReadonlyMap<string, WebGpuTensor> {
  const results = new Map<string, WebGpuTensor>();
  try {
    for (const sized of request.results) {
      const { name, storage } = sized.tensor;
      const label = `ssm/${context.manifest.layer}/${request.entry.name}/${name}`;
      results.set(name, request.into.get(name) ?? createTensor(context.session, storage, sized.length, label));
    }
  } catch (error) {
    disposeNew(results, request);
    throw error;
  }
  return results;
}

/** Ends the result tensors that a failed run made. */
export function disposeNew(results: ReadonlyMap<string, WebGpuTensor>, request: CheckedRequest): void {
  for (const [name, tensor] of results) if (!request.into.has(name)) tensor[Symbol.dispose]();
}

/** Buffers for arenas, scratch and host inputs; back to the workspace after the run. */
export function allocate(context: RunContext, request: CheckedRequest): Allocation {
  const { session } = context;
  const results = allocateResults(context, request);
  const temporary: GPUBuffer[] = [];
  const places = new Map<string, Place>();
  const bindings = new Map<string, GPUBuffer>();
  const release = (outcome: 'kept' | 'failed'): void => {
    if (outcome === 'kept') return;
    temporary.forEach((each) => session.destroyBuffer(each));
    context.workspace.drop(request.entry.name); // one of them may be an allocation that failed
    disposeNew(results, request);
  };
  const submitted = (): void => context.workspace.give(request.entry.name, temporary.splice(0));
  const make = (bytes: number, name: string): GPUBuffer => {
    const label = `ssm/${context.manifest.layer}/${request.entry.name}/${name}`;
    const buffer = context.workspace.take(request.entry.name, bytes, storageUsage, label);
    temporary.push(buffer);
    bindings.set(name, buffer);
    return buffer;
  };
  try {
    const sizedByName = new Map([...request.inputs, ...request.results, ...request.scratch].map((each) => [each.tensor.name, each]));
    for (const arena of request.entry.arenas ?? []) {
      const bytesEach = bytesPerElement(arena.storage);
      const buffer = make(evaluateSize(arena.length, request.windowSizes) * bytesEach, arena.name);
      for (const member of arena.members) {
        const sized = required(sizedByName.get(member.tensor), `tensor ${member.tensor} of arena ${arena.name}`);
        places.set(member.tensor, { buffer, offset: evaluateSize(member.offset, request.windowSizes) * bytesEach, bytes: bytesOf(sized) });
      }
    }
    for (const [name, sized] of sizedByName) {
      if (places.has(name)) continue;
      const held = results.get(name) ?? request.given.get(name);
      const buffer = isWebGpuTensor(held) ? held.buffer() : make(bytesOf(sized), name);
      bindings.set(name, buffer);
      places.set(name, { buffer, offset: 0, bytes: bytesOf(sized) });
    }
  } catch (error) {
    release('failed');
    throw error;
  }
  return { places, bindings, results, submitted, release };
}
