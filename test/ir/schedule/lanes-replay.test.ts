/**
 * Schedule `lanes` in the backward pass, where forward states are replayed from checkpoints and gradients of
 * values that all channels share are summed over them: the ways to form these sums, one or two channels per
 * thread, whole and cut tiles, one token, pieces of time, channels that do not fill a group, two inner axes. Compared
 * with the plain schedule in the sanitizing interpreter, which reports races and unwritten reads.
 */
import { describe, expect, it } from 'vitest';
import type { LanesParameters } from '../../../ir/schedule/parameters.ts';
import { required } from '../../../support/invariant.ts';
import { relativeError } from '../../support/compiled-case.ts';
import { plain, runAll, selectiveText, specOf } from '../../support/scheduled-run.ts';

function lanesOf(channelSums: LanesParameters['channelSums'], lanes: number, channels: 1 | 2, workgroupSize = 32): LanesParameters {
  return { kind: 'lanes', workgroupSize, lanes, channels, tile: 4, channelSums, prefetch: channelSums !== 'shared', overlap: false, helpers: 0 };
}

const gated = (channels: number): string => selectiveText(channels, 'sum[N](C * x) * silu(z)');

const outer = `layer T(D = 4, K = 2, N = 4) {
  input u[D], gate[D], B[K, N], C[K, N]
  let f = sigmoid(gate)
  selective f, B, C
  state x[D, K, N] { next x = f * x + B * u }
  output y[D] = sum[K, N](C * x)
}`;

const layers: Readonly<Record<string, string>> = { even: gated(16), odd: gated(13), one: selectiveText(1, 'sum[N](x) * silu(z)'), outer };

type Case = readonly [string, LanesParameters, { readonly length: number; readonly pieceLength?: number }];

const cases: readonly Case[] = (['tile', 'shuffle', 'shared'] as const).flatMap((sums): readonly Case[] => [
  ['even', lanesOf(sums, 2, 2), { length: 11 }],
  ['even', lanesOf(sums, 2, 1), { length: 12 }],
  ['even', lanesOf(sums, 4, 2, 64), { length: 1 }],
  ['even', lanesOf(sums, 2, 2), { length: 21, pieceLength: 8 }],
  ['odd', lanesOf(sums, 4, 1), { length: 13 }],
  ['one', lanesOf(sums, 4, 1), { length: 9 }],
  ['outer', lanesOf(sums, 2, 1), { length: 10 }],
  ['outer', lanesOf(sums, 4, 2), { length: 8 }],
]);

describe('lanes that replay states', () => {
  it.each(cases)('%s with %o at %o', (name, parameters, { length, pieceLength }) => {
    const spec = specOf(required(layers[name], name));
    const sizes = { batch: 2, length };
    const wanted = runAll(spec, sizes, { schedule: () => ({ parameters: plain, split: null }) });
    const split = pieceLength === undefined ? null : { size: pieceLength };
    const actual = runAll(spec, sizes, { checkpointInterval: 4, schedule: () => ({ parameters, split }) });
    for (const [tensor, value] of wanted) {
      if (tensor.includes('checkpoints')) continue;
      expect(relativeError(required(actual.get(tensor), tensor), value), tensor).toBeLessThan(1e-9);
    }
  });
});
