/**
 * Two hundred random layers in every CI run: in Tensor IR and, in turn, on WASM in one of its modes or with
 * schedules of a drawn machine and mode in the sanitizing Kernel IR interpreter; every fortieth on WebGPU
 * too. Campaigns that try all of them are run by scripts/random-layers.sh. A failure's message holds its text.
 */
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { printTree } from '../../dsl/format/print-tree.ts';
import { parse } from '../../dsl/index.ts';
import { openWasm } from '../../runtime/wasm/index.ts';
import { fromDevice } from '../../runtime/webgpu/index.ts';
import { openTestDevice, skipReason } from '../support/webgpu.ts';
import { buildLayer } from './build-layer.ts';
import { runCampaign, type CampaignSummary } from './campaign.ts';
import { makeCase, specOfText } from './case.ts';
import type { Devices } from './checks.ts';
import { expectedTensors, judgeTensor } from './judge.ts';
import { choices, recipes, simplerRecipes } from './recipe.ts';

const opened = await openTestDevice();
const devices: Devices = { wasm: await openWasm({ workers: 0, checks: 'canaries' }), webgpu: opened === null ? null : fromDevice(opened), cuda: null };
afterAll(async () => {
  await devices.wasm[Symbol.asyncDispose]();
  await devices.webgpu?.[Symbol.asyncDispose]();
});

const seed = 20261122;
const count = 200;
const perTest = 20;
const webgpuEvery = 40;

function describeFailures({ failures }: CampaignSummary): readonly string[] {
  return [...failures.values()].map(({ finding, reduced }) => `${finding.check}: ${finding.detail}\n${buildLayer(reduced).text}${JSON.stringify(reduced)}`);
}

describe(`random layers${devices.webgpu === null ? ` without WebGPU ${skipReason}` : ''}`, () => {
  it.each(Array.from({ length: count / perTest }, (_, at) => [at * perTest, (at + 1) * perTest]))('from %i to %i agree with the oracle', async (skip, end) => {
    const summary = await runCampaign(devices, { seed, count: end, skip, webgpuEvery, brief: true, reduce: false, now: () => 0 });
    expect(describeFailures(summary)).toEqual([]);
    expect(summary.layers + summary.outOfRange).toBe(perTest);
    expect(summary.outOfRange).toBeLessThan(3);
    expect(summary.refused).toBeLessThan(2);
    expect(summary.vacuous).toBeLessThan(0.1 * summary.right);
  });
});

describe('the generator', () => {
  it('makes texts that mean what the builder made, and simpler recipes that are layers too', () => {
    fc.assert(fc.property(recipes, (recipe) => {
      const { text } = buildLayer(recipe);
      expect(specOfText(text).outputs.length).toBeGreaterThan(0);
      expect(printTree(parse({ name: 'again.ssm', text }).tree)).toBe(text);
      for (const simpler of simplerRecipes(recipe).slice(0, 4)) specOfText(buildLayer(simpler).text);
    }), { seed, numRuns: 60 });
  });

  it('draws every choice', () => {
    const drawn = fc.sample(recipes, { seed, numRuns: count });
    for (const field of ['layout', 'field', 'rule', 'regime', 'order', 'reset', 'storage', 'second', 'applied', 'norm'] as const) {
      expect(new Set(drawn.map((each) => each[field])), field).toEqual(new Set(choices[field]));
    }
  });
});

describe('the verdict', () => {
  const made = fc.sample(recipes, { seed, numRuns: 12 }).map(makeCase).filter((each) => each !== null).slice(0, 8);
  const standard = { storage: 'f32', boundFactor: 1, gradientBar: 0, normwise: false } as const;
  const faults: Readonly<Record<string, (numbers: Float64Array, width: number) => Float64Array>> = {
    zeros: (numbers) => numbers.map(() => 0),
    'a hundredth more': (numbers) => numbers.map((each) => 1.01 * each),
    'one entry off': (numbers, width) => numbers.map((_, at) => numbers.at(at - width)!),
    'not a number': (numbers) => numbers.map((each, at) => (at === 0 ? NaN : each)),
  };
  it.each(Object.keys(faults))('refuses %s', (name) => {
    let refused = 0;
    for (const each of made) {
      for (const tensor of expectedTensors(each.answers).values()) {
        const width = tensor.im === null ? 1 : 2;
        const exact = Float64Array.from({ length: tensor.re.length * width }, (_, at) => (width === 1 ? tensor.re[at]! : (at % 2 === 0 ? tensor.re : tensor.im!)[at >> 1]!));
        const judged = { axes: tensor.axes, numbers: exact };
        if (judgeTensor(judged, tensor, standard).kind !== 'right' || exact.length < 3 * width || exact.every((value) => value === exact[0])) continue;
        expect(judgeTensor({ ...judged, numbers: faults[name]!(exact, width) }, tensor, standard).kind).not.toBe('right');
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(20);
  });
});
