/** `verify` and `devices`: agreement on the devices here, and that a disagreement would be seen. */
import { describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import { compareSequence, compareSteps, relativeError } from '../../cli/verify/compare.ts';
import { makeReference } from '../../cli/verify/reference.ts';
import { loadLayer } from '../../dsl/index.ts';
import { openWasm } from '../../runtime/wasm/index.ts';
import { openTestGpu, skipReason } from '../support/webgpu.ts';
import { runCommand } from './run-command.ts';

const hasGpu = (await openTestGpu()) !== null;

const text = `layer Small(D = 3, N = 2) {
  input u[D], gate[N]
  param a[D, N] = log(0.5)
  state x[D, N] {
    dx/dt = -exp(a) * x + gate * u
    discretize zoh(0.1)
  }
  output y[D] = sum[N](x) + delay(u, 2)
}`;

describe('verify', () => {
  it('agrees on WASM: all modes, the step, every gradient', async () => {
    const { code, output, error } = await runCommand(['verify', '-', '--device', 'wasm', '--length', '19', '--json'], { input: text });
    expect(error).toBe('');
    expect(code).toBe(0);
    type Row = { device: string; mode: string; entry: string; tensor: string; relativeError: number };
    const document = JSON.parse(output) as { schema: string; ok: boolean; rows: Row[] };
    expect(document).toMatchObject({ schema: 'statefuse-verify', ok: true });
    expect([...new Set(document.rows.map((row) => row.mode))].sort()).toEqual(['conv', 'recurrent', 'scan', 'step']);
    const gradients = document.rows.filter((row) => row.entry === 'backwardFinal' && row.mode === 'scan').map((row) => row.tensor).sort();
    expect(gradients).toEqual(['gradient a', 'gradient gate', 'gradient u', 'gradient u.tail', 'gradient x']);
    for (const row of document.rows) expect(row.relativeError, row.tensor).toBeLessThan(2e-6);
  });

  it('takes one mode, or says why the layer does not have it', async () => {
    const { code, output } = await runCommand(['verify', '-', '--device', 'wasm', '--mode', 'conv', '--length', '9'], { input: text });
    expect(code).toBe(0);
    expect(output).toMatch(/wasm +conv +backwardFinal/);
    expect(output).not.toMatch(/recurrent|scan |step /);
    const refused = await runCommand(['verify', '-', '--device', 'wasm', '--mode', 'conv'], { input: text.replace('zoh(0.1)', 'zoh(sigmoid(u))') });
    expect(refused.code).toBe(1);
    expect(refused.error).toMatch(/SSM4001/);
  });

  it('shows a table', async () => {
    const { output } = await runCommand(['verify', '-', '--device', 'wasm', '--length', '9', '--seed', '7'], { input: text });
    expect(output).toMatch(/wasm +recurrent +backwardFinal +5 +gradient /);
    expect(output).toMatch(/layer Small, D = 3, N = 2; batch 2, length 9, seed 7/);
  });

  it('cuts large axes unless asked for all of them', async () => {
    const run = (...more: readonly string[]): ReturnType<typeof runCommand> =>
      runCommand(['verify', 'examples/hgrn.ssm', '--device', 'wasm', '--length', '5', ...more]);
    expect((await run()).output).toContain('layer HGRN, D = 12;');
    expect((await run('--full')).output).toContain('layer HGRN, D = 128;');
    expect((await run('--size', 'D=20')).output).toContain('layer HGRN, D = 20;');
  });

  it.skipIf(!hasGpu)(`agrees on WebGPU ${hasGpu ? '' : skipReason}`, async () => {
    const { code, output } = await runCommand(['verify', '-', '--device', 'webgpu', '--length', '19'], { input: text });
    expect(output).toContain('webgpu  scan');
    expect(code).toBe(0);
  });

  it('sees a wrong number in any tensor', async () => {
    const { spec } = loadLayer({ name: 'small.ssm', text }, null, { sizes: new Map() });
    const sizes = { batch: 1, length: 11 };
    const { artifact, module } = compileSpec(spec!, { target: 'wasm', checkpointInterval: 4 });
    const reference = makeReference(spec!, module, sizes, 3);
    await using device = await openWasm({ workers: 0 });
    using layer = await device.prepare(artifact);
    for (const [key, tensor] of reference.expected) {
      const wrong = { ...tensor, re: tensor.re.map((each, at) => (at === tensor.re.length - 1 ? each + 1e-2 : each)) };
      const changed = { ...reference, expected: new Map([...reference.expected, [key, wrong]]) };
      const bad = (await compareSequence(layer, sizes, changed)).filter((each) => each.relativeError > 2e-5);
      expect(bad.map((each) => each.tensor.replace(' ', ':'))).toContain(key);
      expect(new Set(bad.map((each) => each.tensor)).size).toBe(1);
      if (key.startsWith('gradient')) continue;
      const steps = await compareSteps(layer, sizes, changed);
      expect(steps!.some((each) => each.relativeError > 2e-5), key).toBe(true);
    }
  });

  it('counts anything that is no number as infinitely wrong', () => {
    expect(relativeError([NaN, 1], [0, 1])).toBe(Infinity);
    expect(relativeError([1], [1, 1])).toBe(Infinity);
    expect(relativeError([0.5], [0])).toBe(0.5);
    expect(relativeError([3, 4.5], [3, 4])).toBeCloseTo(0.1);
  });
});

describe('devices', () => {
  it('lists three with reasons for those that are absent', async () => {
    const { code, output } = await runCommand(['devices', '--json']);
    expect(code).toBe(0);
    type Device = { device: string; isPresent: boolean; name: string | null; reason: string | null };
    const { devices } = JSON.parse(output) as { devices: Device[] };
    expect(devices.map((each) => each.device)).toEqual(['wasm', 'webgpu', 'cuda']);
    for (const each of devices) expect(each.isPresent ? each.name : each.reason, each.device).toBeTruthy();
    expect(devices[0]!.isPresent).toBe(true);
    expect(devices[1]!.isPresent).toBe(hasGpu);
  });
});
