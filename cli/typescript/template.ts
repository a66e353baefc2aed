/**
 * The text of a template and where it stands in its file: numbers that are put in have other lengths
 * than the expressions they come from, so places of the text are translated back piece by piece.
 */
import type { SourceTree } from '../../dsl/ast.ts';
import { parse } from '../../dsl/index.ts';
import { SsmError, type Diagnostic, type Label } from '../../support/diagnostic.ts';
import type { SourceFile, Span } from '../../support/source.ts';

/** A stretch of the text and the stretch of the file that it comes from; of equal length unless it is a value. */
export type Piece = { readonly text: string; readonly start: number; readonly end: number; readonly kind: 'text' | 'value' };

type Translate = (span: Span) => Span;

function translatorOf(pieces: readonly Piece[]): Translate {
  const offset = (at: number, edge: 'start' | 'end'): number => {
    let begin = 0;
    for (const { text, start, end, kind } of pieces) {
      const isInside = at < begin + text.length || (edge === 'end' && at === begin + text.length);
      if (isInside) return kind === 'text' ? start + (at - begin) : edge === 'start' ? start : end;
      begin += text.length;
    }
    return pieces.at(-1)?.end ?? 0;
  };
  return ({ start, end }) => {
    const from = offset(start, 'start');
    return { start: from, end: Math.max(from, end === start ? from : offset(end, 'end')) };
  };
}

/** The same tree with all its places translated. */
function translateTree<Node>(node: Node, translate: Translate): Node {
  if (Array.isArray(node)) return node.map((each: unknown) => translateTree(each, translate)) as Node;
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(Object.entries(node).map(([key, value]: [string, unknown]) =>
    [key, key === 'span' ? translate(value as Span) : translateTree(value, translate)])) as Node;
}

function translateDiagnostic(diagnostic: Diagnostic, file: SourceFile, translate: Translate): Diagnostic {
  const label = (each: Label): Label => ({ ...each, file, span: translate(each.span) });
  return { ...diagnostic, primary: diagnostic.primary === null ? null : label(diagnostic.primary), secondary: diagnostic.secondary.map(label) };
}

/** The tree of a template with places in its file; throws an SsmError with what the grammar refuses. */
export function parseTemplate(file: SourceFile, pieces: readonly Piece[]): SourceTree {
  const translate = translatorOf(pieces);
  const { tree, diagnostics } = parse({ name: file.name, text: pieces.map((each) => each.text).join('') });
  if (diagnostics.length > 0) throw new SsmError(diagnostics.map((each) => translateDiagnostic(each, file, translate)));
  return { file, layers: tree.layers.map((each) => translateTree(each, translate)) };
}
