/**
 * Workgroup arrays of scalars that a kernel only reads and writes in vectors of one width, as arrays of
 * vectors: WGSL cannot take several neighbours of an array of scalars at once, and a driver that is
 * given four scalar accesses does not always join them.
 */
import { binary, integer } from '../../../ir/kernel/builder.ts';
import { withWidth, type Kernel, type KernelExpression, type KernelStatement, type SharedArray, type SharedId, type VectorWidth } from '../../../ir/kernel/nodes.ts';
import { mapBodies, mapExpressions, rewriteExpression, visitExpressions, visitStatements } from '../../../ir/kernel/walk.ts';

/** Widths by array, of scalar arrays that are accessed in one width only. */
function accessWidths(kernel: Kernel): ReadonlyMap<SharedId, ReadonlySet<VectorWidth>> {
  const widths = new Map<SharedId, Set<VectorWidth>>(kernel.shared.map((each) => [each.id, new Set()]));
  visitExpressions(kernel.body, (each) => {
    if (each.kind === 'load-shared') widths.get(each.array.id)?.add(each.type.width);
  });
  visitStatements(kernel.body, (each) => {
    if (each.kind === 'store-shared') widths.get(each.array.id)?.add(each.value.type.width);
  });
  return widths;
}

/** The array as vectors, where all accesses allow it. */
function widened(array: SharedArray, widths: ReadonlySet<VectorWidth>): SharedArray {
  const [width] = widths;
  if (width === undefined || widths.size > 1 || array.type.width > 1 || array.length % width !== 0) return array;
  return { ...array, type: withWidth(array.type, width), length: array.length / width };
}

/** Place of a vector, from that of its first element. */
function vectorIndex(index: KernelExpression, width: VectorWidth): KernelExpression {
  return binary('shift-right', index, integer(Math.log2(width)));
}

/** The kernel with vectors in workgroup memory where it uses nothing else. */
export function raiseShared(kernel: Kernel): Kernel {
  const widths = accessWidths(kernel);
  const arrays = new Map(kernel.shared.map((each) => [each, widened(each, widths.get(each.id) ?? new Set())]));
  const placeIn = (array: SharedArray, index: KernelExpression): { readonly array: SharedArray; readonly index: KernelExpression } => {
    const wide = arrays.get(array) ?? array;
    return wide.type.width === array.type.width ? { array, index } : { array: wide, index: vectorIndex(index, wide.type.width) };
  };
  const rewriteBody = (body: readonly KernelStatement[]): readonly KernelStatement[] => body.map((statement) => {
    const own = mapExpressions(statement, (expression) => rewriteExpression(expression, (each) => (each.kind === 'load-shared' ? { ...each, ...placeIn(each.array, each.index) } : each)));
    return mapBodies(own.kind === 'store-shared' ? { ...own, ...placeIn(own.array, own.index) } : own, rewriteBody);
  });
  return { ...kernel, shared: kernel.shared.map((each) => arrays.get(each) ?? each), body: rewriteBody(kernel.body) };
}
