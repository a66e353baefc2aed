/**
 * Schedule `lanes` with overlapping phases against the plain one (one thread per channel, one token after
 * another) in the sanitizing interpreter of Kernel IR, which reports races and unwritten reads: whole and
 * cut tiles, one tile only, helpers, values staged in vectors, channels that do not fill a group, pieces of time, checkpoints inside tiles.
 */
import { describe, expect, it } from 'vitest';
import { phasesMayOverlap } from '../../../ir/schedule/lanes-parameters.ts';
import { affordableStreams } from '../../../ir/schedule/lanes-prefetch.ts';
import type { LanesParameters } from '../../../ir/schedule/parameters.ts';
import type { RegionPlan } from '../../../ir/schedule/region-plan.ts';
import type { ValueId } from '../../../ir/tensor/ops.ts';
import { required } from '../../../support/invariant.ts';
import { relativeError } from '../../support/compiled-case.ts';
import { plain, runAll, selectiveText, specOf } from '../../support/scheduled-run.ts';

function overlapped(lanes: number, channels: 1 | 2, tile: number, helpers = 0): LanesParameters {
  return { kind: 'lanes', workgroupSize: 32, lanes, channels, tile, channelSums: 'shuffle', prefetch: true, overlap: true, helpers };
}

/** Groups of six and twelve channels, with helpers that are more than walkers, or do not divide them. */
const few: LanesParameters = { ...overlapped(4, 1, 8, 48), workgroupSize: 24 };
const uneven: LanesParameters = { ...overlapped(4, 1, 24, 36), workgroupSize: 48 };

const layers: Readonly<Record<string, string>> = {
  gated: selectiveText(16, '(sum[N](C * x) + u) * silu(z)'),
  odd: selectiveText(13, 'sum[N](C * x)'),
  exported: selectiveText(16, 'sum[N](C * x) * dt'),
};

type Case = readonly [string, LanesParameters, { readonly length: number; readonly pieceLength?: number }];

const cases: readonly Case[] = [
  ['gated', overlapped(4, 1, 8), { length: 43 }],
  ['gated', overlapped(4, 2, 8), { length: 32 }],
  ['gated', overlapped(2, 2, 4), { length: 7 }],
  ['gated', overlapped(8, 1, 16), { length: 50 }],
  ['gated', overlapped(4, 1, 8), { length: 3 }],
  ['gated', overlapped(4, 1, 8), { length: 61, pieceLength: 16 }],
  ['odd', overlapped(4, 1, 8), { length: 41 }],
  ['exported', overlapped(4, 1, 8), { length: 25 }],
  ['gated', overlapped(4, 1, 8, 32), { length: 43 }],
  ['gated', overlapped(4, 2, 8, 32), { length: 32 }],
  ['gated', overlapped(4, 1, 8, 16), { length: 41 }],
  ['gated', overlapped(4, 1, 8, 32), { length: 3 }],
  ['gated', overlapped(4, 1, 8, 32), { length: 61, pieceLength: 16 }],
  ['odd', overlapped(4, 1, 8, 32), { length: 41 }],
  ['gated', few, { length: 61 }],
  ['gated', few, { length: 1 }],
  ['gated', few, { length: 61, pieceLength: 16 }],
  ['odd', { ...few, tile: 16 }, { length: 47 }],
  ['gated', uneven, { length: 67 }],
  ['gated', { ...overlapped(2, 1, 8, 32), staged: 4 }, { length: 43 }],
  ['gated', { ...overlapped(4, 1, 8, 16), staged: 4 }, { length: 3 }],
  ['gated', { ...overlapped(4, 1, 8, 32), staged: 4 }, { length: 61, pieceLength: 16 }],
  ['odd', { ...few, staged: 2 }, { length: 41 }],
  ['exported', { ...overlapped(4, 1, 8), staged: 4 }, { length: 25 }],
];

/** The same for scans that replay their history, whose phases do not overlap. */
function parametersFor(plan: RegionPlan, parameters: LanesParameters): LanesParameters {
  return plan.history === null && phasesMayOverlap(plan) ? parameters : { ...parameters, workgroupSize: 32, tile: 8, helpers: 0 };
}

describe('overlapping phases of lanes', () => {
  it.each(cases)('%s with %o at %o', (name, parameters, { length, pieceLength }) => {
    const spec = specOf(required(layers[name], name));
    const sizes = { batch: 2, length };
    const wanted = runAll(spec, sizes, { schedule: () => ({ parameters: plain, split: null }) });
    const actual = runAll(spec, sizes, {
      checkpointInterval: 8, schedule: (plan) => ({ parameters: parametersFor(plan, parameters), split: pieceLength === undefined ? null : { size: pieceLength } }),
    });
    for (const [tensor, value] of wanted) {
      if (tensor.includes('checkpoints')) continue;
      const got = required(actual.get(tensor), tensor);
      expect(relativeError(got, value), tensor).toBeLessThan(1e-9);
    }
  });
});

it('streams beside replayed states are held as far as registers go', () => {
  const ids = (...numbers: number[]): ReadonlySet<ValueId> => new Set(numbers as ValueId[]);
  // S6: four streams of four rows, each needed twice
  expect(affordableStreams(ids(1, 2, 3, 4), ids(1, 2, 3, 4), 4)).toEqual(ids(1, 2, 3, 4));
  // Mamba's block: eight, of which two more fit
  expect(affordableStreams(ids(1, 2, 3, 4, 5, 6, 7, 8), ids(5, 6, 7, 8, 1), 4)).toEqual(ids(5, 6));
  // a stream that the first phase does not need takes registers twice
  expect(affordableStreams(ids(1, 2, 3, 4, 5, 6, 7, 8), ids(9, 1), 4)).toEqual(ids(9));
});
