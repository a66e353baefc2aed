/**
 * Grids of more than 65535 workgroups in a dimension: the runtime launches such a grid in windows and
 * says in a uniform where each begins, so `workgroup-x` becomes base + id. Every dimension that
 * depends on the batch or the length gets its base; constant ones within the limit need none.
 */
import { add, builtin, uniform } from '../../../ir/kernel/builder.ts';
import type { Builtin, Kernel, Uniform, UniformId } from '../../../ir/kernel/nodes.ts';
import { visitExpressions } from '../../../ir/kernel/walk.ts';
import { freshIds, rewriteHoisting } from './hoist.ts';

/** Names of the base uniforms by dimension; the manifest's `gridBase` refers to them. */
const gridBaseNames: readonly [string, string, string] = ['first_x', 'first_y', 'first_z'];

const dimensions: readonly [Builtin, Builtin, Builtin] = ['workgroup-x', 'workgroup-y', 'workgroup-z'];

export type LargeGrid = {
  readonly kernel: Kernel;
  /** per dimension the index of the uniform that receives the window's first workgroup */
  readonly gridBase: readonly [number | null, number | null, number | null];
};

/** Adds the bases; `limit` is the number of workgroups per dimension of one dispatch. */
export function raiseLargeGrid(kernel: Kernel, limit: number): LargeGrid {
  const ids = freshIds(kernel);
  const used = new Set<Builtin>();
  visitExpressions(kernel.body, (expression) => {
    if (expression.kind === 'builtin') used.add(expression.builtin);
  });
  const uniforms: Uniform[] = [...kernel.uniforms];
  const bases = new Map<Builtin, Uniform>();
  const baseOf = (at: 0 | 1 | 2): number | null => {
    const size = kernel.grid[at];
    if (!used.has(dimensions[at]) || (typeof size === 'number' && size <= limit)) return null;
    const base: Uniform = { id: ids.mint() as UniformId, name: gridBaseNames[at], value: 0 };
    bases.set(dimensions[at], base);
    return uniforms.push(base) - 1;
  };
  const gridBase: LargeGrid['gridBase'] = [baseOf(0), baseOf(1), baseOf(2)];
  const body = rewriteHoisting(kernel, (expression) => {
    const base = expression.kind === 'builtin' ? bases.get(expression.builtin) : undefined;
    return base === undefined || expression.kind !== 'builtin' ? expression : add(uniform(base), builtin(expression.builtin));
  });
  return { kernel: { ...kernel, uniforms, body }, gridBase };
}
