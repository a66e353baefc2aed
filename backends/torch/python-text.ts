/** Small pieces of Python text: numbers, strings, tuples, and lists of arguments that are broken into lines. */

const lineWidth = 116;

/** A finite number as Python writes it, always a float. */
export function pythonNumber(value: number): string {
  const text = String(value);
  return /^-?[0-9]+$/.test(text) ? `${text}.0` : text;
}

/** A string literal: names of the language are ASCII letters, digits, `_` and dots, everything else is escaped. */
export function pythonString(text: string): string {
  return JSON.stringify(text).replace(/[^\x20-\x7e]/g, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** `(a, b)`, `(a,)`, `()`. */
export function pythonTuple(parts: readonly string[]): string {
  return parts.length === 1 ? `(${parts.join('')},)` : `(${parts.join(', ')})`;
}

/**
 * `head(a, b)tail` at an indentation: on one line, else with as many arguments per line as fit. The first line
 * is not indented.
 */
export function pythonCall(head: string, parts: readonly string[], tail: string = '', indent: string = ''): string {
  const flat = `${head}(${parts.join(', ')})${tail}`;
  if (indent.length + flat.length <= lineWidth) return flat;
  const lines: string[] = [];
  let line = '';
  for (const part of parts) {
    if (line !== '' && indent.length + 4 + line.length + part.length + 2 > lineWidth) {
      lines.push(line.trimEnd());
      line = '';
    }
    line += `${part}, `;
  }
  lines.push(line.trimEnd());
  return `${head}(\n${lines.map((each) => `${indent}    ${each}\n`).join('')}${indent})${tail}`;
}
