/**
 * The verifier's rules for affine-scan: a closed region of elementwise operations, states of the
 * right types, and a producer that does not read the state that it drives.
 */
import { unionAxes } from './builder.ts';
import {
  checkpointAxis, isElementwise,
  type AffineScanOp, type Coefficient, type ScanHistory, type TensorDtype, type TensorInstruction, type TensorType,
  type TensorValue, type ValueId,
} from './ops.ts';
import type { Derived } from './shape-rules.ts';
import { defineValue, formatTensorType, lookUp, sameType, type VerifyScope } from './verify-scope.ts';
import { operandsOf, regionInputs } from './walk.ts';

type Report = (fault: string) => void;

/** A scan whose operands are in scope. */
export type ScanCheck = {
  readonly op: AffineScanOp;
  /** `%12 = affine-scan`, before each fault */
  readonly user: string;
  readonly scope: VerifyScope;
  /** checks an instruction of the region and makes its results known */
  readonly verifyInner: (instruction: TensorInstruction, region: VerifyScope) => void;
};

/** One recurrence, the scan's own or the replayed one, as the rules below need it. */
type Recurrence = {
  readonly name: 'state' | 'history';
  readonly coefficient: Coefficient;
  readonly drive: readonly ValueId[];
  readonly release: readonly ValueId[] | null;
  readonly previous: readonly TensorValue[];
  readonly current: readonly TensorValue[];
};

function isSubset(axes: readonly string[], of: readonly string[]): boolean {
  return axes.every((axis) => of.includes(axis));
}

/** States have axes batch × time × state axes; two real parts, or one part of either dtype. */
function verifyStates(op: AffineScanOp, recurrence: Recurrence, scope: VerifyScope, report: Report): void {
  const { name, previous, current } = recurrence;
  if (current.length !== 1 && current.length !== 2) report(`${name} has ${current.length} parts`);
  if (previous.length !== current.length) {
    report(`${name} has ${previous.length} parts before and ${current.length} after the update`);
  }
  const dtype: TensorDtype = current.length === 1 && current[0]?.type.dtype === 'complex' ? 'complex' : 'real';
  const wanted: TensorType = { dtype, axes: unionAxes(scope.axes, ['batch', 'time'], op.axes) };
  for (const value of [...previous, ...current]) {
    if (sameType(value.type, wanted)) continue;
    report(`%${value.id} of the ${name} is ${formatTensorType(value.type)}, not ${formatTensorType(wanted)}`);
  }
}

/** Numbers that enter a recurrence: as many parts as the state allows, of axes that it has. */
function verifyParts(
  what: string, ids: readonly ValueId[],
  wanted: { readonly counts: readonly number[]; readonly axes: readonly string[]; readonly complex: boolean },
  scope: VerifyScope, report: Report,
): void {
  if (!wanted.counts.includes(ids.length)) report(`${what} has ${ids.length} parts`);
  for (const id of ids) {
    const type = lookUp(id, what, { ...scope, report });
    if (type === null) continue;
    const isNumber = type.dtype === 'real' || (type.dtype === 'complex' && wanted.complex && ids.length === 1);
    if (!isNumber) report(`${what} %${id} is ${type.dtype}`);
    if (isSubset(type.axes, wanted.axes)) continue;
    report(`${what} %${id} has axes [${type.axes.join(', ')}], not among [${wanted.axes.join(', ')}]`);
  }
}

function verifyRecurrence(op: AffineScanOp, recurrence: Recurrence, region: VerifyScope, report: Report): void {
  const { name, coefficient, drive, release, current } = recurrence;
  verifyStates(op, recurrence, region, report);
  const axes = ['batch', 'time', ...op.axes];
  const complex = current[0]?.type.dtype === 'complex';
  if (coefficient.kind === 'exponent') {
    verifyParts(`${name} exponent`, [coefficient.exponent], { counts: [1], axes, complex: false }, region, report);
  } else {
    const counts = current.length === 2 ? [1, 2] : [1];
    verifyParts(`${name} coefficient`, coefficient.parts, { counts, axes, complex }, region, report);
  }
  verifyParts(`${name} drive`, drive, { counts: [current.length], axes, complex }, region, report);
  if (release === null) return;
  if (op.form !== 'add-then-decay') report(`release of a ${op.form} scan`);
  verifyParts(`${name} release`, release, { counts: [current.length], axes, complex }, region, report);
}

/** Region values that depend on any of the given states. */
function dependents(region: readonly TensorInstruction[], states: readonly TensorValue[]): ReadonlySet<ValueId> {
  const dependent = new Set<ValueId>(states.map((value) => value.id));
  for (const { op, results } of region) {
    if (operandsOf(op).some((id) => dependent.has(id))) for (const value of results) dependent.add(value.id);
  }
  return dependent;
}

function producerIds({ coefficient, drive, release }: Recurrence): readonly ValueId[] {
  const parts = coefficient.kind === 'exponent' ? [coefficient.exponent] : coefficient.parts;
  return [...parts, ...drive, ...(release ?? [])];
}

function verifyProducer(
  op: AffineScanOp, recurrence: Recurrence, states: readonly TensorValue[], report: Report,
): void {
  const dependent = dependents(op.region, states);
  const found = producerIds(recurrence).find((id) => dependent.has(id));
  if (found !== undefined) report(`the ${recurrence.name}'s coefficient, drive or release %${found} depends on a state`);
}

function verifyRegion({ op, scope, verifyInner }: ScanCheck, report: Report): VerifyScope {
  if (op.parameters.length !== op.operands.length) {
    report(`has ${op.operands.length} operands for ${op.parameters.length} parameters`);
  }
  op.parameters.forEach((parameter, at) => {
    const operand = op.operands[at];
    const type = operand === undefined ? undefined : scope.types.get(operand);
    if (type === undefined || sameType(type, parameter.type)) return;
    const declared = `parameter %${parameter.id} is ${formatTensorType(parameter.type)}`;
    report(`${declared}, its operand %${operand} is ${formatTensorType(type)}`);
  });
  const region: VerifyScope = { ...scope, types: new Map(), report };
  for (const value of regionInputs(op)) defineValue(value, region);
  for (const instruction of op.region) {
    const inner = instruction.op;
    if (!isElementwise(inner) && inner.kind !== 'reduce') {
      report(`region contains ${inner.kind}`);
      for (const value of instruction.results) defineValue(value, region);
      continue;
    }
    const leavesToken = inner.kind === 'reduce' && (inner.over.includes('time') || inner.over.includes('batch'));
    if (leavesToken) report('region reduces over batch or time');
    verifyInner(instruction, region);
  }
  return region;
}

function verifyHistory(
  op: AffineScanOp, history: ScanHistory, region: VerifyScope, outer: VerifyScope, report: Report,
): void {
  const recurrence: Recurrence = { name: 'history', release: null, ...history };
  verifyRecurrence(op, recurrence, region, report);
  verifyProducer(op, recurrence, [...history.previous, ...history.current, ...op.previous, ...op.current], report);
  verifyInitial('history initial', history.initial, recurrence, op, outer, report);
  if (!Number.isSafeInteger(history.interval) || history.interval < 1) {
    report(`history interval is ${history.interval}`);
    return;
  }
  if (history.checkpoints.length === 0) return;
  if (history.checkpoints.length !== history.current.length) {
    report(`history has ${history.checkpoints.length} checkpoint parts`);
  }
  const dtype = history.current[0]?.type.dtype ?? 'real';
  const axes = unionAxes(outer.axes, ['batch', checkpointAxis(history.interval)], op.axes);
  const wanted: TensorType = { dtype, axes };
  for (const id of history.checkpoints) {
    const type = outer.types.get(id);
    if (type === undefined || sameType(type, wanted)) continue;
    report(`checkpoints %${id} are ${formatTensorType(type)}, not ${formatTensorType(wanted)}`);
  }
}

function verifyInitial(
  what: string, initial: readonly ValueId[] | null, recurrence: Recurrence,
  op: AffineScanOp, scope: VerifyScope, report: Report,
): void {
  if (initial === null) return;
  const { current } = recurrence;
  const complex = current[0]?.type.dtype === 'complex';
  const wanted = { counts: [current.length], axes: ['batch', ...op.axes], complex };
  verifyParts(what, initial, wanted, scope, report);
}

function yieldTypes(op: AffineScanOp, region: VerifyScope, report: Report): readonly TensorType[] {
  return op.yields.map(({ value, sumOver }, at): TensorType => {
    const type = lookUp(value, `yield ${at}`, region) ?? { dtype: 'real', axes: [] };
    const absent = sumOver.find((axis) => !type.axes.includes(axis));
    if (absent !== undefined) report(`yield ${at} sums over absent axis ${absent}`);
    if (new Set(sumOver).size !== sumOver.length) report(`yield ${at} sums over an axis twice`);
    const isNumber = type.dtype === 'real' || type.dtype === 'complex';
    if (sumOver.length > 0 && !isNumber) report(`yield ${at} sums ${type.dtype} values`);
    return { dtype: type.dtype, axes: type.axes.filter((axis) => !sumOver.includes(axis)) };
  });
}

function stateResultTypes(op: AffineScanOp, scope: VerifyScope): readonly TensorType[] {
  const dtype = op.current[0]?.type.dtype ?? 'real';
  const ofEachPart = (axes: readonly string[]): readonly TensorType[] =>
    op.current.map(() => ({ dtype, axes: unionAxes(scope.axes, axes, op.axes) }));
  const finals = op.emitsFinal ? ofEachPart(['batch']) : [];
  const interval = op.checkpointInterval;
  return interval === null ? finals : [...finals, ...ofEachPart(['batch', checkpointAxis(interval)])];
}

/** Checks a scan and derives its result types; faults go to the scope. */
export function verifyScan(check: ScanCheck): Derived {
  const { op, user, scope } = check;
  const report: Report = (fault) => scope.report(`${user}: ${fault}`);
  const undeclared = op.axes.find((axis) => !scope.axes.some((each) => each.name === axis));
  if (undeclared !== undefined) return `state has undeclared axis ${undeclared}`;
  const ordered = unionAxes(scope.axes, op.axes);
  if (ordered.length !== op.axes.length || ordered.some((axis, at) => axis !== op.axes[at])) {
    return `state axes [${op.axes.join(', ')}] are not in canonical order`;
  }
  if (op.checkpointInterval !== null && !(Number.isSafeInteger(op.checkpointInterval) && op.checkpointInterval >= 1)) {
    return `checkpoint interval is ${op.checkpointInterval}`;
  }
  const region = verifyRegion(check, report);
  const { coefficient, drive, release, previous, current } = op;
  const recurrence: Recurrence = { name: 'state', coefficient, drive, release, previous, current };
  verifyRecurrence(op, recurrence, region, report);
  verifyProducer(op, recurrence, [...op.previous, ...op.current], report);
  verifyInitial('initial', op.initial, recurrence, op, scope, report);
  if (op.history !== null) verifyHistory(op, op.history, region, scope, report);
  return [...yieldTypes(op, region, report), ...stateResultTypes(op, scope)];
}
