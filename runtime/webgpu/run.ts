/**
 * Runs one entry point: allocate, upload, encode and submit without a pause in between (so that no
 * other run can free what this one binds), then wait and report. All dispatches share one compute pass.
 */
import { ssmError } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import type { RunRequest, RunResult } from '../device.ts';
import { allocate, allocateResults, disposeNew, type Allocation, type RunContext } from './allocation.ts';
import { bytesPerSequence, type BatchWindow } from './batch-windows.ts';
import { fillEmptyRun } from './empty-run.ts';
import { createUniformBlock, planLaunches, type Launch } from './launches.ts';
import { checkRequest, type CheckedRequest } from './request.ts';
import { firstLine, observed, type Session } from './session.ts';
import { uploadBytes } from '../storage.ts';
import { isWebGpuTensor } from './tensor.ts';
import { startTimer } from './timing.ts';
import { bufferUsage } from './usage.ts';

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

/** What a binding name stands for in one window of the batch. */
type Bind = (name: string) => GPUBufferBinding;

function bindWindow(request: CheckedRequest, allocation: Allocation, window: BatchWindow): Bind {
  const whole = window.count === request.sizes.batch;
  const kept = new Map([...request.inputs, ...request.results].map(({ tensor }) => [tensor.name, tensor]));
  return (name) => {
    const buffer = required(allocation.bindings.get(name), `buffer of ${name}`);
    const tensor = kept.get(name);
    const bytesEach = whole || tensor === undefined ? null : bytesPerSequence(tensor, request.sizes);
    if (bytesEach === null) return { buffer };
    return { buffer, offset: window.first * bytesEach, size: window.count * bytesEach };
  };
}

function encodeLaunch(
  context: RunContext, { launch, bind }: BoundLaunch, pass: GPUComputePassEncoder, uniforms: GPUBuffer | null,
): void {
  const { dispatch } = launch;
  const { pipeline, layout } = required(context.pipelines.get(dispatch.kernel), `pipeline of ${dispatch.kernel}`);
  const storage = dispatch.bindings.map(({ tensor }, binding): GPUBindGroupEntry => ({
    binding, resource: bind(tensor),
  }));
  pass.setPipeline(pipeline);
  for (const window of launch.windows) {
    const uniform: readonly GPUBindGroupEntry[] = dispatch.uniforms.length === 0 ? [] : [{
      binding: storage.length,
      resource: {
        buffer: required(uniforms, 'uniform buffer'), offset: window.uniformOffset, size: dispatch.uniforms.length * 4,
      },
    }];
    const label = `ssm/${context.manifest.layer}/${dispatch.kernel}`;
    pass.setBindGroup(0, context.session.device.createBindGroup({ label, layout, entries: [...storage, ...uniform] }));
    pass.dispatchWorkgroups(...window.count);
  }
}

type BoundLaunch = { readonly launch: Launch; readonly bind: Bind };

/** The launches of all windows of the batch, over one block of uniforms. */
function planWindowLaunches(
  session: Session, request: CheckedRequest, allocation: Allocation,
): { readonly launches: readonly BoundLaunch[]; readonly uniforms: Uint8Array<ArrayBuffer> } {
  const { maxComputeWorkgroupsPerDimension, minUniformBufferOffsetAlignment } = session.device.limits;
  const uniforms = createUniformBlock(minUniformBufferOffsetAlignment);
  const launches = request.windows.flatMap((window) => {
    const sizes = { ...request.sizes, batch: window.count };
    const bind = bindWindow(request, allocation, window);
    return planLaunches(request.entry.dispatches, sizes, maxComputeWorkgroupsPerDimension, uniforms)
      .map((launch): BoundLaunch => ({ launch, bind }));
  });
  return { launches, uniforms: uniforms.bytes() };
}

/** Everything between the checks and the wait; nothing here may await. */
function submit(context: RunContext, request: CheckedRequest, allocation: Allocation): Submitted {
  const { session, manifest } = context;
  const { device } = session;
  const { launches, uniforms } = planWindowLaunches(session, request, allocation);
  const label = `ssm/${manifest.layer}/${request.entry.name}`;
  const uniformBuffer = uniforms.length === 0 ? null
    : session.createBuffer(uniforms.length, bufferUsage.uniform | bufferUsage.copyDestination, `${label}/uniforms`);
  const timer = startTimer(session, label);
  try {
    if (uniformBuffer !== null) device.queue.writeBuffer(uniformBuffer, 0, uniforms);
    const encoder = device.createCommandEncoder({ label });
    upload(context, request, allocation, encoder);
    const pass = encoder.beginComputePass({ label, ...timer.passOptions });
    for (const launch of launches) encodeLaunch(context, launch, pass, uniformBuffer);
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
  let validation: Promise<GPUError | null>;
  let submitted: Submitted;
  try {
    submitted = submit(context, request, allocation);
  } finally {
    validation = observed(device.popErrorScope()); // a lost device is reported by `outlive`
  }
  return { submitted, validation };
}

async function runKernels(context: RunContext, request: CheckedRequest): Promise<RunResult> {
  const { session } = context;
  const what = `entry \`${request.entry.name}\` of layer \`${context.manifest.layer}\``;
  const allocation = allocate(context, request);
  let outcome: 'kept' | 'failed' = 'failed';
  let release = (): void => undefined;
  try {
    const { submitted, validation } = submitInScope(context, request, allocation);
    release = submitted.release;
    allocation.submitted();
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
  } catch (error) {
    throw session.explain(error, what);
  } finally {
    release();
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
