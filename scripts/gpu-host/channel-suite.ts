/**
 * Writes the CUDA check of scans without an inner axis and of one-token steps: small cases against the
 * float64 interpreter, and a script that times large ones with `host/quick.cu`.
 * Usage: node …/channel-suite.js DIRECTORY [part of a name]
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EntryPointName } from '../../backends/artifact.ts';
import { compileSpec, type CompileOptions, type CompileResult } from '../../backends/compile.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import type { SegmentsParameters } from '../../ir/schedule/parameters.ts';
import type { GpuCase } from './pack-case.ts';
import { interpretWorkload, readLayer, suiteEntries, type Workload } from './workloads.ts';
import { writeCudaHostProject } from './write-project.ts';

type Timed = { readonly batch: number; readonly length: number; readonly entries: readonly EntryPointName[] };

/** `checked` null: too large to carry the numbers; a small sibling is checked. */
type ChannelWorkload = Omit<Workload, 'timed' | 'checked'> & { readonly checked: Workload['checked'] | null; readonly times: readonly Timed[]; readonly ranges: string };

const trained: readonly EntryPointName[] = ['forward', 'forwardSaved', 'backward'];

/** Parameters by name, for comparisons. */
function segments(lanes: 1 | 2 | 4, workgroupSize: number, count: number, tokens: number, prefetch: boolean, halvings = 0): Omit<CompileOptions, 'target'> {
  const parameters: SegmentsParameters = { kind: 'segments', lanes, workgroupSize, segments: count, tokens, prefetch, halvings };
  return { schedule: () => ({ parameters, split: null }) };
}

const variants: readonly (readonly [string, Omit<CompileOptions, 'target'>])[] = [
  ['auto', {}],
  ['l1-w256-s8-t16-p', segments(1, 256, 8, 16, true)],
  ['l1-w256-s8-t8-p', segments(1, 256, 8, 8, true)],
  ['l1-w256-s4-t16', segments(1, 256, 4, 16, false)],
  ['l1-w512-s16-t8', segments(1, 512, 16, 8, false)],
  ['l2-w256-s8-t8', segments(2, 256, 8, 8, false)],
  ['l2-w256-s8-t8-p', segments(2, 256, 8, 8, true)],
  ['l4-w256-s8-t4', segments(4, 256, 8, 4, false)],
  ['l4-w256-s16-t4-p', segments(4, 256, 16, 4, true)],
  ['sequential', { schedule: () => ({ parameters: { kind: 'sequential', workgroupSize: 64, lanes: 1, innerWidth: 1, groupChannels: 1 }, split: null }) }],
];

const scans: readonly ChannelWorkload[] = variants.flatMap(([name, options]): readonly ChannelWorkload[] => [
  {
    name: `real-${name}`, file: 'bench/layers/real-scan.ssm', options, sizes: { D: 1536 }, checked: null, ranges: 'a=0.5,1',
    times: [{ batch: 8, length: 16384, entries: trained }, ...(name === 'auto' ? [{ batch: 1, length: 65536, entries: trained }, { batch: 8, length: 2048, entries: trained }] : [])],
  },
  ...(name === 'auto' || name.includes('l2') || name.includes('t8') ? [{
    name: `complex-${name}`, file: 'bench/layers/complex-scan.ssm', options, sizes: { D: 1024 }, checked: null, ranges: 'a=-0.7,0.7',
    times: [{ batch: 8, length: 1024, entries: trained }, { batch: 8, length: 16384, entries: trained }],
  }] : []),
]);

const others: readonly ChannelWorkload[] = [
  { name: 'hgrn', file: 'examples/hgrn.ssm', options: {}, sizes: { D: 1536 }, checked: null, ranges: '', times: [{ batch: 8, length: 16384, entries: trained }] },
  { name: 'hgrn-bf16', file: 'examples/hgrn.ssm', options: { storage: 'bf16' }, sizes: { D: 1536 }, checked: null, ranges: '', times: [{ batch: 8, length: 16384, entries: trained }] },
  { name: 'rg-lru', file: 'examples/rg-lru.ssm', options: {}, sizes: {}, checked: { batch: 1, length: 150 }, ranges: '', times: [{ batch: 8, length: 2048, entries: trained }] },
  { name: 'lru', file: 'examples/lru.ssm', options: {}, sizes: {}, checked: { batch: 1, length: 70 }, ranges: '', times: [{ batch: 8, length: 2048, entries: trained }] },
  { name: 's5', file: 'examples/s5.ssm', options: {}, sizes: {}, checked: { batch: 1, length: 70 }, ranges: '', times: [{ batch: 8, length: 2048, entries: trained }] },
  { name: 'real-wide', file: 'bench/layers/real-scan.ssm', options: segments(4, 128, 16, 4, true), sizes: { D: 48 }, checked: { batch: 2, length: 150 }, ranges: 'a=0.5,1', times: [] },
  { name: 'complex-odd', file: 'bench/layers/complex-scan.ssm', options: {}, sizes: { D: 33 }, checked: { batch: 2, length: 141 }, ranges: 'a=-0.7,0.7', times: [] },
  { name: 'complex-pairs', file: 'bench/layers/complex-scan.ssm', options: segments(2, 64, 8, 8, true), sizes: { D: 24 }, checked: { batch: 2, length: 141 }, ranges: 'a=-0.7,0.7', times: [] },
  { name: 'hgrn-odd', file: 'examples/hgrn.ssm', options: {}, sizes: { D: 40 }, checked: { batch: 2, length: 150 }, ranges: '', times: [] },
  { name: 'real-odd', file: 'bench/layers/real-scan.ssm', options: {}, sizes: { D: 45 }, checked: { batch: 2, length: 301 }, ranges: 'a=0.5,1', times: [] },
  { name: 'real-split', file: 'bench/layers/real-scan.ssm', options: { mode: 'scan', pieceLength: 48 }, sizes: { D: 45 }, checked: { batch: 2, length: 301 }, ranges: 'a=0.5,1', times: [] },
];

function checkOf(workload: Workload, spec: LayerSpec, compiled: CompileResult): GpuCase {
  const { inputs, expected } = interpretWorkload(workload, spec, compiled);
  const tolerance = (workload.options.storage ?? 'f32') === 'f32' ? 1e-5 : 6e-3;
  return { name: `${workload.name}-check`, ...workload.checked, runs: suiteEntries, inputs, expected, random: new Map(), tolerance };
}

async function write(workload: ChannelWorkload, directory: string): Promise<void> {
  const project = join(directory, workload.name);
  const asWorkload: Workload = { ...workload, checked: workload.checked ?? { batch: 1, length: 1 }, timed: [] };
  const spec = await readLayer(asWorkload);
  const compiled = compileSpec(spec, { ...workload.options, target: 'cuda' });
  await writeCudaHostProject(compiled.artifact, workload.checked === null ? [] : [checkOf(asWorkload, spec, compiled)], project);
  const lines = workload.times.map(({ batch, length, entries }) => `./quick ${batch} ${length} ${entries.join(' ')} ${workload.ranges}`.trimEnd());
  await writeFile(join(project, 'time.sh'), `${['#!/bin/sh', ...lines].join('\n')}\n`, { mode: 0o755 });
}

const [directory, wanted] = process.argv.slice(2);
if (directory === undefined) throw new Error('usage: channel-suite DIRECTORY [part of a name]');
for (const workload of [...scans, ...others]) if (wanted === undefined || workload.name.includes(wanted)) await write(workload, directory);
