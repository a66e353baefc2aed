/**
 * Golden cases in the compiler's terms: the arguments of Tensor IR functions by `role:subject`, and
 * the tensors of a plan by name (complex interleaved), with the expected numbers beside them.
 */
import { required } from '../../support/invariant.ts';
import { loadLayer } from '../../dsl/index.ts';
import type { LayerSpec } from '../../dsl/spec.ts';
import { tensorKey, type Tensor } from '../../ir/tensor/interpret.ts';
import type { PlanTensor } from '../../ir/plan.ts';
import type { GoldenData } from '../oracle/golden.ts';
import type { OracleTensor } from '../oracle/node-tensor.ts';
import { packTensor, stateRecordOf, type StateEntry } from './oracle-requests.ts';

export type CaseTensors = ReadonlyMap<string, OracleTensor>;

/** The checked layer of a golden case; throws with the first diagnostic. */
export function specOf(data: Pick<GoldenData, 'name' | 'text' | 'sizes'>): LayerSpec {
  const { spec, diagnostics } = loadLayer({ name: `${data.name}.ssm`, text: data.text }, null, { sizes: data.sizes });
  const first = diagnostics.find((each) => each.severity === 'error');
  if (first !== undefined || spec === null) throw new Error(`${data.name}: ${first?.message ?? 'no layer'}`);
  return spec;
}

/** Everything a run is given, by `role:subject`; absent initial states are zeros. */
export function argumentsOf(spec: LayerSpec, data: GoldenData, cotangents: { outputs: CaseTensors | null; final: CaseTensors | null }): ReadonlyMap<string, OracleTensor> {
  const given = new Map<string, OracleTensor>();
  const put = (role: string, tensors: CaseTensors): void => tensors.forEach((value, name) => given.set(tensorKey(role, name), value));
  put('input', data.inputs);
  put('param', data.params);
  put('initial', data.initial);
  for (const entry of stateRecordOf(spec)) {
    if (!data.initial.has(entry.name)) given.set(tensorKey('initial', entry.name), zeroState(entry, data.batch));
  }
  if (cotangents.outputs !== null) put('output-cotangent', cotangents.outputs);
  if (cotangents.final !== null) {
    for (const entry of stateRecordOf(spec)) {
      if (!cotangents.final.has(entry.name)) given.set(tensorKey('final-cotangent', entry.name), zeroState(entry, data.batch));
    }
    put('final-cotangent', cotangents.final);
  }
  if (cotangents.outputs === null) {
    for (const output of spec.outputs) {
      const expected = required(data.outputs.get(output.name), `output ${output.name}`);
      given.set(tensorKey('output-cotangent', output.name), { ...expected, re: expected.re.map(() => 0), im: expected.im?.map(() => 0) ?? null });
    }
  }
  return given;
}

function zeroState(entry: StateEntry, batch: number): OracleTensor {
  const shape = [batch, ...entry.shape];
  const count = shape.reduce((product, each) => product * each, 1);
  return { axes: ['batch', ...entry.axes], shape, re: new Float64Array(count), im: entry.type === 'complex' ? new Float64Array(count) : null };
}

/** Arguments as the Tensor IR interpreter takes them. */
export function interpreterArguments(given: ReadonlyMap<string, OracleTensor>): ReadonlyMap<string, Tensor> {
  return new Map([...given].map(([key, value]) => [key, { axes: value.axes, shape: value.shape, re: value.re, im: value.im }]));
}

const argumentRoles = { input: 'input', param: 'param', initial: 'initial', 'output-cotangent': 'output-cotangent', 'final-cotangent': 'final-cotangent' } as const;

/** Numbers of a plan's given tensors, by tensor name, in the tensor's memory order. */
export function planArguments(tensors: readonly PlanTensor[], given: ReadonlyMap<string, OracleTensor>): Map<string, Float64Array> {
  const numbers = new Map<string, Float64Array>();
  for (const tensor of tensors) {
    if (!(tensor.role in argumentRoles)) continue;
    const value = required(given.get(tensorKey(tensor.role, tensor.subject ?? '')), `numbers of ${tensor.name}`);
    numbers.set(tensor.name, packTensor(value, tensor.axes.filter((axis) => axis !== 'complex')));
  }
  return numbers;
}

/** ‖actual − expected‖ / ‖expected‖ of packed numbers; complex ones are interleaved. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [error, norm] = [0, 0];
  for (let at = 0; at < expected.length; at++) {
    const difference = (actual[at] ?? NaN) - (expected[at] ?? 0);
    error += difference * difference;
    norm += (expected[at] ?? 0) ** 2;
  }
  if (actual.length !== expected.length) return Infinity;
  return norm === 0 ? Math.sqrt(error) : Math.sqrt(error / norm);
}

/** Expected gradients of a case by subject. */
export function expectedGradients(gradients: { inputs: CaseTensors; params: CaseTensors; initial: CaseTensors }): ReadonlyMap<string, OracleTensor> {
  return new Map([...gradients.inputs, ...gradients.params, ...gradients.initial]);
}
