/** Sizes and mode that everything is shown for: fields for the axes of the layer's head, batch, length. */
import type { AxisSize, Mode } from '../services/protocol.ts';
import { labelled, make, makeNumberField, makeSelect, type NumberField } from './dom.ts';

export type Chosen = { readonly batch: number; readonly length: number; readonly mode: Mode };

export type Settings = {
  readonly element: HTMLElement;
  readonly chosen: () => Chosen;
  /** sizes typed here in place of those that the text says */
  readonly sizes: () => Readonly<Record<string, number>>;
  /**
   * Shows the sizes of a checked layer. A size that was typed holds until the text says another one;
   * `outdated` when some no longer hold, so that the layer must be checked again.
   */
  readonly accept: (sizes: readonly AxisSize[]) => 'shown' | 'outdated';
  /** forgets what was typed, for another text */
  readonly reset: () => void;
};

const [largestAxis, largestBatch, largestLength] = [8192, 256, 16_384];

type Typed = { readonly size: number; readonly declared: number | null };

/** `changed` is called when the user chose something else. */
export function createSettings(changed: () => void): Settings {
  const axes = make('div', { class: 'axis-sizes' });
  const fields = new Map<string, { readonly field: NumberField; readonly axis: AxisSize }>();
  const typed = new Map<string, Typed>();
  const batch = makeNumberField(1, 1, largestBatch);
  const length = makeNumberField(256, 1, largestLength);
  const mode = makeSelect(
    [
      ['auto', 'auto'],
      ['recurrent', 'recurrent'],
      ['scan', 'scan'],
      ['conv', 'convolution'],
    ],
    'auto',
  );
  for (const control of [batch.element, length.element, mode]) control.addEventListener('change', changed);
  const fieldOf = (axis: AxisSize): NumberField => {
    const field = makeNumberField(axis.size, 1, largestAxis);
    field.element.addEventListener('change', () => {
      const size = field.value();
      const declared = fields.get(axis.name)?.axis.declared ?? null;
      if (size !== null) typed.set(axis.name, { size, declared });
      changed();
    });
    return field;
  };
  const show = (sizes: readonly AxisSize[]): void => {
    const isNew = sizes.map((each) => each.name).join() !== [...fields.keys()].join();
    const known = new Map(isNew ? [] : fields);
    fields.clear();
    for (const axis of sizes) {
      const field = known.get(axis.name)?.field ?? fieldOf(axis);
      field.element.value = String(axis.size);
      fields.set(axis.name, { field, axis });
    }
    if (isNew) axes.replaceChildren(...[...fields].map(([name, { field }]) => labelled(name, field.element)));
  };
  return {
    element: make(
      'div',
      { class: 'toolbar sizes' },
      axes,
      labelled('batch', batch.element),
      labelled('length', length.element),
      labelled('mode', mode),
    ),
    chosen: () => ({ batch: batch.value() ?? 1, length: length.value() ?? 1, mode: mode.value as Mode }),
    sizes: () => Object.fromEntries([...typed].map(([name, { size }]) => [name, size])),
    accept: (sizes) => {
      const outdated = [...typed].filter(
        ([name, { declared }]) => sizes.find((each) => each.name === name)?.declared !== declared,
      );
      outdated.forEach(([name]) => typed.delete(name));
      if (outdated.length > 0) return 'outdated';
      show(sizes);
      return 'shown';
    },
    reset: () => typed.clear(),
  };
}
