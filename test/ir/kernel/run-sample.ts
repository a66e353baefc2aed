/** Runs a sample kernel in the interpreter with fresh outputs. */
import { interpretKernel, type InterpretOptions, type SanitizerFinding } from '../../../ir/kernel/interpret.ts';
import type { Kernel } from '../../../ir/kernel/nodes.ts';
import type { Sample } from './sample-kernels.ts';

export type SampleRun = { readonly outputs: Readonly<Record<string, Float64Array>>; readonly findings: readonly SanitizerFinding[] };

export function runSample(sample: Sample, kernel: Kernel = sample.kernel, options: Partial<InterpretOptions> = {}): SampleRun {
  const outputs = Object.fromEntries(Object.entries(sample.outputs).map(([name, length]) => [name, new Float64Array(length).fill(NaN)]));
  const buffers = new Map([...Object.entries(sample.inputs), ...Object.entries(outputs)]);
  const findings = interpretKernel(kernel, sample.sizes, buffers, { rounding: 'f32', ...options });
  return { outputs, findings };
}
