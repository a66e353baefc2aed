/** Graphs: recorded runs give what single runs give, and are refused where they could not. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { CudaDevice } from '../../../runtime/cuda/index.ts';
import type { DeviceTensor, RunRequest } from '../../../runtime/device.ts';
import { diagnosticOf, doublingArtifact, expectNothingAlive, mock, open, reasonAgainst, titleNote } from './mock.ts';

type Pair = { readonly a: DeviceTensor; readonly b: DeviceTensor; readonly requests: readonly RunRequest[] };

function pairOf(device: CudaDevice): Pair {
  const a = device.createTensor('f32', Float32Array.of(1, 3), 'a');
  const b = device.createTensor('f32', 2, 'b');
  const step = (from: DeviceTensor, to: DeviceTensor): RunRequest =>
    ({ entry: 'step', sizes: { batch: 2, length: 1 }, tensors: new Map([['x_initial', from]]), into: new Map([['x_final', to]]) });
  return { a, b, requests: [step(a, b), step(b, a)] };
}

describe.skipIf(reasonAgainst !== null)(`CUDA graphs${titleNote}`, () => {
  beforeEach(() => mock.reset());

  it('replay runs as often as asked, on numbers written before', async () => {
    const device = await open();
    const layer = await device.prepare(doublingArtifact());
    const { a, b, requests } = pairOf(device);
    const graph = layer.capture(requests);
    expect(mock.state().launches).toBe(0);
    expect(await graph.replay()).toEqual({ milliseconds: 0.25, source: 'device' });
    expect(await a.read()).toEqual(Float32Array.of(4, 12));
    await graph.replay(3);
    expect(await a.read()).toEqual(Float32Array.of(256, 768));
    expect(await b.read()).toEqual(Float32Array.of(128, 384));
    a.write(Float32Array.of(1, 1));
    await Promise.all([graph.replay(), graph.replay()]);
    expect(await a.read()).toEqual(Float32Array.of(16, 16));
    expect(mock.state().calls['cuLaunchKernel']).toBe(2);
    graph[Symbol.dispose]();
    graph[Symbol.dispose]();
    expect(mock.state().alive).toMatchObject({ graphs: 0, execs: 0 });
    layer[Symbol.dispose]();
    await device[Symbol.asyncDispose]();
    expectNothingAlive();
  });

  it('own the results that they make', async () => {
    await using device = await open();
    using layer = await device.prepare(doublingArtifact());
    using u = device.createTensor('f32', Float32Array.of(1, 2), 'u');
    using x = device.createTensor('f32', Float32Array.of(3), 'x');
    const graph = layer.capture([{ entry: 'forward', sizes: { batch: 1, length: 2 }, tensors: new Map([['u', u], ['x_initial', x]]) }]);
    await graph.replay();
    const y = graph.results[0]!.get('y')!;
    expect(await y.read()).toEqual(Float32Array.of(2, 4));
    graph[Symbol.dispose]();
    expect(await diagnosticOf(() => y.read())).toMatchObject({ code: 'SSM6003' });
    expect(device.memoryUse().blocks).toBe(2);
  });

  it('are refused after what they use is gone, and with wrong arguments', async () => {
    await using device = await open();
    const layer = await device.prepare(doublingArtifact());
    const { a, b, requests } = pairOf(device);
    const graph = layer.capture(requests);
    for (const times of [0, -1, 1.5, NaN, Infinity, 1e9, '2' as unknown as number]) expect(await diagnosticOf(() => graph.replay(times))).toMatchObject({ code: 'SSM6004' });
    expect(await diagnosticOf(() => layer.capture([]))).toMatchObject({ code: 'SSM6004' });
    expect(await diagnosticOf(() => layer.capture([{ ...requests[0]!, tensors: new Map([['x_initial', new Float32Array(2)]]) }]))).toMatchObject({ code: 'SSM6004', message: expect.stringContaining('tensors.x_initial') });
    expect(await diagnosticOf(() => layer.capture([{ entry: 'step', sizes: { batch: 0, length: 1 }, tensors: new Map([['x_initial', new Float32Array(0)]]) }]))).toMatchObject({ code: 'SSM6004' });
    b[Symbol.dispose]();
    expect(await diagnosticOf(() => graph.replay())).toMatchObject({ code: 'SSM6003', message: 'tensor `b` was used after dispose' });
    a[Symbol.dispose]();
    const again = pairOf(device);
    const second = layer.capture(again.requests);
    layer[Symbol.dispose]();
    expect(await diagnosticOf(() => second.replay())).toMatchObject({ code: 'SSM6003', message: 'layer `Doubling` was used after dispose' });
    expect(await diagnosticOf(() => layer.capture(again.requests))).toMatchObject({ code: 'SSM6003' });
    second[Symbol.dispose]();
    expect(await diagnosticOf(() => second.replay())).toMatchObject({ code: 'SSM6003' });
  });

  it('may be disposed of while they run', async () => {
    const device = await open();
    using layer = await device.prepare(doublingArtifact());
    const { a, requests } = pairOf(device);
    const graph = layer.capture(requests);
    mock.set('pendingQueries', 2000);
    const running = graph.replay(2);
    graph[Symbol.dispose]();
    await running;
    expect(await a.read()).toEqual(Float32Array.of(16, 48));
    await device[Symbol.asyncDispose]();
    expectNothingAlive();
  });
});
