/** What the CUDA runtime answers to wrong use and to broken machines: one code, one sentence, a way out. */
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Artifact } from '../../../backends/artifact.ts';
import { openCuda, type CudaOptions } from '../../../runtime/cuda/index.ts';
import type { RunRequest } from '../../../runtime/device.ts';
import { diagnosticOf, doublingArtifact, expectNothingAlive, mock, open, reasonAgainst, titleNote } from './mock.ts';

const forward = (batch: number, length: number): RunRequest =>
  ({ entry: 'forward', sizes: { batch, length }, tensors: new Map([['u', new Float32Array(batch * length)], ['x_initial', new Float32Array(batch)]]) });

const withDispatch = (change: Partial<Artifact['manifest']['entries'][number]['dispatches'][number]>): Artifact => {
  const artifact = doublingArtifact();
  const entries = artifact.manifest.entries.map((entry) => ({ ...entry, dispatches: entry.dispatches.map((each) => ({ ...each, ...change })) }));
  return { ...artifact, manifest: { ...artifact.manifest, entries } };
};

describe.skipIf(reasonAgainst !== null)(`machines without all of CUDA${titleNote}`, () => {
  beforeEach(() => mock.reset());
  afterEach(() => vi.unstubAllEnvs());

  it('no addon', async () => {
    vi.stubEnv('STATEFUSE_CUDA_ADDON', '/nowhere/statefuse_cuda.node');
    expect(await diagnosticOf(open)).toMatchObject({ code: 'SSM6007', help: expect.stringContaining('npm run build:cuda') });
    vi.stubEnv('STATEFUSE_CUDA_ADDON', 'package.json');
    expect(await diagnosticOf(open)).toMatchObject({ code: 'SSM6007' });
    vi.stubEnv('STATEFUSE_CUDA_ADDON', process.env['STATEFUSE_CUDA_DRIVER']);
    expect(await diagnosticOf(open)).toMatchObject({ code: 'SSM6007', message: expect.stringContaining('another version') });
  });

  it('no driver, or one that is none', async () => {
    vi.stubEnv('STATEFUSE_CUDA_DRIVER', '/nowhere/libcuda.so.1');
    expect(await diagnosticOf(open)).toMatchObject({ code: 'SSM6002', message: 'there is no NVIDIA driver', notes: [expect.stringContaining('/nowhere/libcuda.so.1')] });
    vi.stubEnv('STATEFUSE_CUDA_DRIVER', 'libc.so.6');
    expect(await diagnosticOf(open)).toMatchObject({ code: 'SSM6008', message: expect.stringContaining('cuInit') });
  });

  it('no device, too few of them, or a driver that does not start', async () => {
    mock.set('devices', 0);
    expect(await diagnosticOf(open)).toMatchObject({ code: 'SSM6002' });
    mock.set('devices', 1);
    expect(await diagnosticOf(() => open({ device: 1 }))).toMatchObject({ code: 'SSM6002', message: 'there is no CUDA device 1; the driver has 1' });
    mock.fail('cuDeviceGetCount', 1, 100, 1);
    expect(await diagnosticOf(open)).toMatchObject({ code: 'SSM6002', message: expect.stringContaining('CUDA_ERROR_NO_DEVICE') });
  });

  it('an old driver', async () => {
    mock.set('driverVersion', 11040);
    expect(await diagnosticOf(open)).toMatchObject({ code: 'SSM6008', message: 'the NVIDIA driver is for CUDA 11.4; 12.0 or later is needed' });
    mock.set('driverVersion', 12080);
    expect(await diagnosticOf(open)).toMatchObject({ code: 'SSM6008', message: expect.stringContaining('NVRTC 13.0'), help: 'install NVRTC 12, or a newer driver' });
  });

  it('no NVRTC', async () => {
    vi.stubEnv('STATEFUSE_NVRTC', '/nowhere');
    expect(await diagnosticOf(open)).toMatchObject({ code: 'SSM6007', help: expect.stringContaining('STATEFUSE_NVRTC') });
  });

  it('another architecture', async () => {
    await using device = await open();
    expect(await diagnosticOf(() => device.prepare(doublingArtifact({ requiredFeatures: ['sm_100a'] })))).toMatchObject({ code: 'SSM5001', message: 'layer `Doubling` needs `sm_100a`; this device is `sm_90`' });
    mock.set('computeMajor', 7);
    await using old = await open();
    expect(await diagnosticOf(() => old.prepare(doublingArtifact()))).toMatchObject({ code: 'SSM5001', message: expect.stringContaining('compute capability 8.0; this device has 7.0') });
    mock.reset();
    mock.set('makesWrongCode', 1);
    expect(await diagnosticOf(() => device.prepare(doublingArtifact()))).toMatchObject({ code: 'SSM6006', notes: [expect.stringContaining('CUDA_ERROR_INVALID_IMAGE')] });
  });
});

describe.skipIf(reasonAgainst !== null)(`failures of a CUDA device${titleNote}`, () => {
  beforeEach(() => mock.reset());

  it('text that does not compile: kernel, line, the line itself', async () => {
    await using device = await open();
    mock.set('isStrict', 1);
    const error = await diagnosticOf(() => device.prepare(doublingArtifact()));
    expect(error).toMatchObject({ code: 'SSM6006', message: expect.stringMatching(/^kernel `double_\w+` was rejected at line 3: identifier "wrong" is undefined$/) });
    expect(error.notes[0]).toBe('line 3: }');
    mock.reset();
    using layer = await device.prepare(doublingArtifact());
    await layer.run(forward(1, 1));
  });

  it('out of memory: bytes asked for and free, and the device works on', async () => {
    await using device = await open();
    mock.set('memoryBytes', 1 << 20);
    using kept = device.createTensor('f32', 1000, 'kept');
    const error = await diagnosticOf(() => device.createTensor('f32', 1 << 20, 'large'));
    expect(error).toMatchObject({ code: 'SSM6005', message: 'no memory of the device for `large`: 4 MiB (4194304 B); 1020 KiB (1044480 B) are free' });
    expect((await kept.read()).length).toBe(1000);
  });

  it('memory of tensors that ended is given back when another one needs it', async () => {
    await using device = await open();
    mock.set('memoryBytes', 1 << 20);
    for (const length of [200_000, 220_000, 150_000, 240_000]) {
      using tensor = device.createTensor('f32', length, 'tensor');
      expect(tensor.length).toBe(length);
    }
  });

  it('a fault of a kernel: the device is lost for all who wait and all who come', async () => {
    const device = await open();
    using layer = await device.prepare(doublingArtifact());
    using tensor = device.createTensor('f32', 3, 'tensor');
    mock.set('pendingQueries', 30);
    mock.fail('cuEventQuery', 10, 700, 1);
    const waiting = [diagnosticOf(() => layer.run(forward(1, 2))), diagnosticOf(() => layer.run(forward(1, 3))), diagnosticOf(() => tensor.read())];
    for (const each of await Promise.all(waiting)) expect(each).toMatchObject({ code: 'SSM6001', notes: [expect.stringContaining('CUDA_ERROR_ILLEGAL_ADDRESS (700)')], help: expect.stringContaining('start the process again') });
    expect(await diagnosticOf(() => layer.run(forward(1, 2)))).toMatchObject({ code: 'SSM6001', message: 'the device was lost during entry `forward` of layer `Doubling`' });
    expect(await diagnosticOf(() => device.createTensor('f32', 1, 'late'))).toMatchObject({ code: 'SSM6001' });
    expect(await diagnosticOf(() => tensor.write(new Float32Array(3)))).toMatchObject({ code: 'SSM6001' });
    tensor[Symbol.dispose]();
    layer[Symbol.dispose]();
    await device[Symbol.asyncDispose]();
    expectNothingAlive();
  });

  it('a launch that is refused: the kernel by name', async () => {
    await using device = await open();
    using layer = await device.prepare(doublingArtifact());
    mock.fail('cuLaunchKernel', 2, 701, 0);
    expect(await diagnosticOf(() => layer.run(forward(1, 2)))).toMatchObject({ code: 'SSM6009', message: 'kernel `double_x` of entry `forward` of layer `Doubling` could not be launched', notes: [expect.stringContaining('CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES (701)')] });
    expect(device.memoryUse().blocks).toBe(0);
  });

  it('work that never ends: the watchdog', async () => {
    const device = await open({ watchdogMilliseconds: 150 });
    using layer = await device.prepare(doublingArtifact());
    mock.set('pendingQueries', 1e9);
    expect(await diagnosticOf(() => layer.run(forward(1, 2)))).toMatchObject({ code: 'SSM6001', message: 'entry `forward` of layer `Doubling` did not finish within 150 ms' });
    mock.set('pendingQueries', 0);
    await device[Symbol.asyncDispose]();
    expectNothingAlive();
  });
});

describe.skipIf(reasonAgainst !== null)(`wrong use of a CUDA device${titleNote}`, () => {
  beforeEach(() => mock.reset());

  it.each([
    { device: -1 }, { device: 1.5 }, { timing: 'never' }, { cacheDirectory: '' }, { cacheDirectory: 'a\0b' }, { watchdogMilliseconds: 0 },
  ])('options %j', async (options) => {
    expect(await diagnosticOf(() => openCuda(options as CudaOptions))).toMatchObject({ code: 'SSM6004' });
    expectNothingAlive();
  });

  it('tensors', async () => {
    await using device = await open();
    const make = (...given: readonly unknown[]): Promise<unknown> => diagnosticOf(() => (device.createTensor as (...all: unknown[]) => unknown)(...given));
    for (const given of [['f31', 1, 'a'], ['f32', -1, 'a'], ['f32', NaN, 'a'], ['f32', 1.5, 'a'], ['f32', 'x', 'a'], ['f32', null, 'a'], ['f32', new Float64Array(1), 'a'], ['f32', 1, 7]]) {
      expect(await make(...given), String(given)).toMatchObject({ code: 'SSM6004' });
    }
    expect(await make('f32', Number.MAX_SAFE_INTEGER, 'huge')).toMatchObject({ code: 'SSM6005' });
    using tensor = device.createTensor('f32', 3, 'tensor');
    expect(await diagnosticOf(() => tensor.write(new Float32Array(2)))).toMatchObject({ code: 'SSM6004', message: '`tensor` needs 3 numbers, found 2' });
    const detached = new Float32Array(3);
    structuredClone(detached, { transfer: [detached.buffer] });
    expect(await diagnosticOf(() => tensor.write(detached))).toMatchObject({ code: 'SSM6004' });
    tensor[Symbol.dispose]();
    tensor[Symbol.dispose]();
    expect(await diagnosticOf(() => tensor.read())).toMatchObject({ code: 'SSM6003' });
    expect(await diagnosticOf(() => tensor.write(new Float32Array(3)))).toMatchObject({ code: 'SSM6003' });
    expect(device.memoryUse().blocks).toBe(0);
  });

  it('requests', async () => {
    await using device = await open();
    await using other = await open();
    using layer = await device.prepare(doublingArtifact());
    using foreign = other.createTensor('f32', 1, 'foreign');
    using short = device.createTensor('f32', 5, 'short');
    using whole = device.createTensor('i32', 2, 'whole');
    const good = forward(1, 2);
    const given = (name: string, value: unknown): RunRequest => ({ ...good, tensors: new Map([...good.tensors, [name, value as Float32Array]]) });
    const wrong: readonly unknown[] = [
      null, {}, { ...good, entry: 'sideways' }, { ...good, sizes: { batch: -1, length: 2 } }, { ...good, sizes: null }, { ...good, tensors: {} },
      { ...good, into: {} }, { ...good, tensors: new Map() }, { ...good, signal: {} }, given('v', new Float32Array(1)), given('u', new Float32Array(3)), given('u', [1, 2]),
      given('x_initial', foreign), given('u', short), given('u', whole), { ...good, into: new Map([['y', foreign]]) }, { ...good, into: new Map([['y', {}]]) },
      { ...good, into: new Map([['u', short]]) }, { ...good, sizes: { batch: 1, length: 3 } },
    ];
    for (const each of wrong) expect(await diagnosticOf(() => layer.run(each as RunRequest)), JSON.stringify(each)).toMatchObject({ code: 'SSM6004' });
    using x = device.createTensor('f32', 1, 'x');
    expect(await diagnosticOf(() => layer.run({ entry: 'step', sizes: { batch: 1, length: 1 }, tensors: new Map([['x_initial', x]]), into: new Map([['x_final', x]]) }))).toMatchObject({ code: 'SSM6004', help: 'write into a tensor of its own' });
    expect(await diagnosticOf(() => layer.run({ ...good, sizes: { batch: 2 ** 20, length: 2 ** 20 } }))).toMatchObject({ code: 'SSM5002' });
    await expect(layer.run({ ...good, signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
    expect(mock.state().launches).toBe(0);
  });

  it('artifacts', async () => {
    await using device = await open();
    const good = doublingArtifact();
    for (const each of [null, 1, {}, { ...good, manifest: { ...good.manifest, target: 'wgsl' } }, { ...good, code: { kind: 'wasm' } }, { ...good, code: { kind: 'text', kernels: new Map() } }]) {
      expect(await diagnosticOf(() => device.prepare(each as Artifact))).toMatchObject({ code: 'SSM6004' });
    }
    expect(await diagnosticOf(() => device.prepare(withDispatch({ sharedBytes: 300_000 })))).toMatchObject({ code: 'SSM5001', message: expect.stringContaining('needs 300000 B of shared memory; this device allows 232448') });
    expect(await diagnosticOf(() => device.prepare(withDispatch({ workgroupSize: 2048 })))).toMatchObject({ code: 'SSM5001' });
    using wide = await device.prepare(withDispatch({ grid: [1, 'length', 1] }));
    expect(await diagnosticOf(() => wide.run(forward(1, 70_000)))).toMatchObject({ code: 'SSM5001', message: expect.stringContaining('70000 blocks in y; this device allows 65535') });
    using shared = await device.prepare(withDispatch({ sharedBytes: 100_000 }));
    await shared.run(forward(1, 1));
    expect(mock.launched()[0]).toMatchObject({ sharedBytes: 100_000 });
    expect(mock.state().calls['cuFuncSetAttribute']).toBe(3);
  });

  it('after dispose, also while work is in flight', async () => {
    const device = await open();
    const layer = await device.prepare(doublingArtifact());
    const tensor = device.createTensor('f32', 3, 'tensor');
    mock.set('pendingQueries', 500);
    const running = [diagnosticOf(() => layer.run(forward(1, 2))), diagnosticOf(() => tensor.read())];
    const preparing = diagnosticOf(() => device.prepare({ ...doublingArtifact(), code: { kind: 'text', kernels: new Map(['double_u', 'double_x', 'double_again'].map((each) => [each, `extern "C" __global__ void ${each}() {} // other`])) } }));
    const closing = device[Symbol.asyncDispose]();
    for (const each of [...await Promise.all(running), await preparing]) expect(each).toMatchObject({ code: 'SSM6003', message: 'the device was used after dispose' });
    await Promise.all([closing, device[Symbol.asyncDispose]()]);
    expectNothingAlive();
    tensor[Symbol.dispose]();
    layer[Symbol.dispose]();
    const late: readonly (() => unknown)[] = [() => layer.run(forward(1, 2)), () => tensor.read(), () => device.createTensor('f32', 1, 'late'), () => device.prepare(doublingArtifact()), () => device.memoryUse(), () => device.trim()];
    for (const each of late) expect(await diagnosticOf(each)).toMatchObject({ code: 'SSM6003' });
  });

  it('a layer that ends while it runs', async () => {
    const device = await open();
    const layer = await device.prepare(doublingArtifact());
    mock.set('pendingQueries', 500);
    const running = layer.run(forward(1, 2));
    layer[Symbol.dispose]();
    expect([...(await running).tensors.keys()]).toEqual(['y', 'x_final']);
    expect(await diagnosticOf(() => layer.run(forward(1, 2)))).toMatchObject({ code: 'SSM6003' });
    await device[Symbol.asyncDispose]();
    expectNothingAlive();
  });
});

describe.skipIf(reasonAgainst !== null)(`threads${titleNote}`, () => {
  it('open devices of their own, and may end with work in flight', async () => {
    mock.reset();
    const text = `
      const { parentPort } = require('node:worker_threads');
      const native = require(process.env.STATEFUSE_CUDA_ADDON);
      const driver = [process.env.STATEFUSE_CUDA_DRIVER];
      const context = new native.Context(driver, 0);
      const block = context.allocate(16);
      context.upload(block, 0, Float32Array.of(1, 2, 3, 4));
      const download = context.beginDownload(block, 16);
      const event = context.recordEvent(0);
      context.wait(event, 50).then((done) => {
        parentPort.postMessage([done, ...new Float32Array(context.takeDownload(download))]);
        context.wait(event, 100);
      });`;
    const message = await new Promise((resolve, reject) => {
      const worker = new Worker(text, { eval: true });
      worker.once('error', reject);
      let seen: unknown = null;
      worker.once('message', (each) => {
        seen = each;
        void worker.terminate();
      });
      worker.once('exit', () => resolve(seen));
    });
    expect(message).toEqual([true, 1, 2, 3, 4]);
    expectNothingAlive();
  });
});
