/** The command line with CUDA devices, and who may load them. */
import { readdirSync, readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { runCommand } from '../../cli/run-command.ts';
import { mock, reasonAgainst, temporaryFolder, titleNote } from './mock.ts';

describe.skipIf(reasonAgainst !== null)(`statefuse with CUDA devices${titleNote}`, () => {
  beforeEach(() => {
    mock.reset();
    vi.stubEnv('XDG_CACHE_HOME', temporaryFolder());
  });

  it('lists every GPU, or why there is none', async () => {
    mock.set('devices', 2);
    type Row = { readonly device: string; readonly isPresent: boolean; readonly name: string | null; readonly reason: string | null };
    const rowsNow = async (): Promise<readonly Row[]> => (JSON.parse((await runCommand(['devices', '--json'])).output) as { devices: Row[] }).devices.slice(2);
    expect((await rowsNow()).map(({ device, name }) => [device, name])).toEqual([['cuda', 'Mock GPU'], ['cuda:1', 'Mock GPU']]);
    mock.set('driverVersion', 11000);
    expect(await rowsNow()).toMatchObject([{ device: 'cuda', isPresent: false, reason: expect.stringContaining('12.0 or later is needed; install a newer driver') }]);
  });

  it('verifies on the GPU, whose kernels the mock does not execute: all disagree', async () => {
    const { code, output } = await runCommand(['verify', 'examples/hgrn.ssm', '--device', 'cuda', '--length', '5', '--json']);
    const rows = (JSON.parse(output) as { rows: { device: string; agrees: boolean }[] }).rows;
    expect(code).toBe(1);
    expect(rows.length).toBeGreaterThan(10);
    expect(rows.every(({ device, agrees }) => device === 'cuda' && !agrees)).toBe(true);
  });

  it('ends with 3 where the device is absent', async () => {
    mock.set('devices', 0);
    expect((await runCommand(['verify', 'examples/hgrn.ssm', '--device', 'cuda', '--length', '5'])).code).toBe(3);
  });
});

describe('the runtime without CUDA', () => {
  it('does not import it', () => {
    const files = readdirSync('runtime', { recursive: true, encoding: 'utf8' }).filter((each) => each.endsWith('.ts') && !each.startsWith('cuda/'));
    expect(files.length).toBeGreaterThan(20);
    for (const each of files) expect(readFileSync(`runtime/${each}`, 'utf8'), each).not.toMatch(/from '\.+\/cuda\//);
  });
});
