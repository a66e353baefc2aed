/**
 * The C header of a CUDA artifact, made from its manifest alone: per entry a struct of device pointers,
 * the bytes of scratch memory and a function that launches the entry's kernels in order on a stream. It
 * holds declarations only, in what C11 and C++ have in common; `launchers.ts` makes the definitions,
 * which nvcc compiles with the kernels. Any program that links them can include it.
 */
import { commentText } from '../../support/namer.ts';
import { formatSize } from '../../support/size.ts';
import type { Manifest } from '../artifact.ts';
import { cudaPrefix, describeEntries, isWritten, type CudaEntry } from './entry.ts';
import { headerTypes } from './types.ts';

function structText({ entry, prefix, fields }: CudaEntry): string {
  const lines = entry.tensors.filter((each) => each.role !== 'scratch').map((tensor) => {
    const dims = tensor.dims.map((size, at) => `${tensor.axes[at] ?? '?'} ${formatSize(size)}`).join(', ');
    const bits = headerTypes[tensor.storage] === 'uint16_t' ? `, ${tensor.storage}` : '';
    const constant = isWritten(entry, tensor.name) ? '' : 'const ';
    return `  ${constant}${headerTypes[tensor.storage]}* ${fields.get(tensor.name) ?? ''};  // ${commentText(`${tensor.name}[${dims}]${bits}`)}`;
  });
  const members = lines.length === 0 ? ['  char nothing;  // C has no empty structs'] : lines;
  return `// Device pointers of ${entry.name}; null for an empty tensor.\ntypedef struct ${prefix}_tensors {\n${members.join('\n')}\n} ${prefix}_tensors;`;
}

function prototypes({ entry, prefix }: CudaEntry): string {
  return [
    `// Bytes of scratch memory that ${prefix} needs.`,
    `size_t ${prefix}_scratch_bytes(long long batch, long long length);`,
    '',
    `// Queues ${entry.name} on the stream; scratch holds ${prefix}_scratch_bytes bytes, aligned to 256.`,
    `cudaError_t ${prefix}(const ${prefix}_tensors* tensors, long long batch, long long length,`,
    `${' '.repeat(13 + prefix.length)}void* scratch, cudaStream_t stream);`,
  ].join('\n');
}

/** The header's text: `statefuse_<layer>.h`. */
export function renderCudaHeader(manifest: Manifest): string {
  const name = cudaPrefix(manifest);
  const guard = `${name.toUpperCase()}_H`;
  return `${[
    `// ${commentText(`${name}.h: launch functions, made by ${manifest.compiler} (${manifest.contentHash})`)}`,
    [`#ifndef ${guard}`, `#define ${guard}`].join('\n'),
    ['#include <stddef.h>', '#include <stdint.h>', '#include <cuda_runtime_api.h>'].join('\n'),
    ['#ifdef __cplusplus', 'extern "C" {', '#endif'].join('\n'),
    ...describeEntries(manifest).flatMap((each) => [structText(each), prototypes(each)]),
    ['#ifdef __cplusplus', '}', '#endif'].join('\n'),
    `#endif  // ${guard}`,
  ].join('\n\n')}\n`;
}
