/**
 * LayerSpec → Tensor IR: one function `forward` in which every state is an affine-scan whose region
 * is still trivial (it reads the discrete transition and drive as operands and yields the state).
 * Before: a checked spec. After: verified Tensor IR, complex values allowed; fuse-scan then moves
 * producers and consumers into the regions, so that no state × time tensor survives.
 */
import { invariant, required } from '../../support/invariant.ts';
import type { DiscretizationSpec, ElementwiseFunction, LayerSpec, SpecBinaryOperator, SpecExpression, StateSpec, TailSpec, Variance } from '../../dsl/spec.ts';
import { discretize, type DiscreteSystem } from '../discretization/discretization.ts';
import { TensorBuilder, unionAxes, type ValueIds } from '../tensor/builder.ts';
import type { AffineScanOp, BinaryFunction, Coefficient, FunctionResult, TensorModule, TensorType, TensorValue, UnaryFunction, ValueId } from '../tensor/ops.ts';

/** Module of one function, `forward`: outputs and final states. `ids` numbers the module's values. */
export function lowerSpec(spec: LayerSpec, ids: ValueIds): TensorModule {
  return new SpecLowering(spec, ids).run();
}

const unaryFunctions: Partial<Record<ElementwiseFunction, UnaryFunction>> = {
  exp: 'exp', log: 'log', sqrt: 'square-root', sin: 'sine', cos: 'cosine', tanh: 'tanh', abs: 'absolute', sign: 'sign',
  sigmoid: 'sigmoid', softplus: 'softplus', expm1: 'expm1', log1p: 'log1p', to_real: 'to-real',
};

const binaryFunctions: Readonly<Record<SpecBinaryOperator, BinaryFunction>> = {
  add: 'add', subtract: 'subtract', multiply: 'multiply', divide: 'divide', power: 'power',
  less: 'less', 'less-equal': 'less-equal', equal: 'equal', 'not-equal': 'not-equal', and: 'and', or: 'or',
};

class SpecLowering {
  readonly #spec: LayerSpec;
  readonly #builder: TensorBuilder;
  readonly #inputs = new Map<string, ValueId>();
  readonly #params = new Map<string, ValueId>();
  readonly #lets = new Map<string, ValueId>();
  /** what each tail is of, known from its first delay on */
  readonly #delayed = new Map<string, ValueId>();
  readonly #carried = new Map<string, ValueId>();
  readonly #states = new Map<string, { current: ValueId; previous: ValueId }>();
  readonly #results: FunctionResult[] = [];

  constructor(spec: LayerSpec, ids: ValueIds) {
    this.#spec = spec;
    // tails first: `u.tail` is an axis too, and stands before the axes of the value
    const tails = spec.tails.map(({ name, count }) => ({ name, size: count }));
    this.#builder = new TensorBuilder([...tails, ...spec.axes], ids);
  }

  run(): TensorModule {
    const builder = this.#builder;
    for (const input of this.#spec.inputs) {
      const type: TensorType = { dtype: input.type, axes: this.#axes(input.axes, input.variance) };
      this.#inputs.set(input.name, builder.argument({ role: 'input', subject: input.name, type }));
    }
    for (const param of this.#spec.params) {
      const type: TensorType = { dtype: param.type, axes: this.#axes(param.axes, { batch: false, time: false }) };
      this.#params.set(param.name, builder.argument({ role: 'param', subject: param.name, type }));
    }
    for (const tail of this.#spec.tails) {
      const type: TensorType = { dtype: tail.type, axes: unionAxes(builder.axes, ['batch', tail.name], tail.axes) };
      this.#carried.set(tail.name, builder.argument({ role: 'initial', subject: tail.name, type }));
    }
    for (const item of this.#spec.body) {
      if (item.kind === 'let') this.#lets.set(item.name, builder.rename(this.expression(item.value), stem(item.name)));
      else this.#state(item);
    }
    for (const output of this.#spec.outputs) {
      const axes = this.#axes(output.axes, output.value.variance);
      const value = builder.broadcast(this.expression(output.value), axes);
      this.#results.push({ role: 'output', subject: output.name, part: 'whole', value: builder.rename(value, stem(output.name)) });
    }
    for (const tail of this.#spec.tails) this.#finalTail(tail);
    const outputsFirst = [...this.#results].sort((left, right) => Number(left.role === 'final') - Number(right.role === 'final'));
    const forward = { name: 'forward', instructions: builder.instructions, results: outputsFirst };
    return { name: this.#spec.name, axes: builder.axes, functions: [forward] };
  }

  #axes(axes: readonly string[], variance: Variance): readonly string[] {
    const implicit = [...(variance.batch ? ['batch'] : []), ...(variance.time ? ['time'] : [])];
    return unionAxes(this.#builder.axes, implicit, axes);
  }

  /** Tokens k … L − 1 from the piece itself, the first k from the end of the tail. */
  #delay(expression: Extract<SpecExpression, { kind: 'delay' }>): ValueId {
    const { operand, steps, tail } = expression;
    const value = this.#delayed.get(tail) ?? this.#delayedValue(operand);
    this.#delayed.set(tail, value);
    return this.#builder.delay(value, steps, { value: required(this.#carried.get(tail), tail), axis: tail });
  }

  /** A delayed value as its tail has it: with batch and time, complex where it is declared so. */
  #delayedValue(operand: SpecExpression): ValueId {
    const builder = this.#builder;
    const lowered = this.expression(operand);
    const isReal = builder.typeOf(lowered).dtype !== 'complex';
    const typed = operand.type === 'complex' && isReal ? builder.complex(lowered, builder.constant(0)) : lowered;
    return builder.broadcast(typed, this.#axes(operand.axes, { batch: true, time: true }));
  }

  /** The last `count` values: from this piece, and from the old tail where the piece is shorter. */
  #finalTail(tail: TailSpec): void {
    const builder = this.#builder;
    const value = required(this.#delayed.get(tail.name), `value of ${tail.name}`);
    const carried = required(this.#carried.get(tail.name), tail.name);
    const made = builder.slide(value, { from: 'time', to: tail.name, steps: tail.count, lengths: -1 });
    const kept = builder.slide(carried, { from: tail.name, to: tail.name, steps: 0, lengths: -1 });
    const final = builder.rename(builder.add(made, kept), stem(tail.name));
    this.#results.push({ role: 'final', subject: tail.name, part: 'whole', value: final });
  }

  #state(state: StateSpec): void {
    const builder = this.#builder;
    const dtype = state.type;
    const initialType: TensorType = { dtype, axes: this.#axes(state.axes, { batch: true, time: false }) };
    const initial = builder.argument({ role: 'initial', subject: state.name, type: initialType });
    const condition = state.reset === null ? null : this.expression(state.reset.condition);
    const discrete = this.#reset(state, condition, initial, this.#discrete(state));
    const { op, region } = trivialScan(builder, state, discrete, initial);
    const results = builder.scan(op, region);
    const [current, previous] = results.yields;
    invariant(current !== undefined && previous !== undefined && results.finals[0] !== undefined, 'scan results');
    this.#states.set(state.name, { current, previous: this.#startOf(state, condition, initial, previous) });
    this.#results.push({ role: 'final', subject: state.name, part: 'whole', value: results.finals[0] });
  }

  #discrete(state: StateSpec): DiscreteSystem {
    const builder = this.#builder;
    const rule: DiscretizationSpec = state.discretization;
    const coefficient = this.expression(state.coefficient);
    const drive = this.expression(state.drive);
    if (rule.rule === 'none') {
      return { coefficient: discreteCoefficient(builder, coefficient), drive: builder.rename(drive, 'drive') };
    }
    const made = discretize(builder, rule, { coefficient, drive, delta: this.expression(rule.delta) });
    return { ...made, drive: builder.rename(made.drive, 'drive') };
  }

  /** reset when p: ā ← 0 at p; restart initial when p: b̄ ← b̄ + ā ⊙ h₀ besides (decisions 6). */
  #reset(state: StateSpec, condition: ValueId | null, initial: ValueId, system: DiscreteSystem): DiscreteSystem {
    if (state.reset === null || condition === null) return system;
    const builder = this.#builder;
    const { coefficient } = system;
    const decay = coefficient.kind === 'exponent' ? builder.unary('exp2', coefficient.exponent) : required(coefficient.parts[0], 'decay');
    const masked: Coefficient = { kind: 'value', parts: [builder.select(condition, builder.constant(0), decay)] };
    if (state.reset.action === 'reset') return { coefficient: masked, drive: system.drive };
    const restarted = builder.add(system.drive, builder.multiply(decay, initial));
    return { coefficient: masked, drive: builder.select(condition, restarted, system.drive) };
  }

  /** What a token starts from, `prev(x)`: at a reset nothing, at a restart the initial state. */
  #startOf({ reset, type }: StateSpec, condition: ValueId | null, initial: ValueId, previous: ValueId): ValueId {
    if (reset === null || condition === null) return previous;
    const builder = this.#builder;
    if (reset.action === 'restart') return builder.select(condition, initial, previous);
    const zero = builder.constant(0);
    return builder.select(condition, type === 'complex' ? builder.complex(zero, zero) : zero, previous);
  }

  expression(expression: SpecExpression): ValueId {
    const builder = this.#builder;
    switch (expression.kind) {
      case 'number':
        return builder.constant(expression.value);
      case 'time-scalar':
        return expression.scalar === 'length' ? builder.length() : builder.iota('time');
      case 'iota':
        return builder.iota(expression.axis);
      case 'reference':
        return this.#reference(expression.target, expression.name);
      case 'negate':
        return builder.unary('negate', this.expression(expression.operand));
      case 'not':
        return builder.unary('not', this.expression(expression.operand));
      case 'binary':
        return builder.binary(binaryFunctions[expression.operator], this.expression(expression.left), this.expression(expression.right));
      case 'elementwise':
        return this.#elementwise(expression.function, expression.operands.map((each) => this.expression(each)));
      case 'select':
        return builder.select(this.expression(expression.condition), this.expression(expression.whenTrue), this.expression(expression.whenFalse));
      case 'reduce':
        return this.#reduce(expression.operator, expression.over, this.expression(expression.operand));
      case 'reduce-time':
        return this.#reduceTime(expression.operator, this.expression(expression.operand));
      case 'delay':
        return this.#delay(expression);
      case 'gather':
        return builder.gather(this.expression(expression.table), expression.axis, this.expression(expression.index));
      case 'rename':
        return builder.renameAxis(this.expression(expression.operand), expression.from, expression.to);
      default:
        return expression satisfies never;
    }
  }

  #reference(target: 'input' | 'param' | 'let' | 'state' | 'previous', name: string): ValueId {
    switch (target) {
      case 'input':
        return required(this.#inputs.get(name), `input ${name}`);
      case 'param':
        return required(this.#params.get(name), `param ${name}`);
      case 'let':
        return required(this.#lets.get(name), `let ${name}`);
      case 'state':
        return required(this.#states.get(name), `state ${name}`).current;
      case 'previous':
        return required(this.#states.get(name), `state ${name}`).previous;
      default:
        return target satisfies never;
    }
  }

  #elementwise(name: ElementwiseFunction, operands: readonly ValueId[]): ValueId {
    const builder = this.#builder;
    const [x, y] = operands;
    invariant(x !== undefined, `operand of ${name}`);
    if (name === 'abs' && builder.typeOf(x).dtype === 'complex') {
      const [re, im] = [builder.part('re', x), builder.part('im', x)];
      const square = builder.add(builder.multiply(re, re), builder.multiply(im, im));
      const isZero = builder.binary('equal', square, builder.constant(0));
      // at 0 the gradient is 0, as PyTorch has it, not 0/0
      const root = builder.unary('square-root', builder.select(isZero, builder.constant(1), square));
      return builder.select(isZero, builder.constant(0), root);
    }
    const direct = unaryFunctions[name];
    if (direct !== undefined) return builder.unary(direct, x);
    switch (name) {
      case 'silu':
        return builder.multiply(x, builder.unary('sigmoid', x));
      case 'relu':
        return builder.binary('maximum', x, builder.constant(0));
      case 'gelu': {
        const scaled = builder.multiply(x, builder.constant(Math.SQRT1_2));
        const half = builder.multiply(x, builder.constant(0.5));
        return builder.multiply(half, builder.add(builder.constant(1), builder.unary('erf', scaled)));
      }
      case 'log_sigmoid':
        return builder.unary('negate', builder.unary('softplus', builder.unary('negate', x)));
      case 'square':
        return builder.multiply(x, x);
      case 'max':
      case 'min':
        return builder.binary(name === 'max' ? 'maximum' : 'minimum', x, required(y, 'second operand'));
      case 'complex':
        return builder.complex(x, required(y, 'imaginary part'));
      case 'real':
        return builder.part('re', x);
      case 'imag':
        return builder.part('im', x);
      case 'conj':
        return builder.complex(builder.part('re', x), builder.unary('negate', builder.part('im', x)));
      default:
        throw new Error(`no lowering of ${name}`);
    }
  }

  #reduce(operator: 'sum' | 'mean' | 'max', over: readonly string[], operand: ValueId): ValueId {
    const builder = this.#builder;
    if (operator === 'max') return builder.reduce('maximum', over, operand);
    const sum = builder.reduce('sum', over, operand);
    if (operator === 'sum') return sum;
    const count = over.reduce((product, axis) => product * required(this.#spec.axes.find((each) => each.name === axis), axis).size, 1);
    return builder.multiply(sum, builder.constant(1 / count));
  }

  #reduceTime(operator: 'sum' | 'mean' | 'last', operand: ValueId): ValueId {
    const builder = this.#builder;
    if (!builder.typeOf(operand).axes.includes('time')) {
      return operator === 'sum' ? builder.multiply(operand, builder.length()) : operand;
    }
    if (operator === 'last') return builder.last(operand);
    const sum = builder.reduce('sum', ['time'], operand);
    return operator === 'sum' ? sum : builder.divide(sum, builder.length());
  }
}

function stem(path: string): string {
  return path.split('.').at(-1) ?? path;
}

/** `next x = a x + b`: exp(g) stays an exponent, so that products of decays remain sums. */
function discreteCoefficient(builder: TensorBuilder, coefficient: ValueId): Coefficient {
  const op = builder.definition(coefficient);
  if (op?.kind === 'unary' && op.function === 'exp' && builder.typeOf(coefficient).dtype === 'real') {
    return { kind: 'exponent', exponent: builder.multiply(op.operand, builder.constant(Math.LOG2E)) };
  }
  return { kind: 'value', parts: [coefficient] };
}

/** A scan that reads transition and drive as operands and yields the state after and before the update. */
function trivialScan(
  builder: TensorBuilder,
  state: StateSpec,
  discrete: DiscreteSystem,
  initial: ValueId,
): { op: AffineScanOp; region: ReadonlyMap<ValueId, TensorValue> } {
  const { coefficient } = discrete;
  const transition = coefficient.kind === 'exponent' ? coefficient.exponent : required(coefficient.parts[0], 'transition');
  const parameter = (id: ValueId): TensorValue => builder.fresh(builder.value(id).name, builder.typeOf(id));
  const parameters = [parameter(transition), parameter(discrete.drive)] as const;
  const stateType: TensorType = { dtype: state.type, axes: unionAxes(builder.axes, ['batch', 'time'], state.axes) };
  const name = stem(state.name);
  const previous = builder.fresh(`${name}_previous`, stateType);
  const current = builder.fresh(name, stateType);
  const op: AffineScanOp = {
    kind: 'affine-scan', state: state.name, order: state.order, form: 'decay-then-add', axes: unionAxes(builder.axes, state.axes),
    operands: [transition, discrete.drive], parameters, region: [],
    coefficient: coefficient.kind === 'exponent'
      ? { kind: 'exponent', exponent: parameters[0].id }
      : { kind: 'value', parts: [parameters[0].id] },
    drive: [parameters[1].id], release: null, previous: [previous], current: [current], initial: [initial], history: null,
    yields: [{ value: current.id, sumOver: [] }, { value: previous.id, sumOver: [] }],
    emitsFinal: true, checkpointInterval: null,
  };
  return { op, region: new Map([...parameters, previous, current].map((value) => [value.id, value])) };
}
