/**
 * Workgroup arrays of scalars that a kernel only writes in vectors of one width, as arrays of vectors:
 * WGSL cannot take several neighbours of an array of scalars at once, and a driver that is given four
 * scalar accesses does not always join them (measured on Hopper: a quarter of a forward scan). Where the
 * kernel reads a scalar of such an array it takes the vector and selects. Arrays with scalar writes stay:
 * in WGSL a write to a component may write the whole vector, over what other invocations put there.
 */
import { binary, extract, integer, loadShared, select } from '../../../ir/kernel/builder.ts';
import { withWidth, type Kernel, type KernelExpression, type KernelStatement, type SharedArray, type SharedId, type VectorWidth } from '../../../ir/kernel/nodes.ts';
import { mapBodies, visitExpressions, visitStatements } from '../../../ir/kernel/walk.ts';
import { required } from '../../../support/invariant.ts';
import { rewriteHoisting, type Hoister } from './hoist.ts';

type Widths = { readonly read: Set<VectorWidth>; readonly written: Set<VectorWidth> };

/** The widths in which the kernel reads and writes each array. */
function accessWidths(kernel: Kernel): ReadonlyMap<SharedId, Widths> {
  const widths = new Map<SharedId, Widths>(kernel.shared.map((each) => [each.id, { read: new Set(), written: new Set() }]));
  visitExpressions(kernel.body, (each) => {
    if (each.kind === 'load-shared') widths.get(each.array.id)?.read.add(each.type.width);
  });
  visitStatements(kernel.body, (each) => {
    if (each.kind === 'store-shared') widths.get(each.array.id)?.written.add(each.value.type.width);
  });
  return widths;
}

/** The array as vectors, where all accesses allow it. */
function widened(array: SharedArray, { read, written }: Widths): SharedArray {
  const [width] = written;
  const isFit = width !== undefined && written.size === 1 && [...read].every((each) => each === width || each === 1);
  if (!isFit || array.type.width > 1 || array.length % width !== 0) return array;
  return { ...array, type: withWidth(array.type, width), length: array.length / width };
}

/** Place of a vector, from that of its first element or any other. */
function vectorIndex(index: KernelExpression, width: VectorWidth): KernelExpression {
  return binary('shift-right', index, integer(Math.log2(width)));
}

/** The lane of a vector that a number below its width names. */
function laneAt(vector: KernelExpression, at: KernelExpression): KernelExpression {
  const lanes = Array.from({ length: vector.type.width }, (_, lane) => extract(vector, lane));
  return lanes.reduceRight((others, lane, number) => select(binary('equal', at, integer(number)), lane, others));
}

function readFrom(wide: SharedArray, load: Extract<KernelExpression, { kind: 'load-shared' }>, hoister: Hoister): KernelExpression {
  const { width } = wide.type;
  if (load.type.width === width) return loadShared(wide, vectorIndex(load.index, width));
  const index = hoister.bind('at', load.index);
  const vector = hoister.bind('lanes', loadShared(wide, vectorIndex(index, width)));
  return laneAt(vector, hoister.bind('lane', binary('bit-and', index, integer(width - 1))));
}

/** The kernel with vectors in workgroup memory where it writes nothing else. */
export function raiseShared(kernel: Kernel): Kernel {
  const widths = accessWidths(kernel);
  const arrays = new Map(kernel.shared.map((each) => [each, widened(each, required(widths.get(each.id), 'widths'))]));
  const wideOf = (array: SharedArray): SharedArray | null => {
    const wide = required(arrays.get(array), array.name);
    return wide === array ? null : wide;
  };
  const body = rewriteHoisting(kernel, (expression, hoister) => {
    const wide = expression.kind === 'load-shared' ? wideOf(expression.array) : null;
    return expression.kind === 'load-shared' && wide !== null ? readFrom(wide, expression, hoister) : expression;
  });
  const rewriteBody = (statements: readonly KernelStatement[]): readonly KernelStatement[] => statements.map((statement) => {
    const wide = statement.kind === 'store-shared' ? wideOf(statement.array) : null;
    if (statement.kind !== 'store-shared' || wide === null) return mapBodies(statement, rewriteBody);
    return { ...statement, array: wide, index: vectorIndex(statement.index, wide.type.width) };
  });
  return { ...kernel, shared: kernel.shared.map((each) => required(arrays.get(each), each.name)), body: rewriteBody(body) };
}
