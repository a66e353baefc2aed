/** docs/errors.md has a section for every diagnostic code, and its examples provoke what they claim. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../dsl/index.ts';
import { diagnosticCodes } from '../../support/diagnostic-codes.ts';
import { codeBlocks } from './code-blocks.ts';

const page = readFileSync('docs/errors.md', 'utf8');
const sections = page.split(/^### /m).slice(1).map((text) => {
  const [, code, title] = /^(SSM\d{4}): (.*)$/m.exec(text) ?? [];
  return { code: code ?? '', title: title ?? '', text };
});

/** No text reaches these; their sections say so. */
const reserved: readonly string[] = ['SSM3008', 'SSM4001', 'SSM4002'];
/** Their texts are too long for a page; test/diagnostics provokes them. */
const described: readonly string[] = ['SSM1004', 'SSM1005'];

describe('docs/errors.md', () => {
  it('has one section for each code, in order, under its title', () => {
    expect(sections.map(({ code, title }) => [code, title])).toEqual(Object.entries(diagnosticCodes));
  });

  it.each(sections.map((each) => [each.code, each] as const))('%s has a cause, an example and a way out', (code, { text, title }) => {
    expect(text.replace(/^.*\n/, '').trim().length, title).toBeGreaterThan(60);
    expect(text).toMatch(/\*\*Way out\.\*\* \S/);
    const [example] = codeBlocks(text);
    if (reserved.includes(code)) {
      expect(text).toContain('Reserved');
      return;
    }
    expect(example, 'example').toBeDefined();
    if (!/^SSM[1-4]/.test(code) || described.includes(code)) return;
    expect(example!.language).toBe('ssm');
    const { diagnostics } = loadLayer({ name: `${code}.ssm`, text: example!.text }, null, { sizes: new Map() });
    const codes = [...new Set(diagnostics.map((each) => each.code))];
    // a character that is refused may leave a hole in the grammar
    expect(code === 'SSM1006' ? codes.slice(0, 1) : codes).toEqual([code]);
  });
});
