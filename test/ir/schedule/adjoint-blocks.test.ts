/**
 * Backward passes in blocks of tokens against the plain schedule (one token after another) in the sanitizing
 * interpreter of Kernel IR: real and complex states, groups that are not full, tiles and blocks that are
 * not whole, one and two blocks per checkpoint, cotangents of final states, both orders. The float64
 * rounding of the interpreter tells a wrong product from a rounding error.
 */
import { describe, expect, it } from 'vitest';
import { compileSpec } from '../../../backends/compile.ts';
import { adjointFormOf } from '../../../ir/schedule/adjoint-form.ts';
import type { BlocksParameters } from '../../../ir/schedule/parameters.ts';
import type { RegionPlan } from '../../../ir/schedule/region-plan.ts';
import { required } from '../../../support/invariant.ts';
import { relativeError } from '../../support/compiled-case.ts';
import { plain, runAll, specOf } from '../../support/scheduled-run.ts';

function blocks(lanes: number, workgroupSize: number, block: number): BlocksParameters {
  return { kind: 'blocks', lanes, workgroupSize, block };
}

const complex = (order: string, axes = 'D = 4, N = 4'): string => `layer C(${axes}) {
  input u[D], gate[D]
  param rate[D, N] = 0, angle[D, N] = 0, B[D, N]: complex, C[D, N]: complex, skip[D]
  state x[D, N]: complex {
    next x = exp(complex(-exp(rate), angle)) * x + B * (u * sigmoid(gate)) ${order === '' ? '' : `\n ${order}`}
  }
  output y[D] = 2 * real(sum[N](C * x)) + skip * u
}`;

const layers: Readonly<Record<string, string>> = {
  complex: complex(''),
  reverse: complex('order reverse'),
  odd: complex('', 'D = 5, N = 4'),
  real: `layer R(D = 4, N = 4) {
    input u[D]
    param rate[D, N] = 0, b[D, N] = 1, c[D, N] = 1
    state x[D, N] { next x = exp(-exp(rate)) * x - b * u / 3 }
    output y[D] = sum[N](c * x) - u
  }`,
  decayed: `layer E(D = 4, N = 4) {
    input u[D]
    param rate[D, N] = 0.5, c[D, N] = 1
    state x[D, N] { next x = sigmoid(rate) * x + u }
    output y[D] = sum[N](c * x) + sum[N](x)
  }`,
};

type Case = readonly [string, BlocksParameters, { readonly length: number; readonly interval?: number }];

const cases: readonly Case[] = [
  ['complex', blocks(2, 8, 4), { length: 37 }],
  ['complex', blocks(4, 8, 8), { length: 75 }],
  ['complex', blocks(4, 8, 8), { length: 75, interval: 16 }],
  ['complex', blocks(1, 4, 8), { length: 16 }],
  ['complex', blocks(4, 16, 4), { length: 3 }],
  ['complex', blocks(2, 4, 4), { length: 0 }],
  ['complex', blocks(4, 8, 4), { length: 64, interval: 16 }],
  ['reverse', blocks(2, 8, 4), { length: 29 }],
  ['odd', blocks(2, 4, 4), { length: 21 }],
  ['odd', blocks(4, 16, 8), { length: 70 }],
  ['real', blocks(4, 8, 4), { length: 33 }],
  ['real', blocks(2, 8, 8), { length: 35 }],
  ['decayed', blocks(2, 8, 4), { length: 13 }],
];

/** Whether the scans with a replay of a layer's gradients have the form. */
function formsOf(text: string): readonly boolean[] {
  const seen: boolean[] = [];
  const look = (plan: RegionPlan): void => void (plan.history !== null && seen.push(adjointFormOf(plan) !== null));
  compileSpec(specOf(text), { target: 'cuda', schedule: (plan) => (look(plan), { parameters: plain, split: null }) });
  return seen;
}

describe('backward passes in blocks', () => {
  it.each(cases)('%s with %o at %o', (name, parameters, { length, interval }) => {
    const spec = specOf(required(layers[name], name));
    const sizes = { batch: 2, length };
    const options = { checkpointInterval: interval ?? 8 };
    let count = 0;
    const isInBlocks = (plan: RegionPlan): boolean => plan.history !== null && adjointFormOf(plan) !== null && ++count > 0;
    const wanted = runAll(spec, sizes, { ...options, schedule: () => ({ parameters: plain, split: null }) });
    const actual = runAll(spec, sizes, { ...options, schedule: (plan) => ({ parameters: isInBlocks(plan) ? parameters : plain, split: null }) });
    expect(count).toBe(2);
    expect([...actual.keys()].sort()).toEqual([...wanted.keys()].sort());
    for (const [tensor, value] of wanted) {
      const got = required(actual.get(tensor), tensor);
      expect(got.length, tensor).toBe(value.length);
      if (value.length > 0) expect(relativeError(got, value), tensor).toBeLessThan(1e-9);
    }
  });

  it.each([[['u', 'C']], [['gate', 'rate']], [['u', 'skip', 'angle']]])('gradients of %o alone', (subjects) => {
    const spec = specOf(required(layers['complex'], 'layer'));
    const options = { checkpointInterval: 8, withRespectTo: new Set(subjects) };
    let count = 0;
    const isInBlocks = (plan: RegionPlan): boolean => plan.history !== null && adjointFormOf(plan) !== null && ++count > 0;
    const wanted = runAll(spec, { batch: 2, length: 37 }, { ...options, schedule: () => ({ parameters: plain, split: null }) });
    const actual = runAll(spec, { batch: 2, length: 37 }, { ...options, schedule: (plan) => ({ parameters: isInBlocks(plan) ? blocks(2, 8, 4) : plain, split: null }) });
    expect(count).toBe(2);
    for (const [tensor, value] of wanted) expect(relativeError(required(actual.get(tensor), tensor), value), tensor).toBeLessThan(1e-9);
  });

  it('need adjoints and states that turn alike, and sums of their products', () => {
    const text = required(layers['real'], 'layer');
    expect(formsOf(text)).toEqual([true, true]);
    const others = [
      text.replace('next x = exp(-exp(rate))', 'next x = exp(-exp(rate) * u * u)').replace('input u[D]', 'input u[D]\n selective u'),
      text.replace('c * x', 'tanh(c * x)'),
      text.replace('c * x', 'c * x * u'),
      text.replace('sum[N](c * x) - u', 'sum[N](c * x) * sum[N](x)'),
    ];
    for (const other of others) expect(formsOf(other), other).not.toContain(true);
  });
});
