/**
 * The language's functions under the names that TypeScript gives them (`log_uniform` is `logUniform`):
 * each makes the call that a text would have there. Checking is left to where texts are checked too.
 */
import type { CallSyntax } from '../ast.ts';
import type { ExpressionMaker, Here } from './expressions.ts';
import type { Axes, Axis, Expression, IndexType, LayerSource, NamedOperands, Operand, StateClause } from './values.ts';

export type UnaryFunction = (value: Operand) => Expression;
export type BinaryFunction = (left: Operand, right: Operand) => Expression;
export type Reduction = (axes: Axes, value: Operand) => Expression;
export type Norm = (axes: Axes, value: Operand, options?: { readonly eps?: number }) => Expression;
export type Spectrum = (axis?: Axis) => Expression;
/** A discretization, for `discretize`. */
export type Rule = Expression & { readonly syntax: CallSyntax };
export type RuleOfStep = (step: Operand) => Rule;

const unaryFunctions = {
  exp: 'exp', log: 'log', sqrt: 'sqrt', sin: 'sin', cos: 'cos', tanh: 'tanh', abs: 'abs', sign: 'sign',
  sigmoid: 'sigmoid', softplus: 'softplus', silu: 'silu', relu: 'relu', gelu: 'gelu', expm1: 'expm1',
  log1p: 'log1p', logSigmoid: 'log_sigmoid', square: 'square', real: 'real', imag: 'imag', conj: 'conj',
  toReal: 'to_real', last: 'last', prev: 'prev', inverseSoftplus: 'inverse_softplus',
} as const;

const binaryFunctions = {
  max: 'max', min: 'min', complex: 'complex', uniform: 'uniform', logUniform: 'log_uniform',
  lruRing: 'lru_ring',
} as const;

const reductions = {
  sum: 'sum', mean: 'mean', maxOver: 'max', softmax: 'softmax', logSoftmax: 'log_softmax',
} as const;

const norms = {
  layerNorm: 'layer_norm', rmsNorm: 'rms_norm',
} as const;

/** Values along an axis that they name, or along the parameter's last one. */
const spectra = {
  s4dLin: 's4d_lin', s4dInv: 's4d_inv', s4dReal: 's4d_real', hippoLegs: 'hippo_legs',
  hippoLegsInput: 'hippo_legs_input', hippoLegt: 'hippo_legt', hippoLegtInput: 'hippo_legt_input',
  hippoFout: 'hippo_fout', hippoFoutInput: 'hippo_fout_input',
} as const;

const rules = {
  zoh: 'zoh', bilinear: 'bilinear', euler: 'euler', backwardEuler: 'backward_euler', dirac: 'dirac',
} as const;

const operators = {
  add: '+', subtract: '-', multiply: '*', divide: '/', power: '^', less: '<', atMost: '<=',
  greater: '>', atLeast: '>=', equal: '==', notEqual: '!=', and: 'and', or: 'or',
} as const;

type All<Names, Kind> = { readonly [name in keyof Names]: Kind };

/** Everything that can be called to make expressions, clauses and types. */
export type BuilderFunctions =
  & All<typeof unaryFunctions, UnaryFunction> & All<typeof binaryFunctions, BinaryFunction> & All<typeof reductions, Reduction>
  & All<typeof norms, Norm> & All<typeof spectra, Spectrum> & All<typeof rules, RuleOfStep> & All<typeof operators, BinaryFunction>
  & {
    readonly pi: Expression;
    /** tokens of the sequence */
    readonly length: Expression;
    /** 0 for the first token */
    readonly position: Expression;
    /** in place of an axis: `mean(time, v)` is per sequence */
    readonly time: Axis;
    negate(value: Operand): Expression;
    not(value: Operand): Expression;
    /** `if condition then a else b` */
    choose(condition: Operand, whenTrue: Operand, whenFalse: Operand): Expression;
    normal(options?: { readonly mean?: Operand; readonly std?: Operand }): Expression;
    /** 0, 1, 2, … along an axis */
    iota(axis: Axis): Expression;
    /** the value some tokens earlier; it stops where the flag `boundary` is up */
    delay(value: Operand, steps: Operand, options?: { readonly boundary?: Operand }): Expression;
    /** a row of a table along an axis */
    gather(axis: Axis, table: Operand, index: Operand): Expression;
    /** the same numbers under another axis of the same size */
    rename(value: Operand, from: Axis, to: Axis): Expression;
    /** a function or layer by its name in the language */
    call(name: string, axes: Axes, operands: readonly Operand[], named?: NamedOperands): Expression;
    /** a layer applied, its inputs and sizes by name; to be named by `define` at once */
    apply(layer: LayerSource, inputs: NamedOperands): Expression;
    /** type of an input that is an index below some number of values */
    index(values: Operand): IndexType;
    gbt(alpha: Operand, step: Operand): Rule;
    /** `dx/dt = value` */
    derivative(value: Operand): StateClause;
    /** `next x = value` */
    next(value: Operand): StateClause;
    discretize(rule: Rule, input?: 'euler' | 'dirac'): StateClause;
    order(name: string, ...options: readonly string[]): StateClause;
    resetWhen(condition: Operand): StateClause;
    restartInitialWhen(condition: Operand): StateClause;
    structure(name: string): StateClause;
  };

function mapped<Names extends Readonly<Record<string, string>>, Kind>(names: Names, make: (name: Names[keyof Names]) => Kind): All<Names, Kind> {
  return Object.fromEntries(Object.entries(names).map(([key, name]) => [key, make(name as Names[keyof Names])])) as All<Names, Kind>;
}

/** Options that were given, under their names in the language. */
function given(options: Readonly<Record<string, Operand | undefined>>): NamedOperands {
  return Object.fromEntries(Object.entries(options).filter((each): each is [string, Operand] => each[1] !== undefined));
}

/** The functions of the builder, whose results stand where `here` says. */
export function createFunctions(here: Here, maker: ExpressionMaker): BuilderFunctions {
  const { call, binary, unary, syntaxOf, nameOf, reference } = maker;
  return {
    ...mapped(unaryFunctions, (name): UnaryFunction => (value) => call(name, [], [value])),
    ...mapped(binaryFunctions, (name): BinaryFunction => (left, right) => call(name, [], [left, right])),
    ...mapped(reductions, (name): Reduction => (axes, value) => call(name, axes, [value])),
    ...mapped(norms, (name): Norm => (axes, value, options = {}) => call(name, axes, [value], given(options))),
    ...mapped(spectra, (name): Spectrum => (axis) => call(name, axis === undefined ? [] : axis, [])),
    ...mapped(rules, (name): RuleOfStep => (step) => call(name, [], [step])),
    ...mapped(operators, (operator): BinaryFunction => (left, right) => binary(operator, left, right)),
    pi: reference('pi'), length: reference('length'), position: reference('position'), time: maker.axis('time'),
    negate: (value) => unary('-', value),
    not: (value) => unary('not', value),
    choose: (condition, whenTrue, whenFalse) => maker.wrap({
      kind: 'conditional', condition: syntaxOf(condition), whenTrue: syntaxOf(whenTrue), whenFalse: syntaxOf(whenFalse), span: here(),
    }),
    normal: (options = {}) => call('normal', [], [], given(options)),
    iota: (axis) => call('iota', [], [axis]),
    delay: (value, steps, options = {}) => call('delay', [], [value, steps], given(options)),
    gather: (axis, table, index) => call('gather', axis, [table, index]),
    rename: (value, from, to) => call('rename', [], [value, from, to]),
    call,
    apply: (layer, inputs) => call(layer.name, [], [], inputs),
    index: (values) => ({ type: { name: nameOf('index'), argument: syntaxOf(values), span: here() } }),
    gbt: (alpha, step) => call('gbt', [], [alpha, step]),
    derivative: (value) => ({ kind: 'derivative', value: syntaxOf(value), span: here() }),
    next: (value) => ({ kind: 'next', value: syntaxOf(value), span: here() }),
    discretize: ({ syntax: rule }, input) => ({ kind: 'discretize', rule, inputRule: input === undefined ? null : nameOf(input), span: here() }),
    order: (name, ...options) => ({ kind: 'order', order: nameOf(name), options: options.map(nameOf), span: here() }),
    resetWhen: (condition) => ({ kind: 'reset', action: 'reset', condition: syntaxOf(condition), span: here() }),
    restartInitialWhen: (condition) => ({ kind: 'reset', action: 'restart', condition: syntaxOf(condition), span: here() }),
    structure: (name) => ({ kind: 'structure', structure: nameOf(name), span: here() }),
  };
}
