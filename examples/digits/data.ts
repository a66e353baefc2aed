/**
 * The digits: 8 × 8 grey scans, read row by row as sequences of 64 numbers in 0…1. Every fifth row is
 * held out and never trained on. The file's origin and licence are in README.md beside it.
 */
import { ssmError } from '../../support/diagnostic.ts';

export type Digits = {
  readonly count: number;
  /** [count, 64] */
  readonly pixels: Float32Array;
  readonly labels: Int32Array;
};

/** Tokens of one scan. */
export const digitLength = 64;
const greyLevels = 16;
const heldOutEvery = 5;

/** All rows of the file. Throws SSM7002 for rows of another form. */
export function parseDigits(text: string): Digits {
  const rows = text.trim().split('\n').slice(1);
  const [pixels, labels] = [new Float32Array(rows.length * digitLength), new Int32Array(rows.length)];
  rows.forEach((row, at) => {
    const numbers = row.split(',').map(Number);
    const label = numbers[digitLength];
    if (numbers.length !== digitLength + 1 || label === undefined || !numbers.every(Number.isInteger)) {
      throw ssmError('SSM7002', `row ${at + 2} of the digits is not ${digitLength} grey values and a label`);
    }
    pixels.set(numbers.slice(0, digitLength).map((each) => each / greyLevels), at * digitLength);
    labels[at] = label;
  });
  return { count: rows.length, pixels, labels };
}

/** The rows with these numbers. */
export function selectDigits(digits: Digits, rows: readonly number[]): Digits {
  const [pixels, labels] = [new Float32Array(rows.length * digitLength), new Int32Array(rows.length)];
  rows.forEach((row, at) => {
    pixels.set(digits.pixels.subarray(row * digitLength, (row + 1) * digitLength), at * digitLength);
    labels[at] = digits.labels[row] ?? 0;
  });
  return { count: rows.length, pixels, labels };
}

/** Four fifths to train on, one fifth to test on. */
export function splitDigits(digits: Digits): { readonly train: Digits; readonly test: Digits } {
  const rows = Array.from({ length: digits.count }, (_, at) => at);
  return {
    train: selectDigits(digits, rows.filter((at) => at % heldOutEvery !== 0)),
    test: selectDigits(digits, rows.filter((at) => at % heldOutEvery === 0)),
  };
}
