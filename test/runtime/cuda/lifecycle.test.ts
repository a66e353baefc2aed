/** The CUDA runtime from opening to dispose over a driver without a GPU: numbers, order, memory. */
import { beforeEach, describe, expect, it } from 'vitest';
import { loadLayer } from '../../../runtime/layer.ts';
import { listCudaDevices } from '../../../runtime/cuda/index.ts';
import type { StorageName } from '../../../backends/artifact.ts';
import type { TensorData } from '../../../runtime/device.ts';
import { doublingArtifact, expectNothingAlive, mock, open, reasonAgainst, titleNote } from './mock.ts';

describe.skipIf(reasonAgainst !== null)(`CUDA devices${titleNote}`, () => {
  beforeEach(() => mock.reset());

  it('say what they are', async () => {
    mock.set('devices', 2);
    expect(listCudaDevices().map((each) => each.name)).toEqual(['Mock GPU', 'Mock GPU']);
    const device = await open({ device: 1 });
    expect(device.info).toMatchObject({ target: 'cuda', name: 'Mock GPU', details: { compute: '9.0', driver: '13.0', nvrtc: '13.0' } });
    await device[Symbol.asyncDispose]();
    expectNothingAlive();
  });

  it('hold numbers of every storage type', async () => {
    await using device = await open();
    const data: Readonly<Record<StorageName, TensorData>> = {
      f32: Float32Array.of(1.5, -2), f64: Float64Array.of(1e300, 2), f16: Uint16Array.of(1, 2, 3), bf16: Uint16Array.of(7, 8, 9),
      i32: Int32Array.of(-1, 2), u32: Uint32Array.of(4e9, 1), i8: Int8Array.of(-1, 2, 3), u8: Uint8Array.of(255, 0, 1),
    };
    for (const [storage, numbers] of Object.entries(data)) {
      const tensor = device.createTensor(storage as StorageName, numbers, storage);
      expect(await tensor.read(), storage).toEqual(numbers);
      tensor[Symbol.dispose]();
    }
    using zeros = device.createTensor('f32', 5, 'zeros');
    expect(await zeros.read()).toEqual(new Float32Array(5));
    using empty = device.createTensor('f32', 0, 'empty');
    expect(await empty.read()).toEqual(new Float32Array(0));
  });

  it('carry large tensors in pieces, and each read sees the numbers of its moment', async () => {
    await using device = await open();
    const numbers = Float32Array.from({ length: 5_000_003 }, (_, at) => at);
    using tensor = device.createTensor('f32', numbers, 'large');
    const before = tensor.read();
    tensor.write(numbers.map((each) => -each));
    expect(Buffer.compare(Buffer.from(((await before) as Float32Array).buffer), Buffer.from(numbers.buffer))).toBe(0);
    expect((await tensor.read())[4_999_999]).toBe(-4_999_999);
  });

  it('run layers', async () => {
    const device = await open();
    const layer = await loadLayer(device, doublingArtifact());
    const { outputs, final, timing } = await layer.forward({ inputs: { u: [1, 2, 3, 4] }, initial: { x: [5, 6] }, batch: 2 });
    expect(await outputs['y']!.read()).toEqual(Float32Array.of(2, 4, 6, 8));
    expect(await final['x']!.read()).toEqual(Float32Array.of(10, 12));
    expect(timing).toEqual({ milliseconds: 0.25, source: 'device' });
    const state = layer.createState(2);
    state.write({ x: [1, 3] });
    for (let step = 0; step < 5; step++) await layer.step({ inputs: {}, state, batch: 2 });
    expect(await state.read()).toEqual({ x: Float32Array.of(32, 96) });
    state[Symbol.dispose]();
    layer[Symbol.dispose]();
    await device[Symbol.asyncDispose]();
    expectNothingAlive();
  });

  it('launch what the manifest says', async () => {
    await using device = await open();
    using layer = await device.prepare(doublingArtifact());
    await layer.run({ entry: 'forward', sizes: { batch: 3, length: 50 }, tensors: new Map([['u', new Float32Array(150)], ['x_initial', new Float32Array(3)]]) });
    expect(mock.launched().map(({ kernel, grid, block }) => [kernel, grid, block])).toEqual([
      ['double_u', [3, 1, 1], 64], ['double_x', [1, 1, 1], 64], ['double_again', [1, 1, 1], 64],
    ]);
  });

  it('run without tokens: states stay, nothing is launched', async () => {
    await using device = await open();
    using layer = await device.prepare(doublingArtifact());
    const { tensors } = await layer.run({ entry: 'forward', sizes: { batch: 2, length: 0 }, tensors: new Map([['u', new Float32Array(0)], ['x_initial', Float32Array.of(3, 4)]]) });
    expect(await tensors.get('y')!.read()).toEqual(new Float32Array(0));
    expect(await tensors.get('x_final')!.read()).toEqual(Float32Array.of(3, 4));
    expect(mock.state().launches).toBe(0);
  });

  it('wait for work that takes its time', async () => {
    await using device = await open({ timing: 'wall-clock' });
    using layer = await device.prepare(doublingArtifact());
    mock.set('pendingQueries', 2000);
    const both = await Promise.all([1, 2].map((value) => layer.run({ entry: 'step', sizes: { batch: 1, length: 1 }, tensors: new Map([['x_initial', Float32Array.of(value)]]) })));
    expect(await Promise.all(both.map((each) => each.tensors.get('x_final')!.read()))).toEqual([Float32Array.of(2), Float32Array.of(4)]);
    expect(both[0]?.timing.source).toBe('wall-clock');
  });

  it('use the same memory again and again', async () => {
    const device = await open();
    using layer = await device.prepare(doublingArtifact());
    const run = async (batch: number): Promise<void> => {
      const { tensors } = await layer.run({ entry: 'forward', sizes: { batch, length: 40 }, tensors: new Map([['u', new Float32Array(batch * 40)], ['x_initial', new Float32Array(batch)]]) });
      await tensors.get('y')!.read();
      tensors.forEach((each) => each[Symbol.dispose]());
    };
    for (let call = 0; call < 20; call++) await run(1 + call % 4);
    const before = mock.state();
    for (let call = 0; call < 2000; call++) await run(1 + call % 4);
    const after = mock.state();
    expect(after.alive).toEqual(before.alive);
    expect(after.usedBytes).toBe(before.usedBytes);
    expect(device.memoryUse()).toMatchObject({ bytes: 0, blocks: 0 });
    expect(device.memoryUse().cachedBytes).toBeGreaterThan(0);
    device.trim();
    expect(device.memoryUse().cachedBytes).toBe(0);
    expect(mock.state().alive['memory']).toBe(0);
    await device[Symbol.asyncDispose]();
  });

  it('keep the resident size of the process flat over many sizes', async () => {
    await using device = await open();
    using layer = await device.prepare(doublingArtifact());
    const round = async (): Promise<void> => {
      for (let length = 1; length <= 400; length++) {
        const { tensors } = await layer.run({ entry: 'forward', sizes: { batch: 1, length }, tensors: new Map([['u', new Float32Array(length)], ['x_initial', new Float32Array(1)]]) });
        tensors.forEach((each) => each[Symbol.dispose]());
      }
    };
    await round();
    const events = mock.state().alive['events'];
    const start = process.memoryUsage().rss;
    for (let time = 0; time < 5; time++) await round();
    expect(mock.state().alive['events']).toBe(events);
    expect((process.memoryUsage().rss - start) / 2000).toBeLessThan(8192);
  });

  it('load a kernel once for all layers that have it, and unload it with the last', async () => {
    const device = await open();
    const first = await device.prepare(doublingArtifact());
    const second = await device.prepare(doublingArtifact());
    expect(mock.state()).toMatchObject({ compilations: 3, alive: { modules: 3 } });
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    expect(mock.state().alive['modules']).toBe(3);
    second[Symbol.dispose]();
    expect(mock.state().alive['modules']).toBe(0);
    using third = await device.prepare(doublingArtifact());
    expect(third.artifact.manifest.layer).toBe('Doubling');
    expect(mock.state()).toMatchObject({ compilations: 6, alive: { modules: 3 } });
    await device[Symbol.asyncDispose]();
    expectNothingAlive();
  });
});
