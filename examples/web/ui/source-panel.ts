/** The left half of the page: the gallery, the text with its diagnostics, and its sizes. */
import { examples, findExample } from '../gallery.ts';
import type { CheckedText, CompilerService } from '../services/protocol.ts';
import type { Remote } from '../services/remote.ts';
import { addressOf, type Addressed } from './address.ts';
import { copyText } from './copy.ts';
import { keepLatest, labelled, make, makeSelect } from './dom.ts';
import { createEditor } from './editor.ts';
import type { Subject } from './panel.ts';
import { failureNotice, marksOf, problemItem } from './problems.ts';
import { createSettings } from './settings.ts';

export type SourcePanel = {
  readonly element: HTMLElement;
  /** shows an example of the gallery, or a text */
  readonly open: (wanted: Addressed) => void;
};

/** Milliseconds without a key until a text is checked. */
const typingPause = 150;
const checkLimit = 10_000;

/** `changed` is called with every layer without mistakes, and with null where there are some. */
export function createSourcePanel(
  compiler: Remote<CompilerService>,
  changed: (subject: Subject | null) => void,
): SourcePanel {
  const gallery = makeSelect(
    [['', 'your own text'], ...examples.map(({ id, title }) => [id, title] as const)],
    '',
  );
  const layers = createLayerChoice(() => void check());
  const settings = createSettings(() => void check());
  const verdict = createVerdict((offset) => editor.goTo(offset));
  const latest = keepLatest();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const check = async (): Promise<void> => {
    clearTimeout(timer);
    const choice = { text: editor.text(), layer: layers.chosen(), sizes: settings.sizes() };
    try {
      const checked = await latest(compiler.call('check', choice, { milliseconds: checkLimit }));
      if (checked === null) return;
      const { layer } = checked;
      if (layer !== null && settings.accept(layer.sizes) === 'outdated') return void check();
      editor.mark(marksOf(checked.diagnostics));
      verdict.show(checked);
      layers.show(checked);
      changed(
        layer === null
          ? null
          : { choice: { ...choice, layer: layer.name }, spec: layer.spec, ...settings.chosen() },
      );
    } catch (error) {
      verdict.fail(error);
      changed(null);
    }
  };
  const editor = createEditor(() => {
    if (gallery.value !== '' && editor.text() !== findExample(gallery.value).text) gallery.value = '';
    clearTimeout(timer);
    timer = setTimeout(() => void check(), typingPause);
  });
  const open = (wanted: Addressed): void => {
    const example = wanted.kind === 'example' ? findExample(wanted.id) : { id: '', text: wanted.text };
    gallery.value = example.id;
    layers.reset();
    settings.reset();
    editor.setText(example.text);
    void check();
  };
  gallery.addEventListener('change', () => {
    if (gallery.value === '') return;
    open({ kind: 'example', id: gallery.value });
    history.replaceState(null, '', `#${gallery.value}`);
  });
  const format = make('button', { type: 'button' }, 'Format');
  format.addEventListener(
    'click',
    () =>
      void compiler.call('format', editor.text()).then((text) => {
        if (text !== null && text !== editor.text()) editor.setText(text);
      }, verdict.fail),
  );
  const link = make(
    'button',
    { type: 'button', title: 'puts the text into the address of this page and copies it' },
    'Link',
  );
  link.addEventListener('click', () => {
    history.replaceState(null, '', addressOf(editor.text(), gallery.value));
    void copyText(link, location.href);
  });
  const toolbar = make(
    'div',
    { class: 'toolbar' },
    labelled('Example', gallery),
    layers.element,
    format,
    link,
  );
  return {
    element: make(
      'section',
      { class: 'source', 'aria-label': 'The layer' },
      toolbar,
      editor.element,
      verdict.element,
      settings.element,
    ),
    open,
  };
}

type LayerChoice = {
  readonly element: HTMLElement;
  readonly chosen: () => string | null;
  readonly show: (checked: CheckedText) => void;
  readonly reset: () => void;
};

/** Which layer of the text, where it has several. */
function createLayerChoice(changed: () => void): LayerChoice {
  const select = make('select');
  const element = labelled('Layer', select);
  element.hidden = true;
  select.addEventListener('change', changed);
  return {
    element,
    chosen: () => (select.value === '' ? null : select.value),
    show: ({ layers, layer }) => {
      const chosen = layer?.name ?? select.value;
      select.replaceChildren(...layers.map((each) => make('option', { value: each }, each)));
      select.value = layers.includes(chosen) ? chosen : (layers.at(-1) ?? '');
      element.hidden = layers.length < 2;
    },
    reset: () => select.replaceChildren(),
  };
}

type Verdict = {
  readonly element: HTMLElement;
  readonly show: (checked: CheckedText) => void;
  readonly fail: (error: unknown) => void;
};

/** The line under the editor and the list of what is wrong. */
function createVerdict(goTo: (offset: number) => void): Verdict {
  const line = make('p', { class: 'verdict', role: 'status' });
  const problems = make('ul', { id: 'diagnostics', class: 'problems', 'aria-live': 'polite' });
  return {
    element: make('div', {}, line, problems),
    show: ({ diagnostics, layer, milliseconds }) => {
      const errors = diagnostics.filter((each) => each.severity === 'error').length;
      line.className = `verdict verdict-${layer === null ? 'bad' : 'good'}`;
      line.textContent =
        layer === null
          ? `${errors} ${errors === 1 ? 'error' : 'errors'}`
          : `${layer.name} is checked, ${milliseconds.toFixed(0)} ms`;
      problems.replaceChildren(...diagnostics.map((each) => problemItem(each, ({ start }) => goTo(start))));
    },
    fail: (error) => problems.replaceChildren(make('li', {}, failureNotice(error))),
  };
}
