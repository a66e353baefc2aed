/**
 * Expressions and declarations as documents, token by token: nothing is added or removed, so the
 * formatted text reads as the same tree. Lines are broken before the loosest operators first, then
 * inside brackets.
 */
import type { TokenType } from 'chevrotain';
import * as words from '../tokens.ts';
import { concat, freshLine, group, indent, line, sequence, softLine, text, type Doc } from '../../support/doc.ts';
import { depthChange } from './structure.ts';
import type { FormatToken } from './tokens-with-comments.ts';

type Tokens = readonly FormatToken[];

export const nothing: Doc = concat();
export const space: Doc = text(' ');

/** The comments before a token that stands inside a statement. */
export function commentsBefore(token: FormatToken): Doc {
  if (token.comments.length === 0) return nothing;
  return sequence(token.comments.map((each) =>
    each.place === 'behind' ? concat(' ', each.text, freshLine) : concat(freshLine, each.text, freshLine)));
}

/** A token after its comments and a separator, which is dropped where a comment has ended the line. */
export function spaced(token: FormatToken, separator: Doc): Doc {
  return concat(commentsBefore(token), separator, token.image);
}

const precedence: ReadonlyMap<TokenType, number> = new Map<TokenType, number>([
  [words.orWord, 1], [words.andWord, 2],
  ...[words.less, words.lessEqual, words.greater, words.greaterEqual, words.equalEqual, words.notEqual]
    .map((type) => [type, 3] as const),
  [words.plus, 4], [words.minus, 4], [words.star, 5], [words.slash, 5], [words.caret, 6],
]);

/** Whether a value can end with this token, which makes a minus after it a difference. */
function endsValue(token: FormatToken | undefined): boolean {
  const ends: readonly (TokenType | null | undefined)[] =
    [words.identifier, words.number, words.closeParenthesis, words.closeBracket];
  return ends.includes(token?.type);
}

function precedenceAt(tokens: Tokens, at: number): number | null {
  const type = tokens[at]?.type ?? null;
  return type !== null && endsValue(tokens[at - 1]) ? precedence.get(type) ?? null : null;
}

/** Runs over what is outside of brackets, up to the first `if`, whose `else` takes all that follows. */
function outside(tokens: Tokens, visit: (token: FormatToken, at: number) => void): void {
  let depth = 0;
  for (const [at, token] of tokens.entries()) {
    if (depth === 0 && token.type === words.ifWord) return;
    const change = depthChange(token.type);
    if (depth === 0 && change >= 0) visit(token, at);
    depth += change;
  }
}

/** The places of the loosest operators of an expression. */
function loosestOperators(tokens: Tokens): readonly number[] {
  let loosest = Number.POSITIVE_INFINITY;
  let places: number[] = [];
  outside(tokens, (_, at) => {
    const here = precedenceAt(tokens, at);
    if (here === null || here > loosest) return;
    if (here < loosest) places = [];
    loosest = here;
    places.push(at);
  });
  return places;
}

/** Pieces of a row, cut before each of some places. */
function cutAt(tokens: Tokens, places: readonly number[]): readonly Tokens[] {
  return [0, ...places].map((from, at) => tokens.slice(from, places[at] ?? tokens.length));
}

/**
 * An expression after a separator. Lines that it is broken into are indented by themselves, or where
 * the surroundings do so already (`given`), not once more.
 */
export function expressionDoc(tokens: Tokens, separator: Doc, indentation: 'own' | 'given'): Doc {
  const places = loosestOperators(tokens);
  if (places.length === 0) return operandDoc(tokens, separator, indentation);
  const [first = [], ...rest] = cutAt(tokens, places);
  const terms = rest.flatMap(([operator, ...operand]) => operator === undefined
    ? []
    : [spaced(operator, line), expressionDoc(operand, space, 'own')]);
  const body = sequence(terms);
  return group(concat(expressionDoc(first, separator, 'own'), indentation === 'own' ? indent(body) : body));
}

function operandDoc(tokens: Tokens, separator: Doc, indentation: 'own' | 'given'): Doc {
  let at = tokens.findIndex((token) => token.type !== words.minus && token.type !== words.notWord);
  if (at < 0) at = tokens.length;
  const rest = tokens.slice(at);
  const prefixes = tokens.slice(0, at);
  if (rest[0]?.type !== words.ifWord) return rowDoc(tokens, separator);
  const lead = afterPrefix(prefixes.at(-1), separator);
  return concat(rowDoc(prefixes, separator), conditionalDoc(rest, lead, indentation));
}

function afterPrefix(prefix: FormatToken | undefined, otherwise: Doc): Doc {
  if (prefix === undefined) return otherwise;
  return prefix.type === words.minus ? nothing : space;
}

/** `if p then a else b`, broken before `then` and `else`. */
function conditionalDoc(tokens: Tokens, separator: Doc, indentation: 'own' | 'given'): Doc {
  const places: number[] = [];
  let depth = 0;
  let open = 0;
  for (const [at, { type }] of tokens.entries()) {
    depth += depthChange(type);
    if (depth > 0) continue;
    if (type === words.ifWord) open++;
    if (open === 1 && (type === words.thenWord || type === words.elseWord)) places.push(at);
    if (type === words.elseWord) open--;
    if (open === 0) break;
  }
  const [first = [], ...branches] = cutAt(tokens, places);
  const [word, ...condition] = first;
  const head = word === undefined ? nothing : concat(spaced(word, separator), expressionDoc(condition, space, 'own'));
  const body = sequence(branches.flatMap(([name, ...value]) => name === undefined
    ? []
    : [spaced(name, line), expressionDoc(value, space, 'own')]));
  return group(concat(head, indentation === 'own' ? indent(body) : body));
}

const tightBefore: ReadonlySet<TokenType | null> =
  new Set([words.comma, words.colon, words.dot, words.closeParenthesis, words.closeBracket]);

function separatorBetween(before: FormatToken, beforeThat: FormatToken | undefined, token: FormatToken): Doc {
  if (tightBefore.has(token.type) || before.type === words.dot) return nothing;
  if (before.type === words.minus && !endsValue(beforeThat)) return nothing;
  const isBracket = token.type === words.openParenthesis || token.type === words.openBracket;
  return isBracket && endsValue(before) ? nothing : space;
}

/** Words, names and brackets in a row: `C[D, N]: complex`, `sum[N](…)`, `order reverse`. */
export function rowDoc(tokens: Tokens, separator: Doc): Doc {
  const parts: Doc[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const [token, before] = [tokens[at], tokens[at - 1]];
    if (token === undefined) break;
    const lead = before === undefined ? separator : separatorBetween(before, tokens[at - 2], token);
    if (depthChange(token.type) !== 1) {
      parts.push(spaced(token, lead));
      continue;
    }
    const length = bracketLength(tokens.slice(at));
    parts.push(bracketDoc(tokens.slice(at, at + length), lead));
    at += length - 1;
  }
  return sequence(parts);
}

function bracketLength(tokens: Tokens): number {
  let depth = 0;
  return 1 + tokens.findIndex(({ type }) => {
    depth += depthChange(type);
    return depth === 0;
  });
}

/** `(a, b = c)` or `[D, N]`; broken, each part has a line of its own. */
function bracketDoc(tokens: Tokens, separator: Doc): Doc {
  const [open, close] = [tokens[0], tokens.at(-1)];
  if (open === undefined || close === undefined) return nothing;
  const body = listDoc(tokens.slice(1, -1), softLine, 'given');
  return group(concat(
    spaced(open, separator), indent(concat(body, commentsBefore(close))), softLine, close.image,
  ));
}

/** Parts with commas between them; a line may be broken after each comma. */
export function listDoc(tokens: Tokens, separator: Doc, indentation: 'own' | 'given'): Doc {
  if (tokens.length === 0) return nothing;
  const commas: number[] = [];
  let depth = 0;
  for (const [at, { type }] of tokens.entries()) {
    depth += depthChange(type);
    if (depth === 0 && type === words.comma) commas.push(at);
  }
  return sequence(cutAt(tokens, commas).map((part, at) => {
    const [comma, ...rest] = part;
    if (at === 0 || comma === undefined) return partDoc(part, separator, indentation);
    return concat(spaced(comma, nothing), partDoc(rest, line, 'own'));
  }));
}

/** `y[D] = value`, `std = value`, `reset when value`, or a value alone. */
function partDoc(tokens: Tokens, separator: Doc, indentation: 'own' | 'given'): Doc {
  let place = -1;
  outside(tokens, ({ type }, at) => {
    if (place < 0 && (type === words.equals || type === words.whenWord)) place = at;
  });
  const sign = tokens[place];
  if (sign === undefined) return expressionDoc(tokens, separator, indentation);
  return concat(
    rowDoc(tokens.slice(0, place), separator), spaced(sign, space),
    expressionDoc(tokens.slice(place + 1), space, indentation),
  );
}

/** `dx/dt = value`, which is no quotient. */
export function derivativeDoc(tokens: Tokens): Doc {
  const [differential, slash, time, sign, ...value] = tokens;
  if (differential === undefined || slash === undefined || time === undefined || sign === undefined) return nothing;
  return concat(
    differential.image,
    indent(concat(
      spaced(slash, nothing), spaced(time, nothing), spaced(sign, space), expressionDoc(value, space, 'given'),
    )),
  );
}
