/** The language: text to syntax tree, syntax tree to checked layer description. */
export { parse } from './parse.ts';
export type { ParseOutcome } from './parse.ts';
