/** The package's own files: `pyproject.toml`, README and tests. */
import { describeState } from '../../ir/explain/layer-facts.ts';
import type { LayerModel } from './layer-model.ts';
import { describeValue } from './ops.ts';
import { testOpsPython } from './python/test-ops.ts';
import { outputEquations } from './reference.ts';

/** The text of `pyproject.toml`. The build back end lies in the folder, so that building needs no network. */
export function renderProject(model: LayerModel): string {
  return `[build-system]
requires = []
build-backend = "build_package"
backend-path = ["."]

[project]
name = "${model.packageName}"
version = "0.1.0"
description = "Layer ${model.className}: fused CUDA kernels for PyTorch, compiled at first use"
readme = "README.md"
requires-python = ">=3.9"
dependencies = ["torch>=2.4"]
`;
}

function exampleText(model: LayerModel): string {
  const inputs = model.inputs.map((each) => each.name).join(', ');
  const states = model.states.map((each) => each.name);
  const outputs = model.outputs.map((each) => each.name);
  const carried = model.states.length === 1 ? states : states.map((_, at) => `states[${at}]`);
  const lines = [
    'import torch', `from ${model.packageName} import ${model.className}`, '',
    `layer = ${model.className}().cuda()`,
    `${outputs.join(', ')} = layer(${inputs})  # (batch, time, …), float32, bfloat16 or float16; gradients as usual`,
    `${[...outputs, ...states].join(', ')} = layer(${inputs}, return_final=True)`,
  ];
  if (!model.hasStep) return lines.join('\n');
  const given = states.map((each, at) => `${each}=${carried[at] ?? each}`);
  return [
    ...lines, '', `${model.states.length === 1 ? states.join('') : 'states'} = layer.initial_state(batch)`,
    `${[...outputs, ...(model.states.length === 1 ? states : ['*states'])].join(', ')} = layer.step(${[inputs, ...given].join(', ')})  # one token: (batch, …)`,
  ].join('\n');
}

function equationLines(model: LayerModel): readonly string[] {
  const states = model.spec.body.flatMap((each) => (each.kind === 'state' ? describeState(model.spec, each).equations : []));
  return [...states.map(({ left, right }) => `${left} = ${right}`), ...outputEquations(model.spec)];
}

/** The text of `README.md`. */
export function renderReadme(model: LayerModel, compiler: string, hash: string): string {
  const parameters = model.parameters.map((each) => `- \`${describeValue(model, each, each.name)}\``);
  return `# ${model.packageName}

Layer ${model.className} for PyTorch, made by ${compiler} (${hash}): CUDA text that NVRTC compiles for the GPU at hand
when it is first used. Installing takes neither nvcc nor PyTorch's headers nor a network:

    pip install .

## The layer

\`\`\`text
${equationLines(model).join('\n')}
\`\`\`

Inputs:

${model.inputs.map((each) => `- \`${describeValue(model, each, each.name)}\``).join('\n')}

${parameters.length === 0 ? 'No parameters.' : `Parameters, float32:\n\n${parameters.join('\n')}`}

States, float32, with gradients from their final to their initial value:

${model.states.length === 0 ? '- none' : model.states.map((each) => `- \`${describeValue(model, each, each.initialName)}\``).join('\n')}

## Use

\`\`\`python
${exampleText(model)}
\`\`\`

- \`${model.packageName}.${model.functionName}\` is the same as a function of tensors; parameters are keywords.
- Inputs and outputs are ${model.storages.join(', ')}; all inputs have one type. Under \`torch.autocast\` inputs are cast, parameters are not.
- Complex tensors may be given as pairs along a last axis; the module's complex parameters are stored so.
- Tensors that are not contiguous are copied first. Flags are bool, indices int64 or int32; int32 saves a conversion.
  Indices are checked only where STATEFUSE_CHECK_INDICES=1.
- \`torch.compile(fullgraph=True)\`, CUDA graphs and DistributedDataParallel work. Before a graph is captured, run the
  layer once or call \`${model.packageName}.prepare()\`, which compiles everything in parallel.
- CPU tensors are refused; \`implementation="reference"\` computes in plain PyTorch, slowly, on any device and in float64.
- Compiled kernels are kept in STATEFUSE_CACHE_DIR, else below XDG_CACHE_HOME or ~/.cache. STATEFUSE_NVRTC names the
  NVRTC library where PyTorch did not bring it.
- There are no second derivatives of the kernels; the reference has them.

Tests: \`pytest tests\` or \`python -m unittest discover tests\`.
`;
}

/** The text of `tests/test_ops.py`. */
export function renderTests(model: LayerModel): string {
  const given = model.parameters.filter((each) => each.spec.initial === null).map((each) => each.name);
  const isCausal = model.spec.body.every((each) => each.kind !== 'state' || each.order === 'forward');
  const list = (names: readonly string[]): string => `(${names.map((each) => `"${each}",`).join(' ')})`;
  const constants = [
    '#: parameters without an initialiser', `GIVEN = ${list(given)}`,
    '#: whether a sequence can be cut', `CAUSAL = ${isCausal && model.hasStep ? 'True' : 'False'}`,
    '#: arguments of a step that bring its states', `STEP_STATES = ${list(model.states.map((each) => each.name))}`,
  ].join('\n');
  return testOpsPython
    .replaceAll('PACKAGE', model.packageName).replaceAll('FUNCTION_step', `${model.functionName}_step`)
    .replaceAll('"FUNCTION"', `"${model.functionName}"`).replaceAll('"CLASS"', `"${model.className}"`)
    .replace('HAS_GPU =', `${constants}\nHAS_GPU =`);
}
