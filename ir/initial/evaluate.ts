/** Evaluates one initialiser in float64: arithmetic by name, draws from the parameter's own stream. */
import type { InitialSpec } from '../../dsl/spec.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { invariant, required } from '../../support/invariant.ts';
import { draws, type Draw } from './draws.ts';
import { initialFunctions } from './functions.ts';
import { libraryValue } from './library.ts';
import { randomStream } from './random.ts';
import { fillValue, mapValues, scalarValue, broadcastTo, type InitialValue, type SizeOf } from './values.ts';

export type InitialScope = {
  readonly seed: number;
  /** the parameter's path */
  readonly path: string;
  readonly axes: readonly string[];
  readonly isComplex: boolean;
  readonly sizeOf: SizeOf;
  readonly parameter: (name: string) => InitialValue | undefined;
  /** counts the draws of this initialiser */
  readonly nextDraw: () => number;
};

type CallSpec = Extract<InitialSpec, { kind: 'call' }>;

function refuse(scope: InitialScope, why: string): Error {
  return ssmError('SSM3006', `the initialiser of \`${scope.path}\` cannot be evaluated: ${why}`);
}

/** The value of an initialiser over the axes it mentions (a draw: over the parameter's). */
export function evaluateInitial(spec: InitialSpec, scope: InitialScope): InitialValue {
  switch (spec.kind) {
    case 'number':
      return scalarValue(spec.value);
    case 'size':
      return scalarValue(scope.sizeOf(spec.axis));
    case 'param': {
      const value = scope.parameter(spec.name);
      if (value === undefined) throw refuse(scope, `the parameter \`${spec.name}\` has no initialiser`);
      return value;
    }
    case 'call':
      return evaluateCall(spec, scope);
    default:
      return spec satisfies never;
  }
}

function evaluateCall(call: CallSpec, scope: InitialScope): InitialValue {
  if (call.name === 'iota') return fillValue(call.axes, scope.sizeOf, false, (index) => [index, 0]);
  const draw = draws.get(call.name);
  if (draw !== undefined) return evaluateDraw(call, draw, scope);
  const method = initialFunctions.get(call.name);
  const operands = call.arguments.map((each) => evaluateInitial(each.value, scope));
  if (method !== undefined) {
    const hasComplex = operands.some((each) => each.im !== null);
    if (hasComplex && !method.acceptsComplex) throw refuse(scope, `\`${call.name}\` takes real values`);
    return mapValues(operands, method.gives === 'complex' || (method.gives === 'same' && hasComplex), scope.sizeOf, method.apply);
  }
  const made = libraryValue(call.name, call.axes.at(-1) ?? scope.axes.at(-1) ?? null, scope.sizeOf);
  invariant(made !== null, `no initialiser ${call.name}`);
  if (made.kind === 'refused') throw refuse(scope, made.why);
  return made.value;
}

function evaluateDraw(call: CallSpec, draw: Draw, scope: InitialScope): InitialValue {
  const axes = call.axes.length > 0 ? call.axes : scope.axes;
  const stream = randomStream(scope.seed, scope.path, scope.nextDraw());
  const given = draw.arguments.map(({ name, absent }, place) => {
    const argument = call.arguments.find((each) => each.name === name) ?? positional(call, place);
    const value = argument === undefined ? scalarValue(absent) : evaluateInitial(argument.value, scope);
    if (value.im !== null) throw refuse(scope, `\`${name}\` of \`${call.name}\` is complex`);
    return broadcastTo(value, axes, scope.sizeOf);
  });
  const [first, second] = [required(given[0], 'argument').re, required(given[1], 'argument').re];
  const isComplex = scope.isComplex && call.name === 'normal';
  const { imaginaryAt } = draw;
  return fillValue(axes, scope.sizeOf, isComplex || imaginaryAt !== undefined, (index) => {
    const [one, two] = [first[index] ?? NaN, second[index] ?? NaN];
    const refusal = draw.refusal(one, two);
    if (refusal !== null) throw refuse(scope, `\`${call.name}\`: ${refusal}`);
    if (imaginaryAt !== undefined) return [draw.at(stream, index, one, two), imaginaryAt(stream, index, one, two)];
    // a complex parameter has two independent components (decisions 10)
    return isComplex
      ? [draw.at(stream, 2 * index, one, two), draw.at(stream, 2 * index + 1, 0, two)]
      : [draw.at(stream, index, one, two), 0];
  });
}

/** The argument without a name at a place. */
function positional(call: CallSpec, place: number): CallSpec['arguments'][number] | undefined {
  const argument = call.arguments[place];
  return argument?.name === null ? argument : undefined;
}
