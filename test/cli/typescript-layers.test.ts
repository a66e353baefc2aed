/** Layers in `.ts` files: found, evaluated without running the file, compiled, and complained of at their place. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import ts from 'typescript';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readTypescriptLayers } from '../../cli/typescript/read-layers.ts';
import { elaborate, parse } from '../../dsl/index.ts';
import { hasErrors } from '../../support/diagnostic.ts';
import { positionOf } from '../../support/source.ts';
import { checkProject } from '../backends/ts/typescript-project.ts';
import { runCommand } from './run-command.ts';

const read = (text: string) => readTypescriptLayers(ts, { name: 'model.ts', text });
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value, (key, each: unknown) => (key === 'span' ? undefined : each)));

function specOf(outcome: ReturnType<typeof read>, layer: string | null = null): unknown {
  expect(outcome.diagnostics).toEqual([]);
  const { spec, diagnostics } = elaborate(outcome.tree, layer, { sizes: new Map() });
  expect(diagnostics).toEqual([]);
  return plain(spec);
}

const specOfText = (text: string, layer: string | null = null): unknown => specOf(parse({ name: 'a.ssm', text }), layer);
const namesIn = (text: string): readonly string[] => read(text).tree.layers.map((each) => each.name.text);

const model = `
import { add, apply, complex, derivative, discretize, exp, iota, layer, log, logUniform, multiply, negate, normal, pi, real, sqrt, ssm, sum, zoh, type Axis } from 'statefuse/builder';

const channels = 2 ** 4;
const sizes = { D: channels, N: 8 / 2 } as const;

export const S4D = layer('S4D', { ...sizes }, ({ input, param, define, state, output, axes: { D, N } }) => {
  const u = input('u', { axes: [D] });
  const log_dt = param('log_dt', { axes: [D], initial: log(logUniform(1e-3, 1e-1)) });
  const matrix: readonly Axis[] = [D, N];
  const a_re = param('a_re', { axes: matrix, initial: log(0.5) });
  const a_im = param('a_im', { axes: [...matrix], initial: pi.times(iota(N)) });
  const C = param('C', { axes: [D, N], type: 'complex', initial: normal({ std: sqrt(0.5) }) });
  const skip = param('skip', { axes: [D], initial: normal() });
  const dt = define('dt', exp(log_dt));
  const x = state('x', { axes: [D, N], type: 'complex' }, (before) => [
    derivative(complex(negate(exp(a_re)), a_im).times(before).plus(u)),
    discretize(zoh(dt)),
  ]);
  output('y', { axes: [D] }, add(multiply(2, real(sum(N, C.times(x)))), skip.times(u)));
});

function stack(name: string, depth = 1) {
  return layer(name, { D: channels }, ({ input, define, output, axes: { D } }) => {
    const u = input('u', { axes: [D] });
    const block = define('block', apply(S4D, { u, D, N: 4 * depth }));
    output('y', { axes: [D] }, block);
  }, { uses: [S4D] });
}

export const Stack = stack('Stack');
export const text = ssm\`layer Decay(D = \${channels * 100}) {
  input u[D] state x[D] { next x = 0.9 * x + u } output y[D] = x
}\`;
`;

describe('layers of a .ts file', () => {
  it('are those of the builder and of templates, in order, as in texts', () => {
    expect(checkProject({ 'model.ts': model }, { options: { isolatedDeclarations: false } })).toEqual([]);
    expect(namesIn(model)).toEqual(['S4D', 'Stack', 'Decay']);
    const s4d = `layer S4D(D = 16, N = 4) {
      input u[D] param log_dt[D] = log(log_uniform(1e-3, 1e-1)), a_re[D, N] = log(0.5), a_im[D, N] = pi * iota(N)
      param C[D, N]: complex = normal(std = sqrt(0.5)), skip[D] = normal() let dt = exp(log_dt)
      state x[D, N]: complex { dx/dt = complex(-exp(a_re), a_im) * x + u discretize zoh(dt) }
      output y[D] = 2 * real(sum[N](C * x)) + skip * u }`;
    expect(specOf(read(model), 'S4D')).toEqual(specOfText(s4d));
    expect(specOf(read(model), 'Stack')).toEqual(specOfText(`${s4d} layer Stack(D = 16) { input u[D] let block = S4D(u = u, D = D, N = 4) output y[D] = block }`));
    expect(specOf(read(model), 'Decay')).toEqual(specOfText('layer Decay(D = 1600) { input u[D] state x[D] { next x = 0.9 * x + u } output y[D] = x }'));
  });

  it('are found under other names, in calls, functions and default exports', () => {
    expect(namesIn("import * as s from 'statefuse/builder';\nexport default s.layer('A', {}, ({ output }) => output('y', { perSequence: true }, s.add(1, 2)));")).toEqual(['A']);
    expect(namesIn("import { layer as make, ssm as text } from 'statefuse/builder';\nrun(make('A', {}, () => {}));\nconst f = () => run(text`layer B {}`);")).toEqual(['A', 'B']);
    expect(namesIn("import { ssm } from 'elsewhere';\nimport { layer } from './builder';\nlayer('A', {}, () => {}); ssm`layer B {}`;")).toEqual([]);
  });

  it('leave the rest of the file alone', () => {
    expect(namesIn(`import { ssm } from 'statefuse/builder';
      const other = fetch('x').then(async (r) => { for (const a of await r.json()) throw a; });
      class C { static x = process.exit(1); }
      export const A = ssm\`layer A { output y per sequence = 1 }\`;`)).toEqual(['A']);
  });
});

/** The text before the place of the first diagnostic is what `at` must begin. */
function complaint(text: string): { readonly code: string; readonly message: string; readonly at: string } {
  const { tree, diagnostics } = read(text);
  const all = hasErrors(diagnostics) ? diagnostics : elaborate(tree, null, { sizes: new Map() }).diagnostics;
  const [first] = all;
  const { primary, code, message } = first!;
  expect(primary!.file).toEqual({ name: 'model.ts', text });
  return { code, message, at: text.slice(primary!.span.start, primary!.span.end) };
}

const builder = "import { layer, add, exp, sum, ssm, multiply, next } from 'statefuse/builder';\n";
const inLayer = (body: string): string => `${builder}export const A = layer('A', { D: 2 }, ({ input, param, define, state, output, axes: { D } }) => {\n  const u = input('u', { axes: [D] });\n  ${body}\n});\n`;

describe('a mistake', () => {
  it.each([
    ['in a template', `${builder}const a = ssm\`layer A(D = 2) { input u[D] output y[D] = uu }\`;`, 'SSM2001', 'uu'],
    ['in its grammar', `${builder}const a = ssm\`layer A(D = 2) { input u[D] output y[D] = * u }\`;`, 'SSM1001', '*'],
    ['after a number that was put in', `${builder}const n = 1000;\nconst a = ssm\`layer A(D = \${n}, N = \${n}) { input u[D] output y[D] = uu + \${n} }\`;`, 'SSM2001', 'uu'],
    ['that is a number put in', `${builder}const n = 0.5;\nconst a = ssm\`layer A(D = \${n}) { input u[D] output y[D] = u }\`;`, 'SSM2009', 'n'],
    ['in a call of the builder', inLayer("output('y', { axes: [] }, exp(u));"), 'SSM2006', 'exp(u)'],
    ['in a method', inLayer("output('y', { axes: [D] }, exp(u).plus(u.isLess(1)));"), 'SSM2008', 'u.isLess(1)'],
    ['in a state', inLayer("const x = state('x', { axes: [D] }, (x) => [next(exp(x))]);\n  output('y', { axes: [D] }, x);"), 'SSM3001', 'exp(x)'],
    ['of a name', inLayer("output('a b', { axes: [D] }, u);"), 'SSM6004', "output('a b', { axes: [D] }, u)"],
    ['of an operand', inLayer("output('y', { axes: [D] }, add(u, 'v'));"), 'SSM6004', "add(u, 'v')"],
    ['of a shape of arguments', inLayer("output('y');"), 'SSM1007', "output('y')"],
    ['of an operator', inLayer("output('y', { axes: [D] }, 2 * u);"), 'SSM1007', '2 * u'],
    ['of a global', inLayer("output('y', { axes: [D] }, multiply(process.env.X, u));"), 'SSM1007', 'process'],
    ['of a prototype', inLayer("output('y', { axes: [D] }, u.constructor('return 1')());"), 'SSM1007', 'constructor'],
    ['of a variable', `${builder}let n = 2;\nconst a = layer('A', { D: n }, () => {});`, 'SSM1007', 'n'],
    ['of an import', `${builder}import { n } from './sizes.ts';\nconst a = layer('A', { D: n }, () => {});`, 'SSM1007', 'n'],
    ['of a cycle', `${builder}const n: number = m, m: number = n;\nconst a = layer('A', { D: n }, () => {});`, 'SSM1007', 'n'],
    ['of endless calls', `${builder}const f = (n: number): number => f(n);\nconst a = layer('A', { D: f(1) }, () => {});`, 'SSM1007', '(n: number): number => f(n)'],
    ['of a statement', inLayer('for (const a of [1]) output("y", {}, a);'), 'SSM1007', 'for (const a of [1]) output("y", {}, a);'],
    ['of TypeScript', `${builder}const a = = 1;`, 'SSM1001', '='],
    ['of an infinite number', inLayer("output('y', { axes: [D] }, multiply(1 / 0, u));"), 'SSM6004', 'multiply(1 / 0, u)'],
  ])('%s is shown at its place', (_, text, code, at) => {
    expect(complaint(text)).toMatchObject({ code, at });
  });

  it('in several layers is reported for each, once', () => {
    const { diagnostics } = read(`${builder}const n = f();\nconst A = layer('A', { D: n }, () => {});\nconst B = layer('B', { D: 2 }, () => {}, { uses: [A] });\nconst C = ssm\`layer {\`;`);
    expect(diagnostics.map((each) => [each.code, positionOf(each.primary!.file, each.primary!.span.start).line])).toEqual([['SSM1007', 2], ['SSM1001', 5]]);
  });

  it('keeps lines of files with other line ends and characters', () => {
    const text = `// héllo → 𝒳\r\n${builder.replace('\n', '\r\n')}const a = ssm\`\r\nlayer A(D = 2) {\r\n  input u[D]\r\n  output y[D] = uu\r\n}\`;`;
    expect(complaint(text)).toMatchObject({ code: 'SSM2001', at: 'uu' });
  });
});

it('any file gives layers or diagnostics with places in it', () => {
  const words = [...new Set(model.match(/\w+|[^\s\w]/g) ?? [])];
  const change = fc.record({ at: fc.nat(model.length), length: fc.nat(12), word: fc.constantFrom('', ...words) });
  fc.assert(fc.property(fc.array(change, { maxLength: 4 }), (changes) => {
    const text = changes.reduce((current, { at, length, word }) => `${current.slice(0, at)}${word}${current.slice(at + length)}`, model);
    const { tree, diagnostics } = read(text);
    const all = hasErrors(diagnostics) ? diagnostics : [...diagnostics, ...elaborate(tree, null, { sizes: new Map() }).diagnostics];
    for (const { primary } of all) {
      expect(primary!.span.start).toBeGreaterThanOrEqual(0);
      expect(primary!.span.end).toBeLessThanOrEqual(text.length);
    }
  }), { seed: 5, numRuns: 300 });
});

describe('commands on a .ts file', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'statefuse-host-'));
    writeFileSync(join(directory, 'model.ts'), model);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('check, compile and explain', async () => {
    expect(await runCommand(['check', 'model.ts'], { directory })).toEqual({ code: 0, error: '', output: 'model.ts: S4D, Stack, Decay ok\n' });
    expect((await runCommand(['compile', 'model.ts', '--layer', 'S4D', '--target', 'ts', '--out-dir', 'out'], { directory })).output).toContain('S4D.ts in out');
    expect((await runCommand(['compile', 'model.ts', '--target', 'wgsl', '--size', 'D=4', '--out-dir', 'out'], { directory })).code).toBe(0);
    expect((await runCommand(['explain', 'model.ts', '--layer', 'Stack'], { directory })).output).toContain('Stack');
  });

  it('show mistakes with lines of the file', async () => {
    writeFileSync(join(directory, 'model.ts'), model.replace('0.9 * x + u }', '0.9 * x + uu }'));
    const { code, error } = await runCommand(['check', 'model.ts'], { directory });
    expect(code).toBe(1);
    expect(error).toMatch(/model\.ts:33:\d+/);
    expect(error).toContain('33 |   input u[D] state x[D] { next x = 0.9 * x + uu } output y[D] = x');
  });
});
