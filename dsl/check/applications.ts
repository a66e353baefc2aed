/**
 * Application of a layer: `let b = S4D(u = h, D = E, N = 16)` is the callee's statements again, with
 * its inputs replaced by the arguments and everything that it declares under the path `b.`.
 */
import type { ArgumentSyntax, CallSyntax, InputSyntax, LayerSyntax, LetSyntax, Name } from '../ast.ts';
import type { SpecExpression } from '../spec.ts';
import { checkSize, declareAxis, sizeValue, axisPaths, showAxes } from './axes.ts';
import { toComplex, widen } from './build.ts';
import { evaluate } from './calls.ts';
import { checkFree, complain, didYouMean } from './elaboration.ts';
import type { AxisEntry, Checked, Place } from './elaboration.ts';
import { openScope } from './scopes.ts';

/** Applications in one layer after inlining, at most. */
export const applicationLimit = 1024;
/** Layers applied within each other, at most. */
export const applicationDepthLimit = 64;

/** Checks the statements of a layer in a scope; given in from outside. */
export type BodyChecker = (place: Place) => void;

type Given = {
  readonly inputs: ReadonlyMap<string, Checked>;
  readonly axes: ReadonlyMap<string, ArgumentSyntax>;
};

/** Inlines the layer that a `let` applies. */
export function applyLayer(place: Place, binding: LetSyntax, call: CallSyntax, checkBody: BodyChecker): void {
  if (!checkFree(place, binding.name)) return;
  const outputs = inline(place, binding, call, checkBody);
  place.scope.symbols.set(binding.name.text, {
    kind: 'instance', span: binding.name.span, layer: call.callee.text, outputs: outputs ?? new Map(),
  });
}

function inline(
  place: Place, binding: LetSyntax, call: CallSyntax, checkBody: BodyChecker,
): ReadonlyMap<string, Checked> | null {
  const { run, scope } = place;
  const layer = run.layers.get(call.callee.text);
  if (layer === undefined) return null;
  if (scope.stack.includes(layer.name.text)) {
    return complain(place, {
      code: 'SSM2011', span: call.callee.span, message: `the layer \`${layer.name.text}\` applies itself`,
      label: 'applied again here',
      secondary: [{ span: layer.name.span, text: 'declared here' }],
      notes: [`applying a layer copies it: ${[...scope.stack, layer.name.text].join(' → ')} would never end`],
      help: 'remove the application',
    });
  }
  if (scope.stack.length > applicationDepthLimit) {
    return complain(place, {
      code: 'SSM1004', span: call.callee.span, message: `layers are applied more than ${applicationDepthLimit} deep`,
      label: 'one too deep', help: `apply layers at most ${applicationDepthLimit} deep`,
    });
  }
  run.applications++;
  if (run.applications > applicationLimit) {
    return complain(place, {
      code: 'SSM1004', span: call.callee.span,
      message: `more than ${applicationLimit} layers after inlining`, label: 'one too many',
      help: `apply at most ${applicationLimit} layers`,
    });
  }
  const given = sortArguments(place, layer, call);
  if (given === null) return null;
  const application = { layer, call, given };
  const bound = boundAxes(place, application);
  if (bound === null) return null;
  const prefix = `${scope.prefix}${binding.name.text}.`;
  const brought = { span: call.span, arguments: given.inputs, ...bound };
  const inner: Place = {
    run,
    scope: openScope({ layer, prefix, stack: [...scope.stack, layer.name.text], application: brought }),
  };
  if (!declareParameters(inner, application, bound)) return null;
  checkBody(inner);
  return nameOutputs(inner);
}

function sortArguments(place: Place, layer: LayerSyntax, call: CallSyntax): Given | null {
  const inputNames = inputsOf(layer).map((each) => each.tensor.name.text);
  const axisNames = axisNamesOf(layer);
  const inputs = new Map<string, Checked>();
  const axes = new Map<string, ArgumentSyntax>();
  let position = 0;
  let isSound = true;
  for (const argument of call.arguments) {
    const name = argument.name?.text ?? inputNames[position++];
    const span = argument.name?.span ?? argument.value.span;
    const isKnown = name !== undefined && (inputNames.includes(name) || axisNames.has(name));
    if (!isKnown || inputs.has(name) || axes.has(name)) {
      isSound = false;
      const known = [...inputNames, ...axisNames];
      complain(place, {
        code: 'SSM2007', span,
        message: isKnown
          ? `\`${name}\` is given twice`
          : `\`${layer.name.text}\` has no input or axis ${name === undefined ? 'left for this' : `\`${name}\``}`,
        label: 'this argument', secondary: [{ span: layer.name.span, text: 'the layer' }],
        help: didYouMean(
          place, name ?? '', known, `it takes ${known.map((each) => `\`${each}\``).join(', ')}`,
        ),
      });
    } else if (inputNames.includes(name)) {
      inputs.set(name, evaluate(place, argument.value));
    } else {
      axes.set(name, argument);
    }
  }
  const missing = inputNames.filter((name) => !inputs.has(name));
  if (isSound && missing.length > 0) {
    isSound = false;
    complain(place, {
      code: 'SSM2007', span: call.span,
      message: `the application of \`${layer.name.text}\` lacks ${missing.map((each) => `\`${each}\``).join(', ')}`,
      label: 'inputs missing',
      help: `write \`${layer.name.text}(${inputNames.map((each) => `${each} = …`).join(', ')})\``,
    });
  }
  return isSound && [...inputs.values()].every((each) => each !== null) ? { inputs, axes } : null;
}

function inputsOf(layer: LayerSyntax): readonly InputSyntax[] {
  return layer.items.filter((item): item is InputSyntax => item.kind === 'input');
}

function axisNamesOf(layer: LayerSyntax): ReadonlySet<string> {
  const derived = layer.items.flatMap((item) => (item.kind === 'axis' ? [item.name.text] : []));
  return new Set([...layer.axes.map((each) => each.name.text), ...derived]);
}

type Application = { readonly layer: LayerSyntax; readonly call: CallSyntax; readonly given: Given };

/** Axes of the caller, and sizes of fresh axes, by the callee's names. */
type Bound = { readonly axes: ReadonlyMap<string, AxisEntry>; readonly sizes: ReadonlyMap<string, number> };

/** What is given for axes of the callee, then what its inputs' values determine. */
function boundAxes(outer: Place, application: Application): Bound | null {
  const axes = new Map<string, AxisEntry>();
  const sizes = new Map<string, number>();
  for (const [name, argument] of application.given.axes) {
    const axis = argument.value.kind === 'name' ? outer.scope.axes.get(argument.value.name) : undefined;
    if (axis !== undefined) {
      axes.set(name, axis);
      continue;
    }
    const size = sizeValue(outer, argument.value);
    const checked = size === null ? null : checkSize(outer, name, size, argument.value.span);
    if (checked === null) return null;
    sizes.set(name, checked);
  }
  inferAxes(outer, application, axes, sizes);
  return { axes, sizes };
}

/** An input `u[D]` whose value has exactly one axis that is not spoken for gives it to D. */
function inferAxes(
  outer: Place, application: Application, bound: Map<string, AxisEntry>, sizes: ReadonlyMap<string, number>,
): void {
  const { layer, given } = application;
  const names = axisNamesOf(layer);
  for (let hasChanged = true; hasChanged; ) {
    hasChanged = false;
    for (const input of inputsOf(layer)) {
      const value = given.inputs.get(input.tensor.name.text) ?? null;
      if (value === null) continue;
      const taken = new Set([...bound.values()].map((each) => each.path));
      const open = input.tensor.axes.filter((axis) => names.has(axis.text) && !bound.has(axis.text)
        && !sizes.has(axis.text));
      const free = value.axes.filter((axis) => !taken.has(axis));
      const [name] = open;
      const [path] = free;
      const size = path === undefined ? undefined : outer.run.axes.get(path)?.size;
      if (name === undefined || path === undefined || size === undefined || open.length > 1
        || free.length > 1) continue;
      bound.set(name.text, { path, size, span: name.span });
      hasChanged = true;
    }
  }
}

/** Puts the axis parameters into the callee's scope: the caller's axes, or fresh ones. */
function declareParameters(inner: Place, application: Application, bound: Bound): boolean {
  let isSound = true;
  for (const axis of application.layer.axes) {
    const name = axis.name.text;
    const entry = bound.axes.get(name);
    if (entry !== undefined) {
      inner.scope.axes.set(name, { ...entry, span: axis.name.span });
      continue;
    }
    const size = overriddenSize(inner, axis.name) ?? bound.sizes.get(name) ?? sizeOfParameter(
      inner, axis, application,
    );
    if (size === null || declareAxis(inner, axis.name, size) === null) isSound = false;
  }
  return isSound;
}

function overriddenSize(inner: Place, name: Name): number | null {
  const path = inner.scope.prefix + name.text;
  const chosen = inner.run.sizes.get(path);
  if (chosen === undefined) return null;
  inner.run.sizesUsed.add(path);
  return checkSize(inner, path, chosen, name.span);
}

function sizeOfParameter(
  inner: Place, axis: LayerSyntax['axes'][number], application: Application,
): number | null {
  if (axis.size === null) {
    return complain(inner, {
      code: 'SSM2009', span: application.call.span,
      message: `the axis \`${axis.name.text}\` of \`${application.layer.name.text}\` has no size`,
      label: 'size missing',
      secondary: [{ span: axis.name.span, text: 'declared without a default' }],
      help: `give it: \`${axis.name.text} = 16\``,
    });
  }
  const value = sizeValue(inner, axis.size);
  return value === null ? null : checkSize(inner, axis.name.text, value, axis.size.span);
}

/** Makes an input of an applied layer stand for its argument. */
export function bindInput(inner: Place, input: InputSyntax): void {
  const { tensor } = input;
  if (!checkFree(inner, tensor.name)) return;
  const axes = axisPaths(inner, tensor.axes);
  const argument = inner.scope.application?.arguments.get(tensor.name.text) ?? null;
  const type = tensor.type?.name.text ?? 'real';
  const fit = { name: tensor.name, type, perSequence: tensor.perSequence, axes, argument };
  const value = argument === null ? null : fitArgument(inner, { ...fit, argument });
  inner.scope.symbols.set(tensor.name.text, {
    kind: 'value', what: 'input', span: tensor.name.span, previous: null,
    value: value === null ? null : shared(inner, inner.scope.prefix + tensor.name.text, value),
  });
}

type Fit = {
  readonly name: Name; readonly type: string; readonly perSequence: boolean;
  readonly axes: readonly string[] | null; readonly argument: SpecExpression;
};

function fitArgument(inner: Place, fit: Fit): Checked {
  const { argument, axes, name } = fit;
  const isConvertible = argument.type === fit.type || (fit.type === 'complex' && argument.type === 'real');
  if (!isConvertible) {
    return complain(inner, {
      code: 'SSM2008', span: argument.span,
      message: `the input \`${name.text}\` is ${fit.type}, its argument ${argument.type}`,
      label: argument.type,
      secondary: [{ span: name.span, text: 'the input' }], help: `pass a ${fit.type} value`,
    });
  }
  if (fit.perSequence && argument.variance.time) {
    return complain(inner, {
      code: 'SSM2006', span: argument.span,
      message: `the input \`${name.text}\` is per sequence, its argument varies with time`,
      label: 'varies with time',
      help: 'reduce it with `mean[time]` or `last`',
    });
  }
  if (axes === null) return null;
  const extra = argument.axes.find((each) => !axes.includes(each));
  if (extra !== undefined) {
    return complain(inner, {
      code: 'SSM2006', span: argument.span,
      message: `the argument of \`${name.text}\` has the axis \`${extra}\`, the input has ${showAxes(axes)}`,
      label: `has ${showAxes(argument.axes)}`,
      secondary: [{ span: name.span, text: 'the input' }],
      help: `bind an axis of the input to it, as in \`D = ${extra}\``,
    });
  }
  const typed = fit.type === 'complex' ? toComplex(argument) : argument;
  return widen(typed, axes);
}

/** A value under a path, so that its uses do not copy it. */
function shared(place: Place, path: string, value: SpecExpression): SpecExpression {
  if (value.kind === 'reference' || value.kind === 'number') return value;
  const { run } = place;
  run.body.push({ kind: 'let', name: path, value, span: value.span });
  run.lets.set(path, value);
  return {
    kind: 'reference', target: 'let', name: path, axes: value.axes, type: value.type,
    variance: value.variance, span: value.span,
  };
}

function nameOutputs(inner: Place): ReadonlyMap<string, Checked> {
  const { scope } = inner;
  return new Map(
    [...scope.outputs].map(([name, value]) => [name, value === null ? null : shared(
      inner, scope.prefix + name, value,
    )]),
  );
}
