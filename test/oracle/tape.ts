/**
 * The tape: every scalar the naive evaluation makes is one node with its float64 value (complex
 * values are one node, since bounds on real and imaginary part apart would grow with every
 * rotation), the error bound of a device that computes it, and up to two parents with partials. One
 * rule pulls gradients back: adjoint(parent) += conj(partial) · adjoint(node), real nodes keep the
 * real part; with adjoint = dL/dRe + i dL/dIm it is exact for holomorphic functions, and real,
 * imag, abs and complex are written so that it is exact for them too.
 */
import type { Complex } from './complex-functions.ts';
import type { Rounding } from './rounding.ts';

/** One partial derivative: the parent, d(node)/d(parent), and how wrong a device may have it. */
export type Edge = { readonly parent: number; readonly partial: Complex; readonly partialBound: number };

export type Tape = {
  readonly rounding: Rounding;
  readonly recording: boolean;
  count: number;
  isReal: Uint8Array;
  re: Float64Array;
  im: Float64Array;
  bound: Float64Array;
  /** two per node; -1 for none */
  parents: Int32Array;
  partialRe: Float64Array;
  partialIm: Float64Array;
  partialBound: Float64Array;
};

/** An empty tape; without `recording` it keeps values and bounds only, and no gradient can be asked. */
export function createTape(rounding: Rounding, mode: 'values' | 'gradients'): Tape {
  const recording = mode === 'gradients';
  const capacity = 1 << 12;
  const edges = recording ? 2 * capacity : 0;
  return {
    rounding,
    recording,
    count: 0,
    isReal: new Uint8Array(capacity),
    re: new Float64Array(capacity),
    im: new Float64Array(capacity),
    bound: new Float64Array(capacity),
    parents: new Int32Array(edges),
    partialRe: new Float64Array(edges),
    partialIm: new Float64Array(edges),
    partialBound: new Float64Array(edges),
  };
}

function grown<A extends Float64Array | Int32Array | Uint8Array>(array: A, larger: A): A {
  larger.set(array);
  return larger;
}

function growTape(tape: Tape): void {
  const capacity = 2 * tape.isReal.length;
  tape.isReal = grown(tape.isReal, new Uint8Array(capacity));
  tape.re = grown(tape.re, new Float64Array(capacity));
  tape.im = grown(tape.im, new Float64Array(capacity));
  tape.bound = grown(tape.bound, new Float64Array(capacity));
  if (!tape.recording) return;
  tape.parents = grown(tape.parents, new Int32Array(2 * capacity));
  tape.partialRe = grown(tape.partialRe, new Float64Array(2 * capacity));
  tape.partialIm = grown(tape.partialIm, new Float64Array(2 * capacity));
  tape.partialBound = grown(tape.partialBound, new Float64Array(2 * capacity));
}

/** Appends a node; `isReal` promises that its imaginary part is zero for every input. */
export function pushNode(
  tape: Tape,
  value: Complex,
  facts: { readonly isReal: boolean; readonly bound: number },
  edges: readonly Edge[] = [],
): number {
  if (tape.count === tape.isReal.length) growTape(tape);
  const node = tape.count++;
  tape.isReal[node] = facts.isReal ? 1 : 0;
  const round = tape.rounding.round;
  tape.re[node] = round(value.re);
  tape.im[node] = facts.isReal ? 0 : round(value.im);
  tape.bound[node] = facts.bound;
  if (!tape.recording) return node;
  for (let slot = 0; slot < 2; slot++) {
    const edge = edges[slot];
    tape.parents[2 * node + slot] = edge === undefined ? -1 : edge.parent;
    if (edge === undefined) continue;
    tape.partialRe[2 * node + slot] = round(edge.partial.re);
    tape.partialIm[2 * node + slot] = round(edge.partial.im);
    tape.partialBound[2 * node + slot] = edge.partialBound;
  }
  return node;
}

export const valueOf = (tape: Tape, node: number): Complex => ({ re: tape.re[node]!, im: tape.im[node]! });
export const boundOf = (tape: Tape, node: number): number => tape.bound[node]!;
export const isRealNode = (tape: Tape, node: number): boolean => tape.isReal[node] === 1;

/** Gradients of all nodes for given cotangents, with first-order error bounds. */
export type Adjoints = {
  readonly re: Float64Array;
  readonly im: Float64Array;
  /** sum of the moduli of all contributions: what cancellation in the gradient is measured against */
  readonly majorant: Float64Array;
  /** accumulated error: partials that are off, and one rounding per node on the way */
  readonly error: Float64Array;
  /** number of contributions that were added into the adjoint */
  readonly contributions: Int32Array;
};

/**
 * One reverse sweep. Bounds are first order: the error of an adjoint is Σ |p|·error + |δp|·majorant
 * plus three roundings of each contribution's majorant (a complex product and a sum); because
 * majorants (not the values) are carried, any order of summation is covered up to the logarithmic factor that `gradientBound` adds.
 */
export function sweepBackward(tape: Tape, seeds: ReadonlyMap<number, Complex>): Adjoints {
  const count = tape.count;
  const adjoints: Adjoints = {
    re: new Float64Array(count),
    im: new Float64Array(count),
    majorant: new Float64Array(count),
    error: new Float64Array(count),
    contributions: new Int32Array(count),
  };
  for (const [node, seed] of seeds) {
    adjoints.re[node] = seed.re;
    adjoints.im[node] = tape.isReal[node] === 1 ? 0 : seed.im;
    adjoints.majorant[node] = Math.hypot(seed.re, adjoints.im[node]!);
  }
  for (let node = count - 1; node >= 0; node--) {
    // a device may find a number where the exact adjoint is zero
    if (adjoints.majorant[node] === 0 && adjoints.error[node] === 0) continue;
    pullBack(tape, adjoints, 2 * node, node);
    pullBack(tape, adjoints, 2 * node + 1, node);
  }
  return adjoints;
}

function pullBack(tape: Tape, adjoints: Adjoints, edge: number, node: number): void {
  const parent = tape.parents[edge]!;
  if (parent < 0) return;
  const [re, im] = [adjoints.re[node]!, adjoints.im[node]!];
  const [partialRe, partialIm] = [tape.partialRe[edge]!, tape.partialIm[edge]!];
  const [majorant, partialBound] = [adjoints.majorant[node]!, tape.partialBound[edge]!];
  const size = partialIm === 0 ? Math.abs(partialRe) : Math.hypot(partialRe, partialIm);
  const round = tape.rounding.round;
  adjoints.re[parent] = round(adjoints.re[parent]! + round(partialRe * re + partialIm * im));
  if (tape.isReal[parent] === 0) {
    adjoints.im[parent] = round(adjoints.im[parent]! + round(partialRe * im - partialIm * re));
  }
  adjoints.majorant[parent]! += size * majorant;
  const rounding = 3 * tape.rounding.unit * size * majorant;
  adjoints.error[parent]! += size * adjoints.error[node]! + partialBound * majorant + rounding;
  adjoints.contributions[parent]! += 1;
}

/** Error bound of the gradient of one node after a sweep over sequences of `length` tokens. */
export function gradientBound(tape: Tape, adjoints: Adjoints, node: number, length: number): number {
  const contributions = Math.max(1, adjoints.contributions[node]!);
  const levels = 2 * Math.ceil(Math.log2(Math.max(1, length))) + 2 + Math.ceil(Math.log2(contributions));
  return adjoints.error[node]! + levels * tape.rounding.unit * adjoints.majorant[node]! + tape.rounding.tiny;
}
