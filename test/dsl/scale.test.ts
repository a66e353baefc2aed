/** Texts of a mebibyte that would be slow if any step were quadratic; the limit is far above linear time. */
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../dsl/index.ts';

function fill(before: string, each: (at: number) => string, after: string): string {
  const parts = [before];
  let length = before.length + after.length;
  for (let at = 0; length < 2 ** 20 - 200; at++) {
    const part = each(at);
    parts.push(part);
    length += part.length;
  }
  return [...parts, after].join('');
}

const texts: readonly (readonly [string, string])[] = [
  ['delays', fill('layer A { input u ', (at) => `let a${at} = delay(u, 1) `, ' output y = u }')],
  ['chains', fill(
    'layer A { input u let a0 = u ',
    (at) => `let a${at + 1} = a${at} + 1 selective a${at} time_invariant a${at} `, ' output y = u }',
  )],
  ['gathers', fill(
    'layer A(V = 4) { param t[V] ', (at) => `input k${at}: index(4) let a${at} = gather[V](t, k${at}) `,
    ' output y per sequence = 1 }',
  )],
  ['unknown names', fill('layer A { input u ', (at) => `let a${at} = b${at} `, ' output y = u }')],
  ['unstable states', fill(
    'layer A { input u ', (at) => `state x${at} { next x${at} = 2 * x${at} + u } `, ' output y = x0 + z }',
  )],
  ['axes', fill(
    'layer A { ', (at) => `axis D${at} = 2 param p${at}[D${at}] `, ' output y per sequence = 1 }',
  )],
  ['layers', fill(
    '',
    (at) => `layer A${at} { input u ${at === 0 ? 'output y = u' : `let b = A${at - 1}(u) output y = b`} } `,
    '',
  )],
  ['softmax', fill(
    'layer A(K = 3) { input u[K] ', (at) => `let s${at} = softmax[K](2 * u) `, ' output y[K] = u }',
  )],
  ['arguments', fill('layer A { input u let v = max(u', () => ',u', ') output y = v }')],
];

describe('large texts', () => {
  it.each(texts)('%s', (_, text) => {
    const start = performance.now();
    const { spec, diagnostics } = loadLayer({ name: 'large.ssm', text }, null, { sizes: new Map() });
    expect(performance.now() - start).toBeLessThan(15_000);
    expect(diagnostics.length).toBeLessThanOrEqual(20);
    expect(spec === null).toBe(diagnostics.some((each) => each.severity === 'error'));
  });
});
