/** The C++ example with the kernels of its layer, compiled as `examples/cuda/build.sh` does it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compileCuda, hasNvcc } from '../backends/cuda/nvcc.ts';
import { runCommand } from '../cli/run-command.ts';

if (!hasNvcc) console.warn('nvcc is not installed: the C++ example is not compiled');

const example = 'prefill-and-decode.cu';

async function filesOfExample(): Promise<Readonly<Record<string, string>>> {
  const folder = await mkdtemp(join(tmpdir(), 'statefuse-example-'));
  try {
    const compiled = await runCommand(['compile', 'examples/s6.ssm', '--target', 'cuda', '--out-dir', folder]);
    expect(compiled).toMatchObject({ code: 0, error: '' });
    const names = ['statefuse_S6.h', 'statefuse_S6.cu'];
    const texts = await Promise.all([...names.map((name) => join(folder, name)), join('examples/cuda', example)].map((file) => readFile(file, 'utf8')));
    return Object.fromEntries([...names, example].map((name, at) => [name, texts[at] ?? '']));
  } finally {
    await rm(folder, { recursive: true });
  }
}

test.skipIf(!hasNvcc)('compiles for sm_80 and sm_90 without a warning, and nothing spills', { timeout: 120_000 }, async () => {
  const main = `#include "statefuse_S6.cu"\n#include "${example}"\n`;
  const reports = compileCuda({ ...await filesOfExample(), 'main.cu': main }, 'main.cu', [80, 90]);
  expect(new Set(reports.map((each) => each.kernel))).toContain('x_backward_0');
  expect(reports.length).toBe(2 * new Set(reports.map((each) => each.kernel)).size);
  for (const report of reports) expect(report).toMatchObject({ stackBytes: 0, spillStores: 0, spillLoads: 0 });
});
