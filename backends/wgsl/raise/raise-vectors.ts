/**
 * Vector loads and stores as scalar ones with the index named once, and horizontal sums as additions of
 * lanes in the order the IR fixes. A buffer that the kernel only reads and writes in aligned vectors of one
 * width stays: it becomes an array of vectors, whose accesses take one instruction and whole sectors.
 */
import { add, compose, extract, integer, load, loadShared } from '../../../ir/kernel/builder.ts';
import type { BufferId, Kernel, KernelExpression, KernelStatement, VectorWidth } from '../../../ir/kernel/nodes.ts';
import { mapBodies, visitExpressions, visitStatements } from '../../../ir/kernel/walk.ts';
import { freshIds, hoisterInto, rewriteHoisting, type HoistRule, type IdSource } from './hoist.ts';

type Load = Extract<KernelExpression, { kind: 'load' }>;
type Store = Extract<KernelStatement, { kind: 'store' }>;

/** Widths by buffer, of those that are accessed in aligned vectors of one width only. */
function widthsOfBuffers(kernel: Kernel): ReadonlyMap<BufferId, VectorWidth> {
  const widths = new Map<BufferId, VectorWidth>(kernel.buffers.filter((each) => each.storage === 'f32').map((each) => [each.id, 4]));
  const see = (buffer: BufferId, width: VectorWidth, isAligned: boolean): void => {
    if (!isAligned || width !== widths.get(buffer)) widths.delete(buffer);
  };
  visitExpressions(kernel.body, (each) => {
    if (each.kind === 'load') see(each.buffer.id, each.type.width, each.aligned);
  });
  visitStatements(kernel.body, (each) => {
    if (each.kind === 'store') see(each.buffer.id, each.value.type.width, each.aligned);
  });
  return widths;
}

function laneNumbers(width: number): readonly number[] {
  return Array.from({ length: width }, (_, at) => at);
}

const raiseExpression = (wideBuffers: ReadonlyMap<BufferId, VectorWidth>): HoistRule => (expression, hoister) => {
  if (expression.kind === 'load' && expression.type.width > 1 && !wideBuffers.has(expression.buffer.id)) {
    const wide: Load = expression;
    const index = hoister.bind('at', wide.index);
    return compose(laneNumbers(wide.type.width).map((lane) => load(wide.buffer, add(index, integer(lane)))));
  }
  if (expression.kind === 'load-shared' && expression.type.width > expression.array.type.width) {
    const { array } = expression;
    const index = hoister.bind('at', expression.index);
    return compose(laneNumbers(expression.type.width).map((lane) => loadShared(array, add(index, integer(lane)))));
  }
  if (expression.kind === 'horizontal-add') {
    const vector = hoister.bind('lanes', expression.operand);
    const [a, b, c, d] = laneNumbers(expression.operand.type.width).map((lane) => extract(vector, lane));
    if (a === undefined || b === undefined) return vector;
    return c === undefined || d === undefined ? add(a, b) : add(add(a, c), add(b, d));
  }
  return expression;
};

function splitStore(store: Store, ids: IdSource): readonly KernelStatement[] {
  const output: KernelStatement[] = [];
  const hoister = hoisterInto(output, ids);
  const index = hoister.bind('at', store.index);
  const value = hoister.bind('lanes', store.value);
  for (const lane of laneNumbers(value.type.width)) {
    output.push({ ...store, index: add(index, integer(lane)), value: extract(value, lane), aligned: false });
  }
  return output;
}

function splitShared(store: Extract<KernelStatement, { kind: 'store-shared' }>, ids: IdSource): readonly KernelStatement[] {
  const output: KernelStatement[] = [];
  const hoister = hoisterInto(output, ids);
  const index = hoister.bind('at', store.index);
  const value = hoister.bind('lanes', store.value);
  for (const lane of laneNumbers(value.type.width)) output.push({ ...store, index: add(index, integer(lane)), value: extract(value, lane) });
  return output;
}

/** Replaces vector loads, vector stores and horizontal sums. */
export function raiseVectors(kernel: Kernel): Kernel {
  const wideBuffers = widthsOfBuffers(kernel);
  const raised = { ...kernel, body: rewriteHoisting(kernel, raiseExpression(wideBuffers)) };
  const ids = freshIds(raised);
  const rewriteBody = (body: readonly KernelStatement[]): readonly KernelStatement[] => body.flatMap((statement) => {
    if (statement.kind === 'store' && statement.value.type.width > 1 && !wideBuffers.has(statement.buffer.id)) return splitStore(statement, ids);
    if (statement.kind === 'store-shared' && statement.value.type.width > statement.array.type.width) return splitShared(statement, ids);
    return [mapBodies(statement, rewriteBody)];
  });
  return { ...raised, body: rewriteBody(raised.body) };
}
