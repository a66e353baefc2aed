/** `compile`: what is written, that nothing is written outside or half, and the developer's switches. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fileNames, writeFiles } from '../../cli/write-files.ts';
import { webAssembly } from '../../runtime/wasm/webassembly.ts';
import { runCommand } from './run-command.ts';

const s4d = join(process.cwd(), 'examples', 's4d.ssm');
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'statefuse-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function compile(...more: readonly string[]): ReturnType<typeof runCommand> {
  return runCommand(['compile', s4d, '--size', 'D=8', '--size', 'N=4', ...more], { directory: folder });
}

type Manifest = { schema: string; target: string; axes: { name: string; size: number }[]; files: { kernels?: Record<string, string>; module?: string } };

function manifestIn(path: string): Manifest {
  return JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8')) as Manifest;
}

describe('compile', () => {
  it.each(['wasm', 'wgsl', 'cuda'])('writes what the manifest of target %s names', async (target) => {
    const { code, output, error } = await compile('--target', target, '--out-dir', 'out');
    expect(error).toBe('');
    expect(code).toBe(0);
    expect(output).toContain(`S4D for ${target}`);
    const out = join(folder, 'out');
    const manifest = manifestIn(out);
    expect(manifest).toMatchObject({ schema: 'statefuse-manifest', target, axes: [{ name: 'D', size: 8 }, { name: 'N', size: 4 }] });
    const present = readdirSync(out);
    const named = [...Object.values(manifest.files.kernels ?? {}), ...(manifest.files.module === undefined ? [] : [manifest.files.module])];
    expect(named.length).toBeGreaterThan(0);
    for (const file of named) expect(present).toContain(file);
    expect(present.filter((each) => each.startsWith('.'))).toEqual([]);
    if (manifest.files.module !== undefined) {
      await expect(webAssembly().compile(readFileSync(join(out, manifest.files.module)))).resolves.toBeDefined();
    }
  });

  it('writes the same bytes twice', async () => {
    await compile('--target', 'wgsl', '--out-dir', 'one');
    await compile('--target', 'wgsl', '--out-dir', 'two');
    const files = readdirSync(join(folder, 'one'));
    expect(readdirSync(join(folder, 'two'))).toEqual(files);
    for (const file of files) expect(readFileSync(join(folder, 'one', file))).toEqual(readFileSync(join(folder, 'two', file)));
  });

  it('writes nothing when the text has an error, when the folder is missing, and when it is a file', async () => {
    const wrong = await runCommand(['compile', '-', '--out-dir', 'out'], { directory: folder, input: 'layer A { output y = q }' });
    expect(wrong.code).toBe(1);
    expect((await compile()).code).toBe(2);
    writeFileSync(join(folder, 'taken'), 'x');
    const taken = await compile('--out-dir', 'taken');
    expect(taken.code).toBe(1);
    expect(taken.error).toContain('SSM7001');
    expect(readdirSync(folder)).toEqual(['taken']);
    expect(readFileSync(join(folder, 'taken'), 'utf8')).toBe('x');
  });

  it('dumps the IR after passes and stops where told', async () => {
    const stopped = await compile('--stop-after', 'fuse-scan', '--dump-after', 'all', '--dump-dir', 'dumps');
    expect(stopped.code).toBe(0);
    expect(readdirSync(join(folder, 'dumps'))).toEqual(['00-lower-spec.tir', '01-lower-complex.tir', '02-form-convolutions.tir', '03-fuse-scan.tir']);
    const one = await compile('--out-dir', 'out', '--dump-after', 'kernels');
    expect(one.error).toContain('// entry backward');
    const unknown = await compile('--out-dir', 'out', '--dump-after', 'fuse');
    expect(unknown.code).toBe(2);
    expect(unknown.error).toContain('fuse-scan');
  });

  it('says decisions, code and IR by STATEFUSE_DEBUG', async () => {
    const at = (level: string): ReturnType<typeof runCommand> =>
      runCommand(['compile', s4d, '--size', 'D=8', '--target', 'wgsl', '--out-dir', 'out'], { directory: folder, variables: { STATEFUSE_DEBUG: level } });
    expect((await at('1')).error).toContain('[decision] forward: x');
    expect((await at('1')).error).not.toContain('@compute');
    expect((await at('4')).error).toContain('@compute');
    expect((await at('5')).error).toContain('// Tensor IR after lower-spec');
  });
});

describe('files of a result', () => {
  it('have names that stay in the folder and differ everywhere', () => {
    const hostile = ['../../etc/x', '/etc/passwd', 'a/b', 'CON', 'nul', 'scan', 'Scan', '', '.', '..', 'a\u0000b', 'x'.repeat(400), '-rf', 'é'];
    const names = fileNames(hostile, 'wgsl');
    for (const name of names) {
      expect(name).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]*\.wgsl$/);
      expect(name.length).toBeLessThan(200);
      expect(name).not.toMatch(/^(con|nul)\./i);
    }
    expect(new Set(names.map((each) => each.toLowerCase())).size).toBe(hostile.length);
  });

  it('replace links instead of following them', () => {
    const [outside, out] = [join(folder, 'outside'), join(folder, 'out')];
    writeFileSync(outside, 'mine');
    mkdirSync(out);
    symlinkSync(outside, join(out, 'a.txt'));
    writeFiles(out, 'out', [{ name: 'a.txt', content: 'new' }]);
    expect(readFileSync(outside, 'utf8')).toBe('mine');
    expect(readFileSync(join(out, 'a.txt'), 'utf8')).toBe('new');
  });

  it('are all written or none', () => {
    const out = join(folder, 'out');
    mkdirSync(join(out, 'b.txt'), { recursive: true });
    expect(() => writeFiles(out, 'out', [{ name: 'a.txt', content: 'a' }, { name: 'b.txt', content: 'b' }])).toThrow(/SSM7001/);
    expect(readdirSync(out)).toEqual(['b.txt']);
  });
});
