/** What the device refuses, and what it does about kernels that go wrong. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  add,
  builtin,
  integer,
  KernelBuilder,
  literal,
  load,
  multiply,
} from '../../../ir/kernel/builder.ts';
import { emitWasm } from '../../../backends/wasm/index.ts';
import type { DeviceTensor, PreparedLayer, RunRequest } from '../../../runtime/device.ts';
import { openWasm, type WasmDevice } from '../../../runtime/wasm/index.ts';
import { SsmError } from '../../../support/diagnostic.ts';
import { header, planOf, tensor, vectorAddPlan } from '../../backends/wasm/kernels.ts';

async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (error instanceof SsmError) return error.code;
    throw error;
  }
  return 'none';
}

const artifact = emitWasm([vectorAddPlan()], header);
const four = new Float32Array(4);

describe('requests', () => {
  let device: WasmDevice;
  let other: WasmDevice;
  let layer: PreparedLayer;
  const run = (changes: Partial<RunRequest> & Record<string, unknown>): Promise<string> =>
    codeOf(async () =>
      layer.run({
        entry: 'forward',
        sizes: { batch: 1, length: 4 },
        tensors: new Map([
          ['a', four],
          ['b', four],
        ]),
        ...changes,
      }),
    );
  beforeAll(async () => {
    device = await openWasm({ workers: 1, maximumBytes: 1_000_000, checks: 'canaries' });
    other = await openWasm({ workers: 0 });
    layer = await device.prepare(artifact);
  });
  afterAll(async () => {
    await device[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
  });

  test('wrong arguments', async () => {
    expect(await run({ entry: 'backward' })).toBe('SSM6004');
    expect(await run({ sizes: { batch: 1, length: -1 } })).toBe('SSM6004');
    expect(await run({ sizes: { batch: 1.5, length: 4 } })).toBe('SSM6004');
    expect(await run({ sizes: undefined as unknown as { batch: number; length: number } })).toBe('SSM6004');
    expect(await run({ tensors: new Map([['a', four]]) })).toBe('SSM6004');
    expect(
      await run({
        tensors: new Map([
          ['a', four],
          ['b', new Float32Array(5)],
        ]),
      }),
    ).toBe('SSM6004');
    expect(
      await run({
        tensors: new Map([
          ['a', four],
          ['b', four],
          ['q', four],
        ]),
      }),
    ).toBe('SSM6004');
    expect(
      await run({
        tensors: new Map<string, Float32Array | Int32Array>([
          ['a', four],
          ['b', new Int32Array(4)],
        ]),
      }),
    ).toBe('SSM6004');
    expect(await run({ tensors: { a: four } as unknown as Map<string, Float32Array> })).toBe('SSM6004');
    expect(await run({ sizes: { batch: 1, length: 2 ** 32 } })).toBe('SSM5002');
    expect(await codeOf(async () => layer.run(null as unknown as RunRequest))).toBe('SSM6004');
    expect(device.memoryUse().blocks).toBe(2);
  });

  test('wrong device tensors', async () => {
    using foreign = other.createTensor('f32', 4, 'foreign');
    using short = device.createTensor('f32', 3, 'short');
    using integers = device.createTensor('i32', 4, 'integers');
    using good = device.createTensor('f32', 4, 'good');
    const gone = device.createTensor('f32', 4, 'gone');
    gone[Symbol.dispose]();
    const withA = (a: DeviceTensor): Promise<string> =>
      run({
        tensors: new Map<string, DeviceTensor | Float32Array>([
          ['a', a],
          ['b', four],
        ]),
      });
    expect(await withA(foreign)).toBe('SSM6004');
    expect(await withA(short)).toBe('SSM6004');
    expect(await withA(integers)).toBe('SSM6004');
    expect(await withA(gone)).toBe('SSM6003');
    expect(await withA(good)).toBe('none');
    expect(await run({ into: new Map([['c', short]]) })).toBe('SSM6004');
    expect(await run({ into: new Map([['a', good]]) })).toBe('SSM6004');
    expect(
      await run({
        tensors: new Map<string, DeviceTensor | Float32Array>([
          ['a', good],
          ['b', four],
        ]),
        into: new Map([['c', good]]),
      }),
    ).toBe('SSM6004');
    expect(await codeOf(() => gone.read())).toBe('SSM6003');
    expect(await codeOf(() => gone.write(four))).toBe('SSM6003');
    expect(await codeOf(() => good.write(new Float32Array(5)))).toBe('SSM6004');
    expect(await codeOf(() => device.createTensor('f33' as 'f32', 4, 'bad'))).toBe('SSM6004');
    expect(await codeOf(() => device.createTensor('f32', -1, 'bad'))).toBe('SSM6004');
    expect(await codeOf(() => device.createTensor('f32', new Int8Array(4), 'bad'))).toBe('SSM6004');
  });

  test('results land in given tensors', async () => {
    using target = device.createTensor('f32', 4, 'target');
    const ones = Float32Array.of(1, 1, 1, 1);
    const result = await layer.run({
      entry: 'forward',
      sizes: { batch: 1, length: 4 },
      tensors: new Map([
        ['a', ones],
        ['b', ones],
      ]),
      into: new Map([['c', target]]),
    });
    expect(result.tensors.get('c')).toBe(target);
    expect(await target.read()).toEqual(Float32Array.of(2, 2, 2, 2));
  });

  test('the byte budget holds, and what is freed can be used again', async () => {
    const before = device.memoryUse();
    expect(await codeOf(() => device.createTensor('f32', 250_000, 'large'))).toBe('SSM6005');
    expect(
      await run({
        sizes: { batch: 1, length: 100_000 },
        tensors: new Map([
          ['a', new Float32Array(100_000)],
          ['b', new Float32Array(100_000)],
        ]),
      }),
    ).toBe('SSM6005');
    expect(device.memoryUse()).toEqual(before);
    for (let at = 0; at < 20; at++) device.createTensor('f32', 200_000, 'again')[Symbol.dispose]();
    expect(device.memoryUse()).toEqual(before);
  });

  test('an aborted signal stops the run', async () => {
    await expect(
      layer.run({
        entry: 'forward',
        sizes: { batch: 1, length: 4 },
        tensors: new Map([
          ['a', four],
          ['b', four],
        ]),
        signal: AbortSignal.abort(new Error('enough')),
      }),
    ).rejects.toThrow('enough');
  });

  test('disposed layers and devices refuse', async () => {
    const short = await openWasm({ workers: 0 });
    const prepared = await short.prepare(artifact);
    const held = short.createTensor('f32', 4, 'held');
    prepared[Symbol.dispose]();
    prepared[Symbol.dispose]();
    const request: RunRequest = {
      entry: 'forward',
      sizes: { batch: 1, length: 4 },
      tensors: new Map([
        ['a', four],
        ['b', four],
      ]),
    };
    expect(await codeOf(() => prepared.run(request))).toBe('SSM6003');
    await short[Symbol.asyncDispose]();
    await short[Symbol.asyncDispose]();
    expect(await codeOf(() => held.read())).toBe('SSM6003');
    held[Symbol.dispose]();
    expect(await codeOf(() => short.createTensor('f32', 4, 'late'))).toBe('SSM6003');
    expect(await codeOf(() => short.prepare(artifact))).toBe('SSM6003');
  });

  test('options and foreign artifacts', async () => {
    expect(await codeOf(() => openWasm({ workers: -1 }))).toBe('SSM6004');
    expect(await codeOf(() => openWasm({ workers: 1000 }))).toBe('SSM6004');
    expect(await codeOf(() => openWasm({ maximumBytes: 0 }))).toBe('SSM6004');
    expect(await codeOf(() => openWasm({ maximumBytes: 2 ** 40 }))).toBe('SSM6004');
    expect(
      await codeOf(() => device.prepare({ ...artifact, code: { kind: 'text', kernels: new Map() } })),
    ).toBe('SSM6004');
    expect(
      await codeOf(() =>
        device.prepare({ ...artifact, code: { kind: 'wasm', module: new Uint8Array(8), text: '' } }),
      ),
    ).toBe('SSM6006');
  });
});

/** Writes one element before or behind its tensor, or far outside of the memory. */
function straying(index: number): ReturnType<typeof emitWasm> {
  const builder = new KernelBuilder();
  const a = builder.buffer('a', 'f32', 'read', 'length');
  const c = builder.buffer('c', 'f32', 'write', 'length');
  builder.store(
    c,
    add(multiply(builtin('workgroup-x'), integer(1)), integer(index)),
    add(load(a, integer(0)), literal(1)),
  );
  const kernel = builder.finish({ name: 'straying', notes: [], workgroupSize: 1, grid: ['length', 1, 1] });
  return emitWasm(
    [planOf([tensor('a', 'input', ['length']), tensor('c', 'output', ['length'])], [kernel])],
    header,
  );
}

describe.each([0, 2])('kernels that go wrong, %i workers', (workers) => {
  const request: RunRequest = {
    entry: 'forward',
    sizes: { batch: 1, length: 64 },
    tensors: new Map([['a', new Float32Array(64)]]),
  };

  test.each([-1, 1, 8])('canaries see a write %i elements off', async (index) => {
    const device = await openWasm({ workers, checks: 'canaries' });
    const layer = await device.prepare(straying(index));
    await expect(layer.run(request)).rejects.toThrow('outside of the block');
    await device[Symbol.asyncDispose]();
  });

  test('a trap is an error and the device stays usable', async () => {
    await using device = await openWasm({ workers });
    const layer = await device.prepare(straying(2 ** 29));
    expect(await codeOf(() => layer.run(request))).toBe('SSM9001');
    using good = await device.prepare(artifact);
    const result = await good.run({
      entry: 'forward',
      sizes: { batch: 1, length: 4 },
      tensors: new Map([
        ['a', four],
        ['b', four],
      ]),
    });
    expect(await result.tensors.get('c')?.read()).toEqual(four);
  });
});

test('kernels for larger workgroups are refused by the back end', () => {
  const builder = new KernelBuilder();
  builder.store(builder.buffer('c', 'f32', 'write', 1), integer(0), literal(1));
  const kernel = builder.finish({ name: 'wide', notes: [], workgroupSize: 64, grid: [1, 1, 1] });
  expect(() => emitWasm([planOf([tensor('c', 'output', [1])], [kernel])], header)).toThrow(
    'workgroups of 64',
  );
});
