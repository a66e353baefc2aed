/**
 * Writes the CUDA check of the scan kernels: small cases against the float64 interpreter with random
 * numbers, and large ones for timing. Usage: node …/scan-suite.js DIRECTORY [wanted layer name]
 */
import { join } from 'node:path';
import { compileSpec } from '../../backends/compile.ts';
import type { GpuCase } from './pack-case.ts';
import { interpretWorkload, rangeOf, readLayer, suiteEntries as runs, type Workload } from './workloads.ts';
import { writeCudaHostProject } from './write-project.ts';

/** The published selective scan under other schedule parameters, for timing. */
const variants: readonly Workload[] = [[4, 128, 16]].map(([lanes = 4, workgroupSize = 128, tile = 16]) => ({
  name: `s6-bf16-l${lanes}-w${workgroupSize}-t${tile}`, file: 'examples/s6.ssm', sizes: { D: 2048, N: 16 }, timed: [{ batch: 8, length: 2048 }], checked: { batch: 1, length: 21 },
  options: { storage: 'bf16', checkpointInterval: tile, schedule: () => ({ parameters: { kind: 'lanes', lanes, channels: 1, workgroupSize, tile, channelSums: 'shuffle', prefetch: true, overlap: false, helpers: 0 }, split: null }) },
}));

const workloads: readonly Workload[] = [
  ...variants,
  { name: 's6-bf16', file: 'examples/s6.ssm', options: { storage: 'bf16' }, sizes: { D: 2048, N: 16 }, timed: [{ batch: 8, length: 2048 }], checked: { batch: 1, length: 21 } },
  { name: 's6-f32', file: 'examples/s6.ssm', options: { storage: 'f32' }, sizes: { D: 2048, N: 16 }, timed: [{ batch: 8, length: 2048 }], checked: { batch: 2, length: 19 } },
  { name: 's6-long', file: 'examples/s6.ssm', options: { storage: 'bf16', mode: 'scan', pieceLength: 512 }, sizes: { D: 2048, N: 16 }, timed: [{ batch: 1, length: 65536 }], checked: { batch: 1, length: 21 } },
  { name: 's6-odd', file: 'examples/s6.ssm', options: { storage: 'f32' }, sizes: { D: 37, N: 8 }, timed: [], checked: { batch: 3, length: 257 } },
  { name: 's6-scan', file: 'examples/s6.ssm', options: { storage: 'f32', mode: 'scan', pieceLength: 64 }, sizes: { D: 96, N: 16 }, timed: [{ batch: 1, length: 65536 }], checked: { batch: 1, length: 261 } },
  { name: 's4d', file: 'examples/s4d.ssm', options: { storage: 'f32' }, sizes: { D: 1024, N: 32 }, timed: [{ batch: 8, length: 1024 }], checked: { batch: 1, length: 67 } },
  { name: 'rg-lru', file: 'examples/rg-lru.ssm', options: { storage: 'f32' }, sizes: {}, timed: [], checked: { batch: 1, length: 19 } },
];

async function write(workload: Workload, directory: string): Promise<void> {
  const spec = await readLayer(workload);
  const compiled = compileSpec(spec, { ...workload.options, target: 'cuda' });
  const storage = workload.options.storage ?? 'f32';
  const { inputs, expected } = interpretWorkload(workload, spec, compiled);
  const checked: GpuCase = { name: `${workload.name}-check`, ...workload.checked, runs, inputs, expected, random: new Map(), tolerance: storage === 'f32' ? 1e-5 : 6e-3 };
  const timed = workload.timed.map(({ batch, length }): GpuCase => ({
    name: `${workload.name}-B${batch}-L${length}`, batch, length, runs, inputs: new Map(), expected: new Map(), tolerance: 1,
    random: new Map([...inputs.keys()].map((name) => [name, rangeOf(name)])),
  }));
  await writeCudaHostProject(compiled.artifact, [checked, ...timed], join(directory, workload.name));
}

const [directory, wanted] = process.argv.slice(2);
if (directory === undefined) throw new Error('usage: scan-suite DIRECTORY [name]');
for (const workload of workloads) if (wanted === undefined || workload.name === wanted) await write(workload, directory);
