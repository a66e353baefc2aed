import { describe, expect, test } from 'vitest';
import { interpretKernel } from '../../../ir/kernel/interpret.ts';
import { evaluateSize } from '../../../support/size.ts';
import type { Kernel } from '../../../ir/kernel/nodes.ts';
import { canEmulate, emulateKernel } from './emulate.ts';
import { everythingKernel, scaleKernel, scanKernel } from './kernels.ts';

if (!canEmulate) console.warn('no host compiler or CUDA headers: the CUDA texts are not executed');

const sizes = { batch: 2, length: 7 };

/** Numbers in (0, 1), the same in each run. */
function numbers(length: number, seed: number, low: number, high: number): Float64Array {
  return Float64Array.from({ length }, (_, at) => {
    const wave = Math.sin((at + 1) * 12.9898 + seed * 78.233) * 43758.5453;
    return low + (high - low) * (wave - Math.floor(wave));
  });
}

function inputsOf(kernel: Kernel, range: (name: string) => readonly [number, number]): Map<string, Float64Array> {
  return new Map(kernel.buffers.filter((each) => each.access === 'read').map((each, at) => {
    const drawn = numbers(evaluateSize(each.size, sizes), at, ...range(each.name));
    if (/^[iu]/.test(each.storage)) return [each.name, drawn.map(Math.trunc)];
    // exact in every float storage, so that both executors start from the same numbers
    return [each.name, drawn.map((value) => Math.round(value * 64) / 64)];
  }));
}

function interpreted(kernel: Kernel, given: ReadonlyMap<string, Float64Array>): ReadonlyMap<string, Float64Array> {
  const buffers = new Map(kernel.buffers.map((each) =>
    [each.name, given.get(each.name)?.slice() ?? new Float64Array(evaluateSize(each.size, sizes)).fill(NaN)]));
  interpretKernel(kernel, sizes, buffers, { rounding: 'f32', initialised: new Set(buffers.keys()), watch: false });
  return buffers;
}

function relative(values: Float64Array | undefined, reference: Float64Array | undefined): number {
  let [difference, norm] = [0, 0];
  (reference ?? new Float64Array()).forEach((each, at) => {
    if (Number.isNaN(each)) return;
    difference += ((values?.[at] ?? NaN) - each) ** 2;
    norm += each ** 2;
  });
  return Math.sqrt(difference / norm);
}

describe.skipIf(!canEmulate)('printed text computes what the kernel says', () => {
  test('scale, with a partial last block', () => {
    const kernel = scaleKernel();
    const given = inputsOf(kernel, () => [-1, 1]);
    const result = emulateKernel(kernel, sizes, given);
    expect(result.get('u.y')).toEqual(given.get('u')?.map((each) => 2 * each));
  });

  test.each(['f32', 'bf16', 'f16'] as const)('selective scan in %s against a float64 loop', (storage) => {
    const [channels, states] = [70, 8];
    const kernel = scanKernel({ channels, states }, storage);
    const given = inputsOf(kernel, (name) => (name === 'A' ? [-4, -0.5] : name === 'delta' ? [0, 0.25] : [-1, 1]));
    const [u, delta, A, B, C] = ['u', 'delta', 'A', 'B', 'C'].map((name) => given.get(name)!);
    const expected = new Float64Array(2 * 7 * channels);
    for (let b = 0; b < 2; b++) {
      for (let d = 0; d < channels; d++) {
        const state = new Float64Array(states);
        for (let t = 0; t < 7; t++) {
          const [token, at] = [b * 7 + t, (b * 7 + t) * channels + d];
          for (let n = 0; n < states; n++) {
            state[n] = Math.exp(delta![at]! * A![d * states + n]!) * state[n]! + delta![at]! * u![at]! * B![token * states + n]!;
            expected[at]! += C![token * states + n]! * state[n]!;
          }
        }
      }
    }
    const error = relative(emulateKernel(kernel, sizes, given).get('y'), expected);
    expect(error).toBeLessThan({ f32: 1e-6, bf16: 4e-3, f16: 5e-4 }[storage]);
  });

  test('every node, against the interpreter', () => {
    const kernel = everythingKernel();
    const given = inputsOf(kernel, () => [1, 9]);
    const [emulated, expected] = [emulateKernel(kernel, sizes, given), interpreted(kernel, given)];
    for (const { name, access } of kernel.buffers) {
      if (access === 'read') continue;
      // each row of 64 is one expression, and must be right for itself
      const [values, reference] = [emulated.get(name)!, expected.get(name)!];
      for (let row = 0; row < reference.length; row += 64) {
        const wanted = reference.subarray(row, row + 64);
        if (wanted.every(Number.isNaN)) continue;
        const error = wanted.every((each) => each === 0) ? Math.max(...values.subarray(row, row + 64)) : relative(values.subarray(row, row + 64), wanted);
        expect(error, `${name} row ${row / 64}`).toBeLessThan(2e-6);
      }
    }
  });
});
