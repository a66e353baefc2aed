/**
 * What each way to evaluate a layer costs on a target, estimated from its plan: bytes, operations and
 * exponentials of all launches, and a time from rates of the machine. The rates are data; those of one
 * core and of a wide GPU are what docs/performance.md measured, those of a narrow GPU are assumed.
 */
import type { Kernel } from '../ir/kernel/nodes.ts';
import type { Plan } from '../ir/plan.ts';
import type { ExplainedWay } from '../ir/explain/explain.ts';
import { costOfKernel } from '../ir/explain/launch-cost.ts';
import type { ConvolutionAlgorithm } from '../ir/schedule/conv/index.ts';
import type { Machine } from '../ir/schedule/parameters.ts';
import type { RunSizes } from '../support/size.ts';
import type { TargetName } from './artifact.ts';

/** A way to evaluate a layer: a mode, and in mode `conv` the algorithm. */
export type Way = { readonly mode: 'recurrent' | 'scan' } | { readonly mode: 'conv'; readonly convolution: Exclude<ConvolutionAlgorithm, 'auto'> };

/** Per token of the forward pass from initial states of zero. */
export type WayCost = ExplainedWay & { readonly way: Way };

/** Nanoseconds on a machine that is full. */
export type MachineRates = {
  readonly name: string;
  readonly byte: number;
  readonly flop: number;
  readonly exponential: number;
  readonly function: number;
  readonly launch: number;
  /** whether memory and arithmetic work at the same time */
  readonly overlaps: boolean;
  /** how much longer than by these rates the launches of convolutions take: strides, tables, short loops */
  readonly convolution: number;
};

export const machineRates: Readonly<Record<TargetName, MachineRates>> = {
  wasm: { name: 'one core', byte: 0.04, flop: 0.043, exponential: 0.69, function: 0.5, launch: 2000, overlaps: false, convolution: 3 },
  wgsl: { name: 'a narrow GPU (assumed: 1 Tflop/s, 100 GB/s)', byte: 1e-2, flop: 1e-3, exponential: 4e-3, function: 4e-3, launch: 5000, overlaps: true, convolution: 2 },
  cuda: { name: 'a wide GPU', byte: 2.3e-4, flop: 3e-5, exponential: 2.4e-4, function: 2.4e-4, launch: 2000, overlaps: true, convolution: 2 },
};

/** `recurrent`, `scan`, `conv, direct`, `conv, FFT`. */
export function nameOfWay(way: Way): string {
  if (way.mode !== 'conv') return way.mode;
  return way.convolution === 'direct' ? 'conv, direct' : 'conv, FFT';
}

/** Costs of a forward plan at sizes. */
export function costOfWay(way: Way, plan: Plan, sizes: RunSizes, machine: Machine, rates: MachineRates): WayCost {
  const tokens = sizes.batch * sizes.length;
  const slowness = way.mode === 'conv' ? rates.convolution : 1;
  const launches = plan.kernels.map((kernel) => costOfLaunch(kernel, sizes, machine, { ...rates, flop: rates.flop * slowness, byte: rates.byte * slowness }));
  const perToken = (name: keyof LaunchEstimate): number => launches.reduce((sum, each) => sum + each[name], 0) / tokens;
  return {
    name: nameOfWay(way), way, launches: plan.kernels.length, bytes: perToken('bytes'), flops: perToken('flops'), exponentials: perToken('exponentials'),
    functions: perToken('functions'), nanoseconds: perToken('nanoseconds'),
  };
}

type LaunchEstimate = { readonly bytes: number; readonly flops: number; readonly exponentials: number; readonly functions: number; readonly nanoseconds: number };

function costOfLaunch(kernel: Kernel, sizes: RunSizes, machine: Machine, rates: MachineRates): LaunchEstimate {
  const { bytes, flops, exponentials, functions, invocations } = costOfKernel(kernel, sizes, 'passed');
  const isIdle = flops + exponentials + functions === 0; // what another length would need
  const fill = machine.maximumWorkgroup === 1 ? 1 : Math.min(1, invocations / machine.fillingThreads);
  const arithmetic = (flops * rates.flop + exponentials * rates.exponential + functions * rates.function) / fill;
  const memory = isIdle ? 0 : (bytes * rates.byte) / fill;
  return {
    bytes: isIdle ? 0 : bytes, flops, exponentials, functions,
    nanoseconds: rates.launch + (rates.overlaps ? Math.max(memory, arithmetic) : memory + arithmetic),
  };
}
