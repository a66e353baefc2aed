/**
 * conv = recurrent at lengths with many blocks: FFT with one and with several rows of the four-step
 * split, the choice by length at run time, forward and backward, on every device here (R8). Both sides
 * are f32; relative L2 as for a tree of thousands of tokens.
 */
import { afterAll, describe, expect, it } from 'vitest';
import type { ExecutionDevice } from '../../runtime/device.ts';
import { openWasm } from '../../runtime/wasm/index.ts';
import { fromDevice } from '../../runtime/webgpu/index.ts';
import { required } from '../../support/invariant.ts';
import { relativeError } from '../support/compiled-case.ts';
import { convolutionLayers } from '../support/conv-layers.ts';
import { prepareLayer, runLayer } from '../support/conv-runs.ts';
import { openTestDevice } from '../support/webgpu.ts';

const bar = 3e-5;

const devices = new Map<'wasm' | 'wgsl', ExecutionDevice>();
const opened = await openTestDevice();
devices.set('wasm', await openWasm({ workers: 1 }));
if (opened !== null) devices.set('wgsl', fromDevice(opened));
afterAll(async () => { for (const device of devices.values()) await device[Symbol.asyncDispose](); });

const layers = { wasm: ['s4d', 's5-bidirectional', 'reverseBefore', 'realDecay'], wgsl: ['s4d', 'reverseBefore'] } as const;
const lengths = { wasm: [1023, 1500, 5000], wgsl: [1500] } as const;

describe.each([...devices.keys()])('%s', (target) => {
  it.each(layers[target])('%s', async (name) => {
    const { spec } = required(convolutionLayers.find((each) => each.name === name), name);
    const device = required(devices.get(target), target);
    const recurrent = await prepareLayer(device, spec, { target, mode: 'recurrent' });
    const ways = target === 'wasm' && name === 's4d' ? (['fft', 'auto'] as const) : (['fft'] as const);
    for (const convolution of ways) {
      const convolved = await prepareLayer(device, spec, { target, mode: 'conv', convolution });
      for (const length of lengths[target]) {
        const sizes = { batch: 2, length };
        const wanted = await runLayer(recurrent, spec, sizes, true);
        const made = await runLayer(convolved, spec, sizes, true);
        expect([...made.keys()].sort()).toEqual([...wanted.keys()].sort());
        for (const [tensor, numbers] of wanted) {
          expect(numbers.some((each) => Math.abs(each) > 1e-3)).toBe(true);
          expect.soft(relativeError(required(made.get(tensor), tensor), numbers), `${convolution} ${tensor} at ${length}`).toBeLessThan(bar);
        }
      }
      convolved[Symbol.dispose]();
    }
    recurrent[Symbol.dispose]();
  });
});
