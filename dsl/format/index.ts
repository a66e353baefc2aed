/**
 * The formatter: one layout for every text, without options. It moves line ends and blanks only (and
 * drops semicolons, which separate nothing), so the text keeps its tree and its comments, and
 * formatting twice changes nothing. The rules are on the page of the language.
 */
import { parse } from '../parse.ts';
import { layerWord } from '../tokens.ts';
import { concat, freshLine, group, hardLine, indent, line, renderDoc, sequence, type Doc } from '../../support/doc.ts';
import { hasErrors, type Diagnostic } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import type { SourceFile } from '../../support/source.ts';
import { derivativeDoc, listDoc, nothing, rowDoc, space, spaced } from './expressions.ts';
import { isDerivative, readStatements, type Statement } from './structure.ts';
import { readTokens, type Comment, type FormatToken } from './tokens-with-comments.ts';

/** Lines are broken where they would be longer. */
export const lineWidth = 100;

/** `text` is null exactly when the grammar refuses the text: nothing is laid out that was not understood. */
export type FormatOutcome = { readonly text: string | null; readonly diagnostics: readonly Diagnostic[] };

/** The text in its canonical layout. Never throws. */
export function format(file: SourceFile): FormatOutcome {
  const { diagnostics } = parse(file);
  if (hasErrors(diagnostics)) return { text: null, diagnostics };
  const tokens = readTokens(file.text);
  const last = required(tokens.at(-1), 'end of the text');
  const layers = readStatements(tokens.slice(0, -1)).map((layer, at) => concat(
    startOf(required(layer.head[0], 'layer'), at === 0 ? 'first' : 'apart'), statementDoc(layer),
  ));
  const text = renderDoc(sequence([...layers, endOf(last, layers.length === 0 ? 'first' : 'within')]), lineWidth + 1);
  return { text: text === '' ? '' : `${text}\n`, diagnostics };
}

const blankLine: Doc = concat(freshLine, hardLine, hardLine);

/** How a statement stands to what is before it: `first` in its block, `apart` by a blank line, or `within`. */
type Position = 'first' | 'apart' | 'within';

/** Comments on lines of their own, and the one behind the previous statement; at most one blank line each. */
function commentLines(comments: readonly Comment[], position: Position): Doc {
  const [behind, ...rest] = comments;
  if (behind?.place === 'behind') return concat(' ', behind.text, commentLines(rest, position));
  return sequence(comments.map((each, at) => {
    const isApart = at === 0 ? position === 'apart' || (position === 'within' && each.hasBlankLineBefore) : each.hasBlankLineBefore;
    return concat(isApart ? blankLine : freshLine, each.text);
  }));
}

/** What stands before a statement: comments, then the break. */
function startOf({ comments, hasBlankLineBefore }: FormatToken, position: Position): Doc {
  const hasOwnLines = comments.some((each) => each.place === 'own-line');
  const isFirst = position === 'first' && !hasOwnLines;
  const isApart = hasOwnLines || position !== 'apart' ? hasBlankLineBefore && !isFirst : true;
  return concat(commentLines(comments, position), isApart ? blankLine : freshLine);
}

/** Comments before a closing brace or the end. */
function endOf({ comments }: FormatToken, position: Position): Doc {
  return commentLines(comments, position);
}

/** A statement from its first token on; what is before that token is the business of the block. */
function statementDoc({ head, block }: Statement): Doc {
  const [first, ...rest] = head;
  if (first === undefined) return nothing;
  if (block !== null) return blockDoc(first, rest, block);
  if (isDerivative(head)) return derivativeDoc(head);
  return group(concat(first.image, indent(listDoc(rest, space, 'given'))));
}

function blockDoc(first: FormatToken, rest: readonly FormatToken[], block: NonNullable<Statement['block']>): Doc {
  const { open, body, close } = block;
  const head = concat(first.image, rowDoc(rest, space), spaced(open, space));
  if (body.length === 0 && close.comments.length === 0) return concat(head, close.image);
  const [only] = body;
  const token = only?.head[0];
  const isShort = first.type !== layerWord && body.length === 1 && close.comments.length === 0 && token?.comments.length === 0;
  if (isShort && only !== undefined) return group(concat(head, indent(concat(line, statementDoc(only))), line, close.image));
  const statements = body.map((each, at) => concat(
    startOf(required(each.head[0], 'statement'), at === 0 ? 'first' : 'within'), statementDoc(each),
  ));
  const end = endOf(close, body.length === 0 ? 'first' : 'within');
  return concat(head, indent(sequence([...statements, end])), freshLine, close.image);
}

