/**
 * Sums of products in tiles against one thread per result, in the sanitizing interpreter of Kernel IR:
 * projections of tokens, weight gradients over pieces of time, tiles that are not whole, several sums
 * of one launch, results computed where the sums are.
 */
import { describe, expect, it } from 'vitest';
import { planSpec } from '../../../backends/compile.ts';
import { machines } from '../../../backends/machines.ts';
import { required } from '../../../support/invariant.ts';
import { relativeError } from '../../support/compiled-case.ts';
import { runAll, specOf } from '../../support/scheduled-run.ts';

const layers: Readonly<Record<string, string>> = {
  'complex states between projections': `layer M(H = 20, P = 34) {
    input u[H]
    param rate[P] = 0, angle[P] = 0, B[P, H]: complex, C[H, P]: complex, skip[H]
    state x[P]: complex { next x = exp(complex(-exp(rate), angle)) * x + sum[H](B * u) }
    output y[H] = 2 * real(sum[P](C * x)) + skip * u
  }`,
  'a gated projection': `layer G(D = 70, E = 18) {
    input u[D]
    param W[E, D], V[E, D], b[E] = 0
    let gate = sigmoid(sum[D](V * u) + b)
    state h[E] { next h = 0.5 * h + sum[D](W * u) }
    output y[E] = gate * h
  }`,
};

/** Kernels of an artifact that say they work in tiles. */
function tiledKernels(text: string): readonly string[] {
  const plans = planSpec(specOf(text), { target: 'cuda' });
  return plans.flatMap((plan) => plan.kernels.filter((kernel) => kernel.notes.some((note) => note.startsWith('tiles of '))).map((kernel) => `${plan.entry} ${kernel.name}`));
}

describe('sums of products in tiles', () => {
  const cases = Object.keys(layers).flatMap((name) => [[name, 1, 5], [name, 2, 67], [name, 1, 300]] as const);

  it.each(cases)('%s, batch %i, length %i', (name, batch, length) => {
    const spec = specOf(required(layers[name], name));
    const sizes = { batch, length };
    const wanted = runAll(spec, sizes, { machine: { ...machines.cuda, maximumWorkgroup: 128 } });
    const actual = runAll(spec, sizes, {});
    for (const [tensor, value] of wanted) expect(relativeError(required(actual.get(tensor), tensor), value), tensor).toBeLessThan(1e-10);
  }, 60_000);

  it('are projections, their adjoints and weight gradients', () => {
    const kernels = tiledKernels(required(layers['complex states between projections'], 'layer'));
    expect(kernels.filter((each) => each.startsWith('forward '))).toHaveLength(2);
    expect(kernels.filter((each) => each.startsWith('backward ')).length).toBeGreaterThanOrEqual(3);
  });

  it('keep within the shared memory that every GPU has, with eight sides in one launch too', () => {
    const sums = ['a', 'b', 'c', 'd'].map((name) => `sum[D](W_${name} * ${name})`).join(' + ');
    const text = `layer F(D = 16, E = 64) {
      input a[D], b[D], c[D], d[D]
      param W_a[E, D], W_b[E, D], W_c[E, D], W_d[E, D]
      output y[E] = ${sums}
    }`;
    const plans = planSpec(specOf(text), { target: 'wgsl' });
    const kernels = plans.flatMap((each) => each.kernels).filter((each) => each.notes.some((note) => note.startsWith('tiles of ')));
    const bytes = kernels.map((each) => each.shared.reduce((sum, { length, type }) => sum + length * 4 * type.width, 0));
    expect(Math.max(...kernels.map((each) => each.shared.length))).toBe(8);
    expect(Math.max(...bytes)).toBeLessThanOrEqual(16_384);
  });

  it('are not made of few results', () => {
    expect(tiledKernels(required(layers['a gated projection'], 'layer').replace('E = 18', 'E = 8'))).toEqual([]);
  });
});
