/**
 * Tokens of `.ssm` text. Keywords are reserved words, which is what lets the grammar ignore line
 * ends: no expression can begin with the word that begins the next statement. Identifiers are ASCII.
 */
import { Lexer, createToken } from 'chevrotain';
import type { TokenType } from 'chevrotain';

export const identifier: TokenType = createToken({
  name: 'identifier', label: 'a name', pattern: /[A-Za-z_][A-Za-z0-9_]*/,
});

/** Read broadly, checked afterwards, so that `1e` or `0x1F` is one unreadable number. */
export const number: TokenType = createToken({
  name: 'number', label: 'a number', pattern: /\.?[0-9](?:[eE][+-]|[A-Za-z0-9_.])*/,
});

export const documentation: TokenType = createToken({
  name: 'documentation', pattern: /\/\/\/[^\n\r]*/, group: 'documentation',
});
const comment: TokenType = createToken({ name: 'comment', pattern: /\/\/[^\n\r]*/, group: Lexer.SKIPPED });
const space: TokenType = createToken({
  name: 'space', pattern: /[ \t\r\n]+/, group: Lexer.SKIPPED, line_breaks: true,
});

function keyword(word: string): TokenType {
  return createToken({ name: `${word}Word`, label: `\`${word}\``, pattern: word, longer_alt: identifier });
}

function symbol(name: string, text: string): TokenType {
  return createToken({ name, label: `\`${text}\``, pattern: text });
}

export const layerWord: TokenType = keyword('layer');
export const axisWord: TokenType = keyword('axis');
export const inputWord: TokenType = keyword('input');
export const paramWord: TokenType = keyword('param');
export const letWord: TokenType = keyword('let');
export const selectiveWord: TokenType = keyword('selective');
export const timeInvariantWord: TokenType = keyword('time_invariant');
export const stateWord: TokenType = keyword('state');
export const outputWord: TokenType = keyword('output');
export const nextWord: TokenType = keyword('next');
export const discretizeWord: TokenType = keyword('discretize');
export const orderWord: TokenType = keyword('order');
export const resetWord: TokenType = keyword('reset');
export const restartWord: TokenType = keyword('restart');
export const structureWord: TokenType = keyword('structure');
export const whenWord: TokenType = keyword('when');
export const perWord: TokenType = keyword('per');
export const ifWord: TokenType = keyword('if');
export const thenWord: TokenType = keyword('then');
export const elseWord: TokenType = keyword('else');
export const andWord: TokenType = keyword('and');
export const orWord: TokenType = keyword('or');
export const notWord: TokenType = keyword('not');

export const lessEqual: TokenType = symbol('lessEqual', '<=');
export const greaterEqual: TokenType = symbol('greaterEqual', '>=');
export const equalEqual: TokenType = symbol('equalEqual', '==');
export const notEqual: TokenType = symbol('notEqual', '!=');
export const less: TokenType = symbol('less', '<');
export const greater: TokenType = symbol('greater', '>');
export const equals: TokenType = symbol('equals', '=');
export const plus: TokenType = symbol('plus', '+');
export const minus: TokenType = symbol('minus', '-');
export const star: TokenType = symbol('star', '*');
export const slash: TokenType = symbol('slash', '/');
export const caret: TokenType = symbol('caret', '^');
export const comma: TokenType = symbol('comma', ',');
export const colon: TokenType = symbol('colon', ':');
export const semicolon: TokenType = symbol('semicolon', ';');
export const dot: TokenType = symbol('dot', '.');
export const openParenthesis: TokenType = symbol('openParenthesis', '(');
export const closeParenthesis: TokenType = symbol('closeParenthesis', ')');
export const openBracket: TokenType = symbol('openBracket', '[');
export const closeBracket: TokenType = symbol('closeBracket', ']');
export const openBrace: TokenType = symbol('openBrace', '{');
export const closeBrace: TokenType = symbol('closeBrace', '}');

/** The reserved words. */
export const keywords: readonly TokenType[] = [
  layerWord, axisWord, inputWord, paramWord, letWord, selectiveWord, timeInvariantWord, stateWord, outputWord,
  nextWord, discretizeWord, orderWord, resetWord, restartWord, structureWord, whenWord, perWord,
  ifWord, thenWord, elseWord, andWord, orWord, notWord,
];

/** Every token, in the order in which the lexer tries them. */
export const allTokens: readonly TokenType[] = [
  space, documentation, comment, number, ...keywords, identifier,
  lessEqual, greaterEqual, equalEqual, notEqual, less, greater, equals, plus, minus, star, slash, caret,
  comma, colon, semicolon, dot, openParenthesis, closeParenthesis, openBracket, closeBracket, openBrace,
  closeBrace,
];
