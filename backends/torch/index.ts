/**
 * The target `torch`: CUDA artifacts of one layer, one per storage type, as a Python package that pip
 * installs without a compiler. The CUDA text travels as data; Python compiles and launches it.
 */
import type { LayerSpec } from '../../dsl/spec.ts';
import { invariant, required } from '../../support/invariant.ts';
import { commentText } from '../../support/namer.ts';
import type { Artifact, ManifestEntry, StorageName } from '../artifact.ts';
import type { FewSequences } from '../few-sequences.ts';
import { modelLayer, type LayerModel } from './layer-model.ts';
import { renderModule } from './module.ts';
import { renderDescription, renderInit, renderOps } from './ops.ts';
import { renderProject, renderReadme, renderTests } from './package-texts.ts';
import { argumentsPython } from './python/arguments.ts';
import { buildPackagePython } from './python/build-package.ts';
import { driverPython } from './python/driver.ts';
import { gradientsPython } from './python/gradients.ts';
import { initialisePython } from './python/initialise.ts';
import { launchPython } from './python/launch.ts';
import { memoryPython } from './python/memory.ts';
import { nvrtcPython } from './python/nvrtc.ts';
import { operatorsPython } from './python/operators.ts';
import { planPython } from './python/plan.ts';
import { structurePython } from './python/structure.ts';
import { toolsPython } from './python/tools.ts';
import { renderReference } from './reference.ts';

export { layerNames } from './names.ts';

/** A file of the package; the path has `/` between folders. */
export type PackageFile = { readonly name: string; readonly content: string };

export type TorchPackage = { readonly packageName: string; readonly className: string; readonly files: readonly PackageFile[] };

/** A CUDA artifact of the layer, for streams stored as `storage`, and one for calls of few sequences where that pays. */
export type StoredArtifact = { readonly storage: StorageName; readonly artifact: Artifact; readonly few: FewSequences | null };

/** The kernels of one entry as one text. */
function entryText(artifact: Artifact, entry: ManifestEntry): string {
  const { code, manifest } = artifact;
  const names = [...new Set(entry.dispatches.map((each) => each.kernel))];
  const kernels = code.kind === 'text' ? code.kernels : new Map<string, string>();
  const head = commentText(`entry ${entry.name} of ${manifest.layer}, made by ${manifest.compiler} (${manifest.contentHash})`);
  return [`// ${head}\n`, ...names.map((each) => required(kernels.get(each), `kernel ${each}`))].join('\n');
}

function artifactFiles(folder: string, artifact: Artifact): readonly PackageFile[] {
  return [
    { name: `${folder}/manifest.json`, content: `${JSON.stringify(artifact.manifest)}\n` },
    ...artifact.manifest.entries.map((each) => ({ name: `${folder}/${each.name}.cu`, content: entryText(artifact, each) })),
  ];
}

function kernelFiles(model: LayerModel, { storage, artifact, few }: StoredArtifact): readonly PackageFile[] {
  const folder = `${model.packageName}/kernels/${storage}`;
  return [...artifactFiles(folder, artifact), ...(few === null ? [] : artifactFiles(`${folder}-few`, few.artifact))];
}

/**
 * The files of the package. `name` replaces the layer's own name, so that one layer in two sizes makes two packages.
 * Throws SSM4003 for a layer that no operator can be made of.
 */
export function emitTorchPackage(spec: LayerSpec, stored: readonly StoredArtifact[], name: string = spec.name): TorchPackage {
  const [first] = stored;
  invariant(first !== undefined, 'an artifact for at least one storage type');
  const { manifest } = first.artifact;
  const model = modelLayer(spec, name, stored, manifest);
  const inPackage: Readonly<Record<string, string>> = {
    '__init__.py': renderInit(model), 'ops.py': renderOps(model), 'module.py': renderModule(model), 'reference.py': renderReference(model),
    'description.py': renderDescription(model), 'structure.py': structurePython, 'arguments.py': argumentsPython, 'operators.py': operatorsPython,
    'gradients.py': gradientsPython, 'launch.py': launchPython, 'driver.py': driverPython, 'memory.py': memoryPython, 'plan.py': planPython, 'nvrtc.py': nvrtcPython,
    'initialise.py': initialisePython, 'tools.py': toolsPython,
  };
  const files: readonly PackageFile[] = [
    { name: 'pyproject.toml', content: renderProject(model) },
    { name: 'README.md', content: renderReadme(model, manifest.compiler, manifest.contentHash) },
    { name: 'build_package.py', content: buildPackagePython },
    { name: 'tests/test_ops.py', content: renderTests(model) },
    ...Object.entries(inPackage).map(([name, content]) => ({ name: `${model.packageName}/${name}`, content })),
    ...stored.flatMap((each) => kernelFiles(model, each)),
  ];
  return { packageName: model.packageName, className: model.className, files };
}
