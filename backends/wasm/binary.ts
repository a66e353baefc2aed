/**
 * The binary format: LEB128 numbers, instructions, sections. A module here is a list of functions
 * over one imported shared memory and one exported constant.
 */
import { opcodes, valueTypeCodes, type Instruction, type Opcode, type ValueType } from './opcodes.ts';

/** One function of a module; its parameters are the first locals. */
export type WasmFunction = {
  readonly name: string;
  readonly parameters: readonly ValueType[];
  readonly locals: readonly ValueType[];
  readonly body: readonly Instruction[];
};

export type WasmModule = {
  readonly functions: readonly WasmFunction[];
  /** exported i32 constants */
  readonly constants: readonly { readonly name: string; readonly value: number }[];
};

/** Pages of 64 KiB that the imported memory may have at most: all 32-bit addresses. */
export const memoryPagesMaximum = 65_536;

/** Bytes under construction. */
type Bytes = number[];

function pushUnsigned(into: Bytes, value: number): void {
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    into.push(rest > 0 ? low + 128 : low);
  } while (rest > 0);
}

function pushSigned(into: Bytes, value: number): void {
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const isLast = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    into.push(isLast ? low : low | 0x80);
    if (isLast) return;
  }
}

/** A loop, because spreading a long list into `push` overflows the stack. */
function pushAll(into: Bytes, bytes: ArrayLike<number>): void {
  for (let at = 0; at < bytes.length; at += 1) into.push(bytes[at] ?? 0);
}

const pushNumbers = (into: Bytes, numbers: Float32Array | Float64Array | Int32Array): void =>
  pushAll(into, new Uint8Array(numbers.buffer));

function pushImmediate(into: Bytes, { immediate }: Opcode, values: readonly number[]): void {
  switch (immediate) {
    case 'none':
      return;
    case 'block':
      return void into.push(0x40);
    case 'i32':
      return pushSigned(into, values[0] ?? 0);
    case 'f32':
    case 'f32x4':
      return pushNumbers(into, Float32Array.from(values));
    case 'f64':
      return pushNumbers(into, Float64Array.from(values));
    case 'i32x4':
      return pushNumbers(into, Int32Array.from(values));
    case 'label':
    case 'local':
    case 'memory':
      return values.forEach((each) => pushUnsigned(into, each));
    case 'memory-lane':
      pushUnsigned(into, values[0] ?? 0);
      pushUnsigned(into, values[1] ?? 0);
      return void into.push(values[2] ?? 0);
    case 'lane':
    case 'bytes16':
      return pushAll(into, values);
    default:
      return immediate satisfies never;
  }
}

function pushInstruction(into: Bytes, instruction: Instruction): void {
  if (instruction.kind === 'comment') return;
  const opcode: Opcode = opcodes[instruction.name];
  if (opcode.prefix === 0) into.push(opcode.code);
  else {
    into.push(opcode.prefix);
    pushUnsigned(into, opcode.code);
  }
  pushImmediate(into, opcode, instruction.values);
}

/** Pushes something after the number of its bytes. */
function pushSized(into: Bytes, push: (content: Bytes) => void): void {
  const content: Bytes = [];
  push(content);
  pushUnsigned(into, content.length);
  pushAll(into, content);
}

function pushVector<Item>(into: Bytes, items: readonly Item[], push: (into: Bytes, item: Item, at: number) => void): void {
  pushUnsigned(into, items.length);
  items.forEach((item, at) => push(into, item, at));
}

const pushName = (into: Bytes, text: string): void =>
  pushSized(into, (content) => pushAll(content, new TextEncoder().encode(text)));

function pushSection<Item>(into: Bytes, id: number, items: readonly Item[], push: (into: Bytes, item: Item, at: number) => void): void {
  into.push(id);
  pushSized(into, (content) => pushVector(content, items, push));
}

type LocalRun = { readonly type: ValueType; count: number };

/** Runs of equal types, as the code section wants them. */
function localRuns(locals: readonly ValueType[]): LocalRun[] {
  const runs: LocalRun[] = [];
  for (const type of locals) {
    const last = runs.at(-1);
    if (last !== undefined && last.type === type) last.count += 1;
    else runs.push({ type, count: 1 });
  }
  return runs;
}

function pushFunction(into: Bytes, { locals, body }: WasmFunction): void {
  pushSized(into, (content) => {
    pushVector(content, localRuns(locals), (runs, { type, count }) => {
      pushUnsigned(runs, count);
      runs.push(valueTypeCodes[type]);
    });
    for (const instruction of body) pushInstruction(content, instruction);
    content.push(0x0b);
  });
}

const signatureOf = ({ parameters }: WasmFunction): string => parameters.join(' ');

/** The bytes of a module; every function and constant is exported, the memory is `env.memory`, shared. */
export function encodeModule({ functions, constants }: WasmModule): Uint8Array {
  const types = new Map(functions.map((each) => [signatureOf(each), each.parameters]));
  const signatures = [...types.keys()];
  const exported = [
    ...functions.map(({ name }, at) => ({ name, kind: 0x00, at })),
    ...constants.map(({ name }, at) => ({ name, kind: 0x03, at })),
  ];
  const bytes: Bytes = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  pushSection(bytes, 1, [...types.values()], (into, parameters) => {
    into.push(0x60);
    pushVector(into, parameters, (codes, type) => codes.push(valueTypeCodes[type]));
    into.push(0x00);
  });
  pushSection(bytes, 2, ['memory'], (into, memory) => {
    pushName(into, 'env');
    pushName(into, memory);
    into.push(0x02, 0x03);
    pushUnsigned(into, 1);
    pushUnsigned(into, memoryPagesMaximum);
  });
  pushSection(bytes, 3, functions, (into, each) => pushUnsigned(into, signatures.indexOf(signatureOf(each))));
  pushSection(bytes, 6, constants, (into, { value }) => {
    into.push(valueTypeCodes.i32, 0x00, 0x41);
    pushSigned(into, value);
    into.push(0x0b);
  });
  pushSection(bytes, 7, exported, (into, { name, kind, at }) => {
    pushName(into, name);
    into.push(kind);
    pushUnsigned(into, at);
  });
  pushSection(bytes, 10, functions, pushFunction);
  return new Uint8Array(bytes);
}
