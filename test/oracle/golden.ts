/**
 * Golden data as cases: numbers that published code computed, bound to a text of the language that
 * says the same system. A binding is data: which tensor of the file is which name of the text, and
 * what each of its dimensions means. Any evaluator (the oracle, the compiler on a device) can run
 * the same cases.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';
import { invariant, required } from '../../support/invariant.ts';
import { readSafetensors, type SafetensorsFile } from '../../runtime/io/safetensors.ts';
import { goldenSystems, type Binding, type GoldenSystem } from './golden-systems.ts';
import type { OracleTensor } from './node-tensor.ts';

export type GoldenCase = {
  /** name of the file and of the text */
  readonly name: string;
  readonly load: () => GoldenData;
};

type Tensors = ReadonlyMap<string, OracleTensor>;

export type GoldenGradients = { readonly inputs: Tensors; readonly params: Tensors; readonly initial: Tensors };

export type GoldenData = {
  readonly name: string;
  /** the layer, which is the last of its text */
  readonly text: string;
  readonly batch: number;
  readonly length: number;
  readonly sizes: ReadonlyMap<string, number>;
  readonly inputs: Tensors;
  readonly params: Tensors;
  readonly initial: Tensors;
  /** expected */
  readonly outputs: Tensors;
  readonly final: Tensors;
  /** of L = ⟨outputs, cotangents⟩ and its gradients, `grad.*` of the file */
  readonly ofOutputs: { readonly cotangents: Tensors; readonly gradients: GoldenGradients };
  /** of L = ⟨final, cotangents⟩ and its gradients, `gradf.*` of the file; null where it has none */
  readonly ofFinal: { readonly cotangents: Tensors; readonly gradients: GoldenGradients } | null;
};

const folder =
  process.env['STATEFUSE_GOLDEN'] ?? join(dirname(fileURLToPath(import.meta.url)), '..', 'golden-data');
const texts = join(dirname(fileURLToPath(import.meta.url)), '..', 'golden-data');

/** The tensors of one golden file as they are (hippo_matrices has no layer). */
export function readGoldenFile(name: string): SafetensorsFile {
  return readSafetensors(readFileSync(join(folder, `${name}.safetensors`)));
}

/** All systems that have a text. */
export const goldenCases: readonly GoldenCase[] = goldenSystems.map((system) => ({
  name: system.name,
  load: () => loadCase(system),
}));

function loadCase(system: GoldenSystem): GoldenData {
  const file = readGoldenFile(system.name);
  const read = (bindings: readonly Binding[], prefix: string): Tensors =>
    new Map(bindings.flatMap((binding) => {
      const tensor = readBinding(file, system, binding, prefix);
      return tensor === null ? [] : [[binding.name, tensor] as const];
    }));
  const gradients = (prefix: string): GoldenGradients => ({
    inputs: read(system.inputs, prefix),
    params: read(system.params, prefix),
    initial: read(system.initial, prefix),
  });
  const hasFinal = file.tensors.has(`gradf.${system.inputs[0]?.golden ?? ''}`);
  return {
    name: system.name,
    text: readFileSync(join(texts, `${system.name}.ssm`), 'utf8'),
    batch: required(system.sizes['batch'], 'batch'),
    length: required(system.sizes['time'], 'time'),
    sizes: new Map(Object.entries(system.sizes).filter(([axis]) => axis !== 'batch' && axis !== 'time')),
    inputs: read(system.inputs, ''),
    params: read(system.params, ''),
    initial: read(system.initial, ''),
    outputs: read(system.outputs, ''),
    final: read(system.final, ''),
    ofOutputs: { cotangents: read(system.outputs, 'grad_'), gradients: gradients('grad.') },
    ofFinal: hasFinal ? { cotangents: read(system.final, 'grad_'), gradients: gradients('gradf.') } : null,
  };
}

type Numbers = { readonly shape: readonly number[]; readonly values: Float64Array };

function numbersOf(file: SafetensorsFile, name: string): Numbers | null {
  const tensor = file.tensors.get(name);
  return tensor === undefined ? null : { shape: tensor.shape, values: Float64Array.from(tensor.data, Number) };
}

/** null where the file has no such tensor (gradients of flags, of systems without them). */
function readBinding(
  file: SafetensorsFile,
  system: GoldenSystem,
  binding: Binding,
  prefix: string,
): OracleTensor | null {
  const name = `${prefix}${binding.golden}`;
  const re = numbersOf(file, name) ?? numbersOf(file, `${name}.re`);
  const im = numbersOf(file, `${name}.im`);
  if (re === null) {
    invariant(prefix !== '', `golden file ${system.name} has no tensor ${name}`);
    return null;
  }
  const real = arrange(re, system, binding.layout, 0);
  let imaginary = im === null ? null : arrange(im, system, binding.layout, 0);
  if (binding.layout.includes('pair')) imaginary = arrange(re, system, binding.layout, 1);
  return { axes: real.axes, shape: real.shape, re: real.values, im: imaginary?.values ?? null };
}

/** One dimension of a golden tensor: the axes it splits into, and where it starts. */
type Dimension = { readonly axes: readonly string[]; readonly start: number; readonly isFixed: boolean };

function dimensionOf(entry: string, part: number): Dimension {
  if (entry === 'pair') return { axes: [], start: part, isFixed: true };
  if (entry.startsWith('#')) return { axes: [], start: Number(entry.slice(1)), isFixed: true };
  const [axes = '', start = '0'] = entry.split('@');
  return { axes: axes.split('*'), start: Number(start), isFixed: false };
}

function arrange(
  numbers: Numbers,
  system: GoldenSystem,
  layout: readonly string[],
  part: number,
): { axes: readonly string[]; shape: readonly number[]; values: Float64Array } {
  const rank = numbers.shape.length;
  invariant(layout.length === rank, `layout [${layout.join(', ')}] of a tensor of ${rank} dimensions`);
  const dimensions = layout.map((entry) => dimensionOf(entry, part));
  const axes = dimensions.flatMap((dimension) => dimension.axes);
  const shape = axes.map((axis) => required(system.sizes[axis], `size of ${axis}`));
  let offsets = [0];
  dimensions.forEach((dimension, at) => {
    const size = required(numbers.shape[at], 'size');
    const count = dimension.axes.reduce((product, axis) => product * required(system.sizes[axis], axis), 1);
    const whole = dimension.isFixed || layout[at]?.includes('@') === true || count === size;
    const fits = whole && dimension.start + count <= size;
    invariant(fits, `layout entry ${layout[at]} of a dimension of size ${size}`);
    offsets = offsets.flatMap((offset) =>
      Array.from({ length: count }, (_, index) => offset * size + dimension.start + index));
  });
  return { axes, shape, values: Float64Array.from(offsets, (offset) => numbers.values[offset]!) };
}
