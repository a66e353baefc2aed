/**
 * Complex values → pairs of reals (re, im), in functions and in regions. Differentiation runs after
 * it, so that complex gradients are dL/dRe + i·dL/dIm by construction (decisions 10) and no rule can
 * forget a conjugate. Analytic functions stay one operation on the pair: their derivative is known in
 * closed form without cancellation. After: no `complex`, no `part`, no complex dtype.
 */
import { invariant, required } from '../../support/invariant.ts';
import type { AffineScanOp, ComplexPart, FunctionResult, TensorFunction, TensorInstruction, TensorModule, TensorOp, TensorType, TensorValue, UnaryFunction, ValueId } from '../tensor/ops.ts';
import { TensorBuilder, type ValueIds } from '../tensor/builder.ts';

type Pair = { readonly re: ValueId; readonly im: ValueId | null };

/** The module in real arithmetic. `ids` continues the module's numbering. */
export function lowerComplex(module: TensorModule, ids: ValueIds): TensorModule {
  const functions = module.functions.map((each) => lowerFunction(module, each, ids));
  return { ...module, functions };
}

function lowerFunction(module: TensorModule, target: TensorFunction, ids: ValueIds): TensorFunction {
  const builder = new TensorBuilder(module.axes, ids);
  const lowering = new ComplexLowering(builder, new Map());
  lowering.list(target.instructions);
  const results = target.results.flatMap((result): FunctionResult[] => {
    const pair = lowering.fitted(result.value);
    if (pair.im === null) return [{ ...result, value: pair.re }];
    const part = (name: ComplexPart, value: ValueId): FunctionResult => ({ ...result, part: name, value });
    return [part('re', pair.re), part('im', pair.im)];
  });
  return { name: target.name, instructions: builder.instructions, results };
}

const realType = (type: TensorType): TensorType => (type.dtype === 'complex' ? { dtype: 'real', axes: type.axes } : type);

class ComplexLowering {
  readonly #builder: TensorBuilder;
  readonly #pairs: Map<ValueId, Pair>;
  readonly #axes = new Map<ValueId, readonly string[]>();

  constructor(builder: TensorBuilder, pairs: Map<ValueId, Pair>) {
    this.#builder = builder;
    this.#pairs = pairs;
  }

  pair(id: ValueId): Pair {
    return required(this.#pairs.get(id), `parts of %${id}`);
  }

  /** The parts on all axes of the value: one part of `complex(x, 0)` may have fewer. */
  fitted(id: ValueId): Pair {
    const pair = this.pair(id);
    const axes = this.#axes.get(id);
    if (axes === undefined || pair.im === null) return pair;
    return { re: this.#builder.broadcast(pair.re, axes), im: this.#builder.broadcast(pair.im, axes) };
  }

  #real(id: ValueId): ValueId {
    const pair = this.pair(id);
    invariant(pair.im === null, `complex value %${id} where a real one is needed`);
    return pair.re;
  }

  list(instructions: readonly TensorInstruction[]): void {
    for (const instruction of instructions) {
      for (const value of instruction.results) this.#axes.set(value.id, value.type.axes);
      if (instruction.op.kind === 'affine-scan') {
        this.#scan(instruction.op, instruction);
        continue;
      }
      const [first, second] = instruction.results;
      invariant(first !== undefined, 'an instruction without results');
      if (instruction.op.kind === 'analytic') {
        const [re, im] = this.#builder.analytic(instruction.op.function, this.#real(instruction.op.re), this.#real(instruction.op.im));
        this.#pairs.set(first.id, { re, im: null });
        this.#pairs.set(required(second, 'imaginary result').id, { re: im, im: null });
        continue;
      }
      const made = this.#operation(instruction.op, first);
      const named = (id: ValueId, suffix: string): ValueId => this.#builder.rename(id, `${first.name}${suffix}`);
      this.#pairs.set(first.id, made.im === null ? { re: named(made.re, ''), im: null } : { re: named(made.re, '_re'), im: named(made.im, '_im') });
    }
  }

  /** Applies a linear operation to both parts. */
  #each(operand: ValueId, apply: (id: ValueId) => ValueId): Pair {
    const pair = this.fitted(operand);
    return { re: apply(pair.re), im: pair.im === null ? null : apply(pair.im) };
  }

  #delay({ operand, steps, tail }: Extract<TensorOp, { kind: 'delay' }>): Pair {
    if (tail === null) return this.#each(operand, (id) => this.#builder.delay(id, steps));
    const [pair, before] = [this.fitted(operand), this.fitted(tail.value)];
    const part = (id: ValueId, value: ValueId): ValueId => this.#builder.delay(id, steps, { value, axis: tail.axis });
    return { re: part(pair.re, before.re), im: pair.im === null ? null : part(pair.im, required(before.im, 'imaginary tail')) };
  }

  #operation(op: Exclude<TensorOp, AffineScanOp | { kind: 'analytic' }>, value: TensorValue): Pair {
    const builder = this.#builder;
    const whole = (re: ValueId): Pair => ({ re, im: null });
    switch (op.kind) {
      case 'argument': {
        if (value.type.dtype !== 'complex') return whole(builder.argument({ ...op, type: value.type }));
        const type = realType(value.type);
        return { re: builder.argument({ ...op, part: 're', type }), im: builder.argument({ ...op, part: 'im', type }) };
      }
      case 'constant':
        return whole(builder.constant(op.value));
      case 'length':
        return whole(builder.length());
      case 'iota':
        return whole(builder.iota(op.axis));
      case 'complex':
        return { re: this.#real(op.re), im: this.#real(op.im) };
      case 'part': {
        const pair = this.pair(op.operand);
        return whole(op.part === 're' ? pair.re : (pair.im ?? builder.constant(0)));
      }
      case 'unary':
        return this.#unary(op.function, this.pair(op.operand));
      case 'binary':
        return this.#binary(op, this.pair(op.left), this.pair(op.right));
      case 'select': {
        const condition = this.#real(op.condition);
        const [a, b] = [this.pair(op.whenTrue), this.pair(op.whenFalse)];
        const zero = (): ValueId => builder.constant(0);
        const im = a.im === null && b.im === null ? null : builder.select(condition, a.im ?? zero(), b.im ?? zero());
        return { re: builder.select(condition, a.re, b.re), im };
      }
      case 'broadcast':
        return this.#each(op.operand, (id) => builder.broadcast(id, op.axes));
      case 'rename':
        return this.#each(op.operand, (id) => builder.renameAxis(id, op.from, op.to));
      case 'reduce':
        return this.#each(op.operand, (id) => builder.reduce(op.function, op.over, id));
      case 'delay':
        return this.#delay(op);
      case 'slide':
        return this.#each(op.operand, (id) => builder.slide(id, op));
      case 'last':
        return this.#each(op.operand, (id) => builder.last(id));
      case 'at-last':
        return this.#each(op.operand, (id) => builder.atLast(id));
      case 'gather':
        return this.#each(op.table, (id) => builder.gather(id, op.axis, this.#real(op.index)));
      case 'scatter-add':
        return this.#each(op.values, (id) => builder.scatterAdd(id, op.axis, this.#real(op.index), op.over));
      case 'contract':
        return whole(builder.contract(this.#real(op.left), this.#real(op.right), op.over));
      case 'impulse-response':
      case 'power-moment':
      case 'power':
      case 'convolve':
      case 'correlate':
        throw new Error('convolutions are formed after lower-complex');
      default:
        return op satisfies never;
    }
  }

  #unary(name: UnaryFunction, operand: Pair): Pair {
    const builder = this.#builder;
    if (operand.im === null) return { re: builder.unary(name, operand.re), im: null };
    if (name === 'negate') return { re: builder.unary('negate', operand.re), im: builder.unary('negate', operand.im) };
    invariant(name === 'exp' || name === 'phi1' || name === 'phi2', `${name} of a complex value`);
    const [re, im] = builder.analytic(name, operand.re, operand.im);
    return { re, im };
  }

  #binary(op: Extract<TensorOp, { kind: 'binary' }>, a: Pair, b: Pair): Pair {
    const builder = this.#builder;
    if (a.im === null && b.im === null) return { re: builder.binary(op.function, a.re, b.re), im: null };
    switch (op.function) {
      case 'add':
      case 'subtract': {
        const zero = builder.constant(0);
        return { re: builder.binary(op.function, a.re, b.re), im: builder.binary(op.function, a.im ?? zero, b.im ?? zero) };
      }
      case 'multiply':
        return this.#product(a, b);
      case 'divide': {
        if (b.im === null) return { re: builder.divide(a.re, b.re), im: a.im === null ? null : builder.divide(a.im, b.re) };
        const norm = builder.add(builder.multiply(b.re, b.re), builder.multiply(b.im, b.im));
        const top = this.#product(a, { re: b.re, im: builder.unary('negate', b.im) });
        return { re: builder.divide(top.re, norm), im: builder.divide(required(top.im, 'imaginary part'), norm) };
      }
      default:
        throw new Error(`${op.function} of complex values`);
    }
  }

  #product(a: Pair, b: Pair): Pair {
    const builder = this.#builder;
    if (a.im === null) return { re: builder.multiply(a.re, b.re), im: b.im === null ? null : builder.multiply(a.re, b.im) };
    if (b.im === null) return { re: builder.multiply(a.re, b.re), im: builder.multiply(a.im, b.re) };
    const re = builder.subtract(builder.multiply(a.re, b.re), builder.multiply(a.im, b.im));
    const im = builder.add(builder.multiply(a.re, b.im), builder.multiply(a.im, b.re));
    return { re, im };
  }

  #scan(op: AffineScanOp, instruction: TensorInstruction): void {
    const isComplex = op.current[0]?.type.dtype === 'complex';
    const outer = this.#builder;
    const inner = new TensorBuilder(outer.axes, outer.ids);
    const pairs = new Map<ValueId, Pair>();
    const operands: ValueId[] = [];
    const parameters: TensorValue[] = [];
    const fresh = (value: TensorValue, suffix: string): TensorValue => inner.fresh(`${value.name}${suffix}`, realType(value.type));
    op.operands.forEach((operand, at) => {
      const pair = this.fitted(operand);
      const parameter = required(op.parameters[at], 'parameter');
      const re = fresh(parameter, pair.im === null ? '' : '_re');
      const im = pair.im === null ? null : fresh(parameter, '_im');
      operands.push(pair.re, ...(pair.im === null ? [] : [pair.im]));
      parameters.push(re, ...(im === null ? [] : [im]));
      pairs.set(parameter.id, { re: re.id, im: im?.id ?? null });
    });
    const split = (values: readonly TensorValue[]): TensorValue[] => values.flatMap((value) => {
      if (!isComplex) return [this.#adoptReal(inner, value, pairs)];
      const [re, im] = [fresh(value, '_re'), fresh(value, '_im')];
      pairs.set(value.id, { re: re.id, im: im.id });
      return [re, im];
    });
    const previous = split(op.previous);
    const current = split(op.current);
    const region = new ComplexLowering(inner, pairs);
    region.list(op.region);
    const parts = (id: ValueId): ValueId[] => {
      const pair = region.pair(id);
      return isComplex ? [pair.re, pair.im ?? inner.constant(0)] : [pair.re];
    };
    const coefficient: AffineScanOp['coefficient'] = op.coefficient.kind === 'exponent'
      ? { kind: 'exponent', exponent: region.pair(op.coefficient.exponent).re }
      : { kind: 'value', parts: op.coefficient.parts.flatMap((id) => { const pair = region.pair(id); return pair.im === null ? [pair.re] : [pair.re, pair.im]; }) };
    const drive = op.drive.flatMap(parts);
    const initial = op.initial?.flatMap((id) => { const pair = this.pair(id); return pair.im === null ? [pair.re] : [pair.re, pair.im]; }) ?? null;
    const yields = op.yields.flatMap((each) => {
      const pair = region.pair(each.value);
      return [{ ...each, value: pair.re }, ...(pair.im === null ? [] : [{ ...each, value: pair.im }])];
    });
    invariant(op.history === null, 'differentiation comes after lower-complex');
    const lowered: AffineScanOp = { ...op, operands, parameters, region: inner.instructions, coefficient, drive, previous, current, initial, yields };
    const types = new Map<ValueId, TensorValue>();
    for (const value of [...parameters, ...previous, ...current]) types.set(value.id, value);
    for (const each of inner.instructions) for (const value of each.results) types.set(value.id, value);
    const results = outer.scan(lowered, types);
    this.#bindResults(instruction.results, [...results.yields, ...results.finals, ...results.checkpoints]);
  }

  #adoptReal(inner: TensorBuilder, value: TensorValue, pairs: Map<ValueId, Pair>): TensorValue {
    inner.adopt([value]);
    pairs.set(value.id, { re: value.id, im: null });
    return value;
  }

  #bindResults(before: readonly TensorValue[], after: readonly ValueId[]): void {
    let next = 0;
    const take = (): ValueId => required(after[next++], 'scan result');
    for (const value of before) {
      const re = take();
      this.#pairs.set(value.id, { re, im: value.type.dtype === 'complex' ? take() : null });
    }
  }
}
