/**
 * Every call of the driver and of NVRTC fails once, and once for ever: each time a typed error comes out,
 * nothing crashes, and after dispose nothing is left on the device (reliability E8).
 */
import { beforeEach, describe, expect, it } from 'vitest';
import type { CudaDevice } from '../../../runtime/cuda/index.ts';
import { SsmError } from '../../../support/diagnostic.ts';
import { doublingArtifact, expectNothingAlive, mock, open, reasonAgainst, titleNote } from './mock.ts';

/** All that a program does, once. */
async function useDevice(device: CudaDevice): Promise<void> {
  using layer = await device.prepare(doublingArtifact());
  using u = device.createTensor('f32', Float32Array.of(1, 2), 'u');
  using x = device.createTensor('f32', 1, 'x');
  using next = device.createTensor('f32', 1, 'next');
  const { tensors } = await layer.run({ entry: 'forward', sizes: { batch: 1, length: 2 }, tensors: new Map<string, typeof u | Float32Array>([['u', u], ['x_initial', Float32Array.of(1)]]) });
  try {
    expect(await tensors.get('y')!.read()).toEqual(Float32Array.of(2, 4));
  } finally {
    tensors.forEach((each) => each[Symbol.dispose]());
  }
  using graph = layer.capture([{ entry: 'step', sizes: { batch: 1, length: 1 }, tensors: new Map([['x_initial', x]]), into: new Map([['x_final', next]]) }]);
  await graph.replay(2);
  await layer.run({ entry: 'forward', sizes: { batch: 1, length: 0 }, tensors: new Map([['u', new Float32Array(0)], ['x_initial', Float32Array.of(1)]]) })
    .then((result) => result.tensors.forEach((each) => each[Symbol.dispose]()));
  device.trim();
  device.memoryUse();
}

async function useAndDispose(): Promise<void> {
  const device = await open();
  try {
    await useDevice(device);
  } finally {
    await device[Symbol.asyncDispose]();
  }
}

async function failureOf(work: () => Promise<void>): Promise<unknown> {
  try {
    await work();
    return null;
  } catch (error) {
    return error;
  }
}

/** Calls that only give something back: their errors are of earlier work, and are met again elsewhere. */
const quiet = /(Free|Destroy|Unload|Release|nvrtcGetProgramLog|Synchronize|cuCtxSetCurrent|cuEventCreate)/;

describe.skipIf(reasonAgainst !== null)(`every call of the driver fails once${titleNote}`, () => {
  beforeEach(() => mock.reset());

  it.each([
    ['an error', 1, 0], ['no memory', 2, 0], ['a fault that stays', 700, 1], ['an unknown error that stays', 12345, 1],
  ] as const)('%s', async (_, code, forever) => {
    await useAndDispose();
    const { allCalls, alive } = mock.state();
    expect(allCalls).toBeGreaterThan(80);
    expect(Object.values(alive).every((count) => count === 0)).toBe(true);
    const codes = new Map<string, number>();
    let silent = 0;
    for (let call = 1; call <= allCalls; call++) {
      mock.reset();
      mock.fail('*', call, code, forever);
      const error = await failureOf(useAndDispose);
      if (error === null) silent += 1;
      else {
        expect(error, `call ${call}: ${String(error)}`).toBeInstanceOf(SsmError);
        const [first] = (error as SsmError).diagnostics;
        expect(first?.message.length, `call ${call}`).toBeGreaterThan(10);
        codes.set(first?.code ?? '', (codes.get(first?.code ?? '') ?? 0) + 1);
      }
      expectNothingAlive(`after call ${call} gave ${code}`);
    }
    expect([...codes.keys()].every((each) => /^SSM6/.test(each)), [...codes].join('; ')).toBe(true);
    // only calls that give back, and the log of a compilation that succeeded, may fail unnoticed
    expect(silent).toBeLessThan(allCalls / 2);
    mock.reset();
    await useAndDispose();
    expectNothingAlive();
  });

  it('each function by name: an error of a function that does work is never swallowed', async () => {
    await useAndDispose();
    const names = Object.keys(mock.state().calls);
    expect(names.length).toBeGreaterThan(35);
    for (const name of names) {
      mock.reset();
      mock.fail(name, 1, 719, 1);
      const error = await failureOf(useAndDispose);
      if (!quiet.test(name)) expect(error, name).toBeInstanceOf(SsmError);
      expectNothingAlive(name);
    }
  });

  it('a device that failed once works on', async () => {
    const device = await open();
    mock.fail('cuLaunchKernel', 1, 701, 0);
    expect(await failureOf(() => useDevice(device))).toMatchObject({ code: 'SSM6009' });
    mock.reset();
    await useDevice(device);
    mock.reset();
    mock.fail('cuStreamEndCapture', 1, 901, 0);
    expect(await failureOf(() => useDevice(device))).toMatchObject({ code: 'SSM6009' });
    mock.reset();
    await useDevice(device);
    await device[Symbol.asyncDispose]();
    expectNothingAlive();
  });
});
