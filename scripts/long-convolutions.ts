/**
 * conv = recurrent at long sequences, forward and backward: the long form of test/numeric/conv-long.
 * Prints a line per length and device and a summary; ends with 1 where a tensor is beyond the bar.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { loadLayer } from '../dsl/index.ts';
import type { ExecutionDevice } from '../runtime/device.ts';
import { openWasm } from '../runtime/wasm/index.ts';
import { fromDevice } from '../runtime/webgpu/index.ts';
import { required } from '../support/invariant.ts';
import { relativeError } from '../test/support/compiled-case.ts';
import { prepareLayer, runLayer } from '../test/support/conv-runs.ts';
import { openTestDevice } from '../test/support/webgpu.ts';

/** Both sides repeat f32 roundings for as many tokens as the modes remember; the transition of the recurrence is one of them. */
const bar = 2e-4;

const { values } = parseArgs({ options: { tokens: { type: 'string', default: String(2 ** 20) }, 'webgpu-tokens': { type: 'string', default: '65536' } } });
const { spec } = loadLayer({ name: 's4d.ssm', text: readFileSync('examples/s4d.ssm', 'utf8') }, null, { sizes: new Map([['D', 4], ['N', 3]]) });
const layer = required(spec, 's4d');

type Case = { readonly target: 'wasm' | 'wgsl'; readonly length: number };

/** The largest relative L2 distance of any result, and whose it is. */
async function compareModes(device: ExecutionDevice, { target, length }: Case): Promise<{ readonly error: number; readonly tensor: string }> {
  const isForward = target === 'wgsl'; // gradients there take a software GPU another minute per kernel
  const entries = isForward ? ({ entries: 'forward-only' } as const) : {};
  using recurrent = await prepareLayer(device, layer, { target, mode: 'recurrent', ...entries });
  using convolved = await prepareLayer(device, layer, { target, mode: 'conv', ...entries });
  const sizes = { batch: 1, length };
  const wanted = await runLayer(recurrent, layer, sizes, !isForward);
  const made = await runLayer(convolved, layer, sizes, !isForward);
  let worst = { error: 0, tensor: '' };
  for (const [tensor, numbers] of wanted) {
    const error = relativeError(required(made.get(tensor), tensor), numbers);
    if (!(error <= worst.error)) worst = { error, tensor };
  }
  return worst;
}

const longest = Number(values.tokens);
const wasmLengths = [65_536, 2 ** 18 + 1, 2 ** 20 - 1, 2 ** 20].filter((each) => each <= longest);
const opened = await openTestDevice();
const devices = { wasm: await openWasm({ workers: 1 }), wgsl: opened === null ? null : fromDevice(opened) };
const cases: readonly Case[] = [
  ...wasmLengths.map((length) => ({ target: 'wasm', length }) as const),
  ...(devices.wgsl === null ? [] : [{ target: 'wgsl', length: Number(values['webgpu-tokens']) } as const]),
];
let failures = 0;
for (const [at, each] of cases.entries()) {
  const device = required(devices[each.target], each.target);
  const started = performance.now();
  const { error, tensor } = await compareModes(device, each);
  const isRight = error <= bar;
  if (!isRight) failures++;
  console.log(`${at + 1}/${cases.length} ${each.target} ${each.length} tokens: ${error.toExponential(1)} in ${tensor}${isRight ? '' : ' — beyond the bar'} (${((performance.now() - started) / 1000).toFixed(0)} s)`);
}
console.log(`${cases.length - failures} of ${cases.length} right (bar ${bar})${devices.wgsl === null ? '; no WebGPU device here' : ''}`);
await devices.wasm[Symbol.asyncDispose]();
await devices.wgsl?.[Symbol.asyncDispose]();
process.exit(failures === 0 ? 0 : 1);
