/**
 * A layer ready to use on one device: values by the names of its text, parameters that stay on the
 * device, absent states as zeros, results in tensors that are reused from call to call. The layer owns
 * every tensor it hands out; what a call returns is valid until the next call with the same sizes, so
 * read it (`tensor.read()` copies) or hand it on before that. Calls are executed one after the other;
 * arrays given to a call must not change until it is done.
 */
import type { Artifact, EntryPointName, ManifestTensor, StorageName } from '../backends/artifact.ts';
import { ssmError } from '../support/diagnostic.ts';
import { showValue } from '../support/show-value.ts';
import type { RunSizes } from '../support/size.ts';
import type { DeviceTensor, ExecutionDevice, PreparedLayer, RunResult, TensorData } from './device.ts';
import { checkSignal, checkSizes } from './entry.ts';
import { createCatalogue, type LayerCatalogue } from './layer-catalogue.ts';
import { createParameters, type ResidentParameters } from './layer-parameters.ts';
import { elementCount, expectedTensor, prepareValue, valueOf, type LayerRecord } from './layer-values.ts';
import { createResultPool, type ResultPool, type ResultSet } from './result-pool.ts';
import { createState, stateTensors, type LayerState, type StateTensors } from './state.ts';

/** Tensors on the device by name. */
export type DeviceRecord = Readonly<Record<string, DeviceTensor>>;

export type LayerCall = {
  readonly inputs: LayerRecord;
  /** sets these parameters first */
  readonly params?: LayerRecord;
  /** initial states by name; absent ones are zero */
  readonly initial?: LayerRecord;
  /** in place of `initial`: a state that is read and moved on by the call */
  readonly state?: LayerState;
  readonly batch: number;
  /** tokens per sequence; taken from the inputs when absent */
  readonly length?: number;
  readonly signal?: AbortSignal;
};

export type LayerResult = {
  readonly outputs: DeviceRecord;
  /** final states by name; empty when the call moved a `state` on */
  readonly final: DeviceRecord;
  readonly timing: RunResult['timing'];
};

export type GradientCall = Omit<LayerCall, 'state'> & {
  /** dL/doutput by output; absent ones are zero */
  readonly outputCotangents?: LayerRecord;
  /** dL/dfinal by state; when the whole record is absent, final states take no part */
  readonly finalCotangents?: LayerRecord;
};

/** `gradients`: by input, parameter and state (its initial value), as far as the layer was compiled for them. */
export type GradientResult = LayerResult & { readonly gradients: DeviceRecord };

export type Layer = Disposable & {
  readonly artifact: Artifact;
  /**
   * Uploads parameters; they stay until set again, and calls made before keep the old ones. Numbers are
   * copied, tensors of the device are used in place.
   */
  setParameters(values: LayerRecord): void;
  forward(call: LayerCall): Promise<LayerResult>;
  /** one token for each sequence */
  step(call: Omit<LayerCall, 'length'>): Promise<LayerResult>;
  /** forward, then backward */
  gradients(call: GradientCall): Promise<GradientResult>;
  /** a state of zeros that the caller disposes */
  createState(batch: number): LayerState;
};

type Core = {
  readonly device: ExecutionDevice;
  readonly prepared: PreparedLayer;
  readonly catalogue: LayerCatalogue;
  readonly parameters: ResidentParameters;
  readonly pool: ResultPool;
  readonly zeros: Map<string, DeviceTensor>;
};

function checkDevice(device: unknown): void {
  const { prepare, createTensor } = (device ?? {}) as Partial<ExecutionDevice>;
  if (typeof prepare !== 'function' || typeof createTensor !== 'function') throw ssmError('SSM6004', '`device` must be an open device', 'open one with `openWasm`, `acquire` or `openCuda`');
}

/** What a call is, before anything of it is read. */
function checkIsCall(call: unknown): void {
  if (typeof call !== 'object' || call === null) throw ssmError('SSM6004', `a call needs an object with \`inputs\` and \`batch\`, found ${showValue(call)}`);
}

/** Prepares an artifact; throws SSM6004 for another device's, SSM6006 where the device refuses a kernel. */
export async function loadLayer(device: ExecutionDevice, artifact: Artifact): Promise<Layer> {
  checkDevice(device);
  const prepared = await device.prepare(artifact);
  const catalogue = createCatalogue(artifact.manifest);
  const core: Core = {
    device, prepared, catalogue,
    parameters: createParameters(device, catalogue), pool: createResultPool(), zeros: new Map(),
  };
  const queue = createQueue(artifact.manifest.layer, () => {
    core.pool.dispose();
    core.parameters.dispose();
    core.zeros.forEach((each) => each[Symbol.dispose]());
    prepared[Symbol.dispose]();
  });
  /** of an upload that waited for its turn; the next call throws it */
  let failure: { readonly error: unknown } | null = null;
  const inTurn = <Result>(task: () => Promise<Result>): Promise<Result> => queue.run(() => {
    const failed = failure;
    failure = null;
    return failed === null ? task() : Promise.reject(failed.error);
  });
  return {
    artifact,
    setParameters(values) {
      queue.check();
      const isIdle = queue.isIdle();
      const put = core.parameters.stage(values, isIdle ? 'share' : 'copy');
      if (isIdle) put();
      else queue.run(async () => put()).catch((error: unknown) => { failure = { error }; });
    },
    forward: (call) => inTurn(() => forward(core, 'forward', call)),
    step: (call) => inTurn(() => forward(core, 'step', { ...call, length: 1 })),
    gradients: (call) => inTurn(() => gradients(core, call)),
    createState(batch) {
      queue.check();
      checkBatch(batch);
      return createState(device, catalogue, batch);
    },
    [Symbol.dispose]: queue.close,
  };
}

type Queue = {
  readonly run: <Result>(task: () => Promise<Result>) => Promise<Result>;
  readonly check: () => void;
  readonly isIdle: () => boolean;
  readonly close: () => void;
};

/** Tasks in order of arrival; `release` when closed and the last one is done. */
function createQueue(layer: string, release: () => void): Queue {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  let isOpen = true;
  const check = (): void => {
    if (!isOpen) throw ssmError('SSM6003', `layer \`${layer}\` was used after dispose`);
  };
  return {
    check,
    isIdle: () => waiting === 0,
    async run(task) {
      check();
      waiting += 1;
      const mine = last.then(task);
      last = mine.catch(() => undefined);
      try {
        return await mine;
      } finally {
        waiting -= 1;
        if (!isOpen && waiting === 0) release();
      }
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      if (waiting === 0) release();
    },
  };
}

function checkBatch(batch: unknown): asserts batch is number {
  if (typeof batch === 'number' && Number.isSafeInteger(batch) && batch >= 0) return;
  throw ssmError('SSM6004', `\`batch\` must be a non-negative integer, found ${showValue(batch)}`);
}

/** What a call gives, checked, by role. */
type CheckedCall = {
  readonly sizes: RunSizes;
  readonly given: Readonly<Partial<Record<ManifestTensor['role'], LayerRecord>>>;
  readonly signal: AbortSignal | undefined;
};

function checkCall({ catalogue, parameters }: Core, call: GradientCall): CheckedCall {
  checkBatch(call.batch);
  checkSignal(call.signal);
  if (call.params !== undefined) parameters.stage(call.params, 'share')();
  catalogue.checkRecord('input', call.inputs, null);
  const length = call.length ?? catalogue.inferLength(call.inputs, call.batch);
  const sizes = checkSizes({ batch: call.batch, length });
  const given = {
    input: call.inputs, initial: call.initial ?? {}, 'output-cotangent': call.outputCotangents ?? {},
    'final-cotangent': call.finalCotangents ?? {},
  };
  for (const role of ['input', 'initial', 'output-cotangent', 'final-cotangent'] as const) {
    catalogue.checkRecord(role, given[role], sizes);
  }
  return { sizes, given, signal: call.signal };
}

function zerosFor(core: Core, storage: StorageName, length: number): DeviceTensor {
  const key = `${storage} ${length}`;
  const made = core.zeros.get(key) ?? core.device.createTensor(storage, length, `${core.catalogue.layer}/zeros`);
  core.zeros.set(key, made);
  return made;
}

/** One run of an entry: what `forwardSaved` left for it, and the state it moves on. */
type EntryRun = {
  readonly entry: EntryPointName;
  readonly call: CheckedCall;
  readonly saved: ResultSet;
  readonly state: StateTensors | null;
};

/** Every tensor an entry reads, by tensor name. */
function bindTensors(core: Core, { entry, call, saved, state }: EntryRun): Map<string, TensorData | DeviceTensor> {
  const bound = new Map<string, TensorData | DeviceTensor>();
  for (const tensor of core.catalogue.entry(entry).tensors) {
    const subject = tensor.subject ?? tensor.name;
    const expected = expectedTensor(tensor, call.sizes);
    const value = valueOf(call.given[tensor.role] ?? {}, subject);
    switch (tensor.role) {
      case 'input':
        if (value === undefined) throw ssmError('SSM7003', `the input \`${subject}\` is missing`);
        bound.set(tensor.name, prepareValue(value, expected));
        break;
      case 'param':
        bound.set(tensor.name, core.parameters.get(subject));
        break;
      case 'initial':
      case 'output-cotangent':
      case 'final-cotangent': {
        const carried = tensor.role === 'initial' ? state?.current.get(subject) : undefined;
        const zeros = (): DeviceTensor => zerosFor(core, tensor.storage, elementCount(expected.shape));
        bound.set(tensor.name, carried ?? (value === undefined ? zeros() : prepareValue(value, expected)));
        break;
      }
      case 'saved': {
        const kept = saved.get(tensor.name);
        if (kept !== undefined) bound.set(tensor.name, kept);
        break;
      }
      default:
        break;
    }
  }
  return bound;
}

async function runEntry(core: Core, run: EntryRun): Promise<RunResult> {
  const { entry, call, saved, state } = run;
  const tensors = bindTensors(core, run);
  const inUse = new Set<unknown>([...tensors.values(), ...saved.values()]);
  const key = `${entry} ${call.sizes.batch} ${call.sizes.length}${state === null ? '' : ' state'}`;
  const finals = core.catalogue.entry(entry).tensors.filter((each) => each.role === 'final' && state !== null);
  const reused = core.pool.take(key, inUse);
  const into = new Map(reused ?? []);
  for (const tensor of finals) {
    const target = state?.next.get(tensor.subject ?? '');
    if (target !== undefined) into.set(tensor.name, target);
  }
  const result = await core.prepared.run({
    entry, sizes: call.sizes, tensors, into, ...(call.signal === undefined ? {} : { signal: call.signal }),
  });
  const names = new Set(finals.map((each) => each.name));
  const own = new Map([...result.tensors].filter(([name]) => !names.has(name)));
  if (reused === null) core.pool.keep(key, own, inUse);
  return { ...result, tensors: own };
}

function recordOf(core: Core, entry: EntryPointName, result: RunResult, role: ManifestTensor['role']): DeviceRecord {
  const tensors = core.catalogue.entry(entry).tensors.filter((each) => each.role === role);
  return Object.fromEntries(tensors.flatMap((each) => {
    const made = result.tensors.get(each.name);
    return made === undefined ? [] : [[each.subject ?? each.name, made] as const];
  }));
}

async function forward(core: Core, entry: 'forward' | 'step', call: LayerCall): Promise<LayerResult> {
  checkIsCall(call);
  core.catalogue.entry(entry);
  const checked = checkCall(core, call);
  const state = call.state === undefined ? null : stateTensors(call.state, core.catalogue);
  if (call.state !== undefined && (call.initial !== undefined || call.state.batch !== call.batch)) {
    throw call.initial !== undefined
      ? ssmError('SSM6004', '`initial` and `state` were both given', 'give one of them')
      : ssmError('SSM6004', `the state holds ${call.state.batch} sequences, the call has ${call.batch}`);
  }
  const result = await runEntry(core, { entry, call: checked, saved: new Map(), state });
  state?.advance();
  return {
    outputs: recordOf(core, entry, result, 'output'), final: recordOf(core, entry, result, 'final'), timing: result.timing,
  };
}

async function gradients(core: Core, call: GradientCall): Promise<GradientResult> {
  checkIsCall(call);
  const entry = call.finalCotangents === undefined ? 'backward' : 'backwardFinal';
  core.catalogue.entry(entry);
  const checked = checkCall(core, call);
  const saved = await runEntry(core, { entry: 'forwardSaved', call: checked, saved: new Map(), state: null });
  const backward = await runEntry(core, { entry, call: checked, saved: saved.tensors, state: null });
  return {
    outputs: recordOf(core, 'forwardSaved', saved, 'output'),
    final: recordOf(core, 'forwardSaved', saved, 'final'),
    gradients: recordOf(core, entry, backward, 'gradient'),
    timing: { ...backward.timing, milliseconds: saved.timing.milliseconds + backward.timing.milliseconds },
  };
}
