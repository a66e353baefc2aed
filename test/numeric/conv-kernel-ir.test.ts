/**
 * Convolutional mode in Kernel IR: every time-invariant layer, in the sanitizing interpreter (no race,
 * no unwritten read, nothing out of bounds), forward and backward, with and without cotangents of the
 * final states, on a CPU's and a GPU's schedules, at lengths around blocks and rows.
 */
import { describe, expect, it } from 'vitest';
import { makeReference, type Tensors } from '../../cli/verify/reference.ts';
import { interpretPlan } from '../../ir/kernel/interpret.ts';
import { assertKernel } from '../../ir/kernel/verify.ts';
import { splitKernels } from '../../ir/passes/split-kernels.ts';
import { runTensorPipeline } from '../../ir/pipeline.ts';
import type { Machine } from '../../ir/schedule/parameters.ts';
import { required } from '../../support/invariant.ts';
import { relativeError } from '../support/compiled-case.ts';
import { convolutionLayers } from '../support/conv-layers.ts';
import { packTensor } from '../support/oracle-requests.ts';

const machines: Readonly<Record<string, Machine>> = {
  cpu: { vectorWidth: 4, maximumWorkgroup: 1, sharedBytes: 0, shuffleWidth: 1, fillingThreads: 1 },
  gpu: { vectorWidth: 1, maximumWorkgroup: 256, sharedBytes: 16384, shuffleWidth: 1, fillingThreads: 65536 },
};

/** Float64 execution leaves the numerics library's f32-grade polynomials as error. */
const bar = 1e-5;

const cases = convolutionLayers.flatMap((layer) => Object.entries(machines).map(([name, machine]) => [layer.name, name, layer.spec, machine] as const));

describe.each(cases)('%s on a %s', (name, _machine, spec, machine) => {
  const { module, ids } = runTensorPipeline(spec, {
    withRespectTo: null, checkpointInterval: 8, convolutions: { wants: () => true, onConvolved: () => {}, onObstacle: (state) => { throw new Error(state); } },
  });
  const run = (name: string, algorithm: 'direct' | 'fft', sizes: { batch: number; length: number }, given: Tensors, saved: ReadonlyMap<string, Float64Array>): ReadonlyMap<string, Float64Array> => {
    const body = required(module.functions.find((each) => each.name === name), name);
    const plan = splitKernels(module, body, ids, {
      machine, convolutions: algorithm, onDecision: () => {}, storage: () => 'f32', choose: () => { throw new Error('a scan is left'); },
    });
    plan.kernels.forEach((kernel) => assertKernel(kernel, name));
    const roles = ['input', 'param', 'initial', 'output-cotangent', 'final-cotangent'];
    const numbers = plan.tensors.filter((each) => roles.includes(each.role)).map((each) => {
      const value = required(given.get(`${each.role}:${each.subject ?? ''}`), each.name);
      return [each.name, packTensor(value, each.axes.filter((axis) => axis !== 'complex'))] as const;
    });
    const made = interpretPlan(plan, sizes, new Map([...numbers, ...saved]), { rounding: 'f64' }).tensors;
    return new Map(plan.tensors.flatMap((each) => {
      const value = made.get(each.name);
      const key = each.role === 'saved' ? each.name : `${each.role}:${each.subject ?? ''}`;
      return value === undefined ? [] : [[key, value] as const];
    }));
  };
  const check = (made: ReadonlyMap<string, Float64Array>, expected: Tensors, axesOf: Tensors): void => {
    for (const [key, value] of expected) {
      const numbers = made.get(key);
      if (numbers === undefined || key.startsWith('saved')) continue;
      expect(relativeError(numbers, packTensor(value, axesOf.get(key)?.axes ?? value.axes)), key).toBeLessThan(bar);
    }
  };

  // transforms are the same code for every layer: the long one runs where the orders and the read-outs differ
  const lengths = [['direct', 1], ['direct', 9], ['direct', 66], ['fft', 1], ['fft', 7], ...(['s4d', 'reverseBefore'].includes(name) ? [['fft', 66]] : [])] as const;
  it.each(lengths as readonly (readonly ['direct' | 'fft', number])[])('%s at length %i', (algorithm, length) => {
    const sizes = { batch: 2, length };
    const { given, expected } = makeReference(spec, module, sizes, 5);
    const forward = run('forward', algorithm, sizes, given, new Map());
    check(forward, expected, expected);
    expect([...forward.keys()].some((key) => key.startsWith('output'))).toBe(true);
    const saved = run('forwardSaved', algorithm, sizes, given, new Map());
    const backward = run('backwardFinal', algorithm, sizes, given, saved);
    check(backward, expected, expected);
    expect([...backward.keys()].some((key) => key.startsWith('gradient'))).toBe(true);
  });
});
