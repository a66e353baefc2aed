/**
 * `npm run bench [-- --json FILE] [--rounds N]`: times of compiled layers on one thread of this
 * machine beside lower bounds and a C program, taken in turns in the same run, and times of the
 * compiler itself. Prints a table; `--json` writes the same numbers with what the machine is.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { TargetName } from '../backends/artifact.ts';
import { compileSpec } from '../backends/compile.ts';
import { openWasm } from '../runtime/wasm/index.ts';
import { measureFloors, type Floors } from '../cli/measure/device-floors.ts';
import { bytesOfEntry, makeArguments, makeRunner } from '../cli/measure/entry-runner.ts';
import { summarize, type Summary } from '../cli/measure/statistics.ts';
import { required } from '../support/invariant.ts';
import { compilePeer, type Peer } from './peer.ts';
import { loadWorkload, measuredEntries, statesPerToken, workloads, type MeasuredEntry, type Workload } from './workloads.ts';

type Row = {
  readonly workload: string;
  readonly entry: MeasuredEntry;
  readonly shape: string;
  readonly milliseconds: Summary;
  /** per token, channel and state, of the median */
  readonly nanoseconds: number;
  readonly gigabytesPerSecond: number;
  readonly floor: { readonly exponentials: number; readonly bytes: number };
  readonly percentOfFloor: number;
  /** ratios of medians and, less disturbed by other load, of the least times */
  readonly peer: { readonly nanoseconds: Summary; readonly ratio: number; readonly ratioOfLeast: number } | null;
};

type CompileRow = { readonly target: TargetName; readonly milliseconds: Summary };

/** The compiled program lies in out/bench/bench. */
const root: string = fileURLToPath(new URL('../../../', import.meta.url));

async function measureWorkload(workload: Workload, peer: Peer | null, floors: Floors, rounds: number): Promise<readonly Row[]> {
  const spec = loadWorkload(root, workload);
  const device = await openWasm({ workers: 0 });
  const layer = await device.prepare(compileSpec(spec, { target: 'wasm' }).artifact);
  const sizes = { batch: workload.batch, length: workload.length };
  const { entries } = layer.artifact.manifest;
  const given = makeArguments({ device, spec, sizes, seed: 1, entries });
  const runner = makeRunner({ layer, sizes, arguments: given });
  const elements = statesPerToken(spec) * workload.batch * workload.length;
  const time = async (entry: MeasuredEntry): Promise<number> => (await runner.run(entry)).milliseconds;
  const own = new Map<MeasuredEntry, number[]>(measuredEntries.map((entry) => [entry, []]));
  const others = new Map<MeasuredEntry, number[]>(measuredEntries.map((entry) => [entry, []]));
  const shape = { batch: workload.batch, length: workload.length, channels: workload.sizes['D'] ?? 1, states: workload.sizes['N'] ?? 1 };
  for (let round = -1; round < rounds; round++) {
    for (const entry of measuredEntries) {
      const times = [await time(entry), await time(entry), await time(entry)];
      if (round >= 0) own.get(entry)?.push(...times);
    }
    const given = peer === null || !workload.hasPeer || round < 0 ? null : peer.run(shape);
    if (given !== null) for (const entry of measuredEntries) others.get(entry)?.push(given[entry]);
  }
  const rows = measuredEntries.map((entry): Row => {
    const milliseconds = summarize(own.get(entry) ?? []);
    const nanoseconds = (milliseconds.median * 1e6) / elements;
    const bytes = bytesOfEntry(required(entries.find((each) => each.name === entry), entry), sizes);
    const floor = { exponentials: workload.exponentials[entry] * floors.exponential, bytes: (bytes * floors.byte) / elements };
    const theirs = summarize(others.get(entry) ?? []);
    return {
      workload: workload.name, entry, shape: `batch ${workload.batch}, length ${workload.length}, ${Object.entries(workload.sizes).map(([name, size]) => `${name} ${size}`).join(', ')}`,
      milliseconds, nanoseconds, gigabytesPerSecond: bytes / (milliseconds.median * 1e6), floor,
      percentOfFloor: (100 * Math.max(floor.exponentials, floor.bytes)) / nanoseconds,
      peer: theirs.count === 0 ? null : {
        nanoseconds: theirs, ratio: theirs.median / nanoseconds, ratioOfLeast: (theirs.least * elements) / (milliseconds.least * 1e6),
      },
    };
  });
  runner[Symbol.dispose]();
  given[Symbol.dispose]();
  layer[Symbol.dispose]();
  await device[Symbol.asyncDispose]();
  return rows;
}

/** Times of the whole compiler from a checked layer on, once it is warm. */
function measureCompiler(rounds: number): readonly CompileRow[] {
  const workload = workloads[0];
  if (workload === undefined) return [];
  const spec = loadWorkload(root, workload);
  return (['wgsl', 'cuda', 'wasm'] as const).map((target) => {
    const times = Array.from({ length: rounds + 3 }, () => {
      const start = performance.now();
      compileSpec(spec, { target });
      return performance.now() - start;
    });
    return { target, milliseconds: summarize(times.slice(3)) };
  });
}

function printRows(rows: readonly Row[]): void {
  const cells = rows.map((row) => [
    row.workload, row.entry, `${row.milliseconds.median.toFixed(2)} ms (${row.milliseconds.least.toFixed(2)} to ${row.milliseconds.most.toFixed(2)})`,
    `${row.nanoseconds.toFixed(3)}, ${((row.nanoseconds * row.milliseconds.least) / row.milliseconds.median).toFixed(3)}`, row.gigabytesPerSecond.toFixed(2), `${row.percentOfFloor.toFixed(0)} %`,
    row.peer === null ? '-' : `${row.peer.ratio.toFixed(2)}, ${row.peer.ratioOfLeast.toFixed(2)} (${row.peer.nanoseconds.median.toFixed(2)}, ${row.peer.nanoseconds.least.toFixed(2)} ns)`, row.shape,
  ]);
  const table = [['workload', 'entry', 'median (least to most)', 'ns: median, least', 'GB/s', 'of floor', 'times faster than peer: medians, least', 'shape'], ...cells];
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((line) => (line[column] ?? '').length)));
  for (const line of table) console.log(line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd());
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: 'string' }, rounds: { type: 'string', default: '5' } } });
  const rounds = Math.max(1, Math.trunc(Number(values.rounds)) || 5);
  const processor = cpus()[0]?.model.trim() ?? 'unknown processor';
  const device = await openWasm({ workers: 0 });
  const floors = await measureFloors(device);
  await device[Symbol.asyncDispose]();
  const compiled = compilePeer(`${root}bench/native/selective-scan.c`);
  const peer = 'absent' in compiled ? null : compiled;
  const peerText = 'absent' in compiled ? compiled.absent : compiled.name;
  console.log(`${processor}, ${cpus().length} processors, Node ${process.version}, WASM SIMD128, one thread; ns per token, channel and state`);
  console.log(`floors measured here: ${floors.exponential.toFixed(3)} ns per exponential (${(4 * floors.exponential).toFixed(2)} per vector of four), ${(1 / floors.byte).toFixed(1)} GB/s; peer: ${peerText}\n`);
  const rows: Row[] = [];
  for (const workload of workloads) rows.push(...await measureWorkload(workload, peer, floors, rounds));
  printRows(rows);
  const compiler = measureCompiler(rounds);
  console.log('');
  for (const { target, milliseconds } of compiler)
    console.log(`S6 compiled to ${target}: ${milliseconds.median.toFixed(1)} ms (${milliseconds.least.toFixed(1)} to ${milliseconds.most.toFixed(1)})`);
  if (values.json !== undefined) {
    const machine = { processor, processors: cpus().length, node: process.version };
    writeFileSync(values.json, `${JSON.stringify({ machine, floors, peer: peerText, rows, compiler }, null, 2)}\n`);
  }
}

await main();
