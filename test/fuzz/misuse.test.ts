/** Hostile arguments in every place of the runtime's interface: a diagnostic or a result, and the layer works on. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import type { ExecutionDevice } from '../../runtime/device.ts';
import { openWasm } from '../../runtime/wasm/index.ts';
import { fromDevice } from '../../runtime/webgpu/index.ts';
import { openTestDevice, openTestGpu, skipReason } from '../support/webgpu.ts';
import { layerOf } from './corpus.ts';
import { hostileNames, hostileValue } from './hostile-values.ts';
import { isAcceptable, misuses, misuseText, openSubject, outcomeOf, stillWorks, type Subject } from './misuse.ts';

const hasGpu = (await openTestGpu()) !== null;

async function openGpu(): Promise<ExecutionDevice> {
  return fromDevice((await openTestDevice())!);
}

describe.each([
  ['wasm', 'wasm', () => openWasm({ workers: 0 }), true] as const,
  [`webgpu ${hasGpu ? '' : skipReason}`, 'wgsl', openGpu, hasGpu] as const,
])('hostile arguments on %s', (_, target, open, present) => {
  let subject: Subject;
  beforeAll(async () => {
    if (present) subject = await openSubject(await open(), compileSpec(layerOf(misuseText), { target }).artifact);
  });
  afterAll(async () => {
    subject?.layer[Symbol.dispose]();
    await subject?.device[Symbol.asyncDispose]();
  });

  it.skipIf(!present).each(Object.keys(misuses))('%s', async (place) => {
    const wrong: string[] = [];
    for (const name of hostileNames) {
      const outcome = await outcomeOf(() => misuses[place]!(subject, hostileValue(name)));
      if (!isAcceptable(outcome)) wrong.push(`${name}: ${outcome}`);
    }
    expect(wrong).toEqual([]);
    expect(await stillWorks(subject)).toEqual([1, 2, 3, 4]);
  });
});
