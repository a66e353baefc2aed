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
import { bodiesOf, expressionsOf, mapOperands, operandsOf, rewriteExpression } from '../walk.ts';
import { freshIds, isTrivial, mutableVariables, rewriteDirect, rewriteInner, withBody } from './rewrite.ts';

type Body = readonly KernelStatement[];

type Namer = {
  readonly fresh: () => number;
  readonly mutable: ReadonlySet<VariableId>;
  /** texts of nodes, which are compared often */
  readonly keys: WeakMap<KernelExpression, string>;
  /** lets whose value is another name */
  readonly aliases: Map<VariableId, KernelExpression>;
};

function keyOf(expression: KernelExpression, { keys }: Namer): string {
  const known = keys.get(expression);
  if (known !== undefined) return known;
  const key = printExpression(expression);
  keys.set(expression, key);
  return key;
}

function isFixed(expression: KernelExpression, namer: Namer): boolean {
  switch (expression.kind) {
    case 'variable':
      return !namer.mutable.has(expression.variable.id);
    case 'load':
    case 'load-shared':
    case 'element':
    case 'shuffle-xor':
      return false;
    default:
      return operandsOf(expression).every((each) => isFixed(each, namer));
  }
}

/** Worth a name: pure, and more than an index plus a constant. */
function isCandidate(expression: KernelExpression, namer: Namer): boolean {
  if (isTrivial(expression) || !isFixed(expression, namer)) return false;
  if (expression.kind !== 'binary' || expression.type.element !== 'i32') return true;
  const isOffset = expression.operator === 'add' || expression.operator === 'subtract';
  return !(isOffset && isTrivial(expression.left) && expression.right.kind === 'literal');
}

/** Occurrences by text; operands of a repeated expression count once, since it will be named. */
function countIn(body: Body, namer: Namer, counts: Map<string, number> = new Map()): Map<string, number> {
  const count = (expression: KernelExpression): void => {
    if (isCandidate(expression, namer)) {
      const key = keyOf(expression, namer);
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

function eliminateIn(body: Body, outer: ReadonlyMap<string, Variable>, namer: Namer): Body {
  const available = new Map(outer);
  const counts = countIn(body, namer);
  const made: KernelStatement[] = [];
  const replace = (expression: KernelExpression): KernelExpression => {
    if (!isCandidate(expression, namer)) return mapOperands(expression, replace);
    const key = keyOf(expression, namer);
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
    const statement = rewriteDirect(original, (each) => resolveAliases(each, namer));
    if (statement.kind === 'let') eliminateInLet(statement);
    else made.push(rewriteInner(rewriteDirect(statement, replace), (inner) => eliminateIn(inner, available, namer)));
  }
  /** A let gives its own name to its value instead of a new one. */
  function eliminateInLet(statement: Extract<KernelStatement, { readonly kind: 'let' }>): void {
    const { variable, value } = statement;
    const isNameable = isCandidate(value, namer);
    const known = isNameable ? available.get(keyOf(value, namer)) : undefined;
    if (known !== undefined) {
      namer.aliases.set(variable.id, variableOf(known));
      return;
    }
    made.push(rewriteDirect(statement, (each) => mapOperands(each, replace)));
    if (isNameable) available.set(keyOf(value, namer), variable);
  }
  return made.length === body.length && made.every((each, at) => each === body[at]) ? body : made;
}

/** Repeats until nothing is found: names make further expressions equal. */
export function eliminateCommon(kernel: Kernel): Kernel {
  let result = kernel;
  for (let round = 0; round < 4; round += 1) {
    const mutable = mutableVariables(result.body);
    const namer: Namer = { fresh: freshIds(result), mutable, keys: new WeakMap(), aliases: new Map() };
    const next = withBody(result, eliminateIn(result.body, new Map(), namer));
    if (next === result) return result;
    result = next;
  }
  return result;
}
