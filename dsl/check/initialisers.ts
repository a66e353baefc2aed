/**
 * Initialisers: expressions that are evaluated once, in float64, when parameters are made. They may
 * use numbers, sizes, `iota`, earlier parameters and the library below; operators become calls
 * (`add`, `subtract`, `multiply`, `divide`, `power`, `negate`).
 */
import type { ArgumentSyntax, CallSyntax, ExpressionSyntax } from '../ast.ts';
import type { InitialSpec } from '../spec.ts';
import { axisPaths, findAxis } from './axes.ts';
import { complain, didYouMean } from './elaboration.ts';
import type { Place } from './elaboration.ts';
import type { Span } from '../../support/source.ts';

/** An initialiser, and the axes its value has. */
export type CheckedInitial = { readonly initial: InitialSpec; readonly axes: readonly string[] };

/** Library calls with the names of their arguments; null stands for any number of unnamed ones. */
const library: ReadonlyMap<string, readonly string[]> = new Map([
  ['normal', ['mean', 'std']], ['uniform', ['low', 'high']], ['log_uniform', ['low', 'high']],
  ['inverse_softplus', ['value']], ['lru_ring', ['low', 'high']],
  ['s4d_lin', []], ['s4d_inv', []], ['s4d_real', []],
  ['hippo_legs', []], ['hippo_legs_input', []], ['hippo_legt', []], ['hippo_legt_input', []],
  ['hippo_fout', []], ['hippo_fout_input', []],
]);

const functions: ReadonlyMap<string, number> = new Map([
  ['exp', 1], ['log', 1], ['sqrt', 1], ['sin', 1], ['cos', 1], ['tanh', 1], ['abs', 1], ['sign', 1],
  ['sigmoid', 1],
  ['softplus', 1], ['expm1', 1], ['log1p', 1], ['square', 1], ['real', 1], ['imag', 1], ['conj', 1],
  ['max', 2], ['min', 2], ['complex', 2],
]);

/** Calls that only initialisers may make. */
export const initialiserNames: ReadonlySet<string> = new Set(library.keys());

const operatorCalls: ReadonlyMap<string, string> = new Map([
  ['+', 'add'], ['-', 'subtract'], ['*', 'multiply'], ['/', 'divide'], ['^', 'power'],
]);

/** The initialiser of a parameter; null after a complaint. */
export function checkInitial(place: Place, syntax: ExpressionSyntax): CheckedInitial | null {
  switch (syntax.kind) {
    case 'number':
      return { initial: { kind: 'number', value: syntax.value }, axes: [] };
    case 'name':
      return nameInitial(place, syntax.name, syntax.span);
    case 'unary': {
      if (syntax.operator !== '-') return notEvaluable(place, syntax.span, '`not`');
      return combine(place, 'negate', [{ name: null, value: syntax.operand }], syntax.span);
    }
    case 'binary': {
      const call = operatorCalls.get(syntax.operator);
      if (call === undefined) return notEvaluable(place, syntax.span, `\`${syntax.operator}\``);
      const operands = [{ name: null, value: syntax.left }, { name: null, value: syntax.right }];
      return combine(place, call, operands, syntax.span);
    }
    case 'call':
      return callInitial(place, syntax);
    case 'member':
      return notEvaluable(place, syntax.span, 'an output of a layer');
    case 'conditional':
      return notEvaluable(place, syntax.span, '`if`');
  }
}

function notEvaluable(place: Place, span: Span, what: string): null {
  return complain(place, {
    code: 'SSM3006', span, message: `an initialiser cannot use ${what}`,
    label: 'not known when parameters are made',
    notes: ['initialisers are evaluated once, before any input is seen'],
    help: 'use numbers, sizes, `iota`, earlier parameters and the initialiser library',
  });
}

function nameInitial(place: Place, name: string, span: Span): CheckedInitial | null {
  const entry = place.scope.symbols.get(name);
  if (entry?.kind === 'value' && entry.what === 'parameter') {
    if (entry.value?.kind !== 'reference') return null;
    place.scope.used.add(name);
    return { initial: { kind: 'param', name: entry.value.name }, axes: entry.value.axes };
  }
  if (entry !== undefined) return notEvaluable(place, span, `\`${name}\`, which is not a parameter`);
  const axis = place.scope.axes.get(name);
  if (axis !== undefined) return { initial: { kind: 'size', axis: axis.path }, axes: [] };
  if (name === 'pi') return { initial: { kind: 'number', value: Math.PI }, axes: [] };
  if (name === 'length' || name === 'position') return notEvaluable(place, span, `\`${name}\``);
  const later = place.scope.declared.get(name);
  if (later !== undefined) {
    return complain(place, {
      code: 'SSM2015', span, message: `\`${name}\` is used before its declaration`, label: 'used here',
      secondary: [{ span: later, text: 'declared here' }], help: `move the declaration of \`${name}\` up`,
    });
  }
  return complain(place, {
    code: 'SSM2001', span, message: `there is no value \`${name}\``, label: 'unknown name',
    help: didYouMean(
      place, name, [...place.scope.symbols.keys(), ...place.scope.axes.keys(), 'pi'],
      'use a number, a size or an earlier parameter',
    ),
  });
}

function callInitial(place: Place, call: CallSyntax): CheckedInitial | null {
  const name = call.callee.text;
  if (name === 'iota') return iotaInitial(place, call);
  const names = library.get(name);
  const count = functions.get(name);
  if (names === undefined && count === undefined) {
    return complain(place, {
      code: 'SSM2001', span: call.callee.span, message: `there is no initialiser \`${name}\``,
      label: 'unknown',
      help: didYouMean(
        place, name, [...library.keys(), ...functions.keys(), 'iota'],
        'use `normal`, `uniform`, `log_uniform`, `iota` or a formula',
      ),
    });
  }
  const most = names?.length ?? count ?? 0;
  const unknown = call.arguments.find((each) => each.name !== null && !(names ?? []).includes(
    each.name.text
  ));
  const isTooFew = count !== undefined && call.arguments.length < count;
  if (unknown !== undefined || isTooFew || call.arguments.length > most) {
    const list = names === undefined ? `${most} values` : names.map((each) => `${each} = …`).join(', ');
    return complain(place, {
      code: 'SSM2007', span: unknown?.name?.span ?? call.span, message: `wrong arguments of \`${name}\``,
      label: 'here',
      help: `write \`${name}(${list})\``,
    });
  }
  const axes = axisPaths(place, call.axes);
  return axes === null ? null : combine(place, name, call.arguments, call.span, axes);
}

function iotaInitial(place: Place, call: CallSyntax): CheckedInitial | null {
  const [argument] = call.arguments;
  if (argument?.value.kind !== 'name' || call.arguments.length !== 1) {
    return complain(place, {
      code: 'SSM2007', span: call.span, message: '`iota` takes the name of an axis',
      label: 'wrong argument', help: 'write `iota(N)`',
    });
  }
  const axis = findAxis(place, { text: argument.value.name, span: argument.value.span });
  if (axis === null) return null;
  const initial: InitialSpec = {
    kind: 'call', name: 'iota', axes: [axis.path], arguments: [], span: call.span,
  };
  return { initial, axes: [axis.path] };
}

function combine(
  place: Place, name: string, given: readonly ArgumentSyntax[], span: Span, callAxes: readonly string[] = [],
): CheckedInitial | null {
  const axes = new Set(callAxes);
  const values: { name: string | null; value: InitialSpec }[] = [];
  for (const argument of given) {
    const checked = checkInitial(place, argument.value);
    if (checked === null) continue;
    values.push({ name: argument.name?.text ?? null, value: checked.initial });
    for (const axis of checked.axes) axes.add(axis);
  }
  if (values.length < given.length) return null;
  return { initial: { kind: 'call', name, axes: [...callAxes], arguments: values, span }, axes: [...axes] };
}
