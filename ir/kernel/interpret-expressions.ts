/**
 * Compiles Kernel IR expressions to closures over lanes. Every node owns its result lanes and fills
 * them for the active invocations only, so that masked-off invocations never touch memory and never
 * report. f32 results are rounded after each operation when the machine rounds (float64 arithmetic
 * followed by one rounding is the correctly rounded f32 result for + - * / and square root).
 */
import { assertNever, required } from '../../support/invariant.ts';
import { noteRead, takeLanes, withLanes, type Lanes, type Machine, type Memory } from './interpret-machine.ts';
import {
  applyBinary, conversion, finisher, integerFunction, needsCare, reinterpretation, storageRounding, unaryFunctions, type Finish,
} from './interpret-operators.ts';
import type { KernelExpression } from './nodes.ts';
import { literalProblem } from './types.ts';

/** Evaluates for the active invocations and returns the node's lanes. */
export type Evaluate = () => Lanes;

type Of<Kind extends KernelExpression['kind']> = Extract<KernelExpression, { readonly kind: Kind }>;

/** What is not at hand in lanes already. */
type Computed = Exclude<KernelExpression, { readonly kind: 'literal' | 'variable' | 'builtin' | 'uniform' }>;

function compileUnary(expression: Of<'unary'>, machine: Machine, result: Lanes): Evaluate {
  const operand = compileExpression(expression.operand, machine);
  const finish = finisher(machine, expression.type.element);
  const apply = unaryFunctions[expression.operator];
  return () => {
    const values = operand();
    const { active, count, size } = machine;
    for (let base = 0; base < result.length; base += size) {
      for (let position = 0; position < count; position += 1) {
        const invocation = active[position] ?? 0;
        const value = apply(values[base + invocation] ?? 0);
        result[base + invocation] = finish === null ? value : finish(value, invocation);
      }
    }
    return result;
  };
}

function compileBinary(expression: Of<'binary'>, machine: Machine, result: Lanes): Evaluate {
  const { operator, type: { element } } = expression;
  if (element === 'i32' && !needsCare.has(operator)) return compileWholeNumbers(expression, machine, result);
  if (element === 'u32' || element === 'i32') return compileCarefully(expression, element, machine, result);
  return compileNumbers(expression, machine, result);
}

/** Floats and flags. The operator is decided inside of the loop, where it costs less than a call that has many targets. */
function compileNumbers(expression: Of<'binary'>, machine: Machine, result: Lanes): Evaluate {
  const { operator, type: { element } } = expression;
  const left = compileExpression(expression.left, machine);
  const right = compileExpression(expression.right, machine);
  const isRounded = element === 'f32' && machine.rounding === 'f32';
  return () => {
    const a = left();
    const b = right();
    const { active, count, size } = machine;
    for (let base = 0; base < result.length; base += size) {
      for (let position = 0; position < count; position += 1) {
        const at = base + (active[position] ?? 0);
        const value = applyBinary(operator, a[at] ?? 0, b[at] ?? 0);
        result[at] = isRounded ? Math.fround(value) : value;
      }
    }
    return result;
  };
}

/** i32 without division and shifts: an overflow is reported, then it wraps. */
function compileWholeNumbers(expression: Of<'binary'>, machine: Machine, result: Lanes): Evaluate {
  const { operator } = expression;
  const left = compileExpression(expression.left, machine);
  const right = compileExpression(expression.right, machine);
  const isProduct = operator === 'multiply';
  return () => {
    const a = left();
    const b = right();
    const { active, count, size } = machine;
    for (let base = 0; base < result.length; base += size) {
      for (let position = 0; position < count; position += 1) {
        const invocation = active[position] ?? 0;
        const at = base + invocation;
        const [x, y] = [a[at] ?? 0, b[at] ?? 0];
        const value = applyBinary(operator, x, y);
        const wrapped = isProduct ? Math.imul(x, y) : value | 0;
        if (wrapped !== value) machine.report('integer-overflow', { invocation });
        result[at] = wrapped;
      }
    }
    return result;
  };
}

/** Integers whose operands may be what no target defines, and unsigned ones. */
function compileCarefully(expression: Of<'binary'>, element: 'i32' | 'u32', machine: Machine, result: Lanes): Evaluate {
  const left = compileExpression(expression.left, machine);
  const right = compileExpression(expression.right, machine);
  const finish = finisher(machine, element) ?? ((value) => value);
  const apply = integerFunction(expression.operator, element, machine);
  return () => {
    const a = left();
    const b = right();
    const { active, count, size } = machine;
    for (let base = 0; base < result.length; base += size) {
      for (let position = 0; position < count; position += 1) {
        const invocation = active[position] ?? 0;
        const at = base + invocation;
        result[at] = finish(apply(a[at] ?? 0, b[at] ?? 0, invocation), invocation);
      }
    }
    return result;
  };
}

function compileSelect(expression: Of<'select'>, machine: Machine, result: Lanes): Evaluate {
  const test = compileExpression(expression.condition, machine);
  const onTrue = compileExpression(expression.whenTrue, machine);
  const onFalse = compileExpression(expression.whenFalse, machine);
  return () => {
    const condition = test();
    const whenTrue = onTrue();
    const whenFalse = onFalse();
    const { active, count, size } = machine;
    for (let base = 0; base < result.length; base += size) {
      for (let position = 0; position < count; position += 1) {
        const at = base + (active[position] ?? 0);
        result[at] = (condition[at] === 0 ? whenFalse[at] : whenTrue[at]) ?? 0;
      }
    }
    return result;
  };
}

/** Visits the positions of all components of the active invocations. */
function forActive(machine: Machine, width: number, visit: (at: number, invocation: number) => void): void {
  const { active, count, size } = machine;
  for (let component = 0; component < width; component += 1) {
    for (let position = 0; position < count; position += 1) {
      const invocation = active[position] ?? 0;
      visit(component * size + invocation, invocation);
    }
  }
}

function compilePointwise(expression: Of<'convert' | 'bitcast'>, machine: Machine, result: Lanes): Evaluate {
  const operand = compileExpression(expression.operand, machine);
  const change = expression.kind === 'convert'
    ? conversion(expression.operand.type.element, expression.type.element, machine)
    : reinterpretation(expression.operand.type.element, expression.type.element);
  return () => {
    const values = operand();
    forActive(machine, expression.type.width, (at, invocation) => {
      result[at] = change(values[at] ?? 0, invocation);
    });
    return result;
  };
}

/** The kernel's memory behind a buffer or shared array. */
export function memoryOf(machine: Machine, of: { readonly id: number; readonly name: string }): Memory {
  return required(machine.memories.get(of.id), `memory of ${of.name}`);
}

/** First element and width of an access by one invocation. */
export type Access = {
  readonly index: number;
  readonly width: number;
  readonly aligned: boolean;
  readonly invocation: number;
};

/** Checks first element, width and alignment of a wide access; false: nothing may be touched. */
export function checkAccess(machine: Machine, memory: Memory, access: Access): boolean {
  const { index, width, aligned, invocation } = access;
  if (aligned && index % width !== 0) machine.report('misaligned', { buffer: memory.name, index, invocation });
  if (index >= 0 && index + width <= memory.length) return true;
  machine.report('out-of-bounds', { buffer: memory.name, index, invocation });
  return false;
}

function compileLoad({ buffer, index, aligned, type: { width } }: Of<'load'>, machine: Machine, result: Lanes): Evaluate {
  const indices = compileExpression(index, machine);
  const memory = memoryOf(machine, buffer);
  const round = storageRounding(buffer.storage, machine);
  const isWatched = memory.written !== null || memory.log !== null;
  return () => {
    const where = indices();
    const { active, count, size } = machine;
    for (let position = 0; position < count; position += 1) {
      const invocation = active[position] ?? 0;
      const first = where[invocation] ?? 0;
      const isInside = checkAccess(machine, memory, { index: first, width, aligned, invocation });
      for (let component = 0; component < width; component += 1) {
        const isGood = isInside && (!isWatched || noteRead(machine, memory, first + component, invocation));
        const value = isGood ? memory.values[first + component] ?? 0 : memory.poison;
        result[component * size + invocation] = round === null ? value : round(value);
      }
    }
    return result;
  };
}

function compileLoadShared({ array, index, type: { width } }: Of<'load-shared'>, machine: Machine, result: Lanes): Evaluate {
  const indices = compileExpression(index, machine);
  const memory = memoryOf(machine, array);
  const isWatched = memory.written !== null || memory.log !== null;
  const perElement = array.type.width;
  const elements = width / perElement;
  return () => {
    const where = indices();
    const { active, count, size } = machine;
    for (let position = 0; position < count; position += 1) {
      const invocation = active[position] ?? 0;
      const first = where[invocation] ?? 0;
      const isInside = checkAccess(machine, memory, { index: first, width: elements, aligned: elements > 1, invocation });
      for (let element = 0; element < elements; element += 1) {
        const isGood = isInside && (!isWatched || noteRead(machine, memory, first + element, invocation));
        for (let component = 0; component < perElement; component += 1) {
          const value = memory.values[(first + element) * perElement + component] ?? 0;
          result[(element * perElement + component) * size + invocation] = isGood ? value : memory.poison;
        }
      }
    }
    return result;
  };
}

function compileElement({ array, index, type: { width } }: Of<'element'>, machine: Machine, result: Lanes): Evaluate {
  const indices = compileExpression(index, machine);
  const memory = required(machine.arrays.get(array.id), `array ${array.name}`);
  return () => {
    const where = indices();
    const { active, count, size } = machine;
    for (let position = 0; position < count; position += 1) {
      const invocation = active[position] ?? 0;
      const at = where[invocation] ?? 0;
      let isGood = checkAccess(machine, memory, { index: at, width: 1, aligned: false, invocation });
      if (isGood && memory.written !== null && memory.written[at * size + invocation] === 0) {
        machine.report('uninitialised', { buffer: memory.name, index: at, invocation });
        isGood = false;
      }
      for (let component = 0; component < width; component += 1) {
        const value = memory.values[(at * width + component) * size + invocation] ?? 0;
        result[component * size + invocation] = isGood ? value : memory.poison;
      }
    }
    return result;
  };
}

function compileShuffle({ operand, mask, type: { width } }: Of<'shuffle-xor'>, machine: Machine, result: Lanes): Evaluate {
  const values = compileExpression(operand, machine);
  return () => {
    const from = values();
    if (machine.count !== machine.size) machine.report('divergent-shuffle');
    forActive(machine, width, (at, invocation) => {
      result[at] = from[at - invocation + (invocation ^ mask)] ?? NaN;
    });
    return result;
  };
}

function compileVector(expression: Of<'splat' | 'extract'>, machine: Machine, result: Lanes): Evaluate {
  const operand = compileExpression(expression.operand, machine);
  const { size } = machine;
  const offset = expression.kind === 'extract' ? expression.lane * size : 0;
  return () => {
    const values = operand();
    const { active, count } = machine;
    for (let base = 0; base < result.length; base += size) {
      for (let position = 0; position < count; position += 1) {
        const invocation = active[position] ?? 0;
        result[base + invocation] = values[offset + invocation] ?? 0;
      }
    }
    return result;
  };
}

function compileHorizontalAdd(expression: Of<'horizontal-add'>, machine: Machine, result: Lanes): Evaluate {
  const operand = compileExpression(expression.operand, machine);
  const { element, width } = expression.operand.type;
  const { size } = machine;
  const finish: Finish = finisher(machine, element) ?? ((value) => value);
  return () => {
    const values = operand();
    forActive(machine, 1, (invocation) => {
      const sum = (first: number, second: number): number =>
        finish((values[first * size + invocation] ?? 0) + (values[second * size + invocation] ?? 0), invocation);
      result[invocation] = width === 2 ? sum(0, 1) : finish(sum(0, 2) + sum(1, 3), invocation);
    });
    return result;
  };
}

function compileCompose({ operands, type: { width } }: Of<'compose'>, machine: Machine, result: Lanes): Evaluate {
  const parts = operands.map((each) => compileExpression(each, machine));
  return () => {
    parts.forEach((part, component) => {
      const values = part();
      forActive(machine, 1, (invocation) => {
        result[component * machine.size + invocation] = values[invocation] ?? 0;
      });
    });
    return result;
  };
}

function compileLiteral({ value, type }: Of<'literal'>, machine: Machine): Evaluate {
  if (literalProblem(value, type) !== null) machine.report('non-finite-literal');
  const isRounded = type.element === 'f32' && machine.rounding === 'f32';
  const lanes = new Float64Array(type.width * machine.size).fill(isRounded ? Math.fround(value) : value);
  return () => lanes;
}

/** Compiles a node whose result lies in lanes of its own; its operands' lanes are free afterwards. */
function compileResult(expression: Computed, machine: Machine, result: Lanes): Evaluate {
  switch (expression.kind) {
    case 'unary': return compileUnary(expression, machine, result);
    case 'binary': return compileBinary(expression, machine, result);
    case 'select': return compileSelect(expression, machine, result);
    case 'convert':
    case 'bitcast': return compilePointwise(expression, machine, result);
    case 'load': return compileLoad(expression, machine, result);
    case 'load-shared': return compileLoadShared(expression, machine, result);
    case 'element': return compileElement(expression, machine, result);
    case 'shuffle-xor': return compileShuffle(expression, machine, result);
    case 'splat':
    case 'extract': return compileVector(expression, machine, result);
    case 'horizontal-add': return compileHorizontalAdd(expression, machine, result);
    case 'compose': return compileCompose(expression, machine, result);
    default: return assertNever(expression, 'compileResult');
  }
}

/** A closure that evaluates the expression for the active invocations; its lanes are the caller's until his statement ends. */
export function compileExpression(expression: KernelExpression, machine: Machine): Evaluate {
  switch (expression.kind) {
    case 'literal':
      return compileLiteral(expression, machine);
    case 'variable': {
      const lanes = required(machine.variables.get(expression.variable.id), `variable ${expression.variable.name}`);
      return () => lanes;
    }
    case 'builtin': {
      const lanes = machine.builtins[builtinNumbers[expression.builtin]];
      return () => lanes;
    }
    case 'uniform': {
      const lanes = new Float64Array(machine.size).fill(machine.uniformValue(expression.uniform));
      return () => lanes;
    }
    default: {
      const result = takeLanes(machine, expression.type.width);
      return withLanes(machine, () => compileResult(expression, machine, result));
    }
  }
}

const builtinNumbers = { 'workgroup-x': 0, 'workgroup-y': 1, 'workgroup-z': 2, 'invocation': 3 } as const;
