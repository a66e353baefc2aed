/** Differentiation where an argument contributes in part or not at all. */
import { describe, expect, it } from 'vitest';
import { loadLayer } from '../../dsl/index.ts';
import { runTensorPipeline } from '../../ir/pipeline.ts';
import { interpretFunction, type Tensor } from '../../ir/tensor/interpret.ts';
import { required } from '../../support/invariant.ts';

function gradients(text: string, given: ReadonlyMap<string, Tensor>): ReadonlyMap<string, Tensor> {
  const spec = required(loadLayer({ name: 'test.ssm', text }, null, { sizes: new Map() }).spec, 'layer');
  const { module } = runTensorPipeline(spec, { withRespectTo: null, checkpointInterval: 8 });
  const body = required(module.functions.find((each) => each.name === 'backward'), 'backward');
  return interpretFunction(module, body, { batch: 1, length: 2, arguments: given });
}

const stream = (re: readonly number[], im: readonly number[] | null = null): Tensor =>
  ({ axes: ['batch', 'time', 'D'], shape: [1, 2, 1], re: Float64Array.from(re), im: im === null ? null : Float64Array.from(im) });

describe('gradients of complex inputs', () => {
  it('has a zero for the part that is never read', () => {
    const given = new Map([['input:u', stream([2, 3])], ['input:z', stream([5, 7], [11, 13])], ['output-cotangent:y', stream([1, 10])]]);
    const real = gradients('layer T(D = 1) { input u[D], z[D]: complex  output y[D] = u * real(z) }', given);
    expect([...required(real.get('gradient:z'), 'z').re]).toEqual([2, 30]);
    expect([...required(required(real.get('gradient:z'), 'z').im, 'im')]).toEqual([0, 0]);
    expect([...required(real.get('gradient:u'), 'u').re]).toEqual([5, 70]);
    const imaginary = gradients('layer T(D = 1) { input u[D], z[D]: complex  output y[D] = u * imag(z) }', given);
    expect([...required(imaginary.get('gradient:z'), 'z').re]).toEqual([0, 0]);
    expect([...required(required(imaginary.get('gradient:z'), 'z').im, 'im')]).toEqual([2, 30]);
  });
});
