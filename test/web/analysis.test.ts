/** Eigenvalues and responses that the page shows, on WASM in Node, against formulas of the papers. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analyseLayer } from '../../examples/web/devices/analyse.ts';
import { completeParameters } from '../../examples/web/devices/parameters.ts';
import { prepareText } from '../../examples/web/compiler/requests.ts';
import type { Analysis } from '../../examples/web/services/protocol.ts';
import { loadLayer } from '../../runtime/index.ts';
import { openWasm, type WasmDevice } from '../../runtime/wasm/index.ts';

let device: WasmDevice;
beforeAll(async () => {
  device = await openWasm({ workers: 0 });
});
afterAll(async () => {
  expect(device.memoryUse().blocks).toBe(0);
  await device[Symbol.asyncDispose]();
});

async function analyse(
  text: string,
  sizes: Readonly<Record<string, number>>,
  level = 1,
  length = 24,
): Promise<Analysis & { readonly of: (name: string) => Float64Array }> {
  const prepared = prepareText({
    text,
    layer: null,
    sizes,
    mode: 'auto',
    target: 'wasm',
    use: 'inference',
    seed: 1,
  });
  using layer = await loadLayer(device, prepared.artifact);
  const parameters = completeParameters(prepared);
  layer.setParameters(parameters);
  const analysis = await analyseLayer(layer, prepared.spec, { level, length });
  return { ...analysis, of: (name) => Float64Array.from(parameters[name]!) };
}

const example = (name: string): string => readFileSync(`examples/${name}.ssm`, 'utf8');

describe('the analysis of a layer', () => {
  it('finds exp(Δ A) of S4D and its impulse response', async () => {
    const { eigenvalues, responses, notes, of } = await analyse(example('s4d'), { D: 2, N: 3 });
    expect(notes).toEqual([]);
    const [{ values, radius, state } = { values: [], radius: NaN, state: '' }] = eigenvalues;
    expect([state, values.length]).toEqual(['x', 12]);
    const [dt, re, im, c, skip] = [
      of('log_dt').map(Math.exp),
      of('a_re').map((each) => -Math.exp(each)),
      of('a_im'),
      of('C'),
      of('skip'),
    ];
    let largest = 0;
    for (let at = 0; at < 6; at++) {
      const step = dt[Math.floor(at / 3)]!;
      const size = Math.exp(step * re[at]!);
      largest = Math.max(largest, size);
      expect(values[2 * at]!).toBeCloseTo(size * Math.cos(step * im[at]!), 5);
      expect(values[2 * at + 1]!).toBeCloseTo(size * Math.sin(step * im[at]!), 5);
    }
    expect(radius).toBeCloseTo(largest, 5);
    // y_0 = 2 Re Σ C (Ā − 1)/A + skip
    const first = [0, 1].map(
      (channel) =>
        skip[channel]! +
        [0, 1, 2].reduce((sum, state_) => {
          const at = channel * 3 + state_;
          const [p, q] = [values[2 * at]! - 1, values[2 * at + 1]!];
          const norm = re[at]! ** 2 + im[at]! ** 2;
          const [x, y] = [(p * re[at]! + q * im[at]!) / norm, (q * re[at]! - p * im[at]!) / norm];
          return sum + 2 * (c[2 * at]! * x - c[2 * at + 1]! * y);
        }, 0),
    );
    expect(responses.map((each) => [each.input, each.output, each.start, each.names])).toEqual([
      ['u', 'y', 0, ['y[0]', 'y[1]']],
    ]);
    responses[0]!.channels.forEach((numbers, channel) => expect(numbers[0]!).toBeCloseTo(first[channel]!, 4));
  });

  it('finds the eigenvalues of a selective layer at the level its inputs are held at', async () => {
    for (const level of [-1, 0.5]) {
      const { eigenvalues, of } = await analyse(example('s6'), { D: 2, N: 2 }, level);
      const [bias, a] = [of('delta_bias'), of('A_log').map((each) => -Math.exp(each))];
      const expected = [0, 1, 2, 3].map((at) =>
        Math.exp(Math.log1p(Math.exp(level + bias[at >> 1]!)) * a[at]!),
      );
      expected.forEach((each, at) => expect(eigenvalues[0]!.values[2 * at]!).toBeCloseTo(each, 5));
    }
  });

  it('puts the impulse in the middle where a state is scanned in reverse', async () => {
    const { eigenvalues, responses } = await analyse(example('s5-bidirectional'), { H: 2, P: 2 });
    expect(eigenvalues).toHaveLength(2);
    expect(responses[0]!.start).toBe(12);
    expect(Math.abs(responses[0]!.channels[0]![8]!)).toBeGreaterThan(0); // heard before it sounds
  });

  it.each(['lru', 'rg-lru', 'hgrn', 's7', 'mamba-block', 's5-reset', 's5-irregular', 'dss'])(
    'finds stable eigenvalues of %s',
    async (name) => {
      const text = example(name);
      const sizes = Object.fromEntries(
        [
          ...(/layer [^(]*\(([^)]*)\)[^]*$/.exec(text.slice(text.lastIndexOf('layer ')))?.[1] ?? '').matchAll(
            /(\w+) = \d+/g,
          ),
        ].map(([, axis]) => [axis!, 3]),
      );
      const { eigenvalues, responses } = await analyse(text, sizes);
      for (const { values, radius } of eigenvalues) {
        expect(values.every(Number.isFinite)).toBe(true);
        expect(radius).toBeLessThanOrEqual(1 + 1e-5);
        expect(radius).toBeGreaterThan(0);
      }
      expect(responses.flatMap((each) => each.channels).every((each) => each.every(Number.isFinite))).toBe(
        true,
      );
    },
  );

  it('says why there is nothing to show', async () => {
    const plain = await analyse('layer Plain(D = 2) {\n  input u[D]\n  output y[D] = 2 * u\n}\n', {});
    expect(plain.eigenvalues).toEqual([]);
    expect(plain.notes).toEqual(['The layer has no state, so it has no eigenvalues.']);
    const digits = await analyse(readFileSync('examples/digits/mamba-digits.ssm', 'utf8'), {
      D: 2,
      N: 2,
      R: 2,
    });
    expect(digits.eigenvalues.map((each) => each.state)).toEqual(['first.ssm.x', 'second.ssm.x']);
    expect(digits.notes).toEqual(['Every output is one per sequence, so there is no response over time.']);
  });
});
