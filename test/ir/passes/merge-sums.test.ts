/** Sums that are only added become one, in chains too; those that something else reads stay. */
import { describe, expect, it } from 'vitest';
import { hoistFixed } from '../../../ir/passes/hoist-fixed.ts';
import { mergeSums } from '../../../ir/passes/merge-sums.ts';
import { runTensorPipeline } from '../../../ir/pipeline.ts';
import { interpretFunction } from '../../../ir/tensor/interpret.ts';
import type { TensorFunction, TensorModule } from '../../../ir/tensor/ops.ts';
import { assertModule } from '../../../ir/tensor/verify.ts';
import { required } from '../../../support/invariant.ts';
import { exampleLayers, loadExample, numbersOf } from '../../support/kernel-cases.ts';
import { specOf } from '../../support/scheduled-run.ts';

/** Sums over states in the scans of a function. */
function sumsOf(body: TensorFunction): number {
  return body.instructions.flatMap(({ op }) => (op.kind === 'affine-scan' ? op.region.filter((each) => each.op.kind === 'reduce') : [])).length;
}

function layerOf(output: string): TensorModule {
  const text = `layer M(D = 3, N = 4) {
    input u[D]
    param a[D, N] = 0.5, b[D, N] = 1, c[D, N] = 1
    state x[D, N] { next x = sigmoid(a) * x + u }
    output y[D] = ${output}
  }`;
  const { module, ids } = runTensorPipeline(specOf(text), { withRespectTo: null, checkpointInterval: 4 });
  const merged = { ...module, functions: module.functions.map((body) => mergeSums(body, ids)) };
  assertModule(merged, 'merge-sums');
  return merged;
}

describe('sums over states', () => {
  it.each([
    ['sum[N](b * x) + sum[N](c * x)', 1],
    ['u + sum[N](b * x) + sum[N](c * x)', 1],
    ['(sum[N](b * x) + u) + (sum[N](c * x) + sum[N](x))', 1],
    ['sum[N](b * x) * sum[N](c * x)', 2],
    ['sum[N](b * x) - sum[N](c * x)', 2],
    ['(sum[N](b * x) + sum[N](c * x)) * sum[N](b * x)', 2],
  ])('%s: %i', (output, count) => {
    expect(sumsOf(required(layerOf(output).functions[0], 'forward'))).toBe(count);
  });

  it('become one in the gradient of the input of S4D, which keeps its value', () => {
    const layer = required(exampleLayers.find((each) => each.name === 's4d'), 's4d');
    const { module, ids } = runTensorPipeline(loadExample(layer).spec, { withRespectTo: null, checkpointInterval: 4 });
    const hoisted = { ...module, functions: module.functions.map((body) => hoistFixed(body, ids)) };
    const merged = { ...hoisted, functions: hoisted.functions.map((body) => mergeSums(body, ids)) };
    assertModule(merged, 'merge-sums');
    const { sizes, given } = numbersOf(layer, 7);
    let saved: typeof given = new Map();
    hoisted.functions.forEach((body, at) => {
      const after = required(merged.functions[at], body.name);
      expect(sumsOf(after)).toBe(1);
      const request = { ...sizes, arguments: new Map([...given, ...saved]) };
      const wanted = interpretFunction(hoisted, body, request);
      const actual = interpretFunction(merged, after, request);
      for (const [key, tensor] of wanted) {
        tensor.re.forEach((value, place) => expect(Math.abs(required(actual.get(key), key).re[place]! - value)).toBeLessThan(1e-12 * (1 + Math.abs(value))));
      }
      if (body.name === 'forwardSaved') saved = new Map([...wanted].filter(([key]) => key.startsWith('saved:')));
    });
  });
});
