/**
 * Rung 2 of the ladder: the kernels of every golden system run in the sanitizing Kernel IR
 * interpreter (no race, no unwritten read, nothing out of bounds) and agree with published code.
 */
import { describe, expect, it } from 'vitest';
import { required } from '../../support/invariant.ts';
import { runTensorPipeline } from '../../ir/pipeline.ts';
import { splitKernels } from '../../ir/passes/split-kernels.ts';
import { assertKernel } from '../../ir/kernel/verify.ts';
import { interpretPlan } from '../../ir/kernel/interpret.ts';
import { selectSchedule } from '../../ir/schedule/select-schedule.ts';
import type { Machine } from '../../ir/schedule/parameters.ts';
import type { Plan } from '../../ir/plan.ts';
import { goldenCases, type GoldenData } from '../oracle/golden.ts';
import type { OracleTensor } from '../oracle/node-tensor.ts';
import { argumentsOf, expectedGradients, planArguments, relativeError, specOf, type CaseTensors } from '../support/compiled-case.ts';
import { packTensor } from '../support/oracle-requests.ts';

const machines: Readonly<Record<string, Machine>> = {
  cpu: { vectorWidth: 4, maximumWorkgroup: 1, sharedBytes: 0, shuffleWidth: 1, fillingThreads: 1 },
  gpu: { vectorWidth: 1, maximumWorkgroup: 256, sharedBytes: 16384, shuffleWidth: 1, fillingThreads: 65536 },
  'gpu with shuffles': { vectorWidth: 1, maximumWorkgroup: 1024, sharedBytes: 49152, shuffleWidth: 32, fillingThreads: 65536 },
};

/** Float64 execution leaves only the numerics library's f32-grade polynomials as error. */
const bar = 1e-5;

function check(plan: Plan, tensors: ReadonlyMap<string, Float64Array>, role: string, expected: CaseTensors): void {
  for (const [name, value] of expected) {
    const tensor = required(plan.tensors.find((each) => each.role === role && each.subject === name), `${role} ${name}`);
    const numbers = packTensor(value, tensor.axes.filter((axis) => axis !== 'complex'));
    expect(relativeError(required(tensors.get(tensor.name), name), numbers), `${role} ${name}`).toBeLessThan(bar);
  }
}

const runs = goldenCases.flatMap((each) => (['recurrent', 'scan'] as const).flatMap((mode) => Object.keys(machines).map((machine) => [each.name, mode, machine, each] as const)));

describe.each(runs)('%s in mode %s on a %s', (_name, mode, machineName, golden) => {
  const machine = required(machines[machineName], machineName);
  const data: GoldenData = golden.load();
  const spec = specOf(data);
  const { module, ids } = runTensorPipeline(spec, { withRespectTo: null, checkpointInterval: 8 });
  const sizes = { batch: data.batch, length: data.length };
  const planOf = (name: string): Plan => {
    const body = required(module.functions.find((each) => each.name === name), name);
    const plan = splitKernels(module, body, ids, {
      machine, choose: (region) => selectSchedule(region, machine, { mode, pieceLength: 8, interval: 8 }), onDecision: () => {},
      storage: (_role, _subject, dtype) => (dtype === 'flag' || dtype === 'index' ? 'i32' : 'f32'),
    });
    plan.kernels.forEach((kernel) => assertKernel(kernel, name));
    return plan;
  };
  const run = (plan: Plan, given: ReadonlyMap<string, OracleTensor>, saved: ReadonlyMap<string, Float64Array>): ReadonlyMap<string, Float64Array> =>
    interpretPlan(plan, sizes, new Map([...planArguments(plan.tensors, given), ...saved]), { rounding: 'f64' }).tensors;
  const none = new Map<string, Float64Array>();

  it('computes outputs and final states', () => {
    const plan = planOf('forward');
    const tensors = run(plan, argumentsOf(spec, data, { outputs: null, final: null }), none);
    check(plan, tensors, 'output', data.outputs);
    check(plan, tensors, 'final', data.final);
  });

  it('computes all gradients', () => {
    const given = argumentsOf(spec, data, { outputs: data.ofOutputs.cotangents, final: null });
    const saved = run(planOf('forwardSaved'), given, none);
    const plan = planOf('backward');
    check(plan, run(plan, given, saved), 'gradient', expectedGradients(data.ofOutputs.gradients));
  });
});
