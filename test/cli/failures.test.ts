/** What failures turn into: exit codes, and internal errors without stack traces unless asked for. */
import { describe, expect, it } from 'vitest';
import { UsageError, type CommandEnvironment } from '../../cli/environment.ts';
import { reportFailure } from '../../cli/output.ts';
import { makeDiagnostic, SsmError, ssmError } from '../../support/diagnostic.ts';
import { InternalError } from '../../support/invariant.ts';

function report(error: unknown, more: { readonly json?: boolean; readonly debug?: string } = {}): { code: number; output: string; error: string } {
  const written = { output: '', error: '' };
  const environment: CommandEnvironment = {
    writeOutput: (text) => void (written.output += text), writeError: (text) => void (written.error += text),
    readInput: () => Promise.resolve(new Uint8Array()), variables: more.debug === undefined ? {} : { STATEFUSE_DEBUG: more.debug },
    directory: '.', isTerminal: { output: false, error: false },
  };
  const code = reportFailure(environment, { error, command: 'compile', pass: 'fuse-scan', json: more.json ?? false });
  return { code, ...written };
}

describe('failures', () => {
  it.each([
    ['a mistake in a text', ssmError('SSM2001', 'there is no value `u`'), 1],
    ['a file that is missing', ssmError('SSM7001', '`a.ssm`: there is no such file'), 1],
    ['a device that is absent', ssmError('SSM6002', 'no adapter'), 3],
    ['a target that cannot hold the layer', ssmError('SSM5001', 'kernel needs 26112 B; this target has 16384'), 3],
    ['a mistake beside a limit', new SsmError([makeDiagnostic({ code: 'SSM5001', message: 'a' }), makeDiagnostic({ code: 'SSM2001', message: 'b' })]), 1],
    ['a wrong command line', new UsageError('`--size D`'), 2],
    ['a bug', new InternalError('missing value'), 4],
    ['a bug of another kind', new TypeError('undefined is not a function'), 4],
  ])('%s', (_, error, code) => expect(report(error).code).toBe(code));

  it('name the pass of a bug and ask for a report, without a stack trace', () => {
    const { error } = report(new InternalError('Tensor IR is wrong:\n  the first fault\n  the second fault'));
    expect(error).toContain('error[SSM9001]: internal error in pass `fuse-scan`: Tensor IR is wrong:');
    expect(error).toContain('the second fault');
    expect(error).toContain('please report it');
    expect(error).not.toMatch(/^ +at /m);
    expect(error).not.toContain(process.cwd());
  });

  it('show the stack trace when asked to', () => {
    expect(report(new InternalError('x'), { debug: '1' }).error).toMatch(/^ +at /m);
  });

  it('are one JSON document when asked to', () => {
    const { output, error } = report(new InternalError('x'), { json: true });
    expect(error).toBe('');
    expect(JSON.parse(output)).toMatchObject({ schema: 'statefuse-compile', version: 1, ok: false, diagnostics: [{ code: 'SSM9001', severity: 'error' }] });
  });
});
