/**
 * Times configurations of a layer on a device: compiled, prepared, its results compared with those of the
 * rule's choice before any time of it counts, then samples of the objective's entry points on rotated
 * tensors. Refusals of the compiler and the device are answers, not failures.
 */
import type { Artifact, EntryPointName, ManifestTensor } from '../../backends/artifact.ts';
import { compileSpec } from '../../backends/compile.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import type { ExecutionDevice, PreparedLayer, TensorData } from '../../runtime/device.ts';
import { SsmError } from '../../support/diagnostic.ts';
import { decodeBf16, decodeF16 } from '../../support/float-bits.ts';
import { contentHash } from '../../support/hash.ts';
import { InternalError } from '../../support/invariant.ts';
import type { RunSizes } from '../../support/size.ts';
import { makeArguments, makeRunner, type Arguments, type EntryRunner } from '../measure/entry-runner.ts';
import type { Measurer, Refusal } from './search.ts';
import { compileOptionsOf, configurationKey, type Configuration, type FixedOptions } from './space.ts';

/** What is made fast: outputs, a training step, or decoding. */
export type Objective = 'forward' | 'training' | 'step';

/** Entry points that one sample runs. */
export const entriesOfObjective: Readonly<Record<Objective, readonly EntryPointName[]>> = {
  forward: ['forward'], training: ['forwardSaved', 'backward'], step: ['step'],
};

export type MeasurerRequest = {
  readonly device: ExecutionDevice;
  readonly spec: LayerSpec;
  readonly fixed: FixedOptions;
  readonly objective: Objective;
  readonly sizes: RunSizes;
  readonly seed: number;
  readonly start: Configuration;
};

/** Results that differ by more are wrong: sums are taken in other orders, and no more. */
const tolerances = { f32: 1e-4, f16: 1e-2, bf16: 2e-2 } as const;
const warmUps = 2;

type Ready = { readonly layer: PreparedLayer; readonly runner: EntryRunner };
/** As they are stored: a layer's results can have a hundred million numbers. */
type Stored = { readonly data: TensorData; readonly storage: ManifestTensor['storage'] };
type Results = ReadonlyMap<string, Stored>;

/** Numbers of a tensor that are compared, at most; larger tensors are compared at this many places, spread evenly. */
const comparedNumbers = 2 ** 22;

const tables = new Map<ManifestTensor['storage'], Float32Array>();

/** Values of all 16-bit patterns of a storage; null where numbers are stored as such. */
function tableOf(storage: ManifestTensor['storage']): Float32Array | null {
  const decode = storage === 'bf16' ? decodeBf16 : storage === 'f16' ? decodeF16 : null;
  if (decode === null) return null;
  const table = tables.get(storage) ?? Float32Array.from({ length: 65_536 }, (_, bits) => decode(bits));
  tables.set(storage, table);
  return table;
}

/** Relative L2 difference; infinite where a number is none in one of them only, or the sizes differ. */
function difference(found: Stored | undefined, wanted: Stored): number {
  if (found?.data.length !== wanted.data.length || found.storage !== wanted.storage) return Infinity;
  const table = tableOf(wanted.storage);
  // an odd stride, so that rows of even sizes are met in all their columns
  const stride = Math.ceil(wanted.data.length / comparedNumbers) | 1;
  let [apart, size] = [0, 0];
  for (let at = 0; at < wanted.data.length; at += stride) {
    const [left, right] = [found.data[at] ?? NaN, wanted.data[at] ?? NaN];
    const other = table === null ? right : (table[right] ?? NaN);
    if (Number.isFinite(other)) size += other * other;
    // equal bits: also where both are no number
    if (left === right || (left !== left && right !== right)) continue;
    const one = table === null ? left : (table[left] ?? NaN);
    apart += (one - other) * (one - other);
  }
  const relative = Math.sqrt(apart) / Math.max(Math.sqrt(size), 1e-30);
  return Number.isNaN(relative) ? Infinity : relative;
}

function codeHash({ code, manifest }: Artifact): string {
  const text = code.kind === 'wasm' ? code.text : [...code.kernels].flat().join('\n');
  return contentHash(text + JSON.stringify(manifest.entries));
}

class DeviceMeasurer implements Measurer<Configuration>, Disposable {
  readonly #request: MeasurerRequest;
  readonly #ready = new Map<string, Ready>();
  readonly #hashes = new Map<string, string>();
  #given: Arguments | null = null;
  #wanted: Results | null = null;

  constructor(request: MeasurerRequest) {
    this.#request = request;
  }

  async sample(configuration: Configuration): Promise<number | Refusal> {
    const key = configurationKey(configuration);
    const ready = this.#ready.get(key) ?? (await this.#prepare(key, configuration));
    if ('reason' in ready) return ready;
    let total = 0;
    for (const entry of entriesOfObjective[this.#request.objective]) total += (await ready.runner.run(entry)).milliseconds;
    return total;
  }

  release(configuration: Configuration): void {
    const key = configurationKey(configuration);
    const found = this.#ready.get(key);
    if (found === undefined) return;
    this.#ready.delete(key);
    found.runner[Symbol.dispose]();
    found.layer[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const { runner, layer } of this.#ready.values()) {
      runner[Symbol.dispose]();
      layer[Symbol.dispose]();
    }
    this.#ready.clear();
    this.#given?.[Symbol.dispose]();
  }

  async #prepare(key: string, configuration: Configuration): Promise<Ready | Refusal> {
    const { device, spec, fixed, sizes, start } = this.#request;
    const isStart = key === configurationKey(start);
    let made: Ready | null = null;
    try {
      const { artifact } = compileSpec(spec, compileOptionsOf(fixed, configuration));
      const same = this.#claim(codeHash(artifact), key);
      if (same !== null) return { kind: 'same', reason: `the kernels of ${same}` };
      const layer = await device.prepare(artifact);
      const given = this.#arguments(artifact);
      made = { layer, runner: makeRunner({ layer, sizes, arguments: given }) };
      const refusal = await this.#compare(made.runner, artifact, isStart);
      if (refusal === null) {
        for (let at = 0; at < warmUps; at++) for (const entry of entriesOfObjective[this.#request.objective]) await made.runner.run(entry);
        this.#ready.set(key, made);
        return made;
      }
      made.runner[Symbol.dispose]();
      made.layer[Symbol.dispose]();
      return refusal;
    } catch (error) {
      // the rule's own choice must work; another's failure only rules it out, but for a lost device
      const isRefusal = (error instanceof SsmError && error.code !== 'SSM6001') || error instanceof InternalError;
      if (isStart || !isRefusal) throw error;
      made?.runner[Symbol.dispose]();
      made?.layer[Symbol.dispose]();
      return { kind: 'refused', reason: error.message.split('\n')[0] ?? '' };
    }
  }

  /** The configuration that has these kernels already, or null and they are this one's. */
  #claim(hash: string, key: string): string | null {
    const owner = this.#hashes.get(hash);
    if (owner !== undefined && owner !== key) return owner;
    this.#hashes.set(hash, key);
    return null;
  }

  #arguments(artifact: Artifact): Arguments {
    const { device, spec, sizes, seed, objective } = this.#request;
    const wanted = entriesOfObjective[objective];
    this.#given ??= makeArguments({ device, spec, sizes, seed, entries: artifact.manifest.entries.filter((each) => wanted.includes(each.name)) });
    return this.#given;
  }

  async #compare(runner: EntryRunner, artifact: Artifact, isStart: boolean): Promise<Refusal | null> {
    const found = new Map<string, Stored>();
    for (const name of entriesOfObjective[this.#request.objective]) {
      const entry = artifact.manifest.entries.find((each) => each.name === name);
      const results = await runner.results(name);
      for (const tensor of entry?.tensors ?? []) {
        const data = results.get(tensor.name);
        // what is saved depends on the interval; the gradients that come of it are compared
        if (data !== undefined && tensor.role !== 'saved') found.set(`${name} ${tensor.name}`, { data, storage: tensor.storage });
      }
    }
    if (isStart) this.#wanted = found;
    const tolerance = tolerances[this.#request.fixed.storage ?? 'f32'];
    for (const [name, wanted] of this.#wanted ?? []) {
      const apart = difference(found.get(name), wanted);
      if (!(apart <= tolerance)) return { kind: 'disagrees', reason: `${name} differs by ${apart.toExponential(1)} (relative L2; at most ${tolerance})` };
    }
    return null;
  }
}

/** A measurer on a device; the caller disposes it. The start is compiled and run first of all. */
export async function openMeasurer(request: MeasurerRequest): Promise<Measurer<Configuration> & Disposable> {
  const measurer = new DeviceMeasurer(request);
  try {
    await measurer.sample(request.start);
    return measurer;
  } catch (error) {
    measurer[Symbol.dispose]();
    throw error;
  }
}
