/**
 * What every device offers: hold tensors, prepare an artifact, run its entry points. A layer on top
 * (`runtime/layer.ts`) speaks of inputs and parameters; here everything is tensors by name.
 * Ownership: who creates a resource disposes it; passing never transfers.
 */
import type { Artifact, EntryPointName, StorageName, TargetName } from '../backends/artifact.ts';
import type { RunSizes } from '../support/size.ts';

/** Host numbers of one tensor: f32, f64, i32, u32, i8, u8 as such, f16 and bf16 as their bits. */
export type TensorData = Float32Array | Float64Array | Int32Array | Uint32Array | Uint16Array | Int8Array | Uint8Array;

/** A tensor that lives on a device. */
export type DeviceTensor = Disposable & {
  readonly storage: StorageName;
  /** number of elements */
  readonly length: number;
  readonly label: string;
  /** a copy of the numbers on the host */
  read(): Promise<TensorData>;
  /** overwrites all elements */
  write(data: TensorData): void;
};

export type DeviceInfo = {
  readonly target: TargetName;
  /** adapter or engine name for people */
  readonly name: string;
  readonly details: Readonly<Record<string, string | number>>;
};

export type RunRequest = {
  readonly entry: EntryPointName;
  readonly sizes: RunSizes;
  /** every tensor of the entry that is not scratch and not written by it, by name */
  readonly tensors: ReadonlyMap<string, TensorData | DeviceTensor>;
  /** device tensors to write into; the rest are allocated */
  readonly into?: ReadonlyMap<string, DeviceTensor>;
  readonly signal?: AbortSignal;
};

export type RunResult = {
  /** outputs, finals, saved tensors and gradients by name; the caller disposes them */
  readonly tensors: ReadonlyMap<string, DeviceTensor>;
  /** milliseconds on the device if it can tell, else wall clock, with how it was taken */
  readonly timing: { readonly milliseconds: number; readonly source: 'device' | 'wall-clock' };
};

/** An artifact made ready on one device. */
export type PreparedLayer = Disposable & {
  readonly artifact: Artifact;
  run(request: RunRequest): Promise<RunResult>;
};

export type ExecutionDevice = AsyncDisposable & {
  readonly info: DeviceInfo;
  /** uploads numbers; throws SSM6005 when memory is out, SSM6004 for wrong arguments */
  createTensor(storage: StorageName, data: TensorData | number, label: string): DeviceTensor;
  prepare(artifact: Artifact): Promise<PreparedLayer>;
};
