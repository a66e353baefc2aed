/**
 * Rungs 3 and 5: every golden system on every device here, in recurrent and scan mode: outputs,
 * final states and all gradients in f32 within 1e-5 relative L2 of published code in float64.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import type { ExecutionDevice } from '../../runtime/device.ts';
import { openWasm } from '../../runtime/wasm/index.ts';
import { goldenCases, type GoldenData } from '../oracle/golden.ts';
import { argumentsOf, expectedGradients, relativeError, specOf, type CaseTensors } from '../support/compiled-case.ts';
import { resultOf, runEntry, type EntryRun } from '../support/device-case.ts';
import { packTensor } from '../support/oracle-requests.ts';
import type { Artifact, EntryPointName, ManifestTensor } from '../../backends/artifact.ts';
import { fromDevice } from '../../runtime/webgpu/index.ts';
import { openTestDevice } from '../support/webgpu.ts';

const bar = 1e-5;

type Target = 'wasm' | 'wgsl';
const devices = new Map<Target, ExecutionDevice>();
const opened = await openTestDevice();
devices.set('wasm', await openWasm({ workers: 1, checks: 'canaries' }));
if (opened !== null) devices.set('wgsl', fromDevice(opened));

beforeAll(() => expect(devices.size).toBeGreaterThan(0));
afterAll(async () => { for (const device of devices.values()) await device[Symbol.asyncDispose](); });

function check(artifact: Artifact, entry: EntryPointName, run: EntryRun, role: ManifestTensor['role'], expected: CaseTensors): void {
  for (const [name, value] of expected) {
    const { numbers, axes } = resultOf(artifact, entry, run, role, name);
    expect.soft(relativeError(Array.from(numbers), packTensor(value, axes)), `${role} ${name}`).toBeLessThan(bar);
  }
}

async function runCase(device: ExecutionDevice, target: Target, mode: 'recurrent' | 'scan', data: GoldenData): Promise<void> {
  const spec = specOf(data);
  const { artifact } = compileSpec(spec, { target, mode, checkpointInterval: 8, pieceLength: 16 });
  const layer = await device.prepare(artifact);
  const sizes = { batch: data.batch, length: data.length };
  const plain = await runEntry(layer, 'forward', sizes, argumentsOf(spec, data, { outputs: null, final: null }));
  check(artifact, 'forward', plain, 'output', data.outputs);
  check(artifact, 'forward', plain, 'final', data.final);
  const given = argumentsOf(spec, data, { outputs: data.ofOutputs.cotangents, final: null });
  const saved = await runEntry(layer, 'forwardSaved', sizes, given);
  const backward = await runEntry(layer, 'backward', sizes, given, saved.saved);
  check(artifact, 'backward', backward, 'gradient', expectedGradients(data.ofOutputs.gradients));
  if (data.ofFinal !== null) {
    const ofFinal = argumentsOf(spec, data, { outputs: null, final: data.ofFinal.cotangents });
    const gradients = await runEntry(layer, 'backwardFinal', sizes, ofFinal, saved.saved);
    check(artifact, 'backwardFinal', gradients, 'gradient', expectedGradients(data.ofFinal.gradients));
    gradients.dispose();
  }
  for (const run of [plain, saved, backward]) run.dispose();
  layer[Symbol.dispose]();
}

describe.each([...devices.keys()])('%s', (target) => {
  describe.each(['recurrent', 'scan'] as const)('mode %s', (mode) => {
    it.each(goldenCases.map((each) => [each.name, each] as const))('%s', async (_name, golden) => {
      const device = devices.get(target);
      if (device !== undefined) await runCase(device, target, mode, golden.load());
    });
  });
});
