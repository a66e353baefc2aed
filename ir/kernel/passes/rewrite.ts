/**
 * What the Kernel IR passes share: rewriting statement lists without losing identity where nothing
 * changed, fresh ids, copies of bodies under new names, and when an expression is pure.
 */
import { binary, convert, literal } from '../builder.ts';
import {
  f32, i32, sameType,
  type ArrayId, type Kernel, type KernelExpression, type KernelStatement, type RegisterArray, type Variable, type VariableId,
} from '../nodes.ts';
import { mapBodies, mapExpressions, operandsOf, rewriteExpression, sameList, visitStatements } from '../walk.ts';

type Body = readonly KernelStatement[];

/** Replaces each statement by a list, inner bodies first; the same list when nothing changed. */
export function rewriteBody(body: Body, change: (statement: KernelStatement) => Body): Body {
  const made = body.flatMap((statement) => change(mapBodies(statement, (inner) => rewriteBody(inner, change))));
  return sameList(made, body) ? body : made;
}

/** The kernel with this body; the same object when it is the same body. */
export function withBody(kernel: Kernel, body: Body): Kernel {
  return body === kernel.body ? kernel : { ...kernel, body };
}

/** Ids that the kernel does not use yet, one after the other. */
export function freshIds(kernel: Kernel): () => number {
  let next = Math.max(-1, ...[...kernel.uniforms, ...kernel.buffers, ...kernel.shared].map((each) => each.id));
  visitStatements(kernel.body, (statement) => {
    if (statement.kind === 'array') next = Math.max(next, statement.array.id);
    if ('variable' in statement) next = Math.max(next, statement.variable.id);
  });
  return () => (next += 1);
}

/** Ids of variables that may change after their definition. */
export function mutableVariables(body: Body): ReadonlySet<VariableId> {
  const mutable = new Set<VariableId>();
  visitStatements(body, (statement) => {
    if (statement.kind === 'var') mutable.add(statement.variable.id);
  });
  return mutable;
}

/** A literal, variable, builtin or uniform: naming it again gains nothing. */
export function isTrivial(expression: KernelExpression): boolean {
  return operandsOf(expression).length === 0;
}

function foldComparison(expression: KernelExpression): KernelExpression {
  if (expression.kind !== 'binary') return expression;
  if (expression.left.kind !== 'literal' || expression.right.kind !== 'literal') return expression;
  const [left, right] = [expression.left.value, expression.right.value];
  switch (expression.operator) {
    case 'less': return literal(left < right ? 1 : 0, expression.type);
    case 'less-equal': return literal(left <= right ? 1 : 0, expression.type);
    case 'equal': return literal(left === right ? 1 : 0, expression.type);
    case 'not-equal': return literal(left === right ? 0 : 1, expression.type);
    default: return expression;
  }
}

/** Folds one node over folded operands: integer arithmetic by the builder, then what becomes constant. */
export function foldNode(expression: KernelExpression): KernelExpression {
  if (expression.kind === 'binary' && expression.left.type.element === 'i32') {
    const folded = foldComparison(binary(expression.operator, expression.left, expression.right));
    const isSame = folded.kind === 'binary' && folded.left === expression.left && folded.right === expression.right;
    return isSame ? expression : folded;
  }
  if (expression.kind === 'select' && expression.condition.kind === 'literal') {
    return expression.condition.value === 0 ? expression.whenFalse : expression.whenTrue;
  }
  if (expression.kind === 'convert' && expression.operand.kind === 'literal' && sameType(expression.operand.type, i32)) {
    const isExact = sameType(expression.type, f32) && Math.abs(expression.operand.value) <= 2 ** 24;
    return isExact ? literal(expression.operand.value) : convert(expression.operand, expression.type);
  }
  return expression;
}

/** What a copy replaces: variables by expressions, and arrays by their copies. */
export type Substitution = {
  readonly variables: Map<VariableId, KernelExpression>;
  readonly arrays: Map<ArrayId, RegisterArray>;
};

export function substitute(expression: KernelExpression, { variables, arrays }: Substitution): KernelExpression {
  return rewriteExpression(expression, (node) => {
    if (node.kind === 'variable') return variables.get(node.variable.id) ?? node;
    if (node.kind === 'element') return { ...node, array: arrays.get(node.array.id) ?? node.array };
    return foldNode(node);
  });
}

/** How `copyBody` names what the body defines. */
export type CopyOptions = {
  readonly fresh: () => number;
  /** variables that may change; copies of them are added */
  readonly mutable: Set<VariableId>;
};

function copyVariable(of: Variable, substitution: Substitution, { fresh, mutable }: CopyOptions): Variable {
  const copy: Variable = { ...of, id: fresh() as VariableId };
  substitution.variables.set(of.id, { kind: 'variable', variable: copy, type: of.type });
  if (mutable.has(of.id)) mutable.add(copy.id);
  return copy;
}

function targetOf(variable: Variable, { variables }: Substitution): Variable {
  const found = variables.get(variable.id);
  return found?.kind === 'variable' ? found.variable : variable;
}

/** A copy of the body whose definitions have fresh ids, with folding under the substitution. */
export function copyBody(body: Body, substitution: Substitution, options: CopyOptions): Body {
  const rename = (expression: KernelExpression): KernelExpression => substitute(expression, substitution);
  return body.flatMap((statement) => copyStatement(mapExpressions(statement, rename), substitution, options));
}

function isConstantName(value: KernelExpression, { mutable }: CopyOptions): boolean {
  return isTrivial(value) && !(value.kind === 'variable' && mutable.has(value.variable.id));
}

/** Copies a statement whose direct expressions are already substituted. */
function copyStatement(statement: KernelStatement, substitution: Substitution, options: CopyOptions): Body {
  switch (statement.kind) {
    case 'let':
      if (isConstantName(statement.value, options)) {
        substitution.variables.set(statement.variable.id, statement.value);
        return [];
      }
      return [{ ...statement, variable: copyVariable(statement.variable, substitution, options) }];
    case 'var':
      return [{ ...statement, variable: copyVariable(statement.variable, substitution, options) }];
    case 'assign':
      return [{ ...statement, variable: targetOf(statement.variable, substitution) }];
    case 'array': {
      const array: RegisterArray = { ...statement.array, id: options.fresh() as ArrayId };
      substitution.arrays.set(statement.array.id, array);
      return [{ kind: 'array', array }];
    }
    case 'set-element':
      return [{ ...statement, array: substitution.arrays.get(statement.array.id) ?? statement.array }];
    case 'for': {
      const variable = copyVariable(statement.variable, substitution, options);
      return [{ ...statement, variable, body: copyBody(statement.body, substitution, options) }];
    }
    case 'if':
      return copyIf(statement, substitution, options);
    case 'store':
    case 'store-shared':
    case 'barrier':
    case 'comment':
      return [statement];
    default:
      return statement satisfies never;
  }
}

type If = Extract<KernelStatement, { readonly kind: 'if' }>;

function copyIf(statement: If, substitution: Substitution, options: CopyOptions): Body {
  const { condition } = statement;
  if (condition.kind === 'literal') {
    return copyBody(condition.value === 0 ? statement.whenFalse : statement.whenTrue, substitution, options);
  }
  const whenTrue = copyBody(statement.whenTrue, substitution, options);
  const whenFalse = copyBody(statement.whenFalse, substitution, options);
  return whenTrue.length + whenFalse.length === 0 ? [] : [{ ...statement, whenTrue, whenFalse }];
}

/** Number of statements, nested ones included. */
export function countStatements(body: Body): number {
  let count = 0;
  visitStatements(body, () => void (count += 1));
  return count;
}
