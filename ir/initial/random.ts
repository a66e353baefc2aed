/**
 * Random numbers by counter: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011). A number is a function of
 * the seed, the name of what it is for and its index, so that a new parameter changes no other one, and
 * any part can be drawn again on any machine.
 */
import { contentHash } from '../../support/hash.ts';
import { required } from '../../support/invariant.ts';
import { cosineOfTurns, logarithm } from './portable.ts';

/** Four words of 32 bits. */
export type Words = readonly [number, number, number, number];

const multipliers = [0xd2511f53, 0xcd9e8d57] as const;
const weyl = [0x9e3779b9, 0xbb67ae85] as const;
const rounds = 10;

function multiplyHigh(left: number, right: number): number {
  const [leftLow, leftHigh] = [left & 0xffff, left >>> 16];
  const [rightLow, rightHigh] = [right & 0xffff, right >>> 16];
  const middle = leftHigh * rightLow + ((leftLow * rightLow) >>> 16);
  const other = leftLow * rightHigh + (middle % 0x10000);
  return (leftHigh * rightHigh + Math.floor(middle / 0x10000) + Math.floor(other / 0x10000)) >>> 0;
}

/** The block of a counter under a key. */
export function philox(counter: Words, key: readonly [number, number]): Words {
  let [a, b, c, d] = counter;
  let [first, second] = key;
  for (let round = 0; round < rounds; round++) {
    const [highA, lowA] = [multiplyHigh(multipliers[0], a), Math.imul(multipliers[0], a) >>> 0];
    const [highC, lowC] = [multiplyHigh(multipliers[1], c), Math.imul(multipliers[1], c) >>> 0];
    [a, b, c, d] = [(highC ^ b ^ first) >>> 0, lowC, (highA ^ d ^ second) >>> 0, lowA];
    first = (first + weyl[0]) >>> 0;
    second = (second + weyl[1]) >>> 0;
  }
  return [a, b, c, d];
}

/** Independent numbers by index. */
export type RandomStream = {
  /** in (0, 1), 52 bits */
  readonly uniform: (index: number) => number;
  /** mean 0, standard deviation 1 */
  readonly normal: (index: number) => number;
};

function unitInterval(high: number, low: number): number {
  return ((high >>> 6) * 2 ** 26 + (low >>> 6) + 0.5) / 2 ** 52;
}

/** The numbers of one draw: `path` names the parameter, `draw` counts the calls in its initialiser. */
export function randomStream(seed: number, path: string, draw: number): RandomStream {
  const digits = contentHash(path);
  const word = (at: number): number => required(Number.parseInt(digits.slice(at, at + 8), 16), 'hash');
  const key = [word(0), (word(8) ^ Math.floor(seed / 2 ** 32)) >>> 0] as const;
  const block = (index: number): Words => philox([index >>> 0, Math.floor(index / 2 ** 32), draw, seed >>> 0], key);
  return {
    uniform(index) {
      const [high, low] = block(index);
      return unitInterval(high, low);
    },
    normal(index) {
      const [a, b, c, d] = block(index);
      return Math.sqrt(-2 * logarithm(unitInterval(a, b))) * cosineOfTurns(unitInterval(c, d));
    },
  };
}
