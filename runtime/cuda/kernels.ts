/**
 * Kernels of a device, from text to function: out of the cache of machine code, or by NVRTC for the
 * device's architecture. Equal kernels of several layers are loaded once.
 */
import { makeDiagnostic, SsmError } from '../../support/diagnostic.ts';
import { required } from '../../support/invariant.ts';
import { cacheKey, type CubinCache } from './cache.ts';
import { errorOfFailure, isWrongBinary } from './failures.ts';
import { failureOf, type NativeCompiled } from './native.ts';
import type { Session } from './session.ts';

/** One kernel to make ready. */
export type KernelSource = {
  readonly name: string;
  readonly text: string;
  readonly dynamicSharedBytes: number;
  /** `sm_90` */
  readonly architecture: string;
};

/** A loaded kernel; whoever acquired it releases it. */
export type LoadedKernel = { readonly id: number; readonly release: () => void };

export type KernelStore = { readonly acquire: (source: KernelSource) => Promise<LoadedKernel> };

function rejected(source: KernelSource, log: string): SsmError {
  const lines = log.split('\n').filter((each) => each.trim() !== '');
  const first = lines.find((each) => /error/i.test(each)) ?? lines[0] ?? 'no reason given';
  const [, line, message] = /^[^(]*\((\d+)\): (?:catastrophic )?error(?: #\d+-?D?)?: (.*)$/.exec(first) ?? [];
  const place = line === undefined ? '' : ` at line ${line}`;
  const text = line === undefined ? undefined : source.text.split('\n')[Number(line) - 1];
  return new SsmError([makeDiagnostic({
    code: 'SSM6006', message: `kernel \`${source.name}\` was rejected${place}: ${(message ?? first).trim().slice(0, 300)}`,
    notes: [...(text === undefined ? [] : [`line ${line ?? ''}: ${text.trim().slice(0, 200)}`]), ...lines.slice(0, 6).map((each) => each.slice(0, 200))],
    help: 'report this with the layer\'s text',
  })]);
}

async function compile(session: Session, source: KernelSource, options: readonly string[]): Promise<Uint8Array> {
  const { driver, compiler } = session;
  let compiled: NativeCompiled;
  try {
    compiled = await driver.native.compile(compiler.paths, source.text, `${source.name}.cu`, options);
  } catch (error) {
    const failure = failureOf(error);
    throw failure === null ? error : errorOfFailure({ ...failure, subject: source.name }, `kernel \`${source.name}\``);
  }
  if (!compiled.isAccepted) throw rejected(source, compiled.log);
  return compiled.cubin;
}

function load(session: Session, source: KernelSource, cubin: Uint8Array): number {
  return session.call(`kernel \`${source.name}\``, (native) => native.loadFunction(cubin, source.name, source.dynamicSharedBytes));
}

/** The function's number; machine code from the cache that the driver does not take is made anew. */
async function makeReady(session: Session, cache: CubinCache, source: KernelSource): Promise<number> {
  const options = [`--gpu-architecture=${source.architecture}`, '--std=c++17'];
  const { driver, compiler } = session;
  const key = cacheKey([source.text, ...options, String(driver.version), compiler.version]);
  const kept = await cache.read(key);
  session.check();
  if (kept !== null) {
    try {
      return session.native.loadFunction(kept, source.name, source.dynamicSharedBytes);
    } catch (error) {
      const failure = failureOf(error);
      if (failure === null || !(isWrongBinary(failure) || failure.operation === 'cuModuleGetFunction')) {
        return session.call(`kernel \`${source.name}\``, () => { throw error; });
      }
    }
  }
  const cubin = await compile(session, source, options);
  const id = load(session, source, cubin);
  await cache.write(key, cubin);
  return id;
}

type Entry = { readonly ready: Promise<number>; users: number };

/** An empty store. */
export function createKernelStore(session: Session, cache: CubinCache): KernelStore {
  const known = new Map<string, Entry>();
  const release = (key: string, entry: Entry, id: number): void => {
    entry.users -= 1;
    if (entry.users > 0) return;
    if (known.get(key) === entry) known.delete(key);
    session.afterWork(() => session.native.unloadFunction(id));
  };
  return {
    async acquire(source) {
      const key = JSON.stringify([source.name, source.dynamicSharedBytes, source.architecture, source.text]);
      if (!known.has(key)) known.set(key, { ready: makeReady(session, cache, source), users: 0 });
      const entry = required(known.get(key), source.name);
      entry.users += 1;
      try {
        const id = await entry.ready;
        session.check();
        let isHeld = true;
        return {
          id,
          release() {
            if (isHeld) release(key, entry, id);
            isHeld = false;
          },
        };
      } catch (error) {
        entry.users -= 1;
        if (known.get(key) === entry && entry.users <= 0) known.delete(key);
        throw error;
      }
    },
  };
}
