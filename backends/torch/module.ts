/** `module.py`: the layer as a `torch.nn.Module` with its parameters and their initialisers. */
import { initialiserLine } from './initialisers.ts';
import type { LayerModel, ModelParameter } from './layer-model.ts';
import { pythonCall, pythonTuple } from './python-text.ts';

function shapeText(model: LayerModel, axes: readonly string[], isComplex: boolean): string {
  const sizes = [...axes.map((axis) => String(model.sizeOf(axis))), ...(isComplex ? ['2'] : [])];
  return pythonTuple(sizes);
}

function parameterLine(model: LayerModel, parameter: ModelParameter): string {
  const shape = shapeText(model, parameter.axes, parameter.type === 'complex');
  return `        self.${parameter.name} = torch.nn.Parameter(torch.empty(${shape}, device=device))`;
}

/** Parameters without an initialiser are arguments of the constructor. */
function constructorText(model: LayerModel): string {
  const given = model.parameters.filter((each) => each.spec.initial === null);
  const required = given.length === 0 ? '' : `${given.map((each) => each.name).join(', ')}, `;
  const fill = given.flatMap((each) => [
    `        initialise.fill(self.${each.name}, torch.as_tensor(${each.name}).detach().cpu()${each.type === 'complex' ? ', is_complex=True' : ''})`,
  ]);
  return `    def __init__(self, *, ${required}device=None, implementation="kernels"):
        super().__init__()
        check_implementation(implementation)
        self.implementation = implementation
${[...model.parameters.map((each) => parameterLine(model, each)), ...fill].map((each) => `${each}\n`).join('')}        self.reset_parameters()
`;
}

function resetText(model: LayerModel): string {
  const lines = model.parameters.flatMap((each) => initialiserLine(model, each) ?? []);
  const body = lines.length === 0 ? ['return'] : lines;
  return `    @torch.no_grad()
    def reset_parameters(self):
        """Draws the initial values anew, from PyTorch's default generator."""
${body.map((each) => `        ${each}`).join('\n')}
`;
}

function forwardText(model: LayerModel): string {
  const inputs = model.inputs.map((each) => each.name);
  const initial = model.states.map((each) => each.initialName);
  const parameters = model.parameters.map((each) => `${each.name}=self.${each.name}`);
  const rest = [...initial.map((each) => `${each}=${each}`), 'return_final=return_final', 'implementation=self.implementation'];
  return `    ${pythonCall('def forward', ['self', ...inputs, '*', ...initial.map((each) => `${each}=None`), 'return_final=False'], ':', '    ')}
        """Outputs over whole sequences; with 'return_final' the final states follow."""
        ${pythonCall(`return ops.${model.functionName}`, [...inputs, ...parameters, ...rest], '', '        ')}
`;
}

function stepText(model: LayerModel): string {
  const inputs = model.inputs.map((each) => each.name);
  const states = model.states.map((each) => each.name);
  const parameters = model.parameters.map((each) => `${each.name}=self.${each.name}`);
  const star = states.length === 0 ? [] : ['*', ...states];
  return `    ${pythonCall('def step', ['self', ...inputs, ...star], ':', '    ')}
        """One token, without the axis of time: outputs, then new states."""
        ${pythonCall(`return ops.${model.functionName}_step`, [...inputs, ...parameters, ...states.map((each) => `${each}=${each}`), 'implementation=self.implementation'], '', '        ')}
`;
}

function initialStateText(model: LayerModel): string {
  const device = model.parameters[0] === undefined ? 'None' : `self.${model.parameters[0].name}.device`;
  const states = model.states.map((each) => {
    const dtype = each.type === 'complex' ? 'torch.complex64' : 'torch.float32';
    const sizes = each.axes.filter((axis) => axis !== 'batch').map((axis) => String(model.sizeOf(axis)));
    return `torch.zeros(${pythonTuple(['batch', ...sizes])}, dtype=${dtype}, device=device)`;
  });
  return `    def initial_state(self, batch, device=None):
        """Zeros for the ${states.length === 1 ? 'state' : 'states, in order,'} of so many sequences."""
        device = ${device} if device is None else device
        return ${states.length === 1 ? states.join('') : `(\n${states.map((each) => `            ${each},\n`).join('')}        )`}
`;
}

/** The text of `module.py`. */
export function renderModule(model: LayerModel): string {
  const note = model.parameters.some((each) => each.type === 'complex')
    ? '\n\n    Complex parameters are real ones with pairs along a last axis, so that casts, optimisers and collectives treat them\n    like any other.'
    : '';
  const parts = [constructorText(model), resetText(model), forwardText(model), ...(model.hasStep ? [stepText(model)] : []), initialStateText(model)];
  return `"""Layer ${model.className} as a module."""
from __future__ import annotations

import torch

from . import initialise, ops
from .operators import check_implementation


class ${model.className}(torch.nn.Module):
    """The layer with its parameters, which stay float32 whatever the inputs are.${note}
    """

${parts.join('\n')}`;
}
