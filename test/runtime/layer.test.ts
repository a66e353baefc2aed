/** The layer API on WASM: values by name, resident parameters, states that circle, reuse of memory, and every wrong argument named. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import { loadLayer as loadText } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { loadLayer, type Layer, type LayerCall } from '../../runtime/index.ts';
import { openWasm, type WasmDevice } from '../../runtime/wasm/index.ts';
import { SsmError } from '../../support/diagnostic.ts';

const text = `
layer Cell(D = 4, N = 8) {
  input u[D], v[D] per sequence
  param a[D, N], C[D, N]: complex, skip[D]
  state x[D, N] { next x = sigmoid(a) * x + u }
  state y[D, N]: complex { next y = complex(0.5, 0.25) * y + u }
  output out[D] = sum[N](x) + real(sum[N](C * y)) + skip * u
  output total[D] per sequence = mean[time](u * v)
}`;

function specOf(source: string): LayerSpec {
  const { spec, diagnostics } = loadText({ name: 'cell.ssm', text: source }, null, { sizes: new Map() });
  if (spec === null) throw new Error(diagnostics[0]?.message);
  return spec;
}

const [batch, length] = [2, 6];
const wave = (count: number, phase: number): Float32Array => Float32Array.from({ length: count }, (_, at) => Math.sin(at * 0.7 + phase));
const params = { a: wave(32, 1), C: wave(64, 2), skip: [0.5, 1, 2, -1] };
const inputs = { u: wave(batch * length * 4, 3), v: wave(batch * 4, 4) };

let device: WasmDevice;
let layer: Layer;
beforeAll(async () => {
  device = await openWasm({ workers: 0, checks: 'canaries' });
  layer = await loadLayer(device, compileSpec(specOf(text), { target: 'wasm' }).artifact);
  layer.setParameters(params);
});
afterAll(async () => {
  layer[Symbol.dispose]();
  expect(device.memoryUse()).toEqual({ bytes: 0, blocks: 0 });
  await device[Symbol.asyncDispose]();
});

async function numbers(record: Readonly<Record<string, { read(): Promise<ArrayLike<number>> }>>, name: string): Promise<number[]> {
  return Array.from(await record[name]!.read());
}

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  actual.forEach((value, at) => expect(value).toBeCloseTo(expected[at]!, 4));
}

/** The cell by hand. */
function reference(initialX: readonly number[]): { out: number[]; x: number[] } {
  const [x, re, im, out] = [[...initialX], new Array<number>(64).fill(0), new Array<number>(64).fill(0), new Array<number>(48)];
  for (let b = 0; b < batch; b++) for (let t = 0; t < length; t++) for (let d = 0; d < 4; d++) {
    const u = inputs.u[(b * length + t) * 4 + d]!;
    let sum = params.skip[d]! * u;
    for (let n = 0; n < 8; n++) {
      const at = (b * 4 + d) * 8 + n;
      const c = (d * 8 + n) * 2;
      x[at] = x[at]! / (1 + Math.exp(-params.a[d * 8 + n]!)) + u;
      [re[at], im[at]] = [0.5 * re[at]! - 0.25 * im[at]! + u, 0.5 * im[at]! + 0.25 * re[at]!];
      sum += x[at]! + params.C[c]! * re[at]! - params.C[c + 1]! * im[at]!;
    }
    out[(b * length + t) * 4 + d] = sum;
  }
  return { out, x };
}

describe('values', () => {
  it('computes outputs and final states, absent states being zero, the length inferred', async () => {
    const expected = reference(new Array<number>(64).fill(0));
    const result = await layer.forward({ inputs, batch });
    expectClose(await numbers(result.outputs, 'out'), expected.out);
    expectClose(await numbers(result.final, 'x'), expected.x);
    expect(Object.keys(result.final).sort()).toEqual(['x', 'y']);
    expect((await numbers(result.final, 'y')).length).toBe(128);
  });

  it('takes arrays, doubles, shaped numbers and tensors of the device alike', async () => {
    const expected = await numbers((await layer.forward({ inputs, batch })).outputs, 'out');
    using u = device.createTensor('f32', inputs.u, 'u');
    for (const value of [Array.from(inputs.u), Float64Array.from(inputs.u), { shape: [batch, length, 4], data: inputs.u }, u]) {
      const { outputs } = await layer.forward({ inputs: { ...inputs, u: value }, batch });
      expect(await numbers(outputs, 'out')).toEqual(expected);
    }
  });

  it('starts from a given state', async () => {
    const x = Array.from(wave(64, 5));
    const result = await layer.forward({ inputs, batch, initial: { x } });
    expectClose(await numbers(result.outputs, 'out'), reference(x).out);
  });

  it('hands a final state back in, from call to call', async () => {
    let result = await layer.forward({ inputs, batch });
    for (let round = 0; round < 5; round++) {
      const [x, y] = [await numbers(result.final, 'x'), await numbers(result.final, 'y')];
      const again = await layer.forward({ inputs, batch, initial: result.final });
      const out = await numbers(again.outputs, 'out');
      const direct = await layer.forward({ inputs, batch, initial: { x, y } });
      expect(await numbers(direct.outputs, 'out')).toEqual(out);
      result = again;
    }
  });

  it('runs concurrent calls one after the other', async () => {
    const calls: LayerCall[] = [1, 2, 3].map((scale) => ({ inputs: { ...inputs, u: inputs.u.map((each) => each * scale) }, batch }));
    const one = await Promise.all(calls.map((call) => layer.forward(call).then(() => 'done')));
    expect(one).toEqual(['done', 'done', 'done']);
  });
});

it('sets parameters in the order of the calls', async () => {
  const expected = await numbers((await layer.forward({ inputs, batch })).outputs, 'out');
  const skip = Float32Array.of(9, 9, 9, 9);
  const early = layer.forward({ inputs, batch }).then(({ outputs }) => numbers(outputs, 'out'));
  layer.setParameters({ skip });
  skip.fill(-1); // the numbers were copied
  expect(await early).toEqual(expected);
  const late = await numbers((await layer.forward({ inputs, batch })).outputs, 'out');
  late.forEach((each, at) => expect(each - expected[at]!).toBeCloseTo((9 - params.skip[at % 4]!) * inputs.u[at]!, 3));
  expect(() => layer.setParameters({ a: params.a, skip: [1] })).toThrow(/`skip` has 1 numbers/);
  layer.setParameters(params);
});

describe('gradients', () => {
  it('agree with central differences, for parameters, inputs and initial states', async () => {
    const cotangent = wave(batch * length * 4, 6);
    const lossOf = async (skip: readonly number[], u: Float32Array): Promise<number> => {
      const { outputs } = await layer.forward({ inputs: { ...inputs, u }, params: { skip }, batch });
      return (await numbers(outputs, 'out')).reduce((sum, each, at) => sum + each * cotangent[at]!, 0);
    };
    const { gradients } = await layer.gradients({ inputs, batch, outputCotangents: { out: cotangent } });
    const [skipGradient, uGradient] = [await numbers(gradients, 'skip'), await numbers(gradients, 'u')];
    expect(await numbers(gradients, 'x').then((all) => all.some((each) => each !== 0))).toBe(true);
    expect((await numbers(gradients, 'C')).length).toBe(64);
    const shifted = (delta: number): number[] => params.skip.map((each, at) => (at === 2 ? each + delta : each));
    const bySkip = ((await lossOf(shifted(0.5), inputs.u)) - (await lossOf(shifted(-0.5), inputs.u)));
    expect(skipGradient[2]).toBeCloseTo(bySkip, 3);
    const moved = (delta: number): Float32Array => inputs.u.map((each, at) => (at === 7 ? each + delta : each));
    const byInput = (await lossOf(params.skip, moved(0.5))) - (await lossOf(params.skip, moved(-0.5)));
    expect(uGradient[7]).toBeCloseTo(byInput, 3);
    layer.setParameters(params);
  });

  it('take cotangents of final states, absent ones being zero', async () => {
    const ones = new Float32Array(64).fill(1);
    const { gradients } = await layer.gradients({ inputs, batch, finalCotangents: { x: ones } });
    const found = await numbers(gradients, 'x');
    params.a.forEach((a, at) => expect(found[at]).toBeCloseTo((1 / (1 + Math.exp(-a))) ** length, 5));
    expect((await numbers(gradients, 'skip')).every((each) => each === 0)).toBe(true);
  });
});

describe('memory', () => {
  it('does not grow from call to call, nor does a parameter move', async () => {
    const train = async (): Promise<void> => {
      await layer.gradients({ inputs, batch, outputCotangents: { out: inputs.u } });
      await layer.gradients({ inputs, batch, finalCotangents: {} });
      await layer.forward({ inputs, batch });
      layer.setParameters(params);
    };
    await train();
    const before = device.memoryUse();
    for (let round = 0; round < 20; round++) await train();
    expect(device.memoryUse()).toEqual(before);
  });

  it('stays bounded when the sizes change all the time', async () => {
    const sizes = Array.from({ length: 40 }, (_, at) => at + 1);
    const used: number[] = [];
    for (const size of sizes) {
      await layer.forward({ inputs: { u: wave(size * 4, 0), v: wave(4, 0) }, batch: 1 });
      used.push(device.memoryUse().blocks);
    }
    expect(used[39]! - used[12]!).toBeLessThanOrEqual(0);
  });

  it('frees everything, also with a call in flight', async () => {
    const before = device.memoryUse();
    const second = await loadLayer(device, layer.artifact);
    const running = second.forward({ inputs, params, batch });
    second[Symbol.dispose]();
    await running;
    expect(device.memoryUse()).toEqual(before);
    await expect(second.forward({ inputs, batch })).rejects.toMatchObject({ code: 'SSM6003' });
  });
});

describe('wrong arguments', () => {
  const failures: readonly (readonly [string, () => Promise<unknown>, string, RegExp])[] = [
    ['a shape', () => layer.forward({ inputs: { ...inputs, v: [1, 2, 3] }, batch }), 'SSM7003', /`v` has 3 numbers, expected 8: \[2, 4\] \(batch, D\)/],
    ['an explicit shape', () => layer.forward({ inputs: { ...inputs, u: { shape: [6, 2, 4], data: inputs.u } }, batch }), 'SSM7003', /\[6, 2, 4\], expected \[2, 6, 4\] \(batch, time, D\)/],
    ['a length that does not divide', () => layer.forward({ inputs: { ...inputs, u: wave(47, 0) }, batch }), 'SSM7003', /multiple of 8: \[2, length, 4\]/],
    ['an unknown input', () => layer.forward({ inputs: { ...inputs, w: [1] }, batch }), 'SSM6004', /no input `w`/],
    ['a missing input', () => layer.forward({ inputs: { u: inputs.u }, batch }), 'SSM7003', /`v` is missing/],
    ['a parameter', () => layer.forward({ inputs, params: { skip: [1] }, batch }), 'SSM7003', /`skip` has 1 numbers, expected 4/],
    ['an unknown parameter', () => layer.forward({ inputs, params: { skp: [1] }, batch }), 'SSM6004', /no parameter `skp`/],
    ['an unknown state', () => layer.forward({ inputs, initial: { z: [1] }, batch }), 'SSM6004', /no state `z`/],
    ['no numbers', () => layer.forward({ inputs: { ...inputs, u: 'abc' as never }, batch }), 'SSM6004', /must be an array/],
    ['no number', () => layer.forward({ inputs: { ...inputs, v: new Array(8).fill('1') as never }, batch }), 'SSM6004', /"1" at 0/],
    ['a batch', () => layer.forward({ inputs, batch: 1.5 }), 'SSM6004', /`batch`/],
  ];
  it.each(failures)('%s', async (_what, call, code, message) => {
    const error = await call().then(() => null, (thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SsmError);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) as unknown });
  });

  it('an index beyond its table, which kernels would read past', async () => {
    const table = 'layer Table(V = 4, D = 2) { input k: index(V) param rows[V, D] output y[D] = pick[V](rows, k) }';
    using picker = await loadLayer(device, compileSpec(specOf(table), { target: 'wasm' }).artifact);
    picker.setParameters({ rows: [0, 1, 10, 11, 20, 21, 30, 31] });
    const { outputs } = await picker.forward({ inputs: { k: [3, 0] }, batch: 1 });
    expect(await numbers(outputs, 'y')).toEqual([30, 31, 0, 1]);
    for (const wrong of [4, -1, 0.5, NaN]) {
      await expect(picker.forward({ inputs: { k: [0, wrong] }, batch: 1 })).rejects.toMatchObject({
        code: 'SSM6004', message: expect.stringMatching(/`k` has .* at 1, expected an integer from 0 to 3/) as unknown,
      });
    }
  });

  it('a parameter that was never set', async () => {
    const bare = await loadLayer(device, layer.artifact);
    await expect(bare.forward({ inputs, batch })).rejects.toMatchObject({ code: 'SSM7003' });
    bare[Symbol.dispose]();
  });
});

describe('step', () => {
  const stepText = 'layer Leaky(D = 4) { input u[D] param a[D] state x[D] { next x = a * x + u } output y[D] = x }';
  it('moves a state on, token by token, to where the whole sequence ends', async () => {
    const stepper = await loadLayer(device, compileSpec(specOf(stepText), { target: 'wasm' }).artifact);
    stepper.setParameters({ a: [0.5, -0.25, 0.9, 1] });
    const u = wave(batch * length * 4, 3);
    const whole = await stepper.forward({ inputs: { u }, batch });
    const expected = await numbers(whole.outputs, 'y');
    const state = stepper.createState(batch);
    const [found, blocks] = [new Array<number>(48), new Set<number>()];
    for (let t = 0; t < length; t++) {
      const token = Float32Array.from({ length: batch * 4 }, (_, at) => u[(Math.floor(at / 4) * length + t) * 4 + (at % 4)]!);
      const { outputs } = await stepper.step({ inputs: { u: token }, state, batch });
      (await numbers(outputs, 'y')).forEach((each, at) => { found[(Math.floor(at / 4) * length + t) * 4 + (at % 4)] = each; });
      blocks.add(device.memoryUse().blocks);
    }
    expect(found).toEqual(expected);
    expect(blocks.size).toBe(1);
    expect(Array.from((await state.read())['x']!)).toEqual(await numbers(whole.final, 'x'));
    state.reset();
    expect(Array.from((await state.read())['x']!).every((each) => each === 0)).toBe(true);
    await expect(layer.forward({ inputs, batch, state })).rejects.toMatchObject({ code: 'SSM6004' });
    state[Symbol.dispose]();
    stepper[Symbol.dispose]();
  });
});
