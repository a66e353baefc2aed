/**
 * Calls inside expressions: elementwise functions, reductions, time, gather, rename; softmax and the
 * norms are rewritten into those here, so that nothing behind the language knows them.
 */
import type { CallSyntax, ExpressionSyntax, Name } from '../ast.ts';
import { elementwiseFunctions } from '../spec.ts';
import type { ElementwiseFunction, SpecExpression, SpecType } from '../spec.ts';
import { constantArgument, matchArguments, rejectAxes } from './arguments.ts';
import type { Signature } from './arguments.ts';
import { axisPaths, findAxis } from './axes.ts';
import { elementwiseOf, iotaOf, unionAxes, unionVariance } from './build.ts';
import { checkDelay } from './delays.ts';
import { complain, didYouMean } from './elaboration.ts';
import type { Checked, Place } from './elaboration.ts';
import { checkExpression } from './expressions.ts';
import { initialiserNames } from './initialisers.ts';
import { normalise, reduceChecked, softmaxOf } from './reductions.ts';
import { isNumeric, requireType } from './types.ts';

const one: Signature = { required: ['value'], optional: [] };

type Handler = (place: Place, call: CallSyntax) => Checked;

const handlers: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ['sum', (place, call) => checkReduction(place, call, 'sum')],
  ['mean', (place, call) => checkReduction(place, call, 'mean')],
  ['softmax', (place, call) => checkSoftmax(place, call, 'plain')],
  ['log_softmax', (place, call) => checkSoftmax(place, call, 'log')],
  ['rms_norm', (place, call) => checkNorm(place, call, 'keep')],
  ['layer_norm', (place, call) => checkNorm(place, call, 'centre')],
  ['last', checkLast],
  ['delay', (place, call) => checkDelay(place, call, argumentsOf)],
  ['gather', checkGather],
  ['pick', checkGather],
  ['rename', checkRename],
  ['prev', checkPrevious],
  ['iota', checkIota],
]);

/** Names that calls may use, besides layers. */
export const functionNames: ReadonlySet<string> = new Set(
  [...Object.keys(elementwiseFunctions), ...handlers.keys()],
);

/** The value of any expression. */
export function evaluate(place: Place, syntax: ExpressionSyntax): Checked {
  return checkExpression(place, syntax, checkCall);
}

function checkCall(place: Place, call: CallSyntax): Checked {
  const name = call.callee.text;
  if (name === 'max' && call.axes.length > 0) return checkReduction(place, call, 'max');
  const handler = handlers.get(name);
  if (handler !== undefined) return handler(place, call);
  if (isElementwise(name)) return checkElementwise(place, call, name);
  return unknownCall(place, call);
}

function isElementwise(name: string): name is ElementwiseFunction {
  return Object.hasOwn(elementwiseFunctions, name);
}

function unknownCall(place: Place, call: CallSyntax): null {
  const name = call.callee.text;
  const span = call.callee.span;
  if (place.run.layers.has(name)) {
    return complain(place, {
      code: 'SSM2007', span, message: `the layer \`${name}\` is applied inside an expression`,
      label: 'application without a name',
      notes: ['parameters and states of an applied layer are named after the `let` that applies it'],
      help: `write \`let block = ${name}(…)\` on its own, and use \`block\` here`,
    });
  }
  if (initialiserNames.has(name)) {
    return complain(place, {
      code: 'SSM2001', span, message: `\`${name}\` makes initial values of parameters`,
      label: 'only after `param … =`',
      help: `declare \`param p = ${name}(…)\` and use \`p\` here`,
    });
  }
  const known = [...functionNames, ...place.run.layers.keys()];
  const isUpper = /^[A-Z]/.test(name);
  return complain(place, {
    code: isUpper ? 'SSM2010' : 'SSM2001', span,
    message: `there is no ${isUpper ? 'layer' : 'function'} \`${name}\``, label: 'unknown',
    help: didYouMean(
      place, name, known,
      isUpper ? `declare \`layer ${name}\` above in this file` : 'use a function of the language',
    ),
  });
}

function argumentsOf(
  place: Place, call: CallSyntax, signature: Signature,
): ReadonlyMap<string, SpecExpression> | null {
  const matched = matchArguments(place, call, signature);
  if (matched === null) return null;
  const values = new Map<string, SpecExpression>();
  for (const [name, argument] of matched) {
    const value = evaluate(place, argument.value);
    if (value !== null) values.set(name, value);
  }
  return values.size === matched.size ? values : null;
}

function onlyArgument(place: Place, call: CallSyntax): Checked {
  return argumentsOf(place, call, one)?.get('value') ?? null;
}

const acceptsComplex: ReadonlySet<string> = new Set(['exp', 'abs', 'square', 'real', 'imag', 'conj']);
const givesReal: ReadonlySet<string> = new Set(['abs', 'real', 'imag']);

function checkElementwise(place: Place, call: CallSyntax, name: ElementwiseFunction): Checked {
  if (!rejectAxes(place, call)) return null;
  const count = elementwiseFunctions[name];
  const names = count === 1 ? ['value'] : name === 'complex' ? ['real', 'imaginary'] : ['left', 'right'];
  const values = argumentsOf(place, call, { required: names, optional: [] });
  if (values === null) return null;
  const operands = names.flatMap((each) => values.get(each) ?? []);
  const accepted: readonly SpecType[] = name === 'to_real'
    ? ['real', 'flag', 'index']
    : acceptsComplex.has(name)
    ? ['real', 'complex']
    : ['real'];
  if (!operands.every((each) => requireType(place, each, accepted, `the argument of \`${name}\``))) return null;
  const [first] = operands;
  if (first === undefined) return null;
  const isIdentity = name === 'real' || name === 'conj' || name === 'to_real';
  if (isIdentity && first.type === 'real') return { ...first, span: call.span };
  if (name === 'imag' && first.type === 'real') {
    return complain(place, {
      code: 'SSM2008', span: first.span, message: 'a real value has no imaginary part', label: 'real',
      help: 'leave `imag(…)` out, or declare the operand complex',
    });
  }
  const isComplex = name === 'complex' || (first.type === 'complex' && !givesReal.has(name));
  return elementwiseOf(name, operands, isComplex ? 'complex' : 'real', call.span);
}

function checkReduction(place: Place, call: CallSyntax, operator: 'sum' | 'mean' | 'max'): Checked {
  if (call.axes.length === 0) {
    return complain(place, {
      code: 'SSM2007', span: call.callee.span, message: `\`${operator}\` needs the axes to reduce`,
      label: 'over what?',
      help: `write \`${operator}[N](…)\``,
    });
  }
  const operand = onlyArgument(place, call);
  if (call.axes.some((axis) => axis.text === 'time')) {
    return operand === null ? null : checkTimeReduction(place, call, operator, operand);
  }
  const over = axisPaths(place, call.axes);
  if (operand === null || over === null) return null;
  return reduceChecked(place, { operator, over, names: call.axes, operand, span: call.span });
}

function checkTimeReduction(
  place: Place, call: CallSyntax, operator: 'sum' | 'mean' | 'max', operand: SpecExpression,
): Checked {
  const [first] = call.axes;
  if (call.axes.length > 1 && first !== undefined) {
    return complain(place, {
      code: 'SSM2007', span: first.span, message: '`time` is reduced on its own',
      label: 'mixed with other axes',
      help: `write \`${operator}[time](${operator}[…](…))\``,
    });
  }
  if (operator === 'max') {
    return complain(place, {
      code: 'SSM4003', span: call.span, message: '`max[time]` is not implemented', label: 'here',
      help: 'use `mean[time]`, `sum[time]` or `last`',
    });
  }
  return reduceTime(place, operator, operand, call);
}

function checkLast(place: Place, call: CallSyntax): Checked {
  if (!rejectAxes(place, call)) return null;
  const operand = onlyArgument(place, call);
  return operand === null ? null : reduceTime(place, 'last', operand, call);
}

function reduceTime(
  place: Place, operator: 'sum' | 'mean' | 'last', operand: SpecExpression, call: CallSyntax,
): Checked {
  if (!isNumeric(place, operand, 'what is reduced over time')) return null;
  if (!operand.variance.time) {
    return complain(place, {
      code: 'SSM2005', span: operand.span, message: 'this value does not vary with time',
      label: 'the same for all tokens',
      help: operator === 'sum' ? 'write `length * …`' : 'leave the reduction out',
    });
  }
  const variance = { batch: operand.variance.batch, time: false };
  return {
    kind: 'reduce-time', operator, operand, axes: operand.axes, type: operand.type, variance,
    span: call.span,
  };
}

function checkSoftmax(place: Place, call: CallSyntax, form: 'plain' | 'log'): Checked {
  const operand = onlyArgument(place, call);
  const over = axisPaths(place, call.axes);
  if (operand === null || over === null) return null;
  if (!requireType(place, operand, ['real'], `the argument of \`${call.callee.text}\``)) return null;
  return softmaxOf(place, { operator: 'max', over, names: call.axes, operand, span: call.span }, form);
}

function checkNorm(place: Place, call: CallSyntax, mean: 'keep' | 'centre'): Checked {
  const values = argumentsOf(place, call, { required: ['value'], optional: ['eps'] });
  const over = axisPaths(place, call.axes);
  const operand = values?.get('value');
  if (values === null || over === null || operand === undefined) return null;
  if (!requireType(place, operand, ['real'], `the argument of \`${call.callee.text}\``)) return null;
  const given = values.get('eps');
  const epsilon = given === undefined ? 1e-5 : constantArgument(place, given, '`eps`');
  if (epsilon === null) return null;
  return normalise(
    place, { operator: 'mean', over, names: call.axes, operand, span: call.span }, mean, epsilon,
  );
}

function oneAxis(place: Place, call: CallSyntax): Name | null {
  const [axis] = call.axes;
  if (axis !== undefined && call.axes.length === 1) return axis;
  return complain(place, {
    code: 'SSM2007', span: call.callee.span, message: `\`${call.callee.text}\` needs one axis`,
    label: 'along what?',
    help: `write \`${call.callee.text}[V](table, index)\``,
  });
}

function checkGather(place: Place, call: CallSyntax): Checked {
  const name = oneAxis(place, call);
  const values = argumentsOf(place, call, { required: ['table', 'index'], optional: [] });
  const table = values?.get('table');
  const index = values?.get('index');
  const axis = name === null ? null : findAxis(place, name);
  if (name === null || axis === null || table === undefined || index === undefined) return null;
  if (!isNumeric(place, table, 'the table')
    || !requireType(place, index, ['index'], 'the index')) return null;
  if (!table.axes.includes(axis.path)) {
    return complain(place, {
      code: 'SSM2005', span: table.span, message: `the table does not have the axis \`${name.text}\``,
      label: `has [${table.axes.join(', ')}]`,
      help: 'name an axis of the table',
    });
  }
  const input = index.kind === 'reference' ? place.run.inputs.get(index.name) : undefined;
  if (input !== undefined && input.values !== null && input.values > axis.size) {
    return complain(place, {
      code: 'SSM2009', span: index.span,
      message: `the index has ${input.values} values, the axis \`${name.text}\` only ${axis.size} entries`,
      label: 'would read past the table', help: `declare the index as \`index(${name.text})\``,
    });
  }
  const axes = unionAxes([table, index]).filter((each) => each !== axis.path);
  return {
    kind: 'gather', table, axis: axis.path, index, axes, type: table.type,
    variance: unionVariance([table, index]), span: call.span,
  };
}

function checkRename(place: Place, call: CallSyntax): Checked {
  const [value, fromArgument, toArgument] = call.arguments;
  const from = fromArgument?.value;
  const to = toArgument?.value;
  if (value === undefined || call.arguments.length !== 3 || from?.kind !== 'name' || to?.kind !== 'name') {
    return complain(place, {
      code: 'SSM2007', span: call.span, message: '`rename` takes a value and two names of axes',
      label: 'wrong arguments',
      help: 'write `rename(value, D, E)`',
    });
  }
  const operand = evaluate(place, value.value);
  const source = findAxis(place, { text: from.name, span: from.span });
  const target = findAxis(place, { text: to.name, span: to.span });
  if (operand === null || source === null || target === null) return null;
  if (!operand.axes.includes(source.path)) {
    return complain(place, {
      code: 'SSM2005', span: from.span, message: `the value does not have the axis \`${from.name}\``,
      label: `has [${operand.axes.join(', ')}]`,
      help: 'name an axis of the value',
    });
  }
  if (operand.axes.includes(target.path)) {
    return complain(place, {
      code: 'SSM2004', span: to.span, message: `the value already has the axis \`${to.name}\``,
      label: 'would occur twice',
      help: 'rename to another axis',
    });
  }
  if (source.size !== target.size) {
    return complain(place, {
      code: 'SSM2009', span: to.span,
      message: `\`${from.name}\` has ${source.size} entries, \`${to.name}\` has ${target.size}`,
      label: 'another size',
      help: `declare \`axis ${to.name} = ${from.name}\``,
    });
  }
  const axes = operand.axes.map((each) => (each === source.path ? target.path : each));
  return {
    kind: 'rename', operand, from: source.path, to: target.path, axes, type: operand.type,
    variance: operand.variance, span: call.span,
  };
}

function checkPrevious(place: Place, call: CallSyntax): Checked {
  const [argument] = call.arguments;
  const name = argument?.value.kind === 'name' ? argument.value.name : null;
  const entry = name === null ? undefined : place.scope.symbols.get(name);
  if (name !== null && entry?.kind === 'value' && entry.what === 'state' && call.arguments.length === 1) {
    place.scope.used.add(name);
    return entry.previous === null ? null : { ...entry.previous, span: call.span };
  }
  return complain(place, {
    code: 'SSM2007', span: call.span, message: '`prev` takes the name of a state declared above',
    label: 'not a state',
    help: 'write `prev(x)` for a state `x`, or `delay(u, 1)` for other values',
  });
}

function checkIota(place: Place, call: CallSyntax): Checked {
  const [argument] = call.arguments;
  if (argument?.value.kind !== 'name' || call.arguments.length !== 1) {
    return complain(place, {
      code: 'SSM2007', span: call.span, message: '`iota` takes the name of an axis',
      label: 'wrong argument', help: 'write `iota(N)`',
    });
  }
  const axis = findAxis(place, { text: argument.value.name, span: argument.value.span });
  return axis === null ? null : iotaOf(axis.path, call.span);
}
