import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { emitWasm } from '../../../backends/wasm/index.ts';
import type { TensorData } from '../../../runtime/device.ts';
import { openWasm, type WasmDevice } from '../../../runtime/wasm/index.ts';
import {
  affineScanPlan,
  header,
  histogramPlan,
  randomNumbers,
  tensor,
  vectorAddPlan,
} from '../../backends/wasm/kernels.ts';
import type { Plan } from '../../../ir/plan.ts';

async function runOnce(
  device: WasmDevice,
  plan: Plan,
  sizes: { batch: number; length: number },
  tensors: Record<string, TensorData>,
  output: string,
): Promise<TensorData> {
  using layer = await device.prepare(emitWasm([plan], header));
  const result = await layer.run({ entry: 'forward', sizes, tensors: new Map(Object.entries(tensors)) });
  const numbers = await result.tensors.get(output)!.read();
  for (const tensor of result.tensors.values()) tensor[Symbol.dispose]();
  return numbers;
}

type ScanInputs = {
  u: Float32Array;
  delta: Float32Array;
  exponent: Float32Array;
  inputMap: Float32Array;
  readout: Float32Array;
};

function scanInputs(batch: number, length: number, channels: number): ScanInputs {
  return {
    u: randomNumbers(batch * length * channels, 1),
    delta: randomNumbers(batch * length * channels, 2).map((x) => 0.05 + 0.04 * x),
    exponent: randomNumbers(channels * 16, 3).map((x) => -3 + 2.5 * x),
    inputMap: randomNumbers(channels * 16, 4),
    readout: randomNumbers(channels * 16, 5),
  };
}

function scanReference(
  { u, delta, exponent, inputMap, readout }: ScanInputs,
  batch: number,
  length: number,
  channels: number,
): Float64Array {
  const y = new Float64Array(u.length);
  for (let b = 0; b < batch; b++) {
    for (let d = 0; d < channels; d++) {
      const state = new Float64Array(16);
      for (let t = 0; t < length; t++) {
        const row = (b * length + t) * channels + d;
        for (let n = 0; n < 16; n++) {
          const at = d * 16 + n;
          state[n] = 2 ** (delta[row]! * exponent[at]!) * state[n]! + delta[row]! * u[row]! * inputMap[at]!;
          y[row]! += state[n]! * readout[at]!;
        }
      }
    }
  }
  return y;
}

describe.each([0, 1, 2])('with %i workers', (workers) => {
  let device: WasmDevice;
  beforeAll(async () => {
    device = await openWasm({ workers, checks: 'canaries' });
  });
  afterAll(async () => {
    expect(device.memoryUse()).toEqual({ bytes: 0, blocks: 0 });
    await device[Symbol.asyncDispose]();
  });

  test.each([1, 3, 4, 5, 63, 64, 65, 1000, 100_003])('adds %i numbers', async (length) => {
    const [a, b] = [randomNumbers(length, 7), randomNumbers(length, 8)];
    const c = await runOnce(device, vectorAddPlan(), { batch: 1, length }, { a, b }, 'c');
    expect(c).toEqual(a.map((each, at) => each + b[at]!));
  });

  test.each([
    [1, 1, 1],
    [2, 17, 3],
    [3, 300, 8],
    [1, 1000, 5],
  ])('scans batch %i, length %i, channels %i', async (batch, length, channels) => {
    const inputs = scanInputs(batch, length, channels);
    const y = await runOnce(device, affineScanPlan(channels), { batch, length }, inputs, 'y');
    const exact = scanReference(inputs, batch, length, channels);
    const scale = Math.sqrt(exact.reduce((sum, each) => sum + each * each, 0));
    const error = Math.sqrt(exact.reduce((sum, each, at) => sum + (each - Number(y[at])) ** 2, 0));
    expect(error / scale).toBeLessThan(1e-6);
  });

  test('register arrays with varying indices, grid in three dimensions', async () => {
    const [batch, length] = [5, 200];
    const values = Int32Array.from(randomNumbers(batch * length, 9), (x) => Math.floor(4.5 * (x + 1)));
    const counts = await runOnce(device, histogramPlan(), { batch, length }, { values }, 'counts');
    const expected = Array.from({ length: batch * 48 }, (_, at) => {
      const [k, x, y, z] = [at % 8, Math.floor(at / 8) % 3, Math.floor(at / 24) % 2, Math.floor(at / 48)];
      const row = values.subarray(z * length, (z + 1) * length);
      return row.filter((each) => each === k).length * (1 + x + 10 * y);
    });
    expect([...counts]).toEqual(expected);
  });

  test('runs without tokens are empty', async () => {
    const c = await runOnce(
      device,
      vectorAddPlan(),
      { batch: 0, length: 0 },
      { a: new Float32Array(0), b: new Float32Array(0) },
      'c',
    );
    expect(c).toEqual(new Float32Array(0));
  });

  test('a thousand runs leave the memory as it was', async () => {
    using layer = await device.prepare(emitWasm([vectorAddPlan()], header));
    const [a, b] = [randomNumbers(1000, 1), randomNumbers(1000, 2)];
    const before = device.memoryUse();
    for (let at = 0; at < 1000; at++) {
      const result = await layer.run({
        entry: 'forward',
        sizes: { batch: 1, length: 1000 },
        tensors: new Map([
          ['a', a],
          ['b', b],
        ]),
      });
      result.tensors.forEach((tensor) => tensor[Symbol.dispose]());
    }
    expect(device.memoryUse()).toEqual(before);
  });
});

test('all worker counts give the same bits', async () => {
  const inputs = scanInputs(2, 500, 16);
  const results: TensorData[] = [];
  for (const workers of [0, 1, 2]) {
    await using device = await openWasm({ workers });
    results.push(await runOnce(device, affineScanPlan(16), { batch: 2, length: 500 }, inputs, 'y'));
  }
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
});

test.each(['backward', 'backwardFinal'] as const)('%s takes what forwardSaved gives', async (entry) => {
  await using device = await openWasm({ workers: 0, checks: 'canaries' });
  const roles = { a: 'saved', b: 'final-cotangent', c: 'gradient' } as const;
  const plan = vectorAddPlan();
  const tensors = plan.tensors.map((each) => ({ ...each, role: roles[each.name as 'a' | 'b' | 'c'] }));
  using layer = await device.prepare(emitWasm([{ ...plan, entry, tensors }], header));
  const result = await layer.run({
    entry,
    sizes: { batch: 1, length: 2 },
    tensors: new Map([
      ['a', Float32Array.of(1, 2)],
      ['b', Float32Array.of(3, 4)],
    ]),
  });
  expect(await result.tensors.get('c')!.read()).toEqual(Float32Array.of(4, 6));
});

test('without tokens the final state is the initial one and other results are zero', async () => {
  await using device = await openWasm({ workers: 0, checks: 'canaries' });
  const { kernels } = vectorAddPlan();
  const tensors = [
    tensor('a', 'input', ['length']),
    tensor('b', 'input', ['length']),
    tensor('c', 'output', ['length']),
    { ...tensor('h.initial', 'initial', [3]), subject: 'h' },
    { ...tensor('h.final', 'final', [3]), subject: 'h' },
    { ...tensor('other.final', 'final', [2]), subject: 'other' },
  ];
  using layer = await device.prepare(emitWasm([{ entry: 'forward', tensors, kernels }], header));
  const none = new Float32Array(0);
  const initial = Float32Array.of(1, 2, 3);
  const given = new Map([
    ['a', none],
    ['b', none],
    ['h.initial', initial],
  ]);
  const result = await layer.run({ entry: 'forward', sizes: { batch: 1, length: 0 }, tensors: given });
  expect(await result.tensors.get('h.final')!.read()).toEqual(initial);
  expect(await result.tensors.get('other.final')!.read()).toEqual(Float32Array.of(0, 0));
});
