/**
 * What a run leaves: its tensors with their shapes, as one safetensors file or as a folder of npy files
 * with a small JSON document beside them. Nothing of the time of day is written, so that equal runs
 * write equal bytes.
 */
import { basename, dirname, extname, resolve } from 'node:path';
import type { Artifact, ManifestTensor } from '../../backends/artifact.ts';
import type { TensorData } from '../../runtime/device.ts';
import { writeNpy } from '../../runtime/io/npy.ts';
import { writeSafetensors } from '../../runtime/io/safetensors.ts';
import type { DeviceRecord, GradientResult, LayerResult } from '../../runtime/layer.ts';
import { required } from '../../support/invariant.ts';
import { evaluateSize, type RunSizes } from '../../support/size.ts';
import { UsageError, type CommandEnvironment } from '../environment.ts';
import { fileNames, writeFiles, type OutputFile } from '../write-files.ts';

export type ResultTensor = {
  /** in files: `y`, `x.final`, `grad.u` */
  readonly name: string;
  readonly role: 'output' | 'final' | 'gradient';
  readonly axes: readonly string[];
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
};

type Described = { readonly artifact: Artifact; readonly sizes: RunSizes; readonly role: ResultTensor['role'] };

function described({ artifact, role }: Described, subject: string): ManifestTensor {
  const tensors = artifact.manifest.entries.filter((each) => each.name !== 'step').flatMap((each) => each.tensors);
  return required(tensors.find((each) => each.role === role && each.subject === subject), `${role} ${subject}`);
}

function hostNumbers(data: TensorData): Float32Array | Int32Array {
  return data instanceof Int32Array ? data : data instanceof Float32Array ? data : Float32Array.from(data);
}

const fileName: Readonly<Record<ResultTensor['role'], (subject: string) => string>> = {
  output: (subject) => subject, final: (subject) => `${subject}.final`, gradient: (subject) => `grad.${subject}`,
};

async function readRecord(what: Described, record: DeviceRecord): Promise<readonly ResultTensor[]> {
  const found: ResultTensor[] = [];
  for (const [subject, tensor] of Object.entries(record)) {
    const { axes, dims } = described(what, subject);
    found.push({
      name: fileName[what.role](subject), role: what.role, axes, shape: dims.map((each) => evaluateSize(each, what.sizes)),
      data: hostNumbers(await tensor.read()),
    });
  }
  return found;
}

/** The numbers of a result on the host. */
export async function readResults(artifact: Artifact, sizes: RunSizes, result: LayerResult | GradientResult): Promise<readonly ResultTensor[]> {
  const outputs = await readRecord({ artifact, sizes, role: 'output' }, result.outputs);
  const finals = await readRecord({ artifact, sizes, role: 'final' }, result.final);
  const gradients = 'gradients' in result ? await readRecord({ artifact, sizes, role: 'gradient' }, result.gradients) : [];
  return [...outputs, ...finals, ...gradients];
}

/** Throws a UsageError for a path that is neither a safetensors file nor a folder. */
export function checkOutputPath(path: string): void {
  if (path === '') throw new UsageError('`--out` is empty: name a .safetensors file or a folder');
  if (!/^\.(npy|npz|pt|pth|bin|json|csv)$/i.test(extname(path))) return;
  throw new UsageError(`\`--out ${path}\`: name a .safetensors file, or a folder for .npy files`);
}

/** Names as they are where every file system takes them, else made safe. */
function arrayNames(names: readonly string[]): readonly string[] {
  const isPlain = names.every((each) => /^[A-Za-z_][A-Za-z0-9_.]{0,99}$/.test(each) && !/^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)/i.test(each));
  const isDistinct = new Set(names.map((each) => each.toLowerCase())).size === names.length;
  return isPlain && isDistinct ? names.map((each) => `${each}.npy`) : fileNames(names, 'npy');
}

function arrayFiles(metadata: ReadonlyMap<string, string>, tensors: readonly ResultTensor[]): readonly OutputFile[] {
  const names = arrayNames(tensors.map((each) => each.name));
  const arrays = tensors.map(({ shape, data }, at): OutputFile => ({
    name: names[at] ?? '', content: writeNpy({ dtype: data instanceof Int32Array ? '<i4' : '<f4', shape, data }),
  }));
  const table = Object.fromEntries(tensors.map((each, at) => [each.name, names[at] ?? '']));
  return [...arrays, { name: 'run.json', content: `${JSON.stringify({ metadata: Object.fromEntries(metadata), files: table }, null, 2)}\n` }];
}

/** Writes everything or nothing, and gives the paths. Throws SSM7001. */
export function writeResults(
  environment: CommandEnvironment, path: string, metadata: ReadonlyMap<string, string>, tensors: readonly ResultTensor[],
): readonly string[] {
  const full = resolve(environment.directory, path);
  if (extname(path).toLowerCase() !== '.safetensors') {
    const files = arrayFiles(metadata, tensors);
    writeFiles(full, path, files, '--out');
    return files.map((each) => `${path.replace(/\/+$/, '')}/${each.name}`);
  }
  const content = writeSafetensors({
    metadata,
    tensors: new Map(tensors.map(({ name, shape, data }) => [name, { dtype: data instanceof Int32Array ? 'I32' : 'F32', shape, data }])),
  });
  writeFiles(dirname(full), dirname(path), [{ name: basename(full), content }], '--out');
  return [path];
}
