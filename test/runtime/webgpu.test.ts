import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { emitWgsl } from '../../backends/wgsl/index.ts';
import type { ManifestHeader } from '../../backends/manifest.ts';
import { interpretPlan } from '../../ir/kernel/interpret.ts';
import type { Plan } from '../../ir/plan.ts';
import type { DeviceTensor, ExecutionDevice, TensorData } from '../../runtime/device.ts';
import { fromDevice } from '../../runtime/webgpu/index.ts';
import type { RunSizes } from '../../support/size.ts';
import { coarsePrimitives, manyBuffers, manyOperators, reverseTiles, sequentialScan, shuffleReduction, vectorAdd } from '../support/kernels.ts';
import { randomKernel } from '../support/random-kernels.ts';
import { openTestDevice, openTestGpu, skipReason } from '../support/webgpu.ts';

const header: ManifestHeader = {
  layer: 'Test', compiler: 'statefuse test', contentHash: '0', mode: 'recurrent', axes: [], parameters: [], decisions: [],
};

const present = (await openTestGpu()) !== null;

/** Numbers in [-2, 2) from a fixed generator, exact in f32. */
function numbers(count: number, seed = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) / 16384 - 2;
  });
}

function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  return Array.from(expected).reduce((most, each, at) => {
    const difference = Math.abs(each - (actual[at] ?? NaN));
    return Number.isNaN(difference) ? Infinity : Math.max(most, difference);
  }, 0);
}

describe.skipIf(!present)(`kernels on WebGPU ${present ? '' : skipReason}`, () => {
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

  async function run(
    plan: Plan, sizes: RunSizes, tensors: Record<string, TensorData | DeviceTensor>, on: ExecutionDevice = device,
  ): Promise<Map<string, TensorData>> {
    using layer = await on.prepare(emitWgsl([plan], header));
    const result = await layer.run({ entry: 'forward', sizes, tensors: new Map(Object.entries(tensors)) });
    const read = new Map<string, TensorData>();
    for (const [name, tensor] of result.tensors) {
      read.set(name, await tensor.read());
      tensor[Symbol.dispose]();
    }
    expect(result.timing.milliseconds).toBeGreaterThanOrEqual(0);
    return read;
  }

  it('adds vectors of awkward lengths', async () => {
    for (const length of [1, 63, 64, 65, 1000]) {
      const u = numbers(3 * length);
      const read = await run(vectorAdd(), { batch: 3, length }, { u, scale: Float32Array.of(0.5) });
      expect(largestDifference(read.get('y')!, u.map((each) => each * 1.5))).toBe(0);
    }
  });

  it('exchanges through workgroup memory', async () => {
    const u = numbers(256);
    const read = await run(reverseTiles(), { batch: 2, length: 128 }, { u });
    const expected = u.map((_, at) => u[at - (at % 64) + 63 - (at % 64)]!);
    expect(largestDifference(read.get('y')!, expected)).toBe(0);
  });

  it('reduces across lanes with an odd number of exchanges per round', async () => {
    const u = numbers(4 * 7 * 32, 5);
    const read = await run(shuffleReduction(7), { batch: 4, length: 1 }, { u });
    const expected = Array.from({ length: 28 }, (_, row) => u.slice(row * 32, row * 32 + 32).reduce((sum, each) => sum + each, 0));
    expect(largestDifference(read.get('y')!, expected)).toBeLessThan(1e-5);
  });

  it('scans with carried state', async () => {
    const [batch, length] = [3, 37];
    const u = numbers(batch * length);
    const a = Float32Array.of(0.5, 0.25, -0.5, 0.75);
    const initial = numbers(batch * 4, 9);
    const read = await run(sequentialScan(), { batch, length }, { u, a, 'x.initial': initial });
    const y: number[] = [];
    const final: number[] = [];
    for (let b = 0; b < batch; b++) {
      const x = Array.from(initial.slice(b * 4, b * 4 + 4));
      for (let t = 0; t < length; t++) {
        for (let n = 0; n < 4; n++) x[n] = a[n]! * x[n]! + u[b * length + t]!;
        y.push(x.reduce((sum, each) => sum + each, 0));
      }
      final.push(...x);
    }
    expect(largestDifference(read.get('y')!, y)).toBeLessThan(1e-5);
    expect(largestDifference(read.get('x.final')!, final)).toBeLessThan(1e-5);
  });

  it('computes every operator', async () => {
    const { plan, expected } = manyOperators();
    const u = numbers(4 * 20, 3);
    const read = await run(plan, { batch: 4, length: 5 }, { u });
    expect(largestDifference(read.get('y')!, expected(Array.from(u)))).toBeLessThan(1e-5);
  });

  it('runs kernels with more than 8 storage buffers on default limits', async () => {
    expect(gpu.limits.maxStorageBuffersPerShaderStage).toBe(8);
    const [batch, length, count] = [3, 21, 12];
    const u = numbers(batch * length);
    const params = Array.from({ length: count }, (_, k) => numbers(length, k + 2));
    using onDevice = device.createTensor('f32', params[3]!, 'p3');
    const tensors: Record<string, TensorData | DeviceTensor> = { u };
    params.forEach((each, k) => (tensors[`p${k}`] = k === 3 ? onDevice : each));
    const read = await run(manyBuffers(count), { batch, length }, tensors);
    const y = u.map((each, at) => params.reduce((sum, p, k) => sum + k * p[at % length]!, each));
    expect(largestDifference(read.get('y')!, y)).toBeLessThan(1e-4);
    expect(largestDifference(read.get('z')!, u.map((each) => each + 1))).toBe(0);
    expect(read.has('d1')).toBe(false);
    for (const k of [0, 2, 11]) expect(largestDifference(read.get(`d${k}`)!, u.map((each) => k * each))).toBeLessThan(1e-5);
  });

  it('computes sine, cosine and logarithm far better than WGSL promises', async () => {
    const u = numbers(2000, 31).map((each, at) => (at < 1000 ? each * 500 : 1 + each / 16));
    const y = (await run(coarsePrimitives(2000), { batch: 1, length: 1 }, { u })).get('y')!;
    const expected = Array.from(u).flatMap((each) => [Math.sin(each), Math.cos(each), Math.log2(Math.abs(each))]);
    const relative = expected.map((each, at) => Math.abs(y[at]! - each) / (at % 3 === 2 ? Math.max(Math.abs(each), 1e-6) : 1));
    expect(Math.max(...relative)).toBeLessThan(4e-7); // WGSL: 2^-11 absolute, and 2^-21 absolute for log2 near 1
  });

  it('computes random exact expressions as the interpreter does', async () => {
    const u = numbers(128, 21).map((each) => Math.round(each * 8) / 8);
    for (let seed = 1; seed <= 8; seed++) {
      const plan = randomKernel(seed, 12);
      const sizes = { batch: 1, length: 1 };
      const expected = interpretPlan(plan, sizes, new Map([['u', Float64Array.from(u)]]), { rounding: 'f32' }).tensors;
      const actual = await run(plan, sizes, { u });
      for (const name of ['y', 'z']) {
        expect([seed, name, largestDifference(actual.get(name)!, expected.get(name)!)]).toEqual([seed, name, 0]);
      }
    }
  });

  it('runs by windows of the batch where tensors exceed a binding', async () => {
    const scanInputs = { u: numbers(37 * 8), a: Float32Array.of(0.5, 0.25, -0.5, 0.75), 'x.initial': numbers(37 * 4, 9) };
    const manyInputs: Record<string, TensorData> = { u: numbers(150 * 21) };
    for (let k = 0; k < 3; k++) manyInputs[`p${k}`] = numbers(21, k + 2);
    const cases = [
      { plan: sequentialScan(), sizes: { batch: 37, length: 8 }, tensors: scanInputs, bindingBytes: 16 * 32 },
      { plan: manyBuffers(3), sizes: { batch: 150, length: 21 }, tensors: manyInputs, bindingBytes: 64 * 84 },
    ];
    for (const { plan, sizes, tensors, bindingBytes } of cases) {
      const whole = await run(plan, sizes, tensors);
      await using narrow = fromDevice(gpu, { bindingBytes });
      const pieces = await run(plan, sizes, tensors, narrow);
      expect([...pieces.keys()]).toEqual([...whole.keys()]);
      for (const [name, values] of whole) expect(largestDifference(pieces.get(name)!, values)).toBe(0);
      await using tooNarrow = fromDevice(gpu, { bindingBytes: bindingBytes - 1 });
      await expect(run(plan, sizes, tensors, tooNarrow)).rejects.toThrow(/SSM5001/);
    }
  });

  it('leaves the stack of error scopes as it was', async () => {
    const before = await gpu.popErrorScope().then(() => 'a scope', () => 'none');
    await run(vectorAdd(), { batch: 1, length: 4 }, { u: numbers(4), scale: Float32Array.of(1) });
    const after = await gpu.popErrorScope().then(() => 'a scope', () => 'none');
    expect([before, after]).toEqual(['none', 'none']);
  });

  it('covers grids above 65535 workgroups', async () => {
    const { plan, expected } = manyOperators();
    const length = 70_001;
    const u = numbers(4 * length, 11);
    const read = await run(plan, { batch: 1, length }, { u });
    const whole = expected(Array.from(u));
    expect(largestDifference(read.get('y')!, whole)).toBeLessThan(1e-5);
  });
});
