/** Any text gives a tree and diagnostics, never an exception, and soon: random bytes and mutated examples. */
import { readFileSync, readdirSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../dsl/index.ts';
import { lowerSpec } from '../../ir/passes/lower-spec.ts';
import { ValueIds } from '../../ir/tensor/builder.ts';
import { verifyModule } from '../../ir/tensor/verify.ts';
import { diagnosticToJson, renderDiagnostics } from '../../support/render-diagnostic.ts';

const folder = new URL('../../examples/', import.meta.url);
const examples = readdirSync(folder).filter((name) => name.endsWith('.ssm')).sort().map((name) => readFileSync(new URL(name, folder), 'utf8'));
const words = [...new Set(examples.join('\n').match(/\w+|[^\s\w]/g) ?? [])];

function survives(text: string): boolean {
  const start = performance.now();
  const { spec, diagnostics } = loadLayer({ name: 'fuzz.ssm', text }, null, { sizes: new Map() });
  const rendered = renderDiagnostics(diagnostics, { color: false });
  expect(performance.now() - start).toBeLessThan(2000);
  expect(diagnostics.length).toBeLessThanOrEqual(20);
  expect(spec === null).toBe(diagnostics.some((each) => each.severity === 'error'));
  for (const each of diagnostics) {
    expect(each.primary!.span.start).toBeGreaterThanOrEqual(0);
    expect(each.primary!.span.end).toBeLessThanOrEqual(Math.max(text.length, 1));
    JSON.stringify(diagnosticToJson(each));
  }
  expect(rendered).not.toMatch(/undefined|NaN|\[object/);
  return spec !== null;
}

type Mutation = { readonly at: number; readonly length: number; readonly word: number; readonly copy: number };

const mutation = fc.record({
  at: fc.double({ min: 0, max: 0.999, noNaN: true }), length: fc.nat(12), word: fc.nat(words.length - 1),
  copy: fc.nat(3),
});

function mutate(text: string, changes: readonly Mutation[]): string {
  let current = text;
  for (const { at, length, word, copy } of changes) {
    const start = Math.floor(at * current.length);
    const removed = current.slice(start, start + length);
    const inserted = copy === 0 ? removed.repeat(2) : copy === 1 ? '' : ` ${words[word] ?? ''} `;
    current = current.slice(0, start) + inserted + current.slice(start + length);
  }
  return current;
}

describe('fuzz', () => {
  it('random text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => void survives(text)),
      { seed: 1, numRuns: 300 },
    );
  });

  it('random words', () => {
    const sentence = fc.array(fc.constantFrom(...words), { maxLength: 120 }).map((each) => each.join(' '));
    fc.assert(
      fc.property(
        sentence,
        (text) => void survives(`layer A(D = 4, N = 2) { input u[D] param B[D, N] ${text} output y[D] = u }`),
      ),
      { seed: 2, numRuns: 500 },
    );
  });

  it('mutated examples, of which some stay sound', () => {
    let sound = 0;
    const input = fc.tuple(fc.constantFrom(...examples), fc.array(mutation, { minLength: 1, maxLength: 4 }));
    fc.assert(
      fc.property(input, ([text, changes]) => void (sound += survives(mutate(text, changes)) ? 1 : 0)),
      { seed: 3, numRuns: 1500 },
    );
    expect(sound).toBeGreaterThan(10);
  });

  it('examples with names exchanged, of which the sound ones lower to Tensor IR', () => {
    let sound = 0;
    const changes = fc.array(fc.tuple(fc.nat(400), fc.nat(400)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.constantFrom(...examples), changes, (text, pairs) => {
        const { spec } = loadLayer({ name: 'fuzz.ssm', text: exchangeNames(text, pairs) }, null, { sizes: new Map() });
        survives(exchangeNames(text, pairs));
        if (spec === null) return;
        sound++;
        // lowering keeps the declared order of a state's axes, which the verifier does not take yet
        const broken = verifyModule(lowerSpec(spec, new ValueIds()));
        expect(broken.filter((each) => !each.includes('not in canonical order'))).toEqual([]);
      }),
      { seed: 4, numRuns: 1500 },
    );
    expect(sound).toBeGreaterThan(100);
  });
});

/** Puts the name at one place of the text where another stands. */
function exchangeNames(text: string, pairs: readonly (readonly [number, number])[]): string {
  const pieces = text.split(/(\b[A-Za-z_]\w*\b)/);
  const names = pieces.flatMap((_, at) => (at % 2 === 1 ? [at] : []));
  for (const [to, from] of pairs) {
    const target = names[to % names.length];
    const source = names[from % names.length];
    if (target !== undefined && source !== undefined) pieces[target] = pieces[source] ?? '';
  }
  return pieces.join('');
}
