/** The command line's manners: exit codes, streams, one JSON document, colours, and `check` itself. */
import { describe, expect, it } from 'vitest';
import { readdirSync } from 'node:fs';
import { runCommand } from './run-command.ts';

const broken = 'layer A(D = 2) {\n  input u[D]\n  output y[D] = uu\n}\n';
const sound = 'layer A(D = 2) {\n  input u[D]\n  output y[D] = 2 * u\n}\n';

describe('statefuse', () => {
  it('answers without a command, with a wrong one, and with a wrong option by exit code 2', async () => {
    expect((await runCommand([])).code).toBe(2);
    expect((await runCommand(['cheek', 'a.ssm'])).error).toContain('check');
    expect((await runCommand(['cheek', 'a.ssm'])).code).toBe(2);
    expect((await runCommand(['check', '-', '--size', 'D'], { input: sound })).code).toBe(2);
  });

  it.each(['check', 'format', 'compile', 'explain', 'verify', 'devices'])('has help with an example for %s', async (command) => {
    const { code, output } = await runCommand([command, '--help']);
    expect(code).toBe(0);
    expect(output).toContain(`Example:\n  statefuse ${command}`);
  });

  it('says its version', async () => {
    expect((await runCommand(['--version'])).output).toMatch(/^statefuse \d+\.\d+\.\d+\n$/);
  });
});

describe('check', () => {
  it('accepts every example', async () => {
    const files = readdirSync('examples').filter((each) => each.endsWith('.ssm')).map((each) => `examples/${each}`);
    const { code, output, error } = await runCommand(['check', ...files]);
    expect(error).toBe('');
    expect(code).toBe(0);
    expect(output.trim().split('\n')).toHaveLength(files.length);
  });

  it('reports a mistake with its place on the error stream', async () => {
    const { code, output, error } = await runCommand(['check', '-'], { input: broken });
    expect(code).toBe(1);
    expect(output).toBe('');
    expect(error).toContain('error[SSM2001]: there is no value `uu`');
    expect(error).toContain('<stdin>:3:17');
    expect(error).toContain('help: write `u`');
  });

  it('checks every layer of a text, also those that are not applied', async () => {
    const { code, error } = await runCommand(['check', '-'], { input: `${broken}${sound.replace('layer A', 'layer B')}` });
    expect(code).toBe(1);
    expect(error).toContain('SSM2001');
    expect((await runCommand(['check', '-', '--layer', 'B'], { input: `${broken}${sound.replace('layer A', 'layer B')}` })).code).toBe(0);
  });

  it('writes one JSON document and nothing else', async () => {
    const { code, output, error } = await runCommand(['check', '-', '--json'], { input: broken });
    const document: unknown = JSON.parse(output);
    expect(error).toBe('');
    expect(code).toBe(1);
    expect(document).toMatchObject({
      schema: 'statefuse-check', version: 1, ok: false,
      files: [{ file: '<stdin>', diagnostics: [{ code: 'SSM2001', severity: 'error', primary: { line: 3, column: 17 } }] }],
    });
  });

  it('answers a missing file, a folder and bytes that are no text with a diagnostic', async () => {
    for (const path of ['no-such-file.ssm', 'examples']) {
      const { code, error } = await runCommand(['check', path]);
      expect(code).toBe(1);
      expect(error).toContain('SSM7001');
    }
    expect((await runCommand(['check', 'no-such-file.ssm', '--json'])).output).toContain('"schema": "statefuse-check"');
    expect((await runCommand(['check', 'test/golden-data/hgrn.safetensors'])).error).toContain('SSM7002');
  });

  it('paints when asked to and never under NO_COLOR', async () => {
    const painted = await runCommand(['check', '-'], { input: broken, variables: { FORCE_COLOR: '1' } });
    expect(painted.error).toContain('\u001b[');
    const plain = await runCommand(['check', '-'], { input: broken, variables: { FORCE_COLOR: '1', NO_COLOR: '1' } });
    expect(plain.error).not.toContain('\u001b[');
  });
});
