/**
 * The state of one function under construction: instructions so far, locals with readable names, and
 * where the kernel's variables, buffers, uniforms and register arrays live.
 */
import { required } from '../../support/invariant.ts';
import type {
  ArrayId,
  BufferId,
  Builtin,
  ElementType,
  KernelType,
  UniformId,
  VariableId,
} from '../../ir/kernel/nodes.ts';
import type { Instruction, InstructionName, ValueType } from './opcodes.ts';

/** A register array: a run of locals (all indices constant) or bytes of the scratch area. */
export type ArrayPlace =
  | { readonly kind: 'locals'; readonly first: number }
  | { readonly kind: 'scratch'; readonly offset: number };

export type Emitter = {
  readonly body: Instruction[];
  readonly locals: { readonly name: string; readonly type: ValueType }[];
  readonly free: Record<ValueType, number[]>;
  /** swapped while an expansion with its own names is emitted */
  variables: Map<VariableId, number>;
  readonly bases: Map<BufferId, number>;
  readonly uniforms: Map<UniformId, number>;
  readonly builtins: Map<Builtin, number>;
  readonly arrays: Map<ArrayId, ArrayPlace>;
  /** local that holds the address of the scratch area */
  readonly scratch: number;
};

const scalarTypes: Readonly<Record<ElementType, ValueType>> = {
  f32: 'f32',
  f64: 'f64',
  i32: 'i32',
  u32: 'i32',
  bool: 'i32',
};

/** The WebAssembly type that holds a value; vectors of two use the low half of a v128. */
export function valueTypeOf(type: KernelType): ValueType {
  return type.width === 1 ? scalarTypes[type.element] : 'v128';
}

export function createEmitter(scratch: number): Emitter {
  return {
    body: [],
    locals: [],
    free: { i32: [], f32: [], f64: [], v128: [] },
    variables: new Map(),
    bases: new Map(),
    uniforms: new Map(),
    builtins: new Map(),
    arrays: new Map(),
    scratch,
  };
}

/** Appends an instruction. */
export function emit(emitter: Emitter, name: InstructionName, ...values: readonly number[]): void {
  emitter.body.push({ kind: 'instruction', name, values });
}

/** A new local; names are reduced to characters that the text format takes and made unique by number. */
export function newLocal(emitter: Emitter, name: string, type: ValueType): number {
  const index = emitter.locals.length;
  emitter.locals.push({ name: `${name.replace(/[^A-Za-z0-9_]/g, '_')}.${index}`, type });
  return index;
}

/** Runs `use` with a local that may be taken again afterwards. */
export function withTemporary(emitter: Emitter, type: ValueType, use: (local: number) => void): void {
  const local = emitter.free[type].pop() ?? newLocal(emitter, 'temporary', type);
  use(local);
  emitter.free[type].push(local);
}

/** The local of a variable, made on first sight. */
export function localOf(
  emitter: Emitter,
  variable: { readonly id: VariableId; readonly name: string; readonly type: KernelType },
): number {
  const known = emitter.variables.get(variable.id);
  if (known !== undefined) return known;
  const made = newLocal(emitter, variable.name, valueTypeOf(variable.type));
  emitter.variables.set(variable.id, made);
  return made;
}

/** An entry that must have been prepared before the body. */
export function placeOf<Key, Place>(places: ReadonlyMap<Key, Place>, key: Key, what: string): Place {
  return required(places.get(key), `WASM place of ${what}`);
}
