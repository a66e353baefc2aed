/** Diagnostics as text and as JSON, and the names that are suggested. */
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../dsl/index.ts';
import { makeDiagnostic } from '../../support/diagnostic.ts';
import { diagnosticToJson, renderDiagnostic, renderDiagnostics } from '../../support/render-diagnostic.ts';
import { editDistance, suggestName } from '../../support/suggest-name.ts';

const plain = { color: false } as const;

function report(text: string): string {
  const { diagnostics } = loadLayer({ name: 'layer.ssm', text }, null, { sizes: new Map() });
  return renderDiagnostics(diagnostics, plain);
}

describe('rendering', () => {
  it('shows the place, the marks, the reason and the way out', () => {
    const text = [
      'layer A(D = 4) {',
      '  input u[D]',
      '  param w',
      '  let a = exp(u) + w',
      '  time_invariant a',
      '  output y[D] = a',
      '}',
    ].join('\n');
    expect(report(text)).toBe([
      'error[SSM3005]: `a` varies with time',
      ' --> layer.ssm:5:18',
      '  |',
      '4 |   let a = exp(u) + w',
      '  |               - `u` enters here',
      '5 |   time_invariant a',
      '  |                  ^ asserted to be time-invariant',
      '  = note: what depends on an input, a state or the position differs from token to token',
      '  = help: remove `a` from the list, or make it depend on parameters only',
      '  = page: docs/errors.md#ssm3005-time-variance-differs-from-the-assertion',
      '',
      '1 error',
    ].join('\n'));
  });

  it('puts two marks of one line under each other', () => {
    const rendered = report('layer A { input u state x { next x = x * x + u } output y = x }');
    expect(rendered.split('\n').slice(3, 8)).toEqual([
      '1 | layer A { input u state x { next x = x * x + u } output y = x }',
      '  |                                      ^^^^^ not affine in the state',
      '  |                                      - the state',
      '  |                                          - the state',
      '  = note: the coefficient of a state may depend on inputs and parameters, not on the state: only then do updates combine associatively',
    ]);
  });

  it('says where a layer is applied', () => {
    const rendered = report('layer B { input u output y = v }\nlayer A {\n  input h\n  let b = B(h)\n  output y = b\n}');
    expect(rendered).toContain('4 |   let b = B(h)\n  |           ---- `B` is applied here');
  });

  it('lets no control character of a text or a name through', () => {
    const text = 'layer A { // \u001b[31m\u0007\u202E\n output y = \u001b[2J }';
    const { diagnostics } = loadLayer({ name: 'a\u001b[2J\n.ssm', text }, null, { sizes: new Map() });
    expect(diagnostics.length).toBeGreaterThan(0);
    for (const each of diagnostics) expect(renderDiagnostic(each, plain)).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u202E]/);
  });

  it('shows a window of a long line with the mark under the right word', () => {
    const text = `layer A { input u ${'let v = u '.repeat(1)}${' '.repeat(5000)} output y = unknown ${' '.repeat(5000)} }`;
    const lines = report(text).split('\n');
    const shown = lines.findIndex((line) => line.includes('unknown'));
    const source = lines.find((line) => line.startsWith('1 |'))!;
    const marks = lines.find((line) => line.includes('^'))!;
    expect(shown).toBeGreaterThanOrEqual(0);
    expect(source.length).toBeLessThan(160);
    expect(source.slice(marks.indexOf('^'), marks.lastIndexOf('^') + 1)).toBe('unknown');
  });

  it('colours on demand only', () => {
    const one = makeDiagnostic({ code: 'SSM6002', message: 'no device', help: 'use wasm' });
    expect(renderDiagnostic(one, plain)).toBe('error[SSM6002]: no device\n  = help: use wasm\n  = page: docs/errors.md#ssm6002-no-device');
    expect(renderDiagnostic(one, { color: true })).toContain('\u001b[1;31m');
  });

  it('gives places as lines and columns in JSON', () => {
    const { diagnostics } = loadLayer({ name: 'a.ssm', text: 'layer A {\n  output y = v\n}' }, null, { sizes: new Map() });
    expect(diagnosticToJson(diagnostics[0]!)).toMatchObject({
      code: 'SSM2001', title: 'unknown name', page: 'docs/errors.md#ssm2001-unknown-name', severity: 'error',
      primary: { file: 'a.ssm', line: 2, column: 14, endLine: 2, endColumn: 15 },
    });
  });
});

describe('suggestions', () => {
  it.each([
    ['sigmiod', ['sigmoid', 'silu'], 'sigmoid'],
    ['Delta', ['delta', 'Deltas'], 'delta'],
    ['x', ['y', 'z'], null],
    ['alpha', ['omega', 'beta'], null],
    ['A_lgo', ['A_log', 'A_im'], 'A_log'],
  ])('%s', (name, candidates, expected) => {
    expect(suggestName(name, candidates)).toBe(expected);
  });

  it('count insertions, deletions, replacements and swaps', () => {
    expect([editDistance('ab', 'ba'), editDistance('abc', 'ac'), editDistance('kitten', 'sitting'), editDistance('', 'ab')]).toEqual([1, 1, 3, 2]);
  });
});
