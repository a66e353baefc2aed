import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { emitWgsl } from '../../../backends/wgsl/index.ts';
import { add, builtin, integer, KernelBuilder, less, load, multiply } from '../../../ir/kernel/builder.ts';
import type { Plan } from '../../../ir/plan.ts';
import type { ExecutionDevice, TensorData } from '../../../runtime/device.ts';
import { fromDevice } from '../../../runtime/webgpu/index.ts';
import { decodeBf16, decodeF16, encodeBf16, encodeF16, f32OfBits } from '../../../support/float-bits.ts';
import { forwardPlan } from '../../support/kernels.ts';
import { openTestDevice, openTestGpu, skipReason } from '../../support/webgpu.ts';

type Storage = 'f16' | 'bf16';

const present = (await openTestGpu()) !== null;
const header = { layer: 'Halves', compiler: 'test', contentHash: '0', mode: 'recurrent', axes: [], parameters: [], decisions: [] } as const;
const codec = { f16: { encode: encodeF16, decode: decodeF16 }, bf16: { encode: encodeBf16, decode: decodeBf16 } } as const;

/** y = u between two storage types, one element per invocation: neighbours in a word belong to two of them. */
function copyPlan(from: Storage | 'f32', to: Storage | 'f32', count: number): Plan {
  const build = new KernelBuilder();
  const u = build.buffer('u', from, 'read', count);
  const y = build.buffer('y', to, 'write', count);
  const at = build.let('at', add(multiply(builtin('workgroup-x'), integer(63)), builtin('invocation')));
  build.if(less(at, integer(count)), () => build.store(y, at, load(u, at)));
  const kernel = build.finish({ name: 'copy', notes: [], workgroupSize: 63, grid: [Math.ceil(count / 63), 1, 1] });
  return forwardPlan([{ name: 'u', role: 'input', dims: [count], storage: from }, { name: 'y', role: 'output', dims: [count], storage: to }], [kernel]);
}

/** Numbers of all sizes, ties between neighbours, infinities and NaN. */
function awkwardNumbers(storage: Storage, count: number): Float32Array {
  let state = 5;
  return Float32Array.from({ length: count }, (_, at) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    if (at % 3 === 0) return f32OfBits(state);
    const [low, high] = [codec[storage].decode(state >>> 16), codec[storage].decode((state >>> 16) + 1)];
    return at % 3 === 1 ? (low + high) / 2 : low * (1 + (state % 64) / 2 ** 14);
  });
}

describe.skipIf(!present)(`16-bit floats on WebGPU ${present ? '' : skipReason}`, () => {
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

  async function copy(from: Storage | 'f32', to: Storage | 'f32', u: TensorData): Promise<TensorData> {
    using layer = await device.prepare(emitWgsl([copyPlan(from, to, u.length)], header));
    const result = await layer.run({ entry: 'forward', sizes: { batch: 1, length: 1 }, tensors: new Map([['u', u]]) });
    using output = result.tensors.get('y')!;
    return output.read();
  }

  it.each(['f16', 'bf16'] as const)('reads every %s', async (storage) => {
    const all = Uint16Array.from({ length: 65536 }, (_, at) => at);
    const found = await copy(storage, 'f32', all);
    const isSubnormal = (at: number): boolean => storage === 'bf16' && (at & 0x7f80) === 0; // below f32's normal numbers: may be flushed
    const wrong = [...all].filter((at) => !isSubnormal(at) && !Object.is(found[at], Math.fround(codec[storage].decode(at))));
    expect(wrong).toEqual([]);
  });

  it.each(['f16', 'bf16'] as const)('writes %s to nearest even, next to neighbours of other invocations', async (storage) => {
    const numbers = awkwardNumbers(storage, 50_001);
    const found = await copy('f32', storage, numbers);
    const { encode, decode } = codec[storage];
    const wrong = [...numbers.keys()].filter((at) => {
      const [wanted, bits, size] = [encode(numbers[at]!), found[at]!, Math.abs(numbers[at]!)];
      if (Number.isNaN(numbers[at])) return !Number.isNaN(decode(bits));
      return wanted !== bits && !(size < 2 ** -126 && (bits & 0x7fff) === 0);
    });
    expect(wrong.map((at) => [numbers[at], found[at], encode(numbers[at]!)]).slice(0, 5)).toEqual([]);
  });
});
