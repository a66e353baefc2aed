/** Source texts and places in them. A span is a pair of UTF-16 offsets into one file. */

export type Span = {
  readonly start: number;
  /** exclusive */
  readonly end: number;
};

export type SourceFile = {
  /** as shown in messages; never used to open anything */
  readonly name: string;
  readonly text: string;
};

export type SourcePosition = { readonly line: number; readonly column: number };

/** Line and column, both from 1, of an offset. O(text). */
export function positionOf(file: SourceFile, offset: number): SourcePosition {
  let line = 1;
  let lineStart = 0;
  const end = Math.min(offset, file.text.length);
  for (let at = 0; at < end; at++) {
    if (file.text.charCodeAt(at) === 10) {
      line++;
      lineStart = at + 1;
    }
  }
  return { line, column: end - lineStart + 1 };
}

/** The smallest span that holds both. */
export function joinSpans(first: Span, last: Span): Span {
  return { start: Math.min(first.start, last.start), end: Math.max(first.end, last.end) };
}
