/**
 * Replaces loops marked `unroll` by copies of their body, the index by literals. Targets without an
 * unroller of their own (WASM, WGSL) need it before register arrays can become variables. Each copy
 * defines its own names; indices, comparisons and branches that become constant are folded. Before:
 * a well-formed kernel. After: marked loops are gone, except those that would exceed the limit.
 */
import { integer } from '../builder.ts';
import type { Kernel, KernelStatement } from '../nodes.ts';
import {
  copyBody, countStatements, freshIds, mutableVariables, rewriteBody, withBody, type CopyOptions,
} from './rewrite.ts';

export type UnrollOptions = {
  /** statements that one loop may become; a longer one stays a loop */
  readonly limit: number;
};

type Loop = Extract<KernelStatement, { readonly kind: 'for' }>;

function unrollLoop(loop: Loop, limit: number, options: CopyOptions): readonly KernelStatement[] {
  const { start, end, step, body } = loop;
  if (!loop.unroll || start.kind !== 'literal' || end.kind !== 'literal') return [loop];
  const trips = Math.max(0, Math.ceil((end.value - start.value) / step));
  if (trips * countStatements(body) > limit) return [loop];
  const copies: KernelStatement[] = [];
  for (let trip = 0; trip < trips; trip += 1) {
    const index = integer(start.value + trip * step);
    const substitution = { variables: new Map([[loop.variable.id, index]]), arrays: new Map() };
    copies.push(...copyBody(body, substitution, options));
  }
  return copies;
}

/** Unrolls the marked loops, inner ones first. */
export function unrollLoops(kernel: Kernel, { limit }: UnrollOptions = { limit: 4096 }): Kernel {
  const options: CopyOptions = { fresh: freshIds(kernel), mutable: new Set(mutableVariables(kernel.body)) };
  const unroll = (statement: KernelStatement): readonly KernelStatement[] =>
    statement.kind === 'for' ? unrollLoop(statement, limit, options) : [statement];
  return withBody(kernel, rewriteBody(kernel.body, unroll));
}
