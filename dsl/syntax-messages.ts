/** The words of syntax errors: what stood where something else was expected, in the language's terms. */
import { EOF, type IParserErrorMessageProvider, type IToken, type TokenType } from 'chevrotain';
import { keywords } from './tokens.ts';

/** `found \`}\``, or the end of the file. */
export function describeToken(token: IToken): string {
  return token.image === '' ? 'the end of the file' : `\`${shorten(token.image)}\``;
}

function shorten(image: string): string {
  return image.length > 40 ? `${image.slice(0, 40)}…` : image;
}

/** True for a reserved word, which cannot be a name. */
export function isKeyword(type: TokenType): boolean {
  return keywords.includes(type);
}

/** What stands at the top level. */
export const layerExpected = '`layer`';

const expectedByRule: ReadonlyMap<string, string> = new Map([
  ['item', 'a statement (`axis`, `input`, `param`, `let`, `selective`, `time_invariant`, `state` or `output`) or `}`'],
  ['stateClause', 'a clause (`dx/dt =`, `next`, `discretize`, `order`, `reset`, `restart`, `structure`) or `}`'],
  ['primary', 'a value'],
  ['operator', 'an operator'],
  ['operand', 'a value'],
  ['file', layerExpected],
]);

function found(actual: readonly IToken[]): string {
  return actual[0] === undefined ? 'the end of the file' : describeToken(actual[0]);
}

function expectedIn(ruleName: string): string {
  return expectedByRule.get(ruleName) ?? 'something else';
}

/** A closing brace that is expected inside a block also stands for "or another statement". */
function expectedToken(expected: TokenType, ruleName: string): string {
  if (expected === EOF) return layerExpected;
  if (expected.name !== 'closeBrace') return expected.LABEL ?? expected.name;
  return expectedIn(ruleName === 'stateItem' ? 'stateClause' : 'item');
}

/** Messages for chevrotain, whose own speak of token types and lookahead. */
export const syntaxMessages: IParserErrorMessageProvider = {
  buildMismatchTokenMessage: ({ expected, actual, ruleName }) =>
    `expected ${expectedToken(expected, ruleName)}, found ${describeToken(actual)}`,
  buildNotAllInputParsedMessage: ({ firstRedundant }) => `expected ${layerExpected}, found ${describeToken(firstRedundant)}`,
  buildNoViableAltMessage: ({ actual, ruleName }) => `expected ${expectedIn(ruleName)}, found ${found(actual)}`,
  buildEarlyExitMessage: ({ actual }) => `expected a name, found ${found(actual)}`,
};
