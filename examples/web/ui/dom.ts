/** Making elements. Text always becomes text nodes, so nothing a user writes is ever read as HTML. */

export type Child = Node | string | null;

/** Attributes by name; `null` and `false` leave one out, `true` sets it empty. */
export type Attributes = Readonly<Record<string, string | number | boolean | null>>;

function decorate(element: Element, attributes: Attributes, children: readonly Child[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((each) => each !== null));
}

/** An HTML element. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  decorate(element, attributes, children);
  return element;
}

/** An SVG element. */
export function makeSvg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[Tag] {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  decorate(element, attributes, children);
  return element;
}

/** A control under its visible name. */
export function labelled(name: string, control: HTMLElement): HTMLLabelElement {
  control.setAttribute('aria-label', name); // the label's text would hold the options too
  return make('label', { class: 'field' }, make('span', { class: 'field-name' }, name), control);
}

/** A list to choose from; `options` are value and words. */
export function makeSelect(
  options: readonly (readonly [string, string])[],
  chosen: string,
): HTMLSelectElement {
  const select = make('select', {}, ...options.map(([value, words]) => make('option', { value }, words)));
  select.value = chosen;
  return select;
}

export type NumberField = {
  readonly element: HTMLInputElement;
  /** the number typed, or null where it is none of the allowed */
  readonly value: () => number | null;
};

/** A whole number between bounds. */
export function makeNumberField(value: number, least: number, largest: number): NumberField {
  const element = make('input', {
    type: 'number',
    min: least,
    max: largest,
    step: 1,
    value,
    inputmode: 'numeric',
  });
  return {
    element,
    value: () => {
      const typed = element.valueAsNumber;
      return Number.isInteger(typed) && typed >= least && typed <= largest ? typed : null;
    },
  };
}

/** A table with a head row; cells that are numbers as text stand right. */
export function makeTable(head: readonly string[], rows: readonly (readonly Child[])[]): HTMLElement {
  const isNumber = (cell: Child): boolean =>
    typeof cell === 'string' && /^[\d.,]+( ?[a-zA-Zµ%/]+)?$/.test(cell);
  return make(
    'div',
    { class: 'table' },
    make(
      'table',
      {},
      make('thead', {}, make('tr', {}, ...head.map((each) => make('th', { scope: 'col' }, each)))),
      make(
        'tbody',
        {},
        ...rows.map((row) =>
          make('tr', {}, ...row.map((cell) => make('td', { class: isNumber(cell) ? 'number' : null }, cell))),
        ),
      ),
    ),
  );
}

/** Lets only the last of several answers through: earlier ones, and failures of earlier ones, become null. */
export function keepLatest(): <Value>(answer: Promise<Value>) => Promise<Value | null> {
  let asked = 0;
  return async (answer) => {
    const mine = ++asked;
    try {
      const value = await answer;
      return mine === asked ? value : null;
    } catch (error) {
      if (mine === asked) throw error;
      return null;
    }
  };
}
