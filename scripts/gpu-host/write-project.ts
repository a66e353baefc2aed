/**
 * A folder with everything to check and time a CUDA artifact on a machine that has a GPU and nvcc but
 * no network: the kernels, their header, a table of both for the generic host program, the host program
 * and a script that builds and runs it.
 */
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Artifact, Manifest, ManifestDispatch, ManifestEntry } from '../../backends/artifact.ts';
import {
  cudaPrefix, dynamicSharedBytes, elementsText, fieldNames, isWritten, kernelDeclaration, renderCudaHeader, renderCudaUnit, sizeText,
} from '../../backends/cuda/index.ts';
import { headerTypes, storageHeaders } from '../../backends/cuda/types.ts';
import { packCase, type GpuCase } from './pack-case.ts';

const hostFolder: string = fileURLToPath(new URL('./host/', import.meta.url));

/** Warnings are errors in generated code and in the host program alike. */
const compilerFlags = '-std=c++17 -O3 -arch=sm_90 -Werror all-warnings';

/** A function of the sizes; parameters that it does not use stay unnamed. */
function sizeFunction(expression: string): string {
  const parameter = (name: string): string => (new RegExp(`\\b${name}\\b`).test(expression) ? `Size ${name}` : 'Size');
  return `[](${parameter('batch')}, ${parameter('length')}) -> Size { return ${expression}; }`;
}

function quoted(text: string): string {
  return JSON.stringify(text.replace(/[^\x20-\x7e]/g, '?'));
}

function tensorRows(entry: ManifestEntry): string {
  const rows = entry.tensors.map((tensor) =>
    `    {${quoted(tensor.name)}, "${tensor.role}", Storage::${tensor.storage}, ${sizeFunction(elementsText(tensor))}, `
    + `${tensor.role === 'scratch'}, ${isWritten(entry, tensor.name)}},`);
  return `const TensorRow ${entry.name}_tensors[] = {\n${rows.join('\n')}\n};`;
}

function kernelLists(entry: ManifestEntry, dispatch: ManifestDispatch, at: number): readonly string[] {
  const places = dispatch.bindings.map(({ tensor }) => entry.tensors.findIndex((each) => each.name === tensor));
  const uniforms = dispatch.uniforms.map(({ value }) => `  ${sizeFunction(sizeText(value))},`);
  return [
    `const int ${entry.name}_bindings_${at}[] = {${places.join(', ')}};`,
    `Size (*const ${entry.name}_uniforms_${at}[])(Size, Size) = {\n${[...uniforms, '  nullptr,'].join('\n')}\n};`,
  ];
}

function kernelRow(entry: ManifestEntry, dispatch: ManifestDispatch, at: number): string {
  const grid = dispatch.grid.map((size) => sizeFunction(sizeText(size))).join(', ');
  return `    {"${dispatch.kernel}", reinterpret_cast<const void*>(${dispatch.kernel}), ${dispatch.workgroupSize}u, `
    + `${dynamicSharedBytes(dispatch.sharedBytes)}, {${grid}}, ${entry.name}_bindings_${at}, ${dispatch.bindings.length}, `
    + `${entry.name}_uniforms_${at}, ${dispatch.uniforms.length}},`;
}

/** Fills the header's struct from a list of pointers and calls the header's launch function. */
function launchAdapter(manifest: Manifest, entry: ManifestEntry): string {
  const prefix = `${cudaPrefix(manifest)}_${entry.name}`;
  const fields = fieldNames(entry);
  const fill = entry.tensors.flatMap((tensor, at) => {
    if (tensor.role === 'scratch') return [];
    const constant = isWritten(entry, tensor.name) ? '' : 'const ';
    return [`  tensors.${fields.get(tensor.name) ?? ''} = static_cast<${constant}${headerTypes[tensor.storage]}*>(pointers[${at}]);`];
  });
  return [
    `cudaError_t launch_${entry.name}(void* const* pointers, Size batch, Size length, void* scratch, cudaStream_t stream) {`,
    `  ${prefix}_tensors tensors{};`,
    ...(fill.length === 0 ? ['  (void)pointers;'] : fill),
    `  return ${prefix}(&tensors, batch, length, scratch, stream);`,
    '}',
  ].join('\n');
}

/** Text of entries.cu: the tables that the host program reads. */
export function renderEntryTables(manifest: Manifest): string {
  const parts = manifest.entries.flatMap((entry) => [
    tensorRows(entry),
    ...entry.dispatches.flatMap((dispatch, at) => kernelLists(entry, dispatch, at)),
    `const KernelRow ${entry.name}_kernels[] = {\n${entry.dispatches.map((each, at) => kernelRow(entry, each, at)).join('\n')}\n};`,
    launchAdapter(manifest, entry),
  ]);
  const prefix = cudaPrefix(manifest);
  const storages = manifest.entries.flatMap((entry) => entry.tensors.map((each) => each.storage));
  const kernels = new Set(manifest.entries.flatMap((entry) => {
    const byName = new Map(entry.tensors.map((each) => [each.name, each]));
    return entry.dispatches.map((each) => kernelDeclaration(each, byName));
  }));
  const rows = manifest.entries.map((entry) =>
    `    {"${entry.name}", ${entry.name}_tensors, ${entry.tensors.length}, ${entry.name}_kernels, ${entry.dispatches.length}, `
    + `${prefix}_${entry.name}_scratch_bytes, launch_${entry.name}},`);
  return `${[
    '// Tables of the layer for the host program; made together with the kernels.',
    [`#include "${prefix}.h"`, '#include "table.h"', ...storageHeaders(storages)].join('\n'),
    [...kernels].join('\n'),
    'namespace {\n\nusing namespace host;',
    ...parts,
    `const EntryRow entries[] = {\n${rows.join('\n')}\n};`,
    `const LayerTable layer = {"${prefix}", entries, ${manifest.entries.length}};`,
    '}  // namespace',
    'const host::LayerTable& host::layer_table() { return layer; }',
  ].join('\n\n')}\n`;
}

/** Builds in the folder itself and logs to $OUT; `./run.sh --no-timing` only checks. */
const runScript = `#!/bin/sh
# Builds the kernels and the host program, then runs all cases. Arguments go to the host program.
# OUT: folder for the logs. SANITIZE=1: run under compute-sanitizer, without timing.
cd "$(dirname "$0")" || exit 1
out="\${OUT:-$PWD}"
mkdir -p "$out"
nvcc ${compilerFlags} -Xptxas -v -c kernels.cu -o kernels.o 2> "$out/ptxas.log" || { cat "$out/ptxas.log"; exit 1; }
nvcc ${compilerFlags} main.cu entries.cu kernels.o -o main || exit 1
grep -E "Compiling entry|spill|Used" "$out/ptxas.log"
if [ "\${SANITIZE:-0}" = 1 ]; then
  for tool in memcheck racecheck; do
    compute-sanitizer --tool "$tool" --error-exitcode 1 ./main --no-timing "$@" cases/*.case || exit 1
  done
  exit 0
fi
./main --json "$out/results.jsonl" "$@" cases/*.case > "$out/log.txt" 2>&1
status=$?
cat "$out/log.txt"
exit $status
`;

/** Writes the folder; what is there under the same names is overwritten. */
export async function writeCudaHostProject(artifact: Artifact, cases: readonly GpuCase[], directory: string): Promise<void> {
  await mkdir(join(directory, 'cases'), { recursive: true });
  const { manifest } = artifact;
  const texts: readonly (readonly [string, string])[] = [
    ['kernels.cu', renderCudaUnit(artifact)],
    [`${cudaPrefix(manifest)}.h`, renderCudaHeader(manifest)],
    ['entries.cu', renderEntryTables(manifest)],
    ['manifest.json', `${JSON.stringify(manifest, null, 2)}\n`],
  ];
  await Promise.all(texts.map(([name, text]) => writeFile(join(directory, name), text)));
  await writeFile(join(directory, 'run.sh'), runScript, { mode: 0o755 });
  const host = await readdir(hostFolder);
  await Promise.all(host.map((name) => copyFile(join(hostFolder, name), join(directory, name))));
  await Promise.all(cases.map((each) => writeFile(join(directory, 'cases', `${each.name}.case`), packCase(each))));
}
