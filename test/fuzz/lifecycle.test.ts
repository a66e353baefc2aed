/**
 * Calls in any order, many at a time, on things that may be gone: every promise settles with the right
 * numbers or a diagnostic, and in the end the device holds nothing. Memory that ends at any point too.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import type { Artifact } from '../../backends/artifact.ts';
import type { DeviceTensor, ExecutionDevice } from '../../runtime/device.ts';
import { loadLayer, type Layer, type LayerState } from '../../runtime/index.ts';
import { openWasm } from '../../runtime/wasm/index.ts';
import { layerOf } from './corpus.ts';
import { isAcceptable, misuseText, outcomeOf, soundInput } from './misuse.ts';

const artifact: Artifact = compileSpec(layerOf(misuseText), { target: 'wasm', mode: 'recurrent' }).artifact;

/** What a sequence of calls works on; everything in it may have been disposed of. */
type World = { readonly device: ExecutionDevice; readonly layers: Layer[]; readonly states: LayerState[]; readonly tensors: DeviceTensor[] };

type Step = readonly [operation: string, which: number, other: number];

function pick<Item>(items: readonly Item[], which: number): Item | undefined {
  return items[which % Math.max(1, items.length)];
}

async function forward(layer: Layer, batch: number): Promise<void> {
  const { outputs } = await layer.forward({ inputs: { u: Float32Array.from({ length: 4 * batch }, (_, at) => at) }, batch });
  const y = Array.from(await outputs['y']!.read());
  // what a call returns is valid until the next one of the same sizes; only this one has these, and always the same numbers
  expect(y).toEqual(Array.from({ length: 4 * batch }, (_, at) => at));
}

const operations: Readonly<Record<string, (world: World, which: number, other: number) => unknown>> = {
  load: async ({ device, layers }) => {
    const layer = await loadLayer(device, artifact);
    layers.push(layer);
    layer.setParameters({ a: [1, 1, 1, 1] });
  },
  tensor: ({ device, tensors }, which) => void tensors.push(device.createTensor('f32', which % 5, 'tensor')),
  state: ({ layers, states }, which, other) => { const state = pick(layers, which)?.createState(other % 3); if (state !== undefined) states.push(state); },
  forward: ({ layers }, which, other) => { const layer = pick(layers, which); return layer === undefined ? undefined : forward(layer, [0, 2, 3][other % 3] ?? 0); },
  gradients: ({ layers }, which) => pick(layers, which)?.gradients({ inputs: { u: soundInput() }, batch: 1, outputCotangents: { y: soundInput() } }),
  step: ({ layers, states }, which, other) => {
    const state = pick(states, other);
    return pick(layers, which)?.step({ inputs: { u: soundInput() }, batch: 1, ...(state === undefined ? {} : { state }) });
  },
  'forward of a tensor': ({ layers, tensors }, which, other) => { const u = pick(tensors, other); return u === undefined ? undefined : pick(layers, which)?.forward({ inputs: { u }, batch: 1 }); },
  parameters: ({ layers }, which) => pick(layers, which)?.setParameters({ a: [1, 1, 1, 1] }),
  'parameters of a tensor': ({ layers, tensors, device }, which) => {
    const a = device.createTensor('f32', Float32Array.of(1, 1, 1, 1), 'a');
    tensors.push(a);
    pick(layers, which)?.setParameters({ a });
  },
  read: ({ tensors }, which) => pick(tensors, which)?.read(),
  write: ({ tensors }, which, other) => pick(tensors, which)?.write(new Float32Array(other % 5).fill(1)),
  'read state': ({ states }, which) => pick(states, which)?.read(),
  'reset state': ({ states }, which) => pick(states, which)?.reset(),
  'dispose tensor': ({ tensors }, which) => pick(tensors, which)?.[Symbol.dispose](),
  'dispose state': ({ states }, which) => pick(states, which)?.[Symbol.dispose](),
  'dispose layer': ({ layers }, which) => pick(layers, which)?.[Symbol.dispose](),
};

/** Calls that are made at once; a pause lets some of them end. */
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.tuple(fc.constantFrom('pause', 'load', 'forward', 'step', ...Object.keys(operations)), fc.nat(9), fc.nat(9)), { minLength: 4, maxLength: 40 });

async function live(sequence: readonly Step[], end: 'orderly' | 'abrupt'): Promise<void> {
  const device = await openWasm({ workers: 0, maximumBytes: 2 ** 22, checks: 'canaries' });
  const world: World = { device, layers: [], states: [], tensors: [] };
  const outcomes: Promise<string>[] = [outcomeOf(() => operations['load']!(world, 0, 0))];
  await outcomes[0];
  for (const [operation, which, other] of sequence) {
    if (operation === 'pause') await outcomes.at(-1);
    else outcomes.push(outcomeOf(() => operations[operation]!(world, which, other)));
  }
  if (end === 'abrupt') await device[Symbol.asyncDispose]();
  const wrong = (await Promise.all(outcomes)).filter((each) => !isAcceptable(each));
  expect(wrong).toEqual([]);
  for (const each of [...world.tensors, ...world.states, ...world.layers]) each[Symbol.dispose]();
  // a layer gives its memory up when what was asked of it before is done
  await new Promise((resolve) => void setTimeout(resolve, 0));
  expect(device.memoryUse().blocks).toBe(0);
  await device[Symbol.asyncDispose]();
}

describe('calls in any order', () => {
  it.each(['orderly', 'abrupt'] as const)('with an %s end', async (end) => {
    await fc.assert(fc.asyncProperty(steps, (sequence) => live(sequence, end)), { seed: 7, numRuns: 120 });
  });
});

describe('memory that ends', () => {
  it('at any point is a diagnostic, and nothing is left behind', async () => {
    const outcomes = new Set<string>();
    for (let bytes = 64; bytes < 2 ** 17; bytes = Math.ceil(bytes * 1.13)) {
      const device = await openWasm({ workers: 0, maximumBytes: bytes });
      const outcome = await outcomeOf(async () => {
        using layer = await loadLayer(device, artifact);
        layer.setParameters({ a: [1, 1, 1, 1] });
        await forward(layer, 2);
        using state = layer.createState(2);
        await layer.step({ inputs: { u: new Float32Array(8) }, batch: 2, state });
        await layer.gradients({ inputs: { u: soundInput() }, batch: 1, outputCotangents: { y: soundInput() } });
      });
      outcomes.add(outcome);
      expect(device.memoryUse()).toEqual({ bytes: 0, blocks: 0 });
      await device[Symbol.asyncDispose]();
    }
    expect([...outcomes].sort()).toEqual(['SSM6005', 'done']);
  });
});
