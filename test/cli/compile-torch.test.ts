/** `compile --target torch`: a package in sub-folders, whole or not at all. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runCommand } from './run-command.ts';

const s6 = join(process.cwd(), 'examples', 's6.ssm');
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'statefuse-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function compile(...more: readonly string[]): ReturnType<typeof runCommand> {
  return runCommand(['compile', s6, '--size', 'D=8', '--size', 'N=4', '--target', 'torch', ...more], { directory: folder });
}

it('writes a package with kernels for all types, or for those asked for', async () => {
  const all = await compile('--out-dir', 'all');
  expect(all.error).toBe('');
  expect(all.code).toBe(0);
  expect(all.output).toContain('from statefuse_s6 import S6');
  expect(readdirSync(join(folder, 'all')).sort()).toEqual(['README.md', 'build_package.py', 'pyproject.toml', 'statefuse_s6', 'tests']);
  expect(readdirSync(join(folder, 'all', 'statefuse_s6', 'kernels')).sort()).toEqual(['bf16', 'bf16-few', 'f16', 'f16-few', 'f32', 'f32-few']);
  expect(readdirSync(join(folder, 'all', 'statefuse_s6')).filter((each) => each.endsWith('.partial'))).toEqual([]);
  expect((await compile('--out-dir', 'two', '--dtypes', 'f32', 'bf16')).code).toBe(0);
  expect(readdirSync(join(folder, 'two', 'statefuse_s6', 'kernels')).sort()).toEqual(['bf16', 'bf16-few', 'f32', 'f32-few']);
  const named = await compile('--out-dir', 'named', '--dtypes', 'f32', '--name', 'Wide_S6');
  expect(named.output).toContain('from statefuse_wide_s6 import Wide_S6');
  expect((await compile('--out-dir', 'bad', '--name', '../x')).code).toBe(2);
  const one = await compile('--out-dir', 'one', '--dtype', 'f16', '--json');
  expect(JSON.parse(one.output)).toMatchObject({ ok: true, target: 'torch', package: 'statefuse_s6', storages: ['f16'] });
});

it.each([['--mode', 'recurrent'], ['--batch', '8']])('has one set of kernels where the caller decides (%s %s)', async (...decided) => {
  expect((await compile('--out-dir', 'one', '--dtypes', 'f32', ...decided)).code).toBe(0);
  expect(readdirSync(join(folder, 'one', 'statefuse_s6', 'kernels'))).toEqual(['f32']);
});

it('writes nothing through a link and nothing over a file', async () => {
  mkdirSync(join(folder, 'elsewhere'));
  mkdirSync(join(folder, 'linked'));
  symlinkSync(join(folder, 'elsewhere'), join(folder, 'linked', 'statefuse_s6'));
  const linked = await compile('--out-dir', 'linked');
  expect(linked.code).toBe(1);
  expect(linked.error).toContain('SSM7001');
  expect(readdirSync(join(folder, 'elsewhere'))).toEqual([]);
  mkdirSync(join(folder, 'taken'));
  writeFileSync(join(folder, 'taken', 'tests'), 'mine');
  expect((await compile('--out-dir', 'taken')).code).toBe(1);
  expect(readFileSync(join(folder, 'taken', 'tests'), 'utf8')).toBe('mine');
  expect(existsSync(join(folder, 'taken', 'pyproject.toml'))).toBe(false);
  expect((await compile()).code).toBe(2);
});
