/** The program as a process: built once, its streams, its exit codes, a reader that leaves early, an interrupt. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let built = '';

beforeAll(() => {
  built = mkdtempSync(join(tmpdir(), 'statefuse-built-'));
  const compiler = join('node_modules', 'typescript', 'bin', 'tsc');
  const run = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', built, '--noCheck'], { encoding: 'utf8' });
  expect(run.stdout + run.stderr).toBe('');
  symlinkSync(join(process.cwd(), 'node_modules'), join(built, 'node_modules'));
  symlinkSync(join(process.cwd(), 'package.json'), join(built, 'package.json'));
});
afterAll(() => rmSync(built, { recursive: true }));

function program(): string {
  return join(built, 'cli', 'main.js');
}

function run(parameters: readonly string[], input = ''): { code: number | null; output: string; error: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program(), ...parameters], { input, encoding: 'utf8' });
  return { code: status, output: stdout, error: stderr };
}

describe('the program', () => {
  it('reads the standard input and keeps its streams apart', () => {
    const good = run(['check', '-'], 'layer A { input u output y = u }');
    expect(good).toEqual({ code: 0, output: '<stdin>: A ok\n', error: '' });
    const bad = run(['check', '-'], 'layer A { input u output y = }');
    expect(bad.code).toBe(1);
    expect(bad.output).toBe('');
    expect(bad.error).toContain('<stdin>:1:');
  });

  it('ends on its own after devices have run', () => {
    const { code, output } = run(['verify', '-', '--device', 'wasm', '--length', '5'], 'layer A { input u state x { next x = 0.5 * x + u } output y = x }');
    expect(output).toMatch(/agree with float64/);
    expect(code).toBe(0);
  });

  it('does not mind a reader that leaves early', async () => {
    const child = spawn(process.execPath, [program(), 'explain', 'examples/s6.ssm', '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
    let error = '';
    child.stderr.on('data', (part: Buffer) => void (error += part.toString()));
    child.stdout.destroy();
    const code = await new Promise((resolve) => child.on('exit', resolve));
    expect(error).toBe('');
    expect(code).toBe(0);
  });

  it('says 130 when interrupted', async () => {
    const child = spawn(process.execPath, [program(), 'check', '-'], { stdio: 'pipe' });
    const ended = new Promise((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal)));
    child.stdin.on('error', () => undefined);
    // more than a pipe holds: written once the program reads, which then waits for the end that never comes
    child.stdin.write(' '.repeat(2 ** 20), () => child.kill('SIGINT'));
    const code = await ended;
    expect(code).toBe(130);
  });
});
