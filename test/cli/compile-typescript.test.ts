/** `statefuse compile --target ts`: which files it writes, in each form, and what it refuses. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkProject } from '../backends/ts/typescript-project.ts';
import { runCommand } from './run-command.ts';

let directory = '';
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'statefuse-ts-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const hgrn = resolve('examples/hgrn.ssm');
const read = (name: string): string => readFileSync(join(directory, 'out', name), 'utf8');
const compile = (...options: readonly string[]) => runCommand(['compile', hgrn, '--target', 'ts', '--size', 'D=8', ...options], { directory });

describe('compile --target ts', () => {
  it('writes one typed module', async () => {
    const { code, output, error } = await compile('--out-dir', 'out', '--seed', '3');
    expect([code, error, output]).toEqual([0, '', 'HGRN as a module for wasm and wgsl: HGRN.ts in out\n']);
    expect(readdirSync(join(directory, 'out'))).toEqual(['HGRN.ts']);
    expect(checkProject({ 'HGRN.ts': read('HGRN.ts') })).toEqual([]);
    expect(read('HGRN.ts')).toContain('initialParameters');
  });

  it('writes JavaScript with declarations', async () => {
    expect((await compile('--out-dir', 'out', '--emit', 'js', '--carry', 'wasm')).code).toBe(0);
    expect(readdirSync(join(directory, 'out')).sort()).toEqual(['HGRN.d.ts', 'HGRN.js']);
    expect(read('HGRN.js')).not.toMatch(/wgsl|initialParameters/);
    const use = "import { load } from './HGRN.js';\nimport type { ExecutionDevice } from 'statefuse/runtime';\n"
      + 'export const run = async (device: ExecutionDevice): Promise<void> => { using layer = await load(device); layer.setParameters({ bound: [1] }); };\n';
    expect(checkProject({ 'HGRN.d.ts': read('HGRN.d.ts'), 'use.ts': use }, { resolution: 'nodenext' })).toEqual([]);
  });

  it('writes the declarations that an import of the text needs', async () => {
    expect((await compile('--out-dir', 'out', '--emit', 'types')).code).toBe(0);
    expect(readdirSync(join(directory, 'out'))).toEqual(['hgrn.ssm.d.ts']);
    const block = resolve('examples/mamba-block.ssm');
    const { output } = await runCommand(['compile', block, '--target', 'ts', '--emit', 'types', '--carry', 'wasm', '--out-dir', 'out'], { directory });
    expect(output).toBe('SelectiveScan, MambaBlock as a module for wasm: mamba-block.ssm.d.ts in out\n');
    expect(read('mamba-block.ssm.d.ts').match(/^export declare const \w+/gm)).toEqual(['export declare const SelectiveScan', 'export declare const MambaBlock']);
  });

  it('answers in JSON', async () => {
    const document: unknown = JSON.parse((await compile('--out-dir', 'out', '--json', '--carry', 'wgsl', 'cuda')).output);
    expect(document).toMatchObject({ schema: 'statefuse-compile', ok: true, files: ['HGRN.ts'], layer: 'HGRN', target: 'ts', carries: ['wgsl', 'cuda'] });
  });

  it('refuses mistakes and a missing folder, and writes nothing', async () => {
    expect(await compile('--out-dir', 'out', '--size', 'D=0')).toMatchObject({ code: 1, output: '' });
    expect((await compile()).code).toBe(2);
    expect((await compile('--out-dir', 'out', '--carry', 'ts')).code).toBe(2);
    expect(readdirSync(directory)).toEqual([]);
  });
});
