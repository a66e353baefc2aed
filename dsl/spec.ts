/**
 * LayerSpec: the typed, checked description of one layer, and the only thing `ir` reads of the
 * language. Applications are inlined, names are resolved, every expression knows its axes, its type
 * and with what it varies. Plain data (JSON), no syntax.
 *
 * Axes are names (`D`, `N`; inlined layers prefix theirs: `block.N`). Batch and time are implicit:
 * `variance` says whether a value varies with them.
 */
import type { Span } from '../support/source.ts';

export type SpecType = 'real' | 'complex' | 'flag' | 'index';

export type Variance = { readonly batch: boolean; readonly time: boolean };

export type AxisSpec = { readonly name: string; readonly size: number };

export type LayerSpec = {
  readonly name: string;
  readonly axes: readonly AxisSpec[];
  readonly inputs: readonly InputSpec[];
  readonly params: readonly ParamSpec[];
  /** in an order in which each item refers to earlier ones only */
  readonly body: readonly BodySpec[];
  readonly outputs: readonly OutputSpec[];
  /** what delays carry from one piece of a sequence to the next; part of the state record */
  readonly tails: readonly TailSpec[];
};

/**
 * The last `count` values of what is delayed, per sequence, oldest first: where delays look before the
 * first token of a piece. `count` is the largest delay of that value.
 */
export type TailSpec = {
  /** path in the state record: `u.tail`, `block.h.tail`; also the name of the axis of size `count` */
  readonly name: string;
  readonly count: number;
  /** axes of the value, without batch and the tail's own axis, which stands before them */
  readonly axes: readonly string[];
  readonly type: 'real' | 'complex';
};

export type InputSpec = {
  /** path: `u`; never prefixed, since inlined inputs are replaced by their argument */
  readonly name: string;
  readonly axes: readonly string[];
  readonly type: SpecType;
  /** number of values of an `index` input, else null */
  readonly values: number | null;
  readonly variance: Variance;
  readonly span: Span;
};

export type ParamSpec = {
  /** path: `A_log`, `block.ssm.A_log` */
  readonly name: string;
  readonly axes: readonly string[];
  readonly type: SpecType;
  readonly initial: InitialSpec | null;
  readonly span: Span;
};

/**
 * Initialisers are expressions over numbers, `iota`, library calls and other parameters; they are
 * evaluated in float64 at build time by `ir/initial`, not lowered to kernels. They keep their call
 * names (`log_uniform`, `normal`, `hippo_legs`, …) and named arguments. Operators are calls too: `add`,
 * `subtract`, `multiply`, `divide`, `power`, `negate`; `iota(N)` is the call `iota` with axes [N] and no
 * arguments. The value is broadcast to the parameter's axes; `normal`, `uniform` and `log_uniform` draw
 * one number per entry of the parameter.
 */
export type InitialSpec =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'param'; readonly name: string }
  | { readonly kind: 'size'; readonly axis: string }
  | {
      readonly kind: 'call';
      readonly name: string;
      readonly axes: readonly string[];
      readonly arguments: readonly { readonly name: string | null; readonly value: InitialSpec }[];
      readonly span: Span;
    };

export type BodySpec = LetSpec | StateSpec;

export type LetSpec = {
  readonly kind: 'let';
  readonly name: string;
  readonly value: SpecExpression;
  readonly span: Span;
};

/**
 * h' = a ⊙ h + b over the declared axes: the affine form was read off the right-hand side.
 * derivative: dx/dt = coefficient·x + drive with a discretization; next: already discrete.
 */
export type StateSpec = {
  readonly kind: 'state';
  /** path: `x`, `block.ssm.x` */
  readonly name: string;
  readonly axes: readonly string[];
  readonly type: 'real' | 'complex';
  readonly structure: 'elementwise';
  readonly coefficient: SpecExpression;
  readonly drive: SpecExpression;
  readonly discretization: DiscretizationSpec;
  readonly order: 'forward' | 'reverse';
  readonly reset: { readonly action: 'reset' | 'restart'; readonly condition: SpecExpression } | null;
  readonly span: Span;
};

export type DiscretizationSpec =
  | { readonly rule: 'none' }
  | {
      readonly rule: 'zoh' | 'bilinear' | 'euler' | 'backward_euler' | 'gbt' | 'dirac';
      /** gbt(alpha, dt); 0.5, 0, 1 for bilinear, euler, backward_euler; null for the others */
      readonly alpha: number | null;
      readonly delta: SpecExpression;
      /** how the drive enters: as the rule says, Δ·f (`input euler`), or f itself (`input dirac`) */
      readonly input: 'rule' | 'euler' | 'dirac';
    };

export type OutputSpec = {
  readonly name: string;
  readonly value: SpecExpression;
  /** the declared order of the axes */
  readonly axes: readonly string[];
  readonly span: Span;
};

/** Functions of one or two operands applied element by element. */
export type ElementwiseFunction =
  | 'exp' | 'log' | 'sqrt' | 'sin' | 'cos' | 'tanh' | 'abs' | 'sign'
  | 'sigmoid' | 'softplus' | 'silu' | 'relu' | 'gelu' | 'expm1' | 'log1p' | 'log_sigmoid' | 'square'
  | 'max' | 'min'
  | 'complex' | 'real' | 'imag' | 'conj'
  | 'to_real';

/** The elementwise functions and their number of operands. `gelu` is the exact (erf) form. */
export const elementwiseFunctions: Readonly<Record<ElementwiseFunction, number>> = {
  exp: 1, log: 1, sqrt: 1, sin: 1, cos: 1, tanh: 1, abs: 1, sign: 1,
  sigmoid: 1, softplus: 1, silu: 1, relu: 1, gelu: 1, expm1: 1, log1p: 1, log_sigmoid: 1, square: 1,
  max: 2, min: 2, complex: 2, real: 1, imag: 1, conj: 1, to_real: 1,
};

export type SpecBinaryOperator =
  | 'add' | 'subtract' | 'multiply' | 'divide' | 'power'
  | 'less' | 'less-equal' | 'equal' | 'not-equal' | 'and' | 'or';

type ExpressionFacts = {
  /** named axes, without batch and time, in order of first appearance */
  readonly axes: readonly string[];
  readonly type: SpecType;
  readonly variance: Variance;
  readonly span: Span;
};

export type SpecExpression = ExpressionFacts &
  (
    | { readonly kind: 'number'; readonly value: number }
    /** `length` (tokens of the sequence), `position` (index of the token from 0) */
    | { readonly kind: 'time-scalar'; readonly scalar: 'length' | 'position' }
    /** 0, 1, 2, … along one axis */
    | { readonly kind: 'iota'; readonly axis: string }
    /** `state` is the value after the update, `previous` before it */
    | { readonly kind: 'reference'; readonly target: 'input' | 'param' | 'let' | 'state' | 'previous'; readonly name: string }
    | { readonly kind: 'negate' | 'not'; readonly operand: SpecExpression }
    | { readonly kind: 'binary'; readonly operator: SpecBinaryOperator; readonly left: SpecExpression; readonly right: SpecExpression }
    | { readonly kind: 'elementwise'; readonly function: ElementwiseFunction; readonly operands: readonly SpecExpression[] }
    | { readonly kind: 'select'; readonly condition: SpecExpression; readonly whenTrue: SpecExpression; readonly whenFalse: SpecExpression }
    /** over named axes; `time` and `last` have their own kinds */
    | { readonly kind: 'reduce'; readonly operator: 'sum' | 'mean' | 'max'; readonly over: readonly string[]; readonly operand: SpecExpression }
    /** over the sequence: the result is per sequence */
    | { readonly kind: 'reduce-time'; readonly operator: 'sum' | 'mean' | 'last'; readonly operand: SpecExpression }
    /**
     * The value `steps` tokens earlier; before the first token of a piece it is read from the tail of
     * that name, zeros at the start of a sequence. Delays with one tail have one operand.
     */
    | {
        readonly kind: 'delay';
        readonly operand: SpecExpression;
        readonly steps: number;
        readonly name: string;
        readonly tail: string;
      }
    /** row of a table: table[index, …] along `axis` */
    | { readonly kind: 'gather'; readonly table: SpecExpression; readonly axis: string; readonly index: SpecExpression }
    /** the same numbers under another axis name of the same size */
    | { readonly kind: 'rename'; readonly operand: SpecExpression; readonly from: string; readonly to: string }
  );
