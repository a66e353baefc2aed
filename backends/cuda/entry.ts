/**
 * An entry point as C sees it: names of its functions and fields, types of its pointers, sizes as
 * expressions. The header declares with them, the launchers define with them, and both must agree.
 *
 * Field names are the tensor's role and its name in the layer (`input_u`, `gradient_A`), so that no
 * name of a layer can meet a keyword or a macro.
 */
import { assertNever, required } from '../../support/invariant.ts';
import { safeStem } from '../../support/namer.ts';
import type { SizeExpression } from '../../support/size.ts';
import type { Manifest, ManifestDispatch, ManifestEntry, ManifestTensor } from '../artifact.ts';
import { storageNames } from './types.ts';

/** File name and prefix of all functions of a layer: `statefuse_selective_scan`. */
export function cudaPrefix(manifest: Manifest): string {
  return `statefuse_${safeStem(manifest.layer)}`;
}

/** A size as an expression of type long long over `batch` and `length`. */
export function sizeText(size: SizeExpression): string {
  if (typeof size === 'number') return `${size}ll`;
  if (typeof size === 'string') return size;
  const left = sizeText(size.left);
  const right = sizeText(size.right);
  switch (size.operator) {
    case 'add':
      return `(${left} + ${right})`;
    case 'multiply':
      return `(${left} * ${right})`;
    case 'ceil-divide':
      return `((${left} + ${right} - 1) / ${right})`;
    case 'minimum':
      return `(${left} < ${right} ? ${left} : ${right})`;
    default:
      return assertNever(size.operator, 'sizeText');
  }
}

/** Number of elements of a tensor as an expression. */
export function elementsText(tensor: ManifestTensor): string {
  return tensor.dims.length === 0 ? '1ll' : tensor.dims.map(sizeText).join(' * ');
}

/** Field names of an entry's tensors, distinct, by tensor name. */
export function fieldNames(entry: ManifestEntry): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  const used = new Set<string>();
  for (const tensor of entry.tensors) {
    const stem = `${tensor.role.replaceAll('-', '_')}_${safeStem(tensor.subject ?? tensor.name)}`;
    let name = stem;
    for (let number = 2; used.has(name); number++) name = `${stem}_${number}`;
    used.add(name);
    names.set(tensor.name, name);
  }
  return names;
}

/** What declarations and launches of an entry need to know about its tensors. */
export type CudaEntry = {
  readonly entry: ManifestEntry;
  /** name of its launch function */
  readonly prefix: string;
  readonly fields: ReadonlyMap<string, string>;
  readonly byName: ReadonlyMap<string, ManifestTensor>;
};

/** All entry points of a manifest. */
export function describeEntries(manifest: Manifest): readonly CudaEntry[] {
  return manifest.entries.map((entry) => ({
    entry, prefix: `${cudaPrefix(manifest)}_${entry.name}`, fields: fieldNames(entry),
    byName: new Map(entry.tensors.map((each) => [each.name, each])),
  }));
}

/** Whether a kernel of the entry writes the tensor. */
export function isWritten(entry: ManifestEntry, tensor: string): boolean {
  return entry.dispatches.some((each) => each.bindings.some((one) => one.tensor === tensor && one.access !== 'read'));
}

/** Declaration of a kernel that is defined in another unit or further down. */
export function kernelDeclaration(dispatch: ManifestDispatch, byName: ReadonlyMap<string, ManifestTensor>): string {
  const pointers = dispatch.bindings.map(({ tensor, access }) => {
    const { storage } = required(byName.get(tensor), `tensor ${tensor}`);
    return `${access === 'read' ? 'const ' : ''}${storageNames[storage]}*`;
  });
  const parameters = [...pointers, ...dispatch.uniforms.map(() => 'int')];
  return `extern "C" __global__ void ${dispatch.kernel}(${parameters.join(', ')});`;
}
