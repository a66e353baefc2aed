/**
 * Tensor IR as text (`.tir`), for readers, golden files and dumps; `parse` reads it back to an equal
 * module. One instruction a line, `%id:name[axes] = …`; a dtype stands before the axes unless real.
 * A scan prints its region indented, with the clauses of the recurrence around it.
 */
import { printConvolution } from './print-convolution.ts';
import type {
  AffineScanOp, Coefficient, FunctionResult, TensorFunction, TensorInstruction, TensorModule, TensorOp, TensorValue, ValueId,
} from './ops.ts';

/** A name as it is where it is plain, else quoted. */
export function printName(name: string): string {
  return /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name) ? name : JSON.stringify(name);
}

/** The shortest digits that read back to the same float64. */
function printNumber(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

function printAxes(axes: readonly string[]): string {
  return `[${axes.map(printName).join(', ')}]`;
}

function printIds(ids: readonly ValueId[]): string {
  return ids.map((id) => `%${id}`).join(', ');
}

/** `%12:dt[batch, time, D]`, `%13:z complex[D]`. */
function printValue({ id, name, type }: TensorValue): string {
  return `%${id}:${printName(name)}${type.dtype === 'real' ? '' : ` ${type.dtype}`}${printAxes(type.axes)}`;
}

/** What stands right of `=`, the region of a scan aside. */
function printOperation(op: Exclude<TensorOp, AffineScanOp>): string {
  switch (op.kind) {
    case 'argument':
      return `argument ${op.role} ${printName(op.subject)}${op.part === 'whole' ? '' : ` ${op.part}`}`;
    case 'constant':
      return `constant ${printNumber(op.value)}`;
    case 'length':
      return 'length';
    case 'iota':
      return `iota ${printName(op.axis)}`;
    case 'unary':
      return `${op.function} %${op.operand}`;
    case 'binary':
      return `${op.function} ${printIds([op.left, op.right])}`;
    case 'select':
      return `select ${printIds([op.condition, op.whenTrue, op.whenFalse])}`;
    case 'complex':
      return `complex ${printIds([op.re, op.im])}`;
    case 'part':
      return `part ${op.part} %${op.operand}`;
    case 'analytic':
      return `analytic ${op.function} ${printIds([op.re, op.im])}`;
    case 'broadcast':
      return `broadcast %${op.operand} to ${printAxes(op.axes)}`;
    case 'rename':
      return `rename %${op.operand} from ${printName(op.from)} to ${printName(op.to)}`;
    case 'reduce':
      return `reduce ${op.function} ${printAxes(op.over)} %${op.operand}`;
    case 'contract':
      return `contract ${printIds([op.left, op.right])} over ${printAxes(op.over)}`;
    case 'delay':
      return `delay %${op.operand} by ${printNumber(op.steps)}${op.tail === null ? '' : ` tail %${op.tail.value} along ${printName(op.tail.axis)}`}`;
    case 'slide':
      return `slide %${op.operand} from ${printName(op.from)} to ${printName(op.to)} by ${printNumber(op.steps)} lengths ${printNumber(op.lengths)}`;
    case 'last':
      return `last %${op.operand}`;
    case 'at-last':
      return `at-last %${op.operand}`;
    case 'gather':
      return `gather %${op.table} along ${printName(op.axis)} at %${op.index}`;
    case 'scatter-add':
      return `scatter-add %${op.values} along ${printName(op.axis)} at %${op.index} over ${printAxes(op.over)}`;
    case 'impulse-response':
    case 'power-moment':
    case 'power':
    case 'convolve':
    case 'correlate':
      return printConvolution(op, printAxes);
    default:
      return op satisfies never;
  }
}

function clause(word: string, rest: string): string {
  return rest === '' ? word : `${word} ${rest}`;
}

function printCoefficient(coefficient: Coefficient): string {
  if (coefficient.kind === 'exponent') return `coefficient exponent %${coefficient.exponent}`;
  return clause('coefficient value', printIds(coefficient.parts));
}

function printStates(prefix: string, op: Pick<AffineScanOp, 'previous' | 'current' | 'initial'>): readonly string[] {
  return [
    ...op.previous.map((value) => `${prefix}previous ${printValue(value)}`),
    ...op.current.map((value) => `${prefix}current ${printValue(value)}`),
    ...(op.initial === null ? [] : [clause(`${prefix}initial`, printIds(op.initial))]),
  ];
}

function printParameters({ operands, parameters }: AffineScanOp): readonly string[] {
  const bound = parameters.map((value, at) => {
    const operand = operands[at];
    return `parameter ${printValue(value)}${operand === undefined ? '' : ` = %${operand}`}`;
  });
  return [...bound, ...operands.slice(parameters.length).map((id) => `operand %${id}`)];
}

/** Lines between a scan's braces: names, region, recurrence, what leaves. */
function printScanBody(op: AffineScanOp): readonly string[] {
  const { history } = op;
  const before = history === null ? [] : [
    `history ${history.order} every ${history.interval}`,
    ...printStates('history ', history),
    clause('history checkpoints', printIds(history.checkpoints)),
  ];
  const replay = history === null ? [] : [
    `history ${printCoefficient(history.coefficient)}`,
    clause('history drive', printIds(history.drive)),
  ];
  return [
    ...printParameters(op),
    ...printStates('', op),
    ...before,
    ...op.region.flatMap(printInstruction),
    ...replay,
    printCoefficient(op.coefficient),
    clause('drive', printIds(op.drive)),
    ...(op.release === null ? [] : [clause('release', printIds(op.release))]),
    ...op.yields.map(({ value, sumOver }) => `yield %${value}${sumOver.length === 0 ? '' : ` sum ${printAxes(sumOver)}`}`),
    ...(op.emitsFinal ? ['final'] : []),
    ...(op.checkpointInterval === null ? [] : [`checkpoint every ${op.checkpointInterval}`]),
  ];
}

function indent(lines: readonly string[]): readonly string[] {
  return lines.map((line) => `  ${line}`);
}

function printInstruction({ op, results }: TensorInstruction): readonly string[] {
  const left = results.length === 0 ? '' : `${results.map(printValue).join(', ')} `;
  if (op.kind !== 'affine-scan') return [`${left}= ${printOperation(op)}`];
  const head = `affine-scan ${printName(op.state)}${printAxes(op.axes)} ${op.order} ${op.form} {`;
  return [`${left}= ${head}`, ...indent(printScanBody(op)), '}'];
}

function printResult({ role, subject, part, value }: FunctionResult): string {
  return `result ${role} ${printName(subject)}${part === 'whole' ? '' : ` ${part}`} = %${value}`;
}

function printBody(body: TensorFunction): readonly string[] {
  const lines = [...body.instructions.flatMap(printInstruction), ...body.results.map(printResult)];
  return [`function ${printName(body.name)} {`, ...indent(lines), '}'];
}

/** One function, as it stands in its module's text. */
export function printFunction(body: TensorFunction): string {
  return `${printBody(body).join('\n')}\n`;
}

/** A whole module; the same module gives the same text. */
export function printModule(module: TensorModule): string {
  const axes = module.axes.map(({ name, size }) => `axis ${printName(name)} = ${printNumber(size)}`);
  const functions = module.functions.flatMap((body) => ['', ...indent(printBody(body)).map((line) => line.trimEnd())]);
  return `${[`module ${printName(module.name)} {`, ...indent(axes), ...functions, '}'].join('\n')}\n`;
}
