/**
 * Writes the CUDA check of the scan kernels: small cases against the float64 interpreter with random
 * numbers, and large ones for timing. Usage: node …/scan-suite.js DIRECTORY [wanted layer name]
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compileSpec, type CompileOptions } from '../../backends/compile.ts';
import type { EntryPointName } from '../../backends/artifact.ts';
import { loadLayer } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { interpretFunction, tensorKey, type Tensor } from '../../ir/tensor/interpret.ts';
import type { TensorModule } from '../../ir/tensor/ops.ts';
import { required } from '../../support/invariant.ts';
import { roundToBf16 } from '../../support/float-bits.ts';
import type { GpuCase } from './pack-case.ts';
import { writeCudaHostProject } from './write-project.ts';

type Workload = {
  readonly name: string;
  readonly file: string;
  readonly options: Omit<CompileOptions, 'target'>;
  readonly sizes: Readonly<Record<string, number>>;
  readonly timed: readonly { readonly batch: number; readonly length: number }[];
  readonly checked: { readonly batch: number; readonly length: number };
};

/** Ranges of random numbers: what keeps a layer in its working regime. */
const ranges: Readonly<Record<string, readonly [number, number]>> = {
  A_log: [0, 2.8], delta: [-1, 1], delta_bias: [-6, -2], a_re: [-1, 0], a_im: [0, 30], log_dt: [-6, -3], log_step: [-6, -3],
};
const defaultRange = [-1, 1] as const;

/** The published selective scan under other schedule parameters, for timing. */
const variants: readonly Workload[] = [[4, 128, 16], [8, 128, 16], [8, 256, 16], [2, 128, 16]].map(([lanes = 4, workgroupSize = 128, tile = 16]) => ({
  name: `s6-bf16-l${lanes}-w${workgroupSize}-t${tile}`, file: 'examples/s6.ssm', sizes: { D: 2048, N: 16 }, timed: [{ batch: 8, length: 2048 }], checked: { batch: 1, length: 21 },
  options: { storage: 'bf16', checkpointInterval: tile, schedule: () => ({ parameters: { kind: 'lanes', lanes, workgroupSize, tile, channelSums: 'shuffle' }, split: null }) },
}));

const workloads: readonly Workload[] = [
  ...variants,
  { name: 's6-bf16', file: 'examples/s6.ssm', options: { storage: 'bf16' }, sizes: { D: 2048, N: 16 }, timed: [{ batch: 8, length: 2048 }], checked: { batch: 1, length: 21 } },
  { name: 's6-f32', file: 'examples/s6.ssm', options: { storage: 'f32' }, sizes: { D: 2048, N: 16 }, timed: [{ batch: 8, length: 2048 }], checked: { batch: 2, length: 19 } },
  { name: 's6-long', file: 'examples/s6.ssm', options: { storage: 'bf16', mode: 'scan', pieceLength: 512 }, sizes: { D: 2048, N: 16 }, timed: [{ batch: 1, length: 65536 }], checked: { batch: 1, length: 21 } },
  { name: 's6-odd', file: 'examples/s6.ssm', options: { storage: 'f32' }, sizes: { D: 37, N: 8 }, timed: [], checked: { batch: 3, length: 257 } },
  { name: 's6-scan', file: 'examples/s6.ssm', options: { storage: 'f32', mode: 'scan', pieceLength: 64 }, sizes: { D: 96, N: 16 }, timed: [{ batch: 1, length: 65536 }], checked: { batch: 1, length: 261 } },
  { name: 's4d', file: 'examples/s4d.ssm', options: { storage: 'f32' }, sizes: { D: 1024, N: 32 }, timed: [{ batch: 8, length: 1024 }], checked: { batch: 1, length: 67 } },
  { name: 'rg-lru', file: 'examples/rg-lru.ssm', options: { storage: 'f32' }, sizes: {}, timed: [], checked: { batch: 1, length: 19 } },
];

function seeded(seed: number): () => number {
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
function randomArguments(module: TensorModule, spec: LayerSpec, run: { batch: number; length: number }, storage: string): Map<string, Tensor> {
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
      const drawn = randomTensor(axes, axes.map(sizeOf), ranges[op.subject] ?? defaultRange, next, op.part !== 'whole', round);
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

const runs: readonly EntryPointName[] = ['forward', 'forwardSaved', 'backward'];

async function write(workload: Workload, directory: string): Promise<void> {
  const text = await readFile(workload.file, 'utf8');
  const { spec, diagnostics } = loadLayer({ name: workload.file, text }, null, { sizes: new Map(Object.entries(workload.sizes)) });
  if (spec === null) throw new Error(`${workload.file}: ${diagnostics[0]?.message ?? 'no layer'}`);
  const { artifact, module } = compileSpec(spec, { ...workload.options, target: 'cuda' });
  const storage = workload.options.storage ?? 'f32';
  const given = randomArguments(module, spec, workload.checked, storage);
  const results = new Map<string, Tensor>();
  for (const entry of runs) {
    const body = required(module.functions.find((each) => each.name === entry), entry);
    const known = new Map([...given, ...results]);
    for (const [key, value] of interpretFunction(module, body, { ...workload.checked, arguments: known })) results.set(key, value);
  }
  const inputs = new Map<string, Float64Array>();
  const expected = new Map<string, Float64Array>();
  for (const entry of artifact.manifest.entries) {
    if (!runs.includes(entry.name)) continue;
    for (const tensor of entry.tensors) {
      const key = tensorKey(tensor.role, tensor.subject ?? '');
      const from = given.get(key);
      if (from !== undefined) inputs.set(tensor.name, interleaved(from, tensor.axes));
      const wanted = results.get(key);
      if (wanted !== undefined && tensor.role !== 'saved') expected.set(tensor.name, interleaved(wanted, tensor.axes));
    }
  }
  const checked: GpuCase = { name: `${workload.name}-check`, ...workload.checked, runs, inputs, expected, random: new Map(), tolerance: storage === 'f32' ? 1e-5 : 6e-3 };
  const timed = workload.timed.map(({ batch, length }): GpuCase => ({
    name: `${workload.name}-B${batch}-L${length}`, batch, length, runs, inputs: new Map(), expected: new Map(), tolerance: 1,
    random: new Map([...inputs.keys()].map((name) => [name, ranges[name] ?? defaultRange])),
  }));
  await writeCudaHostProject(artifact, [checked, ...timed], join(directory, workload.name));
}

const [directory, wanted] = process.argv.slice(2);
if (directory === undefined) throw new Error('usage: scan-suite DIRECTORY [name]');
for (const workload of workloads) if (wanted === undefined || workload.name === wanted) await write(workload, directory);
