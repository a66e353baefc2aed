import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { emitCuda } from '../../../backends/cuda/index.ts';
import { packCase, type GpuCase } from '../../../scripts/gpu-host/pack-case.ts';
import { renderEntryTables, writeCudaHostProject } from '../../../scripts/gpu-host/write-project.ts';
import { header, scalePlan, scanPlan } from './kernels.ts';
import { hasNvcc } from './nvcc.ts';

if (!hasNvcc) console.warn('nvcc is not installed: the host program is not compiled');

const small: GpuCase = {
  name: 'small', runs: ['step'], batch: 1, length: 2, tolerance: 1e-6, random: new Map([['v', [0.5, 1]]]),
  inputs: new Map([['u', Float32Array.of(1, 2, 3)]]), expected: new Map([['y', Float64Array.of(4, 8)]]),
};

describe('case files', () => {
  test('hold a text header and the numbers at multiples of eight bytes', () => {
    const file = packCase(small);
    const view = new DataView(file.buffer);
    const length = view.getUint32(8, true);
    expect(new TextDecoder().decode(file.subarray(0, 8))).toBe('SFCASE01');
    expect(new TextDecoder().decode(file.subarray(12, 12 + length))).toBe(
      'case small\nbatch 1\nlength 2\ntolerance 0.000001\nrun step\nrandom v 0.5 1\ninput u f32 0 3\nexpected y f64 16 2\n',
    );
    const start = Math.ceil((12 + length) / 8) * 8;
    expect([0, 4, 8].map((at) => view.getFloat32(start + at, true))).toEqual([1, 2, 3]);
    expect([16, 24].map((at) => view.getFloat64(start + at, true))).toEqual([4, 8]);
    expect(file).toHaveLength(start + 32);
  });

  test('refuse names that would break the header', () => {
    expect(() => packCase({ ...small, name: 'a b' })).toThrow(/SSM6004/);
    expect(() => packCase({ ...small, inputs: new Map([['u\nrun x', Float32Array.of(1)]]) })).toThrow(/SSM6004/);
  });
});

test('tables name each tensor, kernel and binding', () => {
  const text = renderEntryTables(emitCuda([scalePlan()], header).manifest);
  expect(text).toContain('{"scratch.0", "scratch", Storage::f32, [](Size batch, Size length) -> Size { return batch * length * 3ll; }, true, true},');
  expect(text).toContain('const int step_bindings_0[] = {0, 1};');
  expect(text).toContain('const int step_bindings_1[] = {1, 2};');
});

describe.skipIf(!hasNvcc)('host project', () => {
  test('builds without warnings; without a GPU it says so and fails', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'statefuse-project-'));
    try {
      const artifact = emitCuda([scanPlan({ channels: 128, states: 16 }), scalePlan()], header);
      await writeCudaHostProject(artifact, [small], folder);
      const result = spawnSync('./run.sh', ['--no-timing'], { cwd: folder, encoding: 'utf8', env: { ...process.env, OUT: join(folder, 'out') } });
      const said = result.stdout + result.stderr;
      expect(said).toMatch(/Compiling entry function 'scan_0'/);
      expect(said).not.toMatch(/warning/i);
      // the case is wrong on purpose (three numbers for six): with a GPU the host program must notice
      expect(result.status).toBe(1);
      expect(readFileSync(join(folder, 'out', 'log.txt'), 'utf8')).toMatch(/error: /);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
