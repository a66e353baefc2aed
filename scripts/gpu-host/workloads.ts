/**
 * What the suites on a GPU host share: workloads as data, random arguments that keep a layer in its
 * working regime, and the float64 numbers that a run must give (by the Tensor IR's interpreter).
 */
import { readFile } from 'node:fs/promises';
import type { Artifact, EntryPointName } from '../../backends/artifact.ts';
import type { CompileOptions } from '../../backends/compile.ts';
import { loadLayer } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { interpretFunction, tensorKey, type Tensor } from '../../ir/tensor/interpret.ts';
import type { TensorModule } from '../../ir/tensor/ops.ts';
import { required } from '../../support/invariant.ts';
import type { RunSizes } from '../../support/size.ts';
import { roundToBf16 } from '../../support/float-bits.ts';

export type Workload = {
  readonly name: string;
  readonly file: string;
  readonly options: Omit<CompileOptions, 'target'>;
  /** of the layer's axes; absent ones as declared */
  readonly sizes: Readonly<Record<string, number>>;
  readonly timed: readonly RunSizes[];
  readonly checked: RunSizes;
};

/** Entries in the order in which they are run: saved tensors feed the backward pass. */
export const suiteEntries: readonly EntryPointName[] = ['forward', 'forwardSaved', 'backward'];

/** Ranges of random numbers: what keeps a layer in its working regime. */
const ranges: Readonly<Record<string, readonly [number, number]>> = {
  A_log: [0, 2.8], delta: [-1, 1], delta_bias: [-6, -2], a_re: [-1, 0], a_im: [0, 30], log_dt: [-6, -3], log_step: [-6, -3],
};
const defaultRange = [-1, 1] as const;

/** Range of the random numbers of a tensor or subject. */
export function rangeOf(name: string): readonly [number, number] {
  return ranges[name] ?? defaultRange;
}

/** Uniform numbers in [0, 1), the same for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function randomTensor(axes: readonly string[], shape: readonly number[], range: readonly [number, number], next: () => number, isComplex: boolean, round: (value: number) => number): Tensor {
  const count = shape.reduce((product, each) => product * each, 1);
  const draw = (): Float64Array => Float64Array.from({ length: count }, () => round(range[0] + (range[1] - range[0]) * next()));
  return { axes, shape, re: draw(), im: isComplex ? draw() : null };
}

/** Random arguments of all functions of a module. */
function randomArguments(module: TensorModule, spec: LayerSpec, run: RunSizes, storage: string): Map<string, Tensor> {
  const next = seeded(7);
  const given = new Map<string, Tensor>();
  const sizeOf = (axis: string): number => (axis === 'batch' ? run.batch : axis === 'time' ? run.length : required(spec.axes.find((each) => each.name === axis), axis).size);
  for (const body of module.functions) {
    for (const { op, results } of body.instructions) {
      if (op.kind !== 'argument' || op.role === 'saved') continue;
      const key = tensorKey(op.role, op.subject);
      const { axes, dtype } = required(results[0], 'argument').type;
      if (given.has(key)) continue;
      const round = storage === 'bf16' && (op.role === 'input' || op.role === 'output-cotangent') ? (value: number): number => roundToBf16(Math.fround(value)) : Math.fround;
      const drawn = randomTensor(axes, axes.map(sizeOf), rangeOf(op.subject), next, op.part !== 'whole', round);
      given.set(key, dtype === 'flag' || dtype === 'index' ? { ...drawn, re: drawn.re.map((value) => (value > 0.8 ? 1 : 0)) } : drawn);
    }
  }
  return given;
}

/** The numbers in another order of the axes. */
function reordered(value: Tensor, axes: readonly string[]): Tensor {
  const shape = axes.map((axis) => required(value.shape[value.axes.indexOf(axis)], axis));
  const strides = value.axes.map((_, at) => value.shape.slice(at + 1).reduce((product, each) => product * each, 1));
  const places = Array.from({ length: value.re.length }, (_, flat) => {
    let rest = flat;
    let place = 0;
    for (let at = axes.length - 1; at >= 0; at--) {
      const size = required(shape[at], 'size');
      place += (rest % size) * required(strides[value.axes.indexOf(required(axes[at], 'axis'))], 'stride');
      rest = Math.floor(rest / size);
    }
    return place;
  });
  const pick = (from: Float64Array): Float64Array => Float64Array.from(places, (place) => required(from[place], 'element'));
  return { axes, shape, re: pick(value.re), im: value.im === null ? null : pick(value.im) };
}

function interleaved(given: Tensor, axes: readonly string[]): Float64Array {
  const value = reordered(given, axes.filter((axis) => axis !== 'complex'));
  const { re, im } = value;
  return im === null ? re : Float64Array.from({ length: re.length * 2 }, (_, at) => required(at % 2 === 0 ? re[at >> 1] : im[at >> 1], 'part'));
}

/** The checked layer of a workload; throws with the first diagnostic. */
export async function readLayer(workload: Workload): Promise<LayerSpec> {
  const text = await readFile(workload.file, 'utf8');
  const { spec, diagnostics } = loadLayer({ name: workload.file, text }, null, { sizes: new Map(Object.entries(workload.sizes)) });
  if (spec === null) throw new Error(`${workload.file}: ${diagnostics[0]?.message ?? 'no layer'}`);
  return spec;
}

/** Numbers of a workload's check by tensor name: what it is given, and the float64 results. */
export type Reference = { readonly inputs: Map<string, Float64Array>; readonly expected: Map<string, Float64Array> };

/** Draws arguments for the check of a compiled workload and interprets its entries on them. */
export function interpretWorkload(workload: Workload, spec: LayerSpec, compiled: { readonly artifact: Artifact; readonly module: TensorModule }): Reference {
  const { artifact, module } = compiled;
  const given = randomArguments(module, spec, workload.checked, workload.options.storage ?? 'f32');
  const results = new Map<string, Tensor>();
  for (const entry of suiteEntries) {
    const body = required(module.functions.find((each) => each.name === entry), entry);
    const known = new Map([...given, ...results]);
    for (const [key, value] of interpretFunction(module, body, { ...workload.checked, arguments: known })) results.set(key, value);
  }
  const inputs = new Map<string, Float64Array>();
  const expected = new Map<string, Float64Array>();
  for (const entry of artifact.manifest.entries) {
    if (!suiteEntries.includes(entry.name)) continue;
    for (const tensor of entry.tensors) {
      const key = tensorKey(tensor.role, tensor.subject ?? '');
      const from = given.get(key);
      if (from !== undefined) inputs.set(tensor.name, interleaved(from, tensor.axes));
      const wanted = results.get(key);
      if (wanted !== undefined && tensor.role !== 'saved') expected.set(tensor.name, interleaved(wanted, tensor.axes));
    }
  }
  return { inputs, expected };
}
