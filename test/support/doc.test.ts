import { describe, expect, it } from 'vitest';
import { f32Digits, integerDigits } from '../../backends/print/literal.ts';
import { concat, group, hardLine, indent, line, renderDoc, softLine, text } from '../../support/doc.ts';
import { commentText, createNamer } from '../../support/namer.ts';

describe('documents', () => {
  const call = group(concat('call(', indent(concat(softLine, 'first,', line, 'second')), softLine, ')'));

  it('keeps a group on one line when it fits', () => {
    expect(renderDoc(call, 40)).toBe('call(first, second)');
  });

  it('breaks all lines of a group that does not fit', () => {
    expect(renderDoc(call, 12)).toBe('call(\n  first,\n  second\n)');
  });

  it('breaks at hard lines and leaves no blanks at line ends', () => {
    expect(renderDoc(indent(concat('a', hardLine, hardLine, text('b'))))).toBe('a\n\n  b');
  });
});

describe('names', () => {
  it('gives reserved, empty and non-ASCII stems a safe form', () => {
    const namer = createNamer();
    const stems = ['fn', '__proto__', 'exp', '', '7', 'Δ', 'a b', '__proto__', 'x'.repeat(100_000)];
    const names = stems.map((each) => namer.fresh(each));
    expect(names.slice(0, 8)).toEqual(['fn_0', 'proto_0', 'exp_0', 'v_0', 'v_1', 'v_2', 'a_b_0', 'proto_1']);
    expect(names.at(-1)?.length).toBeLessThan(60);
  });

  it('never gives a name twice, whatever the stems', () => {
    const namer = createNamer();
    const stems = ['x', 'x_0', 'x_0_0', 'x', 'x_', '_x', 'x_0', 'x__0', '0x'];
    const names = stems.map((each) => namer.fresh(each));
    expect(new Set(names).size).toBe(stems.length);
  });

  it('lets no comment end early', () => {
    const shown = commentText('a\nb\u2028c\u0085d\\??/e*/');
    expect(shown).not.toMatch(/[^\x20-\x7e]|\\|\?\?/);
  });
});

describe('literals', () => {
  it('prints f32 numbers that read back as the same bits', () => {
    let seed = 1;
    const bits = new Uint32Array(1);
    const value = new Float32Array(bits.buffer);
    for (let count = 0; count < 100_000; count++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      bits[0] = seed;
      const number = value[0]!;
      if (!Number.isFinite(number)) continue;
      const digits = f32Digits(number);
      if (Math.fround(Number(digits)) !== number) expect.fail(`${digits} for ${number}`);
      if (!/[.e]/.test(digits)) expect.fail(`${digits} looks like an integer`);
    }
  });

  it('prints few digits where few suffice', () => {
    expect([1, 0.1, -0, 1e-30, Math.fround(1 / 3), 2 ** 24].map(f32Digits)).toEqual(
      ['1.0', '0.1', '-0.0', '1e-30', '0.33333334', '16777216.0'],
    );
  });

  it('stays within the largest f32, which WGSL asks of decimals', () => {
    const largest = 3.4028234663852886e38;
    expect([largest, -largest].map((each) => Number(f32Digits(each)))).toEqual([largest, -largest]);
  });

  it('refuses what the type cannot hold', () => {
    expect(() => f32Digits(Infinity)).toThrow(/finite/);
    expect(() => f32Digits(1e39)).toThrow(/finite/);
    expect(() => integerDigits(2 ** 31, 'i32')).toThrow(/i32/);
    expect(() => integerDigits(1.5, 'i32')).toThrow(/i32/);
  });
});
