/**
 * The Tensor IR interpreter against published code: every golden system, elaborated and lowered, is
 * interpreted as lowered, in real arithmetic, fused, and differentiated. A wrong interpreter and a
 * wrong pass both show here; a stage that is bad while the one before it is good names the pass.
 */
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../../dsl/index.ts';
import { differentiate } from '../../../ir/autodiff/differentiate.ts';
import { eliminateDead } from '../../../ir/passes/eliminate-dead.ts';
import { fuseScans } from '../../../ir/passes/fuse-scan.ts';
import { lowerComplex } from '../../../ir/passes/lower-complex.ts';
import { lowerSpec } from '../../../ir/passes/lower-spec.ts';
import { ValueIds } from '../../../ir/tensor/builder.ts';
import { interpretFunction, type Tensor } from '../../../ir/tensor/interpret.ts';
import { spread } from '../../../ir/tensor/interpret-tensor.ts';
import type { TensorModule } from '../../../ir/tensor/ops.ts';
import { verifyModule } from '../../../ir/tensor/verify.ts';
import { goldenCases, type GoldenData } from '../../oracle/golden.ts';

const tolerance = 1e-10;

function lower(data: GoldenData, ids: ValueIds): TensorModule {
  const { spec, diagnostics } = loadLayer({ name: `${data.name}.ssm`, text: data.text }, null, { sizes: new Map() });
  expect(diagnostics.filter((each) => each.severity === 'error')).toEqual([]);
  return lowerSpec(spec!, ids);
}

function argumentsOf(data: GoldenData, module: TensorModule): Map<string, Tensor> {
  const given = new Map<string, Tensor>();
  for (const [name, tensor] of data.inputs) given.set(`input:${name}`, tensor);
  for (const [name, tensor] of data.params) given.set(`param:${name}`, tensor);
  for (const { op, results } of module.functions[0]!.instructions) {
    if (op.kind !== 'argument' || op.role !== 'initial') continue;
    const { dtype, axes } = results[0]!.type;
    const shape = axes.map((axis) => data.sizes.get(axis) ?? module.axes.find((each) => each.name === axis)?.size ?? data.batch);
    const count = shape.reduce((product, size) => product * size, 1);
    const zero = { axes, shape, re: new Float64Array(count), im: dtype === 'complex' ? new Float64Array(count) : null };
    given.set(`initial:${op.subject}`, data.initial.get(op.subject) ?? zero);
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

function expectForward(data: GoldenData, module: TensorModule, original: TensorModule): void {
  expect(verifyModule(module)).toEqual([]);
  const { batch, length } = data;
  const results = interpretFunction(module, module.functions[0]!, { batch, length, arguments: argumentsOf(data, original) });
  expect(data.outputs.size).toBeGreaterThan(0);
  expectClose(results, 'output', data.outputs);
  expectClose(results, 'final', data.final);
}

type GradientRequest = {
  readonly data: GoldenData;
  readonly module: TensorModule;
  readonly fused: TensorModule;
  readonly ids: ValueIds;
  readonly what: 'ofOutputs' | 'ofFinal';
  readonly interval: number;
};

function expectGradients({ data, module, fused, ids, what, interval }: GradientRequest): void {
  const { cotangents, gradients } = data[what]!;
  const options = { withRespectTo: null, finalCotangents: what === 'ofFinal', checkpointInterval: interval, name: 'backward' } as const;
  const made = differentiate(fused, fused.functions[0]!, ids, options);
  expect(verifyModule({ ...fused, functions: [made.forwardSaved, made.backward] })).toEqual([]);
  const given = argumentsOf(data, module);
  const { batch, length } = data;
  const forward = interpretFunction(fused, made.forwardSaved, { batch, length, arguments: given });
  const arrive = (role: string, to: string): void => {
    for (const [key, tensor] of forward) {
      const [kind = '', name = ''] = key.split(':');
      if (kind !== role) continue;
      const zero: Tensor = { ...tensor, re: new Float64Array(tensor.re.length), im: tensor.im === null ? null : new Float64Array(tensor.re.length) };
      given.set(`${to}:${name}`, role === 'saved' ? tensor : cotangents.get(name) ?? zero);
    }
  };
  arrive('output', 'output-cotangent');
  if (what === 'ofFinal') arrive('final', 'final-cotangent');
  arrive('saved', 'saved');
  const results = interpretFunction(fused, made.backward, { batch, length, arguments: given });
  const wanted = [...gradients.inputs, ...gradients.params, ...gradients.initial];
  expect(wanted.length).toBeGreaterThan(0);
  expectClose(results, 'gradient', new Map(wanted));
}

describe.each(goldenCases)('golden $name', ({ load }) => {
  const data = load();
  const ids = new ValueIds();
  const module = lower(data, ids);
  const fuse = (): TensorModule => eliminateDead(fuseScans(lowerComplex(module, ids), ids));

  it('as lowered', () => expectForward(data, module, module));
  it('in real arithmetic', () => expectForward(data, lowerComplex(module, ids), module));
  it('fused', () => expectForward(data, fuse(), module));
  it.each([1, 16, 200])('gradients of the outputs, a checkpoint every %i tokens', (interval) =>
    expectGradients({ data, module, fused: fuse(), ids, what: 'ofOutputs', interval }));
  if (data.ofFinal !== null) {
    it('gradients of the final states', () =>
      expectGradients({ data, module, fused: fuse(), ids, what: 'ofFinal', interval: 16 }));
  }
});
