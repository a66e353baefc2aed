/**
 * Kernels to one WebAssembly module. Each kernel is an exported function
 * (firstGroup, endGroup, arguments, scratch) over the linear numbers of its grid's workgroups, so
 * that the runtime can hand ranges of one launch to several workers. The argument block holds i32
 * words: grid x, grid y, the byte addresses of the buffers, the uniforms. The scratch area holds
 * register arrays with varying indices, one area per worker; its size is the exported constant
 * `scratchBytes`.
 */
import { InternalError } from '../../support/invariant.ts';
import type { ArrayId, Builtin, Kernel, RegisterArray } from '../../ir/kernel/nodes.ts';
import { visitExpressions, visitStatements } from '../../ir/kernel/walk.ts';
import type { WasmFunction, WasmModule } from './binary.ts';
import { createEmitter, emit, newLocal, valueTypeOf, type Emitter } from './emitter.ts';
import { elementBytes } from './memory.ts';
import type { InstructionName, ValueType } from './opcodes.ts';
import { emitStatements } from './statement.ts';

const parameters = ['group', 'groupEnd', 'arguments', 'scratch'] as const;
const group = 0;
const groupEnd = 1;
const argumentBlock = 2;
const scratch = 3;

/** Longest register array that is kept in locals. */
const longestLocalArray = 1024;

export type AssembledFunction = WasmFunction & {
  readonly localNames: readonly string[];
  readonly notes: readonly string[];
};
export type AssembledModule = WasmModule & { readonly functions: readonly AssembledFunction[] };

function verifyForWasm(kernel: Kernel): void {
  if (kernel.workgroupSize !== 1)
    throw new InternalError(
      `SSM5003: kernel ${kernel.name} has workgroups of ${kernel.workgroupSize}, WASM takes 1`,
    );
  if (kernel.shared.length > 0)
    throw new InternalError(`SSM5003: kernel ${kernel.name} has workgroup memory, which WASM lacks`);
}

function arraysOf(kernel: Kernel): readonly RegisterArray[] {
  const arrays = new Map<ArrayId, RegisterArray>();
  visitStatements(kernel.body, (statement) => {
    if (statement.kind === 'array') arrays.set(statement.array.id, statement.array);
  });
  return [...arrays.values()];
}

function arraysWithVaryingIndex(kernel: Kernel): ReadonlySet<ArrayId> {
  const varying = new Set<ArrayId>();
  visitExpressions(kernel.body, (expression) => {
    if (expression.kind === 'element' && expression.index.kind !== 'literal')
      varying.add(expression.array.id);
  });
  visitStatements(kernel.body, (statement) => {
    if (statement.kind === 'set-element' && statement.index.kind !== 'literal')
      varying.add(statement.array.id);
  });
  return varying;
}

/** Gives every register array its locals or its bytes of scratch; returns the bytes. */
function placeArrays(emitter: Emitter, kernel: Kernel): number {
  const varying = arraysWithVaryingIndex(kernel);
  let bytes = 0;
  for (const array of arraysOf(kernel)) {
    if (varying.has(array.id) || array.length > longestLocalArray) {
      emitter.arrays.set(array.id, { kind: 'scratch', offset: bytes });
      bytes += Math.ceil((array.length * elementBytes(array.type)) / 16) * 16;
    } else {
      const first = emitter.locals.length;
      for (let at = 0; at < array.length; at++)
        newLocal(emitter, `${array.name}_${at}`, valueTypeOf(array.type));
      emitter.arrays.set(array.id, { kind: 'locals', first });
    }
  }
  return bytes;
}

function builtinsOf(kernel: Kernel): ReadonlySet<Builtin> {
  const found = new Set<Builtin>();
  visitExpressions(kernel.body, (expression) => {
    if (expression.kind === 'builtin') found.add(expression.builtin);
  });
  return found;
}

function emitArgument(emitter: Emitter, word: number, local: number): void {
  emit(emitter, 'local.get', argumentBlock);
  emit(emitter, 'i32.load', 2, 4 * word);
  emit(emitter, 'local.set', local);
}

function emitPrologue(emitter: Emitter, kernel: Kernel): void {
  let word = 2;
  for (const buffer of kernel.buffers) {
    const local = newLocal(emitter, `${buffer.name}_base`, 'i32');
    emitter.bases.set(buffer.id, local);
    emitArgument(emitter, word++, local);
  }
  for (const uniform of kernel.uniforms) {
    const local = newLocal(emitter, uniform.name, 'i32');
    emitter.uniforms.set(uniform.id, local);
    emitArgument(emitter, word++, local);
  }
}

type GridLocals = {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly gridX: number;
  readonly gridY: number;
};

const emitAll = (
  emitter: Emitter,
  instructions: readonly (readonly [InstructionName, ...number[]])[],
): void => instructions.forEach(([name, ...values]) => emit(emitter, name, ...values));

/** x = group % gridX, y = group / gridX % gridY, z = the rest. */
function emitFirstGroup(emitter: Emitter, { x, y, z, gridX, gridY }: GridLocals): void {
  emitArgument(emitter, 0, gridX);
  emitArgument(emitter, 1, gridY);
  emitAll(emitter, [
    ['local.get', group],
    ['local.get', gridX],
    ['i32.rem_u'],
    ['local.set', x],
    ['local.get', group],
    ['local.get', gridX],
    ['i32.div_u'],
    ['local.set', z],
    ['local.get', z],
    ['local.get', gridY],
    ['i32.rem_u'],
    ['local.set', y],
    ['local.get', z],
    ['local.get', gridY],
    ['i32.div_u'],
    ['local.set', z],
  ]);
}

/** The next workgroup in linear order, x fastest. */
function emitNextGroup(emitter: Emitter, { x, y, z, gridX, gridY }: GridLocals): void {
  const increment = (local: number): [InstructionName, ...number[]][] => [
    ['local.get', local],
    ['i32.const', 1],
    ['i32.add'],
    ['local.tee', local],
  ];
  emitAll(emitter, [
    ...increment(x),
    ['local.get', gridX],
    ['i32.eq'],
    ['if'],
    ['i32.const', 0],
    ['local.set', x],
    ...increment(y),
    ['local.get', gridY],
    ['i32.eq'],
    ['if'],
    ['i32.const', 0],
    ['local.set', y],
    ['local.get', z],
    ['i32.const', 1],
    ['i32.add'],
    ['local.set', z],
    ['end'],
    ['end'],
  ]);
}

function emitGroups(emitter: Emitter, kernel: Kernel): void {
  const used = builtinsOf(kernel);
  const needsPosition = used.has('workgroup-x') || used.has('workgroup-y') || used.has('workgroup-z');
  const named = (name: string): number => (needsPosition ? newLocal(emitter, name, 'i32') : 0);
  const grid: GridLocals = {
    x: named('group_x'),
    y: named('group_y'),
    z: named('group_z'),
    gridX: named('grid_x'),
    gridY: named('grid_y'),
  };
  emitter.builtins.set('workgroup-x', grid.x).set('workgroup-y', grid.y).set('workgroup-z', grid.z);
  emitAll(emitter, [['local.get', group], ['local.get', groupEnd], ['i32.lt_s'], ['if']]);
  if (needsPosition) emitFirstGroup(emitter, grid);
  emit(emitter, 'loop');
  emitStatements(emitter, kernel.body);
  if (needsPosition) emitNextGroup(emitter, grid);
  emitAll(emitter, [
    ['local.get', group],
    ['i32.const', 1],
    ['i32.add'],
    ['local.tee', group],
    ['local.get', groupEnd],
    ['i32.lt_s'],
    ['br_if', 0],
    ['end'],
    ['end'],
  ]);
}

function assembleKernel(kernel: Kernel): {
  readonly assembled: AssembledFunction;
  readonly scratchBytes: number;
} {
  verifyForWasm(kernel);
  const emitter = createEmitter(scratch);
  for (const name of parameters) emitter.locals.push({ name, type: 'i32' });
  const scratchBytes = placeArrays(emitter, kernel);
  emitPrologue(emitter, kernel);
  emitGroups(emitter, kernel);
  const types: readonly ValueType[] = emitter.locals.map(({ type }) => type);
  const assembled: AssembledFunction = {
    name: kernel.name,
    notes: kernel.notes,
    parameters: types.slice(0, parameters.length),
    locals: types.slice(parameters.length),
    body: emitter.body,
    localNames: emitter.locals.map(({ name }) => name),
  };
  return { assembled, scratchBytes };
}

/** All kernels (each with a name of its own) as one module. */
export function assembleModule(kernels: readonly Kernel[]): AssembledModule {
  const parts = kernels.map(assembleKernel);
  const scratchBytes = parts.reduce((most, part) => Math.max(most, part.scratchBytes), 0);
  return {
    functions: parts.map(({ assembled }) => assembled),
    constants: [{ name: 'scratchBytes', value: scratchBytes }],
  };
}
