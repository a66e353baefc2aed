/**
 * Names for generated code. A name keeps its stem, so that the code reads like its source, and
 * always ends in `_<number>`: no reserved word, builtin function or predefined macro of a target has
 * that form, so hostile stems (`fn`, `exp`, `__proto__`) cannot clash with anything.
 */

export type Namer = {
  /** A name that this namer has not given before. Deterministic: depends on the calls before it only. */
  readonly fresh: (stem: string) => string;
};

const longestStem = 40;

/** The stem as letters, digits and single underscores, starting with a letter. */
export function safeStem(stem: string): string {
  const letters = stem
    .replace(/[^A-Za-z0-9]+/g, '_')
    .slice(0, longestStem)
    .replace(/^[_0-9]+/, '')
    .replace(/_+$/, '');
  return letters === '' ? 'v' : letters;
}

/**
 * A namer of its own for each scope that needs distinct names. Counters run per stem: a name is its
 * stem, `_` and a number, and splits into these in one way only, so equal names mean equal calls.
 * `taken` are names from elsewhere that must not be given.
 */
export function createNamer(taken: readonly string[] = []): Namer {
  const used = new Map<string, number>();
  const avoid = new Set(taken);
  const next = (safe: string): string => {
    const number = used.get(safe) ?? 0;
    used.set(safe, number + 1);
    return `${safe}_${number}`;
  };
  return {
    fresh(stem) {
      const safe = safeStem(stem);
      let name = next(safe);
      while (avoid.has(name)) name = next(safe);
      return name;
    },
  };
}

/** Text for a one-line comment: printable ASCII without backslashes and trigraphs, so that it cannot end early or late. */
export function commentText(text: string): string {
  return text.replace(/[^\x20-\x7e]|\\/g, '.').replace(/\?(?=\?)/g, '.').trimEnd();
}
