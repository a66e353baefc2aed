/**
 * A kernel without what cannot matter: code whose values nothing reads, run-time sizes that nothing
 * uses, integers that are the same for every invocation of a workgroup, and sums that are still zero. Two kernels with the same
 * canonical text compute the same; a mutant like that is none.
 */
import { literal } from '../../ir/kernel/builder.ts';
import type { Builtin, Kernel, KernelExpression, KernelStatement, VariableId } from '../../ir/kernel/nodes.ts';
import { eliminateDead } from '../../ir/kernel/passes/eliminate-dead.ts';
import { rewriteBody, withBody } from '../../ir/kernel/passes/rewrite.ts';
import { printKernel } from '../../ir/kernel/print.ts';
import { expressionsOf, mapBodies, mapExpressions, mapOperands, operandsOf, rewriteExpression, visitExpressions, visitStatements } from '../../ir/kernel/walk.ts';

/** Values of an integer or flag by invocation. */
type Table = readonly number[];

const wholeNumbers: Readonly<Record<string, (left: number, right: number) => number>> = {
  'add': (left, right) => left + right, 'subtract': (left, right) => left - right, 'multiply': (left, right) => left * right,
  'divide': (left, right) => Math.trunc(left / right), 'remainder': (left, right) => left % right,
  'minimum': Math.min, 'maximum': Math.max, 'bit-and': (left, right) => left & right,
  'shift-left': (left, right) => left << right, 'shift-right': (left, right) => left >> right,
  'less': (left, right) => Number(left < right), 'less-equal': (left, right) => Number(left <= right),
  'equal': (left, right) => Number(left === right), 'not-equal': (left, right) => Number(left !== right),
  'and': Math.min, 'or': Math.max,
};

/** A loop of one iteration. */
function isOnce({ start, end, step }: Extract<KernelStatement, { readonly kind: 'for' }>): boolean {
  return start.kind === 'literal' && end.kind === 'literal' && start.value + step >= end.value;
}

/** Values by invocation of integer expressions that depend on nothing else. */
export class Tables {
  readonly #size: number;
  readonly #kernel: Kernel;
  readonly #variables = new Map<VariableId, Table>();
  readonly #known = new Map<KernelExpression, Table | null>();

  constructor(kernel: Kernel) {
    this.#size = kernel.workgroupSize;
    this.#kernel = kernel;
    visitStatements(kernel.body, (statement) => {
      if (statement.kind !== 'let' && !(statement.kind === 'for' && isOnce(statement))) return;
      const table = this.of(statement.kind === 'let' ? statement.value : statement.start);
      if (table !== null) this.#variables.set(statement.variable.id, table);
    });
  }

  /** The values of an expression of numbers and the invocation alone, or null. */
  of(expression: KernelExpression): Table | null {
    const known = this.#known.get(expression);
    if (known !== undefined) return known;
    const made = this.#make(expression);
    this.#known.set(expression, made);
    return made;
  }

  #make(expression: KernelExpression): Table | null {
    const { type } = expression;
    if (type.width !== 1 || (type.element !== 'i32' && type.element !== 'bool')) return null;
    const each = (value: (invocation: number) => number): Table => Array.from({ length: this.#size }, (_, invocation) => value(invocation));
    if (expression.kind === 'literal') return each(() => expression.value);
    if (expression.kind === 'uniform') return typeof expression.uniform.value === 'number' ? each(() => Number(expression.uniform.value)) : null;
    if (expression.kind === 'builtin') return this.#ofBuiltin(expression.builtin, each);
    if (expression.kind === 'variable') return this.#variables.get(expression.variable.id) ?? null;
    if (expression.kind !== 'binary') return null;
    const [left, right, apply] = [this.of(expression.left), this.of(expression.right), wholeNumbers[expression.operator]];
    if (left === null || right === null || apply === undefined) return null;
    return each((invocation) => apply(left[invocation] ?? 0, right[invocation] ?? 0));
  }

  /** Where a grid is one workgroup long, its number there is zero. */
  #ofBuiltin(builtin: Builtin, each: (value: (invocation: number) => number) => Table): Table | null {
    if (builtin === 'invocation') return each((invocation) => invocation);
    const axis = ['workgroup-x', 'workgroup-y', 'workgroup-z'].indexOf(builtin);
    return this.#kernel.grid[axis] === 1 ? each(() => 0) : null;
  }
}

/** Branches that are always or never taken, loops that never run. */
function foldFlow(statement: KernelStatement): readonly KernelStatement[] {
  if (statement.kind === 'if' && statement.condition.kind === 'literal') return statement.condition.value === 0 ? statement.whenFalse : statement.whenTrue;
  if (statement.kind === 'for' && statement.start.kind === 'literal' && statement.end.kind === 'literal' && statement.start.value >= statement.end.value) return [];
  return [statement];
}

/** A number that stands for a table in the canonical text; below all numbers that kernels count with. */
function fingerprint(table: Table): number {
  return table.reduce((sum, value) => (Math.imul(sum, 31) + value) | 0, 17) - 2 ** 40;
}

/** Integers that only depend on the invocation become numbers. */
function foldInvocations(kernel: Kernel): Kernel {
  const tables = new Tables(kernel);
  const fold = (node: KernelExpression): KernelExpression => {
    const table = operandsOf(node).length === 0 && node.kind !== 'uniform' ? null : tables.of(node);
    const [first] = table ?? [];
    if (table === null || first === undefined) return mapOperands(node, fold);
    return literal(table.every((value) => value === first) ? first : fingerprint(table), node.type);
  };
  return withBody(kernel, rewriteBody(kernel.body, (statement) => foldFlow(mapExpressions(statement, fold))));
}

/** Variables and arrays that something else than their own next value depends on. */
function readIds(kernel: Kernel): ReadonlySet<number> {
  const read = new Set<number>();
  visitStatements(kernel.body, (statement) => {
    const own = statement.kind === 'assign' ? statement.variable.id : -1;
    const collect = (expression: KernelExpression): void => {
      if (expression.kind === 'variable' && expression.variable.id !== own) read.add(expression.variable.id);
      if (expression.kind === 'element') read.add(expression.array.id);
      operandsOf(expression).forEach(collect);
    };
    expressionsOf(statement).forEach(collect);
  });
  return read;
}

function isUnread(statement: KernelStatement, read: ReadonlySet<number>): boolean {
  if (statement.kind === 'let' || statement.kind === 'var' || statement.kind === 'assign') return !read.has(statement.variable.id);
  return (statement.kind === 'array' || statement.kind === 'set-element') && !read.has(statement.array.id);
}

function removeUnread(kernel: Kernel): Kernel {
  for (let current = eliminateDead(kernel); ;) {
    const read = readIds(current);
    const next = eliminateDead(withBody(current, rewriteBody(current.body, (statement) => (isUnread(statement, read) ? [] : [statement]))));
    if (next === current) return current;
    current = next;
  }
}

type Known = ReadonlyMap<VariableId, KernelExpression>;

/** Variables that statements change, nested ones included. */
function assignedIn(body: readonly KernelStatement[]): ReadonlySet<VariableId> {
  const found = new Set<VariableId>();
  visitStatements(body, (statement) => {
    if (statement.kind === 'assign') found.add(statement.variable.id);
  });
  return found;
}

const isZero = (expression: KernelExpression): boolean => expression.kind === 'literal' && expression.value === 0;

/** A sum with zero, but for the sign of a zero result. */
function foldZero(node: KernelExpression): KernelExpression {
  if (node.kind !== 'binary' || (node.operator !== 'add' && node.operator !== 'subtract')) return node;
  if (isZero(node.right)) return node.left;
  return node.operator === 'add' && isZero(node.left) ? node.right : node;
}

/** Variables that nothing has changed yet are their first value: the first term of a sum is the sum. */
function foldInitial(body: readonly KernelStatement[], outer: Known): readonly KernelStatement[] {
  const known = new Map(outer);
  const fold = (expression: KernelExpression): KernelExpression =>
    rewriteExpression(expression, (node) => foldZero((node.kind === 'variable' ? known.get(node.variable.id) : undefined) ?? node));
  return body.map((statement) => {
    const assigned = assignedIn([statement]);
    if (statement.kind === 'for') for (const id of assigned) known.delete(id);
    const made = mapBodies(mapExpressions(statement, fold), (inner) => foldInitial(inner, known));
    for (const id of assigned) known.delete(id);
    if (made.kind === 'var' && made.value.kind === 'literal') known.set(made.variable.id, made.value);
    return made;
  });
}

/** Text of what matters of a kernel. */
export function canonicalText(kernel: Kernel): string {
  const folded = removeUnread(foldInvocations(withBody(kernel, foldInitial(kernel.body, new Map()))));
  const used = new Set<number>();
  visitExpressions(folded.body, (each) => {
    if (each.kind === 'uniform') used.add(each.uniform.id);
  });
  return printKernel({ ...folded, uniforms: folded.uniforms.filter((each) => used.has(each.id)) });
}
