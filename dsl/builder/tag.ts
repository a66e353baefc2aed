/** `` ssm`layer S4D(D = 256) { … }` ``: a text inside of TypeScript, read when the program runs. */
import { parse } from '../parse.ts';
import { hasErrors, SsmError, ssmError } from '../../support/diagnostic.ts';
import type { LayerSource } from './values.ts';

/** Reads a text; numbers may be put into it. Throws an SsmError with every mistake that the grammar finds. */
export function ssm(texts: TemplateStringsArray, ...values: readonly number[]): LayerSource {
  const text = texts.raw.map((each, at) => `${each}${at < values.length ? numberText(values[at]) : ''}`).join('');
  const { tree, diagnostics } = parse({ name: 'ssm`…`', text });
  if (hasErrors(diagnostics)) throw new SsmError(diagnostics);
  const last = tree.layers.at(-1);
  if (last === undefined) throw ssmError('SSM2010', 'the text has no layer', 'write `layer Name(D = 16) { … }`');
  return { name: last.name.text, tree };
}

/** A number as the language writes it. Throws SSM6004 for anything else. */
export function numberText(value: unknown): string {
  if (typeof value === 'number' && Number.isFinite(value)) return value < 0 ? `(${value})` : String(value);
  throw ssmError('SSM6004', `${String(value)} is put into a text, which takes numbers only`);
}
