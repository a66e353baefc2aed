/**
 * The only place that makes Kernel IR nodes. It infers types, so that a node cannot be ill-typed by
 * construction, and folds constants and neutral elements of index arithmetic, so that generated text
 * stays readable. Floating-point expressions are folded only where the result is exact.
 */
import { invariant } from '../../support/invariant.ts';
import type { SizeExpression } from '../../support/size.ts';
import {
  f32, i32, sameType, withWidth,
  type ArrayId, type BinaryOperator, type Buffer, type BufferId, type Builtin, type Kernel,
  type KernelExpression, type KernelStatement, type KernelType, type RegisterArray, type SharedArray,
  type SharedId, type StorageType, type UnaryOperator, type Uniform, type UniformId, type Variable,
  type VariableId, type VectorWidth,
} from './nodes.ts';

const comparisons: ReadonlySet<BinaryOperator> = new Set(['less', 'less-equal', 'equal', 'not-equal']);

export function literal(value: number, type: KernelType = f32): KernelExpression {
  return { kind: 'literal', value, type };
}

/** An i32 literal, for indices. */
export function integer(value: number): KernelExpression {
  return literal(value, i32);
}

export function variable(of: Variable): KernelExpression {
  return { kind: 'variable', variable: of, type: of.type };
}

export function builtin(name: Builtin): KernelExpression {
  return { kind: 'builtin', builtin: name, type: i32 };
}

export function uniform(of: Uniform): KernelExpression {
  return { kind: 'uniform', uniform: of, type: i32 };
}

export function unary(operator: UnaryOperator, operand: KernelExpression): KernelExpression {
  if (operator === 'negate' && operand.kind === 'literal') return literal(-operand.value, operand.type);
  return { kind: 'unary', operator, operand, type: operand.type };
}

function splatTo(operand: KernelExpression, width: VectorWidth): KernelExpression {
  if (operand.type.width === width) return operand;
  invariant(operand.type.width === 1, `vector of ${operand.type.width} used as ${width}`);
  if (operand.kind === 'literal') return literal(operand.value, withWidth(operand.type, width));
  return { kind: 'splat', operand, type: withWidth(operand.type, width) };
}

function isLiteral(expression: KernelExpression, value: number): boolean {
  return expression.kind === 'literal' && expression.value === value;
}

function foldInteger(operator: BinaryOperator, left: KernelExpression, right: KernelExpression): KernelExpression | null {
  if (left.kind === 'literal' && right.kind === 'literal') {
    const [a, b] = [left.value, right.value];
    switch (operator) {
      case 'add': return literal(a + b, left.type);
      case 'subtract': return literal(a - b, left.type);
      case 'multiply': return literal(a * b, left.type);
      case 'divide': return b > 0 ? literal(Math.trunc(a / b), left.type) : null;
      case 'remainder': return b > 0 ? literal(a % b, left.type) : null;
      case 'minimum': return literal(Math.min(a, b), left.type);
      case 'maximum': return literal(Math.max(a, b), left.type);
      default: return null;
    }
  }
  if (operator === 'add' && isLiteral(left, 0)) return right;
  if ((operator === 'add' || operator === 'subtract') && isLiteral(right, 0)) return left;
  if (operator === 'multiply' && isLiteral(left, 1)) return right;
  if ((operator === 'multiply' || operator === 'divide') && isLiteral(right, 1)) return left;
  if (operator === 'multiply' && (isLiteral(left, 0) || isLiteral(right, 0))) return literal(0, left.type);
  if (operator === 'remainder' && isLiteral(right, 1)) return literal(0, left.type);
  return null;
}

/** Binary operation; a scalar operand beside a vector is splatted. Result bool for comparisons. */
export function binary(operator: BinaryOperator, left: KernelExpression, right: KernelExpression): KernelExpression {
  const width = left.type.width > right.type.width ? left.type.width : right.type.width;
  const [a, b] = [splatTo(left, width), splatTo(right, width)];
  invariant(sameType(a.type, b.type), `${operator} of ${a.type.element} and ${b.type.element}`);
  if (a.type.element === 'i32') {
    const folded = foldInteger(operator, a, b);
    if (folded !== null) return folded;
  }
  const type: KernelType = comparisons.has(operator) ? { element: 'bool', width } : a.type;
  return { kind: 'binary', operator, left: a, right: b, type };
}

export const add = (left: KernelExpression, right: KernelExpression): KernelExpression => binary('add', left, right);
export const subtract = (left: KernelExpression, right: KernelExpression): KernelExpression => binary('subtract', left, right);
export const multiply = (left: KernelExpression, right: KernelExpression): KernelExpression => binary('multiply', left, right);
export const divide = (left: KernelExpression, right: KernelExpression): KernelExpression => binary('divide', left, right);
export const remainder = (left: KernelExpression, right: KernelExpression): KernelExpression => binary('remainder', left, right);
export const minimum = (left: KernelExpression, right: KernelExpression): KernelExpression => binary('minimum', left, right);
export const less = (left: KernelExpression, right: KernelExpression): KernelExpression => binary('less', left, right);

export function select(condition: KernelExpression, whenTrue: KernelExpression, whenFalse: KernelExpression): KernelExpression {
  const width = [condition, whenTrue, whenFalse].reduce<VectorWidth>((most, each) => (each.type.width > most ? each.type.width : most), 1);
  const [c, a, b] = [splatTo(condition, width), splatTo(whenTrue, width), splatTo(whenFalse, width)];
  invariant(sameType(a.type, b.type), `select of ${a.type.element} and ${b.type.element}`);
  return { kind: 'select', condition: c, whenTrue: a, whenFalse: b, type: a.type };
}

export function convert(operand: KernelExpression, type: KernelType): KernelExpression {
  return sameType(operand.type, type) ? operand : { kind: 'convert', operand, type };
}

export function bitcast(operand: KernelExpression, type: KernelType): KernelExpression {
  return sameType(operand.type, type) ? operand : { kind: 'bitcast', operand, type };
}

const loadedElement: Readonly<Record<StorageType, KernelType>> = {
  f32, f16: f32, bf16: f32, f64: { element: 'f64', width: 1 }, i32, u32: { element: 'u32', width: 1 }, i8: i32, u8: i32,
};

/** Element type that a load from this storage yields. */
export function loadedType(storage: StorageType): KernelType {
  return loadedElement[storage];
}

export function load(buffer: Buffer, index: KernelExpression, width: VectorWidth = 1, aligned = false): KernelExpression {
  return { kind: 'load', buffer, index, aligned, type: withWidth(loadedType(buffer.storage), width) };
}

/** A scalar load that is issued where it stands: its value is used later. */
export function loadEarly(expression: KernelExpression): KernelExpression {
  return expression.kind === 'load' ? { ...expression, early: true } : expression;
}

/** An element; of an array of scalars also `width` neighbours, from an index that is a multiple of it. */
export function loadShared(array: SharedArray, index: KernelExpression, width: VectorWidth = 1): KernelExpression {
  return { kind: 'load-shared', array, index, type: width === 1 ? array.type : withWidth(array.type, width) };
}

export function element(array: RegisterArray, index: KernelExpression): KernelExpression {
  return { kind: 'element', array, index, type: array.type };
}

export function shuffleXor(operand: KernelExpression, mask: number): KernelExpression {
  return { kind: 'shuffle-xor', operand, mask, type: operand.type };
}

export function splat(operand: KernelExpression, width: VectorWidth): KernelExpression {
  return splatTo(operand, width);
}

export function extract(operand: KernelExpression, lane: number): KernelExpression {
  if (operand.type.width === 1) return operand;
  return { kind: 'extract', operand, lane, type: withWidth(operand.type, 1) };
}

export function compose(operands: readonly KernelExpression[]): KernelExpression {
  const [first] = operands;
  invariant(first !== undefined && (operands.length === 2 || operands.length === 4), 'compose of 2 or 4');
  return { kind: 'compose', operands, type: withWidth(first.type, operands.length) };
}

export function horizontalAdd(operand: KernelExpression): KernelExpression {
  return operand.type.width === 1 ? operand : { kind: 'horizontal-add', operand, type: withWidth(operand.type, 1) };
}

export type KernelHeader = Pick<Kernel, 'name' | 'notes' | 'workgroupSize' | 'resident' | 'grid'>;

/** Collects the statements of one kernel; nested bodies are built by callbacks. */
export class KernelBuilder {
  #nextId: number;
  #body: KernelStatement[] = [];
  readonly #uniforms: Uniform[] = [];
  readonly #buffers: Buffer[] = [];
  readonly #shared: SharedArray[] = [];
  readonly #mutable = new Set<VariableId>();

  /** `firstId` lies above all ids in use where statements are made for a kernel that exists. */
  constructor(firstId = 0) {
    this.#nextId = firstId;
  }

  /** A fresh id; ids are unique in the kernel over all kinds. */
  #mint<Id extends number>(): Id {
    return this.#nextId++ as Id;
  }

  uniform(name: string, value: SizeExpression): KernelExpression {
    if (typeof value === 'number') return integer(value);
    const known = this.#uniforms.find((each) => JSON.stringify(each.value) === JSON.stringify(value));
    if (known !== undefined) return uniform(known);
    const made: Uniform = { id: this.#mint<UniformId>(), name, value };
    this.#uniforms.push(made);
    return uniform(made);
  }

  buffer(name: string, storage: StorageType, access: Buffer['access'], size: SizeExpression): Buffer {
    const known = this.#buffers.find((each) => each.name === name);
    if (known !== undefined) {
      invariant(known.access === access && known.storage === storage, `buffer ${name} used in two ways`);
      return known;
    }
    const made: Buffer = { id: this.#mint<BufferId>(), name, storage, access, size };
    this.#buffers.push(made);
    return made;
  }

  shared(name: string, type: KernelType, length: number): SharedArray {
    const made: SharedArray = { id: this.#mint<SharedId>(), name, type, length };
    this.#shared.push(made);
    return made;
  }

  array(name: string, type: KernelType, length: number): RegisterArray {
    const array: RegisterArray = { id: this.#mint<ArrayId>(), name, type, length };
    this.#body.push({ kind: 'array', array });
    return array;
  }

  #variable(name: string, type: KernelType): Variable {
    return { id: this.#mint<VariableId>(), name, type };
  }

  /** Binds a value to a name; what cannot change (literals, uniforms, other bindings) is passed through. */
  let(name: string, value: KernelExpression): KernelExpression {
    const isStable = value.kind === 'variable' && !this.#mutable.has(value.variable.id);
    if (value.kind === 'literal' || value.kind === 'uniform' || isStable) return value;
    const made = this.#variable(name, value.type);
    this.#body.push({ kind: 'let', variable: made, value });
    return variable(made);
  }

  var(name: string, value: KernelExpression): Variable {
    const made = this.#variable(name, value.type);
    this.#mutable.add(made.id);
    this.#body.push({ kind: 'var', variable: made, value });
    return made;
  }

  assign(target: Variable, value: KernelExpression): void {
    this.#body.push({ kind: 'assign', variable: target, value });
  }

  setElement(array: RegisterArray, index: KernelExpression, value: KernelExpression): void {
    this.#body.push({ kind: 'set-element', array, index, value });
  }

  store(buffer: Buffer, index: KernelExpression, value: KernelExpression, aligned = false): void {
    this.#body.push({ kind: 'store', buffer, index, value, aligned });
  }

  storeShared(array: SharedArray, index: KernelExpression, value: KernelExpression): void {
    this.#body.push({ kind: 'store-shared', array, index, value });
  }

  barrier(): void {
    this.#body.push({ kind: 'barrier' });
  }

  comment(text: string): void {
    this.#body.push({ kind: 'comment', text });
  }

  /** Statements that `build` makes, as a list of their own. */
  nested(build: () => void): readonly KernelStatement[] {
    const outer = this.#body;
    this.#body = [];
    build();
    const made = this.#body;
    this.#body = outer;
    return made;
  }

  for(
    name: string,
    range: { start: KernelExpression; end: KernelExpression; step?: number; unroll?: boolean },
    build: (index: KernelExpression) => void,
  ): void {
    const index = this.#variable(name, i32);
    const body = this.nested(() => build(variable(index)));
    if (body.length === 0) return;
    this.#body.push({
      kind: 'for', variable: index, start: range.start, end: range.end, step: range.step ?? 1, unroll: range.unroll ?? false, body,
    });
  }

  if(condition: KernelExpression, build: () => void, otherwise: () => void = () => {}): void {
    if (condition.kind === 'literal') {
      (condition.value !== 0 ? build : otherwise)();
      return;
    }
    const whenTrue = this.nested(build);
    const whenFalse = this.nested(otherwise);
    if (whenTrue.length > 0 || whenFalse.length > 0) this.#body.push({ kind: 'if', condition, whenTrue, whenFalse });
  }

  finish(header: KernelHeader): Kernel {
    return { ...header, uniforms: this.#uniforms, buffers: this.#buffers, shared: this.#shared, body: this.#body };
  }
}
