/**
 * From text to syntax tree: limits first, then lexer, grammar, and what neither can see (unreadable
 * numbers, depth of expressions, documentation comments). Every text gives a tree and diagnostics.
 */
import { Lexer, EOF } from 'chevrotain';
import type { ILexingError, IRecognitionException, IToken } from 'chevrotain';
import type { ItemSyntax, ExpressionSyntax, LayerSyntax, SourceTree, StateClauseSyntax } from './ast.ts';
import { depthOf, rowLimit } from './operators.ts';
import { nestingLimit } from './expression-grammar.ts';
import { parseTokens } from './parser.ts';
import { describeToken, isKeyword, layerExpected } from './syntax-messages.ts';
import { allTokens } from './tokens.ts';
import { makeDiagnostic } from '../support/diagnostic.ts';
import type { Diagnostic } from '../support/diagnostic.ts';
import type { DiagnosticCode } from '../support/diagnostic-codes.ts';
import type { SourceFile, Span } from '../support/source.ts';

/** Longer texts are refused unread: a hundred times the longest example, and read within a second and 256 MiB. */
export const textLimit: number = 1 << 18;
/** Messages of one run. */
export const messageLimit = 20;

/** What `parse` gives: a tree always, of the parts that could be read. */
export type ParseOutcome = { readonly tree: SourceTree; readonly diagnostics: readonly Diagnostic[] };

const lexer = new Lexer([...allTokens], { positionTracking: 'onlyOffset', ensureOptimizations: false });

/** The tokens of a text, without comments; what the language has no characters for is left out. */
export function tokensOf(text: string): readonly IToken[] {
  return lexer.tokenize(text).tokens;
}

/** Reads one `.ssm` text. Never throws; linear in the text. */
export function parse(file: SourceFile): ParseOutcome {
  if (file.text.length > textLimit) {
    const message = `the text has ${file.text.length} characters; the limit is ${textLimit}`;
    const help = 'split the text into several files';
    return {
      tree: { file, layers: [] },
      diagnostics: [at(file, 'SSM1005', { start: 0, end: 0 }, message, 'here', help)],
    };
  }
  const lexed = lexer.tokenize(file.text);
  const diagnostics: Diagnostic[] = [...characterErrors(file, lexed.errors), ...directionErrors(file)];
  const parsed = parseTokens(lexed.tokens);
  if (parsed.tooDeep !== null) diagnostics.push(nestingError(file, parsed.tooDeep));
  diagnostics.push(...parsed.errors.slice(0, messageLimit).map((error) => syntaxError(file, error)));
  for (const each of parsed.complaints.slice(0, messageLimit)) {
    diagnostics.push(at(file, 'SSM1001', each.span, each.message, 'unexpected here', each.help));
  }
  diagnostics.push(...numberErrors(file, parsed.numbers));
  if (diagnostics.length === 0) diagnostics.push(...depthErrors(file, parsed.layers));
  const layers = withDocumentation(parsed.layers, lexed.groups['documentation'] ?? [], lexed.tokens);
  const ordered = diagnostics.sort((one, other) => (one.primary?.span.start ?? 0) - (
    other.primary?.span.start ?? 0
  ));
  return { tree: { file, layers }, diagnostics: ordered.slice(0, messageLimit) };
}

function at(
  file: SourceFile, code: DiagnosticCode, span: Span, message: string, text: string, help: string | null,
): Diagnostic {
  return makeDiagnostic({ code, message, primary: { file, span, text }, help });
}

function characterErrors(file: SourceFile, errors: readonly ILexingError[]): Diagnostic[] {
  return errors.slice(0, messageLimit).map((error) => {
    const span = { start: error.offset, end: error.offset + Math.max(1, error.length) };
    const shown = describeCharacter(file.text, error.offset);
    return at(file, 'SSM1006', span, `${shown} is not part of the language`, 'not allowed here',
      'use ASCII letters, digits and `_` in names; other characters may stand in comments only');
  });
}

function describeCharacter(text: string, offset: number): string {
  const point = text.codePointAt(offset) ?? 0;
  if (point > 32 && point < 127) return `the character \`${String.fromCodePoint(point)}\``;
  return `the character U+${point.toString(16).toUpperCase().padStart(4, '0')}`;
}

const directionControls = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/;

/** Characters that reorder the displayed text are refused in comments too (elsewhere the lexer refuses them). */
function directionErrors(file: SourceFile): Diagnostic[] {
  if (!directionControls.test(file.text)) return [];
  const found: Diagnostic[] = [];
  for (const comment of file.text.matchAll(/\/\/[^\n\r]*/g)) {
    const inside = comment[0].search(directionControls);
    if (inside < 0) continue;
    const start = comment.index + inside;
    found.push(at(file, 'SSM1006', { start, end: start + 1 },
      `${describeCharacter(file.text, start)} changes the direction of the displayed text`,
      'not allowed, even in comments', 'delete the character: readers would see another text than the compiler'));
    if (found.length === messageLimit) break;
  }
  return found;
}

function syntaxError(file: SourceFile, error: IRecognitionException): Diagnostic {
  const isEnd = error.token.tokenType === EOF || Number.isNaN(error.token.startOffset);
  const end = file.text.trimEnd().length;
  const span: Span = isEnd
    ? { start: end, end }
    : { start: error.token.startOffset, end: error.token.startOffset + error.token.image.length };
  const label = isEnd ? 'the text ends here' : 'unexpected here';
  return at(file, isEnd ? 'SSM1002' : 'SSM1001', span, error.message, label, syntaxHelp(error, isEnd));
}

function syntaxHelp(error: IRecognitionException, isEnd: boolean): string {
  if (isEnd) return 'complete the statement and close every `(`, `[` and `{`';
  if (error.message.startsWith(`expected ${layerExpected}`)) {
    return `remove ${describeToken(error.token)}: a text is made of layers, as in \`layer Name(D = 64) { … }\``;
  }
  const expectsName = error.message.startsWith('expected a name');
  if (expectsName && isKeyword(error.token.tokenType)) {
    return `choose another name: ${describeToken(error.token)} is a reserved word`;
  }
  return `remove ${describeToken(error.token)}, or put before it what is missing`;
}

const readableNumber = /^(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;

function numberErrors(file: SourceFile, tokens: readonly IToken[]): Diagnostic[] {
  const found: Diagnostic[] = [];
  for (const token of tokens) {
    const isReadable = readableNumber.test(token.image);
    if (isReadable && Number.isFinite(Number(token.image))) continue;
    const span = { start: token.startOffset, end: token.startOffset + token.image.length };
    const shown = describeToken(token);
    found.push(isReadable
      ? at(
        file, 'SSM1003', span, `the number ${shown} is not finite in float64`, 'too large',
        'use a number below 1.8e308',
      )
      : at(
        file, 'SSM1003', span, `${shown} is not a number`, 'unreadable',
        'write a decimal number such as `12`, `0.5` or `1e-3`',
      ));
    if (found.length === messageLimit) break;
  }
  return found;
}

function nestingError(file: SourceFile, span: Span): Diagnostic {
  return at(file, 'SSM1004', span, 'the text is nested too deeply', 'too deep here',
    `keep brackets within ${nestingLimit} levels and a formula within ${rowLimit} operators: name parts of it with \`let\``);
}

function depthErrors(file: SourceFile, layers: readonly LayerSyntax[]): Diagnostic[] {
  for (const layer of layers) {
    for (const root of [...layer.axes.flatMap((axis) => axis.size ?? []), ...layer.items.flatMap(expressionsOfItem)]) {
      if (depthOf(root) > rowLimit) return [nestingError(file, {
        start: root.span.start, end: root.span.start + 1,
      })];
    }
  }
  return [];
}

function expressionsOfItem(item: ItemSyntax): readonly ExpressionSyntax[] {
  switch (item.kind) {
    case 'axis':
      return [item.size];
    case 'input':
      return [];
    case 'param':
      return item.initial === null ? [] : [item.initial];
    case 'let':
    case 'output':
      return [item.value];
    case 'assertion':
      return [];
    case 'state':
      return item.clauses.flatMap(expressionsOfClause);
  }
}

function expressionsOfClause(clause: StateClauseSyntax): readonly ExpressionSyntax[] {
  switch (clause.kind) {
    case 'derivative':
    case 'next':
      return [clause.value];
    case 'discretize':
      return [clause.rule];
    case 'reset':
      return [clause.condition];
    default:
      return [];
  }
}

/** Attaches the `///` lines that stand between the previous token and each layer. */
function withDocumentation(
  layers: readonly LayerSyntax[], comments: readonly IToken[], tokens: readonly IToken[],
): LayerSyntax[] {
  let commentAt = 0;
  let tokenAt = 0;
  return layers.map((layer) => {
    let previousEnd = 0;
    for (let token = tokens[tokenAt]; token !== undefined
      && token.startOffset < layer.span.start; token = tokens[++tokenAt]) {
      previousEnd = token.startOffset + token.image.length;
    }
    const lines: string[] = [];
    for (let line = comments[commentAt]; line !== undefined
      && line.startOffset < layer.span.start; line = comments[++commentAt]) {
      if (line.startOffset >= previousEnd) lines.push(line.image.slice(3).trim());
    }
    return { ...layer, documentation: lines.join('\n') };
  });
}
