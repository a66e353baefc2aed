/** A row of tabs with one panel shown, as ARIA describes them: arrow keys, Home and End move. */
import { make } from './dom.ts';

export type Tab = { readonly id: string; readonly title: string; readonly element: HTMLElement };

export type Tabs = {
  readonly element: HTMLElement;
  readonly current: () => string;
};

/** The first tab is selected; `selected` is called for every later choice. */
export function createTabs(label: string, tabs: readonly Tab[], selected: (id: string) => void): Tabs {
  let current = tabs[0]?.id ?? '';
  const buttons = tabs.map(({ id, title }) =>
    make(
      'button',
      {
        type: 'button',
        role: 'tab',
        id: `tab-${id}`,
        'aria-controls': `panel-${id}`,
        class: 'tab',
      },
      title,
    ),
  );
  const panels = tabs.map(({ id, element }) =>
    make(
      'section',
      { role: 'tabpanel', id: `panel-${id}`, 'aria-labelledby': `tab-${id}`, class: 'panel' },
      element,
    ),
  );
  const draw = (): void =>
    tabs.forEach(({ id }, at) => {
      const isCurrent = id === current;
      buttons[at]?.setAttribute('aria-selected', String(isCurrent));
      buttons[at]?.setAttribute('tabindex', isCurrent ? '0' : '-1');
      if (panels[at] !== undefined) panels[at].hidden = !isCurrent;
    });
  const select = (id: string): void => {
    if (id === current) return;
    current = id;
    draw();
    selected(id);
  };
  const list = make('div', { role: 'tablist', 'aria-label': label, class: 'tabs' }, ...buttons);
  buttons.forEach((button, at) => button.addEventListener('click', () => select(tabs[at]?.id ?? current)));
  list.addEventListener('keydown', (event) => {
    const at = tabs.findIndex((each) => each.id === current);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[
      event.key
    ];
    if (next === undefined) return;
    event.preventDefault();
    select(tabs[next % tabs.length]?.id ?? current);
    buttons[next % tabs.length]?.focus();
  });
  draw();
  return { element: make('div', { class: 'tabbed' }, list, ...panels), current: () => current };
}
