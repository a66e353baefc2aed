/**
 * The C++ header of a CUDA artifact, made from its manifest alone: declarations of the kernels and, per
 * entry, a struct of device pointers, the bytes of scratch memory and a function that launches the
 * entry's kernels in order on a stream. Any C++ program that nvcc compiles and that is linked with the
 * kernels can include it.
 *
 * Field names are the tensor's role and its name in the layer (`input_u`, `gradient_A`), so that no
 * name of a layer can meet a keyword or a macro.
 */
import { commentText, safeStem } from '../../support/namer.ts';
import { formatSize, type SizeExpression } from '../../support/size.ts';
import { assertNever, required } from '../../support/invariant.ts';
import { storageBytes } from '../../ir/kernel/nodes.ts';
import type { Manifest, ManifestDispatch, ManifestEntry, ManifestTensor } from '../artifact.ts';
import { dynamicSharedBytes, hopper } from './target.ts';
import { storageHeaders, storageNames } from './types.ts';

/** File name and prefix of all functions of a layer: `statefuse_selective_scan`. */
export function cudaPrefix(manifest: Manifest): string {
  return `statefuse_${safeStem(manifest.layer)}`;
}

/** A size as a C++ expression of type long long over `batch` and `length`. */
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

/** Number of elements of a tensor as a C++ expression. */
export function elementsText(tensor: ManifestTensor): string {
  return tensor.dims.length === 0 ? '1ll' : tensor.dims.map(sizeText).join(' * ');
}

/** C++ field names of an entry's tensors, distinct, by tensor name. */
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

/** What the launch of an entry needs to know about its tensors. */
type Entry = {
  readonly entry: ManifestEntry;
  readonly prefix: string;
  readonly fields: ReadonlyMap<string, string>;
  readonly byName: ReadonlyMap<string, ManifestTensor>;
};

function describe(manifest: Manifest, entry: ManifestEntry): Entry {
  return {
    entry, prefix: `${cudaPrefix(manifest)}_${entry.name}`, fields: fieldNames(entry),
    byName: new Map(entry.tensors.map((each) => [each.name, each])),
  };
}

/** Whether a kernel of the entry writes the tensor. */
export function isWritten(entry: ManifestEntry, tensor: string): boolean {
  return entry.dispatches.some((each) => each.bindings.some((one) => one.tensor === tensor && one.access !== 'read'));
}

function declaration(dispatch: ManifestDispatch, { byName }: Entry): string {
  const pointers = dispatch.bindings.map(({ tensor, access }) => {
    const { storage } = required(byName.get(tensor), `tensor ${tensor}`);
    return `${access === 'read' ? 'const ' : ''}${storageNames[storage]}*`;
  });
  const parameters = [...pointers, ...dispatch.uniforms.map(() => 'int')];
  return `extern "C" __global__ void ${dispatch.kernel}(${parameters.join(', ')});`;
}

function structText({ entry, prefix, fields }: Entry): string {
  const lines = entry.tensors.filter((each) => each.role !== 'scratch').map((tensor) => {
    const dims = tensor.dims.map((size, at) => `${tensor.axes[at] ?? '?'} ${formatSize(size)}`).join(', ');
    const constant = isWritten(entry, tensor.name) ? '' : 'const ';
    return `  ${constant}${storageNames[tensor.storage]}* ${fields.get(tensor.name) ?? ''};  // ${commentText(`${tensor.name}[${dims}]`)}`;
  });
  return `/* Device pointers of ${entry.name}; null for an empty tensor. */\nstruct ${prefix}_tensors {\n${lines.join('\n')}\n};`;
}

function scratchOf(entry: ManifestEntry): readonly ManifestTensor[] {
  return entry.tensors.filter((each) => each.role === 'scratch');
}

/** Scratch tensors lie one after the other, each at a multiple of 256 bytes. */
function scratchText({ entry, prefix }: Entry): string {
  const sum = scratchOf(entry).map((tensor) => `  bytes += (${elementsText(tensor)} * ${storageBytes[tensor.storage]} + 255) / 256 * 256;`);
  const parameters = sum.length === 0 ? 'long long, long long' : 'long long batch, long long length';
  return `/* Bytes of scratch memory that ${prefix} needs. */
inline size_t ${prefix}_scratch_bytes(${parameters}) {
  long long bytes = 0;
${[...sum, '  return static_cast<size_t>(bytes);'].join('\n')}
}`;
}

function scratchPointers({ entry, fields }: Entry): readonly string[] {
  const scratch = scratchOf(entry);
  if (scratch.length === 0) return ['  (void)scratch;'];
  return ['  char* free_scratch = static_cast<char*>(scratch);', ...scratch.flatMap((tensor, at) => {
    const type = storageNames[tensor.storage];
    const pointer = `  ${type}* const ${fields.get(tensor.name) ?? ''} = reinterpret_cast<${type}*>(free_scratch);`;
    const advance = `  free_scratch += (${elementsText(tensor)} * ${storageBytes[tensor.storage]} + 255) / 256 * 256;`;
    return at === scratch.length - 1 ? [pointer] : [pointer, advance];
  })];
}

/** Kernels index with 32 bits, so that larger tensors must be refused before any launch. */
function checks({ entry }: Entry): readonly string[] {
  const tensors = entry.tensors.filter((each) => each.dims.some((size) => typeof size !== 'number'));
  if (tensors.length === 0) return [];
  const counts = [...new Set(tensors.map(elementsText))];
  return [
    '  const long long most = 2147483647ll;',
    '  if (batch < 0 || length < 0 || batch > most || length > most) return cudaErrorInvalidValue;',
    '  if (length > 0 && batch > most / length) return cudaErrorInvalidValue;',
    ...counts.map((each) => `  if (${each} > most) return cudaErrorInvalidValue;`),
  ];
}

/** The tensor whose values a result of a run without tokens takes over, or undefined for zeros. */
function sourceOfEmpty(result: ManifestTensor, { entry }: Entry): ManifestTensor | undefined {
  const role = result.role === 'final' ? 'initial' : result.role === 'gradient' ? 'final-cotangent' : null;
  return entry.tensors.find((each) => each.role === role && each.subject === result.subject);
}

/**
 * Runs without tokens or sequences launch no kernel: the final state is the initial one, so the gradient of the initial
 * state is the final cotangent, and all else is zero.
 */
function emptyRunText(described: Entry): readonly string[] {
  const { entry, fields } = described;
  const results = entry.tensors.filter((each) => each.role !== 'scratch' && isWritten(entry, each.name));
  const field = (tensor: ManifestTensor): string => `tensors.${fields.get(tensor.name) ?? ''}`;
  const fills = results.flatMap((result) => {
    const bytes = `static_cast<size_t>(${elementsText(result)} * ${storageBytes[result.storage]})`;
    const source = sourceOfEmpty(result, described);
    const fill = source === undefined
      ? `cudaMemsetAsync(${field(result)}, 0, ${bytes}, stream)`
      : `cudaMemcpyAsync(${field(result)}, ${field(source)}, ${bytes}, cudaMemcpyDeviceToDevice, stream)`;
    const needed = source === undefined ? `${bytes} > 0` : `${bytes} > 0 && ${field(result)} != ${field(source)}`;
    return [`    if (status == cudaSuccess && ${needed}) status = ${fill};`];
  });
  return ['  if (batch == 0 || length == 0) {', '    cudaError_t status = cudaSuccess;', ...fills, '    return status;', '  }'];
}

function launchText(dispatch: ManifestDispatch, { byName, fields }: Entry): string {
  const bindings = dispatch.bindings.map(({ tensor }) => {
    const isScratch = byName.get(tensor)?.role === 'scratch';
    return `${isScratch ? '' : 'tensors.'}${fields.get(tensor) ?? ''}`;
  });
  const uniforms = dispatch.uniforms.map(({ value }) => `static_cast<int>(${sizeText(value)})`);
  const grid = dispatch.grid.map(sizeText);
  const dynamic = dynamicSharedBytes(dispatch.sharedBytes);
  const [x, y, z] = grid;
  return [
    '  {',
    `    const long long x = ${x}, y = ${y}, z = ${z};`,
    `    if (x > ${hopper.gridX}ll || y > ${hopper.gridYZ}ll || z > ${hopper.gridYZ}ll) return cudaErrorInvalidConfiguration;`,
    ...(dynamic === 0 ? [] : [
      `    const cudaError_t raised = cudaFuncSetAttribute(${dispatch.kernel}, cudaFuncAttributeMaxDynamicSharedMemorySize, ${dynamic});`,
      '    if (raised != cudaSuccess) return raised;',
    ]),
    '    if (x > 0 && y > 0 && z > 0) {',
    '      const dim3 blocks(static_cast<unsigned int>(x), static_cast<unsigned int>(y), static_cast<unsigned int>(z));',
    `      ${dispatch.kernel}<<<blocks, ${dispatch.workgroupSize}, ${dynamic}, stream>>>(`,
    `          ${[...bindings, ...uniforms].join(', ')});`,
    '      const cudaError_t launched = cudaGetLastError();',
    '      if (launched != cudaSuccess) return launched;',
    '    }',
    '  }',
  ].join('\n');
}

function functionText(described: Entry): string {
  const { entry, prefix } = described;
  const readsTensors = entry.dispatches.some((each) => each.bindings.some((one) => described.byName.get(one.tensor)?.role !== 'scratch'));
  return [
    `/* Queues ${entry.name} on the stream; scratch holds ${prefix}_scratch_bytes bytes, aligned to 256. */`,
    `inline cudaError_t ${prefix}(const ${prefix}_tensors& tensors, long long batch, long long length,`,
    '                            void* scratch, cudaStream_t stream) {',
    ...checks(described),
    ...emptyRunText(described),
    ...(readsTensors ? [] : ['  (void)tensors;']),
    ...scratchPointers(described),
    ...entry.dispatches.map((each) => launchText(each, described)),
    ...(entry.dispatches.length === 0 ? ['  (void)stream;'] : []),
    '  return cudaSuccess;',
    '}',
  ].join('\n');
}

/** The header's text: `statefuse_<layer>.h`. */
export function renderCudaHeader(manifest: Manifest): string {
  const entries = manifest.entries.map((each) => describe(manifest, each));
  const storages = manifest.entries.flatMap((each) => each.tensors.map((tensor) => tensor.storage));
  const kernels = new Set(entries.flatMap((each) => each.entry.dispatches.map((dispatch) => declaration(dispatch, each))));
  return `${[
    `// ${commentText(`${cudaPrefix(manifest)}.h: launch functions, made by ${manifest.compiler} (${manifest.contentHash})`)}`,
    ['#pragma once', '#include <cuda_runtime.h>', ...storageHeaders(storages)].join('\n'),
    [...kernels].join('\n'),
    ...entries.flatMap((each) => [structText(each), scratchText(each), functionText(each)]),
  ].join('\n\n')}\n`;
}
