/** The numerics library as WASM executes it, scalars and vectors, against float64. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { integer, KernelBuilder, load } from '../../../ir/kernel/builder.ts';
import type { VectorWidth } from '../../../ir/kernel/nodes.ts';
import { lowerFunction, type FunctionName } from '../../../ir/numerics/index.ts';
import { emitWasm } from '../../../backends/wasm/index.ts';
import { openWasm, type WasmDevice } from '../../../runtime/wasm/index.ts';
import { header, planOf, tensor } from './kernels.ts';

const count = 4096;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** Function, its value in float64, smallest and largest argument, relative and absolute tolerance. */
const cases: readonly (readonly [FunctionName, (x: number) => number, number, number, number, number])[] = [
  ['exp', Math.exp, -80, 80, 6e-6, 0],
  ['exp2', (x) => 2 ** x, -126, 127, 1.4e-7, 0],
  ['log', Math.log, 1e-3, 50, 3e-7, 1e-12],
  ['log2', Math.log2, 1e-3, 50, 2.5e-7, 0],
  ['expm1', Math.expm1, -20, 80, 3.6e-7, 0],
  ['log1p', Math.log1p, -0.99, 1000, 3.6e-7, 0],
  ['phi1', (x) => (x === 0 ? 1 : Math.expm1(x) / x), -20, 80, 6e-7, 0],
  ['softplus', softplus, -20, 80, 2e-6, 0],
  ['sigmoid', sigmoid, -20, 80, 2e-6, 0],
  ['log-sigmoid', (x) => -softplus(-x), -80, 20, 2e-6, 0],
  ['silu', (x) => x * sigmoid(x), -20, 80, 2e-6, 0],
  ['relu', (x) => Math.max(x, 0), -5, 5, 0, 0],
  ['tanh', Math.tanh, -12, 12, 6e-7, 0],
  ['sine', Math.sin, -1e5, 1e5, 0, 1.2e-7],
  ['cosine', Math.cos, -1e5, 1e5, 0, 1.2e-7],
  ['square', (x) => x * x, -5, 5, 6e-8, 0],
  ['square-root', Math.sqrt, 0, 5, 6e-8, 0],
  ['absolute', Math.abs, -5, 5, 0, 0],
  ['sign', Math.sign, -5, 5, 0, 0],
];

let device: WasmDevice;
beforeAll(async () => {
  device = await openWasm({ workers: 0, checks: 'canaries' });
});
afterAll(async () => device[Symbol.asyncDispose]());

async function evaluate(name: FunctionName, x: Float32Array, width: VectorWidth): Promise<number[]> {
  const builder = new KernelBuilder();
  const from = builder.buffer('x', 'f32', 'read', count);
  const to = builder.buffer('y', 'f32', 'write', count);
  builder.for('i', { start: integer(0), end: integer(count), step: width }, (i) =>
    builder.store(to, i, lowerFunction(builder, name, load(from, i, width))),
  );
  const kernel = builder.finish({ name: 'evaluate', notes: [], workgroupSize: 1, grid: [1, 1, 1] });
  using layer = await device.prepare(
    emitWasm([planOf([tensor('x', 'input', [count]), tensor('y', 'output', [count])], [kernel])], header),
  );
  const { tensors } = await layer.run({
    entry: 'forward',
    sizes: { batch: 1, length: 1 },
    tensors: new Map([['x', x]]),
  });
  return Array.from(await tensors.get('y')!.read());
}

test.each(cases)('%s', async (name, exact, low, high, relative, absolute) => {
  const x = Float32Array.from({ length: count }, (_, at) => low + ((high - low) * at) / (count - 1));
  const scalar = await evaluate(name, x, 1);
  for (const width of [2, 4] as const) expect(await evaluate(name, x, width)).toEqual(scalar);
  const wrong = scalar.filter(
    (value, at) => !(Math.abs(value - exact(x[at]!)) <= relative * Math.abs(exact(x[at]!)) + absolute),
  );
  expect(wrong).toEqual([]);
});
