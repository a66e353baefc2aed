/** What forwardSaved keeps is what some backward function takes, in every mode of every example. */
import { expect, test } from 'vitest';
import type { ConvolutionChoice } from '../../../ir/passes/form-convolutions.ts';
import { runTensorPipeline } from '../../../ir/pipeline.ts';
import type { TensorFunction } from '../../../ir/tensor/ops.ts';
import { exampleLayers, loadExample } from '../../support/kernel-cases.ts';

function taken({ instructions }: TensorFunction): readonly string[] {
  return instructions.flatMap(({ op }) => (op.kind === 'argument' && op.role === 'saved' ? [`${op.subject} ${op.part}`] : []));
}

function kept({ results }: TensorFunction): readonly string[] {
  return results.flatMap((each) => (each.role === 'saved' ? [`${each.subject} ${each.part}`] : []));
}

const everyState: ConvolutionChoice = { wants: () => true, onObstacle: () => undefined, onConvolved: () => undefined };

test.each(exampleLayers)('$name', (layer) => {
  const { spec } = loadExample(layer);
  const options = { withRespectTo: null, checkpointInterval: 4 } as const;
  for (const each of [options, { ...options, convolutions: everyState }]) {
    const { functions } = runTensorPipeline(spec, each).module;
    const saved = functions.flatMap(kept);
    expect(saved.length).toBeGreaterThan(0);
    expect(saved.toSorted()).toEqual([...new Set(functions.flatMap(taken))].sort());
  }
});
