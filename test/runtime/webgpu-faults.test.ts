/**
 * A GPUDevice whose k-th call fails, for every k of a layer's life and every way of failing: what is
 * awaited settles, with a diagnostic or the right numbers, the next try on a living device succeeds, and
 * every buffer is destroyed in the end.
 */
import { describe, expect, it } from 'vitest';
import { emitWgsl } from '../../backends/wgsl/index.ts';
import type { DeviceTensor, ExecutionDevice, TensorData } from '../../runtime/device.ts';
import { fromDevice } from '../../runtime/webgpu/index.ts';
import { outcomeOf } from '../fuzz/misuse.ts';
import { sequentialScan } from '../support/kernels.ts';
import { openTestDevice, openTestGpu, skipReason } from '../support/webgpu.ts';

const present = (await openTestGpu()) !== null;

/** `throw`: as drivers do without memory; `reject`: a promise that fails; `lost`: the device ends; `memory`: an error scope reports it. */
type Fault = 'throw' | 'reject' | 'lost' | 'memory';

/** `names`: methods in the order of their calls, with the filter of error scopes; `scopes`: those that are open. */
type Faults = { failAt: number; fault: Fault; buffers: number; readonly names: string[]; readonly scopes: unknown[] };

type Method = (...parameters: unknown[]) => unknown;

function shownName(name: string, [filter]: readonly unknown[], scopes: unknown[]): string {
  if (name === 'pushErrorScope') scopes.push(filter);
  return name === 'popErrorScope' ? `${name} ${String(scopes.pop())}` : name;
}

/** Lets a method of an object count and fail; what it gives is passed to `after`. */
function intercept(target: object, name: string, faults: Faults, lose: () => void, after: (result: unknown) => unknown = (result) => result): void {
  const original = (target as Record<string, Method>)[name]!.bind(target);
  (target as Record<string, Method>)[name] = (...parameters) => {
    faults.names.push(shownName(name, parameters, faults.scopes));
    if (faults.names.length - 1 !== faults.failAt) return after(original(...parameters));
    switch (faults.fault) {
      case 'throw':
        throw new RangeError(`out of memory in ${name}`);
      case 'lost':
        lose();
        return after(original(...parameters));
      case 'reject': {
        const result = original(...parameters);
        return result instanceof Promise ? result.then(() => Promise.reject(new DOMException(`${name} failed`, 'OperationError'))) : after(result);
      }
      case 'memory':
        return name === 'popErrorScope' ? (original(...parameters) as Promise<unknown>).then(() => ({ message: 'out of memory' })) : after(original(...parameters));
      default:
        return faults.fault satisfies never;
    }
  };
}

const deviceMethods = [
  'createShaderModule', 'createBindGroupLayout', 'createPipelineLayout', 'createComputePipelineAsync', 'createCommandEncoder', 'createBindGroup', 'pushErrorScope', 'popErrorScope',
] as const;

/** A device with faults, which counts the buffers that live. */
async function openFaulty(faults: Faults): Promise<{ readonly gpu: GPUDevice; readonly device: ExecutionDevice }> {
  const gpu = (await openTestDevice())!;
  const lose = (): void => gpu.destroy();
  for (const name of deviceMethods) intercept(gpu, name, faults, lose);
  intercept(gpu, 'createBuffer', faults, lose, (made) => {
    const buffer = made as GPUBuffer;
    faults.buffers += 1;
    const destroy = buffer.destroy.bind(buffer);
    let living = true;
    buffer.destroy = () => {
      if (living) faults.buffers -= 1;
      living = false;
      return destroy();
    };
    intercept(buffer, 'mapAsync', faults, lose);
    intercept(buffer, 'getMappedRange', faults, lose);
    return buffer;
  });
  for (const name of ['submit', 'writeBuffer', 'onSubmittedWorkDone']) intercept(gpu.queue, name, faults, lose);
  return { gpu, device: fromDevice(gpu) };
}

const artifact = emitWgsl([sequentialScan()], {
  layer: 'Scan', compiler: 'statefuse test', contentHash: '0', mode: 'recurrent', axes: [], parameters: [], decisions: [],
});

/** Prepares, uploads, runs with new and with given results, and reads everything. */
async function life(device: ExecutionDevice): Promise<string> {
  using layer = await device.prepare(artifact);
  using decay = device.createTensor('f32', Float32Array.of(1, 0.5, 0, 0), 'a');
  using target = device.createTensor('f32', 3, 'y');
  const tensors = new Map<string, TensorData | DeviceTensor>([['u', Float32Array.of(1, 2, 3)], ['a', decay], ['x.initial', new Float32Array(4)]]);
  const sizes = { batch: 1, length: 3 };
  const first = await layer.run({ entry: 'forward', sizes, tensors });
  const second = await layer.run({ entry: 'forward', sizes, tensors, into: new Map([['y', target]]) });
  const made = [...first.tensors.values(), ...second.tensors.values()];
  try {
    const read = await Promise.all(made.map((each) => each.read()));
    return read.map((each) => each.join()).join(' ');
  } finally {
    made.forEach((each) => each[Symbol.dispose]());
  }
}

/** y sums four states whose decays are 1, 0.5, 0 and 0. */
const expected = '4,9.5,16.25 6,4.25,3,3 4,9.5,16.25 6,4.25,3,3';

/** Methods that a fault of a kind can hit. */
const hit: Readonly<Record<Fault, (name: string) => boolean>> = {
  throw: (name) => !name.includes('ErrorScope'),
  reject: (name) => /^(createComputePipelineAsync|popErrorScope|mapAsync|onSubmittedWorkDone)/.test(name),
  lost: () => true,
  memory: (name) => name === 'popErrorScope out-of-memory',
};

/** The calls to fail: the first, second and last of each method, and each one where `STATEFUSE_FAULTS` is `all`. */
function callsToFail(names: readonly string[], fault: Fault): readonly number[] {
  const all = names.flatMap((name, at) => (hit[fault](name) ? [at] : []));
  if (process.env['STATEFUSE_FAULTS'] === 'all') return all;
  const placesOf = (name: string): readonly number[] => all.filter((at) => names[at] === name);
  return all.filter((at) => {
    const places = placesOf(names[at] ?? '');
    return at === places[0] || (fault !== 'lost' && at === places[1]) || at === places.at(-1);
  });
}

const quiet = (): Faults => ({ failAt: -1, fault: 'throw', buffers: 0, names: [], scopes: [] });

describe.skipIf(!present)(`faults at every call of a GPUDevice ${present ? '' : skipReason}`, () => {
  it.each(['throw', 'reject', 'lost', 'memory'] as const)('%s', async (fault) => {
    const count = quiet();
    const sound = await openFaulty(count);
    expect(await life(sound.device)).toBe(expected);
    await sound.device[Symbol.asyncDispose]();
    sound.gpu.destroy();
    expect(count.buffers).toBe(0);
    const failing = callsToFail(count.names, fault);
    expect(failing.length).toBeGreaterThan(2);
    const wrong: string[] = [];
    for (const failAt of failing) {
      const name = `call ${failAt} ${count.names[failAt] ?? ''}`;
      const faults: Faults = { ...quiet(), failAt, fault };
      const { gpu, device } = await openFaulty(faults);
      let numbers = '';
      const outcome = await outcomeOf(async () => { numbers = await life(device); }, 60_000);
      const isTyped = outcome === 'done' ? numbers === expected : /^SSM(6001|6005|6006)$/.test(outcome);
      if (!isTyped) wrong.push(`${name}: ${outcome} ${numbers}`);
      if (fault !== 'lost') {
        const again = await outcomeOf(async () => { numbers = await life(device); }, 60_000);
        if (again !== 'done' || numbers !== expected) wrong.push(`${name}, tried again: ${again} ${numbers}`);
      }
      await device[Symbol.asyncDispose]();
      gpu.destroy();
      if (faults.buffers !== 0) wrong.push(`${name}: ${faults.buffers} buffers are left`);
    }
    expect(wrong).toEqual([]);
  }, 300_000);
});
