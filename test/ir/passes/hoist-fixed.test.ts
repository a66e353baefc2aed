/** Costly values that are fixed in time, out of scans: the same numbers, formed once; nothing else moves. */
import { describe, expect, it } from 'vitest';
import { planSpec } from '../../../backends/compile.ts';
import { hoistFixed } from '../../../ir/passes/hoist-fixed.ts';
import { runTensorPipeline } from '../../../ir/pipeline.ts';
import { interpretFunction } from '../../../ir/tensor/interpret.ts';
import type { TensorFunction, TensorModule } from '../../../ir/tensor/ops.ts';
import { assertModule } from '../../../ir/tensor/verify.ts';
import { required } from '../../../support/invariant.ts';
import { exampleLayers, loadExample, numbersOf, type ExampleLayer } from '../../support/kernel-cases.ts';

function exampleOf(name: string): ExampleLayer {
  return required(exampleLayers.find((each) => each.name === name), name);
}

/** Complex functions inside of the scans of a function. */
function functionsInScans(body: TensorFunction): number {
  return body.instructions.flatMap(({ op }) => (op.kind === 'affine-scan' ? op.region.filter((each) => each.op.kind === 'analytic') : [])).length;
}

describe('fixed values of scans', () => {
  it.each(['s4d', 'dss'])('are computed before them in %s, and are the same', (name) => {
    const layer = exampleOf(name);
    const { module, ids } = runTensorPipeline(loadExample(layer).spec, { withRespectTo: null, checkpointInterval: 4 });
    const hoisted: TensorModule = { ...module, functions: module.functions.map((body) => hoistFixed(body, ids)) };
    assertModule(hoisted, 'hoist-fixed');
    const { sizes, given } = numbersOf(layer, 7);
    let saved: typeof given = new Map();
    module.functions.forEach((body, at) => {
      const after = required(hoisted.functions[at], body.name);
      expect(functionsInScans(body)).toBeGreaterThan(0);
      expect(functionsInScans(after)).toBe(0);
      const request = { ...sizes, arguments: new Map([...given, ...saved]) };
      const wanted = interpretFunction(module, body, request);
      expect(interpretFunction(hoisted, after, request)).toEqual(wanted);
      if (body.name === 'forwardSaved') saved = new Map([...wanted].filter(([key]) => key.startsWith('saved:')));
    });
  });

  it('stay where they vary in time or are plain exponentials', () => {
    const { module, ids } = runTensorPipeline(loadExample(exampleOf('s6')).spec, { withRespectTo: null, checkpointInterval: 4 });
    for (const body of module.functions) expect(hoistFixed(body, ids)).toEqual(body);
  });

  it('stay in a single token', () => {
    const plans = planSpec(loadExample(exampleOf('s4d')).spec, { target: 'cuda' });
    expect(required(plans.find((each) => each.entry === 'step'), 'step').kernels).toHaveLength(1);
    expect(required(plans.find((each) => each.entry === 'forward'), 'forward').kernels).toHaveLength(2);
  });
});
