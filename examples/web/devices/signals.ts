/** Inputs for a run in the page: noise and simple signals, something fitting for flags and indices. */
import type { InputSpec, LayerSpec } from '../../../dsl/spec.ts';
import { randomStream } from '../../../ir/initial/random.ts';
import { ssmError } from '../../../support/diagnostic.ts';
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

/** Numbers that a page makes for one run: 128 MiB of them. */
const mostNumbers = 2 ** 25;

function countNumbers(spec: LayerSpec, input: InputSpec, sizes: RunSizes): number {
  return sizes.batch * tokensOf(input, sizes) * widthOf(spec, input);
}

/** Every input of a layer; equal requests give equal numbers. Throws SSM6004 where they are too many for a page. */
export function makeInputs(spec: LayerSpec, kind: SignalKind, sizes: RunSizes): InputNumbers {
  const all = spec.inputs.reduce((sum, each) => sum + countNumbers(spec, each, sizes), 0);
  if (all > mostNumbers) {
    throw ssmError(
      'SSM6004',
      `the inputs have ${all} numbers; the page makes at most ${mostNumbers}`,
      'choose a smaller batch or length',
    );
  }
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
  return Float32Array.from({ length: countNumbers(spec, input, sizes) }, (_, at) => draw(at));
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
      const numbers = new Float32Array(countNumbers(spec, input, sizes));
      return [input.name, input.type === 'real' ? numbers.fill(level) : numbers];
    }),
  );
}
