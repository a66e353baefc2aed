/**
 * conv = recurrent at lengths with many blocks: FFT with one and with several rows of the four-step
 * split, the choice by length at run time, forward and backward, on every device here (R8). Both sides
 * are f32; relative L2 as for a tree of thousands of tokens.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import type { ExecutionDevice } from '../../runtime/device.ts';
import { openWasm } from '../../runtime/wasm/index.ts';
import { fromDevice } from '../../runtime/webgpu/index.ts';
import { required } from '../../support/invariant.ts';
import { evaluateSize, type SizeExpression } from '../../support/size.ts';
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

const layers = { wasm: ['s4d', 's5-bidirectional', 'reverseBefore', 'realDecay'], wgsl: ['s4d', 'reverseAverage'] } as const;
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
  }, 300_000);
});

/** Both sides repeat f32 roundings for as many tokens as the modes remember; the transition of the recurrence is one of them. */
const longBar = 2e-4;

describe('one layer', async () => {
  const { spec } = required(convolutionLayers.find((each) => each.name === 's4d'), 's4d');

  it.each([65_536, 2 ** 20 - 1, 2 ** 20])('at %i tokens on WASM, forward and backward', async (length) => {
    const device = required(devices.get('wasm'), 'wasm');
    using recurrent = await prepareLayer(device, spec, { target: 'wasm', mode: 'recurrent' });
    using convolved = await prepareLayer(device, spec, { target: 'wasm', mode: 'conv' });
    const sizes = { batch: 1, length };
    const wanted = await runLayer(recurrent, spec, sizes, true);
    const made = await runLayer(convolved, spec, sizes, true);
    for (const [tensor, numbers] of wanted) expect.soft(relativeError(required(made.get(tensor), tensor), numbers), tensor).toBeLessThan(longBar);
  });

  it.skipIf(!devices.has('wgsl'))('at 65,536 tokens on WebGPU', async () => {
    const device = required(devices.get('wgsl'), 'wgsl');
    using recurrent = await prepareLayer(device, spec, { target: 'wgsl', mode: 'recurrent', entries: 'forward-only' });
    using convolved = await prepareLayer(device, spec, { target: 'wgsl', mode: 'conv', entries: 'forward-only' });
    const sizes = { batch: 1, length: 65_536 };
    const wanted = await runLayer(recurrent, spec, sizes, false);
    const made = await runLayer(convolved, spec, sizes, false);
    for (const [tensor, numbers] of wanted) expect.soft(relativeError(required(made.get(tensor), tensor), numbers), tensor).toBeLessThan(longBar);
  }, 300_000);

  it.each(['wasm', 'wgsl'] as const)('has no tensor larger than a small multiple of its input for %s', (target) => {
    const { plans } = compileSpec(spec, { target, mode: 'conv' });
    const sizes = { batch: 2, length: 2 ** 16 };
    const count = (axes: readonly SizeExpression[]): number => axes.reduce<number>((product, each) => product * evaluateSize(each, sizes), 1);
    for (const plan of plans.filter((each) => each.entry !== 'step')) {
      const input = required(plan.tensors.find((each) => each.name === 'u') ?? plan.tensors.find((each) => each.subject === 'u'), 'u');
      for (const tensor of plan.tensors) expect(count(tensor.dims) / count(input.dims), `${plan.entry} ${tensor.name}`).toBeLessThanOrEqual(2);
    }
  });
});
