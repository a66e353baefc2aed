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
function segments(lanes: 1 | 2 | 4, workgroupSize: number, count: number, tokens: number, prefetch: boolean): Omit<CompileOptions, 'target'> {
  const parameters: SegmentsParameters = { kind: 'segments', lanes, workgroupSize, segments: count, tokens, prefetch };
  return { schedule: () => ({ parameters, split: null }) };
}

const plain: Omit<CompileOptions, 'target'> = { schedule: () => ({ parameters: { kind: 'sequential', workgroupSize: 64, lanes: 1, innerWidth: 1, groupChannels: 1 }, split: null }) };

/** Of the plain recurrences and of a gated one: the rule, and what it was chosen against. */
const variants: readonly (readonly [string, Omit<CompileOptions, 'target'>, readonly ('real' | 'complex' | 'hgrn' | 'single')[]])[] = [
  ['auto', {}, ['real', 'complex', 'hgrn']],
  ['expected', { expected: { batch: 1, length: 65536 } }, ['single']],
  ['l2-w256-s8-t8', segments(2, 256, 8, 8, false), ['hgrn']],
  ['l1-w256-s8-t8-p', segments(1, 256, 8, 8, true), ['real', 'hgrn']],
  ['sequential', plain, ['real', 'complex', 'hgrn']],
];

/** A step under other parameters. */
function step(workgroupSize: number, lanes: number, rows: number): Omit<CompileOptions, 'target'> {
  return { schedule: () => ({ parameters: { kind: 'step', workgroupSize, lanes, rows }, split: null }), entries: 'forward-only' };
}

const scans: readonly ChannelWorkload[] = variants.flatMap(([name, options, layers]): readonly ChannelWorkload[] => {
  const isRule = name === 'auto';
  const of = (layer: string, workload: Omit<ChannelWorkload, 'name' | 'options' | 'checked'>): ChannelWorkload => ({ name: `${layer}-${name}`, options, checked: null, ...workload });
  const long = { batch: 8, length: 16384, entries: trained };
  const made = {
    real: of('real', { file: 'bench/layers/real-scan.ssm', sizes: { D: 1536 }, ranges: 'a=0.5,1', times: [long, ...(isRule ? [{ batch: 1, length: 65536, entries: trained }, { batch: 8, length: 2048, entries: trained }] : [])] }),
    complex: of('complex', { file: 'bench/layers/complex-scan.ssm', sizes: { D: 1024 }, ranges: 'a=-0.7,0.7', times: [{ ...long, length: 1024 }, long] }),
    single: of('single', { file: 'bench/layers/real-scan.ssm', sizes: { D: 1536 }, ranges: 'a=0.5,1', times: [{ batch: 1, length: 65536, entries: trained }] }),
    hgrn: of('hgrn', { file: 'examples/hgrn.ssm', sizes: { D: 1536 }, ranges: '', times: [long] }),
  };
  return layers.map((layer) => made[layer]);
});

/** One token in a CUDA graph: states of 5,120 channels by 16. */
const steps: readonly ChannelWorkload[] = (['f32', 'bf16'] as const).flatMap((storage) => [
  { name: `step-${storage}`, file: 'examples/s6.ssm', options: { storage }, sizes: { D: 5120, N: 16 }, checked: null, ranges: 'A_log=0,2.8 delta_bias=-6,-2', times: [1, 64, 256].map((batch) => ({ batch, length: 1, entries: ['step'] as const })) },
  ...([[128, 2, 2], [128, 4, 8]] as const).map(([workgroupSize, lanes, rows]): ChannelWorkload => ({
    name: `step-${storage}-${workgroupSize}-${lanes}-${rows}`, file: 'examples/s6.ssm', options: { storage, ...step(workgroupSize, lanes, rows) }, sizes: { D: 5120, N: 16 }, checked: null,
    ranges: 'A_log=0,2.8 delta_bias=-6,-2', times: [1, 64, 256].map((batch) => ({ batch, length: 1, entries: ['step'] as const })),
  })),
  { name: `step-${storage}-check`, file: 'examples/s6.ssm', options: { storage }, sizes: { D: 40, N: 16 }, checked: { batch: 7, length: 1 }, ranges: '', times: [] },
]);

const others: readonly ChannelWorkload[] = [
  { name: 'hgrn-bf16', file: 'examples/hgrn.ssm', options: { storage: 'bf16' }, sizes: { D: 1536 }, checked: null, ranges: '', times: [{ batch: 8, length: 16384, entries: trained }] },
  { name: 's6', file: 'examples/s6.ssm', options: { storage: 'bf16' }, sizes: { D: 2048 }, checked: null, ranges: 'A_log=0,2.8 delta_bias=-6,-2', times: [{ batch: 8, length: 2048, entries: trained }] },
  { name: 's4d', file: 'examples/s4d.ssm', options: {}, sizes: { D: 1024 }, checked: null, ranges: 'a_re=-1,0 a_im=0,30 log_dt=-6,-3', times: [{ batch: 8, length: 1024, entries: trained }] },
  { name: 's4d-check', file: 'examples/s4d.ssm', options: {}, sizes: { D: 20, N: 32 }, checked: { batch: 3, length: 67 }, ranges: '', times: [] },
  { name: 's6-check', file: 'examples/s6.ssm', options: {}, sizes: { D: 37, N: 8 }, checked: { batch: 3, length: 57 }, ranges: '', times: [] },
  { name: 'real-narrow', file: 'bench/layers/real-scan.ssm', options: {}, sizes: { D: 130 }, checked: { batch: 2, length: 301 }, ranges: 'a=0.5,1', times: [] },
  { name: 'rg-lru', file: 'examples/rg-lru.ssm', options: {}, sizes: {}, checked: { batch: 1, length: 150 }, ranges: '', times: [{ batch: 8, length: 2048, entries: trained }] },
  { name: 'lru', file: 'examples/lru.ssm', options: {}, sizes: {}, checked: { batch: 1, length: 70 }, ranges: '', times: [{ batch: 8, length: 2048, entries: trained }] },
  { name: 's5', file: 'examples/s5.ssm', options: {}, sizes: {}, checked: { batch: 1, length: 70 }, ranges: 'Lambda_re=-2,-0.5 log_step=-6,-3', times: [{ batch: 8, length: 2048, entries: trained }] },
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
  return { name: `${workload.name}-check`, ...workload.checked, runs: workload.checked.length === 1 ? ['step'] : suiteEntries, inputs, expected, random: new Map(), tolerance };
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
for (const workload of [...scans, ...steps, ...others]) if (wanted === undefined || workload.name.includes(wanted)) await write(workload, directory);
