/**
 * The statements of a text whose grammar is known to be right, as stretches of its tokens: layers,
 * the statements in them, the clauses in states. Expressions are left to `expressions.ts`.
 */
import type { TokenType } from 'chevrotain';
import * as words from '../tokens.ts';
import { required } from '../../support/invariant.ts';
import type { FormatToken } from './tokens-with-comments.ts';

/** What begins a statement of a layer. */
export const statementWords: ReadonlySet<TokenType> = new Set([
  words.axisWord, words.inputWord, words.paramWord, words.letWord, words.selectiveWord, words.timeInvariantWord,
  words.stateWord, words.outputWord,
]);

/** What begins a clause of a state; derivatives begin with a name. */
export const clauseWords: ReadonlySet<TokenType> = new Set([
  words.nextWord, words.discretizeWord, words.orderWord, words.resetWord, words.restartWord, words.structureWord,
]);

const opening: ReadonlySet<TokenType> = new Set([words.openParenthesis, words.openBracket, words.openBrace]);
const closing: ReadonlySet<TokenType> = new Set([words.closeParenthesis, words.closeBracket, words.closeBrace]);

/** 1 where a bracket opens, -1 where one closes. */
export function depthChange(type: TokenType | null): -1 | 0 | 1 {
  if (type === null) return 0;
  return opening.has(type) ? 1 : closing.has(type) ? -1 : 0;
}

/** A statement without braces, or the head of one with braces and what is in them. */
export type Statement = {
  readonly head: readonly FormatToken[];
  readonly block: { readonly open: FormatToken; readonly body: readonly Statement[]; readonly close: FormatToken } | null;
};

type Level = 'file' | 'layer' | 'state';

const inside: Readonly<Record<Level, Level>> = { file: 'layer', layer: 'state', state: 'state' };

/** The statements of a row of tokens, which ends before the end token. */
export function readStatements(tokens: readonly FormatToken[], level: Level = 'file'): readonly Statement[] {
  const found: Statement[] = [];
  let at = 0;
  while (at < tokens.length) {
    const start = at;
    let depth = 0;
    let open = -1;
    for (at += 1; at < tokens.length; at++) {
      const type = required(tokens[at], 'token').type;
      if (depth === 0 && open < 0 && type === words.openBrace) open = at;
      if (depth === 0 && beginsStatement(tokens, at, level)) break;
      depth += depthChange(type);
      if (depth === 0 && open >= 0) break;
    }
    if (open < 0) {
      found.push({ head: tokens.slice(start, at), block: null });
      continue;
    }
    const close = required(tokens[at], 'closing brace');
    const body = readStatements(tokens.slice(open + 1, at), inside[level]);
    found.push({ head: tokens.slice(start, open), block: { open: required(tokens[open], 'brace'), body, close } });
    at++;
  }
  return found;
}

function beginsStatement(tokens: readonly FormatToken[], at: number, level: Level): boolean {
  const type = tokens[at]?.type ?? null;
  if (type === null) return false;
  if (level === 'file') return type === words.layerWord;
  if (level === 'layer') return statementWords.has(type);
  return clauseWords.has(type) || isDerivative(tokens.slice(at, at + 4));
}

/** `dx/dt =`: the only place where an equals sign follows a quotient. */
export function isDerivative(tokens: readonly FormatToken[]): boolean {
  const pattern = [words.identifier, words.slash, words.identifier, words.equals];
  return pattern.every((type, at) => tokens[at]?.type === type);
}
