/** A listing in parts: IR after each pass, kernels, or generated code, with a choice and a copy button. */
import type { Remote } from '../services/remote.ts';
import type { CodeView, CompilerService, Listing } from '../services/protocol.ts';
import { copyText } from './copy.ts';
import { keepLatest, labelled, make } from './dom.ts';
import { compileLimit, makeTargetChoice, type Panel, type Subject } from './panel.ts';
import { failureNotice } from './problems.ts';

export type CodePanelOptions = {
  readonly view: CodeView;
  readonly title: string;
  /** the name of the choice of parts */
  readonly partName: string;
  /** which part is shown first */
  readonly first: 'first' | 'last';
};

/** One panel per view. */
export function createCodePanel(compiler: Remote<CompilerService>, options: CodePanelOptions): Panel {
  const parts = make('select');
  const target = makeTargetChoice();
  const text = make('pre', { class: 'listing', tabindex: 0, 'aria-label': options.title });
  const summary = make('p', { class: 'quiet' });
  const copy = make('button', { type: 'button' }, 'Copy');
  const latest = keepLatest();
  let [listing, subject]: [Listing | null, Subject | null] = [null, null];
  const drawPart = (): void => {
    text.textContent = listing?.sections[parts.selectedIndex]?.text ?? '';
    text.scrollTop = 0;
  };
  const drawParts = (answer: Listing): void => {
    const kept = parts.value;
    listing = answer;
    parts.replaceChildren(...answer.sections.map(({ title }) => make('option', { value: title }, title)));
    const at = answer.sections.findIndex((each) => each.title === kept);
    parts.selectedIndex =
      at >= 0
        ? at
        : options.first === 'last'
          ? answer.sections.length - 1
          : Math.min(answer.sections.length - 1, options.view === 'wasm' ? 1 : 0);
    summary.replaceChildren(answer.summary);
    drawPart();
  };
  const ask = async (): Promise<void> => {
    if (subject === null) return;
    text.classList.add('waiting');
    try {
      const request = {
        ...subject.choice,
        mode: subject.mode,
        view: options.view,
        kernelTarget: target.value(),
      };
      const answer = await latest(compiler.call('code', request, { milliseconds: compileLimit }));
      if (answer !== null) drawParts(answer);
    } catch (error) {
      listing = null;
      parts.replaceChildren();
      summary.replaceChildren(failureNotice(error));
      drawPart();
    }
    text.classList.remove('waiting');
  };
  parts.addEventListener('change', drawPart);
  target.element.addEventListener('change', () => void ask());
  copy.addEventListener('click', () => void copyText(copy, text.textContent ?? ''));
  const hasTarget = options.view === 'tensor-ir' || options.view === 'kernel-ir';
  const toolbar = make(
    'div',
    { class: 'toolbar' },
    hasTarget ? labelled('Target', target.element) : null,
    labelled(options.partName, parts),
    copy,
  );
  return {
    id: options.view,
    title: options.title,
    element: make('div', { class: 'code-panel' }, toolbar, summary, text),
    show: (given) => {
      subject = given;
      void ask();
    },
  };
}
