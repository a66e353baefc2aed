/**
 * conv = recurrent at lengths with many blocks: FFT with one and with several rows of the four-step
 * split, the choice by length at run time, forward and backward, on every device here (R8). Both sides
 * are f32; relative L2 as for a tree of thousands of tokens. Lengths up to 2^20 take minutes:
 * scripts/long-convolutions.sh runs them.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import type { ExecutionDevice } from '../../runtime/device.ts';
import { openWasm } from '../../runtime/wasm/index.ts';
import { fromDevice } from '../../runtime/webgpu/index.ts';
import { required } from '../../support/invariant.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import type { PlanTensor } from '../../ir/plan.ts';
import { evaluateSize } from '../../support/size.ts';
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

// on a software GPU a small layer: it compiles the same transforms
const layers = { wasm: ['s4d', 's5-bidirectional', 'reverseBefore', 'realDecay'], wgsl: ['reverseAverage'] } as const;
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

describe.each(['wasm', 'wgsl', 'cuda'] as const)('memory for %s', (target) => {
  const sizes = { batch: 2, length: 2 ** 16 };
  const bytes = ({ dims }: PlanTensor): number => dims.reduce<number>((product, each) => product * evaluateSize(each, sizes), 4);

  // per layer the bounds of all intermediates of a forward and of a backward entry; a block has elementwise values of its own
  it.each([['s4d', 9, 17], ['realDecay', 9, 17], ['dss', 16, 24], ['lru', 16, 24], ['s5', 16, 24], ['s5-bidirectional', 16, 24], ['chain', 16, 24], ['s4d-block', 18, 40]] as const)(
    'of %s is bounded by its streams', (name, mostForward, mostBackward) => {
      const { spec } = required(convolutionLayers.find((each) => each.name === name), name);
      const { plans } = compileSpec(spec, { target, mode: 'conv' });
      for (const { entry, tensors } of plans.filter((each) => each.entry !== 'step')) {
        const input = Math.max(...tensors.filter((each) => each.role === 'input' || each.role === 'output-cotangent').map(bytes));
        const stream = Math.max(input, bytesOfStates(spec));
        const intermediates = tensors.filter((each) => each.role === 'scratch' || each.role === 'saved');
        for (const tensor of intermediates) expect(bytes(tensor) / stream, `${entry} ${tensor.name}`).toBeLessThanOrEqual(2);
        const total = intermediates.reduce((sum, each) => sum + bytes(each), 0);
        expect.soft(total / stream, `${entry} in all`).toBeLessThan(entry.startsWith('backward') ? mostBackward : mostForward);
      }
    },
  );

  /** Of states that are convolved one by one: those over other axes than the channels. */
  function bytesOfStates(spec: LayerSpec): number {
    const sizeOf = (axis: string): number => required(spec.axes.find((each) => each.name === axis), axis).size;
    const wide = spec.body.flatMap((item) => (item.kind === 'state' && !item.axes.includes('D') ? [item] : []));
    const numbers = wide.reduce((sum, { axes, type }) => sum + axes.reduce((product, axis) => product * sizeOf(axis), type === 'complex' ? 2 : 1), 0);
    return numbers * sizes.batch * sizes.length * 4;
  }
});
