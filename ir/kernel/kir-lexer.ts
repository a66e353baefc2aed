/**
 * Tokens of the `.kir` text form. A text is untrusted (files in bug reports, fuzzers), so every
 * fault is an InternalError with a line, and the cursor never moves back: reading always ends.
 */
import { InternalError } from '../../support/invariant.ts';

/** `kind` is the sort of token; for signs it is the sign itself. */
export type Token = { readonly kind: string; readonly text: string; readonly line: number };

const sorts: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ['space', /[ \t\r\n]+/y],
  ['reference', /[%~@$#][0-9]{1,9}:(?:[A-Za-z_][A-Za-z0-9_.]*|"(?:[^"\\\n]|\\.)*")/y],
  ['text', /"(?:[^"\\\n]|\\.)*"/y],
  ['number', /(?:Infinity|NaN|[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)(?:u|d)?(?:x[24])?(?![A-Za-z0-9_])/y],
  ['word', /[A-Za-z][A-Za-z0-9_]*(?:-[A-Za-z][A-Za-z0-9_]*)*/y],
  ['sign', /\.\.|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%<>&|()[\]{},;=]/y],
];

/** Reads tokens one after the other; the last one, `end`, stays for ever. */
export type Cursor = {
  readonly peek: () => Token;
  readonly next: () => Token;
  /** next token, which must be this sign or word */
  readonly expect: (text: string) => Token;
  /** takes the next token if it is this sign or word */
  readonly accept: (text: string) => boolean;
  /** next token, which must be of this kind */
  readonly take: (kind: string) => Token;
};

/** Stops reading with the line of the token. */
export function failAt(token: Token, message: string): never {
  throw new InternalError(`kernel text, line ${token.line}: ${message}`);
}

function tokenAt(text: string, offset: number, line: number): Token {
  for (const [kind, pattern] of sorts) {
    pattern.lastIndex = offset;
    const match = pattern.exec(text);
    if (match !== null) return { kind: kind === 'sign' ? match[0] : kind, text: match[0], line };
  }
  const character = String.fromCodePoint(text.codePointAt(offset) ?? 0);
  return failAt({ kind: 'sign', text: '', line }, `unexpected ${JSON.stringify(character)}`);
}

function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let line = 1;
  for (let offset = 0; offset < text.length; ) {
    const token = tokenAt(text, offset, line);
    offset += token.text.length;
    line += token.text.split('\n').length - 1;
    if (token.kind !== 'space') tokens.push(token);
  }
  return tokens;
}

/** A cursor at the start of the text. */
export function readTokens(text: string): Cursor {
  const tokens = tokenize(text);
  const end: Token = { kind: 'end', text: 'the end', line: tokens.at(-1)?.line ?? 1 };
  let position = 0;
  const peek = (): Token => tokens[position] ?? end;
  const next = (): Token => tokens[position++] ?? end;
  const isIt = (token: Token, wanted: string): boolean => token.text === wanted && token.kind !== 'text' && token.kind !== 'end';
  return {
    peek,
    next,
    expect: (wanted) => {
      const token = next();
      return isIt(token, wanted) ? token : failAt(token, `expected ${wanted}, found ${token.text}`);
    },
    accept: (wanted) => {
      const found = isIt(peek(), wanted);
      if (found) next();
      return found;
    },
    take: (kind) => {
      const token = next();
      return token.kind === kind ? token : failAt(token, `expected a ${kind}, found ${token.text}`);
    },
  };
}
