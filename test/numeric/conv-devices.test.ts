/**
 * Convolutional mode on every device here: outputs, final states, all gradients and the step of every
 * time-invariant layer against float64 that starts from the same f32 numbers, at lengths from one token
 * to beyond several blocks, directly and by FFT; conv = scan = step follows from the common reference.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import { compareSequence, compareSteps } from '../../cli/verify/compare.ts';
import { makeReference } from '../../cli/verify/reference.ts';
import { runTensorPipeline } from '../../ir/pipeline.ts';
import type { ExecutionDevice } from '../../runtime/device.ts';
import { openWasm } from '../../runtime/wasm/index.ts';
import { fromDevice } from '../../runtime/webgpu/index.ts';
import { required } from '../../support/invariant.ts';
import { convolutionLayers } from '../support/conv-layers.ts';
import { openTestDevice } from '../support/webgpu.ts';

/** Relative L2, as `statefuse verify` has it: the reference shares the rounded parameters, not the roundings of Δ and λ that follow. */
const bar = 2e-5;

const devices = new Map<'wasm' | 'wgsl', ExecutionDevice>();
const opened = await openTestDevice();
devices.set('wasm', await openWasm({ workers: 1, checks: 'canaries' }));
if (opened !== null) devices.set('wgsl', fromDevice(opened));
afterAll(async () => { for (const device of devices.values()) await device[Symbol.asyncDispose](); });

/** A token, less than a block, more than a row of powers; by FFT one row of the four-step split (conv-long has more). */
const lengths = { direct: [1, 8, 150], fft: [1, 2, 67] } as const;

const cases = (['direct', 'fft'] as const).flatMap((way) => convolutionLayers.map((each) => [way, each.name, each.spec] as const));

describe.each([...devices.keys()])('%s', (target) => {
  // a software GPU takes seconds to compile each kernel of a transform, the same for every layer but for loads and orders
  const own = cases.filter(([way, name]) => target === 'wasm' || way === 'direct' || ['s4d', 'reverseAverage'].includes(name));
  it.each(own)('%s %s', async (convolution, _name, spec) => {
    const device = required(devices.get(target), target);
    const { artifact } = compileSpec(spec, { target, mode: 'conv', convolution });
    expect(artifact.manifest.mode).toBe('conv');
    const { module } = runTensorPipeline(spec, { withRespectTo: null, checkpointInterval: 16 });
    const layer = await device.prepare(artifact);
    for (const length of lengths[convolution]) {
      const sizes = { batch: length === 67 ? 3 : 2, length };
      const reference = makeReference(spec, module, sizes, 11);
      const rows = await compareSequence(layer, sizes, reference);
      const steps = sizes.length > 10 ? null : await compareSteps(layer, sizes, reference);
      expect(rows.length).toBeGreaterThan(4);
      for (const row of [...rows, ...(steps ?? [])]) expect.soft(row.relativeError, `length ${sizes.length}: ${row.entry} ${row.tensor}`).toBeLessThan(bar);
    }
    layer[Symbol.dispose]();
  }, 300_000);
});
