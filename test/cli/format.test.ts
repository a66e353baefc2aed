/** `statefuse format` writes texts in place, all of one layout, and `check --watch` looks again. */
import { chmodSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommandLine } from '../../cli/program.ts';
import { runCommand } from './run-command.ts';

const crooked = 'layer A(D=2){input u[D];output y[D]=2*u}// end\n';
const straight = 'layer A(D = 2) {\n  input u[D]\n  output y[D] = 2 * u\n} // end\n';
const broken = 'layer A(D = 2) { input u[D\n';

let directory = '';
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'statefuse-format-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function put(name: string, text: string): string {
  writeFileSync(join(directory, name), text);
  return name;
}

const read = (name: string): string => readFileSync(join(directory, name), 'utf8');

describe('format', () => {
  it('writes what is crooked, in place, and says so', async () => {
    const files = [put('a.ssm', crooked), put('b.ssm', straight)];
    expect(await runCommand(['format', ...files], { directory })).toEqual({ code: 0, output: '', error: 'formatted a.ssm\n' });
    expect([read('a.ssm'), read('b.ssm')]).toEqual([straight, straight]);
    expect(await runCommand(['format', ...files], { directory })).toEqual({ code: 0, output: '', error: '' });
    expect(readdirSync(directory)).toEqual(['a.ssm', 'b.ssm']);
  });

  it('keeps the mode of a file and the link to it', async () => {
    put('a.ssm', crooked);
    chmodSync(join(directory, 'a.ssm'), 0o640);
    symlinkSync('a.ssm', join(directory, 'link.ssm'));
    expect((await runCommand(['format', 'link.ssm'], { directory })).code).toBe(0);
    expect(read('a.ssm')).toBe(straight);
    expect(statSync(join(directory, 'a.ssm')).mode & 0o777).toBe(0o640);
    expect(lstatSync(join(directory, 'link.ssm')).isSymbolicLink()).toBe(true);
  });

  it('takes the standard input to the output', async () => {
    expect(await runCommand(['format', '-'], { input: crooked })).toEqual({ code: 0, output: straight, error: '' });
    expect((await runCommand(['format', '-', '--json'], { input: crooked })).code).toBe(2);
  });

  it('--check names what would change and touches nothing', async () => {
    const { code, output, error } = await runCommand(['format', put('a.ssm', crooked), put('b.ssm', straight), '--check'], { directory });
    expect([code, output]).toEqual([1, 'a.ssm\n']);
    expect(error).toContain('1 text is not in the layout');
    expect(read('a.ssm')).toBe(crooked);
    expect((await runCommand(['format', 'b.ssm', '--check'], { directory })).code).toBe(0);
    const document: unknown = JSON.parse((await runCommand(['format', 'a.ssm', 'b.ssm', '--check', '--json'], { directory })).output);
    expect(document).toMatchObject({ schema: 'statefuse-format', ok: false, files: [{ file: 'a.ssm', state: 'changed' }, { file: 'b.ssm', state: 'unchanged' }] });
  });

  it('refuses what it cannot read, and formats the rest', async () => {
    const { code, error } = await runCommand(['format', put('bad.ssm', broken), 'missing.ssm', put('a.ssm', crooked)], { directory });
    expect(code).toBe(1);
    expect(error).toContain('SSM1002');
    expect(error).toContain('SSM7001');
    expect([read('bad.ssm'), read('a.ssm')]).toEqual([broken, straight]);
  });
});

describe('check --watch', () => {
  async function waitFor(isDone: () => boolean): Promise<void> {
    const end = performance.now() + 10_000;
    while (!isDone() && performance.now() < end) await new Promise((done) => setTimeout(done, 10));
    expect(isDone()).toBe(true);
  }

  it.each(['text', 'json'])('checks at once and again after each change, as %s', async (form) => {
    put('a.ssm', straight);
    const stop = new AbortController();
    let written = '';
    const write = (text: string): void => void (written += text);
    const run = runCommandLine(['check', 'a.ssm', '--watch', ...(form === 'json' ? ['--json'] : [])], {
      writeOutput: write, writeError: write, readInput: () => Promise.reject(new Error('not read')), variables: {}, directory,
      isTerminal: { output: false, error: false }, signal: stop.signal,
    });
    const rounds = (): number => (form === 'json' ? written.split('\n').length - 1 : written.split('waiting for changes').length - 1);
    await waitFor(() => rounds() === 1);
    put('a.ssm', broken);
    await waitFor(() => written.includes('SSM1002'));
    rmSync(join(directory, 'a.ssm'));
    await waitFor(() => written.includes('SSM7001'));
    const before = rounds();
    put('a.ssm', straight);
    await waitFor(() => rounds() > before);
    stop.abort();
    expect(await run).toBe(130);
    if (form === 'json') for (const line of written.trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ schema: 'statefuse-check' });
  });

  it('cannot read the standard input again', async () => {
    expect((await runCommand(['check', '-', '--watch'], { input: straight })).code).toBe(2);
  });
});
