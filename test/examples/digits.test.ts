/**
 * The digit classifiers: gradients of the whole models (embedding, blocks, pooling, loss) on WASM
 * against the oracle at a small size, and a short training that must bring the loss down.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import { loadLayer as readLayer, parse } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { largestDifference, runBatch } from '../../examples/digits/check.ts';
import { parseDigits, selectDigits, splitDigits } from '../../examples/digits/data.ts';
import { accuracyOn, trainDigits } from '../../examples/digits/training.ts';
import { initialParameters } from '../../ir/initial/index.ts';
import { loadLayer } from '../../runtime/index.ts';
import { openWasm, type WasmDevice } from '../../runtime/wasm/index.ts';
import { gradient } from '../oracle/evaluate.ts';
import { relativeError } from '../support/compiled-case.ts';
import { packTensor, randomRequest, tensor } from '../support/oracle-requests.ts';

const folder = new URL('../../examples/digits/', import.meta.url);
const textOf = (name: string): string => readFileSync(new URL(`${name}-digits.ssm`, folder), 'utf8');
const digits = parseDigits(readFileSync(new URL('digits.csv', folder), 'utf8'));

function specOf(name: string, sizes: ReadonlyMap<string, number>): LayerSpec {
  const { spec, diagnostics } = readLayer({ name, text: textOf(name) }, null, { sizes });
  if (spec === null) throw new Error(diagnostics[0]?.message);
  expect(diagnostics).toEqual([]);
  return spec;
}

let device: WasmDevice;
beforeAll(async () => {
  device = await openWasm({ workers: 1, checks: 'canaries' });
});
afterAll(async () => {
  expect(device.memoryUse().blocks).toBe(0);
  await device[Symbol.asyncDispose]();
});

describe('the data', () => {
  it('is split into four fifths and one fifth without overlap', () => {
    const { train, test } = splitDigits(digits);
    expect([digits.count, train.count, test.count]).toEqual([1797, 1437, 360]);
    expect(Math.max(...digits.pixels)).toBe(1);
    const keyOf = (rows: typeof train, at: number): string => rows.pixels.slice(at * 64, at * 64 + 64).join();
    const seen = new Set(Array.from({ length: train.count }, (_, at) => keyOf(train, at)));
    expect(Array.from({ length: test.count }, (_, at) => seen.has(keyOf(test, at))).filter(Boolean)).toHaveLength(0);
  });
});

const sizes = new Map([['D', 4], ['N', 4]]);
const models = [['s4d', sizes], ['mamba', new Map([...sizes, ['R', 2]])]] as const;

describe.each(models)('%s', (name, small) => {
  it.each(['recurrent', 'scan'] as const)('has the gradients of the oracle in mode %s', async (mode) => {
    const spec = specOf(name, small);
    const tree = parse({ name, text: textOf(name) }).tree;
    const [batch, length] = [2, 9];
    const request = randomRequest(tree, spec, { batch, length, seed: 5 });
    const cotangents = { outputs: new Map([['loss', tensor('batch', [batch], [0.5, 0.5])]]), final: new Map() };
    const expected = gradient({ ...request, cotangents });
    const { artifact } = compileSpec(spec, { target: 'wasm', mode, checkpointInterval: 4, pieceLength: 4 });
    using layer = await loadLayer(device, artifact);
    const record = (values: typeof request.inputs, axesOf: (name: string) => readonly string[]): Record<string, number[]> =>
      Object.fromEntries([...values].map(([each, value]) => [each, Array.from(packTensor(value, axesOf(each)))]));
    const axesOfParameter = (each: string): readonly string[] => spec.params.find((param) => param.name === each)!.axes;
    const axesOfRecord = (each: string): readonly string[] =>
      artifact.manifest.entries.flatMap((entry) => entry.tensors).find((one) => one.role === 'initial' && one.subject === each)!.axes.filter((axis) => axis !== 'complex');
    const result = await layer.gradients({
      inputs: record(request.inputs, (each) => (each === 'label' ? ['batch'] : ['batch', 'time'])),
      params: record(request.params, axesOfParameter), initial: record(request.initial, axesOfRecord),
      batch, length, outputCotangents: { loss: [0.5, 0.5] },
    });
    const loss = Array.from(await result.outputs['loss']!.read());
    expect(relativeError(loss, packTensor(expected.outputs.get('loss')!, ['batch']))).toBeLessThan(1e-5);
    for (const param of spec.params) {
      const found = Array.from(await result.gradients[param.name]!.read());
      const wanted = packTensor(expected.gradients.params.get(param.name)!, param.axes);
      expect(wanted.some((each) => each !== 0), `gradient of ${param.name} is there`).toBe(true);
      expect.soft(relativeError(found, wanted), param.name).toBeLessThan(1e-5);
    }
    for (const [state, wanted] of expected.gradients.initial) {
      const found = Array.from(await result.gradients[state]!.read());
      expect.soft(relativeError(found, packTensor(wanted, axesOfRecord(state))), state).toBeLessThan(1e-5);
    }
  });

  it('learns: the loss falls and rows are remembered', async () => {
    const spec = specOf(name, new Map([['D', 8], ['N', 4]]));
    using layer = await loadLayer(device, compileSpec(spec, { target: 'wasm' }).artifact);
    const few = selectDigits(digits, [0, 1, 10, 11, 20, 21, 30, 31]);
    const parameters = initialParameters(spec, 3);
    const before = await accuracyOn(layer, few, 8).catch(() => null);
    expect(before).toBeNull(); // parameters are not set yet
    const losses = await trainDigits(layer, spec, parameters, few, { epochs: 1000, batch: 8, rate: 2e-2, seed: 1, stepLimit: 60 });
    expect(losses).toHaveLength(60);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 3);
    const accuracy = await accuracyOn(layer, few, 8);
    expect(accuracy).toBeGreaterThanOrEqual(0.5);
    expect(await accuracyOn(layer, few, 3)).toBe(accuracy); // no matter how rows are batched
  });

  it('repeats bit by bit from the same seed', async () => {
    const spec = specOf(name, small);
    using layer = await loadLayer(device, compileSpec(spec, { target: 'wasm' }).artifact);
    const rows = selectDigits(digits, [3, 4, 5, 6]);
    const runs = [];
    for (let run = 0; run < 2; run++) {
      runs.push(await trainDigits(layer, spec, initialParameters(spec, 4), rows, { epochs: 3, batch: 2, rate: 1e-2, seed: 9 }));
    }
    expect(runs[0]).toEqual(runs[1]);
    expect(runs[0]).toHaveLength(6);
    const numbers = await runBatch(layer, initialParameters(spec, 4), rows);
    const wrong = new Map([...numbers].map(([key, value]) => [key, Array.from(value, (each) => each * 1.01)]));
    expect(largestDifference(numbers, numbers).error).toBe(0);
    expect(largestDifference(numbers, wrong).error).toBeGreaterThan(9e-3);
    expect(largestDifference(numbers, new Map()).error).toBe(Infinity);
  });
});
