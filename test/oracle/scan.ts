/**
 * The recurrence x_t = a_t·x_{t−1} + b_t as a loop over tokens, one element at a time, with the error
 * bound of reliability.md 2.0 beside it: S sums magnitudes, T sums them by age, P carries the errors
 * of the coefficients themselves. S and T cover any bracketing of the recurrence: loop, tree, chunks.
 */
import { complexOf, modulus, multiplyComplex } from './complex-functions.ts';
import type { DiscreteForm } from './discretize.ts';
import { broadcastTo, elementCount, type NodeTensor } from './node-tensor.ts';
import type { Scope } from './scope.ts';
import type { StateFrame } from './states.ts';
import { constantNode } from './tape-operations.ts';
import { boundOf, pushNode, valueOf, type Tape } from './tape.ts';

export type ScanResult = {
  /** after the update, over batch, time and the state's axes */
  readonly updated: NodeTensor;
  /** before the update: what the token started from, after its reset if it has one */
  readonly previous: NodeTensor;
  /** per batch and element, after the last token visited */
  readonly final: Int32Array;
};

/** Sums beside the recurrence, all of moduli. */
type Sums = { readonly magnitude: number; readonly aged: number; readonly carried: number };

export function scanAffine(scope: Scope, frame: StateFrame, form: DiscreteForm): ScanResult {
  const { tape, batch, length } = scope.run;
  const axes = ['batch', 'time', ...frame.axes];
  const shape = [batch, length, ...frame.shape];
  const elements = elementCount(frame.shape);
  const coefficient = broadcastTo(form.coefficient, axes, shape).nodes;
  const drive = broadcastTo(form.drive, axes, shape).nodes;
  const updated = new Int32Array(elementCount(shape));
  const previous = new Int32Array(updated.length);
  const final = Int32Array.from(frame.initial.nodes);
  const zero = constantNode(tape, 0);
  for (let row = 0; row < batch * elements; row++) {
    const start = Math.floor(row / elements) * length * elements + (row % elements);
    const initial = frame.initial.nodes[row]!;
    let state = initial;
    let sums = freshSums(tape, initial);
    const times = Array.from({ length }, (_, visited) => (frame.order === 'forward' ? visited : length - 1 - visited));
    const spread = tape.rounding.sequence === 0 ? 0 : tape.rounding.sequence * largestState(tape, initial, times.map((time) => start + time * elements), { coefficient, drive });
    for (const time of times) {
      const at = start + time * elements;
      if (frame.flags !== null && tape.re[frame.flags.nodes[at]!] !== 0) {
        state = frame.action === 'restart' ? initial : zero;
        sums = freshSums(tape, state);
      }
      previous[at] = state;
      sums = nextSums(tape, sums, coefficient[at]!, drive[at]!);
      state = nextState(tape, state, coefficient[at]!, drive[at]!, scanBound(tape, sums, frame, length) + spread);
      updated[at] = state;
    }
    final[row] = state;
  }
  return { updated: { axes, shape, nodes: updated }, previous: { axes, shape, nodes: previous }, final };
}

/** Modulus of the largest state of a sequence without resets, which convolved states have none of. */
function largestState(
  tape: Tape, initial: number, places: readonly number[], { coefficient, drive }: { readonly coefficient: Int32Array; readonly drive: Int32Array },
): number {
  let state = valueOf(tape, initial);
  let largest = modulus(state);
  for (const at of places) {
    const decayed = multiplyComplex(valueOf(tape, coefficient[at]!), state);
    const added = valueOf(tape, drive[at]!);
    state = complexOf(decayed.re + added.re, decayed.im + added.im);
    largest = Math.max(largest, modulus(state));
  }
  return largest;
}

const freshSums = (tape: Tape, node: number): Sums =>
  ({ magnitude: modulus(valueOf(tape, node)), aged: 0, carried: boundOf(tape, node) });

function nextSums(tape: Tape, sums: Sums, coefficient: number, drive: number): Sums {
  const size = modulus(valueOf(tape, coefficient));
  const error = boundOf(tape, coefficient);
  return {
    magnitude: size * sums.magnitude + modulus(valueOf(tape, drive)),
    aged: size * (sums.aged + sums.magnitude),
    carried: (size + error) * sums.carried + error * sums.magnitude + boundOf(tape, drive),
  };
}

function scanBound(tape: Tape, sums: Sums, frame: StateFrame, length: number): number {
  const { unit, tiny } = tape.rounding;
  const products = frame.isReal ? 1 : Math.sqrt(5);
  const levels = 2 * Math.ceil(Math.log2(Math.max(1, length))) + 2;
  return products * unit * (2 * sums.aged + levels * sums.magnitude) + sums.carried + length * tiny;
}

/** a·x and then + b: two nodes, the bound of the scan on the second. */
function nextState(tape: Tape, state: number, coefficient: number, drive: number, bound: number): number {
  const [x, a, b] = [valueOf(tape, state), valueOf(tape, coefficient), valueOf(tape, drive)];
  const isReal = [state, coefficient, drive].every((node) => tape.isReal[node] === 1);
  const decayed = multiplyComplex(a, x);
  const product = pushNode(tape, decayed, { isReal: tape.isReal[state] === 1 && tape.isReal[coefficient] === 1, bound }, [
    { parent: state, partial: a, partialBound: boundOf(tape, coefficient) },
    { parent: coefficient, partial: x, partialBound: boundOf(tape, state) },
  ]);
  const one = complexOf(1);
  return pushNode(tape, complexOf(decayed.re + b.re, decayed.im + b.im), { isReal, bound }, [
    { parent: product, partial: one, partialBound: 0 },
    { parent: drive, partial: one, partialBound: 0 },
  ]);
}
