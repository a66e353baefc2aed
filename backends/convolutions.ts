/**
 * Mode `conv` as a request: every state becomes a convolution, or the layer is refused with the reason
 * (no silent fallback), and the manifest says how they are convolved.
 */
import type { LayerSpec } from '../dsl/spec.ts';
import type { ConvolutionChoice } from '../ir/passes/form-convolutions.ts';
import { describeAlgorithm, type ConvolutionAlgorithm } from '../ir/schedule/conv/index.ts';
import { ssmError } from '../support/diagnostic.ts';
import type { Decision } from './artifact.ts';

export type ConvolutionRequest = {
  readonly choice: ConvolutionChoice;
  /** after the pipeline: throws where a state is no convolution */
  readonly finish: () => void;
};

export function requestConvolutions(spec: LayerSpec, algorithm: ConvolutionAlgorithm, decisions: Decision[]): ConvolutionRequest {
  const obstacles: string[] = [];
  return {
    choice: {
      wants: () => true,
      onObstacle: (state, reason) => obstacles.push(`state \`${state}\`: ${reason}`),
      onConvolved: (state) => decisions.push({
        subject: `forward: ${state}`, chosen: describeAlgorithm(algorithm), alternatives: ['recurrent', 'scan'], reason: 'mode conv was asked for',
      }),
    },
    finish: () => {
      if (obstacles.length === 0) return;
      throw ssmError('SSM4001', `mode \`conv\` is not legal for layer \`${spec.name}\`; ${obstacles.join('; ')}`, 'use mode `recurrent` or `scan`');
    },
  };
}
