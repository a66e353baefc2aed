/** The same bits in a hundred runs on every device here, and memory that does not grow; 10,000 runs are a script's (scripts/flat-memory.sh). */
import { afterAll, describe, expect, it } from 'vitest';
import { openWasm } from '../../runtime/wasm/index.ts';
import { fromDevice } from '../../runtime/webgpu/index.ts';
import type { ExecutionDevice } from '../../runtime/device.ts';
import type { Mode, Subject } from '../metamorphic/subjects.ts';
import { openTestDevice, skipReason } from '../support/webgpu.ts';
import { differences, repeatedSubjects, withLayer } from './repeat.ts';

const opened = await openTestDevice();
const wasm = await openWasm({ workers: 2, checks: 'none' });
const devices: [string, ExecutionDevice][] = [['WASM with two workers', wasm], ...(opened === null ? [] : [['WebGPU', fromDevice(opened)] as [string, ExecutionDevice]])];
afterAll(async () => {
  for (const [, device] of devices) await device[Symbol.asyncDispose]();
});
const runs = 100;

/** A software GPU compiles for seconds: one mode of the first two subjects there. */
const modesOn = (device: ExecutionDevice): readonly Mode[] => (device === wasm ? ['recurrent', 'scan'] : ['scan']);
const subjectsOn = (device: ExecutionDevice): readonly Subject[] => (device === wasm ? repeatedSubjects() : repeatedSubjects().slice(0, 2));

describe.each(devices)(`on %s${opened === null ? ` ${skipReason}` : ''}`, (_name, device) => {
  it.each(subjectsOn(device).flatMap((each) => modesOn(device).map((mode) => [each.name, mode, each] as const)))('%s, %s: the same bits in a hundred runs', (_subject, mode, subject) =>
    withLayer(device, subject, mode, async (_layer, run) => {
      const first = await run();
      expect(first.size).toBeGreaterThan(3);
      for (let at = 1; at < runs; at++) expect(differences(first, await run()), `run ${at}`).toEqual([]);
    }));
});

it('WASM memory after 300 times forward and backward is what it was after 3', async () => {
  for (const subject of repeatedSubjects()) {
    await withLayer(wasm, subject, 'scan', async (_layer, run) => {
      for (let at = 0; at < 3; at++) await run();
      const before = wasm.memoryUse();
      for (let at = 0; at < 300; at++) await run();
      expect(wasm.memoryUse(), subject.name).toEqual(before);
    });
  }
});
