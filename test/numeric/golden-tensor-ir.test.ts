/**
 * Rung 1 and 5 of the ladder: the whole Tensor IR pipeline, interpreted in float64, against golden
 * data of published code: outputs, final states and every gradient.
 */
import { describe, expect, it } from 'vitest';
import { required } from '../../support/invariant.ts';
import { runTensorPipeline } from '../../ir/pipeline.ts';
import { interpretFunction, tensorKey, type Tensor } from '../../ir/tensor/interpret.ts';
import type { TensorModule } from '../../ir/tensor/ops.ts';
import { goldenCases, type GoldenData, type GoldenGradients } from '../oracle/golden.ts';
import type { OracleTensor } from '../oracle/node-tensor.ts';
import { argumentsOf, expectedGradients, interpreterArguments, relativeError, specOf } from '../support/compiled-case.ts';
import { packTensor } from '../support/oracle-requests.ts';

const bar = 1e-9;

function packed(value: Tensor): Float64Array {
  return packTensor({ axes: value.axes, shape: value.shape, re: value.re, im: value.im });
}

function check(results: ReadonlyMap<string, Tensor>, role: string, expected: ReadonlyMap<string, OracleTensor>): void {
  for (const [name, value] of expected) {
    const actual = required(results.get(tensorKey(role, name)), `${role} ${name}`);
    expect(relativeError(packed(actual), packTensor(value, actual.axes)), `${role} ${name}`).toBeLessThan(bar);
  }
}

function run(module: TensorModule, name: string, data: GoldenData, given: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const body = required(module.functions.find((each) => each.name === name), name);
  return interpretFunction(module, body, { batch: data.batch, length: data.length, arguments: given });
}

describe.each(goldenCases.map((each) => [each.name, each] as const))('%s', (_name, golden) => {
  const data = golden.load();
  const spec = specOf(data);
  const { module } = runTensorPipeline(spec, { withRespectTo: null, checkpointInterval: 16 });

  it('computes outputs and final states', () => {
    const given = interpreterArguments(argumentsOf(spec, data, { outputs: null, final: null }));
    const results = run(module, 'forward', data, given);
    check(results, 'output', data.outputs);
    check(results, 'final', data.final);
  });

  const gradients = (name: 'backward' | 'backwardFinal', cotangents: { outputs: ReadonlyMap<string, OracleTensor> | null; final: ReadonlyMap<string, OracleTensor> | null }, expected: GoldenGradients): void => {
    const given = interpreterArguments(argumentsOf(spec, data, cotangents));
    const saved = run(module, 'forwardSaved', data, given);
    const results = run(module, name, data, new Map([...given, ...saved]));
    check(results, 'gradient', expectedGradients(expected));
  };

  it('computes the gradients of the outputs', () => {
    gradients('backward', { outputs: data.ofOutputs.cotangents, final: null }, data.ofOutputs.gradients);
  });

  const { ofFinal } = data;
  if (ofFinal === null) return; // this system's golden file has no gradients of final states
  it('computes the gradients of the final states', () => {
    gradients('backwardFinal', { outputs: null, final: ofFinal.cotangents }, ofFinal.gradients);
  });
});
