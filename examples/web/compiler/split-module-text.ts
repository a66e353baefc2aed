/** The text of a WebAssembly module as one part per kernel, since the whole has millions of characters. */
import type { Section } from '../services/protocol.ts';

/** Line ends before a function or the comment lines above it. */
const beforeFunctions = /(?<!\n {2};;[^\n]*)\n(?=(?: {2};;[^\n]*\n)* {2}\(func )/;

/** The module's head, then every function under the name it is exported by. */
export function splitModuleText(text: string): readonly Section[] {
  const [head = '', ...functions] = text.split(beforeFunctions);
  return [
    { title: 'module', text: head },
    ...functions.map((each, at) => ({ title: exportOf(each) ?? `function ${at}`, text: each })),
  ];
}

function exportOf(text: string): string | null {
  return /\(func \(export "([^"]+)"\)/.exec(text)?.[1] ?? null;
}
