/** Planted faults: each well-formed module, spoilt in one place, is refused for that reason. */
import { describe, expect, it } from 'vitest';
import type { AffineScanOp, FunctionResult, TensorDtype, TensorInstruction, TensorModule, TensorOp, TensorValue, ValueId } from '../../../ir/tensor/ops.ts';
import { parseModule } from '../../../ir/tensor/parse.ts';
import { assertModule, verifyFunction, verifyModule } from '../../../ir/tensor/verify.ts';
import { scanModule } from './scan-module.ts';

function faultsOf(lines: string): readonly string[] {
  const outcome = parseModule(`module m {\n axis D = 3\n axis N = 4\n axis M = 4\n function forward {\n${lines}\n}\n}`);
  if (outcome.kind === 'error') throw new Error(`line ${outcome.line}: ${outcome.message}`);
  return verifyModule(outcome.module).map((fault) => fault.replace('forward: ', ''));
}

const given = `%0:u[batch, time, D] = argument input u
%1:w[D, N] = argument param w
%2:i index[batch, time] = argument input i
%3:f flag[time] = argument input f
%4:z complex[D, N] = argument param z
`;

describe('instructions', () => {
  it('leaves a well-formed function alone', () => {
    expect(faultsOf(`${given}%5:y[batch, time, N] = contract %0, %1 over [D]\n%6:s[N] = reduce maximum [D] %1\nresult output y = %5`)).toEqual([]);
  });
  it.each([
    ['%5:y[batch, D] = exp %0', '%5 is declared [batch, D], unary makes [batch, time, D]'],
    ['%5:y flag[batch, time, D] = exp %0', '%5 is declared flag[batch, time, D], unary makes [batch, time, D]'],
    ['%5:y[batch, time, D] = add %0, %9', '%5 = binary uses %9, which is not defined before it'],
    ['%0:y[D] = iota D', '%0 is defined twice'],
    ['%5:y[time, batch, D] = exp %0', '%5: axes [time, batch, D] out of canonical order'],
    ['%5:y[batch, time, D, N, N] = multiply %0, %1', '%5: axis N twice'],
    ['%5:y[Q] = iota Q', '%5 = iota: unknown axis Q'],
    ['%5:y[batch, time, D] = add %0, %3', '%5 = binary: add of real and flag values'],
    ['%5:y[batch, time, D] = multiply %0, %2', '%5 = binary: multiply of real and index values'],
    ['%5:y complex[D, N] = maximum %4, %1', '%5 = binary: maximum of complex and real values'],
    ['%5:y complex[D, N] = tanh %4', '%5 = unary: tanh of a complex value'],
    ['%5:y flag[D, N] = less %4, %1', '%5 = binary: less of complex and real values'],
    ['%5:y flag[batch, time, D] = and %3, %0', '%5 = binary: and of flag and real values'],
    ['%5:y flag[batch, time, D] = not %0', '%5 = unary: not of a real value'],
    ['%5:y[batch, time, D] = select %0, %0, %0', '%5 = select: select by a real value'],
    ['%5:y[batch, time, D] = select %3, %0, %2', '%5 = select: select between real and index values'],
    ['%5:y complex[D, N] = complex %1, %4', '%5 = complex: complex of real and complex values'],
    ['%5:y[D, N] = part re %1', '%5 = part: part of a real value'],
    ['%5:y[D, N] = analytic exp %1, %1', '%5 = analytic has 1 results, it makes 2'],
    ['%5:y[batch, time, N] = broadcast %0 to [batch, time, N]', '%5 = broadcast: broadcast loses axis D'],
    ['%5:y[batch, time, N] = rename %0 from D to N', '%5 = rename: renames D to N of another size'],
    ['%5:y[D, M] = rename %0 from N to M', '%5 = rename: renames absent axis N'],
    ['%5:y[D] = rename %1 from N to time', '%5 = rename: renames N to time, which are not both declared'],
    ['%5:y[batch, time] = reduce sum [N] %0', '%5 = reduce: reduces over absent axis N'],
    ['%5:y[batch, time, D] = reduce sum [] %0', '%5 = reduce: reduces over nothing'],
    ['%5:y complex[D] = reduce maximum [N] %4', '%5 = reduce: reduces a complex value by maximum'],
    ['%5:y[batch, time, D, N] = contract %0, %1 over [M]', '%5 = contract: reduces over absent axis M'],
    ['%5:y[batch, time, N] = contract %0, %4 over [D]', '%5 = contract: contracts real and complex values'],
    ['%5:y[batch, time, D] = delay %0 by 1 tail %1 along N', '%5 = delay: has a real tail over [D, N], not a real one over [batch, D, N]'],
    ['%5:y[batch, time, D] = delay %0 by 1 tail %1 along P', '%5 = delay: has a tail along undeclared axis P'],
    ['%5:y[batch, time, D] = delay %0 by 9 tail %1 along N', '%5 = delay: delays by 9 tokens with a tail of 4'],
    ['%5:y[D, N] = delay %1 by 1', '%5 = delay: delays a value that does not vary with time'],
    ['%5:y[batch, time, D] = delay %0 by 0.5', '%5 = delay: delays by 0.5 tokens'],
    ['%5:y[batch, N, D] = slide %0 from N to time by 1 lengths 0', '%5 = slide: slides along absent axis N'],
    ['%5:y[batch, D] = slide %0 from time to D by 1 lengths 0', '%5 = slide: slides to D, which the operand has already'],
    ['%5:y[time, D] = slide %0 from batch to N by 1 lengths 0', '%5 = slide: slides from batch to N, which are not both time or declared'],
    ['%5:y[batch, D, N] = slide %0 from time to N by 0.5 lengths 0', '%5 = slide: slides by 0.5 and 0 lengths'],
    ['%5:y[D, N] = last %1', '%5 = last: last of a value that does not vary with time'],
    ['%5:y[batch, time, D] = at-last %0', '%5 = at-last: at-last of a value that varies with time'],
    ['%5:y[batch, time, D] = gather %1 along N at %0', '%5 = gather: gathers at a real value'],
    ['%5:y[batch, time, D] = gather %0 along N at %2', '%5 = gather: gathers along absent axis N'],
    ['%5:y[D, N] = scatter-add %0 along D at %2 over [batch, time]', '%5 = scatter-add: scatters along D, which stays'],
    ['%5:y[D, N] = scatter-add %0 along N at %2 over [M]', '%5 = scatter-add: reduces over absent axis M'],
    ['%5:v complex[D] = argument input v re', '%5 = argument: part re of an argument is complex'],
    ['%5:v[D] = argument input v re\n%6:v complex[D] = argument input v', 'argument input v is read whole and by part'],
    ['%5:v[D] = argument input v re\n%6:v[N] = argument input v im', 'parts of argument input v have different axes'],
    ['result output y = %9', 'result output y uses %9, which is not defined before it'],
    ['result output y re = %0', 'result output y has parts re'],
    ['result output y = %0\nresult output y = %0', 'result output y has parts whole,whole'],
    ['result output y re = %0\nresult output y im = %1', 'parts of result output y have different types'],
  ])('%s', (lines, fault) => {
    expect(faultsOf(given + lines)).toContain(fault);
  });
});

describe('modules', () => {
  const { module } = scanModule();
  it.each<[string, Partial<TensorModule>, string]>([
    ['a run-time axis', { axes: [...module.axes, { name: 'time', size: 3 }] }, 'axis time is not for declaration'],
    ['an axis declared twice', { axes: [...module.axes, { name: 'D', size: 3 }] }, 'axis D is declared twice'],
    ['an empty axis', { axes: [...module.axes, { name: 'E', size: 0 }] }, 'axis E has size 0'],
    ['two functions of a name', { functions: [...module.functions, ...module.functions] }, 'function forward is defined twice'],
  ])('%s', (_, spoilt, fault) => {
    expect(verifyModule({ ...module, ...spoilt })).toContain(fault);
  });
  it('assertModule names the pass and the fault', () => {
    expect(() => assertModule(module, 'fuse-scan')).not.toThrow();
    const axes = [...module.axes, { name: 'E', size: 0 }];
    expect(() => assertModule({ ...module, axes }, 'fuse-scan')).toThrow(/Selective is wrong after fuse-scan:\n {2}axis E has size 0/);
  });
});

/** Faults of the sample scan after a change of the operation alone, without its head. */
function scanFaults(change: (op: AffineScanOp) => AffineScanOp): readonly string[] {
  const { module } = scanModule({ interval: 4 });
  const [body] = module.functions;
  const instructions = body!.instructions.map((each): TensorInstruction => (each.op.kind === 'affine-scan' ? { ...each, op: change(each.op) } : each));
  return verifyFunction(module, { ...body!, instructions }).map((fault) => fault.replace(/^%[0-9]+ = affine-scan: /, ''));
}

const retyped = (values: readonly TensorValue[], axes: readonly string[], dtype: TensorDtype = 'real'): TensorValue[] => values.map((value) => ({ ...value, type: { dtype, axes } }));
const withRegion = (op: AffineScanOp, inner: TensorOp, axes: readonly string[]): AffineScanOp =>
  ({ ...op, region: [...op.region, { op: inner, results: [{ id: 90 as ValueId, name: 'new', type: { dtype: 'real', axes } }] }] });

describe('scans', () => {
  const full = ['batch', 'time', 'D', 'N'];
  const outer = 4 as ValueId;

  it('leaves the sample alone', () => expect(scanFaults((op) => op)).toEqual([]));

  it.each<[string, (op: AffineScanOp) => AffineScanOp, string]>([
    ['a region that uses an outer value', (op) => withRegion(op, { kind: 'unary', function: 'exp', operand: outer }, ['batch', 'time', 'D']), '%90 = unary uses %4, which is not defined in its scope'],
    ['a region with a contraction', (op) => withRegion(op, { kind: 'contract', left: op.drive[0]!, right: op.drive[0]!, over: ['D'] }, ['batch', 'time']), 'region contains contract'],
    ['a region that delays', (op) => withRegion(op, { kind: 'delay', operand: op.drive[0]!, steps: 1, tail: null }, ['batch', 'time', 'D']), 'region contains delay'],
    ['a sum over tokens inside', (op) => withRegion(op, { kind: 'reduce', function: 'sum', over: ['time'], operand: op.drive[0]! }, ['batch', 'D']), 'region reduces over batch or time'],
    ['a parameter of another type', (op) => ({ ...op, parameters: [...retyped(op.parameters.slice(0, 1), full), ...op.parameters.slice(1)] }), 'parameter %5 is [batch, time, D, N], its operand %4 is [batch, time, D]'],
    ['an operand too few', (op) => ({ ...op, operands: op.operands.slice(1) }), 'has 3 operands for 4 parameters'],
    ['a state without time', (op) => ({ ...op, current: retyped(op.current, ['batch', 'D', 'N']) }), '%10 of the state is [batch, D, N], not [batch, time, D, N]'],
    ['an undeclared state axis', (op) => ({ ...op, axes: ['D', 'Q'] }), 'state has undeclared axis Q'],
    ['state axes out of order', (op) => ({ ...op, axes: ['N', 'D'] }), 'state axes [N, D] are not in canonical order'],
    ['a coefficient with a foreign axis', (op) => ({ ...op, axes: ['D'] }), 'state exponent %11 has axes [batch, time, D, N], not among [batch, time, D]'],
    ['a coefficient that reads the state', (op) => ({ ...op, coefficient: { kind: 'exponent', exponent: 13 as ValueId } }), "the state's coefficient, drive or release %13 depends on a state"],
    ['a drive that reads the state', (op) => ({ ...op, drive: [op.previous[0]!.id] }), "the state's coefficient, drive or release %9 depends on a state"],
    ['two drives for a real state', (op) => ({ ...op, drive: [op.drive[0]!, op.drive[0]!] }), 'state drive has 2 parts'],
    ['no coefficient part', (op) => ({ ...op, coefficient: { kind: 'value', parts: [] } }), 'state coefficient has 0 parts'],
    ['a release before the decay', (op) => ({ ...op, release: op.drive }), 'release of a decay-then-add scan'],
    ['an initial state with time', (op) => ({ ...op, initial: [outer] }), 'initial %4 has axes [batch, time, D], not among [batch, D, N]'],
    ['a yield of nothing', (op) => ({ ...op, yields: [{ value: 99 as ValueId, sumOver: [] }, op.yields[1]!] }), 'yield 0 uses %99, which is not defined before it'],
    ['a yield summed over an absent axis', (op) => ({ ...op, yields: [{ ...op.yields[0]!, sumOver: ['N'] }, op.yields[1]!] }), 'yield 0 sums over absent axis N'],
    ['a result too many', (op) => ({ ...op, emitsFinal: false }), '%16 = affine-scan has 4 results, it makes 3'],
    ['results of another type', (op) => ({ ...op, checkpointInterval: 8 }), '%19 is declared [batch, checkpoint4, D, N], affine-scan makes [batch, checkpoint8, D, N]'],
    ['an interval of 0', (op) => ({ ...op, checkpointInterval: 0 }), 'checkpoint interval is 0'],
  ])('%s', (_, change, fault) => {
    expect(scanFaults(change)).toContain(fault);
  });

  const withHistory = (change: (history: NonNullable<AffineScanOp['history']>) => NonNullable<AffineScanOp['history']>) => (op: AffineScanOp): AffineScanOp => {
    const state = (id: number): TensorValue => ({ id: id as ValueId, name: 'h', type: { dtype: 'real', axes: full } });
    const history = { order: 'forward', coefficient: op.coefficient, drive: op.drive, initial: null, checkpoints: [], interval: 4, previous: [state(80)], current: [state(81)] } as const;
    return { ...op, history: change(history) };
  };

  it('leaves a history alone', () => expect(scanFaults(withHistory((history) => history))).toEqual([]));

  it.each<[string, Parameters<typeof withHistory>[0], string]>([
    ['checkpoints of another type', (history) => ({ ...history, checkpoints: [3 as ValueId] }), 'checkpoints %3 are [batch, D, N], not [batch, checkpoint4, D, N]'],
    ['a drive that reads the replayed state', (history) => ({ ...history, drive: [80 as ValueId] }), "the history's coefficient, drive or release %80 depends on a state"],
    ['a broken interval', (history) => ({ ...history, interval: 0.5 }), 'history interval is 0.5'],
    ['a state id used twice', (history) => ({ ...history, current: history.previous }), '%80 is defined twice'],
    ['an initial state of two parts', (history) => ({ ...history, initial: [3 as ValueId, 3 as ValueId] }), 'history initial has 2 parts'],
  ])('%s', (_, change, fault) => {
    expect(scanFaults(withHistory(change))).toContain(fault);
  });

  it('region values are unknown outside', () => {
    const { module, op } = scanModule();
    const [body] = module.functions;
    const leaked: FunctionResult = { role: 'output', subject: 'leak', part: 'whole', value: op.drive[0]! };
    expect(verifyFunction(module, { ...body!, results: [...body!.results, leaked] })).toEqual([`result output leak uses %${op.drive[0]}, which is not defined in its scope`]);
  });
});
