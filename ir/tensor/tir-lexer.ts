/**
 * Words of the text form of Tensor IR, with the lines they stand on, and the cursor that the parser
 * moves over them. Linear in the text; every failure names a line.
 */

/** A piece of the text: a quoted name's contents, the digits after `%`, else as written. */
export type TirToken = {
  readonly kind: 'name' | 'quoted' | 'number' | 'value' | 'mark' | 'end';
  readonly text: string;
  readonly line: number;
};

/** Malformed text; caught by `parseModule`, never seen outside. */
export class TirSyntaxError extends Error {
  override readonly name = 'TirSyntaxError';
  readonly line: number;
  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

const pieces = new RegExp([
  /(?<space>[ \t\r\n]+)/,
  /(?<name>[A-Za-z_][A-Za-z0-9_.-]*)/,
  /(?<number>-Infinity|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)/,
  /%(?<value>[0-9]+)/,
  /(?<mark>[[\]{},=:])/,
].map((each) => each.source).join('|'), 'y');

/** The position after a quoted string that starts at `start`, or −1 where it does not end on its line. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at];
    if (character === '"') return at + 1;
    if (character === '\n') return -1;
    if (character === '\\') at++;
  }
  return -1;
}

function readString(text: string, start: number, line: number): { readonly contents: string; readonly end: number } {
  const end = endOfString(text, start);
  if (end < 0) throw new TirSyntaxError(line, 'a quoted name does not end');
  try {
    return { contents: String(JSON.parse(text.slice(start, end))), end };
  } catch {
    throw new TirSyntaxError(line, 'a quoted name is not a JSON string');
  }
}

/** The token at a position, null for white space, and where it ends. */
type Match = { readonly token: TirToken | null; readonly end: number };

function matchToken(text: string, at: number, line: number): Match {
  if (text[at] === '"') {
    const { contents, end } = readString(text, at, line);
    return { token: { kind: 'quoted', text: contents, line }, end };
  }
  pieces.lastIndex = at;
  const groups = pieces.exec(text)?.groups;
  if (groups === undefined) throw new TirSyntaxError(line, `unexpected character ${JSON.stringify(text[at])}`);
  const end = pieces.lastIndex;
  for (const kind of ['name', 'number', 'value', 'mark'] as const) {
    const found = groups[kind];
    if (found !== undefined) return { token: { kind, text: found, line }, end };
  }
  return { token: null, end };
}

function readTokens(text: string): readonly TirToken[] {
  const tokens: TirToken[] = [];
  let [at, line] = [0, 1];
  while (at < text.length) {
    const { token, end } = matchToken(text, at, line);
    if (token === null) for (let space = at; space < end; space++) line += text[space] === '\n' ? 1 : 0;
    else tokens.push(token);
    at = end;
  }
  return [...tokens, { kind: 'end', text: '', line }];
}

/** Reads tokens one after the other. */
export type TirCursor = {
  /** the next token, not taken */
  readonly peek: () => TirToken;
  readonly take: () => TirToken;
  /** takes the next token if it is this name or mark */
  readonly accept: (text: string) => boolean;
  readonly expect: (text: string) => void;
  /** true while the next token stands on the line of the token before it */
  readonly staysOnLine: () => boolean;
  readonly fail: (wanted: string) => never;
};

function describe(token: TirToken): string {
  if (token.kind === 'end') return 'the end of the text';
  const shown = token.kind === 'value' ? `%${token.text}` : token.text;
  return JSON.stringify(shown.length > 40 ? `${shown.slice(0, 40)}…` : shown);
}

/** A cursor at the start of a text. */
export function openCursor(text: string): TirCursor {
  const tokens = readTokens(text);
  let next = 0;
  const end: TirToken = { kind: 'end', text: '', line: 1 };
  const peek = (): TirToken => tokens[Math.min(next, tokens.length - 1)] ?? end;
  const fail = (wanted: string): never => {
    throw new TirSyntaxError(peek().line, `expected ${wanted}, found ${describe(peek())}`);
  };
  const take = (): TirToken => {
    const token = peek();
    next++;
    return token;
  };
  const accept = (text: string): boolean => {
    const token = peek();
    if ((token.kind !== 'name' && token.kind !== 'mark') || token.text !== text) return false;
    next++;
    return true;
  };
  return {
    peek, take, accept, fail,
    expect: (text) => {
      if (!accept(text)) fail(JSON.stringify(text));
    },
    staysOnLine: () => next > 0 && tokens[next - 1]?.line === peek().line,
  };
}
