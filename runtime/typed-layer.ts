/**
 * What generated modules are made of: a layer that carries its kernels for several targets, and the
 * types in which its module describes it. A module holds the texts and names; everything that runs is
 * `loadLayer`, with the shapes of the results beside it.
 */
import type { Artifact, Manifest, ManifestTensor, StorageName, TargetName } from '../backends/artifact.ts';
import { ssmError } from '../support/diagnostic.ts';
import { evaluateSize, type RunSizes } from '../support/size.ts';
import type { DeviceTensor, ExecutionDevice, RunResult } from './device.ts';
import { loadLayer, type GradientCall, type Layer, type LayerCall, type LayerResult } from './layer.ts';
import { createCatalogue } from './layer-catalogue.ts';
import type { HostNumbers } from './layer-values.ts';
import type { LayerState } from './state.ts';

/** Host arrays by the storage of a tensor; f16 and bf16 come as their bits. */
export type StorageArrays = {
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  readonly f16: Uint16Array;
  readonly bf16: Uint16Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly i8: Int8Array;
  readonly u8: Uint8Array;
};

/** What a call may bring for a tensor of this shape: plain numbers, numbers with their shape, or a tensor of the device. */
export type TensorInput<Shape extends readonly number[]> =
  | HostNumbers
  | { readonly shape: Shape; readonly data: HostNumbers }
  | DeviceTensor;

/** A tensor that a call gives back. */
export type TensorOutput<Storage extends StorageName> = Omit<DeviceTensor, 'storage' | 'read'> & {
  readonly storage: Storage;
  read(): Promise<StorageArrays[Storage]>;
};

/** Arguments of a call; `initial` or `state` or neither, which stands for zeros. */
export type TypedCall<Inputs, Parameters, States> = {
  readonly inputs: Inputs;
  /** sets these parameters first */
  readonly params?: Partial<Parameters>;
  readonly initial?: Partial<States>;
  readonly state?: LayerState;
  readonly batch: number;
  /** tokens per sequence; taken from the inputs when absent */
  readonly length?: number;
  readonly signal?: AbortSignal;
};

/** Arguments of a backward pass; absent cotangents of outputs are zero. */
export type TypedGradientCall<Inputs, Parameters, States, Cotangents> = Omit<TypedCall<Inputs, Parameters, States>, 'state'> & {
  readonly outputCotangents?: Partial<Cotangents>;
  /** when absent, final states take no part */
  readonly finalCotangents?: Partial<States>;
};

/** Results of a call, valid until the next call of the same sizes. */
export type TypedResult<Outputs, Final, Shapes> = {
  readonly outputs: Outputs;
  /** empty when the call moved a `state` on */
  readonly final: Final;
  /** shapes of the outputs in this call */
  readonly shapes: Shapes;
  readonly timing: RunResult['timing'];
};

export type TypedGradientResult<Outputs, Final, Shapes, Gradients> = TypedResult<Outputs, Final, Shapes> & {
  readonly gradients: Gradients;
};

/** A layer of a generated module, before it is on a device. */
export type LayerModule<Loaded> = {
  readonly name: string;
  /** for which devices the module carries kernels */
  readonly targets: readonly TargetName[];
  /** kernels and manifest for one of them; throws SSM6004 for another */
  artifact(target: TargetName): Artifact;
  /** the layer on a device, to be disposed of by the caller; throws SSM6004 for a device of another target */
  load(device: ExecutionDevice): Promise<Loaded>;
};

/** An artifact as a module carries it: JSON, and the code as base64 (`module`) or by kernel. */
export type PackedArtifact = {
  readonly manifest: string;
  readonly code: { readonly module: string } | { readonly kernels: Readonly<Record<string, string>> };
};

export type PackedLayer = {
  readonly name: string;
  readonly artifacts: Partial<Readonly<Record<TargetName, PackedArtifact>>>;
  /** f32 in base64 by parameter */
  readonly initialParameters?: Readonly<Record<string, string>>;
};

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

function unpack({ manifest, code }: PackedArtifact): Artifact {
  const parsed = JSON.parse(manifest) as Manifest;
  if ('module' in code) return { manifest: parsed, code: { kind: 'wasm', module: bytesOf(code.module), text: '' } };
  return { manifest: parsed, code: { kind: 'text', kernels: new Map(Object.entries(code.kernels)) } };
}

/** Numbers of f32 in little-endian order, on any machine. */
function floatsOf(base64: string): Float32Array {
  const view = new DataView(bytesOf(base64).buffer);
  return Float32Array.from({ length: view.byteLength / 4 }, (_, at) => view.getFloat32(4 * at, true));
}

/** The layer of a generated module, whose `Module` type says what it has. */
export function defineLayer<Module>(packed: PackedLayer): Module {
  const { name, artifacts, initialParameters } = packed;
  const targets = Object.keys(artifacts) as TargetName[];
  const artifact = (target: TargetName): Artifact => {
    const found = artifacts[target];
    if (found !== undefined) return unpack(found);
    throw ssmError('SSM6004', `the module of layer \`${name}\` carries no kernels for ${target}`, `it was compiled for ${targets.join(', ')}`);
  };
  const module: LayerModule<unknown> = {
    name, targets, artifact,
    async load(device) {
      const chosen = artifact(device.info.target);
      return withShapes(await loadLayer(device, chosen), chosen.manifest);
    },
  };
  if (initialParameters === undefined) return module as Module;
  const values = (): Record<string, Float32Array> =>
    Object.fromEntries(Object.entries(initialParameters).map(([parameter, numbers]) => [parameter, floatsOf(numbers)]));
  return { ...module, initialParameters: values } as Module;
}

type WithShapes = Omit<Layer, 'forward' | 'step' | 'gradients'> & {
  readonly forward: (call: LayerCall) => Promise<LayerResult>;
  readonly step: (call: LayerCall) => Promise<LayerResult>;
  readonly gradients: (call: GradientCall) => Promise<LayerResult>;
};

function withShapes(layer: Layer, manifest: Manifest): WithShapes {
  const catalogue = createCatalogue(manifest);
  const outputs: readonly ManifestTensor[] = catalogue.all('output');
  const shapesOf = (sizes: RunSizes): Record<string, readonly number[]> =>
    Object.fromEntries(outputs.map(({ subject, name, dims }) => [subject ?? name, dims.map((each) => evaluateSize(each, sizes))]));
  const add = async <Result extends LayerResult>(call: LayerCall, run: Promise<Result>, length?: number): Promise<Result> => {
    const result = await run;
    return { ...result, shapes: shapesOf({ batch: call.batch, length: length ?? catalogue.inferLength(call.inputs, call.batch) }) };
  };
  return {
    ...layer,
    forward: (call) => add(call, layer.forward(call), call.length),
    step: (call) => add(call, layer.step(call), 1),
    gradients: (call) => add(call, layer.gradients(call), call.length),
    [Symbol.dispose]: () => layer[Symbol.dispose](),
  };
}
