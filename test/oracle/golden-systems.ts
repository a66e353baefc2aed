/**
 * Which tensor of a golden file is which name of its text. The layout has one entry per dimension of
 * the golden tensor: an axis of the text (`H`), `batch` or `time`; `A*B` for a dimension that is two
 * axes; `A@6` for the part of a dimension that starts at 6; `#k` for one fixed position; `pair` for
 * a last dimension of real and imaginary part (`.re`/`.im` tensors are found by themselves).
 */

export type Binding = {
  /** input, parameter, state path or output of the text */
  readonly name: string;
  /** name in the file, without `.re`/`.im` and without `grad.` */
  readonly golden: string;
  readonly layout: readonly string[];
};

export type GoldenSystem = {
  readonly name: string;
  /** axes of the text, and `batch` and `time` */
  readonly sizes: Readonly<Record<string, number>>;
  readonly inputs: readonly Binding[];
  readonly params: readonly Binding[];
  readonly initial: readonly Binding[];
  readonly outputs: readonly Binding[];
  readonly final: readonly Binding[];
};

/** `'C: Copy H N'` binds C to C; `'skip = D: D'` binds skip of the text to D of the file. */
function bind(text: string): Binding {
  const [names = '', layout = ''] = text.split(':');
  const [name = '', golden = name] = names.split('=').map((each) => each.trim());
  return { name, golden, layout: layout.trim().split(/\s+/).filter((entry) => entry !== '') };
}

function system(
  name: string,
  sizes: Readonly<Record<string, number>>,
  tensors: {
    readonly inputs: readonly string[];
    readonly params: readonly string[];
    readonly initial?: readonly string[];
    readonly outputs: readonly string[];
    readonly final?: readonly string[];
  },
): GoldenSystem {
  return {
    name,
    sizes,
    inputs: tensors.inputs.map(bind),
    params: tensors.params.map(bind),
    initial: (tensors.initial ?? []).map(bind),
    outputs: tensors.outputs.map(bind),
    final: (tensors.final ?? []).map(bind),
  };
}

const s4dKernel = {
  inputs: ['u: batch H time'],
  params: ['inv_dt: H #0', 'A_real: H N', 'A_imag: H N', 'B: #0 H N', 'C: Copy H N', 'D: Copy H'],
  initial: ['x = state: batch H N'],
  outputs: ['y: batch Copy H time'],
  final: ['x = state_last: batch H N'],
};

const s5Params = ['Lambda_re: P', 'Lambda_im: P', 'B: P H pair', 'D: H', 'log_step: P #0'];

const mambaScan = {
  inputs: ['u: batch D time', 'delta: batch D time', 'B: batch N time', 'C: batch N time', 'z: batch D time'],
  params: ['A: D N', 'skip = D: D', 'delta_bias: D'],
  outputs: ['y: batch D time'],
  final: ['h = h_last: batch D N'],
};

export const goldenSystems: readonly GoldenSystem[] = [
  system('s4d_zoh', { batch: 2, time: 131, H: 5, N: 6, Copy: 2 }, s4dKernel),
  system('s4d_bilinear', { batch: 2, time: 131, H: 5, N: 6, Copy: 2 }, s4dKernel),
  system('s4d_layer', { batch: 2, time: 37, H: 5, M: 5, N: 4 }, {
    inputs: ['u: batch H time'],
    params: [
      'log_dt: H', 'log_A_real: H N', 'A_imag: H N', 'C: H N pair', 'D: H',
      'W_value = W: M@0 H #0', 'W_gate = W: M@5 H #0', 'bias_value = bias: M@0', 'bias_gate = bias: M@5',
    ],
    outputs: ['y: batch M time'],
  }),
  system('s5_zoh', { batch: 2, time: 37, H: 5, P: 6 }, {
    inputs: ['u: batch time H'], params: [...s5Params, 'C: H P pair'], outputs: ['y: batch time H'],
  }),
  system('s5_bidir', { batch: 2, time: 37, H: 5, P: 6 }, {
    inputs: ['u: batch time H'],
    params: [...s5Params, 'C_forward = C: H P@0 pair', 'C_reverse = C: H P@6 pair'],
    outputs: ['y: batch time H'],
  }),
  system('s5_reset', { batch: 3, time: 37, H: 5, P: 6 }, {
    inputs: ['u: batch time H', 'reset_flag = reset: batch time'],
    params: [...s5Params, 'C: H P pair'],
    initial: ['x = h0: batch P'],
    outputs: ['y: batch time H'],
    final: ['x = h_last: batch P'],
  }),
  system('lru', { batch: 2, time: 37, H: 5, N: 6 }, {
    inputs: ['u: batch time H'],
    params: ['nu_log: N', 'theta_log: N', 'gamma_log: N', 'B_re: N H', 'B_im: N H', 'C_re: H N', 'C_im: H N', 'D: H'],
    outputs: ['y: batch time H'],
  }),
  system('rglru', { batch: 3, time: 37, H: 3, P: 2, Q: 2 }, {
    inputs: ['x: batch time H*P', 'segment_position = segment_pos: batch time'],
    params: ['in_w: H P Q', 'a_w: H P Q', 'in_b: H P', 'a_b: H P', 'a_param: H*P'],
    initial: ['h = h0: batch H*P'],
    outputs: ['y: batch time H*P'],
    final: ['h = h_last: batch H*P'],
  }),
  system('hgrn', { batch: 2, time: 37, D: 6 }, {
    inputs: ['fraw: batch time D', 'iraw: batch time D'],
    params: ['lb: D'],
    initial: ['h = h0: batch D'],
    outputs: ['y: batch time D'],
    final: ['h = h_last: batch D'],
  }),
  system('mamba_scan', { batch: 2, time: 131, D: 5, N: 6 }, mambaScan),
  system('mamba_scan_h0', { batch: 2, time: 37, D: 5, N: 6 }, { ...mambaScan, initial: ['h = h0: batch D N'] }),
  system('mamba_scan_lti', { batch: 2, time: 37, D: 5, N: 6 }, {
    inputs: ['u: batch D time', 'delta: batch D time'],
    params: ['A: D N', 'B: D N', 'C: D N', 'skip = D: D'],
    outputs: ['y: batch D time'],
    final: ['h = h_last: batch D N'],
  }),
  system('mamba_block', { batch: 2, time: 37, M: 5, E: 6, N: 5, R: 2 }, {
    inputs: ['x: batch time M'],
    params: [
      'W_x = in_proj: E@0 M', 'W_z = in_proj: E@6 M',
      'conv_0 = conv_w: E #0 #0', 'conv_1 = conv_w: E #0 #1', 'conv_2 = conv_w: E #0 #2', 'conv_3 = conv_w: E #0 #3',
      'conv_b: E', 'W_low = x_proj: R@0 E', 'W_B = x_proj: N@2 E', 'W_C = x_proj: N@7 E',
      'dt_w: E R', 'dt_b: E', 'A_log: E N', 'skip = D: E', 'W_out = out_proj: M E',
    ],
    outputs: ['y: batch time M'],
  }),
  system('dss_softmax', { batch: 2, time: 37, H: 4, N: 6, Copy: 2 }, {
    inputs: ['u: batch H time'],
    params: [
      'lambda_re = Lambda: N #0', 'lambda_im = Lambda: N #1', 'log_dt_re = log_dt: H #0', 'log_dt_im = log_dt: H #1',
      'W: Copy H N pair', 'D: Copy H',
    ],
    outputs: ['y: batch Copy H time'],
  }),
];
