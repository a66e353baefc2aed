/**
 * The checker of Kernel IR. It derives types again and checks scopes, accesses, constant bounds and
 * uniform control flow, so that a bug of a schedule or of a pass stops where it was made and not in
 * a driver's compiler. It finds only what holds for every input; what depends on values is the
 * interpreter's part.
 */
import { InternalError } from '../../support/invariant.ts';
import { loadedType } from './builder.ts';
import {
  bool, sameType, withWidth, type Kernel, type KernelExpression, type KernelStatement, type Variable, type VariableId,
} from './nodes.ts';
import { printExpression, printKernel, printStatementHead } from './print.ts';
import { deriveType, formatType } from './types.ts';
import { analyseUniformity, type Uniformity } from './uniformity.ts';
import { bodiesOf, expressionsOf, operandsOf } from './walk.ts';

/** Limits that hold for every target; a target's own verifier is stricter. */
export type KernelLimits = { readonly sharedBytes: number; readonly statements: number };

/** What the most generous target takes, and enough statements for full unrolling. */
export const defaultLimits: KernelLimits = { sharedBytes: 49_152, statements: 20_000 };

const bytesOfElement = { f32: 4, f64: 8, i32: 4, u32: 4, bool: 4 } as const;

type Scope = {
  /** what a name may be used for */
  readonly variables: ReadonlyMap<VariableId, 'let' | 'var' | 'loop'>;
  readonly arrays: ReadonlySet<number>;
  readonly flow: 'uniform' | 'varying';
};

type Checker = {
  readonly kernel: Kernel;
  readonly uniformity: Uniformity;
  readonly problems: string[];
  readonly defined: Set<number>;
  readonly report: (problem: string, statement: KernelStatement | null) => void;
  count: number;
};

function isLength(length: number): boolean {
  return Number.isInteger(length) && length > 0;
}

function checkConstantIndex(index: KernelExpression, length: number, width: number): string | null {
  if (index.kind !== 'literal') return null;
  return index.value < 0 || index.value + width > length ? `index ${index.value} outside of length ${length}` : null;
}

type OfExpression<Kind extends KernelExpression['kind']> = Extract<KernelExpression, { readonly kind: Kind }>;
type OfStatement<Kind extends KernelStatement['kind']> = Extract<KernelStatement, { readonly kind: Kind }>;

type Expected = { readonly scope: Scope; readonly checker: Checker };

function checkLoad(expression: OfExpression<'load'>, { checker }: Expected): string | null {
  const { buffer, index, type, aligned } = expression;
  if (!checker.kernel.buffers.includes(buffer)) return `buffer ${buffer.name} is not the kernel's`;
  if (buffer.access === 'write') return `load from write-only buffer ${buffer.name}`;
  if (aligned && index.kind === 'literal' && index.value % type.width !== 0) return `index ${index.value} is not aligned`;
  return checkConstantIndex(index, typeof buffer.size === 'number' ? buffer.size : Infinity, type.width);
}

function checkShuffle({ mask }: OfExpression<'shuffle-xor'>, { scope, checker }: Expected): string | null {
  if (scope.flow === 'varying') return 'shuffle in varying control flow';
  if (![1, 2, 4, 8, 16].includes(mask)) return `shuffle mask ${mask}`;
  const { workgroupSize } = checker.kernel;
  return workgroupSize % (2 * mask) === 0 ? null : `shuffle mask ${mask} in a workgroup of ${workgroupSize}`;
}

/** What is wrong with this node itself, operands aside. */
function nodeProblem(expression: KernelExpression, expected: Expected): string | null {
  const { scope, checker } = expected;
  switch (expression.kind) {
    case 'variable':
      return scope.variables.has(expression.variable.id) ? null : `variable ${expression.variable.name} is not in scope`;
    case 'uniform':
      return checker.kernel.uniforms.includes(expression.uniform) ? null : `uniform ${expression.uniform.name} is not the kernel's`;
    case 'load':
      return checkLoad(expression, expected);
    case 'load-shared':
      if (!checker.kernel.shared.includes(expression.array)) return `shared array ${expression.array.name} is not the kernel's`;
      return checkConstantIndex(expression.index, expression.array.length, expression.type.width / expression.array.type.width);
    case 'element':
      if (!scope.arrays.has(expression.array.id)) return `array ${expression.array.name} is not in scope`;
      return checkConstantIndex(expression.index, expression.array.length, 1);
    case 'shuffle-xor':
      return checkShuffle(expression, expected);
    default:
      return null;
  }
}

function checkExpression(expression: KernelExpression, statement: KernelStatement, expected: Expected): void {
  for (const operand of operandsOf(expression)) checkExpression(operand, statement, expected);
  const { report } = expected.checker;
  const problem = nodeProblem(expression, expected);
  if (problem !== null) report(problem, statement);
  const derived = deriveType(expression);
  if (typeof derived === 'string') report(derived, statement);
  else if (!sameType(derived, expression.type)) {
    report(`${printExpression(expression)} has type ${formatType(derived)}, not ${formatType(expression.type)}`, statement);
  }
}

function define(variable: Variable, statement: KernelStatement, checker: Checker): void {
  if (checker.defined.has(variable.id)) checker.report(`variable ${variable.name} is defined twice`, statement);
  checker.defined.add(variable.id);
}

function readsMemoryOr(assigned: ReadonlySet<VariableId>, expression: KernelExpression): boolean {
  if (expression.kind === 'variable') return assigned.has(expression.variable.id);
  if (['load', 'load-shared', 'element', 'shuffle-xor'].includes(expression.kind)) return true;
  return operandsOf(expression).some((operand) => readsMemoryOr(assigned, operand));
}

function assignedIn(body: readonly KernelStatement[], into: Set<VariableId> = new Set()): Set<VariableId> {
  for (const statement of body) {
    if (statement.kind === 'assign') into.add(statement.variable.id);
    for (const inner of bodiesOf(statement)) assignedIn(inner, into);
  }
  return into;
}

/** Rules of loops: targets evaluate `end` before every iteration, so it must not change. */
function checkFor(statement: OfStatement<'for'>, { report }: Checker): void {
  const { variable, start, end, step, unroll } = statement;
  const isIndex = [variable.type, start.type, end.type].every((type) => type.element === 'i32' && type.width === 1);
  if (!isIndex) report('loop over something else than i32', statement);
  if (!Number.isInteger(step) || step <= 0) report(`loop step ${step}`, statement);
  if (unroll && (start.kind !== 'literal' || end.kind !== 'literal')) report('unrolled loop without constant bounds', statement);
  const assigned = assignedIn(statement.body);
  if (readsMemoryOr(assigned, end)) report('loop end reads memory or variables that the loop assigns', statement);
}

function checkStore(statement: OfStatement<'store'>, { kernel, report }: Checker): void {
  const { buffer, index, value, aligned } = statement;
  if (!kernel.buffers.includes(buffer)) report(`buffer ${buffer.name} is not the kernel's`, statement);
  if (buffer.access === 'read') report(`store to read-only buffer ${buffer.name}`, statement);
  const wanted = loadedType(buffer.storage).element;
  if (value.type.element !== wanted) report(`store of ${formatType(value.type)} to ${buffer.storage}`, statement);
  if (index.type.element !== 'i32' || index.type.width !== 1) report(`index of type ${formatType(index.type)}`, statement);
  const length = typeof buffer.size === 'number' ? buffer.size : Infinity;
  const problem = checkConstantIndex(index, length, value.type.width);
  if (problem !== null) report(problem, statement);
  const isSkewed = aligned && index.kind === 'literal' && index.value % value.type.width !== 0;
  if (isSkewed) report(`index ${index.value} is not aligned`, statement);
}

function checkElementStore(
  statement: OfStatement<'set-element' | 'store-shared'>, scope: Scope, { kernel, report }: Checker,
): void {
  const { array, index, value } = statement;
  const isKnown = statement.kind === 'set-element' ? scope.arrays.has(array.id) : kernel.shared.includes(statement.array);
  if (!isKnown) report(`array ${array.name} is not in scope`, statement);
  const neighbours = statement.kind === 'store-shared' && array.type.width === 1 ? value.type.width : 1;
  if (!sameType(withWidth(array.type, neighbours === 1 ? array.type.width : neighbours), value.type)) report(`${formatType(value.type)} into array of ${formatType(array.type)}`, statement);
  if (index.type.element !== 'i32' || index.type.width !== 1) report(`index of type ${formatType(index.type)}`, statement);
  const problem = checkConstantIndex(index, array.length, neighbours);
  if (problem !== null) report(problem, statement);
}

function checkBinding(statement: OfStatement<'let' | 'var' | 'assign'>, scope: Scope, checker: Checker): void {
  const { kind, variable, value } = statement;
  if (kind !== 'assign') define(variable, statement, checker);
  else if (scope.variables.get(variable.id) !== 'var') checker.report(`${variable.name} cannot be assigned`, statement);
  if (sameType(variable.type, value.type)) return;
  checker.report(`${formatType(value.type)} in a variable of ${formatType(variable.type)}`, statement);
}

function checkArray(statement: OfStatement<'array'>, { defined, report }: Checker): void {
  const { id, name, length } = statement.array;
  if (defined.has(id)) report(`array ${name} is defined twice`, statement);
  defined.add(id);
  if (!isLength(length)) report(`array of length ${length}`, statement);
}

/** Checks a statement apart from its operands and bodies. */
function checkStatement(statement: KernelStatement, scope: Scope, checker: Checker): void {
  const { report } = checker;
  switch (statement.kind) {
    case 'let':
    case 'var':
    case 'assign':
      return checkBinding(statement, scope, checker);
    case 'array':
      return checkArray(statement, checker);
    case 'set-element':
    case 'store-shared':
      return checkElementStore(statement, scope, checker);
    case 'store':
      return checkStore(statement, checker);
    case 'for':
      define(statement.variable, statement, checker);
      return checkFor(statement, checker);
    case 'if':
      if (!sameType(statement.condition.type, bool)) report(`condition of ${formatType(statement.condition.type)}`, statement);
      return;
    case 'barrier':
      if (scope.flow === 'varying') report('barrier in varying control flow', statement);
      return;
    case 'comment':
      checkText(statement.text, checker);
      return;
    default:
      statement satisfies never;
  }
}

function checkText(text: string, { report }: Checker): void {
  if (/[\u0000-\u001f\u007f\u2028\u2029]|\*\//.test(text)) report(`text ${JSON.stringify(text)} could end a comment`, null);
}

/** Scope inside of a nested body. */
function innerScope(statement: KernelStatement, scope: Scope, { uniformity }: Checker): Scope {
  if (statement.kind === 'for') {
    const isUniform = uniformity.isUniform(statement.start) && uniformity.isUniform(statement.end);
    const variables = new Map(scope.variables).set(statement.variable.id, 'loop');
    return { ...scope, variables, flow: isUniform ? scope.flow : 'varying' };
  }
  if (statement.kind === 'if' && !uniformity.isUniform(statement.condition)) return { ...scope, flow: 'varying' };
  return scope;
}

function checkBody(body: readonly KernelStatement[], outer: Scope, checker: Checker): void {
  const variables = new Map(outer.variables);
  const arrays = new Set(outer.arrays);
  const scope: Scope = { variables, arrays, flow: outer.flow };
  for (const statement of body) {
    checker.count += 1;
    for (const expression of expressionsOf(statement)) checkExpression(expression, statement, { scope, checker });
    checkStatement(statement, scope, checker);
    const inner = innerScope(statement, scope, checker);
    for (const nested of bodiesOf(statement)) checkBody(nested, inner, checker);
    if (statement.kind === 'let' || statement.kind === 'var') variables.set(statement.variable.id, statement.kind);
    if (statement.kind === 'array') arrays.add(statement.array.id);
  }
}

function checkHeader(kernel: Kernel, limits: KernelLimits, checker: Checker): void {
  const { report } = checker;
  const { workgroupSize } = kernel;
  if (!Number.isInteger(workgroupSize) || workgroupSize < 1 || workgroupSize > 1024) report(`workgroup of ${workgroupSize}`, null);
  const declared = [...kernel.uniforms, ...kernel.buffers, ...kernel.shared];
  for (const { id, name } of declared) {
    if (checker.defined.has(id)) report(`id ${id} of ${name} is used twice`, null);
    checker.defined.add(id);
  }
  if (new Set(kernel.buffers.map((each) => each.name)).size !== kernel.buffers.length) report('two buffers of one name', null);
  for (const { name, length } of kernel.shared) if (!isLength(length)) report(`shared array ${name} of length ${length}`, null);
  const bytes = kernel.shared.reduce((sum, { type, length }) => sum + bytesOfElement[type.element] * type.width * length, 0);
  if (bytes > limits.sharedBytes) report(`${bytes} bytes of shared memory, more than ${limits.sharedBytes}`, null);
  for (const note of kernel.notes) checkText(note, checker);
}

/** Everything that is wrong with the kernel, each with the statement; empty if it is fine. */
export function verifyKernel(kernel: Kernel, limits: KernelLimits = defaultLimits): readonly string[] {
  const problems: string[] = [];
  const checker: Checker = {
    kernel, problems, uniformity: analyseUniformity(kernel), defined: new Set(), count: 0,
    report: (problem, statement) => {
      problems.push(statement === null ? problem : `${problem} in: ${printStatementHead(statement)}`);
    },
  };
  checkHeader(kernel, limits, checker);
  checkBody(kernel.body, { variables: new Map(), arrays: new Set(), flow: 'uniform' }, checker);
  if (checker.count > limits.statements) problems.push(`${checker.count} statements, more than ${limits.statements}`);
  return problems;
}

/** Throws an InternalError with all problems and the printed kernel if the kernel is not well formed. */
export function assertKernel(kernel: Kernel, where: string, limits: KernelLimits = defaultLimits): void {
  const problems = verifyKernel(kernel, limits);
  if (problems.length === 0) return;
  const list = problems.join('\n  ');
  throw new InternalError(`${where}: kernel ${kernel.name} is not well formed:\n  ${list}\n${printKernel(kernel)}`);
}
