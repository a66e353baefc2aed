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

function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low + 128 : low);
  } while (rest > 0);
  return bytes;
}

function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const isLast = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(isLast ? low : low | 0x80);
    if (isLast) return bytes;
  }
}

const bytesOf = (numbers: Float32Array | Float64Array | Int32Array): number[] => [
  ...new Uint8Array(numbers.buffer),
];

function encodeImmediate({ immediate }: Opcode, values: readonly number[]): number[] {
  switch (immediate) {
    case 'none':
      return [];
    case 'block':
      return [0x40];
    case 'i32':
      return signed(values[0] ?? 0);
    case 'f32':
    case 'f32x4':
      return bytesOf(Float32Array.from(values));
    case 'f64':
      return bytesOf(Float64Array.from(values));
    case 'i32x4':
      return bytesOf(Int32Array.from(values));
    case 'label':
    case 'local':
    case 'memory':
      return values.flatMap(unsigned);
    case 'memory-lane':
      return [...unsigned(values[0] ?? 0), ...unsigned(values[1] ?? 0), values[2] ?? 0];
    case 'lane':
    case 'bytes16':
      return [...values];
    default:
      return immediate satisfies never;
  }
}

function encodeInstruction(instruction: Instruction): number[] {
  if (instruction.kind === 'comment') return [];
  const opcode: Opcode = opcodes[instruction.name];
  const immediate = encodeImmediate(opcode, instruction.values);
  return opcode.prefix === 0
    ? [opcode.code, ...immediate]
    : [opcode.prefix, ...unsigned(opcode.code), ...immediate];
}

const vectorOf = (items: readonly (readonly number[])[]): number[] => [
  ...unsigned(items.length),
  ...items.flat(),
];
const nameBytes = (text: string): number[] =>
  vectorOf([...new TextEncoder().encode(text)].map((byte) => [byte]));
const section = (id: number, content: readonly number[]): number[] => [
  id,
  ...unsigned(content.length),
  ...content,
];

/** Runs of equal types, as the code section wants them. */
function localRuns(locals: readonly ValueType[]): number[][] {
  const runs: { type: ValueType; count: number }[] = [];
  for (const type of locals) {
    const last = runs.at(-1);
    if (last !== undefined && last.type === type) last.count += 1;
    else runs.push({ type, count: 1 });
  }
  return runs.map(({ type, count }) => [...unsigned(count), valueTypeCodes[type]]);
}

function encodeFunction({ locals, body }: WasmFunction): number[] {
  const code = [...vectorOf(localRuns(locals)), ...body.flatMap(encodeInstruction), 0x0b];
  return [...unsigned(code.length), ...code];
}

function distinctTypes(functions: readonly WasmFunction[]): {
  types: string[];
  indexOf: (one: WasmFunction) => number;
} {
  const keyOf = (one: WasmFunction): string => one.parameters.join(' ');
  const types = [...new Set(functions.map(keyOf))];
  return { types, indexOf: (one) => types.indexOf(keyOf(one)) };
}

/** The bytes of a module; every function and constant is exported, the memory is `env.memory`, shared. */
export function encodeModule({ functions, constants }: WasmModule): Uint8Array {
  const { types, indexOf } = distinctTypes(functions);
  const codes = (key: string): number[][] =>
    key === '' ? [] : key.split(' ').map((type) => [valueTypeCodes[type as ValueType]]);
  const memoryLimits = [0x03, ...unsigned(1), ...unsigned(memoryPagesMaximum)];
  const functionExports = functions.map(({ name }, at) => [...nameBytes(name), 0x00, ...unsigned(at)]);
  const constantExports = constants.map(({ name }, at) => [...nameBytes(name), 0x03, ...unsigned(at)]);
  return Uint8Array.from([
    0x00,
    0x61,
    0x73,
    0x6d,
    0x01,
    0x00,
    0x00,
    0x00,
    ...section(1, vectorOf(types.map((key) => [0x60, ...vectorOf(codes(key)), 0x00]))),
    ...section(2, vectorOf([[...nameBytes('env'), ...nameBytes('memory'), 0x02, ...memoryLimits]])),
    ...section(3, vectorOf(functions.map((one) => unsigned(indexOf(one))))),
    ...section(
      6,
      vectorOf(constants.map(({ value }) => [valueTypeCodes.i32, 0x00, 0x41, ...signed(value), 0x0b])),
    ),
    ...section(7, vectorOf([...functionExports, ...constantExports])),
    ...section(10, vectorOf(functions.map(encodeFunction))),
  ]);
}
