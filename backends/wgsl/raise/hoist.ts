/**
 * The common part of rewrites that need statements before an expression: a rule sees each expression
 * bottom-up and may emit statements that then stand before the statement it occurs in. Expressions
 * have no side effects, so evaluating a part of one earlier in the same place changes nothing.
 */
import { variable } from '../../../ir/kernel/builder.ts';
import type {
  Kernel, KernelExpression, KernelStatement, KernelType, Variable, VariableId,
} from '../../../ir/kernel/nodes.ts';
import { mapBodies, mapExpressions, rewriteExpression, visitStatements } from '../../../ir/kernel/walk.ts';

/** Gives ids that a kernel does not use yet. */
export type IdSource = { readonly mint: () => number };

/** What a rule may do besides returning an expression. */
export type Hoister = IdSource & {
  /** puts a statement before the current one */
  readonly emit: (statement: KernelStatement) => void;
  /** binds a value before the current statement and returns the name */
  readonly bind: (name: string, value: KernelExpression) => KernelExpression;
};

export type HoistRule = (expression: KernelExpression, hoister: Hoister) => KernelExpression;

/** Ids above all that the kernel declares. */
export function freshIds(kernel: Kernel): IdSource {
  let next = 0;
  const see = (id: number): void => {
    next = Math.max(next, id + 1);
  };
  [...kernel.buffers, ...kernel.uniforms, ...kernel.shared].forEach((each) => see(each.id));
  visitStatements(kernel.body, (statement) => {
    if (statement.kind === 'let' || statement.kind === 'var' || statement.kind === 'for') see(statement.variable.id);
    if (statement.kind === 'array') see(statement.array.id);
  });
  return { mint: () => next++ };
}

/** A new variable of a kernel. */
export function freshVariable(ids: IdSource, name: string, type: KernelType): Variable {
  return { id: ids.mint() as VariableId, name, type };
}

/** True for expressions that may be repeated without repeating work. */
export function isAtom(expression: KernelExpression): boolean {
  return expression.kind === 'literal' || expression.kind === 'variable'
    || expression.kind === 'uniform' || expression.kind === 'builtin';
}

/** A hoister whose statements go to `output`. */
export function hoisterInto(output: KernelStatement[], ids: IdSource): Hoister {
  const emit = (statement: KernelStatement): void => void output.push(statement);
  return {
    mint: ids.mint,
    emit,
    bind(name, value) {
      if (isAtom(value)) return value;
      const made = freshVariable(ids, name, value.type);
      emit({ kind: 'let', variable: made, value });
      return variable(made);
    },
  };
}

/** The kernel's body with `rule` applied to every expression, bottom-up. */
export function rewriteHoisting(kernel: Kernel, rule: HoistRule): readonly KernelStatement[] {
  const ids = freshIds(kernel);
  const rewriteBody = (body: readonly KernelStatement[]): readonly KernelStatement[] => {
    const output: KernelStatement[] = [];
    const hoister = hoisterInto(output, ids);
    for (const statement of body) {
      const own = mapExpressions(statement, (each) => rewriteExpression(each, (inner) => rule(inner, hoister)));
      output.push(mapBodies(own, rewriteBody));
    }
    return output;
  };
  return rewriteBody(kernel.body);
}
