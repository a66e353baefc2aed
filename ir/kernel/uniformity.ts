/**
 * Which values are the same in all invocations of a workgroup. Barriers and shuffles are legal only
 * where all invocations arrive, so `verify` asks this analysis about every branch and loop around
 * them. It is conservative: loads, array elements and shuffles count as varying, and a `var` is
 * uniform only if every assignment is a uniform value in uniform control flow.
 */
import type { Kernel, KernelExpression, KernelStatement, VariableId } from './nodes.ts';
import { operandsOf } from './walk.ts';

/** Facts of one kernel: ids of the variables that may differ between invocations. */
export type Uniformity = {
  readonly isUniform: (expression: KernelExpression) => boolean;
  readonly varying: ReadonlySet<VariableId>;
};

function isUniformIn(expression: KernelExpression, varying: ReadonlySet<VariableId>): boolean {
  switch (expression.kind) {
    case 'variable':
      return !varying.has(expression.variable.id);
    case 'builtin':
      return expression.builtin !== 'invocation';
    case 'load':
    case 'load-shared':
    case 'element':
    case 'shuffle-xor':
      return false;
    default:
      return operandsOf(expression).every((operand) => isUniformIn(operand, varying));
  }
}

/** Adds what varies in `body`; the caller repeats until nothing new is found. */
function collectVarying(body: readonly KernelStatement[], flow: 'uniform' | 'varying', varying: Set<VariableId>): void {
  const under = (isUniform: boolean): 'uniform' | 'varying' => (flow === 'uniform' && isUniform ? 'uniform' : 'varying');
  for (const statement of body) {
    if (statement.kind === 'let' || statement.kind === 'var' || statement.kind === 'assign') {
      if (flow === 'varying' || !isUniformIn(statement.value, varying)) varying.add(statement.variable.id);
    } else if (statement.kind === 'for') {
      const inner = under(isUniformIn(statement.start, varying) && isUniformIn(statement.end, varying));
      if (inner === 'varying') varying.add(statement.variable.id);
      collectVarying(statement.body, inner, varying);
    } else if (statement.kind === 'if') {
      const inner = under(isUniformIn(statement.condition, varying));
      collectVarying(statement.whenTrue, inner, varying);
      collectVarying(statement.whenFalse, inner, varying);
    }
  }
}

/** Finds the least set of varying variables; everything is uniform in workgroups of one. */
export function analyseUniformity(kernel: Kernel): Uniformity {
  const varying = new Set<VariableId>();
  if (kernel.workgroupSize === 1) return { isUniform: () => true, varying };
  let before = -1;
  while (varying.size !== before) {
    before = varying.size;
    collectVarying(kernel.body, 'uniform', varying);
  }
  return { isUniform: (expression) => isUniformIn(expression, varying), varying };
}
