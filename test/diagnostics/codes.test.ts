/** Each language diagnostic is provoked by a text, and answers at the right place with a way out. */
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../dsl/index.ts';
import { diagnosticCodes } from '../../support/diagnostic-codes.ts';
import { positionOf } from '../../support/source.ts';
import { renderDiagnostic } from '../../support/render-diagnostic.ts';
import { provocations } from './provoked.ts';

/** SSM1007 is about TypeScript (test/cli/typescript-layers); no transition of another than the elementwise structure can be written yet. */
const notYetProvoked: readonly string[] = ['SSM1007', 'SSM3008'];

describe('diagnostics of the language', () => {
  it.each(provocations.map((each) => [`${each.code} ${each.title}`, each] as const))('%s', (_, each) => {
    const offset = each.text.indexOf('«');
    const file = { name: 'a.ssm', text: each.text.replace('«', '') };
    const outcome = loadLayer(file, each.layer ?? null, { sizes: new Map(each.sizes ?? []) });
    const shown = outcome.diagnostics.map((one) => renderDiagnostic(one, { color: false })).join('\n');
    const found = outcome.diagnostics.find((one) => one.code === each.code && each.message.test(one.message));
    expect(found, shown).toBeDefined();
    const primary = found!.primary!;
    expect(positionOf(file, primary.span.start), shown).toEqual(positionOf(file, offset));
    expect(found!.help ?? '', shown).toMatch(each.help);
    expect(found!.message, shown).not.toMatch(/\.$|^[A-Z]/);
    expect(primary.span.end, shown).toBeGreaterThanOrEqual(primary.span.start);
    expect(outcome.diagnostics.length, shown).toBeLessThanOrEqual(2);
    expect(outcome.spec === null, shown).toBe(outcome.diagnostics.some((one) => one.severity === 'error'));
  });

  it('covers the codes of the families 1xxx to 3xxx', () => {
    const codes = Object.keys(diagnosticCodes).filter((code) => /^SSM[123]/.test(code));
    const provoked = new Set<string>(provocations.map((each) => each.code));
    expect(codes.filter((code) => !provoked.has(code))).toEqual(notYetProvoked);
  });
});
