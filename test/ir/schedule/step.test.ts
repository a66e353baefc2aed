/**
 * Schedule `step` against the forward pass of one token in the sanitizing interpreter: sequences that do
 * not fill a workgroup's rows, channels that do not fill its columns, several vectors of states per
 * thread, complex states, states as results, layers without an inner axis.
 */
import { describe, expect, it } from 'vitest';
import { compileSpec } from '../../../backends/compile.ts';
import { loadLayer } from '../../../dsl/index.ts';
import { interpretPlan } from '../../../ir/kernel/interpret.ts';
import { printKernel } from '../../../ir/kernel/print.ts';
import type { Plan } from '../../../ir/plan.ts';
import { required } from '../../../support/invariant.ts';
import { evaluateSize } from '../../../support/size.ts';
import { relativeError } from '../../support/compiled-case.ts';

const selective = (sizes: string): string => `layer S(${sizes}) {
  input u[D], delta[D], B[N], C[N], z[D]
  param A_log[D, N] = 0, delta_bias[D] = 0, skip[D] = 1
  let dt = softplus(delta + delta_bias)
  selective dt, B, C
  state x[D, N] {
    dx/dt = -exp(A_log) * x + B * u
    discretize zoh(dt), input euler
  }
  output y[D] = (sum[N](C * x) + skip * u) * silu(z)
}`;

const complex = `layer L(D = 5, N = 8) {
  input u[D]
  param log_dt[D] = 0, a_re[D, N] = 0, a_im[D, N] = 0, C[D, N]: complex = 0
  let dt = exp(log_dt)
  state x[D, N]: complex {
    dx/dt = complex(-exp(a_re), a_im) * x + u
    discretize zoh(dt)
  }
  output y[D] = 2 * real(sum[N](C * x))
}`;

const gated = `layer G(D = 6) {
  input forget_raw[D], input_raw[D]
  param bound[D] = 0.5
  let f = bound + (1 - bound) * sigmoid(forget_raw)
  selective f
  state h[D] { next h = f * h + (1 - f) * silu(input_raw) }
  output y[D] = h
}`;

const cases: readonly (readonly [string, string, RegExp])[] = [
  ['16 states', selective('D = 40, N = 16'), /^step\(/],
  ['8 states, channels left over', selective('D = 7, N = 8'), /^step\(/],
  ['64 states', selective('D = 16, N = 64'), /^step\(/],
  ['6 states', selective('D = 4, N = 6'), /^lanes\(|^sequential\(/],
  ['complex', complex, /^step\(/],
  ['no inner axis', gated, /^sequential\(/],
];

function numbers(count: number, seed: number): Float64Array {
  let state = seed;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 32 - 0.4);
  });
}

function run(plan: Plan, batch: number): ReadonlyMap<string, Float64Array> {
  const sizes = { batch, length: 1 };
  const given = new Map(plan.tensors.filter((each) => ['input', 'param', 'initial'].includes(each.role)).map((each) => {
    const count = each.dims.reduce<number>((product, dim) => product * evaluateSize(dim, sizes), 1);
    return [each.name, numbers(count, each.name.length * 7 + count)] as const;
  }));
  const { tensors } = interpretPlan(plan, sizes, given, { rounding: 'f64', order: 'shuffled' });
  return new Map(plan.tensors.filter((each) => each.role === 'output' || each.role === 'final').map((each) => [each.name, required(tensors.get(each.name), each.name)]));
}

describe('a step on a GPU', () => {
  it.each(cases.flatMap(([name, text, chosen]) => [1, 6].map((batch) => [name, batch, text, chosen] as const)))('%s, batch %i', (_name, batch, text, chosen) => {
    const { spec, diagnostics } = loadLayer({ name: 'case.ssm', text }, null, { sizes: new Map() });
    const { plans, artifact } = compileSpec(required(spec, diagnostics[0]?.message ?? 'layer'), { target: 'cuda', entries: 'forward-only' });
    const planOf = (entry: string): Plan => required(plans.find((each) => each.entry === entry), entry);
    expect(planOf('step').kernels).toHaveLength(1);
    expect(artifact.manifest.decisions.find((each) => each.subject.startsWith('step: '))?.chosen).toMatch(chosen);
    const [actual, wanted] = [run(planOf('step'), batch), run(planOf('forward'), batch)];
    expect([...actual.keys()]).toEqual([...wanted.keys()]);
    for (const [tensor, value] of wanted) expect(relativeError(required(actual.get(tensor), tensor), value), tensor).toBeLessThan(1e-9);
  });

  it.each([['bf16', 10], ['f32', 8]] as const)('has all loads on their way before it waits, and many threads, in %s', (storage, resident) => {
    const { spec } = loadLayer({ name: 'case.ssm', text: selective('D = 64, N = 16') }, null, { sizes: new Map() });
    const { plans } = compileSpec(required(spec, 'layer'), { target: 'cuda', entries: 'forward-only', storage });
    const kernel = required(plans.find((each) => each.entry === 'step')?.kernels[0], 'kernel');
    expect(kernel.resident).toBe(resident);
    const places = printKernel(kernel).split('\n');
    const firstBarrier = places.findIndex((each) => /barrier/.test(each));
    for (const stream of ['u', 'delta', 'z', 'B', 'C']) {
      const loads = places.flatMap((each, at) => (new RegExp(`@\\d+:${stream}\\[`).test(each) ? [at] : []));
      expect(loads.length, stream).toBeGreaterThan(0);
      expect(Math.max(...loads), stream).toBeLessThan(firstBarrier);
    }
  });
});
