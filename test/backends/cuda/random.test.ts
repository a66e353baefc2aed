import { describe, expect, test } from 'vitest';
import { emitCuda } from '../../../backends/cuda/index.ts';
import { interpretKernel } from '../../../ir/kernel/interpret.ts';
import { loadedType } from '../../../ir/kernel/builder.ts';
import { randomKernel } from '../../ir/kernel/random-kernel.ts';
import { samples, type Sample } from '../../ir/kernel/sample-kernels.ts';
import { canEmulate, emulateKernel } from './emulate.ts';
import { header, tensor } from './kernels.ts';
import { compileCuda, hasNvcc } from './nvcc.ts';

const seeds = Array.from({ length: 24 }, (_, at) => at + 1);
const all: readonly Sample[] = [...samples.map((make) => make()), ...seeds.map((seed) => randomKernel(seed))];

test.skipIf(!hasNvcc)('nvcc accepts sample and random kernels in one unit without warnings', () => {
  const plans = all.map(({ kernel }) => ({
    entry: 'forward' as const, kernels: [kernel],
    tensors: kernel.buffers.map((each) => tensor(each.name, each.access === 'read' ? 'input' : 'output', each.storage, [each.size])),
  }));
  const { code } = emitCuda(plans, header);
  const reports = compileCuda({ 'main.cu': code.kind === 'text' ? [...code.kernels.values()].join('\n') : '' }, 'main.cu');
  expect(reports).toHaveLength(all.length);
  for (const report of reports) expect(report).toMatchObject({ spillStores: 0, spillLoads: 0 });
});

describe.skipIf(!canEmulate)('executed on the CPU, as interpreted', () => {
  test.each(all.slice(0, 11).map((sample, at) => [at, sample] as const))('kernel %i', (_, { kernel, sizes, inputs, outputs }) => {
    const start = (): Map<string, Float64Array> => new Map([
      ...Object.entries(inputs).map(([name, values]): [string, Float64Array] => [name, values.slice()]),
      ...Object.entries(outputs).map(([name, length]): [string, Float64Array] => [name, new Float64Array(length)]),
    ]);
    const expected = start();
    interpretKernel(kernel, sizes, expected, { rounding: 'f32', watch: false });
    const emulated = emulateKernel({ ...kernel, name: 'sample' }, sizes, start());
    for (const buffer of kernel.buffers) {
      const wanted = expected.get(buffer.name)!;
      const isFloat = loadedType(buffer.storage).element === 'f32';
      wanted.forEach((value, at) => {
        const found = emulated.get(buffer.name)![at]!;
        if (isFloat && Number.isFinite(value)) expect(Math.abs(found - value), `${buffer.name}[${at}]`).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(value)));
        else expect(found, `${buffer.name}[${at}]`).toBe(value);
      });
    }
  });
});
