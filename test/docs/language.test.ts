/** Every layer text on the documents' pages compiles, without warnings, for every target. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileSpec } from '../../backends/compile.ts';
import { initialiserNames } from '../../dsl/check/initialisers.ts';
import { loadLayer, parse } from '../../dsl/index.ts';
import { elementwiseFunctions } from '../../dsl/spec.ts';
import { keywords } from '../../dsl/tokens.ts';
import { initialParameters } from '../../ir/initial/index.ts';
import { renderDiagnostics } from '../../support/render-diagnostic.ts';
import { codeBlocks } from './code-blocks.ts';

const pages = ['README.md', 'docs/language.md', 'docs/hacking.md', 'docs/design.md'];
const blocks = pages.flatMap((page) =>
  codeBlocks(readFileSync(page, 'utf8')).filter((each) => each.language === 'ssm').map((each) => ({ ...each, name: `${page}:${each.line}` })));

const language = readFileSync('docs/language.md', 'utf8');

describe('examples of the documents', () => {
  it('are there', () => expect(blocks.length).toBeGreaterThanOrEqual(12));

  it.each(blocks.map((each) => [each.name, each] as const))('%s compiles', (name, { text }) => {
    const file = { name, text };
    for (const layer of parse(file).tree.layers) {
      const { spec, diagnostics } = loadLayer(file, layer.name.text, { sizes: new Map() });
      expect(renderDiagnostics(diagnostics, { color: false })).toBe('');
      expect([...initialParameters(spec!, 0).values()].every((each) => each.every(Number.isFinite))).toBe(true);
      for (const target of ['wasm', 'wgsl', 'cuda'] as const) {
        expect(compileSpec(spec!, { target }).artifact.manifest.entries.length, target).toBeGreaterThanOrEqual(4);
      }
    }
  });
});

describe('docs/language.md', () => {
  it.each(keywords.map((each) => String(each.PATTERN)))('names the reserved word %s', (word) => {
    expect(language).toMatch(new RegExp(`[\`" ]${word}[\`" .\n]`));
  });

  it.each([...initialiserNames])('names the initialiser %s', (name) => {
    expect(language).toContain(`\`${name}(`);
  });

  it.each(Object.keys(elementwiseFunctions))('names the function %s', (name) => {
    expect(language).toMatch(new RegExp(`[\` ]${name}[\`( ]`));
  });
});
