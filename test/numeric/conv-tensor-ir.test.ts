/**
 * Convolutional mode in float64 Tensor IR: the same outputs, final states and gradients as the scan of
 * the same layer, to float64 rounding; no state × time value; the text form reads back.
 */
import { describe, expect, it } from 'vitest';
import { makeReference } from '../../cli/verify/reference.ts';
import { runTensorPipeline } from '../../ir/pipeline.ts';
import { isConvolutionOp } from '../../ir/tensor/ops.ts';
import { parseModule } from '../../ir/tensor/parse.ts';
import { printModule } from '../../ir/tensor/print.ts';
import { convolutionLayers } from '../support/conv-layers.ts';

const options = { withRespectTo: null, checkpointInterval: 8 };

describe.each(convolutionLayers.map((each) => [each.name, each.spec] as const))('%s', (_name, spec) => {
  const obstacles: string[] = [];
  const scan = runTensorPipeline(spec, options).module;
  const { module } = runTensorPipeline(spec, {
    ...options, convolutions: { wants: () => true, onConvolved: () => {}, onObstacle: (state, reason) => obstacles.push(`${state}: ${reason}`) },
  });

  it('has no scan left', () => {
    expect(obstacles).toEqual([]);
    const kinds = module.functions.flatMap((each) => each.instructions.map(({ op }) => op.kind));
    expect(kinds).not.toContain('affine-scan');
    expect(module.functions.some((each) => each.instructions.some(({ op }) => isConvolutionOp(op)))).toBe(true);
  });

  it.each([1, 2, 9])('agrees with the scan at length %i', (length) => {
    const sizes = { batch: 2, length };
    const [wanted, made] = [makeReference(spec, scan, sizes, 7), makeReference(spec, module, sizes, 7)];
    expect([...made.expected.keys()].filter((key) => !key.startsWith('saved')).sort()).toEqual([...wanted.expected.keys()].filter((key) => !key.startsWith('saved')).sort());
    for (const [key, { re, im, axes }] of wanted.expected) {
      const value = made.expected.get(key)!;
      expect(value.axes).toEqual(axes);
      const largest = Math.max(1e-3, ...re.map(Math.abs), ...(im ?? []).map(Math.abs));
      const worst = Math.max(...re.map((each, at) => Math.abs(each - value.re[at]!)), ...(im ?? []).map((each, at) => Math.abs(each - value.im![at]!)));
      expect(worst / largest, key).toBeLessThan(1e-10);
    }
  });

  it('prints and reads back', () => {
    const text = printModule(module);
    const parsed = parseModule(text);
    expect(parsed.kind).toBe('module');
    if (parsed.kind === 'module') expect(printModule(parsed.module)).toBe(text);
  });
});
