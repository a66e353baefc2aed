/**
 * Launches that share a kernel: how many a backward pass is left with, and that gradients agree with
 * those of the CPU's plans, whose launches stay apart, also where rows of threads do not fill a
 * workgroup and where a sum follows from values of the same kernel.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { TargetName } from '../../../backends/artifact.ts';
import { planSpec } from '../../../backends/compile.ts';
import { loadLayer } from '../../../dsl/index.ts';
import type { LayerSpec } from '../../../dsl/spec.ts';
import { interpretPlan } from '../../../ir/kernel/interpret.ts';
import type { Plan } from '../../../ir/plan.ts';
import { required } from '../../../support/invariant.ts';
import { evaluateSize } from '../../../support/size.ts';
import { relativeError } from '../../support/compiled-case.ts';

function layer(name: string, sizes: Readonly<Record<string, number>>): LayerSpec {
  const text = readFileSync(new URL(`../../../examples/${name}`, import.meta.url), 'utf8');
  const { spec, diagnostics } = loadLayer({ name, text }, null, { sizes: new Map(Object.entries(sizes)) });
  return required(spec, diagnostics[0]?.message ?? 'layer');
}

function plansOf(spec: LayerSpec, target: TargetName): (entry: string) => Plan {
  const plans = planSpec(spec, { target, checkpointInterval: 4 });
  return (entry) => required(plans.find((each) => each.entry === entry), entry);
}

function numbers(count: number, seed: number): Float64Array {
  let state = seed;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 32 - 0.4);
  });
}

const given: ReadonlySet<string> = new Set(['input', 'param', 'initial', 'output-cotangent']);

function gradients(spec: LayerSpec, target: TargetName, length: number): ReadonlyMap<string, Float64Array> {
  const planOf = plansOf(spec, target);
  const sizes = { batch: 2, length };
  const known = new Map<string, Float64Array>();
  for (const entry of ['forwardSaved', 'backward']) {
    const plan = planOf(entry);
    for (const each of plan.tensors) {
      const count = each.dims.reduce<number>((product, dim) => product * evaluateSize(dim, sizes), 1);
      const drawn = numbers(count, each.name.length * 7 + count);
      if (given.has(each.role)) known.set(each.name, each.storage === 'i32' ? drawn.map((value) => (value > 0.3 ? 1 : 0)) : drawn);
    }
    for (const [name, value] of interpretPlan(plan, sizes, known, { rounding: 'f64' }).tensors) known.set(name, value);
  }
  const wanted = planOf('backward').tensors.filter((each) => each.role === 'gradient').map((each) => each.name);
  return new Map(wanted.map((name) => [name, required(known.get(name), name)]));
}

const cases: readonly (readonly [string, Readonly<Record<string, number>>, number, number])[] = [
  ['s4d.ssm', { D: 5, N: 6 }, 3, 9],
  ['s6.ssm', { D: 7, N: 4 }, 3, 9],
  ['hgrn.ssm', { D: 9 }, 2, 9],
  ['rg-lru.ssm', { H: 2, W: 3 }, 6, 9],
  ['s5.ssm', { H: 4, P: 6 }, 12, 9],
  // sums over all tokens in three pieces
  ['lru.ssm', { H: 2, N: 3 }, 11, 530],
];

describe('launches of one kernel', () => {
  it.each(cases)('%s with %o: gradients in at most %i launches, %i tokens', (name, sizes, most, length) => {
    const spec = layer(name, sizes);
    expect(plansOf(spec, 'cuda')('backward').kernels.length).toBeLessThanOrEqual(most);
    const [actual, wanted] = [gradients(spec, 'cuda', length), gradients(spec, 'wasm', length)];
    expect([...actual.keys()].sort()).toEqual([...wanted.keys()].sort());
    for (const [tensor, value] of wanted) expect(relativeError(required(actual.get(tensor), tensor), value), tensor).toBeLessThan(1e-6);
  });
});
