/** Statements of a layer, one after the other: axes, inputs, params, lets, assertions, outputs. */
import type {
  AssertionSyntax, AxisSyntax, InputSyntax, ItemSyntax, LetSyntax, Name, OutputSyntax, ParamSyntax,
  TensorSyntax,
} from '../ast.ts';
import type { SpecExpression, SpecType } from '../spec.ts';
import { applyLayer, bindInput } from './applications.ts';
import { axisPaths, checkSize, declareAxis, showAxes, sizeValue } from './axes.ts';
import { constantVariance, toComplex, widen } from './build.ts';
import { evaluate } from './calls.ts';
import { checkFree, complain, didYouMean, errorLimit } from './elaboration.ts';
import type { AxisEntry, Checked, Place } from './elaboration.ts';
import { checkInitial } from './initialisers.ts';
import { checkState } from './states.ts';
import { sourceOfTime } from './walk.ts';
import { assertNever } from '../../support/invariant.ts';

/** Checks every statement of the layer of a place, whose axis parameters are bound already. */
export function checkItems(place: Place): void {
  for (const item of place.scope.layer.items) {
    if (place.run.errors >= errorLimit) return;
    checkItem(place, item);
  }
  if (place.scope.outputs.size === 0 && !place.scope.layer.items.some((item) => item.kind === 'output')) {
    const { name } = place.scope.layer;
    complain(place, {
      code: 'SSM2012', span: name.span, message: `the layer \`${name.text}\` has no output`,
      label: 'computes nothing', help: 'add `output y[D] = …`',
    });
  }
  warnUnused(place);
}

function checkItem(place: Place, item: ItemSyntax): void {
  switch (item.kind) {
    case 'axis':
      return checkAxis(place, item);
    case 'input':
      return place.scope.application === null ? checkInput(place, item) : bindInput(place, item);
    case 'param':
      return checkParam(place, item);
    case 'let':
      return checkLet(place, item);
    case 'assertion':
      return checkAssertion(place, item);
    case 'state':
      return checkState(place, item);
    case 'output':
      return checkOutput(place, item);
    default:
      return assertNever(item, 'checkItem');
  }
}

function checkAxis(place: Place, item: AxisSyntax): void {
  const bound = place.scope.application?.axes.get(item.name.text);
  const path = place.scope.prefix + item.name.text;
  const chosen = bound === undefined ? place.run.sizes.get(path) : undefined;
  if (chosen !== undefined) place.run.sizesUsed.add(path);
  const value = chosen ?? place.scope.application?.sizes.get(item.name.text) ?? sizeValue(place, item.size);
  const size = value === null ? null : checkSize(place, item.name.text, value, item.size.span);
  if (bound !== undefined) return bindDerived(place, item, bound, size);
  declareAxis(place, item.name, size ?? 1);
}

/** A derived axis that the caller bound to one of its own: the sizes must agree. */
function bindDerived(place: Place, item: AxisSyntax, bound: AxisEntry, size: number | null): void {
  if (checkFree(place, item.name)) place.scope.axes.set(item.name.text, { ...bound, span: item.name.span });
  if (size === null || size === bound.size) return;
  complain(place, {
    code: 'SSM2009', span: item.span,
    message: `\`${item.name.text}\` has ${size} entries, the axis \`${bound.path}\` bound to it ${bound.size}`,
    label: 'sizes differ', help: `give \`${bound.path}\` the size ${size}`,
  });
}

type Declared = { readonly axes: readonly string[]; readonly type: SpecType; readonly values: number | null };

const typeNames: readonly SpecType[] = ['real', 'complex', 'flag', 'index'];

function checkTensor(place: Place, tensor: TensorSyntax): Declared | null {
  const axes = axisPaths(place, tensor.axes);
  if (tensor.type === null) return axes === null ? null : { axes, type: 'real', values: null };
  const { name, argument } = tensor.type;
  const type = typeNames.find((each) => each === name.text);
  if (type === undefined) {
    return complain(place, {
      code: 'SSM2008', span: name.span, message: `there is no type \`${name.text}\``, label: 'unknown type',
      help: didYouMean(place, name.text, typeNames, 'use `real`, `complex`, `flag` or `index(10)`'),
    });
  }
  if ((type === 'index') !== (argument !== null)) {
    return complain(place, {
      code: 'SSM2008', span: tensor.type.span,
      message: type === 'index'
        ? 'an index needs the number of its values'
        : `the type \`${type}\` takes no number`,
      label: 'here', help: type === 'index' ? 'write `index(10)`' : `write \`${type}\``,
    });
  }
  const count = argument === null ? null : sizeValue(place, argument);
  if (argument !== null
    && (count === null || checkSize(place, tensor.name.text, count, argument.span) === null)) return null;
  return axes === null ? null : { axes, type, values: count };
}

function declare(place: Place, name: Name, what: 'input' | 'parameter' | 'let', value: Checked): void {
  place.scope.symbols.set(name.text, { kind: 'value', what, span: name.span, value, previous: null });
}

function checkInput(place: Place, item: InputSyntax): void {
  const { name } = item.tensor;
  if (!checkFree(place, name)) return;
  const declared = checkTensor(place, item.tensor);
  if (declared === null) return declare(place, name, 'input', null);
  const variance = { batch: true, time: !item.tensor.perSequence };
  place.run.inputs.set(name.text, { name: name.text, ...declared, variance, span: item.span });
  const { axes, type } = declared;
  declare(place, name, 'input', {
    kind: 'reference', target: 'input', name: name.text, axes, type, variance, span: name.span,
  });
}

function checkParam(place: Place, item: ParamSyntax): void {
  const { name } = item.tensor;
  if (!checkFree(place, name)) return;
  const declared = checkTensor(place, item.tensor);
  const initial = item.initial === null ? null : checkInitial(place, item.initial);
  if (declared === null || (item.initial !== null && initial === null)) return declare(
    place, name, 'parameter', null,
  );
  const { axes, type } = declared;
  const extra = initial?.axes.find((axis) => !axes.includes(axis));
  if (extra !== undefined) {
    complain(place, {
      code: 'SSM2006', span: item.initial?.span ?? item.span,
      message: `the initialiser has the axis \`${extra}\`, the parameter has ${showAxes(axes)}`,
      label: `has ${showAxes(initial?.axes ?? [])}`,
      help: `add \`${extra}\` to the axes of \`${name.text}\``,
    });
  }
  if ((type !== 'real' && type !== 'complex') || item.tensor.perSequence) {
    complain(place, {
      code: 'SSM2008', span: item.tensor.span,
      message: 'a parameter is real or complex, and the same for all sequences', label: 'here',
      help: 'declare it as an input',
    });
  }
  const path = place.scope.prefix + name.text;
  place.run.params.push({ name: path, axes, type, initial: initial?.initial ?? null, span: item.span });
  declare(place, name, 'parameter', {
    kind: 'reference', target: 'param', name: path, axes, type, variance: constantVariance, span: name.span,
  });
}

function checkLet(place: Place, item: LetSyntax): void {
  if (item.value.kind === 'call' && item.axes === null && place.run.layers.has(item.value.callee.text)) {
    return applyLayer(place, item, item.value, checkItems);
  }
  const isFree = checkFree(place, item.name);
  const value = evaluate(place, item.value);
  const axes = item.axes === null ? null : axisPaths(place, item.axes);
  if (!isFree) return;
  const isComplete = value !== null && (item.axes === null || axes !== null);
  const stated = isComplete && axes !== null ? fitAxes(place, item.name, axes, value) : value;
  if (!isComplete || stated === null) return declare(place, item.name, 'let', null);
  const path = place.scope.prefix + item.name.text;
  place.run.body.push({ kind: 'let', name: path, value: stated, span: item.span });
  place.run.lets.set(path, stated);
  const { type, variance } = stated;
  declare(place, item.name, 'let', {
    kind: 'reference', target: 'let', name: path, axes: stated.axes, type, variance, span: item.name.span,
  });
}

/** Broadcasts a value to stated axes; complains if it has others. */
function fitAxes(place: Place, name: Name, axes: readonly string[], value: SpecExpression): Checked {
  const extra = value.axes.find((axis) => !axes.includes(axis));
  if (extra !== undefined) {
    return complain(place, {
      code: 'SSM2006', span: value.span,
      message: `\`${name.text}\` is declared over ${showAxes(axes)}, its value also has the axis \`${extra}\``,
      label: `has ${showAxes(value.axes)}`,
      secondary: [{ span: name.span, text: 'declared here' }],
      help: `add \`${extra}\` to the declaration, or write \`sum[${extra}](…)\``,
    });
  }
  if (value.type === 'index' && axes.some((axis) => !value.axes.includes(axis))) {
    return complain(place, {
      code: 'SSM4003', span: value.span, message: 'broadcasting an index is not implemented', label: 'here',
      help: 'leave the additional axes out',
    });
  }
  return widen(value, axes);
}

function checkOutput(place: Place, item: OutputSyntax): void {
  const { name } = item.tensor;
  const earlier = place.scope.outputs.has(name.text);
  const isFree = checkFree(place, name);
  if (earlier) {
    complain(place, {
      code: 'SSM2002', span: name.span, message: `the output \`${name.text}\` is declared twice`,
      label: 'declared again here', help: 'choose another name',
    });
  }
  const declared = checkTensor(place, item.tensor);
  const value = evaluate(place, item.value);
  if (!isFree || earlier) return;
  place.scope.outputs.set(name.text, null);
  if (declared === null || value === null) return;
  const typed = fitOutputType(place, item, declared.type, value);
  const fitted = typed === null ? null : fitAxes(place, name, declared.axes, typed);
  if (fitted === null || !checkOutputVariance(place, item, fitted)) return;
  place.scope.outputs.set(name.text, fitted);
  if (place.scope.application === null) place.run.outputs.push({
    name: name.text, value: fitted, axes: declared.axes, span: item.span,
  });
}

function fitOutputType(place: Place, item: OutputSyntax, type: SpecType, value: SpecExpression): Checked {
  if (value.type === type) return value;
  if (type === 'complex' && value.type === 'real') return toComplex(value);
  const isComplex = value.type === 'complex';
  return complain(place, {
    code: 'SSM2008', span: value.span,
    message: `the output \`${item.tensor.name.text}\` is ${type}, its value ${value.type}`,
    label: `this is ${value.type}`,
    notes: isComplex
      ? ['an output is real unless it is declared complex; half spectra need `2 * real(…)`']
      : [],
    help: isComplex
      ? `take \`real(…)\`, or declare \`${item.tensor.name.text}: complex\``
      : `declare \`${item.tensor.name.text}: ${value.type}\``,
  });
}

function checkOutputVariance(place: Place, item: OutputSyntax, value: SpecExpression): boolean {
  if (item.tensor.perSequence !== value.variance.time) return true;
  const name = item.tensor.name.text;
  complain(place, {
    code: 'SSM2006', span: item.tensor.span,
    message: item.tensor.perSequence
      ? `the output \`${name}\` is per sequence, its value varies with time`
      : `the output \`${name}\` does not vary with time`,
    label: 'declared here',
    help: item.tensor.perSequence
      ? 'reduce it with `mean[time]`, `sum[time]` or `last`'
      : `write \`output ${name} per sequence = …\``,
  });
  return false;
}

function checkAssertion(place: Place, item: AssertionSyntax): void {
  for (const name of item.names) {
    if (place.run.errors >= errorLimit) return;
    const entry = place.scope.symbols.get(name.text);
    if (entry === undefined) {
      const help = didYouMean(
        place, name.text, place.scope.symbols.keys(), 'name something that is declared above',
      );
      complain(place, {
        code: 'SSM2001', span: name.span, message: `there is no value \`${name.text}\` above`,
        label: 'unknown name', help,
      });
    } else if (entry.kind === 'value' && entry.value !== null) {
      checkVariance(place, item.assertion, name, entry.value);
    }
  }
}

function checkVariance(
  place: Place, assertion: AssertionSyntax['assertion'], name: Name, value: SpecExpression,
): void {
  const isSelective = value.variance.time;
  if (isSelective === (assertion === 'selective')) return;
  if (!isSelective) {
    complain(place, {
      code: 'SSM3005', span: name.span, message: `\`${name.text}\` does not vary with time`,
      label: 'asserted to be selective',
      notes: ['it depends on parameters and per-sequence values only'],
      help: `remove \`${name.text}\` from the list, or let it depend on an input`,
    });
  } else {
    const source = sourceOfTime(place.run, value) ?? value;
    complain(place, {
      code: 'SSM3005', span: name.span, message: `\`${name.text}\` varies with time`,
      label: 'asserted to be time-invariant',
      secondary: [{
        span: source.span,
        text: source.kind === 'reference' ? `\`${source.name}\` enters here` : 'time enters here',
      }],
      notes: ['what depends on an input, a state or the position differs from token to token'],
      help: `remove \`${name.text}\` from the list, or make it depend on parameters only`,
    });
  }
}

function warnUnused(place: Place): void {
  if (place.run.errors > 0) return;
  for (const item of place.scope.layer.items) {
    if (item.kind !== 'let' || place.scope.used.has(item.name.text)) continue;
    complain(place, {
      code: 'SSM2014', severity: 'warning', span: item.name.span,
      message: `\`${item.name.text}\` is never used`, label: 'declared here', help: 'remove it, or use it',
    });
  }
}
