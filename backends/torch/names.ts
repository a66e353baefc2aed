/**
 * Python names for what a layer declares. The language allows names that Python reserves (`lambda`,
 * `in`), that a module of PyTorch has already (`train`, `T_destination`), and paths with dots; a name keeps
 * its spelling where nothing speaks against it, and gets an underscore or a number where something does.
 */

/** Keywords of Python 3, and names that the generated texts use unqualified. */
const pythonKeywords: readonly string[] = [
  'False', 'None', 'True', 'and', 'as', 'assert', 'async', 'await', 'break', 'case', 'class', 'continue', 'def', 'del', 'elif',
  'else', 'except', 'finally', 'for', 'from', 'global', 'if', 'import', 'in', 'is', 'lambda', 'match', 'nonlocal', 'not', 'or',
  'pass', 'raise', 'return', 'try', 'type', 'while', 'with', 'yield', 'print', 'range', 'len', 'tuple', 'super', 'self', 'cls',
  'torch', 'annotations', 'reference', 'tools', 'initialise', 'ops', 'operators', 'prepare', 'results', 'check_implementation',
  'OPERATORS', 'LAYER', 'RANK', 'SIZES', 'NotImplemented', 'Ellipsis',
];

/** What `torch.nn.Module` has: a parameter of that name would replace it, or be refused. */
const moduleAttributes: readonly string[] = [
  'T_destination', 'add_module', 'apply', 'bfloat16', 'buffers', 'call_super_init', 'children', 'compile', 'cpu', 'cuda', 'double',
  'dump_patches', 'eval', 'extra_repr', 'float', 'forward', 'get_buffer', 'get_extra_state', 'get_parameter', 'get_submodule',
  'half', 'ipu', 'load_state_dict', 'modules', 'mtia', 'named_buffers', 'named_children', 'named_modules', 'named_parameters',
  'parameters', 'register_backward_hook', 'register_buffer', 'register_forward_hook', 'register_forward_pre_hook',
  'register_full_backward_hook', 'register_full_backward_pre_hook', 'register_load_state_dict_post_hook',
  'register_load_state_dict_pre_hook', 'register_module', 'register_parameter', 'register_state_dict_post_hook',
  'register_state_dict_pre_hook', 'requires_grad_', 'set_extra_state', 'set_submodule', 'share_memory', 'state_dict', 'to',
  'to_empty', 'train', 'training', 'xpu', 'zero_grad',
  // of the generated module and functions
  'step', 'initial_state', 'reset_parameters', 'implementation', 'return_final', 'device', 'dtype', 'batch', 'length',
];

/** Files of a package, which a function of the same name would hide. */
const packageModules: readonly string[] = [
  'arguments', 'description', 'driver', 'initialise', 'kernels', 'gradients', 'launch', 'memory', 'module', 'nvrtc', 'operators', 'ops',
  'plan', 'reference', 'structure', 'tools',
];

export type PythonNamer = { readonly fresh: (path: string) => string };

/**
 * A path of the layer as an identifier: `block.ssm.A_log` becomes `block_ssm_A_log`. None begins with an underscore:
 * those names belong to the generated texts.
 */
function identifier(path: string): string {
  const letters = path.replace(/[^A-Za-z0-9_]+/g, '_').replace(/^_+/, '');
  return /^[A-Za-z]/.test(letters) ? letters : `v${letters}`;
}

/** Distinct identifiers; `taken` are names of the place that must not be given. */
export function createPythonNamer(taken: readonly string[] = []): PythonNamer {
  const used = new Set([...pythonKeywords, ...moduleAttributes, ...taken]);
  return {
    fresh(path) {
      const stem = identifier(path);
      let name = stem;
      if (used.has(name)) name = `${stem}_`;
      for (let number = 2; used.has(name); number++) name = `${stem}_${number}`;
      used.add(name);
      return name;
    },
  };
}

export type LayerNames = { readonly packageName: string; readonly functionName: string; readonly className: string };

/** Names of a layer's package, function and class: `statefuse_s6`, `s6`, `S6`. */
export function layerNames(layer: string): LayerNames {
  const stem = identifier(layer);
  const lower = stem.toLowerCase();
  const taken = new Set([...pythonKeywords, ...packageModules]);
  const functionName = taken.has(lower) ? `${lower}_` : lower;
  const upper = `${stem.charAt(0).toUpperCase()}${stem.slice(1)}`;
  const isTaken = taken.has(upper) || upper === functionName;
  return { packageName: `statefuse_${lower}`, functionName, className: isTaken ? `${upper}Layer` : upper };
}
