/**
 * The type of every Tensor IR operation, re-derived from its operands' types: the rules that the
 * builder applies, written a second time and total over the kinds, with a reason for each refusal.
 * Broadcasting is by name: the axes of a result are the union in canonical order.
 */
import { axisRank, unionAxes, type AxisTable } from './builder.ts';
import { typesOfConvolution } from './convolution.ts';
import { checkpointIntervalOf } from './ops.ts';
import type { AffineScanOp, BinaryFunction, ConvolutionOp, DelayTail, TensorDtype, TensorOp, TensorType, UnaryFunction, ValueId } from './ops.ts';

/** What a rule may ask: operand types and the axis table. */
export type TypeScope = {
  readonly axes: AxisTable;
  readonly typeOf: (id: ValueId) => TensorType;
};

/** The types of the results, or what is wrong. */
export type Derived = readonly TensorType[] | string;

type OpOf<Kind extends TensorOp['kind']> = Extract<TensorOp, { kind: Kind }>;
type PlainKind = Exclude<TensorOp['kind'], 'affine-scan'>;
type RuleTable = { readonly [Kind in PlainKind]: (op: OpOf<Kind>, scope: TypeScope) => Derived };

const complexUnary: ReadonlySet<UnaryFunction> = new Set(['negate', 'exp', 'phi1']);
const complexBinary: ReadonlySet<BinaryFunction> = new Set(['add', 'subtract', 'multiply', 'divide']);
const comparisons: ReadonlySet<BinaryFunction> = new Set(['less', 'less-equal', 'equal', 'not-equal']);

/** True for axes that every module has: batch, time and checkpoint axes. */
export function isRunTimeAxis(axis: string): boolean {
  return axis === 'batch' || axis === 'time' || checkpointIntervalOf(axis) !== null;
}

/** True for axes that tensors of this module may have. */
export function isKnownAxis(table: AxisTable, axis: string): boolean {
  return isRunTimeAxis(axis) || table.some((each) => each.name === axis);
}

/** What is wrong with a list of axes as a type's axes, or null. */
export function axesFault(table: AxisTable, axes: readonly string[]): string | null {
  for (const [at, axis] of axes.entries()) {
    if (!isKnownAxis(table, axis)) return `unknown axis ${axis}`;
    const before = axes[at - 1];
    if (before === undefined) continue;
    if (axes.indexOf(axis) < at) return `axis ${axis} twice`;
    if (axisRank(table, before) >= axisRank(table, axis)) return `axes [${axes.join(', ')}] out of canonical order`;
  }
  return null;
}

function typed(dtype: TensorDtype, axes: readonly string[]): readonly TensorType[] {
  return [{ dtype, axes }];
}

function union(scope: TypeScope, ...types: readonly TensorType[]): readonly string[] {
  return unionAxes(scope.axes, ...types.map((type) => type.axes));
}

function withoutAxes(axes: readonly string[], removed: readonly string[]): readonly string[] {
  return axes.filter((axis) => !removed.includes(axis));
}

/** The reason why `over` cannot be summed out of these axes, or null. */
function overFault(axes: readonly string[], over: readonly string[]): string | null {
  if (new Set(over).size !== over.length) return `reduces over an axis twice: [${over.join(', ')}]`;
  const absent = over.find((axis) => !axes.includes(axis));
  return absent === undefined ? null : `reduces over absent axis ${absent}`;
}

function unaryRule(op: OpOf<'unary'>, { typeOf }: TypeScope): Derived {
  const { dtype, axes } = typeOf(op.operand);
  if (op.function === 'to-real') return dtype === 'complex' ? 'to-real of a complex value' : typed('real', axes);
  if (op.function === 'not') return dtype === 'flag' ? typed('flag', axes) : `not of a ${dtype} value`;
  if (dtype === 'real' || (dtype === 'complex' && complexUnary.has(op.function))) return typed(dtype, axes);
  return `${op.function} of a ${dtype} value`;
}

function binaryRule(op: OpOf<'binary'>, scope: TypeScope): Derived {
  const [left, right] = [scope.typeOf(op.left), scope.typeOf(op.right)];
  const dtypes: readonly TensorDtype[] = [left.dtype, right.dtype];
  const axes = union(scope, left, right);
  const fault = `${op.function} of ${left.dtype} and ${right.dtype} values`;
  if (op.function === 'and' || op.function === 'or') {
    return dtypes.every((each) => each === 'flag') ? typed('flag', axes) : fault;
  }
  if (comparisons.has(op.function)) {
    return dtypes.every((each) => each === 'real' || each === 'index') ? typed('flag', axes) : fault;
  }
  if (dtypes.some((each) => each === 'flag' || each === 'index')) return fault;
  if (!dtypes.includes('complex')) return typed('real', axes);
  return complexBinary.has(op.function) ? typed('complex', axes) : fault;
}

function selectRule(op: OpOf<'select'>, scope: TypeScope): Derived {
  const condition = scope.typeOf(op.condition);
  const [whenTrue, whenFalse] = [scope.typeOf(op.whenTrue), scope.typeOf(op.whenFalse)];
  if (condition.dtype !== 'flag') return `select by a ${condition.dtype} value`;
  const isNumber = (dtype: TensorDtype): boolean => dtype === 'real' || dtype === 'complex';
  const axes = union(scope, condition, whenTrue, whenFalse);
  if (whenTrue.dtype === whenFalse.dtype) return typed(whenTrue.dtype, axes);
  if (isNumber(whenTrue.dtype) && isNumber(whenFalse.dtype)) return typed('complex', axes);
  return `select between ${whenTrue.dtype} and ${whenFalse.dtype} values`;
}

function realPair(op: OpOf<'complex' | 'analytic'>, scope: TypeScope): readonly string[] | string {
  const [re, im] = [scope.typeOf(op.re), scope.typeOf(op.im)];
  if (re.dtype !== 'real' || im.dtype !== 'real') return `${op.kind} of ${re.dtype} and ${im.dtype} values`;
  return union(scope, re, im);
}

function broadcastRule(op: OpOf<'broadcast'>, { axes, typeOf }: TypeScope): Derived {
  const operand = typeOf(op.operand);
  const fault = axesFault(axes, op.axes);
  if (fault !== null) return fault;
  const lost = operand.axes.find((axis) => !op.axes.includes(axis));
  return lost === undefined ? typed(operand.dtype, op.axes) : `broadcast loses axis ${lost}`;
}

function renameRule(op: OpOf<'rename'>, { axes, typeOf }: TypeScope): Derived {
  const operand = typeOf(op.operand);
  const sizeOf = (axis: string): number | null => axes.find((each) => each.name === axis)?.size ?? null;
  if (sizeOf(op.from) === null || sizeOf(op.to) === null) {
    return `renames ${op.from} to ${op.to}, which are not both declared`;
  }
  if (sizeOf(op.from) !== sizeOf(op.to)) return `renames ${op.from} to ${op.to} of another size`;
  if (!operand.axes.includes(op.from)) return `renames absent axis ${op.from}`;
  if (operand.axes.includes(op.to)) return `renames ${op.from} to ${op.to}, which the operand has already`;
  return typed(operand.dtype, unionAxes(axes, operand.axes.map((axis) => (axis === op.from ? op.to : axis))));
}

function reduceRule(op: OpOf<'reduce'>, { typeOf }: TypeScope): Derived {
  const operand = typeOf(op.operand);
  const fault = op.over.length === 0 ? 'reduces over nothing' : overFault(operand.axes, op.over);
  if (fault !== null) return fault;
  const isLegal = operand.dtype === 'real' || (operand.dtype === 'complex' && op.function === 'sum');
  if (!isLegal) return `reduces a ${operand.dtype} value by ${op.function}`;
  return typed(operand.dtype, withoutAxes(operand.axes, op.over));
}

function contractRule(op: OpOf<'contract'>, scope: TypeScope): Derived {
  const [left, right] = [scope.typeOf(op.left), scope.typeOf(op.right)];
  if (left.dtype !== 'real' || right.dtype !== 'real') return `contracts ${left.dtype} and ${right.dtype} values`;
  const axes = union(scope, left, right);
  return overFault(axes, op.over) ?? typed('real', withoutAxes(axes, op.over));
}

function delayRule(op: OpOf<'delay'>, scope: TypeScope): Derived {
  const operand = scope.typeOf(op.operand);
  if (!Number.isInteger(op.steps)) return `delays by ${op.steps} tokens`;
  if (!operand.axes.includes('time')) return 'delays a value that does not vary with time';
  return (op.tail === null ? null : tailFault(op.tail, { steps: op.steps, operand, scope })) ?? [operand];
}

function tailFault(
  tail: DelayTail, { steps, operand, scope }: { steps: number; operand: TensorType; scope: TypeScope },
): string | null {
  const size = scope.axes.find((each) => each.name === tail.axis)?.size ?? null;
  if (size === null) return `has a tail along undeclared axis ${tail.axis}`;
  if (steps < 1 || steps > size) return `delays by ${steps} tokens with a tail of ${size}`;
  const { dtype, axes } = scope.typeOf(tail.value);
  const wanted = unionAxes(scope.axes, withoutAxes(operand.axes, ['time']), [tail.axis]);
  if (dtype === operand.dtype && axes.join() === wanted.join()) return null;
  return `has a ${dtype} tail over [${axes.join(', ')}], not a ${operand.dtype} one over [${wanted.join(', ')}]`;
}

function slideRule(op: OpOf<'slide'>, { axes, typeOf }: TypeScope): Derived {
  const { dtype, axes: present } = typeOf(op.operand);
  const isPlace = (axis: string): boolean => axis === 'time' || axes.some((each) => each.name === axis);
  if (!Number.isInteger(op.steps) || !Number.isInteger(op.lengths)) return `slides by ${op.steps} and ${op.lengths} lengths`;
  if (!isPlace(op.from) || !isPlace(op.to)) return `slides from ${op.from} to ${op.to}, which are not both time or declared`;
  if (!present.includes(op.from)) return `slides along absent axis ${op.from}`;
  if (op.to !== op.from && present.includes(op.to)) return `slides to ${op.to}, which the operand has already`;
  return typed(dtype, unionAxes(axes, withoutAxes(present, [op.from]), [op.to]));
}

function lastRule(op: OpOf<'last'>, { typeOf }: TypeScope): Derived {
  const { dtype, axes } = typeOf(op.operand);
  if (dtype === 'complex') return 'last of a complex value';
  if (!axes.includes('time')) return 'last of a value that does not vary with time';
  return typed(dtype, withoutAxes(axes, ['time']));
}

function atLastRule(op: OpOf<'at-last'>, { axes, typeOf }: TypeScope): Derived {
  const operand = typeOf(op.operand);
  if (operand.dtype !== 'real') return `at-last of a ${operand.dtype} value`;
  if (operand.axes.includes('time')) return 'at-last of a value that varies with time';
  return typed(operand.dtype, unionAxes(axes, operand.axes, ['time']));
}

function gatherRule(op: OpOf<'gather'>, { axes, typeOf }: TypeScope): Derived {
  const [table, index] = [typeOf(op.table), typeOf(op.index)];
  if (index.dtype !== 'index') return `gathers at a ${index.dtype} value`;
  if (table.dtype === 'complex') return 'gathers from a complex table';
  if (!table.axes.includes(op.axis)) return `gathers along absent axis ${op.axis}`;
  return typed(table.dtype, unionAxes(axes, withoutAxes(table.axes, [op.axis]), index.axes));
}

function scatterAddRule(op: OpOf<'scatter-add'>, scope: TypeScope): Derived {
  const [values, index] = [scope.typeOf(op.values), scope.typeOf(op.index)];
  if (index.dtype !== 'index') return `scatters to a ${index.dtype} value`;
  if (values.dtype !== 'real') return `scatters ${values.dtype} values`;
  if (!scope.axes.some((each) => each.name === op.axis)) return `scatters along undeclared axis ${op.axis}`;
  const axes = union(scope, values, index);
  const fault = overFault(axes, op.over);
  if (fault !== null) return fault;
  const kept = withoutAxes(axes, op.over);
  if (kept.includes(op.axis)) return `scatters along ${op.axis}, which stays`;
  return typed('real', unionAxes(scope.axes, kept, [op.axis]));
}

function convolutionRule(op: ConvolutionOp, scope: TypeScope): Derived {
  return typesOfConvolution(op, { union: (...lists) => unionAxes(scope.axes, ...lists), typeOf: scope.typeOf });
}

const rules: RuleTable = {
  'argument': () => 'the type of an argument is declared, not derived',
  'constant': () => typed('real', []),
  'length': () => typed('real', []),
  'iota': ({ axis }, { axes }) => (isKnownAxis(axes, axis) ? typed('real', [axis]) : `unknown axis ${axis}`),
  'unary': unaryRule,
  'binary': binaryRule,
  'select': selectRule,
  'complex': (op, scope) => {
    const axes = realPair(op, scope);
    return typeof axes === 'string' ? axes : typed('complex', axes);
  },
  'part': (op, { typeOf }) => {
    const { dtype, axes } = typeOf(op.operand);
    return dtype === 'complex' ? typed('real', axes) : `part of a ${dtype} value`;
  },
  'analytic': (op, scope) => {
    const axes = realPair(op, scope);
    return typeof axes === 'string' ? axes : [...typed('real', axes), ...typed('real', axes)];
  },
  'broadcast': broadcastRule,
  'rename': renameRule,
  'reduce': reduceRule,
  'contract': contractRule,
  'delay': delayRule,
  'slide': slideRule,
  'last': lastRule,
  'at-last': atLastRule,
  'gather': gatherRule,
  'scatter-add': scatterAddRule,
  'impulse-response': convolutionRule,
  'power-moment': convolutionRule,
  'power': convolutionRule,
  'convolve': convolutionRule,
  'correlate': convolutionRule,
};

/** The result types of an operation that is not a scan, argument types aside. */
export function deriveTypes(op: Exclude<TensorOp, AffineScanOp>, scope: TypeScope): Derived {
  const rule = rules[op.kind] as (op: TensorOp, scope: TypeScope) => Derived;
  return rule(op, scope);
}
