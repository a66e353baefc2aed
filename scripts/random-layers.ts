/**
 * Thousands of random layers through every mode and target, judged by the oracle: the long form of
 * test/generate. Prints a progress line and a summary; failing layers are kept as `.ssm` and `.json`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openWasm } from '../runtime/wasm/index.ts';
import { openCuda } from '../runtime/cuda/index.ts';
import { fromDevice } from '../runtime/webgpu/index.ts';
import { buildLayer } from '../test/generate/build-layer.ts';
import { runCampaign, type CampaignOptions, type CampaignSummary, type Failure } from '../test/generate/campaign.ts';
import { openTestDevice } from '../test/support/webgpu.ts';

const usage = `random-layers [--seed N] [--count N] [--skip N] [--minutes N] [--webgpu-every N] [--cuda-every N] [--keep FOLDER] [--no-reduce]`;

type Options = Pick<CampaignOptions, 'seed' | 'count' | 'reduce'> & Required<Pick<CampaignOptions, 'skip' | 'webgpuEvery' | 'cudaEvery'>> & { readonly minutes: number; readonly keep: string };

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' }, count: { type: 'string', default: '1000' }, skip: { type: 'string', default: '0' },
      minutes: { type: 'string', default: '600' }, 'webgpu-every': { type: 'string', default: '0' }, 'cuda-every': { type: 'string', default: '0' },
      keep: { type: 'string', default: 'out/random-layers' }, 'no-reduce': { type: 'boolean', default: false },
    },
  });
  const number = (text: string): number => {
    const value = Number(text);
    if (!Number.isFinite(value) || value < 0) throw new Error(usage);
    return value;
  };
  return {
    seed: number(values.seed), count: number(values.count), skip: number(values.skip), minutes: number(values.minutes),
    webgpuEvery: number(values['webgpu-every']), cudaEvery: number(values['cuda-every']), keep: values.keep, reduce: !values['no-reduce'],
  };
}

/** Writes a failing layer and what was wrong, under the number of its kind. */
function keepFailure(folder: string, { finding, recipe, reduced }: Failure, at: number): void {
  mkdirSync(folder, { recursive: true });
  const stem = join(folder, String(at));
  writeFileSync(`${stem}.ssm`, buildLayer(reduced).text);
  writeFileSync(`${stem}.json`, `${JSON.stringify({ ...finding, reduced, recipe }, null, 1)}\n`);
}

function describe({ layers, outOfRange, right, vacuous, refused, checks, uses, failures }: CampaignSummary, seconds: number): string {
  const total = [...failures.values()].reduce((sum, each) => sum + each.times, 0);
  return [
    `${layers} layers in ${seconds.toFixed(0)} s, ${outOfRange} out of range; ${right} tensors right, ${vacuous} vacuous; ${refused} refused by a target's limits`,
    ...[...checks].sort(([a], [b]) => a.localeCompare(b)).map(([name, times]) => `  ${name}: ${times} layers, at most ${(uses.get(name) ?? 0).toFixed(2)} of the bound`),
    `${failures.size} kinds of failures, ${total} in all`,
    ...[...failures.values()].map(({ finding, times, reduced }) => `  ${finding.kind} × ${times}: ${finding.check}: ${finding.signature}\n    ${finding.detail.split('\n')[0] ?? ''}`),
  ].join('\n');
}

const options = readOptions();
const wasm = await openWasm({ workers: 0, checks: 'canaries' });
const opened = options.webgpuEvery > 0 ? await openTestDevice() : null;
const webgpu = opened === null ? null : fromDevice(opened);
const cuda = options.cudaEvery > 0 ? await openCuda({ cacheDirectory: null }) : null;
const started = performance.now();
const seconds = (): number => (performance.now() - started) / 1000;
let shown = 0;
let kept = 0;
const summary = await runCampaign({ wasm, webgpu, cuda }, {
  ...options, budget: options.minutes * 60_000, now: () => performance.now(),
  onFailure: (failure) => {
    keepFailure(options.keep, failure, kept++);
    process.stderr.write(`${failure.finding.kind}: ${failure.finding.check}: ${failure.finding.detail.split('\n')[0] ?? ''}\n`);
  },
  onProgress: ({ layers, failures }) => {
    if (seconds() - shown < 10) return;
    shown = seconds();
    process.stderr.write(`${layers} of ${options.count} layers, ${failures.size} kinds of failures, ${seconds().toFixed(0)} s\n`);
  },
});
[...summary.failures.values()].forEach((failure, at) => keepFailure(options.keep, failure, at));
process.stdout.write(`seed ${options.seed}: ${describe(summary, seconds())}\n`);
await wasm[Symbol.asyncDispose]();
await webgpu?.[Symbol.asyncDispose]();
await cuda?.[Symbol.asyncDispose]();
process.exitCode = summary.failures.size > 0 ? 1 : 0;
