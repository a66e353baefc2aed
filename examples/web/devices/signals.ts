/** Inputs for a run in the page: noise and simple signals, something fitting for flags and indices. */
import type { InputSpec, LayerSpec } from '../../../dsl/spec.ts';
import { randomStream } from '../../../ir/initial/random.ts';
import type { RunSizes } from '../../../support/size.ts';
import type { SignalKind } from '../services/protocol.ts';

export type InputNumbers = Readonly<Record<string, Float32Array>>;

/** Numbers of one token of one sequence: 1 for an input without axes. */
export function widthOf(spec: LayerSpec, input: Pick<InputSpec, 'axes' | 'type'>): number {
  const sizes = input.axes.map((axis) => spec.axes.find((each) => each.name === axis)?.size ?? 1);
  return sizes.reduce((product, each) => product * each, input.type === 'complex' ? 2 : 1);
}

/** Tokens that an input has in a call: one where it is given per sequence. */
export function tokensOf(input: InputSpec, sizes: RunSizes): number {
  return input.variance.time ? sizes.length : 1;
}

const flagShare = 0.02;
const sinePeriods = 3;

/** Every input of a layer; equal requests give equal numbers. */
export function makeInputs(spec: LayerSpec, kind: SignalKind, sizes: RunSizes): InputNumbers {
  return Object.fromEntries(spec.inputs.map((input) => [input.name, makeInput(spec, input, kind, sizes)]));
}

function makeInput(spec: LayerSpec, input: InputSpec, kind: SignalKind, sizes: RunSizes): Float32Array {
  const [width, tokens] = [widthOf(spec, input), tokensOf(input, sizes)];
  const random = randomStream(1, `input ${input.name}`, 0);
  const draw = (at: number): number => {
    if (input.values !== null) return Math.floor(input.values * random.uniform(at));
    if (input.type === 'flag') return Number(random.uniform(at) < flagShare);
    return kind === 'noise' ? random.normal(at) : shape(kind, Math.floor(at / width) % tokens, tokens);
  };
  return Float32Array.from({ length: sizes.batch * tokens * width }, (_, at) => draw(at));
}

function shape(kind: Exclude<SignalKind, 'noise'>, token: number, tokens: number): number {
  switch (kind) {
    case 'sine':
      return Math.sin((2 * Math.PI * sinePeriods * token) / tokens);
    case 'impulse':
      return token === 0 ? 1 : 0;
    case 'step':
      return token >= tokens / 4 ? 1 : 0;
    default:
      return kind satisfies never;
  }
}

/** Every real input at one level, flags off, indices 0. */
export function holdInputs(spec: LayerSpec, level: number, sizes: RunSizes): InputNumbers {
  return Object.fromEntries(
    spec.inputs.map((input) => {
      const numbers = new Float32Array(sizes.batch * tokensOf(input, sizes) * widthOf(spec, input));
      return [input.name, input.type === 'real' ? numbers.fill(level) : numbers];
    }),
  );
}
