/** The builder makes the trees of texts: of every example, and of layers written by hand. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { functionNames } from '../../dsl/check/calls.ts';
import { initialiserNames } from '../../dsl/check/initialisers.ts';
import * as builder from '../../dsl/builder/index.ts';
import {
  add, apply, complex, delay, derivative, discretize, exp, iota, layer, log, logUniform, multiply, negate, next, normal, pi, real, resetWhen,
  sigmoid, softplus, sqrt, ssm, sum, zoh, type LayerSource,
} from '../../dsl/builder/index.ts';
import { elaborate, parse } from '../../dsl/index.ts';
import { compileText } from '../../index.ts';
import { hasErrors } from '../../support/diagnostic.ts';
import { codeBlocks } from '../docs/code-blocks.ts';
import { rebuild } from './rebuild.ts';

const texts = [
  ...readdirSync('examples', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ssm')).sort()
    .map((name) => ({ name: `examples/${name}`, text: readFileSync(`examples/${name}`, 'utf8') })),
  ...codeBlocks(readFileSync('docs/language.md', 'utf8')).filter((each) => each.language === 'ssm')
    .map(({ line, text }) => ({ name: `docs/language.md:${line}`, text })),
];

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value, (key, each: unknown) => (key === 'span' ? undefined : each)));

function specOf(source: LayerSource): unknown {
  const { spec, diagnostics } = elaborate(source.tree, source.name, { sizes: new Map() });
  expect(hasErrors(diagnostics), JSON.stringify(diagnostics)).toBe(false);
  return plain(spec);
}

const example = (name: string): LayerSource => {
  const { tree } = parse({ name, text: readFileSync(`examples/${name}.ssm`, 'utf8') });
  return { name: tree.layers.at(-1)!.name.text, tree };
};

describe('the builder', () => {
  it.each(texts.map((each) => [each.name, each] as const))('makes the tree and the description of %s', (name, { text }) => {
    const { tree } = parse({ name, text });
    const built = rebuild(tree);
    expect(plain(built.tree.layers)).toEqual(plain(tree.layers));
    expect(specOf(built)).toEqual(specOf({ name: built.name, tree }));
  });

  it('has every function of the language', () => {
    const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const missing = [...functionNames, ...initialiserNames].filter((name) => !(camel(name) in builder));
    expect(missing).toEqual(['pick']); // another word for `gather`
  });

  it('makes S4D as a person writes it', () => {
    const S4D = layer('S4D', { D: 256, N: 32 }, ({ input, param, define, state, output, axes: { D, N } }) => {
      const u = input('u', { axes: [D] });
      const log_dt = param('log_dt', { axes: [D], initial: log(logUniform(1e-3, 1e-1)) });
      const a_re = param('a_re', { axes: [D, N], initial: log(0.5) });
      const a_im = param('a_im', { axes: [D, N], initial: pi.times(iota(N)) });
      const C = param('C', { axes: [D, N], type: 'complex', initial: normal({ std: sqrt(0.5) }) });
      const skip = param('skip', { axes: [D], initial: normal() });
      const dt = define('dt', exp(log_dt));
      const x = state('x', { axes: [D, N], type: 'complex' }, (before) => [
        derivative(complex(negate(exp(a_re)), a_im).times(before).plus(u)),
        discretize(zoh(dt)),
      ]);
      output('y', { axes: [D] }, add(multiply(2, real(sum(N, C.times(x)))), skip.times(u)));
    });
    expect(specOf(S4D)).toEqual(specOf(example('s4d')));
  });

  it('applies layers, and carries those along', () => {
    const Smooth = layer('Smooth', { D: 4 }, ({ input, state, output, axes: { D } }) => {
      const u = input('u', { axes: [D] });
      const starts = input('starts', { type: 'flag' });
      const x = state('x', { axes: [D] }, (before) => [next(multiply(0.9, before).plus(delay(u, 1))), resetWhen(starts)]);
      output('y', { axes: [D] }, x);
    });
    const Model = layer('Model', { D: 8 }, ({ input, define, output, axes: { D } }) => {
      const [u, starts] = [input('u', { axes: [D] }), input('starts', { type: 'flag' })];
      const first = define('first', apply(Smooth, { u, starts, D }));
      output('y', { axes: [D] }, sigmoid(first.output('y')).minus(-2.5));
    }, { uses: [Smooth] });
    const text = `
      layer Smooth(D = 4) { input u[D], starts: flag state x[D] { next x = 0.9 * x + delay(u, 1) reset when starts } output y[D] = x }
      layer Model(D = 8) { input u[D], starts: flag let first = Smooth(u = u, starts = starts, D = D) output y[D] = sigmoid(first.y) - -2.5 }`;
    expect(specOf(Model)).toEqual(specOf({ name: 'Model', tree: parse({ name: 'a', text }).tree }));
    expect(Model.tree.layers.map((each) => each.name.text)).toEqual(['Smooth', 'Model']);
  });

  it('gives artifacts like texts', () => {
    const built = layer('A', { D: null }, ({ input, output, axes: { D } }) => output('y', { axes: [D] }, softplus(input('u', { axes: [D] }))));
    const { artifact } = compileText(built, { target: 'wasm', sizes: { D: 3 } });
    expect(artifact.code).toEqual(compileText('layer A(D) { input u[D] output y[D] = softplus(u) }', { target: 'wasm', sizes: { D: 3 } }).artifact.code);
    expect(() => compileText(built, { target: 'wasm' })).toThrow(/SSM2009/);
  });

  it('refuses what no text could say', () => {
    for (const name of ['a b', '', 'x-y', 'α', '__proto__ ']) expect(() => layer(name, {}, () => undefined)).toThrow(/SSM6004/);
    expect(() => exp(Number.NaN)).toThrow(/SSM6004/);
    expect(() => exp('u' as never)).toThrow(/SSM6004/);
    expect(() => layer('A', {}, ({ input, selective }) => selective(input('u').plus(1)))).toThrow(/SSM6004/);
  });
});

describe('ssm`…`', () => {
  it('is the text, with numbers put in', () => {
    const source = ssm`layer A(D = ${3 + 1}) { input u[D] output y[D] = ${-0.5} * u }`;
    expect(source.name).toBe('A');
    expect(specOf(source)).toEqual(specOf({ name: 'A', tree: parse({ name: 'a', text: 'layer A(D = 4) { input u[D] output y[D] = (-0.5) * u }' }).tree }));
  });

  it('throws what the grammar refuses, empty texts, and values that are no numbers', () => {
    expect(() => ssm`layer A(D = 2) { input u[D`).toThrow(/SSM1002/);
    expect(() => ssm``).toThrow(/SSM2010/);
    expect(() => ssm`layer A(D = ${'2' as never}) {}`).toThrow(/SSM6004/);
  });
});
