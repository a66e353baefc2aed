/**
 * Tensors of a compiled layer lie as they are declared, whatever order the axes have inside: texts whose
 * declarations disagree with each other, forward and every gradient on WASM against the oracle. Sizes
 * are multiples of the vector width, so that loads along the wrong axis show.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import { loadLayer as readLayer, parse } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { loadLayer } from '../../runtime/index.ts';
import { openWasm, type WasmDevice } from '../../runtime/wasm/index.ts';
import { gradient, type OracleTensor } from '../oracle/evaluate.ts';
import { relativeError } from '../support/compiled-case.ts';
import { packTensor, randomRequest, randomTensor, seededNumbers } from '../support/oracle-requests.ts';

const texts: readonly (readonly [string, string])[] = [
  ['a matrix with its result first', 'layer A(D = 4) { axis E = 2 * D input u[D] param W[E, D] output y[E] = sum[D](W * u) }'],
  ['a square matrix and a rename', 'layer A(D = 4) { axis E = D input u[D] param W[E, D] let h = sum[D](W * u) output y[D] = rename(h, E, D) }'],
  ['a chain behind a rename', `layer A(D = 4) { axis E = D input u[D] param W[E, D], V[E, D]
    let g = u * u  let h = sum[D](W * g)  output y[D] = rename(h * sigmoid(sum[D](V * g)), E, D) + u }`],
  ['matrices of an applied layer', `layer B(D = 4) { axis E = 2 * D input u[D] param W[E, D], V[D, E] output y[D] = sum[E](V * sum[D](W * u)) }
    layer A(D = 4) { input u[D] let b = B(u = u) output y[D] = b }`],
  ['a state and its parameters in opposite orders', `layer A(D = 4, N = 8) { input u[D] param a[N, D], b[D, N], c[N, D]
    state x[N, D] { next x = sigmoid(a) * x + b * u } output y[D] = sum[N](c * x) }`],
  ['complex parameters with the later axis first', `layer A(D = 4, N = 8) { input u[D] param c[N, D]: complex
    state x[N, D]: complex { next x = complex(0.5, 0.3) * x + c * u } output y[D] = real(sum[N](x)) }`],
  ['an output with the later axis first', 'layer A(D = 4, N = 8) { input u[D] param b[N] output y[N, D] = b * u }'],
  ['an input with the later axis first', 'layer A(D = 4, N = 8) { input u[N, D] param b[D] output y[D] = sum[N](b * u * u) }'],
  ['a row picked along an axis of the result', 'layer A(D = 4) { input u[D], k: index(D) output y[D] = u * pick[D](u, k) }'],
];

let device: WasmDevice;
beforeAll(async () => {
  device = await openWasm({ workers: 0, checks: 'canaries' });
});
afterAll(() => device[Symbol.asyncDispose]());

const [batch, length] = [2, 5];

function specOf(text: string): LayerSpec {
  const { spec, diagnostics } = readLayer({ name: 'layout.ssm', text }, null, { sizes: new Map() });
  if (spec === null) throw new Error(diagnostics[0]?.message);
  return spec;
}

function pack(tensors: ReadonlyMap<string, OracleTensor>, axesOf: (name: string) => readonly string[]): Record<string, number[]> {
  return Object.fromEntries([...tensors].map(([name, value]) => [name, Array.from(packTensor(value, axesOf(name)))]));
}

describe('declared layouts', () => {
  it.each(texts)('%s', async (_what, text) => {
    const spec = specOf(text);
    const request = randomRequest(parse({ name: 'layout.ssm', text }).tree, spec, { batch, length, seed: 11 });
    const output = spec.outputs[0]!;
    const declared = new Map<string, readonly string[]>([
      ...spec.inputs.map((each) => [each.name, ['batch', 'time', ...each.axes]] as const),
      ...spec.params.map((each) => [each.name, each.axes] as const),
      ...spec.body.flatMap((each) => (each.kind === 'state' ? [[each.name, ['batch', ...each.axes]] as const] : [])),
      [output.name, ['batch', 'time', ...output.axes]],
    ]);
    const axesOf = (name: string): readonly string[] => declared.get(name)!;
    const shape = [batch, length, ...output.axes.map((axis) => spec.axes.find((each) => each.name === axis)!.size)];
    const cotangent = randomTensor(axesOf(output.name).join(' '), shape, seededNumbers(4));
    const expected = gradient({ ...request, cotangents: { outputs: new Map([[output.name, cotangent]]), final: new Map() } });
    using layer = await loadLayer(device, compileSpec(spec, { target: 'wasm' }).artifact);
    const result = await layer.gradients({
      inputs: pack(request.inputs, axesOf), params: pack(request.params, axesOf), initial: pack(request.initial, axesOf),
      batch, length, outputCotangents: pack(new Map([[output.name, cotangent]]), axesOf),
    });
    const check = async (found: { read(): Promise<ArrayLike<number>> } | undefined, wanted: OracleTensor, name: string): Promise<void> => {
      expect.soft(relativeError(Array.from(await found!.read()), packTensor(wanted, axesOf(name))), name).toBeLessThan(1e-5);
    };
    await check(result.outputs[output.name], expected.outputs.get(output.name)!, output.name);
    for (const [name, wanted] of expected.final) await check(result.final[name], wanted, name);
    const { inputs, params, initial } = expected.gradients;
    const numeric = [...inputs].filter(([name]) => spec.inputs.some((each) => each.name === name && each.type !== 'index'));
    for (const [name, wanted] of [...numeric, ...params, ...initial]) await check(result.gradients[name], wanted, name);
  });
});
