/**
 * Tensor IR: what is computed, as an SSA list of operations on named axes. There are no positional
 * dimensions: a type is a set of axis names, operands broadcast by name. `batch` and `time` are
 * axes like the others, always first. Differentiation happens here.
 *
 * Recurrences are operations (decisions 17): `affine-scan` holds a region, a small program that is
 * executed once per token. The region reads per-token operands, yields the transition and the drive
 * (producer), and from the state before and after the update the read-outs (consumer). Fusion is
 * moving instructions into regions; nothing of size state × time exists unless a region yields it.
 */

export type ValueId = number & { readonly brand: 'ValueId' };

export type TensorDtype = 'real' | 'complex' | 'flag' | 'index';

/** Axes in canonical order: batch, time, then the order of the module's axis table. */
export type TensorType = { readonly dtype: TensorDtype; readonly axes: readonly string[] };

/** A value's definition: identity, a stem for readers, its type. */
export type TensorValue = { readonly id: ValueId; readonly name: string; readonly type: TensorType };

export type TensorModule = {
  readonly name: string;
  /** declared axes with their sizes, in canonical order; batch and time are run-time and not listed */
  readonly axes: readonly { readonly name: string; readonly size: number }[];
  readonly functions: readonly TensorFunction[];
};

export type TensorFunction = {
  /** entry point: `forward`, `forwardSaved`, `backward`, `step` */
  readonly name: string;
  readonly instructions: readonly TensorInstruction[];
  readonly results: readonly FunctionResult[];
};

/** What leaves a function. Complex results are two parts of one tensor. */
export type FunctionResult = {
  readonly role: 'output' | 'final' | 'saved' | 'gradient';
  /** output name, state path, or the name of the primal tensor for gradients */
  readonly subject: string;
  readonly part: ComplexPart;
  readonly value: ValueId;
};

/** `whole` for real tensors and, before lower-complex, for complex ones. */
export type ComplexPart = 'whole' | 're' | 'im';

export type ArgumentRole = 'input' | 'param' | 'initial' | 'saved' | 'output-cotangent' | 'final-cotangent';

export type TensorInstruction = { readonly op: TensorOp; readonly results: readonly TensorValue[] };

export type UnaryFunction =
  | 'negate' | 'absolute' | 'sign' | 'exp' | 'exp2' | 'log' | 'square-root' | 'sine' | 'cosine' | 'tanh'
  | 'sigmoid' | 'softplus' | 'expm1' | 'log1p' | 'erf'
  /** (e^z − 1)/z, continuous at 0: the weight of a held input under ZOH */
  | 'phi1'
  /** (e^z − 1 − z)/z²; φ₁' = φ₁ − φ₂ */
  | 'phi2'
  /** flag or index to real */
  | 'to-real'
  | 'not';

export type BinaryFunction =
  | 'add' | 'subtract' | 'multiply' | 'divide' | 'maximum' | 'minimum'
  /** left^right for positive left, or a literal non-negative integer right */
  | 'power'
  | 'less' | 'less-equal' | 'equal' | 'not-equal' | 'and' | 'or';

export type TensorOp =
  /** a tensor given by the caller */
  | { readonly kind: 'argument'; readonly role: ArgumentRole; readonly subject: string; readonly part: ComplexPart }
  | { readonly kind: 'constant'; readonly value: number }
  /** number of tokens, as a real scalar */
  | { readonly kind: 'length' }
  /** 0, 1, 2, … along an axis (`time`: the position of the token) */
  | { readonly kind: 'iota'; readonly axis: string }
  | { readonly kind: 'unary'; readonly function: UnaryFunction; readonly operand: ValueId }
  | { readonly kind: 'binary'; readonly function: BinaryFunction; readonly left: ValueId; readonly right: ValueId }
  | { readonly kind: 'select'; readonly condition: ValueId; readonly whenTrue: ValueId; readonly whenFalse: ValueId }
  /** real pair to complex; gone after lower-complex */
  | { readonly kind: 'complex'; readonly re: ValueId; readonly im: ValueId }
  | { readonly kind: 'part'; readonly part: 're' | 'im'; readonly operand: ValueId }
  /** analytic function of a complex number given as a real pair; two results */
  | { readonly kind: 'analytic'; readonly function: 'exp' | 'phi1' | 'phi2'; readonly re: ValueId; readonly im: ValueId }
  /** the same numbers on more axes */
  | { readonly kind: 'broadcast'; readonly operand: ValueId; readonly axes: readonly string[] }
  /** the same numbers under another axis name of the same size */
  | { readonly kind: 'rename'; readonly operand: ValueId; readonly from: string; readonly to: string }
  | { readonly kind: 'reduce'; readonly function: 'sum' | 'maximum'; readonly over: readonly string[]; readonly operand: ValueId }
  /** Σ over `over` of left · right: a matrix product when each side has axes the other lacks */
  | { readonly kind: 'contract'; readonly left: ValueId; readonly right: ValueId; readonly over: readonly string[] }
  /** value `steps` tokens earlier (later if negative); before the first token from the tail, zero without one */
  | { readonly kind: 'delay'; readonly operand: ValueId; readonly steps: number; readonly tail: DelayTail | null }
  /**
   * Entry i along `to` is entry i − (steps + lengths · length) of the operand along `from`, zero where
   * there is none. Moves values between time and the tail of a delay; the transpose swaps the axes and
   * negates the shift.
   */
  | ({ readonly kind: 'slide'; readonly operand: ValueId } & Slide)
  /** value at the last token: drops time */
  | { readonly kind: 'last'; readonly operand: ValueId }
  /** adjoint of last: the operand at the last token, zero elsewhere */
  | { readonly kind: 'at-last'; readonly operand: ValueId }
  /** table[…, index, …] along `axis` */
  | { readonly kind: 'gather'; readonly table: ValueId; readonly axis: string; readonly index: ValueId }
  /** adjoint of gather: Σ of values into row `index` along `axis`, summed over `over`; deterministic */
  | { readonly kind: 'scatter-add'; readonly values: ValueId; readonly axis: string; readonly index: ValueId; readonly over: readonly string[] }
  | ConvolutionOp
  | AffineScanOp;

/**
 * What a time-invariant recurrence h ← a ⊙ h + b becomes when it is evaluated as a convolution. The
 * five operations are closed under differentiation: the adjoint of a response is a moment and the
 * other way round, that of a convolution is a convolution in the other order and a correlation.
 * Powers a^n of one base stand in all of them; nothing of size time × state is a value.
 */
export type ConvolutionOp =
  /**
   * Entry t is Σ over `over` of Re(w · a^(start + e)), e = t in `forward` order and L − 1 − t in
   * `reverse`; w has as many parts as a.
   */
  | {
      readonly kind: 'impulse-response';
      readonly base: PowerBase;
      readonly weight: readonly ValueId[];
      readonly over: readonly string[];
      readonly start: number;
      readonly order: 'forward' | 'reverse';
    }
  /** Σ over time of f(n) · signal_t with n = start + e as above; as many results as the base has parts */
  | {
      readonly kind: 'power-moment';
      readonly base: PowerBase;
      readonly signal: ValueId;
      readonly start: number;
      readonly order: 'forward' | 'reverse';
      readonly factor: PowerFactor;
    }
  /** f(n) for n = steps + lengths · L; as many results as the base has parts */
  | { readonly kind: 'power'; readonly base: PowerBase; readonly steps: number; readonly lengths: 0 | 1; readonly factor: PowerFactor }
  /** Σ over k ≥ 0 of response_k · signal_(t − k), of signal_(t + k) in `reverse` order; both are zero outside of the sequence */
  | { readonly kind: 'convolve'; readonly response: ValueId; readonly signal: ValueId; readonly order: 'forward' | 'reverse' }
  /** entry k along time is Σ over s and `over` of late_(s + k) · early_s: what a convolution hands to its response */
  | { readonly kind: 'correlate'; readonly late: ValueId; readonly early: ValueId; readonly over: readonly string[] };

/**
 * The number a that powers are taken of, over any axes but time. `exponential`: a = e^(step · (re + i im)),
 * so that a^n needs no product of n roundings; `value`: a = re + i im. im is null for a real one.
 */
export type PowerBase =
  | { readonly kind: 'exponential'; readonly step: ValueId | null; readonly re: ValueId; readonly im: ValueId | null }
  | { readonly kind: 'value'; readonly re: ValueId; readonly im: ValueId | null };

/** f(n): a^n, n·a^n (the derivative by log a), or n·a^(n−1) (the derivative by a, 0 at n = 0). */
export type PowerFactor = 'power' | 'count' | 'derivative';

/** Whether an operation is one of those that convolutions consist of. */
export function isConvolutionOp(op: TensorOp): op is ConvolutionOp {
  return op.kind === 'impulse-response' || op.kind === 'power-moment' || op.kind === 'power' || op.kind === 'convolve' || op.kind === 'correlate';
}

/** The values before the first token, oldest first along `axis`, which stands for time in them. */
export type DelayTail = { readonly value: ValueId; readonly axis: string };

/** A shift from one axis (`time` or a declared one) to another or the same. */
export type Slide = { readonly from: string; readonly to: string; readonly steps: number; readonly lengths: number };

/**
 * The transition of one token. `exponent`: a = 2^e with a real e, so that the decay of many tokens
 * is one exponential of a sum; `value`: a itself, one part if real, two (re, im) if complex.
 */
export type Coefficient =
  | { readonly kind: 'exponent'; readonly exponent: ValueId }
  | { readonly kind: 'value'; readonly parts: readonly ValueId[] };

/**
 * h ← a ⊙ h + b over the tokens in `order`, h of axes batch × `axes`.
 *
 * decay-then-add: current = a ⊙ previous + b, and current is carried on.
 * add-then-decay: current = previous + b, and a ⊙ current is carried on: the adjoint recurrence
 * λ_t = g_t + (carried), which hands conj(a_t) λ_t to token t−1 (zoo.md 3.3) without shifting a.
 *
 * The region is one list; what depends on `previous` or `current` is consumer, the rest producer.
 * `history` replays a forward recurrence beside a reverse one: at each token the region may read the
 * forward state before and after that token; the kernel recomputes it from checkpoints.
 * Results: the yields, then the final state's parts if `emitsFinal`, then the checkpoint parts.
 */
export type AffineScanOp = {
  readonly kind: 'affine-scan';
  /** path of the state in the layer */
  readonly state: string;
  readonly order: 'forward' | 'reverse';
  readonly form: 'decay-then-add' | 'add-then-decay';
  /** declared axes of the state, without batch */
  readonly axes: readonly string[];
  readonly operands: readonly ValueId[];
  /** the region's names for the operands, in the same order and of the same types */
  readonly parameters: readonly TensorValue[];
  readonly region: readonly TensorInstruction[];
  readonly coefficient: Coefficient;
  /** one part if real, two if complex */
  readonly drive: readonly ValueId[];
  /**
   * add-then-decay only: added to what is carried on, after the decay (a ⊙ current + release); the
   * cotangent of a read-out of the state before the update. Parts as `drive`, null for none.
   */
  readonly release: readonly ValueId[] | null;
  /** state before and after the update of this token, by part */
  readonly previous: readonly TensorValue[];
  readonly current: readonly TensorValue[];
  /** values (outside the region) of the state before the first visited token; null means zero */
  readonly initial: readonly ValueId[] | null;
  readonly history: ScanHistory | null;
  readonly yields: readonly ScanYield[];
  readonly emitsFinal: boolean;
  /** tokens per checkpoint to be emitted, or null for none */
  readonly checkpointInterval: number | null;
};

/** The forward recurrence that a reverse scan replays; its coefficient and drive stand in the same region. */
export type ScanHistory = {
  readonly order: 'forward' | 'reverse';
  readonly coefficient: Coefficient;
  readonly drive: readonly ValueId[];
  /** as the forward scan's `initial` */
  readonly initial: readonly ValueId[] | null;
  /** saved states before tokens 0, Q, 2Q, … in the visiting order, axes batch × checkpoint × state axes, by part */
  readonly checkpoints: readonly ValueId[];
  readonly interval: number;
  readonly previous: readonly TensorValue[];
  readonly current: readonly TensorValue[];
};

/** A per-token value that leaves the region, summed over the named axes (batch, time, or declared ones). */
export type ScanYield = { readonly value: ValueId; readonly sumOver: readonly string[] };

/** Name of the axis that checkpoints of interval q lie along: ceil(length / q) entries. */
export function checkpointAxis(interval: number): string {
  return `checkpoint${interval}`;
}

/** The interval of a checkpoint axis, or null for another axis. */
export function checkpointIntervalOf(axis: string): number | null {
  const match = /^checkpoint([0-9]+)$/.exec(axis);
  return match === null ? null : Number(match[1]);
}

/** True for operations applied element by element, which may move into regions and inner loops freely. */
export function isElementwise(op: TensorOp): boolean {
  switch (op.kind) {
    case 'constant':
    case 'length':
    case 'iota':
    case 'unary':
    case 'binary':
    case 'select':
    case 'analytic':
    case 'broadcast':
    case 'complex':
    case 'part':
      return true;
    case 'argument':
    case 'rename':
    case 'reduce':
    case 'contract':
    case 'delay':
    case 'slide':
    case 'last':
    case 'at-last':
    case 'gather':
    case 'scatter-add':
    case 'impulse-response':
    case 'power-moment':
    case 'power':
    case 'convolve':
    case 'correlate':
    case 'affine-scan':
      return false;
    default:
      return op satisfies never;
  }
}
