/**
 * A layer compiled under a given schedule and run in the sanitizing interpreter of Kernel IR on drawn
 * numbers, all entries in a row: two schedules of one layer must write the same tensors.
 */
import { planSpec, type CompileOptions } from '../../backends/compile.ts';
import { loadLayer } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { interpretPlan } from '../../ir/kernel/interpret.ts';
import type { ScanParameters } from '../../ir/schedule/parameters.ts';
import { required } from '../../support/invariant.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';

/** One thread per channel, one token after another: what other schedules are compared with. */
export const plain: ScanParameters = { kind: 'sequential', workgroupSize: 4, lanes: 1, innerWidth: 1, groupChannels: 1 };

/** A selective scan of eight states with a result of your own. */
export function selectiveText(channels: number, result: string): string {
  return `layer S(D = ${channels}, N = 8) {
  input u[D], delta[D], B[N], C[N], z[D]
  param a[D, N] = log(1 + iota(N))
  let dt = softplus(delta)
  selective dt, B, C
  state x[D, N] {
    dx/dt = -exp(a) * x + B * u
    discretize zoh(dt), input euler
  }
  output y[D] = ${result}
}`;
}

/** The layer of a text. */
export function specOf(text: string): LayerSpec {
  const { spec, diagnostics } = loadLayer({ name: 'case.ssm', text }, null, { sizes: new Map() });
  return required(spec, diagnostics[0]?.message ?? 'layer');
}

function numbers(count: number, seed: number): Float64Array {
  let state = seed;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 32 - 0.4);
  });
}

const given: ReadonlySet<string> = new Set(['input', 'param', 'initial', 'output-cotangent', 'final-cotangent']);

/** All tensors that the entries write, by entry and name. */
export function runAll(spec: LayerSpec, sizes: RunSizes, options: Omit<CompileOptions, 'target'>): ReadonlyMap<string, Float64Array> {
  const plans = planSpec(spec, { target: 'cuda', checkpointInterval: 4, ...options });
  const saved = new Map<string, Float64Array>();
  const found = new Map<string, Float64Array>();
  for (const entry of ['forward', 'forwardSaved', 'backward', 'backwardFinal']) {
    const plan = required(plans.find((each) => each.entry === entry), entry);
    const tensors = new Map(plan.tensors.filter((each) => given.has(each.role)).map((each) => {
      const count = each.dims.reduce<number>((product, dim) => product * evaluateSize(dim, sizes), 1);
      const drawn = numbers(count, each.name.length * 7 + count);
      return [each.name, each.storage === 'i32' ? drawn.map((value) => (value > 0.4 ? 1 : 0)) : drawn] as const;
    }));
    const result = interpretPlan(plan, sizes, new Map([...tensors, ...saved]), { rounding: 'f64', order: 'shuffled' }).tensors;
    for (const each of plan.tensors) {
      if (each.role === 'scratch' || given.has(each.role)) continue;
      const value = required(result.get(each.name), each.name);
      if (each.role === 'saved') saved.set(each.name, value);
      found.set(`${entry} ${each.name}`, value);
    }
  }
  return found;
}
