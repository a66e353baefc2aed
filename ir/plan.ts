/**
 * A plan: what one entry point (forward, backward, step, …) executes. Tensors with their roles and
 * sizes, and kernels in launch order; each kernel names the plan's tensors as its buffers. Back ends
 * turn a plan into an artifact, the runtime needs only the plan's tables (decisions 15, 16).
 */
import type { SizeExpression } from '../support/size.ts';
import type { Kernel, StorageType } from './kernel/nodes.ts';

export type EntryName = 'forward' | 'forwardSaved' | 'backward' | 'backwardFinal' | 'step';

export type TensorRole =
  | 'input' | 'param' | 'initial'
  | 'output' | 'final'
  /** written by forwardSaved, read by backward */
  | 'saved'
  /** dL/d output and dL/d final state, given to backward */
  | 'output-cotangent' | 'final-cotangent'
  /** dL/d input, param or initial state, by the name of the primal tensor */
  | 'gradient'
  | 'scratch';

export type PlanTensor = {
  /** unique in the plan, e.g. `u`, `grad.u`, `x.initial`, `scratch.3` */
  readonly name: string;
  readonly role: TensorRole;
  /** the layer's own name of it: input, parameter, output or state path; null for scratch */
  readonly subject: string | null;
  readonly storage: StorageType;
  /** `batch`, `time`, declared axes, in memory order (last is contiguous); a complex tensor ends with `complex` of size 2 */
  readonly axes: readonly string[];
  readonly dims: readonly SizeExpression[];
};

export type Plan = {
  readonly entry: EntryName;
  readonly tensors: readonly PlanTensor[];
  /** in launch order; a kernel may read what earlier ones wrote */
  readonly kernels: readonly Kernel[];
};
