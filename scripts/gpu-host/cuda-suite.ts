/**
 * What the CUDA runtime costs and does on this machine's GPU: time until a call is queued, time of a
 * call, a loop of steps by calls and by a replayed graph, 16-bit storage, memory over many calls, and
 * every error that can be provoked. One JSON line per result.
 * Usage: node …/cuda-suite.js overhead|dtypes|errors|fault   (from a folder that has examples/)
 */
import { readFileSync } from 'node:fs';
import type { Artifact, EntryPointName, ManifestEntry, ManifestTensor } from '../../backends/artifact.ts';
import { compileSpec, type CompileOptions } from '../../backends/compile.ts';
import { loadLayer } from '../../dsl/index.ts';
import { openCuda, type CudaDevice, type CudaPreparedLayer } from '../../runtime/cuda/index.ts';
import type { DeviceTensor, RunRequest, TensorData } from '../../runtime/device.ts';
import { directionOf } from '../../runtime/entry.ts';
import { toStorage } from '../../runtime/layer-values.ts';
import { SsmError } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';
import { decodeBf16, decodeF16 } from '../../support/float-bits.ts';
import { rangeOf, seeded } from './workloads.ts';

function say(line: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function compile(name: string, options: Partial<CompileOptions>, sizes: Readonly<Record<string, number>> = {}): Artifact {
  const file = { name: `${name}.ssm`, text: readFileSync(`examples/${name}.ssm`, 'utf8') };
  const { spec, diagnostics } = loadLayer(file, null, { sizes: new Map(Object.entries(sizes)) });
  if (spec === null) throw new SsmError(diagnostics);
  return compileSpec(spec, { target: 'cuda', mode: 'recurrent', ...options }).artifact;
}

function entryOf(artifact: Artifact, name: EntryPointName): ManifestEntry {
  return required(artifact.manifest.entries.find((each) => each.name === name), `entry ${name}`);
}

function lengthOf(tensor: ManifestTensor, sizes: RunSizes): number {
  return tensor.dims.reduce<number>((product, each) => product * evaluateSize(each, sizes), 1);
}

function randomData(tensor: ManifestTensor, sizes: RunSizes, random: () => number): TensorData {
  const [low, high] = rangeOf(tensor.subject ?? tensor.name);
  const numbers = Array.from({ length: lengthOf(tensor, sizes) }, () => low + (high - low) * random());
  return toStorage(tensor.storage.startsWith('i') ? numbers.map(() => 0) : numbers, tensor);
}

/** All tensors of an entry on the device, results included. */
function bind(device: CudaDevice, artifact: Artifact, name: EntryPointName, sizes: RunSizes): RunRequest {
  const random = seeded(1);
  const entry = entryOf(artifact, name);
  const make = (tensor: ManifestTensor, data: TensorData | number): [string, DeviceTensor] => [tensor.name, device.createTensor(tensor.storage, data, tensor.name)];
  const given = entry.tensors.filter((each) => directionOf(each, name) === 'given').map((each) => make(each, randomData(each, sizes, random)));
  const results = entry.tensors.filter((each) => directionOf(each, name) === 'result').map((each) => make(each, lengthOf(each, sizes)));
  return { entry: name, sizes, tensors: new Map(given), into: new Map(results) };
}

/** The request that reads the states that the first wrote, and writes those that it read. */
function turned(artifact: Artifact, request: RunRequest): RunRequest {
  const { tensors } = entryOf(artifact, request.entry);
  const given = new Map(request.tensors);
  const into = new Map(request.into);
  for (const final of tensors.filter((each) => each.role === 'final')) {
    const initial = tensors.find((each) => each.role === 'initial' && each.subject === final.subject);
    if (initial === undefined) continue;
    given.set(initial.name, required(request.into?.get(final.name), final.name));
    into.set(final.name, required(request.tensors.get(initial.name), initial.name) as DeviceTensor);
  }
  return { ...request, tensors: given, into };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

const inMicroseconds = (milliseconds: number): number => Number((milliseconds * 1000).toFixed(2));

type Calls = { readonly queued: number; readonly whole: number; readonly device: number };

/** Medians over many awaited calls: until the call returned its promise, until that settled, on the device. */
async function timeCalls(layer: CudaPreparedLayer, requests: readonly RunRequest[], count: number): Promise<Calls> {
  const [queued, whole, onDevice]: number[][] = [[], [], []];
  for (let call = 0; call < count; call++) {
    const request = required(requests[call % requests.length], 'request');
    const start = performance.now();
    const pending = layer.run(request);
    const between = performance.now();
    const { timing } = await pending;
    whole?.push(performance.now() - start);
    queued?.push(between - start);
    onDevice?.push(timing.milliseconds);
  }
  return { queued: inMicroseconds(median(queued ?? [])), whole: inMicroseconds(median(whole ?? [])), device: inMicroseconds(median(onDevice ?? [])) };
}

/** Calls queued one after the other without waiting: medians until the last one was queued, and was done. */
async function timeBurst(layer: CudaPreparedLayer, requests: readonly RunRequest[], count: number): Promise<Omit<Calls, 'device'>> {
  const [queued, whole]: number[][] = [[], []];
  for (let time = 0; time < 20; time++) {
    const start = performance.now();
    const pending = Array.from({ length: count }, (_, call) => layer.run(required(requests[call % requests.length], 'request')));
    queued?.push((performance.now() - start) / count);
    await Promise.all(pending);
    whole?.push((performance.now() - start) / count);
  }
  return { queued: inMicroseconds(median(queued ?? [])), whole: inMicroseconds(median(whole ?? [])) };
}

async function timeLoop(device: CudaDevice, example: string, sizes: Readonly<Record<string, number>>): Promise<void> {
  const artifact = compile(example, {}, sizes);
  const started = performance.now();
  using layer = await device.prepare(artifact);
  say({ kind: 'prepare', example, milliseconds: Number((performance.now() - started).toFixed(1)), kernels: new Set(artifact.manifest.entries.flatMap((each) => each.dispatches.map((one) => one.kernel))).size });
  const first = bind(device, artifact, 'step', { batch: 8, length: 1 });
  const pair = [first, turned(artifact, first)];
  await timeCalls(layer, pair, 200);
  const calls = await timeCalls(layer, pair, 2000);
  say({ kind: 'step-calls', example, launches: entryOf(artifact, 'step').dispatches.length, microseconds: calls });
  say({ kind: 'step-burst', example, microsecondsPerCall: await timeBurst(layer, pair, 100) });
  using graph = layer.capture(pair);
  await graph.replay(100);
  for (const replays of [1, 10, calls.device > 100 ? 20 : 1000]) {
    const [queued, whole, onDevice]: number[][] = [[], [], []];
    for (let time = 0; time < 50; time++) {
      const start = performance.now();
      const pending = graph.replay(replays);
      queued?.push((performance.now() - start) / replays);
      const { milliseconds } = await pending;
      whole?.push((performance.now() - start) / replays);
      onDevice?.push(milliseconds / replays);
    }
    say({ kind: 'graph', example, replays, stepsPerReplay: 2, microsecondsPerReplay: {
      queued: inMicroseconds(median(queued ?? [])), whole: inMicroseconds(median(whole ?? [])), device: inMicroseconds(median(onDevice ?? [])) } });
  }
  await compareGraph(device, artifact, layer);
}

/** The same steps by a graph and by calls must give the same bits. */
async function compareGraph(device: CudaDevice, artifact: Artifact, layer: CudaPreparedLayer): Promise<void> {
  const finals: Uint8Array[] = [];
  for (const way of ['calls', 'graph'] as const) {
    const first = bind(device, artifact, 'step', { batch: 8, length: 1 });
    const pair = [first, turned(artifact, first)];
    if (way === 'calls') for (let call = 0; call < 20; call++) await layer.run(required(pair[call % 2], 'request'));
    else {
      using graph = layer.capture(pair);
      await graph.replay(10);
    }
    for (const initial of entryOf(artifact, 'step').tensors.filter((each) => each.role === 'initial')) {
      const numbers = await (first.tensors.get(initial.name) as DeviceTensor).read();
      finals.push(new Uint8Array(numbers.buffer.slice(0)));
    }
  }
  const half = finals.length / 2;
  const isEqual = finals.slice(0, half).every((each, at) => Buffer.compare(each, required(finals[at + half], 'numbers')) === 0);
  say({ kind: 'graph-agrees', layer: artifact.manifest.layer, isEqual, tensors: half });
}

async function runOverhead(): Promise<void> {
  await using device = await openCuda();
  say({ kind: 'device', ...device.info });
  await timeLoop(device, 's6', { D: 64, N: 16 });
  await timeLoop(device, 'mamba-block', {});
  const artifact = compile('s6', {}, { D: 64, N: 16 });
  using layer = await device.prepare(artifact);
  const request = bind(device, artifact, 'forward', { batch: 2, length: 64 });
  await timeCalls(layer, [request], 200);
  say({ kind: 'forward-calls', launches: entryOf(artifact, 'forward').dispatches.length, microseconds: await timeCalls(layer, [request], 2000) });
  const hostTensors = new Map(await Promise.all([...request.tensors].map(async ([name, tensor]) => [name, await (tensor as DeviceTensor).read()] as const)));
  const before = device.memoryUse();
  for (let call = 0; call < 3000; call++) {
    const { tensors } = await layer.run({ ...request, tensors: hostTensors, into: new Map() });
    tensors.forEach((each) => each[Symbol.dispose]());
    if (call === 10) global.gc?.();
  }
  const after = device.memoryUse();
  say({ kind: 'memory', before, after, calls: 3000 });
  const bytes = 2 ** 28;
  const large = device.createTensor('f32', new Float32Array(bytes / 4).fill(1.5), 'large');
  for (const direction of ['up', 'down'] as const) {
    const numbers = new Float32Array(bytes / 4).fill(2.5);
    const times: number[] = [];
    for (let time = 0; time < 4; time++) {
      const start = performance.now();
      if (direction === 'up') large.write(numbers);
      else if ((await large.read())[12345] !== 2.5) throw new Error('a wrong number came back');
      times.push(performance.now() - start);
    }
    say({ kind: 'copy', direction, gigabytesPerSecond: Number((bytes / 1e6 / median(times)).toFixed(2)) });
  }
  large[Symbol.dispose]();
}

async function runDtypes(): Promise<void> {
  await using device = await openCuda();
  const sizes = { batch: 2, length: 200 };
  const decoders = { f32: (value: number) => value, bf16: decodeBf16, f16: decodeF16 };
  const outputs = new Map<string, readonly number[]>();
  for (const dtype of ['f32', 'bf16', 'f16'] as const) {
    const artifact = compile('s6', { storage: dtype, mode: 'scan' }, { D: 32, N: 16 });
    using layer = await device.prepare(artifact);
    const request = bind(device, artifact, 'forward', sizes);
    const { tensors } = await layer.run(request);
    const output = required(entryOf(artifact, 'forward').tensors.find((each) => each.role === 'output'), 'output');
    outputs.set(dtype, Array.from(await required(tensors.get(output.name), 'output').read(), decoders[output.storage as 'f32']));
    const exact = required(outputs.get('f32'), 'f32');
    const own = required(outputs.get(dtype), dtype);
    const norm = Math.hypot(...exact);
    say({ kind: 'dtype', dtype, storage: output.storage, relative: Number((Math.hypot(...own.map((each, at) => each - (exact[at] ?? 0))) / norm).toExponential(2)) });
  }
}

async function expectError(what: string, work: () => unknown): Promise<void> {
  try {
    await work();
    say({ kind: 'error', what, code: null });
  } catch (error) {
    const [first] = error instanceof SsmError ? error.diagnostics : [];
    say({ kind: 'error', what, code: first?.code ?? String(error), message: first?.message, notes: first?.notes, help: first?.help });
  }
}

function withTexts(artifact: Artifact, change: (text: string) => string): Artifact {
  const { code } = artifact;
  if (code.kind !== 'text') throw new Error('text expected');
  return { ...artifact, code: { kind: 'text', kernels: new Map([...code.kernels].map(([name, text]) => [name, change(text)])) } };
}

async function runErrors(): Promise<void> {
  await expectError('device 99', () => openCuda({ device: 99 }));
  await using device = await openCuda();
  const artifact = compile('s6', {}, { D: 8, N: 4 });
  await expectError('out of memory', () => device.createTensor('f32', 1e11, 'far too large'));
  await expectError('text that does not compile', () => device.prepare(withTexts(artifact, (text) => text.replace(/\n}\s*$/, '\n  wrong = 1;\n}\n'))));
  await expectError('another architecture', () => device.prepare({ ...artifact, manifest: { ...artifact.manifest, requiredFeatures: ['sm_100a'] } }));
  const dispatchesChanged = (change: (size: number) => number): Artifact => ({ ...artifact, manifest: { ...artifact.manifest, entries: artifact.manifest.entries.map((entry) => ({
    ...entry, dispatches: entry.dispatches.map((each) => ({ ...each, workgroupSize: change(each.workgroupSize) })) })) } });
  await expectError('a block larger than the kernel declares', async () => {
    using layer = await device.prepare(dispatchesChanged(() => 1024));
    await layer.run(bind(device, artifact, 'forward', { batch: 2, length: 8 }));
  });
  using layer = await device.prepare(artifact);
  const request = bind(device, artifact, 'forward', { batch: 2, length: 8 });
  await layer.run(request);
  say({ kind: 'alive after errors', isAlive: true });
  await expectError('too large for indices', () => layer.run({ ...request, sizes: { batch: 2 ** 20, length: 2 ** 20 } }));
}

/** A kernel that writes where there is nothing: the device is lost for this process. */
async function runFault(): Promise<void> {
  await using device = await openCuda();
  const artifact = withTexts(compile('s6', {}, { D: 8, N: 4 }), (text) => text.replace(/(__global__[^{]*\{)/, '$1\n  *reinterpret_cast<float*>(8) = 1.0f;'));
  using layer = await device.prepare(artifact);
  const request = bind(device, artifact, 'forward', { batch: 2, length: 8 });
  await expectError('an illegal address', () => layer.run(request));
  await expectError('the next call', () => layer.run(request));
  await expectError('a new device', async () => {
    await using again = await openCuda();
    again.createTensor('f32', 16, 'small');
  });
}

const suites: Readonly<Record<string, () => Promise<void>>> = { overhead: runOverhead, dtypes: runDtypes, errors: runErrors, fault: runFault };
await required(suites[process.argv[2] ?? 'overhead'], 'suite')();
