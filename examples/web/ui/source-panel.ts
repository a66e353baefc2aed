/** The left half of the page: the gallery, the text with its diagnostics, and the sizes that everything is shown for. */
import { examples, findExample } from '../gallery.ts';
import type { AxisSize, CheckedText, CompilerService, Mode } from '../services/protocol.ts';
import type { Remote } from '../services/remote.ts';
import { keepLatest, labelled, make, makeNumberField, makeSelect, type NumberField } from './dom.ts';
import { createEditor } from './editor.ts';
import type { Subject } from './panel.ts';
import { failureNotice, marksOf, problemItem } from './problems.ts';

export type SourcePanel = {
  readonly element: HTMLElement;
  /** an example of the gallery by name */
  readonly open: (id: string) => void;
  readonly setText: (text: string) => void;
  readonly text: () => string;
};

/** Milliseconds without a key until a text is checked. */
const typingPause = 150;
const checkLimit = 10_000;
const [largestAxis, largestBatch, largestLength] = [8192, 256, 16_384];

/** `changed` is called with every layer without mistakes, and with null where there are some. */
export function createSourcePanel(compiler: Remote<CompilerService>, changed: (subject: Subject | null) => void): SourcePanel {
  const gallery = makeSelect([['', 'your own text'], ...examples.map(({ id, title }) => [id, title] as const)], '');
  const layers = make('select');
  const layerField = labelled('Layer', layers);
  const format = make('button', { type: 'button' }, 'Format');
  const problems = make('ul', { id: 'diagnostics', class: 'problems', 'aria-live': 'polite' });
  const verdict = make('p', { class: 'verdict', role: 'status' });
  const axes = make('div', { class: 'axis-sizes' });
  const batch = makeNumberField(1, 1, largestBatch);
  const length = makeNumberField(256, 1, largestLength);
  const mode = makeSelect([['auto', 'auto'], ['recurrent', 'recurrent'], ['scan', 'scan'], ['conv', 'convolution']], 'auto');
  const latest = keepLatest();
  const fields = new Map<string, NumberField>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let opened = '';

  const chosenSizes = (): Record<string, number> =>
    Object.fromEntries([...fields].flatMap(([name, field]) => (field.value() === null ? [] : [[name, field.value() ?? 1]])));
  const drawAxes = (sizes: readonly AxisSize[]): void => {
    if (sizes.map((each) => each.name).join() === [...fields.keys()].join()) return;
    fields.clear();
    for (const { name, size } of sizes) {
      const field = makeNumberField(size, 1, largestAxis);
      field.element.addEventListener('change', () => void check());
      fields.set(name, field);
    }
    axes.replaceChildren(...[...fields].map(([name, field]) => labelled(name, field.element)));
  };
  const drawProblems = (checked: CheckedText): void => {
    const { diagnostics, layer, milliseconds } = checked;
    editor.mark(marksOf(diagnostics));
    problems.replaceChildren(...diagnostics.map((each) => problemItem(each, ({ start }) => editor.goTo(start))));
    verdict.className = `verdict verdict-${layer === null ? 'bad' : 'good'}`;
    const errors = diagnostics.filter((each) => each.severity === 'error').length;
    verdict.textContent = layer === null ? `${errors} ${errors === 1 ? 'error' : 'errors'}` : `${layer.name} is checked, ${milliseconds.toFixed(0)} ms`;
  };
  const drawLayers = ({ layers: names, layer }: CheckedText): void => {
    const chosen = layer?.name ?? layers.value;
    layers.replaceChildren(...names.map((each) => make('option', { value: each }, each)));
    layers.value = names.includes(chosen) ? chosen : (names.at(-1) ?? '');
    layerField.hidden = names.length < 2;
  };
  const check = async (): Promise<void> => {
    clearTimeout(timer);
    const choice = { text: editor.text(), layer: layers.value === '' ? null : layers.value, sizes: chosenSizes() };
    try {
      const checked = await latest(compiler.call('check', choice, { milliseconds: checkLimit }));
      if (checked === null) return;
      drawProblems(checked);
      drawLayers(checked);
      if (checked.layer !== null) drawAxes(checked.layer.sizes);
      const sizes = { batch: batch.value() ?? 1, length: length.value() ?? 1 };
      changed(checked.layer === null ? null : { choice: { ...choice, layer: checked.layer.name }, spec: checked.layer.spec, mode: mode.value as Mode, ...sizes });
    } catch (error) {
      problems.replaceChildren(make('li', {}, failureNotice(error)));
      changed(null);
    }
  };
  const editor = createEditor(() => {
    if (editor.text() !== opened) gallery.value = '';
    clearTimeout(timer);
    timer = setTimeout(() => void check(), typingPause);
  });
  const setText = (text: string): void => {
    layers.replaceChildren();
    fields.clear();
    editor.setText(text);
    void check();
  };
  const open = (id: string): void => {
    const example = findExample(id);
    opened = example.text;
    gallery.value = example.id;
    setText(example.text);
  };
  gallery.addEventListener('change', () => gallery.value !== '' && open(gallery.value));
  for (const control of [layers, batch.element, length.element, mode]) control.addEventListener('change', () => void check());
  format.addEventListener('click', () => void compiler.call('format', editor.text()).then((text) => {
    if (text !== null && text !== editor.text()) editor.setText(text);
  }, () => {}));
  const element = make('section', { class: 'source', 'aria-label': 'Text of the layer' },
    make('div', { class: 'toolbar' }, labelled('Example', gallery), layerField, format),
    editor.element,
    verdict, problems,
    make('div', { class: 'toolbar sizes' }, axes, labelled('batch', batch.element), labelled('length', length.element), labelled('mode', mode)));
  return { element, open, setText, text: editor.text };
}
