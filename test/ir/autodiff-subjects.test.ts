/**
 * Gradients of some parameters alone against those of all together, in the sanitizing interpreter of Kernel IR: what a
 * backward function leaves out changes which sums it needs, and with them which axes one thread holds.
 */
import { describe, expect, it } from 'vitest';
import { required } from '../../support/invariant.ts';
import { relativeError } from '../support/compiled-case.ts';
import { runAll, specOf } from '../support/scheduled-run.ts';

const layers: Readonly<Record<string, string>> = {
  selective: `layer S(D = 6, N = 4) {
    input u[D], delta[D], B[N], C[N], z[D]
    param rate[D, N] = 0, skip[D] = 1
    let dt = softplus(delta)
    selective dt, B, C
    state x[D, N] {
      dx/dt = -exp(rate) * x + B * u
      discretize zoh(dt), input euler
    }
    output y[D] = (sum[N](C * x) + skip * u) * silu(z)
  }`,
  fixed: `layer F(D = 6, N = 4) {
    input u[D]
    param rate[D, N] = 0, c[D, N] = 1, skip[D] = 1
    state x[D, N] { next x = exp(-exp(rate)) * x + u }
    output y[D] = sum[N](c * x) + skip * u
  }`,
};

const sizes = { batch: 2, length: 13 };

function gradients(layer: string, subjects: readonly string[] | null): ReadonlyMap<string, Float64Array> {
  const all = runAll(specOf(required(layers[layer], layer)), sizes, subjects === null ? {} : { withRespectTo: new Set(subjects) });
  return new Map([...all].filter(([name]) => name.startsWith('backward')));
}

describe('gradients of some parameters alone', () => {
  it.each([
    ['selective', ['skip']], ['selective', ['skip', 'C']], ['selective', ['z']], ['selective', ['rate']], ['selective', ['delta', 'u']],
    ['fixed', ['skip']], ['fixed', ['skip', 'c']], ['fixed', ['rate']], ['fixed', ['u']],
  ])('%s: %o', (layer, subjects) => {
    const whole = gradients(layer, null);
    const some = gradients(layer, subjects);
    expect([...some.keys()].filter((name) => subjects.some((each) => name.endsWith(each))).length).toBeGreaterThanOrEqual(subjects.length);
    for (const [tensor, value] of some) expect(relativeError(value, required(whole.get(tensor), tensor)), tensor).toBeLessThan(1e-12);
  });
});
