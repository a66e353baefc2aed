/**
 * Moves what does not change in a loop before it: index arithmetic and pure expressions that read
 * neither memory nor variables that the loop defines or assigns. Inner loops first, so that values
 * climb as far as they can. Only what every iteration evaluates is moved (nothing out of an `if`),
 * and integer division and conversion to integers only where no operand can make them undefined,
 * because a loop may run zero times.
 */
import { variable as variableOf } from '../builder.ts';
import type { ElementType, Kernel, KernelExpression, KernelStatement, Variable, VariableId } from '../nodes.ts';
import { printExpression } from '../print.ts';
import { mapExpressions, mapOperands, operandsOf, visitStatements } from '../walk.ts';
import { freshIds, isTrivial, rewriteBody, withBody } from './rewrite.ts';

type Loop = Extract<KernelStatement, { readonly kind: 'for' }>;
type Let = Extract<KernelStatement, { readonly kind: 'let' }>;

type Hoister = {
  readonly fresh: () => number;
  /** values of all lets, to see through names */
  readonly values: ReadonlyMap<VariableId, KernelExpression>;
  /** starts of loop variables */
  readonly starts: ReadonlyMap<VariableId, KernelExpression>;
};

/** Variables that get their value inside of the loop. */
function changedIn(loop: Loop): Set<VariableId> {
  const changed = new Set<VariableId>();
  visitStatements([loop], (statement) => {
    if ('variable' in statement) changed.add(statement.variable.id);
  });
  return changed;
}

/** True only if the i32 expression cannot be negative. */
function isNonNegative(expression: KernelExpression, hoister: Hoister): boolean {
  switch (expression.kind) {
    case 'literal':
      return expression.value >= 0;
    case 'builtin':
    case 'uniform':
      return true;
    case 'variable': {
      const { id } = expression.variable;
      const known = hoister.values.get(id) ?? hoister.starts.get(id);
      return known !== undefined && isNonNegative(known, hoister);
    }
    case 'binary': {
      const grows = ['add', 'multiply', 'divide', 'remainder', 'minimum', 'maximum', 'shift-right', 'bit-and'];
      return grows.includes(expression.operator) && operandsOf(expression).every((each) => isNonNegative(each, hoister));
    }
    default:
      return false;
  }
}

/** Defined for all values of its operands, so that it may be evaluated when the text would not. */
function isTotal(expression: KernelExpression, hoister: Hoister): boolean {
  const isInteger = expression.type.element === 'i32' || expression.type.element === 'u32';
  if (!isInteger) return true;
  if (expression.kind === 'convert') return expression.operand.type.element !== 'f32' && expression.operand.type.element !== 'f64';
  if (expression.kind !== 'binary') return true;
  const { operator, left, right } = expression;
  switch (operator) {
    case 'divide':
    case 'remainder':
      return right.kind === 'literal' && right.value > 0 && isNonNegative(left, hoister);
    case 'shift-left':
    case 'shift-right':
      return right.kind === 'literal';
    default:
      return true;
  }
}

function isInvariant(expression: KernelExpression, changed: ReadonlySet<VariableId>, hoister: Hoister): boolean {
  switch (expression.kind) {
    case 'variable':
      return !changed.has(expression.variable.id);
    case 'load':
    case 'load-shared':
    case 'element':
    case 'shuffle-xor':
      return false;
    default:
      return isTotal(expression, hoister) && operandsOf(expression).every((each) => isInvariant(each, changed, hoister));
  }
}

const stems: Readonly<Record<ElementType, string>> = { i32: 'base', u32: 'base', bool: 'flag', f32: 'fixed', f64: 'fixed' };

function hoistLoop(loop: Loop, hoister: Hoister): readonly KernelStatement[] {
  const changed = changedIn(loop);
  const made: KernelStatement[] = [];
  const known = new Map<string, Variable>();
  const replace = (expression: KernelExpression): KernelExpression => {
    if (isTrivial(expression)) return expression;
    if (!isInvariant(expression, changed, hoister)) return mapOperands(expression, replace);
    const key = printExpression(expression);
    const found = known.get(key);
    if (found !== undefined) return variableOf(found);
    const id = hoister.fresh() as VariableId;
    const variable: Variable = { id, name: stems[expression.type.element], type: expression.type };
    known.set(key, variable);
    made.push({ kind: 'let', variable, value: expression });
    return variableOf(variable);
  };
  const body = loop.body.flatMap((statement): readonly KernelStatement[] => {
    if (statement.kind === 'let' && moveLet(statement)) return [];
    return [mapExpressions(statement, replace)];
  });
  function moveLet(statement: Let): boolean {
    if (!isInvariant(statement.value, changed, hoister)) return false;
    changed.delete(statement.variable.id);
    made.push(statement);
    return true;
  }
  if (made.length === 0) return [loop];
  return body.length === 0 ? made : [...made, { ...loop, body }];
}

function makeHoister(kernel: Kernel): Hoister {
  const values = new Map<VariableId, KernelExpression>();
  const starts = new Map<VariableId, KernelExpression>();
  visitStatements(kernel.body, (statement) => {
    if (statement.kind === 'let') values.set(statement.variable.id, statement.value);
    if (statement.kind === 'for') starts.set(statement.variable.id, statement.start);
  });
  return { fresh: freshIds(kernel), values, starts };
}

/** Hoists out of all loops that contain anything invariant. */
export function hoistInvariant(kernel: Kernel): Kernel {
  const hoister = makeHoister(kernel);
  const hoist = (statement: KernelStatement): readonly KernelStatement[] =>
    statement.kind === 'for' ? hoistLoop(statement, hoister) : [statement];
  return withBody(kernel, rewriteBody(kernel.body, hoist));
}
