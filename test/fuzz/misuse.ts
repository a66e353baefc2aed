/** Every call of the runtime's interface with one hostile value in each of its places, and what may come of it. */
import type { Artifact } from '../../backends/artifact.ts';
import type { ExecutionDevice, PreparedLayer } from '../../runtime/device.ts';
import { loadLayer, type Layer } from '../../runtime/index.ts';
import { SsmError } from '../../support/diagnostic.ts';
import { HostileError } from './hostile-values.ts';

/** A layer of two channels that keeps `x`, and what a call of one token needs. */
export const misuseText = `layer Cell(D = 4, N = 1) {
  input u[D]
  param a[D]
  state x[D, N] { next x = 0.5 * x + a * u }
  output y[D] = sum[N](x)
}`;

export type Subject = { readonly device: ExecutionDevice; readonly artifact: Artifact; readonly prepared: PreparedLayer; readonly layer: Layer };

export const soundInput = (): Float32Array => Float32Array.of(1, 2, 3, 4);

export async function openSubject(device: ExecutionDevice, artifact: Artifact): Promise<Subject> {
  const layer = await loadLayer(device, artifact);
  layer.setParameters({ a: [1, 1, 1, 1] });
  return { device, artifact, prepared: await device.prepare(artifact), layer };
}

export type Misuse = (subject: Subject, value: never) => unknown;

const call = { inputs: {}, batch: 1 };
const sizes = { batch: 1, length: 1 };
const given = (more: Readonly<Record<string, unknown>>): Map<string, never> => new Map(Object.entries({ u: soundInput(), a: soundInput(), 'x.initial': soundInput(), ...more })) as Map<string, never>;

/** Calls by what is wrong with them. */
export const misuses: Readonly<Record<string, Misuse>> = {
  'createTensor storage': ({ device }, value) => device.createTensor(value, 4, 'tensor'),
  'createTensor data': ({ device }, value) => device.createTensor('f32', value, 'tensor'),
  'createTensor label': ({ device }, value) => device.createTensor('f32', 4, value),
  'prepare': ({ device }, value) => device.prepare(value),
  'prepare manifest': ({ device, artifact }, value) => device.prepare({ ...artifact, manifest: value }),
  'prepare code': ({ device, artifact }, value) => device.prepare({ ...artifact, code: value }),
  'prepare entries': ({ device, artifact }, value) => device.prepare({ ...artifact, manifest: { ...artifact.manifest, entries: value } }),
  'prepare dispatches': ({ device, artifact }, value) =>
    device.prepare({ ...artifact, manifest: { ...artifact.manifest, entries: artifact.manifest.entries.map((each) => ({ ...each, dispatches: value })) } }),
  'loadLayer device': ({ artifact }, value) => loadLayer(value, artifact),
  'loadLayer artifact': ({ device }, value) => loadLayer(device, value),
  'run': ({ prepared }, value) => prepared.run(value),
  'run entry': ({ prepared }, value) => prepared.run({ entry: value, sizes, tensors: given({}) }),
  'run sizes': ({ prepared }, value) => prepared.run({ entry: 'forward', sizes: value, tensors: given({}) }),
  'run batch': ({ prepared }, value) => prepared.run({ entry: 'forward', sizes: { batch: value, length: 1 }, tensors: given({}) }),
  'run length': ({ prepared }, value) => prepared.run({ entry: 'forward', sizes: { batch: 1, length: value }, tensors: given({}) }),
  'run tensors': ({ prepared }, value) => prepared.run({ entry: 'forward', sizes, tensors: value }),
  'run one tensor': ({ prepared }, value) => prepared.run({ entry: 'forward', sizes, tensors: given({ u: value }) }),
  'run names': ({ prepared }, value) => prepared.run({ entry: 'forward', sizes, tensors: new Map([...given({}), [value, soundInput()]]) }),
  'run into': ({ prepared }, value) => prepared.run({ entry: 'forward', sizes, tensors: given({}), into: value }),
  'run into one': ({ prepared }, value) => prepared.run({ entry: 'forward', sizes, tensors: given({}), into: new Map([['y', value]]) }),
  'run signal': ({ prepared }, value) => prepared.run({ entry: 'forward', sizes, tensors: given({}), signal: value }),
  'write': ({ device }, value) => { using tensor = device.createTensor('f32', 4, 'tensor'); tensor.write(value); },
  'forward': ({ layer }, value) => layer.forward(value),
  'forward inputs': ({ layer }, value) => layer.forward({ ...call, inputs: value }),
  'forward input': ({ layer }, value) => layer.forward({ ...call, inputs: { u: value } }),
  'forward batch': ({ layer }, value) => layer.forward({ inputs: { u: soundInput() }, batch: value }),
  'forward length': ({ layer }, value) => layer.forward({ ...call, inputs: { u: soundInput() }, length: value }),
  'forward params': ({ layer }, value) => layer.forward({ ...call, inputs: { u: soundInput() }, params: value }),
  'forward initial': ({ layer }, value) => layer.forward({ ...call, inputs: { u: soundInput() }, initial: value }),
  'forward initial state': ({ layer }, value) => layer.forward({ ...call, inputs: { u: soundInput() }, initial: { x: value } }),
  'forward state': ({ layer }, value) => layer.forward({ ...call, inputs: { u: soundInput() }, state: value }),
  'forward signal': ({ layer }, value) => layer.forward({ ...call, inputs: { u: soundInput() }, signal: value }),
  'step': ({ layer }, value) => layer.step(value),
  'step input': ({ layer }, value) => layer.step({ ...call, inputs: { u: value } }),
  'gradients': ({ layer }, value) => layer.gradients(value),
  'gradients outputs': ({ layer }, value) => layer.gradients({ ...call, inputs: { u: soundInput() }, outputCotangents: value }),
  'gradients output': ({ layer }, value) => layer.gradients({ ...call, inputs: { u: soundInput() }, outputCotangents: { y: value } }),
  'gradients finals': ({ layer }, value) => layer.gradients({ ...call, inputs: { u: soundInput() }, finalCotangents: value }),
  'setParameters': ({ layer }, value) => layer.setParameters(value),
  'setParameters one': ({ layer }, value) => layer.setParameters({ a: value }),
  'createState': ({ layer }, value) => layer.createState(value),
  'state write': ({ layer }, value) => { using state = layer.createState(1); state.write(value); },
  'state write one': ({ layer }, value) => { using state = layer.createState(1); state.write({ x: value }); },
};

/** A word for what came of a call: `done`, a code of a diagnostic, `own` error of the value, or what should not be. */
export async function outcomeOf(work: () => unknown, milliseconds: number = 20_000): Promise<string> {
  const end = new Promise<string>((resolve) => void setTimeout(resolve, milliseconds, 'never settled').unref());
  try {
    const settled = await Promise.race([Promise.resolve(work()).then(() => 'done'), end]);
    return settled;
  } catch (error) {
    if (error instanceof SsmError) return error.code === 'SSM9001' ? `internal: ${error.message}` : error.code;
    if (error instanceof HostileError) return 'own';
    return `${error instanceof Error ? String(error.stack).split('\n').slice(0, 5).join(' | ') : String(error)}`;
  }
}

/** What is acceptable: success, a diagnostic, or the caller's own error. */
export function isAcceptable(outcome: string): boolean {
  return outcome === 'done' || outcome === 'own' || /^SSM[1-7]\d{3}$/.test(outcome);
}

/** The layer still computes what it must. */
export async function stillWorks({ layer }: Subject): Promise<readonly number[]> {
  layer.setParameters({ a: [1, 1, 1, 1] });
  const { outputs } = await layer.forward({ inputs: { u: soundInput() }, batch: 1 });
  const read = await outputs['y']?.read();
  return Array.from(read ?? []);
}
