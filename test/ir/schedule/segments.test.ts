/**
 * Schedule `segments` against the plain one (one thread per channel, one token after another) in the
 * sanitizing interpreter of Kernel IR: vectors of channels, groups that are not full, whole and cut
 * tiles, tiles loaded ahead, checkpoints between and inside of segments, pieces of time, both orders,
 * complex states, gates, sums over time, no tokens at all.
 */
import { describe, expect, it } from 'vitest';
import { compileSpec } from '../../../backends/compile.ts';
import { isSegmentable } from '../../../ir/schedule/segments-parameters.ts';
import type { SegmentsParameters } from '../../../ir/schedule/parameters.ts';
import { required } from '../../../support/invariant.ts';
import { relativeError } from '../../support/compiled-case.ts';
import { plain, runAll, specOf } from '../../support/scheduled-run.ts';

function segments(lanes: 1 | 2 | 4, workgroupSize: number, count: number, tokens: number, prefetch = false): SegmentsParameters {
  return { kind: 'segments', lanes, workgroupSize, segments: count, tokens, prefetch };
}

const real = (order: string, axes = 'D = 12'): string => `layer R(${axes}) {
  input a[D], b[D]
  selective a
  state h[D] { next h = a * h + b ${order === '' ? '' : `\n ${order}`} }
  output y[D] = h
}`;

const complex = `layer C(D = 8) {
  input a[D]: complex, b[D]: complex, c[D]
  selective a
  state h[D]: complex { next h = a * h + b }
  output y[D]: complex = c * h
}`;

const gated = `layer G(H = 3, W = 4) {
  input u[H, W], raw[H, W], starts: flag
  param rate[H, W] = 0, bias[W] = 0
  let gate = sigmoid(raw + bias)
  let log_a = -gate * softplus(rate)
  selective log_a
  state h[H, W] {
    next h = exp(log_a) * h + (1 - gate) * u
    reset when starts
  }
  output y[H, W] = h * tanh(raw)
}`;

/** Its adjoint is driven by slopes at replayed states. */
const curved = `layer T(D = 8) {
  input a[D], b[D]
  selective a
  state h[D] { next h = a * h + b }
  output y[D] = tanh(h) * b
}`;

const invariant = `layer I(D = 6) {
  input u[D]
  param rate[D] = 0, angle[D] = 0
  let a = exp(complex(-exp(rate), angle))
  state h[D]: complex { next h = a * h + u }
  output y[D] = real(h), z[D] = imag(h)
}`;

const layers: Readonly<Record<string, string>> = { real: real(''), reverse: real('order reverse'), odd: real('', 'D = 7'), complex, gated, curved, invariant };

type Case = readonly [string, SegmentsParameters, { readonly length: number; readonly pieceLength?: number }];

const cases: readonly Case[] = [
  ['real', segments(1, 8, 2, 4), { length: 29 }],
  ['real', segments(4, 4, 2, 8, true), { length: 50 }],
  ['real', segments(2, 4, 4, 2, true), { length: 32 }],
  ['real', segments(1, 16, 4, 4), { length: 3 }],
  ['real', segments(1, 8, 2, 4), { length: 0 }],
  ['real', segments(1, 8, 4, 1), { length: 27, pieceLength: 8 }],
  ['reverse', segments(2, 8, 2, 4, true), { length: 41 }],
  ['reverse', segments(1, 8, 2, 4), { length: 25, pieceLength: 12 }],
  ['odd', segments(1, 8, 2, 4), { length: 21 }],
  ['complex', segments(1, 8, 2, 4), { length: 21 }],
  ['complex', segments(2, 4, 2, 4, true), { length: 35 }],
  ['complex', segments(4, 4, 4, 2), { length: 35, pieceLength: 16 }],
  ['curved', segments(1, 8, 2, 4), { length: 21 }],
  ['curved', segments(2, 4, 4, 2, true), { length: 37 }],
  ['curved', segments(1, 8, 4, 2), { length: 37, pieceLength: 16 }],
  ['gated', segments(1, 8, 2, 4), { length: 21 }],
  ['gated', segments(4, 4, 4, 2, true), { length: 37 }],
  ['real', segments(2, 8, 8, 2, true), { length: 77 }],
  ['invariant', segments(2, 4, 2, 4), { length: 19 }],
  ['invariant', segments(1, 8, 4, 2, true), { length: 37, pieceLength: 8 }],
];

describe('segments of time', () => {
  it.each(cases)('%s with %o at %o', (name, parameters, { length, pieceLength }) => {
    const spec = specOf(required(layers[name], name));
    const sizes = { batch: 2, length };
    const wanted = runAll(spec, sizes, { schedule: () => ({ parameters: plain, split: null }) });
    const actual = runAll(spec, sizes, { schedule: () => ({ parameters, split: pieceLength === undefined ? null : { size: pieceLength } }) });
    expect([...actual.keys()].sort()).toEqual([...wanted.keys()].sort());
    for (const [tensor, value] of wanted) {
      const got = required(actual.get(tensor), tensor);
      expect(got.length, tensor).toBe(value.length);
      if (value.length > 0) expect(relativeError(got, value), tensor).toBeLessThan(1e-9);
    }
  });

  it('is chosen where channels have no inner axis, and reads every operand once', () => {
    const { artifact, plans } = compileSpec(specOf(real('', 'D = 64')), { target: 'cuda' });
    expect(artifact.manifest.decisions.find((each) => each.subject.startsWith('forward'))?.chosen).toMatch(/^segments\(/);
    const forward = required(plans.find((each) => each.entry === 'forward'), 'forward');
    expect(forward.kernels).toHaveLength(1);
  });

  it('leaves sums over channels to other schedules', () => {
    const seen: boolean[] = [];
    compileSpec(specOf(real('').replace('output y[D] = h', 'param w = 1\n  output y[D] = w * h')), {
      target: 'cuda',
      schedule: (plan) => {
        seen.push(isSegmentable(plan));
        return { parameters: plain, split: null };
      },
    });
    expect(new Set(seen)).toEqual(new Set([true, false]));
  });
});
