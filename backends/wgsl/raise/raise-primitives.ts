/**
 * Own sine, cosine and logarithm instead of WGSL's: the standard allows the built-in ones an absolute
 * error of 2^-11 (sine, cosine) and 2^-21 near 1 (log2), and drivers use it (SwiftShader: 1.9e-4).
 * `exp2` stays: its error is a few units in the last place for the arguments that decays have.
 */
import { KernelBuilder } from '../../../ir/kernel/builder.ts';
import type { Kernel, KernelExpression, KernelStatement, UnaryOperator } from '../../../ir/kernel/nodes.ts';
import { expandCosine, expandLog2, expandSine, type Expansion } from '../../../ir/numerics/index.ts';
import { freshIds, rewriteHoisting } from './hoist.ts';

const expansions: Partial<Readonly<Record<UnaryOperator, Expansion>>> = {
  sine: expandSine,
  cosine: expandCosine,
  log2: expandLog2,
};

/** Expands the primitives that WGSL computes too coarsely. */
export function raisePrimitives(kernel: Kernel): Kernel {
  const builder = new KernelBuilder(freshIds(kernel).mint());
  const body = rewriteHoisting(kernel, (expression, hoister) => {
    const expand = expression.kind === 'unary' ? expansions[expression.operator] : undefined;
    if (expand === undefined || expression.kind !== 'unary') return expression;
    const made: { value: KernelExpression } = { value: expression };
    const statements: readonly KernelStatement[] = builder.nested(() => {
      made.value = expand(builder, builder.let('x', expression.operand));
    });
    statements.forEach(hoister.emit);
    return made.value;
  });
  return { ...kernel, body };
}
