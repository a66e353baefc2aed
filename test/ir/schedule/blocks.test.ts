/**
 * Schedule `blocks` against the plain one (one thread per channel, one token after another) in the
 * sanitizing interpreter of Kernel IR: real and complex states, one and two read-outs, groups that are
 * not full, tiles and blocks that are not whole, checkpoints, pieces of time, both orders.
 */
import { describe, expect, it } from 'vitest';
import { compileSpec } from '../../../backends/compile.ts';
import { blockFormOf } from '../../../ir/schedule/blocks-form.ts';
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
  param rate[D, N] = 0, angle[D, N] = 0, B[N]: complex, C[D, N]: complex, skip[D]
  state x[D, N]: complex {
    next x = exp(complex(-exp(rate), angle)) * x + B * (u * sigmoid(gate)) ${order === '' ? '' : `\n ${order}`}
  }
  output y[D] = (2 * real(sum[N](C * x)) + skip * u) * gate
}`;

const layers: Readonly<Record<string, string>> = {
  complex: complex(''),
  reverse: complex('order reverse'),
  odd: complex('', 'D = 5, N = 4'),
  real: `layer R(D = 4, N = 4) {
    input u[D]
    param rate[D, N] = 0, b[D, N] = 1, c[N] = 1
    state x[D, N] { next x = exp(-exp(rate)) * x - b * u / 3 }
    output y[D] = sum[N](c * x) - u
  }`,
  two: `layer T(D = 4, N = 4) {
    input u[D]
    param rate[N] = 0, angle[D, N] = 0, C[D, N]: complex
    state x[D, N]: complex { next x = exp(complex(-exp(rate), angle)) * x + u }
    output y[D]: complex = sum[N](C * x)
  }`,
};

type Case = readonly [string, BlocksParameters, { readonly length: number; readonly pieceLength?: number }];

const cases: readonly Case[] = [
  ['complex', blocks(2, 8, 4), { length: 37 }],
  ['complex', blocks(4, 8, 8), { length: 75 }],
  ['complex', blocks(1, 4, 8), { length: 16 }],
  ['complex', blocks(4, 16, 4), { length: 3 }],
  ['complex', blocks(2, 4, 4), { length: 0 }],
  ['complex', blocks(2, 8, 4), { length: 61, pieceLength: 24 }],
  ['reverse', blocks(2, 8, 4), { length: 29 }],
  ['reverse', blocks(4, 8, 4), { length: 50, pieceLength: 16 }],
  ['odd', blocks(2, 4, 4), { length: 21 }],
  ['odd', blocks(4, 16, 8), { length: 70, pieceLength: 40 }],
  ['real', blocks(4, 8, 4), { length: 33 }],
  ['real', blocks(2, 8, 8), { length: 35, pieceLength: 8 }],
  ['two', blocks(2, 8, 4), { length: 19 }],
  ['two', blocks(4, 8, 8), { length: 64 }],
];

/** The block forms of a layer's scans, by whether there is one. */
function formsOf(text: string): readonly boolean[] {
  const seen: boolean[] = [];
  const look = (plan: RegionPlan): void => void seen.push(blockFormOf(plan) !== null);
  compileSpec(specOf(text), { target: 'cuda', entries: 'forward-only', schedule: (plan) => (look(plan), { parameters: plain, split: null }) });
  return seen;
}

describe('blocks of tokens', () => {
  it.each(cases)('%s with %o at %o', (name, parameters, { length, pieceLength }) => {
    const spec = specOf(required(layers[name], name));
    const sizes = { batch: 2, length };
    const split = pieceLength === undefined ? null : { size: pieceLength };
    const options = { checkpointInterval: 8 };
    const wanted = runAll(spec, sizes, { ...options, schedule: () => ({ parameters: plain, split: null }) });
    const actual = runAll(spec, sizes, { ...options, schedule: (plan) => ({ parameters: blockFormOf(plan) === null ? plain : parameters, split }) });
    expect([...actual.keys()].sort()).toEqual([...wanted.keys()].sort());
    for (const [tensor, value] of wanted) {
      const got = required(actual.get(tensor), tensor);
      expect(got.length, tensor).toBe(value.length);
      if (value.length > 0) expect(relativeError(got, value), tensor).toBeLessThan(1e-9);
    }
  });

  it('need a transition, a drive and read-outs that are fixed in time', () => {
    const text = required(layers['real'], 'layer');
    expect(formsOf(text)).not.toContain(false);
    const others = [
      text.replace('next x = exp(-exp(rate))', 'next x = exp(-exp(rate) * u * u)').replace('input u[D]', 'input u[D]\n selective u'),
      text.replace('c * x', 'tanh(c * x)'),
      text.replace('c * x', 'c * x * u'),
      text.replace('b * u / 3', 'tanh(b * u)'),
      text.replace('sum[N](c * x) - u', 'max[N](c * x) - u'),
    ];
    for (const other of others) expect(formsOf(other), other).not.toContain(true);
  });
});
