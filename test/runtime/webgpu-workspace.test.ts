import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { emitWgsl } from '../../backends/wgsl/index.ts';
import type { ExecutionDevice, TensorData } from '../../runtime/device.ts';
import { fromDevice } from '../../runtime/webgpu/index.ts';
import { vectorAdd } from '../support/kernels.ts';
import { openTestDevice, openTestGpu, skipReason } from '../support/webgpu.ts';

const present = (await openTestGpu()) !== null;
const header = { layer: 'Kept', compiler: 'test', contentHash: '0', mode: 'recurrent', axes: [], parameters: [], decisions: [] } as const;
const sizes = { batch: 3, length: 40 };

describe.skipIf(!present)(`buffers kept between runs ${present ? '' : skipReason}`, () => {
  let gpu: GPUDevice;
  let device: ExecutionDevice;
  beforeAll(async () => {
    gpu = (await openTestDevice())!;
    device = fromDevice(gpu);
  });
  afterAll(async () => {
    await device?.[Symbol.asyncDispose]();
    gpu?.destroy();
  });

  it('are made once, also for runs that are queued together, and each run has its own numbers', async () => {
    const layer = await device.prepare(emitWgsl([vectorAdd()], header));
    const run = async (value: number): Promise<TensorData> => {
      const tensors = new Map([['u', new Float32Array(120).fill(value)], ['scale', Float32Array.of(0.5)]]);
      const { tensors: results } = await layer.run({ entry: 'forward', sizes, tensors });
      using y = results.get('y')!;
      return y.read();
    };
    const spy = vi.spyOn(gpu, 'createBuffer');
    const uploads = (): number => spy.mock.calls.filter(([descriptor]) => /\/(u|scale)$/.test(descriptor.label ?? '')).length;
    const found = [await run(2), ...await Promise.all([run(4), run(6), run(8)]), await run(10)];
    expect(found.map((each) => [...new Set(each)])).toEqual([[3], [6], [9], [12], [15]]);
    expect(uploads()).toBe(2);
    layer[Symbol.dispose]();
    const other = await device.prepare(emitWgsl([vectorAdd()], header));
    await other.run({ entry: 'forward', sizes, tensors: new Map([['u', new Float32Array(120)], ['scale', Float32Array.of(1)]]) });
    expect(uploads()).toBe(4);
    spy.mockRestore();
  });
});
