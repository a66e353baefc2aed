/**
 * The bounds on whole layers: an emulated f32 device (the same walk with every value rounded) stays
 * within them for values, final states and gradients of all golden systems, and the comparison is
 * never vacuous. Gradients also have the bar of the tolerance table, since their bounds are wide.
 */
import { describe, expect, it } from 'vitest';
import { goldenRequest, packTensor, roundTensor } from '../support/oracle-requests.ts';
import { compare } from './agreement.ts';
import { gradient, type BoundedTensor, type GradientRequest, type OracleTensor } from './evaluate.ts';
import { goldenCases, type GoldenData } from './golden.ts';
import { parameterGradientBars } from './tolerances.ts';
import { emulatedFloat32, float32Rounding, wgslRounding } from './rounding.ts';

type Tensors = ReadonlyMap<string, OracleTensor>;

const rounded = (tensors: Tensors): Tensors => new Map([...tensors].map(([name, each]) => [name, roundTensor(each, 'f32')]));

function requestOf(data: GoldenData): GradientRequest {
  const request = goldenRequest(data);
  return {
    ...request,
    inputs: rounded(request.inputs),
    params: rounded(request.params),
    initial: rounded(request.initial),
    cotangents: { outputs: rounded(data.ofOutputs.cotangents), final: rounded(data.ofFinal?.cotangents ?? new Map()) },
  };
}

const flags = new Set(['reset_flag', 'segment_position']);

describe.each(goldenCases)('$name', ({ load }) => {
  const request = requestOf(load());
  const device = gradient({ ...request, rounding: emulatedFloat32 });
  it.each([float32Rounding, wgslRounding])('within the bounds of $name', (rounding) => {
    const expected = gradient({ ...request, rounding });
    const groups: [string, Tensors, ReadonlyMap<string, BoundedTensor>][] = [
      ['output', device.outputs, expected.outputs],
      ['final', device.final, expected.final],
      ['input gradient', device.gradients.inputs, expected.gradients.inputs],
      ['parameter gradient', device.gradients.params, expected.gradients.params],
    ];
    for (const [group, actual, reference] of groups) {
      for (const [tensorName, bounded] of reference) {
        if (flags.has(tensorName)) continue;
        const options = group.endsWith('gradient') ? { relativeL2Bar: parameterGradientBars.f32 } : {};
        const agreement = compare(packTensor(actual.get(tensorName)!), bounded, options);
        expect(agreement.worstBoundUse, `${group} ${tensorName}`).toBeLessThan(1);
        expect(agreement.isWithinBar, `${group} ${tensorName}`).toBe(true);
        expect(agreement.vacuous, `${group} ${tensorName}`).toBe(null);
      }
    }
  });
});
