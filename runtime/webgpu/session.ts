/**
 * One GPUDevice in use: whether it is alive, who waits on it, and every buffer made on it. All calls
 * that can fail late (allocation, validation) are made here inside error scopes, so that what goes
 * wrong becomes one typed error instead of zeros.
 */
import { ssmError, SsmError } from '../../support/diagnostic.ts';
import { bytesForPeople } from './format.ts';

export type SessionOptions = {
  /** `adopted` devices are never destroyed */
  readonly ownership: 'adopted' | 'owned';
  /** milliseconds on the device need the feature timestamp-query */
  readonly timing: 'device' | 'wall-clock';
  /** a submission that takes longer rejects; null waits for ever */
  readonly watchdogMilliseconds: number | null;
  /** bytes that one storage binding may have; null for what the device allows */
  readonly bindingBytes: number | null;
  /** runs after the device is given up, for owners of more than the device */
  readonly release: () => void;
};

export type Session = {
  readonly device: GPUDevice;
  readonly options: SessionOptions;
  /** bytes that one storage binding may have */
  readonly bindingBytes: number;
  /** throws SSM6003 after dispose, SSM6001 after loss */
  readonly check: () => void;
  /** the promise, or a rejection when the device is lost or disposed before it settles */
  readonly outlive: <T>(work: Promise<T>, what: string) => Promise<T>;
  /** what a failed piece of work is to be reported as; bugs stay what they are */
  readonly explain: (error: unknown, what: string) => unknown;
  /** a buffer of at least `bytes`, a multiple of 4 and never empty */
  readonly createBuffer: (bytes: number, usage: number, label: string) => GPUBuffer;
  readonly destroyBuffer: (buffer: GPUBuffer) => void;
  /** rejects when an allocation so far failed */
  readonly allocationsDone: () => Promise<void>;
  readonly dispose: () => void;
};

type State = { alive: true } | { alive: false; error: () => SsmError };

function disposedError(): SsmError {
  return ssmError('SSM6003', 'the device was used after dispose');
}

function lostError(reason: string, message: string): SsmError {
  return ssmError('SSM6001', `the device was lost (${reason})${message === '' ? '' : `: ${firstLine(message)}`}`,
    'open a new device and prepare the layer on it again');
}

function memoryError(label: string, bytes: number): SsmError {
  return ssmError('SSM6005', `no memory on the device for ${bytesForPeople(bytes)} (\`${label}\`)`, 'use a smaller batch');
}

function refusedError(label: string, message: string): SsmError {
  return ssmError('SSM9001', `the device refused buffer \`${label}\`: ${firstLine(message)}`);
}

function overdueError(what: string, limit: number | null): SsmError {
  return ssmError(
    'SSM6001', `${what} did not finish within ${limit} ms`, 'use a smaller batch, or raise `watchdogMilliseconds`',
  );
}

function bufferTooLarge(label: string, bytes: number, limit: number): SsmError {
  return ssmError(
    'SSM5001', `\`${label}\` needs ${bytesForPeople(bytes)}; this device allows ${bytesForPeople(limit)} in one buffer`,
    'use a smaller batch',
  );
}

/** Errors by which engines say that memory is out, or that a device cannot go on. */
function driverError(error: unknown, what: string): SsmError | null {
  if (!(error instanceof Error) || error instanceof SsmError) return null;
  if (error.name === 'RangeError') return ssmError('SSM6005', `no memory on the device for ${what}: ${firstLine(error.message)}`, 'use a smaller batch');
  if (error.name !== 'OperationError' && error.name !== 'AbortError') return null;
  return ssmError('SSM6001', `the device gave up ${what}: ${firstLine(error.message)}`, 'try again, on a new device if it stays');
}

/** The first line of a driver's message. */
export function firstLine(message: string): string {
  return (message.split('\n')[0] ?? '').slice(0, 300);
}

/** What a binding of an array of vectors needs, also where a tensor is empty. */
const leastBufferBytes = 16;

/** Buffer sizes are multiples of 4 and not 0, since WebGPU binds and copies nothing else. */
export function bufferBytes(bytes: number): number {
  return Math.max(leastBufferBytes, Math.ceil(bytes / 4) * 4);
}

/** The promise, whose failure is looked at later or never: an unobserved one would end a Node process. */
export function observed<Result>(work: Promise<Result>): Promise<Result> {
  work.catch(() => undefined);
  return work;
}

class Allocations {
  readonly #pending = new Set<Promise<void>>();
  #failed: SsmError | null = null;

  watch(device: GPUDevice, label: string, bytes: number, make: () => GPUBuffer): GPUBuffer {
    device.pushErrorScope('out-of-memory');
    device.pushErrorScope('validation');
    let invalid: Promise<GPUError | null>;
    let exhausted: Promise<GPUError | null>;
    let buffer: GPUBuffer;
    try {
      buffer = make();
    } finally {
      invalid = observed(device.popErrorScope());
      exhausted = observed(device.popErrorScope());
    }
    const done = Promise.all([invalid, exhausted]).then(
      ([validation, memory]) => {
        if (memory !== null) this.#failed = memoryError(label, bytes);
        else if (validation !== null) this.#failed = refusedError(label, validation.message);
      },
      () => undefined, // the device was lost; `outlive` reports that
    ).finally(() => void this.#pending.delete(done));
    this.#pending.add(done);
    return buffer;
  }

  async done(): Promise<void> {
    await Promise.all(this.#pending);
    const failed = this.#failed;
    this.#failed = null;
    if (failed !== null) throw failed;
  }
}

/** Starts using a device. */
export function createSession(device: GPUDevice, options: SessionOptions): Session {
  let state: State = { alive: true };
  /** a lost device is disposed too */
  let disposed = false;
  const waiting = new Set<(error: SsmError) => void>();
  const buffers = new Set<GPUBuffer>();
  const allocations = new Allocations();

  const end = (error: () => SsmError): void => {
    if (!state.alive) return;
    state = { alive: false, error };
    for (const reject of waiting) reject(error());
    waiting.clear();
  };
  void device.lost.then((info) => end(() => lostError(info.reason, info.message)));

  const check = (): void => {
    if (!state.alive) throw state.error();
  };

  const explain = (error: unknown, what: string): unknown => {
    const known = driverError(error, what);
    if (known === null) return error;
    return state.alive ? known : state.error();
  };

  const outlive = <T>(work: Promise<T>, what: string): Promise<T> => new Promise<T>((resolve, reject) => {
    if (!state.alive) {
      reject(state.error());
      return;
    }
    const limit = options.watchdogMilliseconds;
    const overdue = (): void => settle(() => reject(overdueError(what, limit)));
    const timer = limit === null ? undefined : setTimeout(overdue, limit);
    const onEnd = (error: SsmError): void => settle(() => reject(error));
    const settle = (finish: () => void): void => {
      clearTimeout(timer);
      waiting.delete(onEnd);
      finish();
    };
    waiting.add(onEnd);
    work.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(explain(error, what))),
    );
  });

  return {
    device,
    options,
    bindingBytes: Math.min(options.bindingBytes ?? Infinity, device.limits.maxStorageBufferBindingSize),
    check,
    outlive,
    explain,
    createBuffer(bytes, usage, label) {
      check();
      const size = bufferBytes(bytes);
      const limit = device.limits.maxBufferSize;
      if (size > limit) throw bufferTooLarge(label, size, limit);
      try {
        const buffer = allocations.watch(device, label, size, () => device.createBuffer({ size, usage, label }));
        buffers.add(buffer);
        return buffer;
      } catch (error) {
        throw explain(error, `\`${label}\``);
      }
    },
    destroyBuffer(buffer) {
      if (buffers.delete(buffer)) buffer.destroy();
    },
    allocationsDone: () => allocations.done(),
    dispose() {
      if (disposed) return;
      disposed = true;
      end(disposedError);
      for (const buffer of buffers) buffer.destroy();
      buffers.clear();
      if (options.ownership === 'owned') device.destroy();
      options.release();
    },
  };
}
