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
import { verifyModule } from '../../ir/tensor/verify.ts';
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

describe('the verifier', () => {
  const axes = [{ name: 'D', size: 2 }, { name: 'N', size: 3 }];
  const text = (line: string): string => `module m {
  axis D = 2
  axis N = 3
  function forward {
    %0:u[batch, time, D] = argument input u
    %1:a[D, N] = argument param a
    %2:y[${line.startsWith('power-moment') ? 'batch, D, N' : 'batch, time, D'}] = ${line}
    result output y = %2
  }
}
`;
  it.each([
    ['impulse-response forward value of %1 weight %1, %1 over [N] start 0', /2 parts of a weight for 1 of the base/],
    ['impulse-response forward value of %1 weight %1 over [batch] start 0', /sums over batch, which is absent or the time/],
    ['impulse-response forward value of %1 weight %1 over [N] start 2', /starts at power 2/],
    ['impulse-response forward value of %0 weight %1 over [N] start 0', /base that varies with time/],
    ['power-moment forward value of %1 signal %1 start 0 factor power', /does not vary with time/],
    ['convolve forward %1, %0', /convolve of a value that does not vary with time/],
    ['correlate %0, %0 over [time]', /sums over time/],
    ['convolve reverse %0, %0', null],
  ] as const)('judges %s', (line, fault) => {
    const parsed = parseModule(text(line));
    if (parsed.kind !== 'module') throw new Error(parsed.message);
    expect(parsed.module.axes).toEqual(axes);
    const faults = verifyModule(parsed.module);
    if (fault === null) expect(faults).toEqual([]);
    else expect(faults.join()).toMatch(fault);
  });
});
