/**
 * Pretty-printing documents: what the text printers build instead of strings, so that long
 * expressions are broken at a line width by one rule. A small algebra after Wadler, "A prettier
 * printer": text, line, indent, concat, group; and lines that comments end.
 */
import { assertNever } from './invariant.ts';

export type Doc =
  | { readonly kind: 'text'; readonly text: string }
  /** a space (or nothing, `flat`) when the enclosing group fits on one line, else a line break */
  | { readonly kind: 'line'; readonly flat: ' ' | '' }
  /** always a line break */
  | { readonly kind: 'hard-line' }
  /** ends the line unless nothing stands on it yet; what follows begins at its own indentation, without a space */
  | { readonly kind: 'fresh-line' }
  | { readonly kind: 'indent'; readonly body: Doc }
  | { readonly kind: 'concat'; readonly parts: readonly Doc[] }
  /** its lines break together or not at all */
  | { readonly kind: 'group'; readonly body: Doc };

/** Text without line breaks. */
export function text(of: string): Doc {
  return { kind: 'text', text: of };
}

/** A space, or a line break when the group is too wide. */
export const line: Doc = { kind: 'line', flat: ' ' };

/** Nothing, or a line break when the group is too wide. */
export const softLine: Doc = { kind: 'line', flat: '' };

/** Always a line break. */
export const hardLine: Doc = { kind: 'hard-line' };

/** A line break where the line has text: after comments, and between statements. Its group is always broken. */
export const freshLine: Doc = { kind: 'fresh-line' };

/** Line breaks inside `body` are followed by one more level of indentation. */
export function indent(body: Doc): Doc {
  return { kind: 'indent', body };
}

/** One after the other; strings stand for themselves. */
export function concat(...parts: readonly (Doc | string)[]): Doc {
  return sequence(parts);
}

/** The same for any number of parts: an engine takes some ten thousand arguments only. */
export function sequence(parts: readonly (Doc | string)[]): Doc {
  return { kind: 'concat', parts: parts.map((each) => (typeof each === 'string' ? text(each) : each)) };
}

/** The lines of `body` break together, and only when it does not fit. */
export function group(body: Doc): Doc {
  return { kind: 'group', body };
}

/** `parts` with `separator` between them. */
export function join(parts: readonly Doc[], separator: Doc): Doc {
  return { kind: 'concat', parts: parts.flatMap((each, at) => (at === 0 ? [each] : [separator, each])) };
}

type Work = { readonly depth: number; readonly mode: 'flat' | 'broken'; readonly doc: Doc };

/** Whether `first` fits flat in `room` columns. Text after the group is not measured: it is `;` or `)`. */
function fits(first: Doc, room: number): boolean {
  const stack: Doc[] = [first];
  let left = room;
  for (let doc = stack.pop(); doc !== undefined; doc = stack.pop()) {
    switch (doc.kind) {
      case 'text':
        left -= doc.text.length;
        break;
      case 'line':
        left -= doc.flat.length;
        break;
      case 'hard-line':
        return true;
      case 'fresh-line':
        return false;
      case 'indent':
      case 'group':
        stack.push(doc.body);
        break;
      case 'concat':
        for (let at = doc.parts.length - 1; at >= 0; at--) {
          const part = doc.parts[at];
          if (part !== undefined) stack.push(part);
        }
        break;
      default:
        return assertNever(doc, 'fits');
    }
    if (left < 0) return false;
  }
  return true;
}

/** The document as text, at most `width` columns wide where its groups allow it. */
export function renderDoc(doc: Doc, width = 100, indentation = '  '): string {
  const output: string[] = [];
  let column = 0;
  let hasText = false;
  /** a fresh line was asked for and nothing has been written since */
  let isPending = false;
  const stack: Work[] = [{ depth: 0, mode: 'broken', doc }];
  const breakLine = (depth: number): void => {
    output.push('\n', indentation.repeat(depth));
    column = depth * indentation.length;
    hasText = false;
    isPending = false;
  };
  const write = (text: string): void => {
    output.push(text);
    column += text.length;
    hasText ||= text !== '';
  };
  for (let work = stack.pop(); work !== undefined; work = stack.pop()) {
    const { depth, mode, doc: current } = work;
    switch (current.kind) {
      case 'text':
        if (isPending && (current.text === ' ' || current.text === '')) break;
        if (isPending) breakLine(depth);
        write(current.text);
        break;
      case 'line':
        if (isPending) break;
        if (mode === 'broken') breakLine(depth);
        else write(current.flat);
        break;
      case 'hard-line':
        breakLine(depth);
        break;
      case 'fresh-line':
        isPending ||= hasText;
        break;
      case 'indent':
        stack.push({ depth: depth + 1, mode, doc: current.body });
        break;
      case 'group': {
        const start = isPending ? depth * indentation.length : column;
        const flat = mode === 'flat' || fits(current.body, width - 1 - start);
        stack.push({ depth, mode: flat ? 'flat' : 'broken', doc: current.body });
        break;
      }
      case 'concat':
        for (let at = current.parts.length - 1; at >= 0; at--) {
          const part = current.parts[at];
          if (part !== undefined) stack.push({ depth, mode, doc: part });
        }
        break;
      default:
        return assertNever(current, 'renderDoc');
    }
  }
  return output.join('').replace(/[ ]+(?=\n|$)/g, '');
}
