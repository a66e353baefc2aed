/** The TypeScript of the pages is what a strict compiler accepts, and its layers are those of the texts. */
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { expect, it } from 'vitest';
import { compileModuleLayer } from '../../backends/ts/compile-module.ts';
import { emitModule } from '../../backends/ts/index.ts';
import { readTypescriptLayers } from '../../cli/typescript/read-layers.ts';
import { elaborate, loadLayer } from '../../dsl/index.ts';
import { checkProject } from '../backends/ts/typescript-project.ts';
import { codeBlocks } from './code-blocks.ts';

const blocks = codeBlocks(readFileSync('docs/typescript.md', 'utf8')).filter((each) => each.language === 'ts');
const spec = (name: string) => loadLayer({ name, text: readFileSync(`examples/${name}.ssm`, 'utf8') }, null, { sizes: new Map(name === 's6' ? [['D', 64]] : []) }).spec!;
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value, (key, each: unknown) => (key === 'span' ? undefined : each)));

const moduleOf = (name: string) => emitModule(ts, [compileModuleLayer(spec(name), { targets: ['wasm'], seed: 1 })], { runtime: 'statefuse/runtime' });

it('README.md passes tsc --strict', () => {
  const shown = codeBlocks(readFileSync('README.md', 'utf8')).filter((each) => each.language === 'ts');
  const files = Object.fromEntries(shown.map((each) => [`block-${each.line}.ts`, each.text]));
  expect(shown.length).toBeGreaterThanOrEqual(2);
  expect(checkProject({ 's4d.ssm.d.ts': moduleOf('s4d').declarations, ...files }, { options: { isolatedDeclarations: false, declaration: false } })).toEqual([]);
});

it('docs/typescript.md passes tsc --strict', () => {
  const { typescript, declarations } = moduleOf('s6');
  const files = Object.fromEntries(blocks.map((each) => [`block-${each.line}.ts`, each.text]));
  expect(blocks.length).toBeGreaterThanOrEqual(5);
  expect(checkProject({ 'S6.ts': typescript, 's6.ssm.d.ts': declarations, ...files }, { options: { isolatedDeclarations: false, declaration: false } })).toEqual([]);
});

it('its layers are read as the texts are', () => {
  const trees = blocks.map((each) => readTypescriptLayers(ts, { name: 'block.ts', text: each.text })).filter((each) => each.tree.layers.length > 0);
  expect(trees.map(({ tree, diagnostics }) => [...tree.layers.map((each) => each.name.text), ...diagnostics])).toEqual([['S4D'], ['Decay']]);
  expect(plain(elaborate(trees[0]!.tree, null, { sizes: new Map() }).spec)).toEqual(plain(spec('s4d')));
});
