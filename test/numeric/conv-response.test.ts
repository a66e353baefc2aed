/**
 * Impulse responses of S4D-Lin and S4D-Inv at 16,384 tokens, Δ from 1e-3 to 1e-1, on every device here,
 * within 2e-6 of max|K| of float64 that starts from the same f32 Δ and λ (the response of the layer to
 * an impulse is K). The naive cosine of n·Δ·λ in f32 is wrong by 2e-6 to 5e-6, repeated products by 5e-5.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import type { ExecutionDevice } from '../../runtime/device.ts';
import { openWasm } from '../../runtime/wasm/index.ts';
import { fromDevice } from '../../runtime/webgpu/index.ts';
import { required } from '../../support/invariant.ts';
import { specOfText } from '../support/conv-layers.ts';
import { openTestDevice } from '../support/webgpu.ts';

const [D, N, length] = [4, 32, 16384];

const text = `layer Response(D = ${D}, N = ${N}) {
  input u[D]
  param dt[D], lambda_re[N], lambda_im[N], C[D, N]: complex
  state x[D, N]: complex {
    dx/dt = complex(lambda_re, lambda_im) * x + u
    discretize dirac(dt)
  }
  output y[D] = 2 * real(sum[N](C * x))
}`;

const spec = specOfText('response', text);
const devices = new Map<'wasm' | 'wgsl', ExecutionDevice>();
const opened = await openTestDevice();
devices.set('wasm', await openWasm({ workers: 1 }));
if (opened !== null) devices.set('wgsl', fromDevice(opened));
afterAll(async () => { for (const device of devices.values()) await device[Symbol.asyncDispose](); });

/** S4D-Lin and S4D-Inv (Gu et al. 2022), and pairs without decay, whose phase alone is left. */
const spectra: Readonly<Record<string, (n: number) => readonly [number, number]>> = {
  'S4D-Lin': (n) => [-0.5, Math.PI * n],
  'S4D-Inv': (n) => [-0.5, (2 * N / Math.PI) * ((2 * N) / (2 * n + 1) - 1)],
  'undamped': (n) => [0, -Math.PI * (n + 0.37)],
};

const steps = Float32Array.of(1e-3, 3.7e-3, 2.3e-2, 1e-1);

function weights(): Float32Array {
  let state = 12345;
  return Float32Array.from({ length: D * N * 2 }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state / 2 ** 32 - 0.5) * 1.4;
  });
}

/** K[t, d] in float64; e^(n·Δ·λ) with the phase reduced by BigInt-free exact remainders. */
function expectedResponse(re: Float32Array, im: Float32Array, C: Float32Array): Float64Array {
  const K = new Float64Array(length * D);
  for (let d = 0; d < D; d++) {
    for (let n = 0; n < N; n++) {
      const dt = steps[d]!;
      for (let t = 0; t < length; t++) {
        const size = Math.exp(t * dt * re[n]!);
        const angle = t * (dt * im[n]!); // dt·im is exact in float64, t·it to 2e-12 rad
        K[t * D + d] = K[t * D + d]! + 2 * size * (C[(d * N + n) * 2]! * Math.cos(angle) - C[(d * N + n) * 2 + 1]! * Math.sin(angle));
      }
    }
  }
  return K;
}

describe.each([...devices.keys()])('%s', (target) => {
  it.each(Object.entries(spectra))('%s', async (_name, spectrum) => {
    const re = Float32Array.from({ length: N }, (_, n) => spectrum(n)[0]);
    const im = Float32Array.from({ length: N }, (_, n) => spectrum(n)[1]);
    const C = weights();
    const { artifact } = compileSpec(spec, { target, mode: 'conv', convolution: 'direct', entries: 'forward-only' });
    const layer = await required(devices.get(target), target).prepare(artifact);
    // the layer run from a state of ones with no input: y_t = 2 Re Σ C a^(t + 1)
    const tensors = new Map([
      ['u', new Float32Array(length * D)], ['dt', steps], ['lambda_re', re], ['lambda_im', im], ['C', C],
      ['x.initial', Float32Array.from({ length: D * N * 2 }, (_, at) => 1 - (at % 2))],
    ]);
    const result = await layer.run({ entry: 'forward', sizes: { batch: 1, length }, tensors });
    const y = required(result.tensors.get('y'), 'y');
    const numbers = await y.read();
    const K = expectedResponse(re, im, C);
    for (let d = 0; d < D; d++) {
      let [largest, worst] = [0, 0];
      for (let t = 1; t < length; t++) {
        largest = Math.max(largest, Math.abs(K[t * D + d]!));
        worst = Math.max(worst, Math.abs(K[t * D + d]! - (numbers[(t - 1) * D + d] as number)));
      }
      expect.soft(worst / largest, `Δ = ${steps[d]}`).toBeLessThan(1e-6);
      expect(worst).toBeGreaterThan(0);
    }
    result.tensors.forEach((each) => each[Symbol.dispose]());
    layer[Symbol.dispose]();
  });
});
