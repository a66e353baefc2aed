/**
 * Runs one entry point: allocate, upload, encode and submit without a pause in between (so that no
 * other run can free what this one binds), then wait and report. All dispatches share one compute pass.
 */
import type { Manifest } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import { evaluateSize } from '../../support/size.ts';
import type { RunRequest, RunResult } from '../device.ts';
import { fillEmptyRun } from './empty-run.ts';
import { planLaunches, type Launch } from './launches.ts';
import type { KernelPipeline } from './pipelines.ts';
import { checkRequest, type CheckedRequest, type SizedTensor } from './request.ts';
import { firstLine, type Session } from './session.ts';
import { bytesPerElement, uploadBytes } from './storage.ts';
import { createTensor, isWebGpuTensor, type WebGpuTensor } from './tensor.ts';
import { startTimer } from './timing.ts';
import { bufferUsage } from './usage.ts';

/** What a prepared layer knows when it runs. */
export type RunContext = {
  readonly session: Session;
  readonly manifest: Manifest;
  readonly pipelines: ReadonlyMap<string, KernelPipeline>;
};

type Place = { readonly buffer: GPUBuffer; readonly offset: number; readonly bytes: number };

/** Buffers of one run. */
type Allocation = {
  /** by tensor name: where it lies, in bytes */
  readonly places: ReadonlyMap<string, Place>;
  /** by binding name: tensors with a buffer of their own, and arenas */
  readonly bindings: ReadonlyMap<string, GPUBuffer>;
  readonly results: ReadonlyMap<string, WebGpuTensor>;
  readonly release: (outcome: 'kept' | 'failed') => void;
};

const storageUsage = bufferUsage.storage | bufferUsage.copySource | bufferUsage.copyDestination;

function bytesOf(sized: SizedTensor): number {
  return sized.length * bytesPerElement(sized.tensor.storage);
}

/** Results are the caller's `into` or new tensors. */
function allocateResults(context: RunContext, request: CheckedRequest): ReadonlyMap<string, WebGpuTensor> {
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

function disposeNew(results: ReadonlyMap<string, WebGpuTensor>, request: CheckedRequest): void {
  for (const [name, tensor] of results) if (!request.into.has(name)) tensor[Symbol.dispose]();
}

/** Buffers for arenas, scratch and host inputs; freed after the run. */
function allocate(context: RunContext, request: CheckedRequest): Allocation {
  const { session } = context;
  const results = allocateResults(context, request);
  const temporary: GPUBuffer[] = [];
  const places = new Map<string, Place>();
  const bindings = new Map<string, GPUBuffer>();
  const release = (outcome: 'kept' | 'failed'): void => {
    temporary.forEach((each) => session.destroyBuffer(each));
    if (outcome === 'failed') disposeNew(results, request);
  };
  const make = (bytes: number, name: string): GPUBuffer => {
    const buffer = session.createBuffer(bytes, storageUsage, `ssm/${context.manifest.layer}/${request.entry.name}/${name}`);
    temporary.push(buffer);
    bindings.set(name, buffer);
    return buffer;
  };
  try {
    const sizedByName = new Map([...request.inputs, ...request.results, ...request.scratch].map((each) => [each.tensor.name, each]));
    for (const arena of request.entry.arenas ?? []) {
      const bytesEach = bytesPerElement(arena.storage);
      const buffer = make(evaluateSize(arena.length, request.sizes) * bytesEach, arena.name);
      for (const member of arena.members) {
        const sized = required(sizedByName.get(member.tensor), `tensor ${member.tensor} of arena ${arena.name}`);
        places.set(member.tensor, { buffer, offset: evaluateSize(member.offset, request.sizes) * bytesEach, bytes: bytesOf(sized) });
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
  return { places, bindings, results, release };
}

/** Host numbers into their buffers; device tensors into their arenas. */
function upload(
  context: RunContext, request: CheckedRequest, allocation: Allocation, encoder: GPUCommandEncoder,
): void {
  for (const [name, value] of request.given) {
    const place = required(allocation.places.get(name), `place of ${name}`);
    if (place.bytes === 0) continue;
    if (!isWebGpuTensor(value)) {
      context.session.device.queue.writeBuffer(place.buffer, place.offset, uploadBytes(value));
    } else if (value.buffer() !== place.buffer) {
      encoder.copyBufferToBuffer(value.buffer(), 0, place.buffer, place.offset, place.bytes);
    }
  }
}

/** Results that kernels wrote into an arena go to the tensors that the caller gets. */
function collect(request: CheckedRequest, allocation: Allocation, encoder: GPUCommandEncoder): void {
  for (const sized of request.results) {
    const place = required(allocation.places.get(sized.tensor.name), `place of ${sized.tensor.name}`);
    const target = required(allocation.results.get(sized.tensor.name), `result ${sized.tensor.name}`).buffer();
    if (place.buffer !== target && place.bytes > 0) encoder.copyBufferToBuffer(place.buffer, place.offset, target, 0, place.bytes);
  }
}

function encodeLaunch(
  context: RunContext,
  launch: Launch,
  pass: GPUComputePassEncoder,
  buffers: ReadonlyMap<string, GPUBuffer>,
  uniforms: GPUBuffer | null,
): void {
  const { dispatch } = launch;
  const { pipeline, layout } = required(context.pipelines.get(dispatch.kernel), `pipeline of ${dispatch.kernel}`);
  const storage = dispatch.bindings.map(({ tensor }, binding): GPUBindGroupEntry => ({
    binding, resource: { buffer: required(buffers.get(tensor), `buffer of ${tensor}`) },
  }));
  pass.setPipeline(pipeline);
  for (const window of launch.windows) {
    const uniform: readonly GPUBindGroupEntry[] = dispatch.uniforms.length === 0 ? [] : [{
      binding: storage.length,
      resource: { buffer: required(uniforms, 'uniform buffer'), offset: window.uniformOffset, size: dispatch.uniforms.length * 4 },
    }];
    const label = `ssm/${context.manifest.layer}/${dispatch.kernel}`;
    pass.setBindGroup(0, context.session.device.createBindGroup({ label, layout, entries: [...storage, ...uniform] }));
    pass.dispatchWorkgroups(...window.count);
  }
}

/** Everything between the checks and the wait; nothing here may await. */
function submit(context: RunContext, request: CheckedRequest, allocation: Allocation): Submitted {
  const { session, manifest } = context;
  const { device } = session;
  const { limits } = device;
  const { launches, uniforms } = planLaunches(request.entry.dispatches, request.sizes, {
    workgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension, uniformAlignment: limits.minUniformBufferOffsetAlignment,
  });
  const label = `ssm/${manifest.layer}/${request.entry.name}`;
  const uniformBuffer = uniforms.length === 0 ? null
    : session.createBuffer(uniforms.length, bufferUsage.uniform | bufferUsage.copyDestination, `${label}/uniforms`);
  const timer = startTimer(session, label);
  try {
    if (uniformBuffer !== null) device.queue.writeBuffer(uniformBuffer, 0, uniforms);
    const encoder = device.createCommandEncoder({ label });
    upload(context, request, allocation, encoder);
    const pass = encoder.beginComputePass({ label, ...timer.passOptions });
    for (const launch of launches) encodeLaunch(context, launch, pass, allocation.bindings, uniformBuffer);
    pass.end();
    collect(request, allocation, encoder);
    timer.resolve(encoder);
    device.queue.submit([encoder.finish()]);
  } catch (error) {
    timer.release();
    throw error;
  } finally {
    if (uniformBuffer !== null) session.destroyBuffer(uniformBuffer);
  }
  return timer;
}

type Submitted = { readonly milliseconds: () => Promise<number>; readonly release: () => void };

/** `validation` resolves to what the device found wrong with the commands: always a bug of ours. */
function submitInScope(
  context: RunContext, request: CheckedRequest, allocation: Allocation,
): { readonly submitted: Submitted; readonly validation: Promise<GPUError | null> } {
  const { device } = context.session;
  device.pushErrorScope('validation');
  let validation: Promise<GPUError | null> | null = null;
  try {
    const submitted = submit(context, request, allocation);
    validation = device.popErrorScope();
    validation.catch(() => undefined); // a lost device is reported by `outlive`
    return { submitted, validation };
  } finally {
    if (validation === null) void device.popErrorScope().catch(() => undefined);
  }
}

async function runKernels(context: RunContext, request: CheckedRequest): Promise<RunResult> {
  const { session } = context;
  const what = `entry \`${request.entry.name}\` of layer \`${context.manifest.layer}\``;
  const allocation = allocate(context, request);
  let outcome: 'kept' | 'failed' = 'failed';
  try {
    const { submitted, validation } = submitInScope(context, request, allocation);
    await session.outlive(session.device.queue.onSubmittedWorkDone(), what);
    await session.allocationsDone();
    const invalid = await session.outlive(validation, what);
    if (invalid !== null) {
      throw ssmError(
        'SSM9001', `the device refused ${what}: ${firstLine(invalid.message)}`,
        'report this with the layer\'s text',
      );
    }
    const milliseconds = await submitted.milliseconds();
    session.check();
    outcome = 'kept';
    return { tensors: allocation.results, timing: { milliseconds, source: session.options.timing } };
  } finally {
    allocation.release(outcome);
  }
}

async function runEmpty(context: RunContext, request: CheckedRequest): Promise<RunResult> {
  const results = allocateResults(context, request);
  try {
    await fillEmptyRun(context.session, request, results);
  } catch (error) {
    disposeNew(results, request);
    throw error;
  }
  return { tensors: results, timing: { milliseconds: 0, source: 'wall-clock' } };
}

/** Checks and runs a request. */
export async function runEntry(context: RunContext, request: RunRequest): Promise<RunResult> {
  const checked = checkRequest(context.session, context.manifest, request);
  request.signal?.throwIfAborted();
  if (checked.sizes.batch === 0 || checked.sizes.length === 0) {
    return runEmpty(context, checked);
  }
  return runKernels(context, checked);
}
