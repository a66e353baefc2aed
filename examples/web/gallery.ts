/** The texts that the page offers: every published system in `examples`, and the digit classifiers. */

const systems = import.meta.glob<string>('../*.ssm', { query: '?raw', import: 'default', eager: true });
const classifiers = import.meta.glob<string>('../digits/*.ssm', {
  query: '?raw',
  import: 'default',
  eager: true,
});

export type Example = { readonly id: string; readonly title: string; readonly text: string };

function exampleOf([path, text]: readonly [string, string]): Example {
  const id = /([^/]+)\.ssm$/.exec(path)?.[1] ?? path;
  const documentation = /^\/\/\/ *(.*)$/m.exec(text)?.[1] ?? '';
  const short = documentation.split(/ \(|\.(?: |$)/)[0] ?? '';
  return { id, title: short === '' ? id : `${id}: ${short.replace(/^[^:]{1,24}: /, '')}`, text };
}

/** By file name. */
export const examples: readonly Example[] = [...Object.entries(systems), ...Object.entries(classifiers)].map(
  exampleOf,
);

/** The example of this name; the first where there is none. */
export function findExample(id: string): Example {
  const found = examples.find((each) => each.id === id) ?? examples[0];
  if (found === undefined) throw new Error('the page was built without examples');
  return found;
}
