/**
 * `reference.py`: the layer in plain PyTorch, token by token, as its text says it. It is what the tests
 * compare the kernels with, in float64, and what runs where there is no GPU.
 */
import type { LayerSpec, SpecExpression, StateSpec } from '../../dsl/spec.ts';
import { describeState } from '../../ir/explain/layer-facts.ts';
import { childrenOf } from '../../ir/explain/expression-children.ts';
import { printFormula } from '../../ir/explain/formula.ts';
import { required } from '../../support/invariant.ts';
import type { LayerModel, ModelValue } from './layer-model.ts';
import { createPythonNamer } from './names.ts';
import { pythonCall, pythonNumber, pythonTuple } from './python-text.ts';
import { expressionPiece, tensorText, type ExpressionScope } from './reference-expressions.ts';

type Writer = {
  readonly model: LayerModel;
  readonly names: ReadonlyMap<string, string>;
  readonly scope: ExpressionScope;
  /** variables of delayed values that were computed */
  readonly delayed: Set<string>;
};

function key(target: string, name: string): string {
  return `${target} ${name}`;
}

/** Python names of axes: `_AXIS_D`. */
function axisNames(model: LayerModel): ReadonlyMap<string, string> {
  const namer = createPythonNamer();
  const axes = model.spec.axes.map((each) => [each.name, `_${namer.fresh(`AXIS_${each.name}`)}`] as const);
  // a tail's axis takes the place of time: it holds tokens
  const tails = model.spec.tails.map((each) => [each.name, 'tools.TIME'] as const);
  return new Map([['batch', 'tools.BATCH'], ['time', 'tools.TIME'], ...axes, ...tails]);
}

function createWriter(model: LayerModel): Writer {
  const axes = axisNames(model);
  const given = [...model.inputs, ...model.parameters, ...model.states].map((each) => each.name);
  const namer = createPythonNamer([model.functionName, ...given, ...model.states.map((each) => each.initialName)]);
  const names = new Map<string, string>();
  for (const each of model.inputs) names.set(key('input', each.subject), each.name);
  for (const each of model.parameters) names.set(key('param', each.subject), each.name);
  for (const each of model.states) {
    names.set(key('initial', each.subject), each.initialName);
    names.set(key('state', each.subject), each.name);
    names.set(key('previous', each.subject), namer.fresh(`${each.name}_before`));
    names.set(key('final', each.subject), namer.fresh(`${each.name}_final`));
    if (each.isTail) names.set(key('delayed', each.subject), namer.fresh(`${each.name}_of`));
  }
  for (const item of model.spec.body) if (item.kind === 'let') names.set(key('let', item.name), namer.fresh(item.name));
  for (const each of model.outputs) names.set(key('output', each.subject), namer.fresh(`${each.name}_out`));
  const nameOf = (target: string, name: string): string => required(names.get(key(target, name)), `${target} ${name}`);
  const dimOf = (axis: string): string => required(axes.get(axis), `axis ${axis}`);
  const scope: ExpressionScope = {
    nameOf, dimOf,
    sizesOf: (over) => `{${over.map((axis) => `${dimOf(axis)}: SIZES[${dimOf(axis)}]`).join(', ')}}`,
    tailOf: (tail) => ({ initial: nameOf('initial', tail), value: nameOf('delayed', tail) }),
  };
  return { model, names, scope, delayed: new Set() };
}

/** Lines that compute what the delays of an expression look back on, innermost first. */
function delayLines(writer: Writer, expression: SpecExpression): readonly string[] {
  const inner = childrenOf(expression).flatMap((each) => delayLines(writer, each));
  if (expression.kind !== 'delay' || writer.delayed.has(expression.tail)) return inner;
  writer.delayed.add(expression.tail);
  return [...inner, `${writer.scope.tailOf(expression.tail).value} = ${tensorText(expressionPiece(expression.operand, writer.scope))}`];
}

function assignment(writer: Writer, name: string, expression: SpecExpression): readonly string[] {
  return [...delayLines(writer, expression), `${name} = ${tensorText(expressionPiece(expression, writer.scope))}`];
}

function stateLines(writer: Writer, state: StateSpec): readonly string[] {
  const { scope } = writer;
  const name = (target: string): string => required(writer.names.get(key(target, state.name)), state.name);
  const text = (expression: SpecExpression): string => tensorText(expressionPiece(expression, scope));
  const rule = state.discretization;
  const parts = [state.coefficient, state.drive, ...(rule.rule === 'none' ? [] : [rule.delta]), ...(state.reset === null ? [] : [state.reset.condition])];
  const discrete = rule.rule === 'none'
    ? [`_decay, _drive = ${text(state.coefficient)}, ${text(state.drive)}`]
    : [
      `_decay, _drive = tools.discretize(`,
      `    "${rule.rule}", ${text(state.coefficient)}, ${text(state.drive)}, ${text(rule.delta)},`,
      `    alpha=${rule.alpha === null ? '0.5' : pythonNumber(rule.alpha)}, enters="${rule.input}",`,
      ')',
    ];
  const wide = `{tools.BATCH: batch, ${state.axes.map((axis) => `${scope.dimOf(axis)}: SIZES[${scope.dimOf(axis)}]`).join(', ')}}`;
  const options = [
    ...(state.order === 'reverse' ? ['reverse=True'] : []),
    ...(state.reset === null ? [] : [`${state.reset.action}=${text(state.reset.condition)}`]),
  ];
  return [
    '', ...describeState(writer.model.spec, state).equations.map(({ left, right }) => `# ${left} = ${right}`),
    ...parts.flatMap((each) => delayLines(writer, each)), ...discrete, `_drive = tools.widen(_drive, ${wide})`,
    `${name('state')}, ${name('previous')}, ${name('final')} = tools.scan(${['_decay', '_drive', name('initial'), 'length', ...options].join(', ')})`,
  ];
}

function dims(writer: Writer, axes: readonly string[]): string {
  return pythonTuple(axes.map(writer.scope.dimOf));
}

function liftLines(writer: Writer, value: ModelValue, name: string): readonly string[] {
  const place = `RANK, ${dims(writer, value.axes)}`;
  switch (value.type) {
    case 'real':
      return [`${name} = tools.lift(${name}.to(_work), ${place})`];
    case 'complex':
      return [`${name} = tools.lift(tools.pair_complex(${name}, _work), ${place})`];
    case 'flag':
      return [`${name} = tools.lift(${name} != 0, ${place})`];
    case 'index':
      return [`${name} = tools.lift(${name}.long(), ${place})`];
    default:
      return value.type satisfies never;
  }
}

function sizesText(writer: Writer, value: ModelValue): string {
  const known: Readonly<Record<string, string>> = { batch: 'batch', time: 'length' };
  return pythonTuple(value.axes.map((axis) => known[axis] ?? String(writer.model.sizeOf(axis))));
}

function initialLines(writer: Writer): readonly string[] {
  return writer.model.states.flatMap((state) => {
    const dtype = state.type === 'complex' ? 'torch.complex128 if _work == torch.float64 else torch.complex64' : '_work';
    return [
      `if ${state.initialName} is None:`,
      `    ${state.initialName} = torch.zeros(${sizesText(writer, state)}, dtype=${dtype}, device=_like.device)`,
      ...liftLines(writer, state, state.initialName),
    ];
  });
}

function resultLines(writer: Writer): readonly string[] {
  const { model, scope } = writer;
  const outputs = model.outputs.flatMap((output) => {
    const spec = required(model.spec.outputs.find((each) => each.name === output.subject), output.subject);
    const name = required(writer.names.get(key('output', output.subject)), output.subject);
    const dtype = output.type === 'complex' ? '' : '.to(_result_dtype)';
    return [...assignment(writer, name, spec.value), `${name} = tools.lower(${name}, ${dims(writer, output.axes)}, ${sizesText(writer, output)})${dtype}`];
  });
  const finals = model.states.flatMap((state) => {
    const final = required(writer.names.get(key('final', state.subject)), state.subject);
    const made = state.isTail ? [`${final} = tools.next_tail(${scope.tailOf(state.subject).value}, ${state.initialName}, length)`] : [];
    return [...made, `${final} = tools.lower(${final}, ${dims(writer, state.axes)}, ${sizesText(writer, state)})`];
  });
  return [...outputs, ...finals, ...returnLines(writer)];
}

function returnLines(writer: Writer): readonly string[] {
  const outputs = writer.model.outputs.map((each) => required(writer.names.get(key('output', each.subject)), each.subject));
  const finals = writer.model.states.map((each) => required(writer.names.get(key('final', each.subject)), each.subject));
  const tuple = (names: readonly string[]): string => (names.length === 1 ? names.join('') : pythonTuple(names));
  return ['if return_final:', `    return ${tuple([...outputs, ...finals])}`, `return ${tuple(outputs)}`];
}

/** Arguments as they stand in a definition: inputs, then by keyword parameters, states and what follows. */
export function signature(model: LayerModel, stateArguments: readonly string[], tail: readonly string[]): readonly string[] {
  const byKeyword = [...model.parameters.map((each) => each.name), ...stateArguments, ...tail];
  return [...model.inputs.map((each) => each.name), ...(byKeyword.length === 0 ? [] : ['*', ...byKeyword])];
}

function bodyLines(writer: Writer): readonly string[] {
  const { model } = writer;
  const everything = [...model.inputs, ...model.parameters].map((each) => each.name);
  const lead = required(model.inputs.find((each) => each.axes.includes('batch') && each.axes.includes('time')), 'an input with time');
  const stream = model.inputs.find((each) => each.type === 'real');
  const items = model.spec.body.flatMap((item) =>
    (item.kind === 'let' ? assignment(writer, writer.scope.nameOf('let', item.name), item.value) : stateLines(writer, item)));
  return [
    `_like = ${lead.name}`,
    'batch, length = _like.shape[0], _like.shape[1]',
    pythonCall('_work = tools.working_dtype', [...everything, ...model.states.map((each) => each.initialName)], '', '    '),
    `_result_dtype = ${stream === undefined ? '_work' : `${stream.name}.dtype`}`,
    '',
    'def _number(value):',
    '    return torch.tensor(value, dtype=_work, device=_like.device).reshape([1] * RANK)',
    '',
    ...model.inputs.flatMap((each) => liftLines(writer, each, each.name)),
    ...model.parameters.flatMap((each) => liftLines(writer, each, each.name)),
    ...initialLines(writer), '', ...items, '', ...resultLines(writer),
  ];
}

function stepText(model: LayerModel): string {
  const timeOf = (value: ModelValue): number => value.axes.indexOf('time');
  const inputs = model.inputs.map((each) => (timeOf(each) < 0 ? each.name : `${each.name}.unsqueeze(${timeOf(each)})`));
  const given = [...model.parameters.map((each) => `${each.name}=${each.name}`), ...model.states.map((each) => `${each.initialName}=${each.name}`)];
  const results = model.outputs.map((each, at) => (timeOf(each) < 0 ? `results[${at}]` : `results[${at}].squeeze(${timeOf(each)})`));
  const count = model.outputs.length + model.states.length;
  const returned = [...results, ...model.states.map((_, at) => `results[${model.outputs.length + at}]`)];
  return `${pythonCall(`def ${model.functionName}_step`, signature(model, model.states.map((each) => each.name), []), ':')}
    """One token: inputs and outputs without the axis of time, the new states after the outputs."""
    ${pythonCall(`results = ${model.functionName}`, [...inputs, ...given, 'return_final=True'], '', '    ')}
${count === 1 ? '    results = (results,)\n' : ''}    return ${returned.join(', ')}
`;
}

/** Equations of the outputs, for comments and the README. */
export function outputEquations(spec: LayerSpec): readonly string[] {
  return spec.outputs.map((each) => `${each.name}${each.value.variance.time ? '_t' : ''} = ${printFormula(each.value)}`);
}

/** The text of `reference.py`. */
export function renderReference(model: LayerModel): string {
  const writer = createWriter(model);
  const axes = model.spec.axes.map((each) => [writer.scope.dimOf(each.name), each.size] as const);
  const constants = axes.length === 0 ? [] : [`${axes.map(([name]) => name).join(', ')}${axes.length === 1 ? ',' : ''} = range(2, ${2 + axes.length})`];
  const initial = model.states.map((each) => `${each.initialName}=None`);
  return `"""Layer ${model.className} in plain PyTorch, token by token: slow, differentiable, in float64 where it is given float64."""
from __future__ import annotations

import torch

from . import tools

RANK = ${2 + axes.length}
${[...constants, `SIZES = {${axes.map(([name, size]) => `${name}: ${size}`).join(', ')}}`].join('\n')}


${pythonCall(`def ${model.functionName}`, signature(model, initial, ['return_final=False']), ':')}
    """Outputs, and with 'return_final' the final states after them."""
${bodyLines(writer).map((each) => (each === '' ? '' : `    ${each}`)).join('\n')}
${model.hasStep ? `\n\n${stepText(model)}` : ''}`;
}
