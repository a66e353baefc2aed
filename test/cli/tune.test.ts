/** `tune` and `--tuning`: on a device whose times are made up, so that the outcome is known, and on real ones, tiny. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Artifact, TargetName } from '../../backends/artifact.ts';
import { compileSpec } from '../../backends/compile.ts';
import { machines } from '../../backends/machines.ts';
import { runTune, type TuneHost, type TuneOptions } from '../../cli/commands/tune.ts';
import type { CommandEnvironment, ExitCode } from '../../cli/environment.ts';
import { elementsOf } from '../../cli/measure/entry-runner.ts';
import { loadLayer } from '../../dsl/index.ts';
import { candidateSchedules, scheduleDistance, scheduleKey } from '../../ir/schedule/candidates.ts';
import type { DeviceTensor, ExecutionDevice, RunRequest } from '../../runtime/device.ts';
import { directionOf } from '../../runtime/entry.ts';
import { openTestGpu, skipReason } from '../support/webgpu.ts';
import { runCommand } from './run-command.ts';

const hasGpu = (await openTestGpu()) !== null;

const text = `layer Small(D = 8, N = 4) {
  input u[D], gate[N]
  param a[D, N] = log(0.5)
  let dt = softplus(u)
  selective dt, gate
  state x[D, N] {
    dx/dt = -exp(a) * x + gate * u
    discretize zoh(dt), input euler
  }
  output y[D] = sum[N](x)
}`;

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'statefuse-tune-'));
  writeFileSync(join(folder, 'small.ssm'), text);
});
afterEach(() => rmSync(folder, { recursive: true }));

type Fake = {
  readonly target: TargetName;
  /** milliseconds of a run of an artifact with these decisions */
  readonly timeOf: (chosen: string) => number;
  /** schedules whose results are wrong */
  readonly isWrong?: (chosen: string) => boolean;
  /** called before each run */
  readonly onRun?: () => void;
};

type FakeHost = TuneHost & { readonly living: () => number };

/** A device that computes nothing: results are all ones, and times are a function of the schedules. */
function fakeHost({ target, timeOf, isWrong, onRun }: Fake): FakeHost {
  let [clock, living] = [0, 0];
  const tensor = (length: number, value: number): DeviceTensor => {
    living += 1;
    let isOpen = true;
    return {
      storage: 'f32', length, label: 'fake', read: () => Promise.resolve(new Float32Array(length).fill(value)), write: () => undefined,
      [Symbol.dispose]: () => {
        if (isOpen) living -= 1;
        isOpen = false;
      },
    };
  };
  const run = (artifact: Artifact, { entry, sizes, into }: RunRequest): ReturnType<Awaited<ReturnType<ExecutionDevice['prepare']>>['run']> => {
    onRun?.();
    const chosen = artifact.manifest.decisions.filter((each) => each.subject.startsWith('forward: ')).map((each) => each.chosen).join('; ');
    const { tensors } = artifact.manifest.entries.find((each) => each.name === entry)!;
    const results = into ?? new Map(tensors.filter((each) => directionOf(each, entry) === 'result')
      .map((each) => [each.name, tensor(elementsOf(each, sizes), isWrong?.(chosen) === true ? 1.01 : 1)] as const));
    clock += timeOf(chosen) / 1e3;
    return Promise.resolve({ tensors: results, timing: { milliseconds: timeOf(chosen), source: 'device' } });
  };
  const device: ExecutionDevice = {
    info: { target, name: 'Fake 9000', details: { driver: '1.2' } },
    createTensor: (_, data) => tensor(typeof data === 'number' ? data : data.length, 0),
    prepare: (artifact) => Promise.resolve({ artifact, run: (request) => run(artifact, request), [Symbol.dispose]: () => undefined }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { open: () => Promise.resolve({ isPresent: true, device }), now: () => clock, living: () => living };
}

type Outcome = { readonly code: ExitCode; readonly output: string; readonly error: string };

const plain: TuneOptions = {
  device: 'webgpu', batch: 2, length: 256, objective: 'forward', dtype: 'f32', budget: 1e6, cache: 'tuning.json', size: [], seed: 1,
};

async function tune(host: TuneHost, options: Partial<TuneOptions> = {}, onInterrupt?: CommandEnvironment['onInterrupt']): Promise<Outcome> {
  const written = { output: '', error: '' };
  const code = await runTune({
    writeOutput: (part) => void (written.output += part), writeError: (part) => void (written.error += part), readInput: () => Promise.resolve(new Uint8Array()),
    variables: {}, directory: folder, isTerminal: { output: false, error: false }, ...(onInterrupt === undefined ? {} : { onInterrupt }),
  }, 'small.ssm', { ...plain, ...options }, host);
  return { code, ...written };
}

/** Large workgroups are fast, four threads per channel are best. */
const workgroups = (chosen: string): number => {
  const size = Number(/workgroupSize (\d+)/.exec(chosen)?.[1]);
  const lanes = Number(/[( ]lanes (\d+)/.exec(chosen)?.[1]);
  return 1 + 64 / size + Math.abs(lanes - 4) + (chosen.includes('three-pass') ? 1 : 0);
};

describe('tune on a device with known times', () => {
  it('finds the fastest, keeps it, and knows it the next time', async () => {
    const host = fakeHost({ target: 'wgsl', timeOf: workgroups });
    const first = await tune(host);
    expect(first.error).toBe('');
    expect(first.code).toBe(0);
    expect(first.output).toMatch(/x ascending +lanes\(workgroupSize 128, lanes 4, /);
    expect(first.output).toMatch(/1\.500 ms, \d\.\d\d times faster than the rule's choice/);
    expect(host.living()).toBe(0);
    const again = await tune(host);
    expect(again.output).toContain('known already from tuning.json');
    expect((await tune(host, { again: true })).output).toBe(first.output);
    expect((await tune(fakeHost({ target: 'wgsl', timeOf: workgroups }), { length: 300 })).output).toContain('known already');
    expect((await tune(host, { length: 4096 })).output).not.toContain('known already');
  });

  it('gives the same file for the same times', async () => {
    await tune(fakeHost({ target: 'wgsl', timeOf: workgroups }), { cache: 'one.json' });
    await tune(fakeHost({ target: 'wgsl', timeOf: workgroups }), { cache: 'two.json' });
    expect(readFileSync(join(folder, 'one.json'), 'utf8')).toBe(readFileSync(join(folder, 'two.json'), 'utf8'));
  });

  it('never takes a schedule whose results are wrong, however fast', async () => {
    const isWrong = (chosen: string): boolean => chosen.includes('workgroupSize 128');
    const { output } = await tune(fakeHost({ target: 'wgsl', timeOf: workgroups, isWrong }), { json: true });
    const events = output.trim().split('\n').map((line) => JSON.parse(line) as { event: string; refusal?: { kind: string; reason: string }; schedules?: unknown });
    expect(events.some((each) => each.refusal?.kind === 'disagrees' && /differs by 1\.0e-2/.test(each.refusal.reason))).toBe(true);
    expect(events.at(-1)).toMatchObject({ event: 'done', ending: 'nothing better', schedules: { 'x ascending': { parameters: { workgroupSize: 64, lanes: 4 } } } });
  });

  it('tunes forward and backward together', async () => {
    const { output } = await tune(fakeHost({ target: 'wgsl', timeOf: workgroups }), { objective: 'training' });
    expect(output).toMatch(/x descending with replay/);
    expect(output).toMatch(/x ascending +lanes\(workgroupSize \d+, lanes 4, /);
  });

  it('keeps what is known when it is interrupted, and goes on from there', async () => {
    let interrupt = (): void => undefined;
    let left = 60;
    const onInterrupt = (handler: () => void): (() => void) => {
      interrupt = handler;
      return () => void (interrupt = () => undefined);
    };
    const host = fakeHost({ target: 'wgsl', timeOf: workgroups, onRun: () => void (--left === 0 && interrupt()) });
    const stopped = await tune(host, {}, onInterrupt);
    expect(stopped.code).toBe(130);
    expect(stopped.output).toContain('interrupted; run it again to go on');
    expect(JSON.parse(readFileSync(join(folder, 'tuning.json'), 'utf8'))).toMatchObject({ entries: [{ isComplete: false }] });
    expect(host.living()).toBe(0);
    const { code, output } = await tune(host);
    expect(code).toBe(0);
    expect(output).toContain('1.500 ms');
  });

  it('is content with its budget', async () => {
    const { output, code } = await tune(fakeHost({ target: 'wgsl', timeOf: workgroups }), { budget: 0.05 });
    expect(code).toBe(0);
    expect(output).toContain('the budget was spent; run it again to go on');
  });

  it('warns of a damaged file and replaces it', async () => {
    writeFileSync(join(folder, 'tuning.json'), '{ "schema": "statefuse-tuning", "ver');
    const { code, error } = await tune(fakeHost({ target: 'wgsl', timeOf: workgroups }));
    expect(code).toBe(0);
    expect(error).toMatch(/SSM7002.*\n?.*`tuning\.json` are not used in full: it is not JSON/);
    expect(JSON.parse(readFileSync(join(folder, 'tuning.json'), 'utf8'))).toMatchObject({ entries: [{ layerName: 'Small' }] });
  });
});

describe('--tuning', () => {
  const explain = (...more: readonly string[]): ReturnType<typeof runCommand> => runCommand(['explain', 'small.ssm', '--target', 'wgsl', ...more], { directory: folder });

  it('takes what was found, and explain says why with numbers', async () => {
    await tune(fakeHost({ target: 'wgsl', timeOf: workgroups }));
    const { output, error } = await explain('--tuning', 'tuning.json');
    expect(error).toBe('');
    expect(output).toMatch(/chosen {3}lanes\(workgroupSize 128, lanes 4, /);
    expect(output).toMatch(/instead {2}lanes\(.*\) \(the rule's\), sequential/);
    expect(output).toMatch(/because {2}measured \d\.\d\d times faster than the rule's choice: 1500 µs instead of \d+(\.\d+)? µs \(forward, B2 L256, Fake 9000; \d+ tried, 27 samples\)/);
    expect((await explain()).output).not.toContain('measured');
    const { code } = await runCommand(['compile', 'small.ssm', '--target', 'wgsl', '--tuning', 'tuning.json', '--out-dir', 'out'], { directory: folder });
    expect(code).toBe(0);
    const manifest = JSON.parse(readFileSync(join(folder, 'out/manifest.json'), 'utf8')) as { decisions: { chosen: string }[] };
    expect(manifest.decisions[0]?.chosen).toContain('workgroupSize 128');
  });

  it('says so where the file has nothing for the layer, or is not there', async () => {
    await tune(fakeHost({ target: 'wgsl', timeOf: workgroups }));
    const other = await explain('--tuning', 'tuning.json', '--size', 'D=16');
    expect(other.code).toBe(0);
    expect(other.error).toMatch(/`tuning\.json` has no schedules for layer `Small` as `wgsl` f32; the rule's are used/);
    const missing = await explain('--tuning', 'none.json');
    expect(missing.code).toBe(1);
    expect(missing.error).toContain('there is no such file');
  });

  it('does not follow a schedule that is none of the layer', async () => {
    await tune(fakeHost({ target: 'wgsl', timeOf: workgroups }));
    const file = join(folder, 'tuning.json');
    const damage = (from: string, to: string): void => writeFileSync(file, readFileSync(file, 'utf8').replace(from, to));
    damage('"workgroupSize": 128', '"workgroupSize": 1000000000');
    const { code, output, error } = await explain('--tuning', 'tuning.json');
    expect(code).toBe(0);
    expect(error).toContain('are not legal for it any more');
    expect(output).not.toContain('1000000000');
    damage('"interval": 16', '"interval": 17');
    expect((await explain('--tuning', 'tuning.json')).code).toBe(0);
  });
});

describe('candidates', () => {
  const layers = [['small', text], ['gates', 'layer G(D = 8) { input a[D], u[D] selective a state h[D] { next h = sigmoid(a) * h + u } output y[D] = h }']] as const;

  it.each(layers.flatMap(([name, layer]) => (['wasm', 'wgsl', 'cuda'] as const).map((target) => [name, target, layer] as const)))('of %s for %s: the rule among them, each once, all compile', (_, target, layer) => {
    const { spec } = loadLayer({ name: 'x.ssm', text: layer }, null, { sizes: new Map() });
    const interval = target === 'wasm' ? 64 : 16;
    const machine = machines[target];
    let count = 0;
    compileSpec(spec!, { target, entries: 'forward-only', decide: (plan, rule) => {
      const found = candidateSchedules({ plan, machine, interval, length: 512 });
      expect(found.map(scheduleKey)).toContain(scheduleKey(rule.schedule));
      expect(new Set(found.map(scheduleKey)).size).toBe(found.length);
      expect(found.every((each) => each.split === null || each.split.size < 512)).toBe(true);
      count = found.length;
      const near = found.filter((one) => scheduleDistance(rule.schedule, one) === 1);
      for (const each of near.filter((_each, at) => at % Math.ceil(near.length / 12) === 0)) {
        compileSpec(spec!, { target, entries: 'forward-only', decide: (_plan, other) => ({ ...other, schedule: each }) });
      }
      return rule;
    } });
    expect(count).toBeGreaterThan(5);
  });
});

describe('tune on the devices here', () => {
  it('finishes on WASM within its budget', async () => {
    const { code, output, error } = await runCommand(['tune', 'small.ssm', '--length', '64', '--budget', '2'], { directory: folder });
    expect(error).toBe('');
    expect(code).toBe(0);
    expect(output).toMatch(/configurations timed/);
    expect(existsSync(join(folder, '.statefuse/tuning.json'))).toBe(true);
    const run = await runCommand(['run', 'small.ssm', '--tuning', '.statefuse/tuning.json', '--length', '5', '--batch', '1', '--out', 'out.safetensors', '--gradients'], { directory: folder });
    expect(run.error).not.toContain('no schedules');
  });

  it.skipIf(!hasGpu)(`finishes on WebGPU ${hasGpu ? '' : skipReason}`, async () => {
    const { code, output } = await runCommand(['tune', 'small.ssm', '--device', 'webgpu', '--length', '32', '--budget', '3', '--json'], { directory: folder });
    expect(code).toBe(0);
    expect(JSON.parse(output.trim().split('\n').at(-1)!)).toMatchObject({ schema: 'statefuse-tune', event: 'done', ok: true, key: { target: 'wgsl' } });
  });

  it('refuses a wrong command line', async () => {
    expect((await runCommand(['tune', 'small.ssm', '--budget', '-1'], { directory: folder })).code).toBe(2);
    expect((await runCommand(['tune', 'small.ssm', '--objective', 'all'], { directory: folder })).code).toBe(2);
  });
});
