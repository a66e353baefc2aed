/**
 * Translation validation: each pass over Tensor IR is judged on every example by what it made. The
 * module before and the module after compute the same from the same random numbers, every function of
 * them; and a pipeline without one of its optional passes ends with the same results (R23).
 */
import { describe, expect, it } from 'vitest';
import { assertModule } from '../../../ir/tensor/verify.ts';
import { interpretFunction } from '../../../ir/tensor/interpret.ts';
import type { TensorFunction, TensorModule } from '../../../ir/tensor/ops.ts';
import { ValueIds } from '../../../ir/tensor/builder.ts';
import type { ConvolutionChoice } from '../../../ir/passes/form-convolutions.ts';
import { lowerSpec } from '../../../ir/passes/lower-spec.ts';
import { tensorPasses, type TensorPassOptions } from '../../../ir/pipeline.ts';
import { required } from '../../../support/invariant.ts';
import { relativeToLargest } from '../../oracle/agreement.ts';
import { exampleLayers, loadExample, numbersOf, type CaseNumbers, type ExampleLayer } from '../../support/kernel-cases.ts';
import type { Tensors } from '../../support/pieces.ts';

/** Regrouped products round differently, nothing else does. */
const bar = 1e-11;

type Stage = { readonly name: string; readonly module: TensorModule };

const convolved: ConvolutionChoice = { wants: () => true, onConvolved: () => {}, onObstacle: () => {} };

function options(layer: ExampleLayer): TensorPassOptions {
  const plain = { withRespectTo: null, checkpointInterval: 4 };
  return layer.isTimeInvariant === true ? { ...plain, convolutions: convolved } : plain;
}

/** The module after each pass, without the passes named. */
function stagesOf(layer: ExampleLayer, chosen: TensorPassOptions, without: string): readonly Stage[] {
  const ids = new ValueIds();
  const stages: Stage[] = [{ name: 'lower-spec', module: lowerSpec(loadExample(layer).spec, ids) }];
  for (const pass of tensorPasses.filter((each) => each.name !== without)) {
    const module = pass.run(required(stages.at(-1), 'stage').module, ids, chosen);
    assertModule(module, pass.name);
    stages.push({ name: pass.name, module });
  }
  return stages;
}

function interpret(module: TensorModule, body: TensorFunction, { sizes, given }: CaseNumbers, saved: Tensors): Tensors {
  return interpretFunction(module, body, { ...sizes, arguments: new Map([...given, ...saved]) });
}

/** Results of every function, by function and key; what is saved counts by what backward makes of it. */
function resultsOf(module: TensorModule, numbers: CaseNumbers): Tensors {
  const found = new Map<string, Tensors extends ReadonlyMap<string, infer Value> ? Value : never>();
  let saved: Tensors = new Map();
  for (const body of module.functions) {
    const made = interpret(module, body, numbers, body.name.startsWith('backward') ? saved : new Map());
    if (body.name === 'forwardSaved') saved = new Map([...made].filter(([key]) => key.startsWith('saved:')));
    for (const [key, value] of made) if (!key.startsWith('saved:')) found.set(`${body.name} ${key}`, value);
  }
  return found;
}

function expectSame(actual: Tensors, expected: Tensors, what: string): void {
  for (const [key, value] of expected) {
    expect(relativeToLargest(required(actual.get(key), key), value), `${what}: ${key}`).toBeLessThan(bar);
  }
}

const optional = ['form-convolutions', 'fuse-scan', 'regroup-forward', 'fuse-scan-backward', 'form-contractions', 'reassociate-products', 'eliminate-dead'];

const layers = exampleLayers.filter((each) => each.convolvedAt === undefined);

describe.each(layers.map((each) => [each.name, each] as const))('%s', (_name, layer) => {
  // some sequences of every layer with resets start without one
  const numbers = numbersOf(layer, 13);
  const modes = [['recurrence', { withRespectTo: null, checkpointInterval: 4 }], ...(layer.isTimeInvariant === true ? [['convolution', options(layer)] as const] : [])] as const;

  it.each(modes)('each pass keeps the meaning of the %s', (_mode, chosen) => {
    const stages = stagesOf(layer, chosen, '');
    let before: Tensors = new Map();
    for (const { name, module } of stages) {
      const after = resultsOf(module, numbers);
      expect(after.size, name).toBeGreaterThanOrEqual(before.size);
      expectSame(after, before, name);
      before = after;
    }
    expect([...before.keys()].some((key) => key.startsWith('backwardFinal gradient:'))).toBe(true);
  });

  const whole = resultsOf(required(stagesOf(layer, options(layer), '').at(-1), 'end').module, numbers);

  it.each(optional)('ends the same without %s', (name) => {
    const { module } = required(stagesOf(layer, options(layer), name).at(-1), 'end');
    const results = resultsOf(module, numbers);
    expect([...results.keys()].sort()).toEqual([...whole.keys()].sort());
    expectSame(results, whole, name);
  });
});
