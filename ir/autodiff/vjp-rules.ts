/**
 * Reverse-mode rules: for each operation the cotangents of its operands from those of its results.
 * Used on functions and inside regions alike; affine scans have their own file (transpose-scan.ts).
 * Cotangents arrive with exactly the axes of the value; what a rule returns may have more (they are
 * summed) or fewer axes (they are broadcast) than the operand.
 */
import { required } from '../../support/invariant.ts';
import { pullBackConvolution } from './convolution-rules.ts';
import type { TensorBuilder } from '../tensor/builder.ts';
import { isConvolutionOp } from '../tensor/ops.ts';
import type { AffineScanOp, BinaryFunction, TensorInstruction, TensorOp, TensorType, UnaryFunction, ValueId } from '../tensor/ops.ts';

export type VjpContext = {
  readonly builder: TensorBuilder;
  /** the value, in the builder's list, of a primal value */
  readonly primal: (id: ValueId) => ValueId;
  readonly typeOf: (id: ValueId) => TensorType;
};

export type Contribution = { readonly operand: ValueId; readonly cotangent: ValueId };

type Differentiable = Exclude<TensorOp, AffineScanOp>;

/** Contributions to the operands' cotangents; `cotangents` by result, null where nothing arrived. */
export function pullBack(
  context: VjpContext,
  op: Differentiable,
  instruction: TensorInstruction,
  cotangents: readonly (ValueId | null)[],
): readonly Contribution[] {
  const { builder } = context;
  const first = cotangents[0] ?? null;
  if (op.kind === 'analytic') return pullBackAnalytic(context, op, instruction, cotangents);
  if (isConvolutionOp(op)) return pullBackConvolution(context, op, cotangents);
  if (first === null) return [];
  const result = required(instruction.results[0], 'result').id;
  switch (op.kind) {
    case 'argument':
    case 'constant':
    case 'length':
    case 'iota':
      return [];
    case 'unary': {
      const cotangent = unaryRules[op.function](context, op.operand, result, first);
      return cotangent === null ? [] : [{ operand: op.operand, cotangent }];
    }
    case 'binary':
      return binaryRules[op.function](context, op, result, first);
    case 'select': {
      const condition = context.primal(op.condition);
      const zero = builder.constant(0);
      return [
        { operand: op.whenTrue, cotangent: builder.select(condition, first, zero) },
        { operand: op.whenFalse, cotangent: builder.select(condition, zero, first) },
      ];
    }
    case 'broadcast':
      return [{ operand: op.operand, cotangent: first }];
    case 'rename':
      return [{ operand: op.operand, cotangent: builder.renameAxis(first, op.to, op.from) }];
    case 'reduce': {
      if (op.function === 'sum') return [{ operand: op.operand, cotangent: first }];
      const isMaximum = builder.binary('equal', context.primal(op.operand), context.primal(result));
      return [{ operand: op.operand, cotangent: builder.select(isMaximum, first, builder.constant(0)) }];
    }
    case 'contract':
      return pullBackContract(context, op, first);
    case 'delay':
      return pullBackDelay(context, op, first);
    case 'slide':
      return [{ operand: op.operand, cotangent: builder.slide(first, { from: op.to, to: op.from, steps: -op.steps, lengths: -op.lengths }) }];
    case 'last':
      return [{ operand: op.operand, cotangent: builder.atLast(first) }];
    case 'at-last':
      return [{ operand: op.operand, cotangent: builder.last(first) }];
    case 'gather': {
      const table = context.typeOf(op.table).axes;
      const over = builder.typeOf(first).axes.filter((axis) => !table.includes(axis));
      return [{ operand: op.table, cotangent: builder.scatterAdd(first, op.axis, context.primal(op.index), over) }];
    }
    case 'scatter-add':
      return [{ operand: op.values, cotangent: builder.gather(first, op.axis, context.primal(op.index)) }];
    case 'complex':
    case 'part':
      throw new Error('differentiation comes after lower-complex');
    default:
      return op satisfies never;
  }
}

/** The operand's cotangent is later by the delay; that of the tail is what its slots gave to the first tokens. */
function pullBackDelay({ builder }: VjpContext, op: Extract<TensorOp, { kind: 'delay' }>, cotangent: ValueId): readonly Contribution[] {
  const { operand, steps, tail } = op;
  const toOperand = { operand, cotangent: builder.delay(cotangent, -steps) };
  if (tail === null) return [toOperand];
  const size = required(builder.axes.find((each) => each.name === tail.axis), tail.axis).size;
  const toTail = builder.slide(cotangent, { from: 'time', to: tail.axis, steps: size - steps, lengths: 0 });
  return [toOperand, { operand: tail.value, cotangent: toTail }];
}

/** dA = Σ ct·B over what A lacks; the other side alike. */
function pullBackContract(context: VjpContext, op: Extract<TensorOp, { kind: 'contract' }>, cotangent: ValueId): readonly Contribution[] {
  const { builder } = context;
  const side = (target: ValueId, other: ValueId): Contribution => {
    const own = context.typeOf(target).axes;
    const all = new Set([...builder.typeOf(cotangent).axes, ...context.typeOf(other).axes]);
    const over = [...all].filter((axis) => !own.includes(axis));
    return { operand: target, cotangent: builder.contract(cotangent, context.primal(other), over) };
  };
  return [side(op.left, op.right), side(op.right, op.left)];
}

/** For analytic f the cotangent of z is conj(f′(z))·ct, as pairs. */
function pullBackAnalytic(
  context: VjpContext,
  op: Extract<TensorOp, { kind: 'analytic' }>,
  instruction: TensorInstruction,
  cotangents: readonly (ValueId | null)[],
): readonly Contribution[] {
  const { builder } = context;
  const re = cotangents[0] ?? null;
  const im = cotangents[1] ?? null;
  if (re === null && im === null) return [];
  const [ctRe, ctIm] = [re ?? builder.constant(0), im ?? builder.constant(0)];
  const [fRe, fIm] = derivativeOfAnalytic(context, op, instruction);
  const dRe = builder.add(builder.multiply(fRe, ctRe), builder.multiply(fIm, ctIm));
  const dIm = builder.subtract(builder.multiply(fRe, ctIm), builder.multiply(fIm, ctRe));
  return [{ operand: op.re, cotangent: dRe }, { operand: op.im, cotangent: dIm }];
}

/** exp′ = exp; φ₁′ = φ₁ − φ₂, which does not cancel near 0. */
function derivativeOfAnalytic(context: VjpContext, op: Extract<TensorOp, { kind: 'analytic' }>, instruction: TensorInstruction): readonly [ValueId, ValueId] {
  const { builder } = context;
  const [re, im] = instruction.results.map((value) => context.primal(value.id));
  const value: readonly [ValueId, ValueId] = [required(re, 're'), required(im, 'im')];
  if (op.function === 'exp') return value;
  if (op.function === 'phi2') throw new Error('second derivatives of the zero-order hold are not supported');
  const [secondRe, secondIm] = builder.analytic('phi2', context.primal(op.re), context.primal(op.im));
  return [builder.subtract(value[0], secondRe), builder.subtract(value[1], secondIm)];
}

type UnaryRule = (context: VjpContext, operand: ValueId, result: ValueId, cotangent: ValueId) => ValueId | null;

/** A rule ct · f′(x) with f′ built from x and y = f(x). */
function scaled(derivative: (builder: TensorBuilder, x: ValueId, y: ValueId) => ValueId): UnaryRule {
  return (context, operand, result, cotangent) => {
    const { builder, primal } = context;
    return builder.multiply(cotangent, derivative(builder, primal(operand), primal(result)));
  };
}

const noGradient: UnaryRule = () => null;

const unaryRules: Readonly<Record<UnaryFunction, UnaryRule>> = {
  negate: ({ builder }, _operand, _result, cotangent) => builder.unary('negate', cotangent),
  absolute: scaled((builder, x) => builder.unary('sign', x)),
  sign: noGradient,
  exp: scaled((_builder, _x, y) => y),
  exp2: scaled((builder, _x, y) => builder.multiply(builder.constant(Math.LN2), y)),
  log: ({ builder, primal }, operand, _result, cotangent) => builder.divide(cotangent, primal(operand)),
  'square-root': ({ builder, primal }, _operand, result, cotangent) =>
    builder.divide(builder.multiply(builder.constant(0.5), cotangent), primal(result)),
  sine: scaled((builder, x) => builder.unary('cosine', x)),
  cosine: scaled((builder, x) => builder.unary('negate', builder.unary('sine', x))),
  tanh: scaled((builder, _x, y) => builder.subtract(builder.constant(1), builder.multiply(y, y))),
  sigmoid: scaled((builder, _x, y) => builder.multiply(y, builder.subtract(builder.constant(1), y))),
  softplus: scaled((builder, x) => builder.unary('sigmoid', x)),
  expm1: scaled((builder, _x, y) => builder.add(y, builder.constant(1))),
  log1p: ({ builder, primal }, operand, _result, cotangent) => builder.divide(cotangent, builder.add(builder.constant(1), primal(operand))),
  erf: scaled((builder, x) => builder.multiply(builder.constant(2 / Math.sqrt(Math.PI)), builder.unary('exp', builder.unary('negate', builder.multiply(x, x))))),
  phi1: scaled((builder, x, y) => builder.subtract(y, builder.unary('phi2', x))),
  phi2: () => { throw new Error('second derivatives of the zero-order hold are not supported'); },
  'to-real': noGradient,
  not: noGradient,
};

type BinaryOperation = Extract<TensorOp, { kind: 'binary' }>;
type BinaryRule = (context: VjpContext, op: BinaryOperation, result: ValueId, cotangent: ValueId) => readonly Contribution[];

const noContribution: BinaryRule = () => [];

/** The chosen side takes the cotangent; at a tie the right one, so that relu'(0) = 0. */
function extremum(isLeft: (builder: TensorBuilder, left: ValueId, right: ValueId) => ValueId): BinaryRule {
  return ({ builder, primal }, op, _result, cotangent) => {
    const chosen = isLeft(builder, primal(op.left), primal(op.right));
    const zero = builder.constant(0);
    return [
      { operand: op.left, cotangent: builder.select(chosen, cotangent, zero) },
      { operand: op.right, cotangent: builder.select(chosen, zero, cotangent) },
    ];
  };
}

const binaryRules: Readonly<Record<BinaryFunction, BinaryRule>> = {
  add: (_context, op, _result, cotangent) => [{ operand: op.left, cotangent }, { operand: op.right, cotangent }],
  subtract: ({ builder }, op, _result, cotangent) => [
    { operand: op.left, cotangent },
    { operand: op.right, cotangent: builder.unary('negate', cotangent) },
  ],
  multiply: ({ builder, primal }, op, _result, cotangent) => [
    { operand: op.left, cotangent: builder.multiply(cotangent, primal(op.right)) },
    { operand: op.right, cotangent: builder.multiply(cotangent, primal(op.left)) },
  ],
  divide: ({ builder, primal }, op, result, cotangent) => {
    const scaledDown = builder.divide(cotangent, primal(op.right));
    return [
      { operand: op.left, cotangent: scaledDown },
      { operand: op.right, cotangent: builder.unary('negate', builder.multiply(scaledDown, primal(result))) },
    ];
  },
  maximum: extremum((builder, left, right) => builder.binary('less', right, left)),
  minimum: extremum((builder, left, right) => builder.binary('less', left, right)),
  power: ({ builder, primal }, op, result, cotangent) => {
    const [left, right] = [primal(op.left), primal(op.right)];
    const exponent = builder.constantOf(right);
    const lower = exponent === null ? builder.subtract(right, builder.constant(1)) : builder.constant(exponent - 1);
    const slope = builder.multiply(right, builder.binary('power', left, lower));
    const toLeft = { operand: op.left, cotangent: builder.multiply(cotangent, slope) };
    if (exponent !== null) return [toLeft];
    const toRight = builder.multiply(cotangent, builder.multiply(primal(result), builder.unary('log', left)));
    return [toLeft, { operand: op.right, cotangent: toRight }];
  },
  less: noContribution,
  'less-equal': noContribution,
  equal: noContribution,
  'not-equal': noContribution,
  and: noContribution,
  or: noContribution,
};
