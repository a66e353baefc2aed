/**
 * What the C header of a CUDA artifact declares: bytes of scratch memory and launch functions, as text
 * that stands behind the kernels in their unit. A launch allocates nothing and waits for nothing.
 */
import { storageBytes } from '../../ir/kernel/nodes.ts';
import type { Manifest, ManifestDispatch, ManifestTensor } from '../artifact.ts';
import { cudaPrefix, describeEntries, elementsText, isWritten, kernelDeclaration, sizeText, type CudaEntry } from './entry.ts';
import { dynamicSharedBytes, hopper } from './target.ts';
import { headerTypes, storageHeaders, storageNames } from './types.ts';

function scratchOf({ entry }: CudaEntry): readonly ManifestTensor[] {
  return entry.tensors.filter((each) => each.role === 'scratch');
}

/** Scratch tensors lie one after the other, each at a multiple of 256 bytes. */
function scratchBytes(tensor: ManifestTensor): string {
  return `(${elementsText(tensor)} * ${storageBytes[tensor.storage]} + 255) / 256 * 256`;
}

function scratchText(described: CudaEntry): string {
  const sum = scratchOf(described).map((tensor) => `  bytes += ${scratchBytes(tensor)};`);
  return [
    `extern "C" size_t ${described.prefix}_scratch_bytes(long long batch, long long length) {`,
    '  (void)batch, (void)length;',
    '  long long bytes = 0;',
    ...sum,
    '  return static_cast<size_t>(bytes);',
    '}',
  ].join('\n');
}

function scratchPointers(described: CudaEntry): readonly string[] {
  const scratch = scratchOf(described);
  if (scratch.length === 0) return ['  (void)scratch;'];
  return ['  char* free_scratch = static_cast<char*>(scratch);', ...scratch.flatMap((tensor, at) => {
    const type = storageNames[tensor.storage];
    const pointer = `  ${type}* const ${described.fields.get(tensor.name) ?? ''} = reinterpret_cast<${type}*>(free_scratch);`;
    return at === scratch.length - 1 ? [pointer] : [pointer, `  free_scratch += ${scratchBytes(tensor)};`];
  })];
}

/** Kernels index with 32 bits, so that larger tensors must be refused before any launch. */
function checks({ entry }: CudaEntry): readonly string[] {
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
function sourceOfEmpty(result: ManifestTensor, { entry }: CudaEntry): ManifestTensor | undefined {
  const role = result.role === 'final' ? 'initial' : result.role === 'gradient' ? 'final-cotangent' : null;
  return entry.tensors.find((each) => each.role === role && each.subject === result.subject);
}

/**
 * Runs without tokens or sequences launch no kernel: the final state is the initial one, so the gradient of the initial
 * state is the final cotangent, and all else is zero.
 */
function emptyRunText(described: CudaEntry): readonly string[] {
  const { entry, fields } = described;
  const results = entry.tensors.filter((each) => each.role !== 'scratch' && isWritten(entry, each.name));
  const field = (tensor: ManifestTensor): string => `tensors->${fields.get(tensor.name) ?? ''}`;
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

function argumentText(binding: ManifestDispatch['bindings'][number], { byName, fields }: CudaEntry): string {
  const tensor = byName.get(binding.tensor);
  const field = fields.get(binding.tensor) ?? '';
  if (tensor === undefined || tensor.role === 'scratch') return field;
  const type = storageNames[tensor.storage];
  if (type === headerTypes[tensor.storage]) return `tensors->${field}`;
  return `reinterpret_cast<${binding.access === 'read' ? 'const ' : ''}${type}*>(tensors->${field})`;
}

function launchText(dispatch: ManifestDispatch, described: CudaEntry): string {
  const uniforms = dispatch.uniforms.map(({ value }) => `static_cast<int>(${sizeText(value)})`);
  const dynamic = dynamicSharedBytes(dispatch.sharedBytes);
  const [x, y, z] = dispatch.grid.map(sizeText);
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
    `          ${[...dispatch.bindings.map((each) => argumentText(each, described)), ...uniforms].join(', ')});`,
    '      const cudaError_t launched = cudaGetLastError();',
    '      if (launched != cudaSuccess) return launched;',
    '    }',
    '  }',
  ].join('\n');
}

function functionText(described: CudaEntry): string {
  const { entry, prefix } = described;
  return [
    `extern "C" cudaError_t ${prefix}(const ${prefix}_tensors* tensors, long long batch, long long length,`,
    `${' '.repeat(24 + prefix.length)}void* scratch, cudaStream_t stream) {`,
    '  (void)tensors, (void)batch, (void)length, (void)stream;',
    ...checks(described),
    ...emptyRunText(described),
    ...scratchPointers(described),
    ...entry.dispatches.map((each) => launchText(each, described)),
    '  return cudaSuccess;',
    '}',
  ].join('\n');
}

/** Definitions of all functions of the header; they include it and declare the kernels that they launch. */
export function renderCudaLaunchers(manifest: Manifest): string {
  const entries = describeEntries(manifest);
  const storages = manifest.entries.flatMap((each) => each.tensors.map((tensor) => tensor.storage));
  const kernels = new Set(entries.flatMap((each) => each.entry.dispatches.map((dispatch) => kernelDeclaration(dispatch, each.byName))));
  return `${[
    [`#include "${cudaPrefix(manifest)}.h"`, ...storageHeaders(storages)].join('\n'),
    [...kernels].join('\n'),
    ...entries.flatMap((each) => [scratchText(each), functionText(each)]),
  ].join('\n\n')}\n`;
}
