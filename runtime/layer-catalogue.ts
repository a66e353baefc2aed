/**
 * What a layer's tensors are called and how large they are, gathered from all entries of a manifest:
 * an entry lists only what its kernels read, a caller may bring the same record to each of them.
 */
import type { EntryPointName, Manifest, ManifestEntry, ManifestTensor } from '../backends/artifact.ts';
import { ssmError, type SsmError } from '../support/diagnostic.ts';
import { suggestName } from '../support/suggest-name.ts';
import { evaluateSize, type RunSizes } from '../support/size.ts';
import {
  checkIndices, checkIsRecord, checkShape, elementCount, expectedTensor, lengthOf, valueOf, type LayerRecord,
} from './layer-values.ts';

export type TensorRole = ManifestTensor['role'];

export type LayerCatalogue = {
  readonly layer: string;
  readonly manifest: Manifest;
  readonly entry: (name: EntryPointName) => ManifestEntry;
  readonly all: (role: TensorRole) => readonly ManifestTensor[];
  readonly unknownName: (role: TensorRole, name: string) => SsmError;
  /** throws unless every name of a record is known and, where sizes are given, of its shape */
  readonly checkRecord: (role: TensorRole, record: LayerRecord, sizes: RunSizes | null) => void;
  /** tokens per sequence that the inputs have; throws SSM7003 where they disagree */
  readonly inferLength: (inputs: LayerRecord, batch: number) => number;
};

const plurals: Partial<Record<TensorRole, string>> = {
  input: 'input', param: 'parameter', initial: 'state', output: 'output', 'output-cotangent': 'output',
  'final-cotangent': 'state',
};

const recordNames: Partial<Record<TensorRole, string>> = {
  input: 'inputs', initial: 'initial', 'output-cotangent': 'outputCotangents', 'final-cotangent': 'finalCotangents',
};

/** The catalogue of a manifest. */
export function createCatalogue(manifest: Manifest): LayerCatalogue {
  const byRole = new Map<TensorRole, Map<string, ManifestTensor>>();
  for (const { name, tensors } of manifest.entries) {
    if (name === 'step') continue; // the same tensors with the length fixed
    for (const tensor of tensors) {
      const known = byRole.get(tensor.role) ?? new Map<string, ManifestTensor>();
      if (!known.has(tensor.subject ?? tensor.name)) known.set(tensor.subject ?? tensor.name, tensor);
      byRole.set(tensor.role, known);
    }
  }
  const namesOf = (role: TensorRole): readonly string[] =>
    role === 'param' ? manifest.parameters.map((each) => each.name) : [...(byRole.get(role)?.keys() ?? [])];
  const all = (role: TensorRole): readonly ManifestTensor[] => [...(byRole.get(role)?.values() ?? [])];
  const unknownName = (role: TensorRole, name: string): SsmError => unknownError(manifest.layer, role, name, namesOf(role));
  return {
    layer: manifest.layer, manifest, all, unknownName,
    entry: (name) => entryOf(manifest, name),
    checkRecord(role, record, sizes) {
      checkIsRecord(record, recordNames[role] ?? role);
      for (const [name, value] of Object.entries(record)) {
        const tensor = byRole.get(role)?.get(name);
        if (tensor === undefined) throw unknownName(role, name);
        if (sizes === null) continue;
        checkShape(value, expectedTensor(tensor, sizes));
        const index = role === 'input' ? manifest.indexInputs?.find((each) => each.name === name) : undefined;
        if (index !== undefined) checkIndices(value, name, index.values);
      }
    },
    inferLength: (inputs, batch) => inferLength(manifest.layer, all('input'), inputs, batch),
  };
}

function unknownError(layer: string, role: TensorRole, name: string, known: readonly string[]): SsmError {
  const what = plurals[role] ?? 'tensor';
  const near = suggestName(name, known);
  const list = known.length === 0 ? `it has none` : `it has ${known.map((each) => `\`${each}\``).join(', ')}`;
  return ssmError('SSM6004', `layer \`${layer}\` has no ${what} \`${name}\``, near === null ? list : `did you mean \`${near}\`?`);
}

function entryOf(manifest: Manifest, name: EntryPointName): ManifestEntry {
  const entry = manifest.entries.find((each) => each.name === name);
  if (entry !== undefined) return entry;
  const known = manifest.entries.map((each) => `\`${each.name}\``).join(', ');
  throw ssmError('SSM6004', `layer \`${manifest.layer}\` has no entry \`${name}\``, `it has ${known}`);
}

function inferLength(layer: string, tensors: readonly ManifestTensor[], inputs: LayerRecord, batch: number): number {
  const varying = tensors.find((each) => each.axes.includes('time') && valueOf(inputs, each.subject ?? '') !== undefined);
  const value = varying === undefined ? undefined : valueOf(inputs, varying.subject ?? '');
  if (varying === undefined || value === undefined) {
    throw ssmError('SSM6004', `layer \`${layer}\` needs \`length\`: no given input varies with time`);
  }
  const name = varying.subject ?? varying.name;
  const fixed = varying.dims.filter((each) => each !== 'length').map((each) => evaluateSize(each, { batch, length: 1 }));
  const perToken = elementCount(fixed);
  const given = lengthOf(value, name);
  if (perToken === 0) return 0;
  if (given % perToken === 0) return given / perToken;
  const sizes = varying.dims.map((each) => (each === 'length' ? 'length' : evaluateSize(each, { batch, length: 1 })));
  throw ssmError(
    'SSM7003',
    `\`${name}\` has ${given} numbers, expected a multiple of ${perToken}: [${sizes.join(', ')}] (${varying.axes.join(', ')})`,
  );
}
