/** Shifts and masks give what division and remainder give, and other divisors are left alone. */
import { describe, expect, it } from 'vitest';
import { binary, builtin, integer, KernelBuilder, convert, multiply, add } from '../../../../ir/kernel/builder.ts';
import { interpretKernel } from '../../../../ir/kernel/interpret.ts';
import { f32, type Kernel } from '../../../../ir/kernel/nodes.ts';
import { reduceStrength } from '../../../../ir/kernel/passes/reduce-strength.ts';
import { printKernel } from '../../../../ir/kernel/print.ts';
import { assertKernel } from '../../../../ir/kernel/verify.ts';

function divisions(divisor: number): Kernel {
  const builder = new KernelBuilder();
  const out = builder.buffer('y', 'f32', 'write', 200);
  const index = builtin('workgroup-x');
  const value = add(multiply(integer(7), index), integer(3));
  builder.store(out, multiply(index, integer(2)), convert(binary('divide', value, integer(divisor)), f32));
  builder.store(out, add(multiply(index, integer(2)), integer(1)), convert(binary('remainder', value, integer(divisor)), f32));
  return builder.finish({ name: 'divisions', notes: [], workgroupSize: 1, grid: [100, 1, 1] });
}

function run(kernel: Kernel): Float64Array {
  const y = new Float64Array(200);
  interpretKernel(kernel, { batch: 1, length: 1 }, new Map([['y', y]]), { rounding: 'f64' });
  return y;
}

describe('reduce-strength', () => {
  it.each([2, 8, 64, 1024])('divides by %i with a shift', (divisor) => {
    const reduced = reduceStrength(divisions(divisor));
    assertKernel(reduced, 'reduce-strength');
    expect(printKernel(reduced)).not.toMatch(/ [/%] /);
    expect(run(reduced)).toEqual(run(divisions(divisor)));
  });

  it('leaves other divisors alone', () => {
    expect(printKernel(reduceStrength(divisions(12)))).toBe(printKernel(divisions(12)));
  });
});
