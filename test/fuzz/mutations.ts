/**
 * How inputs of the fuzzers are made: pieces of sound ones, changed in ways that break readers (cuts,
 * repeats, words of the grammar, characters that end lines or steer terminals, lengths that overflow).
 * Everything is a fast-check arbitrary, so a failure comes with its seed and shrinks.
 */
import fc from 'fast-check';

/** The most characters that mutations make of a text: above the language's own limit, so that it is met too. */
export const largestInput: number = 300_000;

/** Strings that readers of text have stumbled over. */
export const hostileStrings: readonly string[] = [
  '\0', '\u000b', '\u000c', '\r', '\u0085', '\u2028', '\u2029', '\u202e', '\ufeff', '\ud800', '\u{1f600}', '\\', '"', "'", '`', '${0}', '*/', '/*', '//', '"""',
  '__proto__', 'constructor', 'toString', 'hasOwnProperty', '-1', '1e999', '4294967296', '9007199254740993', '0x10', 'NaN', '-0', '1e-400',
  '((((((((', '[[[[', '}}}}', '{', '}', ',', ';', '=', '%', '#include "/etc/hostname"',
];

type TextChange = {
  readonly at: number;
  readonly length: number;
  readonly change: 'delete' | 'repeat' | 'many' | 'word' | 'hostile' | 'move' | 'line';
  readonly word: number;
};

const place: fc.Arbitrary<number> = fc.double({ min: 0, max: 0.9999, noNaN: true });

const textChange: fc.Arbitrary<TextChange> = fc.record({
  at: place, length: fc.oneof(fc.nat(3), fc.nat(40), fc.nat(400)),
  change: fc.constantFrom('delete', 'repeat', 'many', 'word', 'word', 'hostile', 'move', 'line'), word: fc.nat(),
});

function applyToText(text: string, { at, length, change, word }: TextChange, words: readonly string[]): string {
  const start = Math.floor(at * (text.length + 1));
  const [before, taken, after] = [text.slice(0, start), text.slice(start, start + length), text.slice(start + length)];
  switch (change) {
    case 'delete':
      return before + after;
    case 'repeat':
      return before + taken + taken + after;
    case 'many':
      return before + taken.repeat(2 + (word % 3000)) + after;
    case 'word':
      return `${before} ${words[word % words.length] ?? ''} ${after}`;
    case 'hostile':
      return before + (hostileStrings[word % hostileStrings.length] ?? '') + after;
    case 'move': {
      const to = word % (before.length + 1);
      return before.slice(0, to) + taken + before.slice(to) + after;
    }
    case 'line': {
      const lines = text.split('\n');
      lines.splice(start % lines.length, 0, lines[word % lines.length] ?? '');
      return lines.join('\n');
    }
    default:
      return change satisfies never;
  }
}

/** Words and signs of some texts, each once. */
export function wordsOf(texts: readonly string[]): readonly string[] {
  return [...new Set(texts.join('\n').match(/\w+|[^\s\w]/g) ?? [])];
}

/** Sound texts with one to six changes; seldom their words in any order, or noise. */
export function mutatedText(corpus: readonly string[], words: readonly string[] = wordsOf(corpus)): fc.Arbitrary<string> {
  const changed = fc.tuple(fc.constantFrom(...corpus), fc.array(textChange, { minLength: 1, maxLength: 6 }))
    .map(([text, changes]) => changes.reduce((each, change) => (each.length > largestInput ? each : applyToText(each, change, words)), text).slice(0, largestInput));
  const shuffled = fc.array(fc.constantFrom(...words, ...hostileStrings), { maxLength: 200 }).map((each) => each.join(' '));
  return fc.oneof({ weight: 12, arbitrary: changed }, { weight: 2, arbitrary: shuffled }, { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 300 }) });
}

type ByteChange = { readonly at: number; readonly change: 'flip' | 'set' | 'cut' | 'insert' | 'number' | 'text'; readonly value: number };

const byteChange: fc.Arbitrary<ByteChange> = fc.record({
  at: place, change: fc.constantFrom('flip', 'set', 'cut', 'insert', 'number', 'text'), value: fc.nat(),
});

const hostileNumbers: readonly bigint[] = [0n, 1n, 7n, 8n, 0x7fn, 0xffn, 0x7fffn, 0xffffn, 0x7fffffffn, 0xffffffffn, 1n << 53n, (1n << 63n) - 1n, (1n << 64n) - 1n];

function applyToBytes(bytes: Uint8Array, { at, change, value }: ByteChange): Uint8Array {
  const start = Math.floor(at * (bytes.length + 1));
  const copy = Uint8Array.from(bytes);
  switch (change) {
    case 'flip':
      copy[start] = (copy[start] ?? 0) ^ (1 << (value % 8));
      return copy;
    case 'set':
      copy[start] = value;
      return copy;
    case 'cut':
      return value % 2 === 0 ? copy.slice(0, start) : Uint8Array.from([...copy.slice(0, start), ...copy.slice(start + (value % 16))]);
    case 'insert':
      return Uint8Array.from([...copy.slice(0, start), ...Array.from({ length: value % 32 }, (_, index) => value >> (index % 8)), ...copy.slice(start)]);
    case 'number':
      return withNumber(copy, start, hostileNumbers[value % hostileNumbers.length] ?? 0n);
    case 'text': {
      const text = new TextEncoder().encode(hostileStrings[value % hostileStrings.length]);
      copy.set(text.slice(0, Math.max(0, copy.length - start)), start);
      return copy;
    }
    default:
      return change satisfies never;
  }
}

/** A little-endian number of eight bytes at a place, the start of the file among them, where lengths are. */
function withNumber(bytes: Uint8Array, start: number, value: bigint): Uint8Array {
  const at = start % 3 === 0 ? 0 : start;
  if (at + 8 <= bytes.length) new DataView(bytes.buffer).setBigUint64(at, value, true);
  return bytes;
}

/** Sound files with one to six changes, or bytes at random. */
export function mutatedBytes(corpus: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const changed = fc.tuple(fc.constantFrom(...corpus), fc.array(byteChange, { minLength: 1, maxLength: 6 }))
    .map(([bytes, changes]) => changes.reduce(applyToBytes, bytes));
  return fc.oneof({ weight: 9, arbitrary: changed }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) });
}
