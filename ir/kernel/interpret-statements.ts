/**
 * Compiles Kernel IR statements to closures that run a whole workgroup in lockstep. `if` and `for`
 * narrow the list of active invocations; a barrier needs everybody and starts a new epoch of the
 * race detector.
 */
import { assertNever, required } from '../../support/invariant.ts';
import { checkAccess, compileExpression, memoryOf } from './interpret-expressions.ts';
import { enterStatement, noteWrite, withLanes, type Lanes, type Machine } from './interpret-machine.ts';
import { storageRounding } from './interpret-operators.ts';
import type { KernelStatement, Variable } from './nodes.ts';

type Run = () => void;
type Of<Kind extends KernelStatement['kind']> = Extract<KernelStatement, { readonly kind: Kind }>;

function lanesOf(variable: Variable, machine: Machine): Lanes {
  const known = machine.variables.get(variable.id);
  if (known !== undefined) return known;
  const lanes = new Float64Array(variable.type.width * machine.size);
  machine.variables.set(variable.id, lanes);
  return lanes;
}

/** Copies the active invocations' values. */
function copyActive(machine: Machine, from: Lanes, to: Lanes): void {
  const { active, count, size } = machine;
  for (let base = 0; base < to.length; base += size) {
    for (let position = 0; position < count; position += 1) {
      const at = base + (active[position] ?? 0);
      to[at] = from[at] ?? 0;
    }
  }
}

function compileBinding(statement: Of<'let' | 'var' | 'assign'>, machine: Machine): Run {
  const value = compileExpression(statement.value, machine);
  const lanes = lanesOf(statement.variable, machine);
  return () => copyActive(machine, value(), lanes);
}

function compileArray({ array }: Of<'array'>, machine: Machine): Run {
  const { length, type, name } = array;
  const isFloat = type.element === 'f32' || type.element === 'f64';
  const written = new Uint8Array(length * machine.size);
  const values = new Float64Array(length * type.width * machine.size);
  machine.arrays.set(array.id, { name, length, values, written, log: null, poison: isFloat ? NaN : 0 });
  return () => {
    const { active, count, size } = machine;
    for (let position = 0; position < count; position += 1) {
      for (let at = active[position] ?? 0; at < written.length; at += size) written[at] = 0;
    }
  };
}

function compileSetElement({ array, index, value }: Of<'set-element'>, machine: Machine): Run {
  const [indices, values] = [compileExpression(index, machine), compileExpression(value, machine)];
  const memory = required(machine.arrays.get(array.id), `array ${array.name}`);
  const { width } = array.type;
  return () => {
    const where = indices();
    const from = values();
    const { active, count, size } = machine;
    for (let position = 0; position < count; position += 1) {
      const invocation = active[position] ?? 0;
      const at = where[invocation] ?? 0;
      if (!checkAccess(machine, memory, { index: at, width: 1, aligned: false, invocation })) continue;
      if (memory.written !== null) memory.written[at * size + invocation] = 1;
      for (let component = 0; component < width; component += 1) {
        memory.values[(at * width + component) * size + invocation] = from[component * size + invocation] ?? 0;
      }
    }
  };
}

function compileStore({ buffer, index, value, aligned }: Of<'store'>, machine: Machine): Run {
  const [indices, values] = [compileExpression(index, machine), compileExpression(value, machine)];
  const memory = memoryOf(machine, buffer);
  const round = storageRounding(buffer.storage, machine);
  const { width } = value.type;
  return () => {
    const where = indices();
    const from = values();
    const { active, count, size } = machine;
    for (let position = 0; position < count; position += 1) {
      const invocation = active[position] ?? 0;
      const first = where[invocation] ?? 0;
      if (!checkAccess(machine, memory, { index: first, width, aligned, invocation })) continue;
      for (let component = 0; component < width; component += 1) {
        const stored = from[component * size + invocation] ?? 0;
        const rounded = round === null ? stored : round(stored);
        if (rounded !== stored && (buffer.storage === 'i8' || buffer.storage === 'u8')) {
          machine.report('integer-overflow', { buffer: memory.name, index: first + component, invocation });
        }
        noteWrite(machine, memory, first + component, invocation);
        memory.values[first + component] = rounded;
      }
    }
  };
}

function compileStoreShared({ array, index, value }: Of<'store-shared'>, machine: Machine): Run {
  const [indices, values] = [compileExpression(index, machine), compileExpression(value, machine)];
  const memory = memoryOf(machine, array);
  const { width } = value.type;
  const elements = width / array.type.width;
  return () => {
    const where = indices();
    const from = values();
    const { active, count, size } = machine;
    for (let position = 0; position < count; position += 1) {
      const invocation = active[position] ?? 0;
      const at = where[invocation] ?? 0;
      if (!checkAccess(machine, memory, { index: at, width: elements, aligned: elements > 1, invocation })) continue;
      for (let element = 0; element < elements; element += 1) noteWrite(machine, memory, at + element, invocation);
      for (let component = 0; component < width; component += 1) {
        memory.values[at * array.type.width + component] = from[component * size + invocation] ?? 0;
      }
    }
  };
}

/** Runs `body` with another list of active invocations and restores the present one. */
function withActive(machine: Machine, active: Int32Array, count: number, body: Run): void {
  if (count === 0) return;
  const [outer, outerCount] = [machine.active, machine.count];
  machine.active = active;
  machine.count = count;
  body();
  machine.active = outer;
  machine.count = outerCount;
}

function compileIf({ condition, whenTrue, whenFalse }: Of<'if'>, machine: Machine): Run {
  const test = compileExpression(condition, machine);
  const [onTrue, onFalse] = [compileBody(whenTrue, machine), compileBody(whenFalse, machine)];
  const [yes, no] = [new Int32Array(machine.size), new Int32Array(machine.size)];
  return () => {
    const flags = test();
    const { active, count } = machine;
    let [trueCount, falseCount] = [0, 0];
    for (let position = 0; position < count; position += 1) {
      const invocation = active[position] ?? 0;
      if (flags[invocation] === 0) no[falseCount++] = invocation;
      else yes[trueCount++] = invocation;
    }
    withActive(machine, yes, trueCount, onTrue);
    withActive(machine, no, falseCount, onFalse);
  };
}

function compileFor(statement: Of<'for'>, machine: Machine): Run {
  const index = lanesOf(statement.variable, machine);
  const [start, end] = [compileExpression(statement.start, machine), compileExpression(statement.end, machine)];
  const body = compileBody(statement.body, machine);
  const running = new Int32Array(machine.size);
  const limits = new Float64Array(machine.size);
  /** Writes those of the first `count` that go on into `running`, in order; returns how many. */
  const keepRunning = (from: Int32Array, count: number): number => {
    let kept = 0;
    for (let position = 0; position < count; position += 1) {
      const invocation = from[position] ?? 0;
      if ((index[invocation] ?? 0) < (limits[invocation] ?? 0)) running[kept++] = invocation;
    }
    return kept;
  };
  return () => {
    copyActive(machine, end(), limits);
    copyActive(machine, start(), index);
    const { active, count } = machine;
    machine.count = keepRunning(active, count);
    machine.active = running;
    while (machine.count > 0) {
      body();
      enterStatement(machine, statement);
      for (let position = 0; position < machine.count; position += 1) {
        const invocation = running[position] ?? 0;
        index[invocation] = (index[invocation] ?? 0) + statement.step;
      }
      machine.count = keepRunning(running, machine.count);
    }
    machine.active = active;
    machine.count = count;
  };
}

function compileBarrier(machine: Machine): Run {
  return () => {
    if (machine.count !== machine.size) machine.report('divergent-barrier');
    machine.epoch += 1;
  };
}

function compileStatement(statement: KernelStatement, machine: Machine): Run {
  machine.statement = statement;
  switch (statement.kind) {
    case 'let':
    case 'var':
    case 'assign': return compileBinding(statement, machine);
    case 'array': return compileArray(statement, machine);
    case 'set-element': return compileSetElement(statement, machine);
    case 'store': return compileStore(statement, machine);
    case 'store-shared': return compileStoreShared(statement, machine);
    case 'for': return compileFor(statement, machine);
    case 'if': return compileIf(statement, machine);
    case 'barrier': return compileBarrier(machine);
    case 'comment': return () => {};
    default: return assertNever(statement, 'compileStatement');
  }
}

/** A closure that runs the statements for the active invocations. */
export function compileBody(body: readonly KernelStatement[], machine: Machine): Run {
  const executed = body.filter((each) => each.kind !== 'comment');
  const steps = executed.map((statement) => ({ statement, run: withLanes(machine, () => compileStatement(statement, machine)) }));
  return () => {
    for (const { statement, run } of steps) {
      enterStatement(machine, statement);
      run();
    }
  };
}
