/**
 * Names pure expressions that occur more than once, so that index arithmetic and exponentials are
 * computed once where a target's compiler would not see it (WASM), and generated text stays short.
 * An expression is named before the statement of its first occurrence in a list, if that occurrence
 * is always evaluated there; later occurrences, in nested lists too, use the name. Expressions that
 * read memory or mutable variables are left alone, and so is an index plus a constant, which targets
 * add for nothing. Float operations are neither reordered nor changed.
 */
import { variable as variableOf } from '../builder.ts';
import type { ElementType, Kernel, KernelExpression, KernelStatement, Variable, VariableId } from '../nodes.ts';
import { printExpression } from '../print.ts';
import { formatType } from '../types.ts';
import { bodiesOf, expressionsOf, mapBodies, mapExpressions, mapOperands, operandsOf, rewriteExpression, sameList } from '../walk.ts';
import { freshIds, isTrivial, mutableVariables, withBody } from './rewrite.ts';

type Body = readonly KernelStatement[];

type Namer = {
  readonly fresh: () => number;
  readonly mutable: ReadonlySet<VariableId>;
  /** of nodes, which are looked at often */
  readonly facts: WeakMap<KernelExpression, Facts>;
  /** numbers of distinct expressions */
  readonly numbers: Map<string, number>;
  /** lets whose value is another name */
  readonly aliases: Map<VariableId, KernelExpression>;
};

type Facts = {
  /** reads neither memory nor mutable variables */
  readonly isFixed: boolean;
  /** worth a name: fixed, and more than an index plus a constant */
  readonly isCandidate: boolean;
  /** the same for fixed expressions that look alike; -1 for others */
  readonly key: number;
};

/** What a fixed expression is apart from its operands. */
function headOf(expression: KernelExpression): string {
  switch (expression.kind) {
    case 'literal': return printExpression(expression);
    case 'variable': return `%${expression.variable.id}`;
    case 'uniform': return `~${expression.uniform.id}`;
    case 'builtin': return expression.builtin;
    case 'unary':
    case 'binary': return expression.operator;
    case 'convert':
    case 'bitcast': return `${expression.kind} ${formatType(expression.type)}`;
    case 'splat': return `splat ${expression.type.width}`;
    case 'extract': return `extract ${expression.lane}`;
    default: return expression.kind;
  }
}

function isFixedNode(expression: KernelExpression, { mutable }: Namer): boolean {
  switch (expression.kind) {
    case 'variable':
      return !mutable.has(expression.variable.id);
    case 'load':
    case 'load-shared':
    case 'element':
    case 'shuffle-xor':
      return false;
    default:
      return true;
  }
}

/** An index plus a constant, which targets add for nothing. */
function isOffset(expression: KernelExpression): boolean {
  if (expression.kind !== 'binary' || expression.type.element !== 'i32') return false;
  const isSum = expression.operator === 'add' || expression.operator === 'subtract';
  return isSum && isTrivial(expression.left) && expression.right.kind === 'literal';
}

function factsOf(expression: KernelExpression, namer: Namer): Facts {
  const known = namer.facts.get(expression);
  if (known !== undefined) return known;
  const operands = operandsOf(expression).map((each) => factsOf(each, namer));
  const isFixed = isFixedNode(expression, namer) && operands.every((each) => each.isFixed);
  const isCandidate = isFixed && operands.length > 0 && !isOffset(expression);
  const key = isFixed ? numberOf([headOf(expression), ...operands.map((each) => each.key)].join(' '), namer) : -1;
  const facts: Facts = { isFixed, isCandidate, key };
  namer.facts.set(expression, facts);
  return facts;
}

function numberOf(text: string, { numbers }: Namer): number {
  const known = numbers.get(text) ?? numbers.size;
  numbers.set(text, known);
  return known;
}

/** Occurrences by key; operands of a repeated expression count once, since it will be named. */
function countIn(body: Body, namer: Namer, counts: Map<number, number> = new Map()): Map<number, number> {
  const count = (expression: KernelExpression): void => {
    const { isCandidate, key } = factsOf(expression, namer);
    if (isCandidate) {
      const before = counts.get(key) ?? 0;
      counts.set(key, before + 1);
      if (before > 0) return;
    }
    operandsOf(expression).forEach(count);
  };
  for (const statement of body) {
    expressionsOf(statement).forEach(count);
    for (const inner of bodiesOf(statement)) countIn(inner, namer, counts);
  }
  return counts;
}

const stems: Readonly<Record<ElementType, string>> = { i32: 'index', u32: 'index', bool: 'flag', f32: 'common', f64: 'common' };

function resolveAliases(expression: KernelExpression, { aliases }: Namer): KernelExpression {
  if (aliases.size === 0) return expression;
  return rewriteExpression(expression, (node) => (node.kind === 'variable' ? aliases.get(node.variable.id) ?? node : node));
}

function eliminateIn(body: Body, outer: ReadonlyMap<number, Variable>, namer: Namer): Body {
  const available = new Map(outer);
  const counts = countIn(body, namer);
  const made: KernelStatement[] = [];
  const replace = (expression: KernelExpression): KernelExpression => {
    const { isCandidate, key } = factsOf(expression, namer);
    if (!isCandidate) return mapOperands(expression, replace);
    const known = available.get(key);
    if (known !== undefined) return variableOf(known);
    const value = mapOperands(expression, replace);
    if ((counts.get(key) ?? 0) < 2) return value;
    const id = namer.fresh() as VariableId;
    const variable: Variable = { id, name: stems[expression.type.element], type: expression.type };
    available.set(key, variable);
    made.push({ kind: 'let', variable, value });
    return variableOf(variable);
  };
  for (const original of body) {
    const statement = mapExpressions(original, (each) => resolveAliases(each, namer));
    if (statement.kind === 'let') eliminateInLet(statement);
    else made.push(mapBodies(mapExpressions(statement, replace), (inner) => eliminateIn(inner, available, namer)));
  }
  /** A let gives its own name to its value instead of a new one. */
  function eliminateInLet(statement: Extract<KernelStatement, { readonly kind: 'let' }>): void {
    const { variable, value } = statement;
    const { isCandidate, key } = factsOf(value, namer);
    const known = isCandidate ? available.get(key) : undefined;
    if (known !== undefined) {
      namer.aliases.set(variable.id, variableOf(known));
      return;
    }
    made.push(mapExpressions(statement, (each) => mapOperands(each, replace)));
    if (isCandidate) available.set(key, variable);
  }
  return sameList(made, body) ? body : made;
}

/** Repeats until nothing is found: names make further expressions equal. */
export function eliminateCommon(kernel: Kernel): Kernel {
  const mutable = mutableVariables(kernel.body);
  const namer: Namer = { fresh: freshIds(kernel), mutable, facts: new WeakMap(), numbers: new Map(), aliases: new Map() };
  let result = kernel;
  for (let round = 0; round < 4; round += 1) {
    namer.aliases.clear();
    const next = withBody(result, eliminateIn(result.body, new Map(), namer));
    if (next === result) return result;
    result = next;
  }
  return result;
}
