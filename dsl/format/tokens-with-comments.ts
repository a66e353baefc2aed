/**
 * A text as the formatter sees it: its tokens, each with the comments that stand before it. The
 * grammar skips comments and knows no lines; here both are read back from the gaps between tokens.
 * Optional semicolons are dropped: a formatted text has one statement per line.
 */
import type { TokenType } from 'chevrotain';
import { tokensOf } from '../parse.ts';
import { semicolon } from '../tokens.ts';

export type Comment = {
  /** with its slashes, without blanks at its end */
  readonly text: string;
  /** behind a token on its line, or on a line of its own */
  readonly place: 'behind' | 'own-line';
  readonly hasBlankLineBefore: boolean;
};

export type FormatToken = {
  /** null at the end of the text */
  readonly type: TokenType | null;
  readonly image: string;
  /** what stands between the previous token and this one, in order */
  readonly comments: readonly Comment[];
  /** after the last of the comments, or after the previous token */
  readonly hasBlankLineBefore: boolean;
};

/** The tokens of a text, and one more for its end. Every comment is in exactly one of them. */
export function readTokens(text: string): readonly FormatToken[] {
  const found: FormatToken[] = [];
  let waiting: readonly Comment[] = [];
  let end = 0;
  let isFirst = true;
  const add = (type: TokenType | null, image: string, start: number): void => {
    const { comments, hasBlankLineBefore } = readGap(text.slice(end, start), isFirst);
    const together = waiting.length === 0 ? comments : [...waiting, ...comments.map(ownLine)];
    end = start + image.length;
    isFirst = false;
    if (type === semicolon) {
      waiting = together;
      return;
    }
    waiting = [];
    found.push({ type, image, comments: together, hasBlankLineBefore });
  };
  for (const token of tokensOf(text)) add(token.tokenType, token.image, token.startOffset);
  add(null, '', text.length);
  return found;
}

function ownLine(comment: Comment): Comment {
  return { ...comment, place: 'own-line' };
}

function readGap(gap: string, isFirst: boolean): Pick<FormatToken, 'comments' | 'hasBlankLineBefore'> {
  const comments: Comment[] = [];
  let lineEnds = isFirst ? 1 : 0;
  for (const line of gap.replace(/\r\n?/g, '\n').split('\n')) {
    const text = line.trim();
    if (text !== '') {
      comments.push({ text, place: lineEnds === 0 ? 'behind' : 'own-line', hasBlankLineBefore: lineEnds > 1 });
      lineEnds = 0;
    }
    lineEnds++;
  }
  return { comments, hasBlankLineBefore: lineEnds > 2 };
}
