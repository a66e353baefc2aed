/**
 * The tiled CPU schedule against the plain one (one channel, one state, one token at a time) on the
 * WASM device: several groups and blocks of channels, a last group that is not full, lengths above and
 * below a tile, states walked over in pieces, sums over time and over channels, both orders of time.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { compileSpec, planSpec } from '../../../backends/compile.ts';
import type { EntryPointName, ManifestTensor } from '../../../backends/artifact.ts';
import { loadLayer } from '../../../dsl/index.ts';
import type { LayerSpec } from '../../../dsl/spec.ts';
import type { ScanSchedule } from '../../../ir/schedule/parameters.ts';
import type { DeviceTensor, TensorData } from '../../../runtime/device.ts';
import { openWasm } from '../../../runtime/wasm/index.ts';
import { required } from '../../../support/invariant.ts';
import { evaluateSize } from '../../../support/size.ts';
import { relativeError } from '../../support/compiled-case.ts';

const device = await openWasm({ workers: 1, checks: 'canaries' });
afterAll(async () => device[Symbol.asyncDispose]());

const plain: ScanSchedule = { parameters: { kind: 'sequential', workgroupSize: 1, lanes: 1, innerWidth: 1, groupChannels: 1 }, split: null };

const selective = (order: string): string => `layer S(D = 80, N = 16) {
  input u[D], delta[D], B[N], C[N]
  param A_log[D, N] = 0, delta_bias[D] = 0, skip[D] = 1
  let dt = softplus(delta + delta_bias)
  selective dt, B, C
  state x[D, N] {
    dx/dt = -exp(A_log) * x + B * u
    discretize zoh(dt), input euler
    ${order}
  }
  output y[D] = sum[N](C * x) + skip * u
}`;

const invariantComplex = `layer L(D = 24, N = 32) {
  input u[D]
  param log_dt[D] = 0, a_re[D, N] = 0, a_im[D, N] = 0, C[D, N]: complex = 0
  let dt = exp(log_dt)
  state x[D, N]: complex {
    dx/dt = complex(-exp(a_re), a_im) * x + u
    discretize zoh(dt)
  }
  output y[D] = 2 * real(sum[N](C * x))
}`;

const scalarDecay = `layer R(D = 8, N = 8) {
  input u[D], k[N], q[N], g[D]
  param rate[D] = 0, beta[N] = 0
  let a = sigmoid(g)
  selective a, k, q
  state x[D, N] { next x = exp(-softplus(rate) * a) * x + (k + beta) * u }
  output y[D] = sum[N](q * x)
}`;

const cases: readonly (readonly [string, string, number])[] = [
  ['selective, forward in time', selective(''), 150],
  ['selective, shorter than a tile', selective(''), 5],
  ['selective, reverse in time', selective('order reverse'), 70],
  ['complex and time-invariant, in pieces', invariantComplex, 130],
  ['one decay per channel, parameter over states', scalarDecay, 65],
];

function specOf(text: string): LayerSpec {
  const { spec, diagnostics } = loadLayer({ name: 'case.ssm', text }, null, { sizes: new Map() });
  return required(spec, diagnostics[0]?.message ?? 'layer');
}

const given: ReadonlySet<ManifestTensor['role']> = new Set(['input', 'param', 'initial', 'output-cotangent']);

function numbers(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  });
}

/** Everything that forwardSaved and backward write, by tensor name. */
async function runAll(spec: LayerSpec, length: number, schedule: ScanSchedule | null): Promise<ReadonlyMap<string, TensorData>> {
  const { artifact } = compileSpec(spec, { target: 'wasm', ...(schedule === null ? {} : { schedule: () => schedule }) });
  const layer = await device.prepare(artifact);
  const sizes = { batch: 2, length };
  const found = new Map<string, TensorData>();
  const saved = new Map<string, DeviceTensor>();
  for (const name of ['forwardSaved', 'backward'] satisfies EntryPointName[]) {
    const entry = required(artifact.manifest.entries.find((each) => each.name === name), name);
    const tensors = new Map<string, TensorData | DeviceTensor>();
    for (const tensor of entry.tensors) {
      const count = tensor.dims.reduce<number>((product, dim) => product * evaluateSize(dim, sizes), 1);
      if (given.has(tensor.role)) tensors.set(tensor.name, numbers(count, tensor.name.length + count));
      const kept = tensor.role === 'saved' ? saved.get(tensor.name) : undefined;
      if (kept !== undefined) tensors.set(tensor.name, kept);
    }
    const result = await layer.run({ entry: name, sizes, tensors });
    for (const [tensor, value] of result.tensors) {
      saved.set(tensor, value);
      found.set(`${name} ${tensor}`, await value.read());
    }
  }
  saved.forEach((each) => each[Symbol.dispose]());
  layer[Symbol.dispose]();
  return found;
}

describe('tiles of tokens by blocks of channels', () => {
  it.each(cases)('%s', async (_name, text, length) => {
    const spec = specOf(text);
    const [tiled, expected] = [await runAll(spec, length, null), await runAll(spec, length, plain)];
    expect([...tiled.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [name, value] of expected) {
      const actual = required(tiled.get(name), name);
      expect(Math.max(...Array.from(value, Math.abs)), `${name} is not zero`).toBeGreaterThan(0);
      expect(relativeError(Array.from(actual), Array.from(value)), name).toBeLessThan(3e-6);
    }
  });

  it('is what the CPU runs: tiles are named in the kernel', () => {
    const plans = planSpec(specOf(selective('')), { target: 'wasm' });
    const notes = plans.flatMap((plan) => plan.kernels).flatMap((kernel) => kernel.notes);
    expect(notes.filter((note) => note.includes('tiles of 64 tokens by 16 channels')).length).toBeGreaterThan(2);
  });
});
