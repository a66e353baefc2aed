/**
 * The editor: a plain text area, so that every keyboard, screen reader and undo works, over a copy of its
 * text that carries colours and marks. Both are as large as the text and scroll together.
 */
import { highlight, type Mark } from './highlight.ts';
import { make } from './dom.ts';

export type Editor = {
  readonly element: HTMLElement;
  readonly text: () => string;
  /** replaces everything */
  readonly setText: (text: string) => void;
  readonly mark: (marks: readonly Mark[]) => void;
  /** puts the cursor at an offset and shows it */
  readonly goTo: (offset: number) => void;
};

/** `changed` is called after every change, by the user or by `setText`. */
export function createEditor(changed: () => void): Editor {
  const area = make('textarea', {
    class: 'editor-text',
    spellcheck: 'false',
    autocapitalize: 'off',
    autocomplete: 'off',
    autocorrect: 'off',
    wrap: 'off',
    'aria-label': 'Text of the layer',
    'aria-describedby': 'diagnostics',
  });
  const copy = make('pre', { class: 'editor-copy', 'aria-hidden': 'true' });
  const gutter = make('div', { class: 'editor-gutter', 'aria-hidden': 'true' });
  let marks: readonly Mark[] = [];
  const draw = (): void => {
    copy.replaceChildren(...highlight(area.value, marks), '\n');
    drawGutter(gutter, area.value, marks);
  };
  const edited = (): void => {
    marks = [];
    draw();
    changed();
  };
  area.addEventListener('input', edited);
  area.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.isComposing) keepIndent(event, area, edited);
  });
  return {
    element: make('div', { class: 'editor' }, gutter, make('div', { class: 'editor-layers' }, copy, area)),
    text: () => area.value,
    setText: (text) => {
      area.value = text;
      edited();
    },
    mark: (given) => {
      marks = given;
      area.setAttribute('aria-invalid', String(given.some((each) => each.kind === 'error')));
      draw();
    },
    goTo: (offset) => {
      area.focus();
      area.setSelectionRange(offset, offset);
      copy.querySelector('.mark-error, .mark-warning, .mark-remark')?.scrollIntoView({ block: 'nearest' });
    },
  };
}

function drawGutter(gutter: HTMLElement, text: string, marks: readonly Mark[]): void {
  const lineOf = (offset: number): number => text.slice(0, offset).split('\n').length;
  const kinds = new Map(
    marks.filter((each) => each.kind !== 'secondary').map((each) => [lineOf(each.span.start), each.kind]),
  );
  const lines = text.split('\n').length;
  gutter.replaceChildren(
    ...Array.from({ length: lines }, (_, at) => {
      const kind = kinds.get(at + 1);
      return make('div', { class: kind === undefined ? null : `gutter-${kind}` }, String(at + 1));
    }),
  );
}

/** A new line begins below the start of the one before, deeper after an opening brace. */
function keepIndent(event: KeyboardEvent, area: HTMLTextAreaElement, edited: () => void): void {
  const before = area.value.slice(0, area.selectionStart);
  const line = before.slice(before.lastIndexOf('\n') + 1);
  const indent = `${/^ */.exec(line)?.[0] ?? ''}${line.trimEnd().endsWith('{') ? '  ' : ''}`;
  if (indent === '') return;
  event.preventDefault();
  area.setRangeText(`\n${indent}`, area.selectionStart, area.selectionEnd, 'end');
  edited();
}
