/** `bench`: every entry with its time, bytes and floor; and the probes it measures floors with. */
import { describe, expect, it } from 'vitest';
import { measureFloors } from '../../cli/measure/device-floors.ts';
import { openWasm } from '../../runtime/wasm/index.ts';
import { openTestGpu, skipReason } from '../support/webgpu.ts';
import { runCommand } from './run-command.ts';

const hasGpu = (await openTestGpu()) !== null;

type Row = { entry: string; milliseconds: { median: number; least: number; most: number; count: number }; bytes: number; floor: { bytes: number; exponentials: number }; percentOfFloor: number };
type Document = { schema: string; ok: boolean; rows: Row[]; floors: { byte: number; exponential: number }; decisions: { reason: string }[] };

const small = ['examples/s6.ssm', '--size', 'D=8', '--size', 'N=4', '--length', '48', '--batch', '2', '--samples', '5'];

describe('bench', () => {
  it('times every entry point on WASM', async () => {
    const { code, output, error } = await runCommand(['bench', ...small, '--json']);
    expect(error).toBe('');
    expect(code).toBe(0);
    const document = JSON.parse(output) as Document;
    expect(document).toMatchObject({ schema: 'statefuse-bench', ok: true, batch: 2, length: 48, samples: 5 });
    expect(document.rows.map((row) => row.entry)).toEqual(['forward', 'forwardSaved', 'backward', 'step']);
    for (const { milliseconds, floor, percentOfFloor } of document.rows) {
      expect(milliseconds.count).toBe(5);
      expect(milliseconds.least).toBeLessThanOrEqual(milliseconds.median);
      expect(milliseconds.median).toBeLessThanOrEqual(milliseconds.most);
      expect(percentOfFloor).toBeCloseTo((100 * Math.max(floor.bytes, floor.exponentials)) / milliseconds.median, 6);
    }
    const [forward] = document.rows;
    // u, delta, z, y; B, C; A_log, delta_bias, skip; state in and out
    expect(forward!.bytes).toBe(4 * (2 * 48 * (4 * 8 + 2 * 4) + 8 * 4 + 2 * 8 + 2 * 2 * 8 * 4));
    expect(forward!.floor.exponentials * 1e6).toBeCloseTo(2 * 48 * 8 * 4 * document.floors.exponential, 6);
  });

  it('shows a table, of chosen entries', async () => {
    const { code, output } = await runCommand(['bench', ...small, '--entry', 'step', '--entry', 'forward']);
    expect(code).toBe(0);
    expect(output).toMatch(/entry +median \(least to most\) +launches +GB\/s +floor +of floor/);
    expect(output).toMatch(/\nforward +\d/);
    expect(output).toMatch(/\nstep +\d/);
    expect(output).not.toMatch(/\nbackward/);
  });

  it('names the entries there are', async () => {
    const { code, error } = await runCommand(['bench', ...small, '--entry', 'sideways']);
    expect(code).toBe(2);
    expect(error).toContain('the layer has forward, forwardSaved, backward, backwardFinal, step');
  });

  it.skipIf(!hasGpu)(`runs on WebGPU ${hasGpu ? '' : skipReason}`, async () => {
    const { code, output } = await runCommand(['bench', ...small, '--device', 'webgpu', '--entry', 'forward', '--json']);
    expect(code).toBe(0);
    expect((JSON.parse(output) as Document).rows[0]?.percentOfFloor).toBeGreaterThan(0);
  });
});

describe('floors', () => {
  it('are times that a processor can have', async () => {
    await using device = await openWasm({ workers: 0 });
    const { byte, exponential } = await measureFloors(device, { copiedBytes: [2 ** 20, 2 ** 23], groups: [1, 8], enough: 1, samples: 3 });
    expect(1 / byte).toBeGreaterThan(0.5);
    expect(1 / byte).toBeLessThan(2000);
    expect(exponential).toBeGreaterThan(0.01);
    expect(exponential).toBeLessThan(50);
  });
});
