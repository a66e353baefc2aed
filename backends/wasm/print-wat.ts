/** The module in WebAssembly's text format, for readers; it assembles to the same instructions. */
import { memoryPagesMaximum } from './binary.ts';
import { opcodes, type Instruction, type InstructionName, type Opcode } from './opcodes.ts';
import type { AssembledFunction, AssembledModule } from './assemble.ts';

function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return Object.is(value, -0) ? '-0' : String(value);
}

/** One line of printable ASCII. */
const plainText = (text: string): string => text.replace(/[^\x20-\x7e]/g, ' ');

function immediateText(
  name: InstructionName,
  values: readonly number[],
  localNames: readonly string[],
): string {
  const opcode: Opcode = opcodes[name];
  switch (opcode.immediate) {
    case 'none':
    case 'block':
      return '';
    case 'local':
      return ` $${localNames[values[0] ?? 0] ?? ''}`;
    case 'f32':
    case 'f64':
    case 'f32x4':
      return ` ${values.map(floatText).join(' ')}`;
    case 'i32':
    case 'i32x4':
    case 'label':
    case 'lane':
    case 'bytes16':
      return ` ${values.join(' ')}`;
    case 'memory':
    case 'memory-lane': {
      const [alignment = 0, offset = 0, ...lane] = values;
      const place = offset > 0 ? ` offset=${offset}` : '';
      return `${place} align=${2 ** alignment}${lane.map((each) => ` ${each}`).join('')}`;
    }
    default:
      return opcode.immediate satisfies never;
  }
}

function instructionLines(body: readonly Instruction[], localNames: readonly string[]): string[] {
  let depth = 2;
  return body.map((instruction) => {
    if (instruction.kind === 'comment') return `${'  '.repeat(depth)};; ${plainText(instruction.text)}`;
    const { name, values } = instruction;
    if (name === 'end' || name === 'else') depth -= 1;
    const line = `${'  '.repeat(depth)}${name}${immediateText(name, values, localNames)}`;
    if (name === 'if' || name === 'loop' || name === 'block' || name === 'else') depth += 1;
    return line;
  });
}

function functionLines({ name, notes, parameters, locals, localNames, body }: AssembledFunction): string[] {
  const declare = (keyword: string, types: readonly string[], first: number): string[] =>
    types.map((type, at) => `(${keyword} $${localNames[first + at] ?? ''} ${type})`);
  return [
    ...notes.map((note) => `  ;; ${plainText(note)}`),
    `  (func (export "${name}") ${declare('param', parameters, 0).join(' ')}`,
    ...declare('local', locals, parameters.length).map((line) => `    ${line}`),
    ...instructionLines(body, localNames),
    '  )',
  ];
}

/** The text of a module. */
export function printWat(module: AssembledModule): string {
  return [
    '(module',
    `  (import "env" "memory" (memory 1 ${memoryPagesMaximum} shared))`,
    ...module.functions.flatMap(functionLines),
    ...module.constants.map(({ name, value }) => `  (global (export "${name}") i32 (i32.const ${value}))`),
    ')',
    '',
  ].join('\n');
}
