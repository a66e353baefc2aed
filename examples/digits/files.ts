/** The example's files: its texts and data, found from the sources and from `dist` alike, and what it writes. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Artifact } from '../../backends/artifact.ts';
import { ssmError } from '../../support/diagnostic.ts';

/** The package's root: the nearest folder above that has a package.json. */
function packageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (folder === dirname(folder)) throw ssmError('SSM7001', 'the example does not lie in its package');
  }
}

/** A text file of the example. Throws SSM7001 when it cannot be read. */
export function readExampleFile(name: string): string {
  const path = join(packageRoot(), 'examples', 'digits', name);
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw ssmError('SSM7001', `\`${name}\` cannot be read: ${String(error)}`);
  }
}

/** Writes kernels and manifest of an artifact; returns the folder as seen from the working directory. */
export function writeArtifact(name: string, artifact: Artifact): string {
  const { manifest, code } = artifact;
  const folder = join(process.cwd(), 'out', 'digits', name, manifest.target);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  if (code.kind === 'wasm') {
    writeFileSync(join(folder, 'kernels.wasm'), code.module);
    writeFileSync(join(folder, 'kernels.wat'), code.text);
  } else {
    const ending = manifest.target === 'cuda' ? 'cu' : manifest.target;
    for (const [kernel, text] of code.kernels) writeFileSync(join(folder, `${kernel}.${ending}`), text);
  }
  return relative(process.cwd(), folder);
}
