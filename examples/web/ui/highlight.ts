/** The editor's coloured text: tokens of the language by their look, and marks under what diagnostics point at. */
import type { Span } from '../../../support/source.ts';
import { make } from './dom.ts';

export type Mark = { readonly span: Span; readonly kind: 'error' | 'warning' | 'remark' | 'secondary' };

const keywords =
  'layer|axis|input|param|let|selective|time_invariant|state|output|next|discretize|order|reset|restart|structure|when|per|if|then|else|and|or|not';
const tokens = new RegExp(
  [
    '(?<comment>//[^\\n]*)',
    `(?<keyword>\\b(?:${keywords})\\b)`,
    '(?<number>\\b\\d[\\w.]*(?:(?<=[eE])[+-]\\d+)?)',
    '(?<call>[A-Za-z_]\\w*(?=\\s*[(\\[]))',
  ].join('|'),
  'g',
);

type Piece = { readonly start: number; readonly end: number; readonly kind: string };

function piecesOf(text: string): readonly Piece[] {
  return [...text.matchAll(tokens)].map((match) => {
    const kind = Object.entries(match.groups ?? {}).find(([, found]) => found !== undefined)?.[0] ?? '';
    return { start: match.index, end: match.index + match[0].length, kind };
  });
}

/** A span of no width marks the character beside it. */
function visible({ start, end }: Span, length: number): Span {
  return end > start
    ? { start, end }
    : start < length
      ? { start, end: start + 1 }
      : { start: Math.max(0, length - 1), end: length };
}

/** Spans with classes, cut where tokens and marks begin and end. */
export function highlight(text: string, marks: readonly Mark[]): readonly Node[] {
  const pieces = piecesOf(text);
  const marked = marks.map((each) => ({ ...each, span: visible(each.span, text.length) }));
  const cuts = new Set([
    0,
    text.length,
    ...pieces.flatMap((each) => [each.start, each.end]),
    ...marked.flatMap(({ span }) => [span.start, span.end]),
  ]);
  const places = [...cuts].filter((each) => each <= text.length).sort((left, right) => left - right);
  const nodes: Node[] = [];
  let piece = 0;
  for (const [at, start] of places.entries()) {
    const end = places[at + 1] ?? text.length;
    if (end <= start) continue;
    while ((pieces[piece]?.end ?? Infinity) <= start) piece += 1;
    const token = pieces[piece];
    const classes = token !== undefined && token.start <= start ? [`token-${token.kind}`] : [];
    const under = marked
      .filter(({ span }) => span.start <= start && span.end >= end)
      .map((each) => `mark-${each.kind}`);
    const all = [...classes, ...new Set(under)];
    const part = text.slice(start, end);
    nodes.push(
      all.length === 0 ? document.createTextNode(part) : make('span', { class: all.join(' ') }, part),
    );
  }
  return nodes;
}
