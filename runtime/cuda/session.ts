/**
 * One CUDA device in use: whether it is alive, and who waits for its work. All work is on one stream,
 * so it ends in the order it was queued, and one wait at a time is enough.
 */
import { makeDiagnostic, ssmError, SsmError } from '../../support/diagnostic.ts';
import { errorOfFailure, isLost } from './failures.ts';
import type { LoadedCompiler, LoadedDriver } from './loader.ts';
import { failureOf, type NativeContext, type NativeDevice } from './native.ts';

export type SessionOptions = {
  readonly timing: 'device' | 'wall-clock';
  /** a run or read that takes longer rejects; null waits for ever */
  readonly watchdogMilliseconds: number | null;
};

export type Session = {
  readonly native: NativeContext;
  readonly driver: LoadedDriver;
  readonly compiler: LoadedCompiler;
  readonly device: NativeDevice;
  readonly options: SessionOptions;
  /** throws SSM6003 after dispose, SSM6001 after loss */
  readonly check: () => void;
  /** calls the addon; failures leave as diagnostics, and one that ends the device ends the session */
  readonly call: <Value>(what: string, work: (native: NativeContext) => Value) => Value;
  /** calls the addon to give something back: works after loss, does nothing after dispose */
  readonly giveBack: (work: (native: NativeContext) => void) => void;
  /** until an event is done; rejects when the device is lost or disposed before */
  readonly wait: (event: number, what: string) => Promise<void>;
  /** once the work that someone waits for is done, at once where there is none */
  readonly afterWork: (action: () => void) => void;
  readonly dispose: () => Promise<void>;
};

/** What a session takes over. */
export type SessionParts = Pick<Session, 'native' | 'driver' | 'compiler' | 'device' | 'options'>;

type Waiting = {
  readonly event: number;
  readonly what: string;
  readonly overdueAt: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
};

/** Microseconds that the thread itself asks before another one waits: launches of small layers end within. */
const spinMicroseconds = 20;
/** One wait of another thread; a process can end between two. */
const sliceMilliseconds = 100;
/** Work that is still running so long after dispose is left to the end of the process. */
const disposeMilliseconds = 10_000;

function disposedError(): SsmError {
  return ssmError('SSM6003', 'the device was used after dispose');
}

function overdueError(what: string, limit: number): SsmError {
  return new SsmError([makeDiagnostic({
    code: 'SSM6001', message: `${what} did not finish within ${limit} ms`, help: 'use a smaller batch, or raise `watchdogMilliseconds`',
  })]);
}

async function closeContext(native: NativeContext): Promise<void> {
  const deadline = performance.now() + disposeMilliseconds;
  try {
    const event = native.recordEvent(0);
    while (!(await native.wait(event, sliceMilliseconds))) {
      if (performance.now() < deadline) continue;
      native.abandon();
      return;
    }
  } catch {
    // a lost device: what it held is given back as far as the driver takes it
  }
  native.close();
}

/** Starts using a context, which the session closes at dispose. */
export function createSession(parts: SessionParts): Session {
  const { native, options } = parts;
  let ended: (() => SsmError) | null = null;
  let closing: Promise<void> | null = null;
  let draining: Promise<void> | null = null;
  let waiting: Waiting[] = [];

  const check = (): void => {
    if (ended !== null) throw ended();
  };
  const end = (error: () => SsmError): void => {
    if (ended !== null) return;
    ended = error;
    const all = waiting;
    waiting = [];
    for (const each of all) each.reject(error());
  };
  const explain = (error: unknown, what: string): unknown => {
    const failure = failureOf(error);
    if (failure === null) return error;
    if (isLost(failure)) end(() => errorOfFailure(failure, what));
    return errorOfFailure(failure, what);
  };
  const settle = (head: Waiting, finish: () => void): void => {
    if (waiting[0] !== head) return; // ended meanwhile
    waiting.shift();
    finish();
  };
  const watch = async (head: Waiting): Promise<void> => {
    try {
      if (native.isFinished(head.event, spinMicroseconds) || await native.wait(head.event, sliceMilliseconds)) settle(head, head.resolve);
      else if (performance.now() > head.overdueAt) settle(head, () => head.reject(overdueError(head.what, options.watchdogMilliseconds ?? 0)));
    } catch (error) {
      const explained = explain(error, head.what);
      settle(head, () => head.reject(explained));
    }
  };
  const drain = async (): Promise<void> => {
    for (let head = waiting[0]; head !== undefined; head = waiting[0]) await watch(head);
    draining = null;
  };

  const call = <Value>(what: string, work: (native: NativeContext) => Value): Value => {
    check();
    try {
      return work(native);
    } catch (error) {
      throw explain(error, what);
    }
  };
  const giveBack = (work: (native: NativeContext) => void): void => {
    if (closing === null) work(native);
  };
  const wait = (event: number, what: string): Promise<void> => new Promise((resolve, reject) => {
    if (ended !== null) {
      reject(ended());
      return;
    }
    const overdueAt = performance.now() + (options.watchdogMilliseconds ?? Infinity);
    waiting.push({ event, what, overdueAt, resolve, reject });
    draining ??= drain();
  });
  return {
    ...parts, check, call, giveBack, wait,
    afterWork(action) {
      if (waiting.length === 0 || ended !== null) {
        giveBack(action);
        return;
      }
      let event: number;
      try {
        event = call('a dispose', () => native.recordEvent(0));
      } catch {
        return; // given back with the device
      }
      const finish = (): void => giveBack(() => {
        native.dropEvent(event);
        action();
      });
      wait(event, 'a dispose').then(finish, finish);
    },
    dispose() {
      if (closing !== null) return closing;
      end(disposedError);
      const pending = draining ?? Promise.resolve();
      closing = pending.then(() => closeContext(native));
      return closing;
    },
  };
}
