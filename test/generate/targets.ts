/** The executors of a generated case: Tensor IR and Kernel IR interpreters and devices, each giving tensors by `role:subject`. */
import { compileSpec, type CompileOptions, type CompileResult } from '../../backends/compile.ts';
import type { EntryPointName, ManifestTensor } from '../../backends/artifact.ts';
import { interpretPlan, type InterpretOptions } from '../../ir/kernel/interpret.ts';
import { interpretFunction, tensorKey } from '../../ir/tensor/interpret.ts';
import type { Plan } from '../../ir/plan.ts';
import type { DeviceTensor, ExecutionDevice, PreparedLayer, TensorData } from '../../runtime/device.ts';
import { decodeBf16, decodeF16, encodeBf16, encodeF16 } from '../../support/float-bits.ts';
import { required } from '../../support/invariant.ts';
import type { OracleTensor } from '../oracle/evaluate.ts';
import { interpreterArguments, planArguments } from '../support/compiled-case.ts';
import { joinTokens, tokensOfAll } from '../support/pieces.ts';
import { packTensor, unpackTensor } from '../support/oracle-requests.ts';
import type { GeneratedCase } from './case.ts';
import type { RunResults, RunTensor } from './judge.ts';

type Given = ReadonlyMap<string, OracleTensor>;

const resultRoles: ReadonlySet<string> = new Set(['output', 'final', 'gradient']);

/** Everything that entries take, by `role:subject`. */
export function givenTensors({ request }: GeneratedCase): Given {
  const of = (role: string, tensors: Given): [string, OracleTensor][] => [...tensors].map(([name, tensor]) => [tensorKey(role, name), tensor]);
  return new Map([
    ...of('input', request.inputs), ...of('param', request.params), ...of('initial', request.initial),
    ...of('output-cotangent', request.cotangents.outputs), ...of('final-cotangent', request.cotangents.final),
  ]);
}

/** Which gradients a case asks for. */
export function backwardEntry({ layer }: GeneratedCase): 'backward' | 'backwardFinal' {
  return layer.recipe.cotangents === 'both' ? 'backwardFinal' : 'backward';
}

/** What a case runs; steps have a check of their own. */
export function entriesOf(generated: GeneratedCase): ReadonlySet<EntryPointName> {
  return new Set(['forward', 'forwardSaved', backwardEntry(generated)]);
}

/** A layer compiled as its recipe says: intervals, pieces and storage. */
export function compileCase(generated: GeneratedCase, options: CompileOptions): CompileResult {
  const { interval, piecesPer } = generated.layer.recipe;
  return compileSpec(generated.spec, { checkpointInterval: interval, pieceLength: interval * piecesPer, storage: generated.storage, ...options });
}

/** Tensor IR in float64. */
export function runTensorIr(generated: GeneratedCase, { module }: CompileResult): RunResults {
  const { batch, length } = generated.request;
  const run = (name: string, given: ReturnType<typeof interpreterArguments>): ReturnType<typeof interpretFunction> =>
    interpretFunction(module, required(module.functions.find((each) => each.name === name), name), { batch, length, arguments: given });
  const given = interpreterArguments(givenTensors(generated));
  const saved = [...run('forwardSaved', given)].filter(([key]) => key.startsWith('saved:'));
  const all = [...run('forward', given), ...run(backwardEntry(generated), new Map([...given, ...saved]))];
  return new Map(all.filter(([key]) => resultRoles.has(key.split(':')[0] ?? '')).map(([key, value]): [string, RunTensor] =>
    [key, { axes: value.axes, numbers: packTensor({ axes: value.axes, shape: value.shape, re: value.re, im: value.im }) }]));
}

/** Plans in the sanitizing interpreter: a race, an unwritten read or an access out of bounds throws. */
export function runKernelIr(generated: GeneratedCase, plans: readonly Plan[], options: InterpretOptions): RunResults {
  const { batch, length } = generated.request;
  const results = new Map<string, RunTensor>();
  const run = (entry: EntryPointName, saved: ReadonlyMap<string, Float64Array>): ReadonlyMap<string, Float64Array> => {
    const plan = required(plans.find((each) => each.entry === entry), entry);
    const given = new Map([...planArguments(plan.tensors, givenTensors(generated)), ...saved]);
    const { tensors } = interpretPlan(plan, { batch, length }, given, options);
    for (const { name, role, subject, axes } of plan.tensors) {
      if (!resultRoles.has(role)) continue;
      results.set(tensorKey(role, subject ?? ''), { numbers: required(tensors.get(name), name), axes: axes.filter((axis) => axis !== 'complex') });
    }
    return new Map([...tensors].filter(([name]) => plan.tensors.some((each) => each.name === name && each.role === 'saved')));
  };
  run('forward', new Map());
  run(backwardEntry(generated), run('forwardSaved', new Map()));
  return results;
}

function encoded(tensor: ManifestTensor, value: OracleTensor): TensorData {
  const packed = packTensor(value, tensor.axes.filter((axis) => axis !== 'complex'));
  switch (tensor.storage) {
    case 'i32': return Int32Array.from(packed);
    case 'f16': return Uint16Array.from(packed, encodeF16);
    case 'bf16': return Uint16Array.from(packed, encodeBf16);
    default: return Float32Array.from(packed);
  }
}

function decoded(tensor: ManifestTensor, data: TensorData): Float64Array {
  if (tensor.storage === 'f16') return Float64Array.from(data, decodeF16);
  if (tensor.storage === 'bf16') return Float64Array.from(data, decodeBf16);
  return Float64Array.from(data);
}

const givenRoles: ReadonlySet<string> = new Set(['input', 'param', 'initial', 'output-cotangent', 'final-cotangent']);

type EntryResults = { readonly results: RunResults; readonly saved: ReadonlyMap<string, DeviceTensor> };

async function runEntry(layer: PreparedLayer, name: EntryPointName, sizes: { batch: number; length: number }, given: Given, saved: ReadonlyMap<string, DeviceTensor>): Promise<EntryResults> {
  const entry = required(layer.artifact.manifest.entries.find((each) => each.name === name), `entry ${name}`);
  const tensors = new Map<string, TensorData | DeviceTensor>();
  for (const tensor of entry.tensors) {
    const kept = saved.get(tensor.name);
    if (tensor.role === 'saved' && kept !== undefined) tensors.set(tensor.name, kept);
    if (givenRoles.has(tensor.role)) tensors.set(tensor.name, encoded(tensor, required(given.get(tensorKey(tensor.role, tensor.subject ?? '')), tensor.name)));
  }
  const run = await layer.run({ entry: name, sizes, tensors });
  const results = new Map<string, RunTensor>();
  const made = new Map<string, DeviceTensor>();
  for (const tensor of entry.tensors) {
    const value = run.tensors.get(tensor.name);
    if (value === undefined) continue;
    if (tensor.role === 'saved') made.set(tensor.name, value);
    if (!resultRoles.has(tensor.role)) continue;
    const axes = tensor.axes.filter((axis) => axis !== 'complex');
    results.set(tensorKey(tensor.role, tensor.subject ?? ''), { numbers: decoded(tensor, await value.read()), axes });
    value[Symbol.dispose]();
  }
  return { results, saved: made };
}

/** Forward, and backward from what forwardSaved kept, on a device. */
export async function runDevice(generated: GeneratedCase, layer: PreparedLayer): Promise<RunResults> {
  const { batch, length } = generated.request;
  const given = givenTensors(generated);
  const forward = await runEntry(layer, 'forward', { batch, length }, given, new Map());
  const kept = await runEntry(layer, 'forwardSaved', { batch, length }, given, new Map());
  const backward = await runEntry(layer, backwardEntry(generated), { batch, length }, given, kept.saved);
  for (const each of kept.saved.values()) each[Symbol.dispose]();
  return new Map([...forward.results, ...backward.results]);
}

/** Token by token through `step`, the states handed on; null where the layer has none. */
export async function runSteps(generated: GeneratedCase, layer: PreparedLayer): Promise<RunResults | null> {
  const { batch, length, inputs } = generated.request;
  if (!layer.artifact.manifest.entries.some((each) => each.name === 'step')) return null;
  const others = new Map([...givenTensors(generated)].filter(([key]) => !key.startsWith('input:')));
  const outputs = new Map<string, OracleTensor[]>();
  let last = new Map<string, RunTensor>();
  for (let token = 0; token < length; token++) {
    const now = [...tokensOfAll(inputs, token, 1)].map(([name, tensor]) => [tensorKey('input', name), tensor] as const);
    const { results } = await runEntry(layer, 'step', { batch, length: 1 }, new Map([...others, ...now]), new Map());
    last = new Map(results);
    for (const [key, tensor] of results) {
      const unpacked = tokenTensor(generated, key, tensor);
      if (key.startsWith('output:')) outputs.set(key, [...(outputs.get(key) ?? []), unpacked]);
      else others.set(key.replace('final:', 'initial:'), unpacked);
    }
  }
  for (const [key, tokens] of outputs) {
    const joined = joinTokens(tokens);
    last.set(key, { axes: joined.axes, numbers: packTensor(joined) });
  }
  return last;
}

/** A result of one token as a tensor with its shape. */
function tokenTensor({ request, spec }: GeneratedCase, key: string, { numbers, axes }: RunTensor): OracleTensor {
  const sizes = new Map([...spec.axes.map(({ name, size }) => [name, size] as const), ...spec.tails.map(({ name, count }) => [name, count] as const)]);
  sizes.set('batch', request.batch).set('time', 1);
  const shape = axes.map((axis) => required(sizes.get(axis), axis));
  const count = shape.reduce((product, size) => product * size, 1);
  return unpackTensor(numbers, axes, shape, numbers.length === 2 * count ? 'complex' : 'real');
}

/** Prepares, runs and disposes. */
export async function onDevice<T>(device: ExecutionDevice, { artifact }: CompileResult, run: (layer: PreparedLayer) => Promise<T>): Promise<T> {
  const layer = await device.prepare(artifact);
  try {
    return await run(layer);
  } finally {
    layer[Symbol.dispose]();
  }
}
