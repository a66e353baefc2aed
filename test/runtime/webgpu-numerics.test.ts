import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { emitWgsl } from '../../backends/wgsl/index.ts';
import { builtin, KernelBuilder, load } from '../../ir/kernel/builder.ts';
import { interpretPlan } from '../../ir/kernel/interpret.ts';
import type { Plan } from '../../ir/plan.ts';
import { functionTable, lowerFunction, type FunctionName } from '../../ir/numerics/index.ts';
import type { ExecutionDevice } from '../../runtime/device.ts';
import { fromDevice } from '../../runtime/webgpu/index.ts';
import { forwardPlan } from '../support/kernels.ts';
import { openTestDevice, openTestGpu, skipReason } from '../support/webgpu.ts';

const present = (await openTestGpu()) !== null;
const count = 512;

function planOf(name: FunctionName): Plan {
  const build = new KernelBuilder();
  const u = build.buffer('u', 'f32', 'read', count);
  const y = build.buffer('y', 'f32', 'write', count);
  const at = build.let('at', builtin('workgroup-x'));
  build.store(y, at, lowerFunction(build, name, load(u, at)));
  const kernel = build.finish({ name, notes: [], workgroupSize: 1, grid: [count, 1, 1] });
  return forwardPlan([{ name: 'u', role: 'input', dims: [count] }, { name: 'y', role: 'output', dims: [count] }], [kernel]);
}

/** Arguments where the function is finite: positive, not positive, or of both signs. */
function argumentsOf(name: FunctionName): Float32Array {
  const spread = Float32Array.from({ length: count }, (_, at) => 12 * Math.sin(at * 1.7) ** 3 + 1e-4);
  if (name === 'log' || name === 'log2' || name === 'square-root' || name === 'log1p') return spread.map(Math.abs);
  return spread;
}

describe.skipIf(!present)(`numerics on WebGPU ${present ? '' : skipReason}`, () => {
  let gpu: GPUDevice;
  let device: ExecutionDevice;
  beforeAll(async () => {
    gpu = (await openTestDevice())!;
    device = fromDevice(gpu);
  });
  afterAll(async () => {
    await device?.[Symbol.asyncDispose]();
    gpu?.destroy();
  });

  it.each(Object.keys(functionTable) as FunctionName[])('computes %s as the interpreter does', async (name) => {
    const plan = planOf(name);
    const u = argumentsOf(name);
    const sizes = { batch: 1, length: 1 };
    const header = { layer: 'Numerics', compiler: 'test', contentHash: '0', mode: 'recurrent', axes: [], parameters: [], decisions: [] } as const;
    using layer = await device.prepare(emitWgsl([plan], header));
    const result = await layer.run({ entry: 'forward', sizes, tensors: new Map([['u', u]]) });
    using output = result.tensors.get('y')!;
    const actual = await output.read();
    const expected = interpretPlan(plan, sizes, new Map([['u', Float64Array.from(u)]]), { rounding: 'f32' }).tensors.get('y')!;
    const worst = expected.reduce((most, each, at) => {
      const error = Math.abs(actual[at]! - each) / Math.max(Math.abs(each), 1e-6);
      return Number.isNaN(error) ? Infinity : Math.max(most, error);
    }, 0);
    expect(worst).toBeLessThan(4e-6);
  });
});
