/**
 * Checks and times WGSL kernels on this machine's GPU through Dawn: small runs against the float64
 * interpreter, large ones on the device's clock. One JSON line per result goes to $OUT/webgpu.jsonl.
 * Usage: node …/webgpu-suite.js [--list] [--small] [NAME…]   (from a folder that has examples/)
 */
import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from 'webgpu';
import type { Artifact, EntryPointName, ManifestEntry, ManifestTensor } from '../../backends/artifact.ts';
import { compileSpec, type CompileOptions, type CompileResult } from '../../backends/compile.ts';
import { wgslOptionsFor } from '../../backends/wgsl/adapter.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import type { DeviceTensor, ExecutionDevice, PreparedLayer, RunResult, TensorData } from '../../runtime/device.ts';
import { acquire } from '../../runtime/webgpu/index.ts';
import { bytesPerElement } from '../../runtime/storage.ts';
import { decodeBf16, decodeF16, encodeBf16, encodeF16 } from '../../support/float-bits.ts';
import { required } from '../../support/invariant.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';
import { interpretWorkload, rangeOf, readLayer, seeded, suiteEntries, type Reference } from './workloads.ts';
import { webGpuWorkloads, type WebGpuWorkload } from './webgpu-workloads.ts';

/** Relative L2 of results: f32, and tensors of 16-bit floats. */
const tolerances = { f32: 1e-5, f16: 1e-3, bf16: 8e-3 } as const;
/**
 * Runs that are queued at once; of each queue the first do not count. Before the counted queues others keep
 * the GPU busy for a while: a process that leaves its GPU idle for seconds (here: while the reference is
 * computed) finds it slow, by a factor of five on an H200, and a few dozen kernels do not wake it up.
 */
const queued = 10;
const uncounted = 4;
const heatMilliseconds = 2500;

type Plan = { readonly repeats: number; readonly small: boolean; readonly output: string };
type Subject = { readonly workload: WebGpuWorkload; readonly device: ExecutionDevice; readonly prepared: PreparedLayer; readonly plan: Plan };

async function record(plan: Plan, line: Readonly<Record<string, unknown>>): Promise<void> {
  await appendFile(join(plan.output, 'webgpu.jsonl'), `${JSON.stringify(line)}\n`);
}

/** Kept for the whole run: Dawn aborts when an instance is collected whose devices are still in use. */
const instances: GPU[] = [];

/** A device with timestamps of full resolution, or on the wall clock where the adapter has none. */
async function openDevice(): Promise<ExecutionDevice> {
  const gpu = create(['enable-dawn-features=allow_unsafe_apis', 'disable-dawn-features=timestamp_quantization', ...(process.env['DAWN_OPTIONS']?.split(' ') ?? [])]);
  instances.push(gpu);
  const adapter = await gpu.requestAdapter();
  if (adapter === null) throw new Error('WebGPU found no adapter');
  return acquire(gpu, {
    timing: adapter.features.has('timestamp-query') ? 'device' : 'wall-clock', watchdogMilliseconds: 300_000,
  });
}

function compileWorkload(workload: WebGpuWorkload, spec: LayerSpec, device: ExecutionDevice): CompileResult {
  const forAdapter: Partial<CompileOptions> = workload.device === 'portable' ? {} : wgslOptionsFor(device.info.details);
  return compileSpec(spec, { ...workload.options, ...forAdapter, target: 'wgsl' });
}

function entryOf(artifact: Artifact, name: EntryPointName): ManifestEntry {
  return required(artifact.manifest.entries.find((each) => each.name === name), `entry ${name}`);
}

function isGiven(tensor: ManifestTensor, entry: EntryPointName): boolean {
  return !['output', 'final', 'gradient', 'scratch'].includes(tensor.role) && !(tensor.role === 'saved' && entry === 'forwardSaved');
}

function inStorage(tensor: ManifestTensor, numbers: ArrayLike<number>): TensorData {
  if (tensor.storage === 'f32') return Float32Array.from(numbers);
  if (tensor.storage === 'i32') return Int32Array.from(numbers);
  if (tensor.storage === 'bf16') return Uint16Array.from(numbers, encodeBf16);
  if (tensor.storage === 'f16') return Uint16Array.from(numbers, encodeF16);
  throw new Error(`the suite has no numbers of ${tensor.storage} (\`${tensor.name}\`)`);
}

/** The numbers that a tensor's data stands for. */
function numbersOf({ storage }: DeviceTensor, data: TensorData): ArrayLike<number> {
  if (storage === 'bf16') return Float32Array.from(data, decodeBf16);
  return storage === 'f16' ? Float32Array.from(data, decodeF16) : data;
}

function pickGiven(entry: ManifestEntry, from: (tensor: ManifestTensor) => TensorData | DeviceTensor): Map<string, TensorData | DeviceTensor> {
  return new Map(entry.tensors.filter((each) => isGiven(each, entry.name)).map((each) => [each.name, from(each)]));
}

/** Relative L2 error; NaN and infinity never pass a comparison with it. */
function relativeError(found: ArrayLike<number>, wanted: Float64Array): number {
  if (found.length !== wanted.length) return Infinity;
  let difference = 0;
  let size = 0;
  for (let at = 0; at < wanted.length; at++) {
    difference += ((found[at] ?? NaN) - (wanted[at] ?? NaN)) ** 2;
    size += (wanted[at] ?? NaN) ** 2;
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(size), 1e-30);
}

function sameBits(left: TensorData, right: TensorData): boolean {
  const bytes = (data: TensorData): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return bytes(left).equals(bytes(right));
}

type Check = { readonly compared: number; readonly worst: number; readonly worstTensor: string; readonly equalBits: boolean };

/** Runs an entry twice on the reference's inputs: errors of the first, and whether the second has its bits. */
async function checkEntry(
  { prepared, workload }: Subject, name: EntryPointName, reference: Reference, saved: Map<string, DeviceTensor>,
): Promise<Check> {
  const entry = entryOf(prepared.artifact, name);
  const tensors = pickGiven(entry, (tensor) => (tensor.role === 'saved' ? required(saved.get(tensor.name), tensor.name)
    : inStorage(tensor, required(reference.inputs.get(tensor.name), tensor.name))));
  const first = await prepared.run({ entry: name, sizes: workload.checked, tensors });
  const second = await prepared.run({ entry: name, sizes: workload.checked, tensors });
  let check: Check = { compared: 0, worst: 0, worstTensor: '', equalBits: true };
  for (const [tensor, value] of first.tensors) {
    const numbers = await value.read();
    const equalBits = check.equalBits && sameBits(numbers, await required(second.tensors.get(tensor), tensor).read());
    const wanted = reference.expected.get(tensor);
    const error = wanted === undefined ? 0 : relativeError(numbersOf(value, numbers), wanted);
    const isWorse = !(error <= check.worst);
    check = {
      compared: check.compared + (wanted === undefined ? 0 : 1), equalBits,
      worst: isWorse ? error : check.worst, worstTensor: isWorse ? tensor : check.worstTensor,
    };
    if (name === 'forwardSaved') saved.set(tensor, value);
    else value[Symbol.dispose]();
  }
  second.tensors.forEach((each) => each[Symbol.dispose]());
  return check;
}

async function checkAll(subject: Subject, reference: Reference): Promise<void> {
  const saved = new Map<string, DeviceTensor>();
  for (const entry of suiteEntries) {
    const check = await checkEntry(subject, entry, reference, saved);
    const tolerance = tolerances[subject.workload.options.storage ?? 'f32'];
    const passed = check.compared > 0 && check.worst <= tolerance && check.equalBits;
    console.log(`${subject.workload.name.padEnd(20)} ${entry.padEnd(13)} ${passed ? 'ok  ' : 'FAIL'} relative L2 ${check.worst.toExponential(2)}`
      + ` (${check.worstTensor}, ${check.compared} tensors)${check.equalBits ? '' : ', bits differ between two runs'}`);
    if (!passed) process.exitCode = 1;
    await record(subject.plan, { kind: 'check', workload: subject.workload.name, entry, ...subject.workload.checked, passed, tolerance, ...check, worst: String(check.worst) });
  }
  saved.forEach((each) => each[Symbol.dispose]());
}

function randomNumbers(tensor: ManifestTensor, count: number, seed: number): TensorData {
  const next = seeded(seed);
  const [low, high] = rangeOf(tensor.subject ?? tensor.name);
  const numbers = new Float32Array(count);
  for (let at = 0; at < count; at++) numbers[at] = low + (high - low) * next();
  if (tensor.storage === 'bf16') return Uint16Array.from(new Uint32Array(numbers.buffer), (bits) => bits >>> 16);
  if (tensor.storage !== 'i32') return inStorage(tensor, numbers);
  return inStorage(tensor, Array.from(numbers, (value) => (value > 0.8 ? 1 : 0)));
}

function elements(tensor: ManifestTensor, sizes: RunSizes): number {
  return tensor.dims.reduce<number>((product, each) => product * evaluateSize(each, sizes), 1);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

type Timing = { readonly milliseconds: readonly number[]; readonly coldest: number; readonly wall: readonly number[]; readonly source: string; readonly results: RunResult['tensors'] };

/** Repeated runs from and into tensors that stay on the device; `wall` is per run of a queue. */
async function timeEntry({ prepared, plan }: Subject, entry: ManifestEntry, sizes: RunSizes, tensors: ReadonlyMap<string, TensorData | DeviceTensor>): Promise<Timing> {
  const first = await prepared.run({ entry: entry.name, sizes, tensors });
  const into = first.tensors;
  const milliseconds: number[] = [];
  const wall: number[] = [];
  let coldest = 0;
  const begin = performance.now();
  while (milliseconds.length < plan.repeats) {
    const start = performance.now();
    const runs = Array.from({ length: plan.small ? 1 : queued }, () => prepared.run({ entry: entry.name, sizes, tensors, into }));
    const times = (await Promise.all(runs)).map((each) => each.timing.milliseconds);
    coldest = Math.max(coldest, ...times);
    if (!plan.small && start - begin < heatMilliseconds) continue;
    wall.push((performance.now() - start) / times.length);
    milliseconds.push(...times.slice(plan.small ? 0 : uncounted));
  }
  return { milliseconds, coldest, wall, source: first.timing.source, results: into };
}

/** L2 norms of the results: finite, and alike for workloads that differ only in their schedule. */
async function normsOf(results: RunResult['tensors']): Promise<Readonly<Record<string, number>>> {
  const norms: Record<string, number> = {};
  for (const [name, value] of results) {
    const numbers = numbersOf(value, await value.read());
    let sum = 0;
    for (let at = 0; at < numbers.length; at++) sum += (numbers[at] ?? NaN) ** 2;
    norms[name] = Math.sqrt(sum);
  }
  return norms;
}

async function reportTiming(subject: Subject, entry: ManifestEntry, sizes: RunSizes, timing: Timing): Promise<void> {
  const { name } = subject.workload;
  const kept = entry.tensors.filter((each) => each.role !== 'scratch');
  const bytes = kept.reduce((sum, each) => sum + bytesPerElement(each.storage) * elements(each, sizes), 0);
  const ms = median(timing.milliseconds);
  const norms = await normsOf(timing.results);
  const finite = Object.values(norms).every((each) => Number.isFinite(each));
  if (!finite) process.exitCode = 1;
  const rate = bytes / ms / 1e6;
  console.log(`${name.padEnd(20)} ${entry.name.padEnd(13)} B${sizes.batch} L${sizes.length}: ${ms.toFixed(3)} ms (${timing.source}, least ${Math.min(...timing.milliseconds).toFixed(3)}, slowest while cold ${timing.coldest.toFixed(3)}),`
    + ` wall ${median(timing.wall).toFixed(3)} ms, ${rate.toFixed(0)} GB/s${finite ? '' : ' NOT FINITE'}`);
  await record(subject.plan, {
    kind: 'time', workload: name, entry: entry.name, ...sizes, median: ms, source: timing.source, least: Math.min(...timing.milliseconds), coldest: timing.coldest,
    wallMedian: median(timing.wall), bytes, gigabytesPerSecond: rate, finite, norms, repeats: timing.milliseconds.length,
    dispatches: entry.dispatches.map(({ kernel, workgroupSize, sharedBytes }) => ({ kernel, workgroupSize, sharedBytes })), arenas: entry.arenas?.length ?? 0,
  });
}

async function timeAll(subject: Subject, sizes: RunSizes): Promise<void> {
  const held = new Map<string, DeviceTensor>();
  const hold = (tensor: ManifestTensor): DeviceTensor => {
    const made = held.get(tensor.name) ?? subject.device.createTensor(tensor.storage, randomNumbers(tensor, elements(tensor, sizes), held.size + 1), tensor.name);
    held.set(tensor.name, made);
    return made;
  };
  for (const name of suiteEntries) {
    const entry = entryOf(subject.prepared.artifact, name);
    const timing = await timeEntry(subject, entry, sizes, pickGiven(entry, hold));
    await reportTiming(subject, entry, sizes, timing);
    for (const [tensor, value] of timing.results) {
      if (entry.tensors.some((each) => each.name === tensor && each.role === 'saved')) held.set(tensor, value);
      else value[Symbol.dispose]();
    }
  }
  held.forEach((each) => each[Symbol.dispose]());
}

/** Sizes for a machine whose "GPU" is a processor. */
function shrink(sizes: RunSizes): RunSizes {
  return { batch: Math.min(sizes.batch, 1), length: Math.min(sizes.length, 64) };
}

async function runWorkload(workload: WebGpuWorkload, plan: Plan): Promise<void> {
  const spec = await readLayer(workload);
  const device = await openDevice();
  try {
    const compiled = compileWorkload(workload, spec, device);
    const { decisions, requiredFeatures, requiredLimits } = compiled.artifact.manifest;
    await record(plan, { kind: 'device', workload: workload.name, ...device.info, decisions, requiredFeatures, requiredLimits });
    const prepared = await device.prepare(compiled.artifact);
    const subject: Subject = { workload, device, prepared, plan };
    console.log(`${workload.name.padEnd(20)} on ${device.info.name}: ${[...new Set(decisions.map((each) => each.chosen))].join('; ')}`);
    await checkAll(subject, interpretWorkload(workload, spec, compiled));
    for (const sizes of workload.timed) await timeAll(subject, plan.small ? shrink(sizes) : sizes);
  } finally {
    await device[Symbol.asyncDispose]();
  }
}

async function main(words: readonly string[]): Promise<void> {
  const names = words.filter((each) => !each.startsWith('--'));
  const wanted = webGpuWorkloads.filter((each) => names.length === 0 || names.includes(each.name));
  if (words.includes('--list')) {
    console.log(wanted.map((each) => each.name).join('\n'));
    return;
  }
  if (wanted.length === 0) {
    console.log(`no workload of that name; there are ${webGpuWorkloads.map((each) => each.name).join(', ')}`);
    process.exitCode = 2;
    return;
  }
  const small = words.includes('--small');
  const plan: Plan = { small, repeats: small ? 3 : 20, output: process.env['OUT'] ?? 'out' };
  await mkdir(plan.output, { recursive: true });
  for (const workload of wanted) {
    try {
      await runWorkload(workload, plan);
    } catch (error) {
      const message = (error instanceof Error ? error.message : String(error)).slice(0, 400);
      console.log(`${workload.name.padEnd(20)} FAIL ${message}`);
      await record(plan, { kind: 'failure', workload: workload.name, message });
      process.exitCode = 1;
    }
  }
}

await main(process.argv.slice(2));
// Dawn's instance keeps the process alive
process.exit();
