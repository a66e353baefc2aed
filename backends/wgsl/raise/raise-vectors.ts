/**
 * Vector loads and stores as scalar ones with the index named once (WGSL buffers here are arrays of
 * scalars), and horizontal sums as additions of lanes in the order the IR fixes.
 */
import { add, compose, extract, integer, load, loadShared } from '../../../ir/kernel/builder.ts';
import type { Kernel, KernelExpression, KernelStatement } from '../../../ir/kernel/nodes.ts';
import { mapBodies } from '../../../ir/kernel/walk.ts';
import { freshIds, hoisterInto, rewriteHoisting, type HoistRule, type IdSource } from './hoist.ts';

type Load = Extract<KernelExpression, { kind: 'load' }>;
type Store = Extract<KernelStatement, { kind: 'store' }>;

function laneNumbers(width: number): readonly number[] {
  return Array.from({ length: width }, (_, at) => at);
}

const raiseExpression: HoistRule = (expression, hoister) => {
  if (expression.kind === 'load' && expression.type.width > 1) {
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
  const raised = { ...kernel, body: rewriteHoisting(kernel, raiseExpression) };
  const ids = freshIds(raised);
  const rewriteBody = (body: readonly KernelStatement[]): readonly KernelStatement[] => body.flatMap((statement) => {
    if (statement.kind === 'store' && statement.value.type.width > 1) return splitStore(statement, ids);
    if (statement.kind === 'store-shared' && statement.value.type.width > statement.array.type.width) return splitShared(statement, ids);
    return [mapBodies(statement, rewriteBody)];
  });
  return { ...raised, body: rewriteBody(raised.body) };
}
