/** Fuzzer of artifacts that come from files: a damaged manifest is refused or runs, and what it runs stays inside of its memory. */
import fc from 'fast-check';
import type { Artifact, Manifest } from '../../../backends/artifact.ts';
import { compileSpec } from '../../../backends/compile.ts';
import type { TensorData } from '../../../runtime/device.ts';
import { directionOf } from '../../../runtime/entry.ts';
import { openWasm, type WasmDevice } from '../../../runtime/wasm/index.ts';
import { evaluateSize } from '../../../support/size.ts';
import { layerOf, smallLayers } from '../corpus.ts';
import { hostileStrings } from '../mutations.ts';
import { accepts, fuzzTarget, type FuzzTarget } from '../target.ts';

type Damage = { readonly path: number; readonly value: unknown };

const values: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, undefined, -1, 0, 1, 1.5, NaN, Infinity, 2 ** 31, 2 ** 53, 'batch', 'length', true, [], {}, 'forward', 'y', 'scratch', 'read'),
  fc.constantFrom(...hostileStrings),
  fc.constant({ operator: 'ceil-divide', left: 'length', right: 0 }), fc.constant({ operator: 'multiply', left: 'length', right: 2 ** 40 }), fc.constant({ operator: 'power', left: 1, right: 1 }),
);

/** Paths to every place of a JSON value. */
function placesOf(value: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, each]) => placesOf(each, [...path, key]))];
}

function replaceAt(value: unknown, path: readonly string[], by: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return by;
  if (Array.isArray(value)) return value.map((each: unknown, at) => (String(at) === key ? replaceAt(each, rest, by) : each));
  return { ...(value as object), [key]: replaceAt((value as Record<string, unknown>)[key], rest, by) };
}

/** Small layers compiled once, and one device for all inputs. */
type Bench = { readonly artifacts: readonly Artifact[]; readonly device: WasmDevice };
let bench: Promise<Bench> | null = null;

function openBench(): Promise<Bench> {
  bench ??= openWasm({ workers: 0, maximumBytes: 2 ** 24, checks: 'canaries' }).then((device) => ({ device, artifacts: compiled() }));
  return bench;
}

function compiled(): readonly Artifact[] {
  return smallLayers.map((text) => compileSpec(layerOf(text), { target: 'wasm', mode: 'recurrent' }).artifact);
}

function damagedManifests(): fc.Arbitrary<readonly [Artifact, unknown]> {
  const artifacts = compiled();
  const places = artifacts.map(({ manifest }) => placesOf(manifest).filter((each) => each[0] !== 'decisions'));
  const damage: fc.Arbitrary<Damage> = fc.record({ path: fc.nat(), value: values });
  return fc.tuple(fc.nat(artifacts.length - 1), fc.array(damage, { minLength: 1, maxLength: 3 })).map(([at, damages]) => {
    const artifact = artifacts[at];
    if (artifact === undefined) throw new Error('no such artifact');
    const known = places[at] ?? [];
    const manifest = damages.reduce<unknown>((each, { path, value }) => replaceSafely(each, known[path % known.length] ?? [], value), artifact.manifest);
    return [artifact, manifest] as const;
  });
}

/** A place that an earlier damage took away stays away. */
function replaceSafely(value: unknown, path: readonly string[], by: unknown): unknown {
  try {
    return replaceAt(value, path, by);
  } catch {
    return value;
  }
}

function numbersFor(manifest: Manifest, entry: Manifest['entries'][number]): Map<string, TensorData> {
  const sizes = { batch: 1, length: 3 };
  const given = entry.tensors.filter((each) => directionOf(each, entry.name) === 'given');
  return new Map(given.flatMap((tensor) => {
    const count = tensor.dims.reduce<number>((product, each) => product * evaluateSize(each, sizes), 1);
    return Number.isSafeInteger(count) && count < 1e6 ? [[tensor.name, new Float32Array(count)] as const] : [];
  }));
}

async function checkManifest([artifact, manifest]: readonly [Artifact, unknown]): Promise<void> {
  const { device } = await openBench();
  await accepts(async () => {
    using prepared = await device.prepare({ manifest: manifest as Manifest, code: artifact.code });
    // a manifest that says other sizes than its kernels were made for is not run: the kernels are trusted, sizes are theirs
    if (JSON.stringify((manifest as Manifest).entries) !== JSON.stringify(artifact.manifest.entries)) return;
    for (const entry of artifact.manifest.entries.filter((each) => each.name === 'forward')) {
      const { tensors } = await prepared.run({ entry: entry.name, sizes: { batch: 1, length: 3 }, tensors: numbersFor(artifact.manifest, entry) });
      tensors.forEach((each) => each[Symbol.dispose]());
    }
  });
  if (device.memoryUse().blocks !== 0) throw new Error(`${device.memoryUse().blocks} blocks are left`);
}

/** Fuzzers of artifacts. */
export const artifactTargets: readonly FuzzTarget[] = [
  fuzzTarget({ name: 'manifests', runs: 400, inputs: damagedManifests, check: checkManifest }),
];
