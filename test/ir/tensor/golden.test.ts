/**
 * The Tensor IR interpreter against published code: every golden system goes through the pipeline,
 * and what stands after each pass is interpreted, forward and, once it is there, backward. A wrong
 * interpreter and a wrong pass both show here; the first bad stage names the pass.
 */
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../../dsl/index.ts';
import { runTensorPipeline, tensorPasses } from '../../../ir/pipeline.ts';
import { interpretFunction, type Tensor } from '../../../ir/tensor/interpret.ts';
import { spread } from '../../../ir/tensor/interpret-tensor.ts';
import type { TensorFunction, TensorModule } from '../../../ir/tensor/ops.ts';
import { parseModule } from '../../../ir/tensor/parse.ts';
import { printModule } from '../../../ir/tensor/print.ts';
import { verifyModule } from '../../../ir/tensor/verify.ts';
import { goldenCases, type GoldenData } from '../../oracle/golden.ts';

const tolerance = 1e-10;

/** The module after each pass, by the pass's name. */
function stagesOf(data: GoldenData, checkpointInterval: number): ReadonlyMap<string, TensorModule> {
  const { spec, diagnostics } = loadLayer({ name: `${data.name}.ssm`, text: data.text }, null, { sizes: new Map() });
  expect(diagnostics.filter((each) => each.severity === 'error')).toEqual([]);
  const stages = new Map<string, TensorModule>();
  runTensorPipeline(spec!, { withRespectTo: null, checkpointInterval }, (name, module) => stages.set(name, module));
  return stages;
}

function functionOf(module: TensorModule, name: string): TensorFunction {
  return module.functions.find((each) => each.name === name)!;
}

function zerosLike(tensor: Tensor): Tensor {
  const { length } = tensor.re;
  return { ...tensor, re: new Float64Array(length), im: tensor.im === null ? null : new Float64Array(length) };
}

/** Inputs, parameters and initial states; states that the golden file does not start are zero. */
function argumentsOf(data: GoldenData, lowered: TensorModule): Map<string, Tensor> {
  const given = new Map<string, Tensor>();
  for (const [name, tensor] of data.inputs) given.set(`input:${name}`, tensor);
  for (const [name, tensor] of data.params) given.set(`param:${name}`, tensor);
  for (const { op, results } of functionOf(lowered, 'forward').instructions) {
    if (op.kind !== 'argument' || op.role !== 'initial') continue;
    const { dtype, axes } = results[0]!.type;
    const shape = axes.map((axis) => (axis === 'batch' ? data.batch : lowered.axes.find((each) => each.name === axis)!.size));
    const numbers = new Float64Array(shape.reduce((product, size) => product * size, 1));
    given.set(`initial:${op.subject}`, data.initial.get(op.subject) ?? { axes, shape, re: numbers, im: dtype === 'complex' ? numbers : null });
  }
  return given;
}

/** Largest difference over the largest expected magnitude. */
function difference(actual: Tensor, expected: Tensor): number {
  const ordered = spread(actual, expected.axes, (axis) => expected.shape[expected.axes.indexOf(axis)]!);
  let [largest, worst] = [0, 0];
  for (let at = 0; at < expected.re.length; at++) {
    const [re, im] = [expected.re[at]!, expected.im?.[at] ?? 0];
    largest = Math.max(largest, Math.hypot(re, im));
    const error = Math.hypot(ordered.re[at]! - re, (ordered.im?.[at] ?? 0) - im);
    worst = Number.isNaN(error) ? Infinity : Math.max(worst, error);
  }
  return worst === 0 ? 0 : worst / largest;
}

function expectClose(actual: ReadonlyMap<string, Tensor>, role: string, expected: ReadonlyMap<string, Tensor>): void {
  for (const [name, tensor] of expected) {
    const found = actual.get(`${role}:${name}`);
    expect(found, `${role} ${name}`).toBeDefined();
    expect(difference(found!, tensor), `${role} ${name}`).toBeLessThan(tolerance);
  }
}

function expectForward(data: GoldenData, module: TensorModule, given: ReadonlyMap<string, Tensor>): void {
  const { batch, length } = data;
  for (const name of ['forward', 'forwardSaved']) {
    const body = functionOf(module, name);
    if (body === undefined) continue;
    const results = interpretFunction(module, body, { batch, length, arguments: given });
    expect(data.outputs.size).toBeGreaterThan(0);
    expectClose(results, 'output', data.outputs);
    expectClose(results, 'final', data.final);
  }
}

function expectGradients(data: GoldenData, module: TensorModule, primal: ReadonlyMap<string, Tensor>, what: 'ofOutputs' | 'ofFinal'): void {
  const { cotangents, gradients } = data[what]!;
  const { batch, length } = data;
  const given = new Map(primal);
  for (const [key, tensor] of interpretFunction(module, functionOf(module, 'forwardSaved'), { batch, length, arguments: given })) {
    const [role = '', name = ''] = key.split(':');
    given.set(role === 'saved' ? key : `${role}-cotangent:${name}`, role === 'saved' ? tensor : cotangents.get(name) ?? zerosLike(tensor));
  }
  const body = functionOf(module, what === 'ofFinal' ? 'backwardFinal' : 'backward');
  const results = interpretFunction(module, body, { batch, length, arguments: given });
  const wanted = [...gradients.inputs, ...gradients.params, ...gradients.initial];
  expect(wanted.length).toBeGreaterThan(0);
  expectClose(results, 'gradient', new Map(wanted));
}

const passNames = tensorPasses.map((pass) => pass.name);
const withGradients = passNames.slice(passNames.indexOf('differentiate'));

describe.each(goldenCases)('golden $name', ({ load }) => {
  const data = load();
  const stages = stagesOf(data, 16);
  const given = argumentsOf(data, stages.get('lower-spec')!);

  it.each(['lower-spec', ...passNames])('values after %s', (pass) => {
    expect(verifyModule(stages.get(pass)!)).toEqual([]);
    expectForward(data, stages.get(pass)!, given);
  });
  it.each(withGradients)('gradients of the outputs after %s', (pass) => expectGradients(data, stages.get(pass)!, given, 'ofOutputs'));
  if (data.ofFinal !== null) {
    it.each(withGradients)('gradients of the final states after %s', (pass) => expectGradients(data, stages.get(pass)!, given, 'ofFinal'));
  }
  it.each([1, 5, 200])('gradients with a checkpoint every %i tokens', (interval) =>
    expectGradients(data, stagesOf(data, interval).get('eliminate-dead')!, given, 'ofOutputs'));
  it('is the same read back from its text', () => {
    const module = stages.get('eliminate-dead')!;
    expect(parseModule(printModule(module))).toEqual({ kind: 'module', module });
  });
});

it('sees a parameter that is off by one part in a million', () => {
  const data = goldenCases.find(({ name }) => name === 'mamba_scan')!.load();
  const lowered = stagesOf(data, 16).get('lower-spec')!;
  const given = argumentsOf(data, lowered);
  const [name, tensor] = [...data.params][0]!;
  given.set(`param:${name}`, { ...tensor, re: tensor.re.map((each) => each * (1 + 1e-6)) });
  const { batch, length } = data;
  const results = interpretFunction(lowered, functionOf(lowered, 'forward'), { batch, length, arguments: given });
  expect(difference(results.get('output:y')!, data.outputs.get('y')!)).toBeGreaterThan(100 * tolerance);
});
