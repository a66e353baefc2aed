import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Artifact } from '../../backends/artifact.ts';
import type { ManifestHeader } from '../../backends/manifest.ts';
import { emitWgsl } from '../../backends/wgsl/index.ts';
import type { DeviceTensor, ExecutionDevice, RunRequest, TensorData } from '../../runtime/device.ts';
import { acquire, fromDevice, openDawn, requiredFor } from '../../runtime/webgpu/index.ts';
import { sequentialScan, vectorAdd } from '../support/kernels.ts';
import { openTestDevice, openTestGpu, skipReason } from '../support/webgpu.ts';

const header: ManifestHeader = {
  layer: 'Test', compiler: 'statefuse test', contentHash: '0', mode: 'recurrent', axes: [], parameters: [], decisions: [],
};

const present = (await openTestGpu()) !== null;
const f32 = (...values: number[]): Float32Array => Float32Array.from(values);

type Tensors = Record<string, TensorData | DeviceTensor>;

function request(tensors: Tensors, more: Partial<RunRequest> = {}): RunRequest {
  return { entry: 'forward', sizes: { batch: 1, length: 2 }, tensors: new Map(Object.entries(tensors)), ...more };
}

/** Something that a caller without types may pass. */
function untyped(value: unknown): never {
  return value as never;
}

async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    return `${(error as { code?: string }).code ?? String(error)}`;
  }
  return 'no error';
}

describe.skipIf(!present)(`errors on WebGPU ${present ? '' : skipReason}`, () => {
  let gpu: GPUDevice;
  let device: ExecutionDevice;
  const artifact = emitWgsl([vectorAdd()], header);
  const good = (): Tensors => ({ u: f32(1, 2), scale: f32(1) });
  beforeAll(async () => {
    gpu = (await openTestDevice())!;
    device = fromDevice(gpu);
  });
  afterAll(async () => {
    await device?.[Symbol.asyncDispose]();
    gpu?.destroy();
  });

  it('checks arguments before the native addon sees them', async () => {
    for (const bad of [undefined, null, 1, 'gpu', {}, [], { createBuffer: 1 }]) {
      expect(await codeOf(() => fromDevice(untyped(bad)))).toBe('SSM6004');
      expect(await codeOf(() => device.prepare(untyped(bad)))).toBe('SSM6004');
      if (bad !== 1) expect(await codeOf(() => device.createTensor('f32', untyped(bad), 'bad'))).toBe('SSM6004');
    }
    for (const count of [-1, 1.5, NaN, Infinity]) expect(await codeOf(() => device.createTensor('f32', count, 'bad'))).toBe('SSM6004');
    for (const storage of ['f8', '__proto__', 'toString', 7]) {
      expect(await codeOf(() => device.createTensor(untyped(storage), 4, 'bad'))).toBe('SSM6004');
    }
    expect(await codeOf(() => device.createTensor('f32', 4, untyped(4)))).toBe('SSM6004');
    expect(await codeOf(() => device.createTensor('i32', f32(1), 'bad'))).toBe('SSM6004');
    expect(await codeOf(() => fromDevice(gpu, { timing: untyped('sundial') }))).toBe('SSM6004');
  });

  it('checks every part of a run request', async () => {
    using layer = await device.prepare(artifact);
    const bad: readonly (readonly [RunRequest, string])[] = [
      [untyped(undefined), 'SSM6004'],
      [untyped({}), 'SSM6004'],
      [request(good(), { entry: 'backward' }), 'SSM6004'],
      [request(good(), { sizes: untyped(undefined) }), 'SSM6004'],
      [request(good(), { tensors: untyped({}) }), 'SSM6004'],
      [request(good(), { into: untyped([]) }), 'SSM6004'],
      [request({ u: f32(1, 2) }), 'SSM6004'],
      [request({ ...good(), extra: f32(1) }), 'SSM6004'],
      [request({ ...good(), u: f32(1, 2, 3) }), 'SSM6004'],
      [request({ ...good(), u: new Float64Array(2) }), 'SSM6004'],
      [request({ ...good(), u: untyped([1, 2]) }), 'SSM6004'],
      [request({ ...good(), u: untyped(null) }), 'SSM6004'],
      ...[-1, 0.5, NaN, Infinity, '2', 2n, undefined].map((batch) => [request(good(), { sizes: untyped({ batch, length: 2 }) }), 'SSM6004'] as const),
      [request(good(), { sizes: { batch: 2 ** 20, length: 2 ** 20 } }), 'SSM5002'],
      [request(good(), { sizes: { batch: 1, length: 2 ** 28 } }), 'SSM5001'],
    ];
    for (const [each, code] of bad) expect(await codeOf(() => layer.run(each))).toBe(code);
  });

  it('refuses tensors of other devices, disposed tensors and aliases', async () => {
    const second = (await openTestDevice())!;
    const other = fromDevice(second);
    using layer = await device.prepare(artifact);
    using foreign = other.createTensor('f32', f32(1, 2), 'foreign');
    const gone = device.createTensor('f32', f32(1, 2), 'gone');
    gone[Symbol.dispose]();
    gone[Symbol.dispose]();
    using shared = device.createTensor('f32', f32(1, 2), 'shared');
    expect(await codeOf(() => layer.run(request({ ...good(), u: foreign })))).toBe('SSM6004');
    expect(await codeOf(() => layer.run(request({ ...good(), u: gone })))).toBe('SSM6003');
    expect(await codeOf(() => gone.read())).toBe('SSM6003');
    expect(await codeOf(() => layer.run(request({ ...good(), u: shared }, { into: new Map([['y', shared]]) })))).toBe('SSM6004');
    await other[Symbol.asyncDispose]();
    expect(await codeOf(() => foreign.read())).toBe('SSM6003');
    expect(await codeOf(() => other.prepare(artifact))).toBe('SSM6003');
    expect(second.createBuffer({ size: 4, usage: 8 }).size).toBe(4); // adopted, so not destroyed
    second.destroy();
  });

  it('writes into given tensors and heeds views and odd lengths', async () => {
    using layer = await device.prepare(artifact);
    using target = device.createTensor('f32', 2, 'target');
    const views = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
    const result = await layer.run(request({ u: views, scale: f32(1) }, { into: new Map([['y', target]]) }));
    expect(result.tensors.get('y')).toBe(target);
    expect(Array.from(await target.read())).toEqual([2, 4]);
    target.write(f32(5, 6));
    expect(Array.from(await target.read())).toEqual([5, 6]);
    expect(await codeOf(() => target.write(f32(5)))).toBe('SSM6004');
    using halves = device.createTensor('f16', Uint16Array.of(1, 2, 3), 'halves');
    expect(await halves.read()).toEqual(Uint16Array.of(1, 2, 3));
    using none = device.createTensor('u8', 0, 'none');
    expect((await none.read()).length).toBe(0);
  });

  it('defines runs without tokens or sequences', async () => {
    using layer = await device.prepare(emitWgsl([sequentialScan()], header));
    const a = f32(1, 1, 1, 1);
    const noTokens = await layer.run(request({ u: f32(), a, 'x.initial': f32(1, 2, 3, 4) }, { sizes: { batch: 1, length: 0 } }));
    expect((await noTokens.tensors.get('y')!.read()).length).toBe(0);
    expect(Array.from(await noTokens.tensors.get('x.final')!.read())).toEqual([1, 2, 3, 4]);
    using initial = device.createTensor('f32', f32(5, 6, 7, 8), 'initial');
    const onDevice = await layer.run(request({ u: f32(), a, 'x.initial': initial }, { sizes: { batch: 1, length: 0 } }));
    expect(Array.from(await onDevice.tensors.get('x.final')!.read())).toEqual([5, 6, 7, 8]);
    const noSequences = await layer.run(request({ u: f32(), a, 'x.initial': f32() }, { sizes: { batch: 0, length: 7 } }));
    for (const tensor of noSequences.tensors.values()) expect((await tensor.read()).length).toBe(0);
  });

  it('names the kernel and the line that the device rejects', async () => {
    const broken: Artifact = { manifest: artifact.manifest, code: { kind: 'text', kernels: new Map([['vector_add_0', '\n\nlet x = ;']]) } };
    await expect(device.prepare(broken)).rejects.toThrow(/SSM6006.*`vector_add_0` was rejected at line 3/);
    const noEntry: Artifact = { manifest: artifact.manifest, code: { kind: 'text', kernels: new Map([['vector_add_0', '@compute @workgroup_size(1) fn other() {}']]) } };
    expect(await codeOf(() => device.prepare(noEntry))).toBe('SSM6006');
    const noText: Artifact = { manifest: artifact.manifest, code: { kind: 'text', kernels: new Map() } };
    expect(await codeOf(() => device.prepare(noText))).toBe('SSM6004');
  });

  it('refuses artifacts that need more than the device was opened with', async () => {
    const needs = (requiredLimits: Record<string, number>, requiredFeatures: string[]): Artifact =>
      ({ ...artifact, manifest: { ...artifact.manifest, requiredLimits, requiredFeatures } });
    const large = needs({ maxStorageBuffersPerShaderStage: 64, subgroupMinSize: 32 }, ['subgroups']);
    await expect(device.prepare(large)).rejects.toThrow(/SSM5001.*64; this device allows 8/);
    expect(await codeOf(() => device.prepare(needs({}, ['shader-f16'])))).toBe('SSM5001');
    expect(requiredFor(large.manifest)).toEqual({ requiredLimits: { maxStorageBuffersPerShaderStage: 64 }, requiredFeatures: ['subgroups'] });
  });

  it('stops before submission when the signal is aborted', async () => {
    using layer = await device.prepare(artifact);
    const reason = new Error('enough');
    await expect(layer.run(request(good(), { signal: AbortSignal.abort(reason) }))).rejects.toBe(reason);
  });

  it('rejects pending and later work when the device is lost', async () => {
    const doomed = (await openTestDevice())!;
    const lost = fromDevice(doomed);
    const layer = await lost.prepare(artifact);
    const tensor = lost.createTensor('f32', f32(1, 2), 'held');
    const work = [layer.run(request(good())), tensor.read()].map((each) => each.then(() => 'done', (error: { code: string }) => error.code));
    doomed.destroy();
    for (const outcome of await Promise.all(work)) expect(['done', 'SSM6001']).toContain(outcome);
    await doomed.lost;
    expect(await codeOf(() => layer.run(request(good())))).toBe('SSM6001');
    expect(await codeOf(() => tensor.read())).toBe('SSM6001');
    expect(await codeOf(() => lost.createTensor('f32', 4, 'new'))).toBe('SSM6001');
    expect(await codeOf(() => lost.prepare(artifact))).toBe('SSM6001');
    tensor[Symbol.dispose]();
    await lost[Symbol.asyncDispose]();
  });

  it('reports memory that runs out as SSM6005, at each allocation', async () => {
    const small = (await openTestDevice())!;
    const limited = fromDevice(small);
    const layer = await limited.prepare(artifact);
    const original = small.popErrorScope.bind(small);
    for (let failing = 1; failing <= 4; failing++) {
      // the scopes of an allocation are popped as validation, then memory: fail the memory scope of one
      let pops = 0;
      small.popErrorScope = () => {
        const real = original();
        pops++;
        return pops === 2 * failing ? real.then(() => ({ message: 'out of memory' }) as GPUError) : real;
      };
      expect(await codeOf(() => layer.run(request(good())))).toBe('SSM6005');
    }
    small.popErrorScope = original;
    const after = await layer.run(request(good()));
    expect(Array.from(await after.tensors.get('y')!.read())).toEqual([2, 4]);
    small.destroy();
  });

  it('waits no longer than the watchdog allows', async () => {
    const stuck = (await openTestDevice())!;
    const watched = fromDevice(stuck, { watchdogMilliseconds: 50 });
    const layer = await watched.prepare(artifact);
    stuck.queue.onSubmittedWorkDone = () => new Promise<undefined>(() => undefined);
    await expect(layer.run(request(good()))).rejects.toThrow(/SSM6001.*50 ms/);
    stuck.destroy();
  });

  it('opens devices, and says when there is none', async () => {
    expect(await codeOf(() => acquire(untyped(undefined)))).toBe('SSM6002');
    expect(await codeOf(() => openDawn({ adapter: 'no such adapter' }))).toBe('SSM6002');
    expect(await codeOf(() => openDawn({ adapter: untyped(7) }))).toBe('SSM6004');
    await using opened = await openDawn();
    expect(opened.info.target).toBe('wgsl');
    expect(opened.info.name).not.toBe('');
    using layer = await opened.prepare(artifact);
    const result = await layer.run(request(good()));
    expect(Array.from(await result.tensors.get('y')!.read())).toEqual([2, 4]);
  });

  it('measures on the device where timestamps exist', async () => {
    const test = (await openTestGpu())!;
    expect(await codeOf(() => fromDevice(gpu, { timing: 'device' }))).toBe('SSM5001');
    if (!test.adapter.features.has('timestamp-query')) return expect(test.adapter.features.has('timestamp-query')).toBe(false);
    const timed = (await openTestDevice({ requiredFeatures: ['timestamp-query'] }))!;
    await using measuring = fromDevice(timed, { timing: 'device' });
    using layer = await measuring.prepare(artifact);
    const { timing } = await layer.run(request(good()));
    expect(timing.source).toBe('device');
    expect(timing.milliseconds).toBeGreaterThanOrEqual(0);
    expect(timing.milliseconds).toBeLessThan(10_000);
    timed.destroy();
  });
});
