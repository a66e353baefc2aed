/** The part of the address behind #: an example's name, or a whole text, so that a link can carry one. */
import { findExample } from '../gallery.ts';

const textPrefix = 'text=';

export type Addressed =
  { readonly kind: 'example'; readonly id: string } | { readonly kind: 'text'; readonly text: string };

/** What an address asks for; `first` where it asks for nothing that can be read. */
export function readAddress(hash: string, first: string): Addressed {
  const wanted = hash.replace(/^#/, '');
  if (!wanted.startsWith(textPrefix)) return { kind: 'example', id: wanted === '' ? first : wanted };
  try {
    return { kind: 'text', text: decodeURIComponent(wanted.slice(textPrefix.length)) };
  } catch {
    return { kind: 'example', id: first };
  }
}

/** The address of a text: short where it is the example of that name. */
export function addressOf(text: string, example: string): string {
  return example !== '' && findExample(example).text === text
    ? `#${example}`
    : `#${textPrefix}${encodeURIComponent(text)}`;
}
