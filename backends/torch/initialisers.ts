/**
 * Initialisers as Python: the same distributions, drawn by PyTorch in float64. Spectra that need an
 * eigen-decomposition were computed by the compiler and stand in the text as numbers.
 */
import type { InitialSpec } from '../../dsl/spec.ts';
import { libraryValue } from '../../ir/initial/library.ts';
import { ssmError } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import type { LayerModel, ModelParameter } from './layer-model.ts';
import { pythonNumber, pythonTuple } from './python-text.ts';

type CallSpec = Extract<InitialSpec, { kind: 'call' }>;

const operators: Readonly<Record<string, string>> = { add: '+', subtract: '-', multiply: '*', divide: '/' };
const draws: ReadonlySet<string> = new Set(['normal', 'uniform', 'log_uniform', 'lru_ring']);
const renamed: Readonly<Record<string, string>> = { abs: 'absolute', max: 'maximum', min: 'minimum' };
const functions: ReadonlySet<string> = new Set([
  'exp', 'log', 'sqrt', 'sin', 'cos', 'tanh', 'abs', 'sign', 'sigmoid', 'softplus', 'inverse_softplus', 'expm1', 'log1p',
  'square', 'power', 'max', 'min', 'complex', 'real', 'imag', 'conj',
]);

type Place = { readonly model: LayerModel; readonly parameter: ModelParameter };

/** One operand; the language's numbers may be negative. */
function initialText(spec: InitialSpec, place: Place): string {
  const { model, parameter } = place;
  const rank = parameter.axes.length;
  switch (spec.kind) {
    case 'number':
      return spec.value < 0 ? `(${pythonNumber(spec.value)})` : pythonNumber(spec.value);
    case 'size':
      return pythonNumber(model.sizeOf(spec.axis));
    case 'param': {
      const other = required(model.parameters.find((each) => each.subject === spec.name), spec.name);
      const dims = pythonTuple(other.axes.map((axis) => String(parameter.axes.indexOf(axis))));
      return `initialise.parameter(self.${other.name}, ${dims}, ${rank}, ${other.type === 'complex' ? 'True' : 'False'})`;
    }
    case 'call':
      return callText(spec, place);
    default:
      return spec satisfies never;
  }
}

function callText(call: CallSpec, place: Place): string {
  const { model, parameter } = place;
  const rank = parameter.axes.length;
  const dim = (axis: string): number => parameter.axes.indexOf(axis);
  if (call.name === 'iota') {
    const axis = required(call.axes[0], 'axis of iota');
    return `initialise.along(${model.sizeOf(axis)}, ${rank}, ${dim(axis)})`;
  }
  if (draws.has(call.name)) return drawText(call, place);
  const operands = call.arguments.map((each) => initialText(each.value, place));
  const operator = operators[call.name];
  if (operator !== undefined) return `(${operands.join(` ${operator} `)})`;
  if (call.name === 'negate') return `(-${operands.join('')})`;
  if (functions.has(call.name)) return `initialise.${renamed[call.name] ?? call.name}(${operands.join(', ')})`;
  const axis = call.axes.at(-1) ?? parameter.axes.at(-1) ?? null;
  const made = required(libraryValue(call.name, axis, model.sizeOf), `initialiser ${call.name}`);
  if (made.kind === 'refused') throw ssmError('SSM3006', `the initialiser of \`${parameter.subject}\` cannot be evaluated: ${made.why}`);
  const pairs = [...made.value.re].map((re, at) => `(${pythonNumber(re)}, ${pythonNumber(made.value.im?.[at] ?? 0)})`);
  return `initialise.modes([${pairs.join(', ')}], ${rank}, ${axis === null ? 0 : dim(axis)})`;
}

/** One number per entry of the parameter, or of the axes in the call's brackets. */
function drawText(call: CallSpec, { model, parameter }: Place): string {
  const axes = call.axes.length > 0 ? call.axes : parameter.axes;
  const shape = pythonTuple(parameter.axes.map((axis) => String(axes.includes(axis) ? model.sizeOf(axis) : 1)));
  const name = call.name === 'normal' && parameter.type === 'complex' ? 'normal_complex' : call.name;
  const given = call.arguments.map(({ name: word, value }) => `${word === null ? '' : `${word}=`}${initialText(value, { model, parameter })}`);
  return `initialise.${name}(${[shape, ...given].join(', ')})`;
}

/** The statement that fills a parameter, or null when the caller must bring its numbers. */
export function initialiserLine(model: LayerModel, parameter: ModelParameter): string | null {
  const { initial } = parameter.spec;
  if (initial === null) return null;
  const flag = parameter.type === 'complex' ? ', is_complex=True' : '';
  return `initialise.fill(self.${parameter.name}, ${initialText(initial, { model, parameter })}${flag})`;
}
