/** `description.py` and `ops.py`: the layer's tensors as a table, and the functions that users call. */
import type { LayerModel, ModelValue } from './layer-model.ts';
import { pythonCall, pythonString, pythonTuple } from './python-text.ts';
import { signature } from './reference.ts';

function valueText(model: LayerModel, value: ModelValue, name: string): string {
  const sizes = value.axes.map((axis) => (axis === 'batch' || axis === 'time' ? 'None' : String(model.sizeOf(axis))));
  const values = value.values === null ? '' : `, ${value.values}`;
  return `        Value(${pythonString(name)}, ${pythonString(value.subject)}, "${value.type}", ${pythonTuple(value.axes.map(pythonString))}, ${pythonTuple(sizes)}${values}),`;
}

function block(field: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [`    ${field}=(),`] : [`    ${field}=(`, ...lines, '    ),'];
}

/** Sizes of calls that take the kernels for few sequences, by storage type. */
function fewText({ storages }: LayerModel): string {
  const sizes = storages.flatMap(({ storage, few }) => (few === null ? [] : [`${pythonString(storage)}: (${few.sequences}, ${few.tokens})`]));
  return `{${sizes.join(', ')}}`;
}

/** The text of `description.py`. */
export function renderDescription(model: LayerModel): string {
  return `"""The tensors of layer ${model.className}, in the order in which operators take them."""
from __future__ import annotations

from .structure import Description, Value

LAYER = Description(
    layer=${pythonString(model.className)},
    namespace=${pythonString(model.packageName)},
    storages=${pythonTuple(model.storages.map((each) => pythonString(each.storage)))},
    few=${fewText(model)},
${[
    ...block('inputs', model.inputs.map((each) => valueText(model, each, each.name))),
    ...block('parameters', model.parameters.map((each) => valueText(model, each, each.name))),
    ...block('states', model.states.map((each) => valueText(model, each, each.initialName))),
    ...block('outputs', model.outputs.map((each) => valueText(model, each, each.name))),
  ].join('\n')}
    has_step=${model.hasStep ? 'True' : 'False'},
)
`;
}

/** `u (batch, time, D): real`, for documentation. */
export function describeValue(model: LayerModel, value: ModelValue, name: string): string {
  const sizes = value.axes.map((axis) => (axis === 'batch' || axis === 'time' ? axis : `${axis} = ${model.sizeOf(axis)}`));
  const type = value.type === 'index' ? `index below ${value.values ?? 0}` : value.type;
  return `${name}: ${sizes.length === 0 ? 'one number' : `(${sizes.join(', ')})`}, ${type}`;
}

/** Lines of a doc string about arguments and results. */
function argumentLines(model: LayerModel, withInitial: boolean): readonly string[] {
  const skipTime = (value: ModelValue): ModelValue => (withInitial ? value : { ...value, axes: value.axes.filter((axis) => axis !== 'time') });
  return [
    ...model.inputs.map((each) => describeValue(model, skipTime(each), each.name)),
    ...model.parameters.map((each) => `${describeValue(model, each, each.name)} parameter, float32`),
    ...model.states.map((each) => `${describeValue(model, each, withInitial ? each.initialName : each.name)} state, float32`),
    ...model.outputs.map((each) => `returns ${describeValue(model, skipTime(each), each.name)}`),
  ].map((each) => `        ${each}`);
}

function forwardText(model: LayerModel): string {
  const name = model.functionName;
  const initial = model.states.map((each) => each.initialName);
  const parameters = model.parameters.map((each) => each.name);
  const inputs = model.inputs.map((each) => each.name);
  const byKeyword = [...parameters, ...initial, 'return_final'].map((each) => `${each}=${each}`);
  const count = model.outputs.length;
  return `${pythonCall(`def ${name}`, signature(model, initial.map((each) => `${each}=None`), ['return_final=False', 'implementation="kernels"']), ':')}
    """Outputs of the layer over whole sequences; with 'return_final' the final states follow them.

${argumentLines(model, true).join('\n')}

    Absent initial states are zero. Complex tensors may be given as pairs along a last axis. Tensors that are not
    contiguous are copied. 'implementation="reference"' computes in plain PyTorch, on any device.
    """
    if implementation != "kernels":
        check_implementation(implementation)
        ${pythonCall(`return reference.${name}`, [...inputs, ...byKeyword], '', '        ')}
    results = OPERATORS.forward(${pythonCall('', [...inputs, ...parameters, ...initial], '', '    ')}, return_final)
    return ${count === 1 ? 'tuple(results) if return_final else results[0]' : 'tuple(results)'}
`;
}

function stepText(model: LayerModel): string {
  const name = `${model.functionName}_step`;
  const states = model.states.map((each) => each.name);
  const parameters = model.parameters.map((each) => each.name);
  const inputs = model.inputs.map((each) => each.name);
  const byKeyword = [...parameters, ...states].map((each) => `${each}=${each}`);
  const single = model.outputs.length + model.states.length === 1;
  return `${pythonCall(`def ${name}`, signature(model, states, ['implementation="kernels"']), ':')}
    """One token: the outputs, then the new states. Inputs and outputs have no axis of time.

${argumentLines(model, false).join('\n')}

    A state that is None is zero.
    """
    if implementation != "kernels":
        check_implementation(implementation)
        ${pythonCall(`return reference.${name}`, [...inputs, ...byKeyword], '', '        ')}
    results = OPERATORS.step(${pythonCall('', [...inputs, ...parameters, ...states], '', '    ')})
    return ${single ? 'results[0]' : 'tuple(results)'}
`;
}

/** The text of `ops.py`. */
export function renderOps(model: LayerModel): string {
  return `"""Layer ${model.className} as functions on tensors, with gradients; the work is done by operators of torch.library."""
from __future__ import annotations

from . import reference
from .description import LAYER
from .operators import LayerOperators, check_implementation

OPERATORS = LayerOperators(LAYER)


${forwardText(model)}

${model.hasStep ? `${stepText(model)}\n\n` : ''}def prepare(device=None, dtypes=None, entries=None):
    """Compiles and loads kernels now, in parallel, not at first use: for a CUDA device, dtypes of the inputs, and
    entries such as "forward" or "backward_final"; all of them where nothing is given."""
    OPERATORS.prepare(device, dtypes, entries)
`;
}

/** The text of `__init__.py`. */
export function renderInit(model: LayerModel): string {
  const functions = [model.functionName, ...(model.hasStep ? [`${model.functionName}_step`] : []), 'prepare'];
  return `"""Layer ${model.className}: fused CUDA kernels, compiled at first use, as PyTorch functions and a module."""
from . import reference
from .description import LAYER
from .module import ${model.className}
from .ops import ${functions.join(', ')}

__all__ = [${[model.className, 'LAYER', ...functions, 'reference'].map(pythonString).join(', ')}]
`;
}
