/**
 * What must never lie in memory: a tensor over time and the whole state. Checkpoints (one state per
 * interval) and partial sums per group of channels are smaller by that factor and allowed.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { planSpec } from '../../backends/compile.ts';
import { loadLayer } from '../../dsl/index.ts';
import { required } from '../../support/invariant.ts';

const layers = ['s4d', 's6', 'mamba-projections', 's4d-block', 'mamba-block'];
const combinations = layers.flatMap((layer) => (['wasm', 'wgsl', 'cuda'] as const).flatMap((target) =>
  (['recurrent', 'scan'] as const).map((mode) => [layer, target, mode] as const)));

describe('no tensor of the size of state times time', () => {
  it.each(combinations)('%s for %s in mode %s', (layer, target, mode) => {
    const file = { name: `${layer}.ssm`, text: readFileSync(`examples/${layer}.ssm`, 'utf8') };
    const spec = required(loadLayer(file, null, { sizes: new Map() }).spec, layer);
    const states = spec.body.flatMap((item) => (item.kind === 'state' ? [item.axes] : []));
    const plans = planSpec(spec, { target, mode });
    expect(plans.length).toBeGreaterThan(3);
    for (const plan of plans) {
      for (const tensor of plan.tensors) {
        const isWhole = tensor.axes.includes('time') && states.some((axes) => axes.every((axis) => tensor.axes.includes(axis)));
        expect(isWhole, `${plan.entry}: ${tensor.name} over ${tensor.axes.join(', ')}`).toBe(false);
      }
    }
  });
});
