/** The language: text to syntax tree, syntax tree to checked layer description. */
export { parse } from './parse.ts';
export type { ParseOutcome } from './parse.ts';
export { elaborate, loadLayer } from './elaborate.ts';
export type { ElaborateOptions, ElaborateOutcome } from './elaborate.ts';
export { format } from './format/index.ts';
export type { FormatOutcome } from './format/index.ts';
