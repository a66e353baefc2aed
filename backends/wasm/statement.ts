/** Instructions of Kernel IR statements: structured control flow over the emitter's locals. */
import { assertNever, InternalError } from '../../support/invariant.ts';
import type { KernelExpression, KernelStatement, VariableId } from '../../ir/kernel/nodes.ts';
import { operandsOf, visitStatements } from '../../ir/kernel/walk.ts';
import { emit, localOf, withTemporary, type Emitter } from './emitter.ts';
import { emitExpression } from './expression.ts';
import { emitSetElement, emitSetNeighbours, emitStore } from './memory.ts';
import { writeOfLanes } from './neighbours.ts';

type Of<Kind extends KernelStatement['kind']> = Extract<KernelStatement, { readonly kind: Kind }>;

/** Whether the value may change while `body` runs. */
function mayChange(expression: KernelExpression, body: readonly KernelStatement[]): boolean {
  const assigned = new Set<VariableId>();
  visitStatements(body, (statement) => {
    if (statement.kind === 'assign') assigned.add(statement.variable.id);
  });
  const depends = (one: KernelExpression): boolean =>
    one.kind === 'load' ||
    one.kind === 'element' ||
    (one.kind === 'variable' && assigned.has(one.variable.id)) ||
    operandsOf(one).some(depends);
  return depends(expression);
}

function emitLoop(
  emitter: Emitter,
  { variable, start, step, body }: Of<'for'>,
  emitEnd: () => void,
  isEntered: boolean,
): void {
  const counter = localOf(emitter, variable);
  const emitTest = (): void => {
    emit(emitter, 'local.get', counter);
    emitEnd();
    emit(emitter, 'i32.lt_s');
  };
  emitExpression(emitter, start);
  emit(emitter, 'local.set', counter);
  if (!isEntered) {
    emitTest();
    emit(emitter, 'if');
  }
  emit(emitter, 'loop');
  emitStatements(emitter, body);
  emit(emitter, 'local.get', counter);
  emit(emitter, 'i32.const', step);
  emit(emitter, 'i32.add');
  emit(emitter, 'local.set', counter);
  emitTest();
  emit(emitter, 'br_if', 0);
  emit(emitter, 'end');
  if (!isEntered) emit(emitter, 'end');
}

function emitFor(emitter: Emitter, statement: Of<'for'>): void {
  const { start, end, body } = statement;
  const isEntered = start.kind === 'literal' && end.kind === 'literal' && start.value < end.value;
  const isCheap = end.kind === 'literal' || end.kind === 'uniform';
  if (isCheap || mayChange(end, body))
    return emitLoop(emitter, statement, () => emitExpression(emitter, end), isEntered);
  withTemporary(emitter, 'i32', (bound) => {
    emitExpression(emitter, end);
    emit(emitter, 'local.set', bound);
    emitLoop(emitter, statement, () => emit(emitter, 'local.get', bound), isEntered);
  });
}

function emitIf(emitter: Emitter, { condition, whenTrue, whenFalse }: Of<'if'>): void {
  emitExpression(emitter, condition);
  emit(emitter, 'if');
  emitStatements(emitter, whenTrue);
  if (whenFalse.length > 0) {
    emit(emitter, 'else');
    emitStatements(emitter, whenFalse);
  }
  emit(emitter, 'end');
}

function emitStatement(emitter: Emitter, statement: KernelStatement): void {
  switch (statement.kind) {
    case 'let':
    case 'var':
    case 'assign':
      emitExpression(emitter, statement.value);
      return void emit(emitter, 'local.set', localOf(emitter, statement.variable));
    case 'array':
      return;
    case 'set-element':
      return emitSetElement(emitter, statement);
    case 'store':
      return emitStore(emitter, statement);
    case 'for':
      return emitFor(emitter, statement);
    case 'if':
      return emitIf(emitter, statement);
    case 'comment':
      return void emitter.body.push({ kind: 'comment', text: statement.text });
    case 'store-shared':
    case 'barrier':
      throw new InternalError(`WASM has no ${statement.kind}: workgroups have one invocation`);
    default:
      return assertNever(statement, 'emitStatement');
  }
}

/** Emits a list of statements in order. */
export function emitStatements(emitter: Emitter, statements: readonly KernelStatement[]): void {
  for (let at = 0; at < statements.length; at++) {
    const statement = statements[at];
    if (statement === undefined) continue;
    const lanes = statement.kind === 'set-element' ? writeOfLanes(emitter, statements, at) : null;
    if (lanes === null) {
      emitStatement(emitter, statement);
      continue;
    }
    emitSetNeighbours(emitter, lanes);
    at += 3;
  }
}
