/**
 * The oracle against published code: values, final states and gradients of every golden system that
 * has a text, relative to the largest entry. The golden numbers are themselves float64 computations.
 */
import { describe, expect, it } from 'vitest';
import { goldenRequest } from '../support/oracle-requests.ts';
import { relativeToLargest } from './agreement.ts';
import { evaluateLayer, gradient, type OracleTensor } from './evaluate.ts';
import { goldenCases, readGoldenFile, type GoldenData, type GoldenGradients } from './golden.ts';

const tolerance = 1e-11;

function expectClose(actual: ReadonlyMap<string, OracleTensor>, expected: ReadonlyMap<string, OracleTensor>): number {
  let compared = 0;
  for (const [name, tensor] of expected) {
    const found = actual.get(name);
    expect(found, name).toBeDefined();
    expect(relativeToLargest(found!, tensor), name).toBeLessThan(tolerance);
    compared++;
  }
  return compared;
}

function expectGradients(data: GoldenData, what: 'ofOutputs' | 'ofFinal', expected: GoldenGradients): void {
  const none: ReadonlyMap<string, OracleTensor> = new Map();
  const given = data[what]!.cotangents;
  expect(given.size).toBeGreaterThan(0);
  const cotangents = what === 'ofOutputs' ? { outputs: given, final: none } : { outputs: none, final: given };
  const { gradients } = gradient({ ...goldenRequest(data), cotangents });
  const compared = expectClose(gradients.inputs, expected.inputs)
    + expectClose(gradients.params, expected.params) + expectClose(gradients.initial, expected.initial);
  const flags = data.inputs.has('reset_flag') || data.inputs.has('segment_position') ? 1 : 0;
  expect(compared).toBe(data.inputs.size + data.params.size + data.initial.size - flags);
}

describe.each(goldenCases)('golden $name', ({ load }) => {
  const data = load();

  it('outputs and final states', () => {
    const result = evaluateLayer(goldenRequest(data));
    expect(expectClose(result.outputs, data.outputs)).toBeGreaterThan(0);
    expectClose(result.final, data.final);
  });

  it('gradients of the outputs', () => expectGradients(data, 'ofOutputs', data.ofOutputs.gradients));

  const { ofFinal } = data;
  if (ofFinal !== null) it('gradients of the final states', () => expectGradients(data, 'ofFinal', ofFinal.gradients));
});

it('fails when an input is off by one part in a million', () => {
  const data = goldenCases.find(({ name }) => name === 'mamba_scan')!.load();
  const off = new Map(data.params);
  const bias = off.get('delta_bias')!;
  off.set('delta_bias', { ...bias, re: bias.re.map((each) => each * (1 + 1e-6)) });
  const result = evaluateLayer({ ...goldenRequest(data), params: off });
  expect(relativeToLargest(result.outputs.get('y')!, data.outputs.get('y')!)).toBeGreaterThan(tolerance);
});

it('keeps the HiPPO matrices at hand', () => {
  expect(readGoldenFile('hippo_matrices').tensors.get('legs_N6.A')?.shape).toEqual([6, 6]);
});
