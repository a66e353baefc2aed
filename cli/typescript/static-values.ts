/**
 * Evaluating TypeScript without running it: numbers, constants and functions of one file, and what the
 * builder gives. Nothing else can be reached: no globals but `Math`, no prototypes, no other files. What
 * does not fit is a diagnostic at its place.
 */
import type ts from 'typescript';
import type { Typescript } from '../../backends/ts/index.ts';
import { makeDiagnostic, SsmError } from '../../support/diagnostic.ts';
import type { SourceFile, Span } from '../../support/source.ts';

export type Scope = ReadonlyMap<string, () => unknown>;
export type OpenScope = Map<string, () => unknown>;

export type EvaluatorHooks = {
  /** tagged templates, which the caller knows */
  readonly template: (node: ts.TaggedTemplateExpression, scope: Scope) => unknown;
  /** a name's value, put where the name stands */
  readonly place: (value: unknown) => unknown;
  /** runs something whose results stand at a place */
  readonly at: <Result>(span: Span, run: () => Result) => Result;
};

/** What is evaluated: one file, by one compiler, with a count of what was done. */
export type Evaluation = {
  readonly typescript: Typescript;
  readonly tree: ts.SourceFile;
  readonly file: SourceFile;
  readonly hooks: EvaluatorHooks;
  readonly count: { steps: number; depth: number };
};

type Callable = (...values: readonly unknown[]) => unknown;
type FunctionNode = ts.ArrowFunction | ts.FunctionExpression | ts.FunctionDeclaration;

/** Nodes that one file may take: functions may call themselves. */
const stepLimit = 200_000;
const depthLimit = 200;
const usualHelp = 'write numbers, constants of this file, and calls of the builder';

function spanOf({ tree }: Evaluation, node: ts.Node): Span {
  return { start: node.getStart(tree), end: node.getEnd() };
}

function refuse(evaluation: Evaluation, node: ts.Node, message: string, help: string = usualHelp): never {
  const text = 'not known without running the program';
  throw new SsmError([makeDiagnostic({
    code: 'SSM1007', message, primary: { file: evaluation.file, span: spanOf(evaluation, node), text }, help,
  })]);
}

/** The value of an expression; throws an SsmError with its place. */
export function evaluate(evaluation: Evaluation, node: ts.Expression, scope: Scope): unknown {
  const { typescript, hooks, count } = evaluation;
  const value = (of: ts.Expression): unknown => evaluate(evaluation, of, scope);
  if (++count.steps > stepLimit) return refuse(evaluation, node, 'this takes too long to evaluate');
  if (typescript.isNumericLiteral(node)) return Number(node.text);
  if (typescript.isStringLiteralLike(node)) return node.text;
  if (typescript.isIdentifier(node)) return lookUp(evaluation, node, scope);
  if (typescript.isCallExpression(node)) return call(evaluation, node, scope);
  if (typescript.isPropertyAccessExpression(node)) return member(evaluation, node.name, value(node.expression), node.name.text);
  if (typescript.isElementAccessExpression(node)) {
    return member(evaluation, node, value(node.expression), value(node.argumentExpression));
  }
  if (typescript.isArrayLiteralExpression(node)) return list(evaluation, node.elements, scope);
  if (typescript.isObjectLiteralExpression(node)) return record(evaluation, node, scope);
  if (typescript.isArrowFunction(node) || typescript.isFunctionExpression(node)) return functionOf(evaluation, node, scope);
  if (typescript.isTaggedTemplateExpression(node)) return hooks.template(node, scope);
  if (typescript.isParenthesizedExpression(node) || typescript.isNonNullExpression(node)) return value(node.expression);
  if (typescript.isAsExpression(node) || typescript.isSatisfiesExpression(node)) return value(node.expression);
  if (typescript.isPrefixUnaryExpression(node)) return negated(evaluation, node, scope);
  if (typescript.isBinaryExpression(node)) return arithmetic(evaluation, node, scope);
  return word(evaluation, node);
}

function word(evaluation: Evaluation, node: ts.Expression): unknown {
  const { SyntaxKind } = evaluation.typescript;
  switch (node.kind) {
    case SyntaxKind.NullKeyword:
      return null;
    case SyntaxKind.TrueKeyword:
      return true;
    case SyntaxKind.FalseKeyword:
      return false;
    default:
      return refuse(evaluation, node, 'this kind of expression is not evaluated');
  }
}

function lookUp(evaluation: Evaluation, node: ts.Identifier, scope: Scope): unknown {
  const { hooks } = evaluation;
  const found = scope.get(node.text);
  if (found !== undefined) return hooks.at(spanOf(evaluation, node), () => hooks.place(found()));
  if (node.text === 'undefined') return undefined;
  if (node.text === 'Math') return Math;
  return refuse(evaluation, node, `\`${node.text}\` is not a constant, a function or an import of the builder in this file`);
}

/** Own properties only: what objects inherit leads out of the file. */
function member(evaluation: Evaluation, node: ts.Node, object: unknown, key: unknown): unknown {
  const isKey = typeof key === 'string' || typeof key === 'number';
  if (typeof object === 'object' && object !== null && isKey && Object.hasOwn(object, key)) {
    return (object as Readonly<Record<string | number, unknown>>)[key];
  }
  return refuse(evaluation, node, `\`${String(key)}\` is not a property that is known here`);
}

function call(evaluation: Evaluation, node: ts.CallExpression, scope: Scope): unknown {
  const callee = evaluate(evaluation, node.expression, scope);
  if (typeof callee !== 'function') return refuse(evaluation, node.expression, 'this is not a function that is known here');
  const values = list(evaluation, node.arguments, scope);
  try {
    return evaluation.hooks.at(spanOf(evaluation, node), () => (callee as Callable)(...values));
  } catch (error) {
    throw placed(evaluation, node, error);
  }
}

/** Failures inside of the builder get the place of the call; what it throws for lack of types is a diagnostic too. */
function placed(evaluation: Evaluation, node: ts.Node, error: unknown): SsmError {
  if (error instanceof SsmError && error.diagnostics.some((each) => each.primary !== null)) return error;
  const [first] = error instanceof SsmError ? error.diagnostics : [];
  return new SsmError([makeDiagnostic({
    code: first?.code ?? 'SSM1007', message: first?.message ?? 'the builder cannot be called like this',
    primary: { file: evaluation.file, span: spanOf(evaluation, node), text: 'in this call' },
    help: first?.help ?? 'let TypeScript check the call',
  })]);
}

function list(evaluation: Evaluation, nodes: readonly ts.Expression[], scope: Scope): readonly unknown[] {
  return nodes.flatMap((each): readonly unknown[] => {
    if (!evaluation.typescript.isSpreadElement(each)) return [evaluate(evaluation, each, scope)];
    const values = evaluate(evaluation, each.expression, scope);
    return Array.isArray(values) ? values : refuse(evaluation, each, 'only arrays can be spread here');
  });
}

function record(evaluation: Evaluation, node: ts.ObjectLiteralExpression, scope: Scope): Readonly<Record<string, unknown>> {
  const { typescript } = evaluation;
  const entries: [string, unknown][] = [];
  for (const each of node.properties) {
    if (typescript.isShorthandPropertyAssignment(each)) {
      entries.push([each.name.text, lookUp(evaluation, each.name, scope)]);
    } else if (typescript.isPropertyAssignment(each)) {
      entries.push([keyOf(evaluation, each.name), evaluate(evaluation, each.initializer, scope)]);
    } else if (typescript.isSpreadAssignment(each)) {
      entries.push(...Object.entries(evaluate(evaluation, each.expression, scope) ?? {}));
    } else refuse(evaluation, each, 'methods and accessors are not evaluated');
  }
  return Object.fromEntries(entries);
}

function keyOf(evaluation: Evaluation, name: ts.PropertyName): string {
  const { typescript } = evaluation;
  if (typescript.isIdentifier(name) || typescript.isStringLiteral(name) || typescript.isNumericLiteral(name)) return name.text;
  return refuse(evaluation, name, 'the name of a property must be written out');
}

function negated(evaluation: Evaluation, node: ts.PrefixUnaryExpression, scope: Scope): unknown {
  const isMinus = node.operator === evaluation.typescript.SyntaxKind.MinusToken;
  const value = evaluate(evaluation, node.operand, scope);
  if (isMinus && typeof value === 'number') return -value;
  return refuse(evaluation, node, 'of these signs only the minus of a number is evaluated', 'write `negate(…)` or `not(…)`');
}

function arithmetic(evaluation: Evaluation, node: ts.BinaryExpression, scope: Scope): unknown {
  const { SyntaxKind } = evaluation.typescript;
  const [left, right] = [evaluate(evaluation, node.left, scope), evaluate(evaluation, node.right, scope)];
  if (typeof left !== 'number' || typeof right !== 'number') {
    const help = 'values of a layer are combined by `add`, `multiply`, … or `.plus`, `.times`, …';
    return refuse(evaluation, node, 'operators take numbers here', help);
  }
  switch (node.operatorToken.kind) {
    case SyntaxKind.PlusToken:
      return left + right;
    case SyntaxKind.MinusToken:
      return left - right;
    case SyntaxKind.AsteriskToken:
      return left * right;
    case SyntaxKind.SlashToken:
      return left / right;
    case SyntaxKind.PercentToken:
      return left % right;
    case SyntaxKind.AsteriskAsteriskToken:
      return left ** right;
    default:
      return refuse(evaluation, node.operatorToken, 'this operator is not evaluated');
  }
}

/** Gives names their values; patterns take the values of what they are matched with. */
function bind(evaluation: Evaluation, name: ts.BindingName, value: () => unknown, into: OpenScope): void {
  const { typescript } = evaluation;
  if (typescript.isIdentifier(name)) {
    into.set(name.text, value);
    return;
  }
  name.elements.forEach((element, at) => {
    if (!typescript.isBindingElement(element)) return;
    if (element.dotDotDotToken !== undefined || element.initializer !== undefined) {
      refuse(evaluation, element, 'defaults and rests are not evaluated');
    }
    const own = typescript.isIdentifier(element.name) ? element.name.text : '';
    const named = element.propertyName === undefined ? own : keyOf(evaluation, element.propertyName);
    const key = typescript.isArrayBindingPattern(name) ? at : named;
    bind(evaluation, element.name, () => member(evaluation, element, value(), key), into);
  });
}

function functionOf(evaluation: Evaluation, node: FunctionNode, scope: Scope): Callable {
  const { typescript, count } = evaluation;
  return (...values) => {
    if (++count.depth > depthLimit) refuse(evaluation, node, 'functions call each other too deeply');
    try {
      const inner: OpenScope = new Map(scope);
      node.parameters.forEach(({ name, initializer }, at) => {
        const given = values[at];
        const isAbsent = given === undefined && initializer !== undefined;
        bind(evaluation, name, () => (isAbsent ? evaluate(evaluation, initializer, scope) : given), inner);
      });
      if (node.body === undefined) return undefined;
      return typescript.isBlock(node.body) ? runBlock(evaluation, node.body, inner) : evaluate(evaluation, node.body, inner);
    } finally {
      count.depth--;
    }
  };
}

function runBlock(evaluation: Evaluation, block: ts.Block, scope: OpenScope): unknown {
  const { typescript } = evaluation;
  for (const each of block.statements) {
    if (typescript.isReturnStatement(each)) {
      return each.expression === undefined ? undefined : evaluate(evaluation, each.expression, scope);
    }
    if (typescript.isExpressionStatement(each)) evaluate(evaluation, each.expression, scope);
    else if (typescript.isVariableStatement(each) || typescript.isFunctionDeclaration(each)) {
      declare(evaluation, each, scope);
      // declarations of the builder are made where they stand
      if (typescript.isVariableStatement(each)) {
        for (const { name } of each.declarationList.declarations) force(evaluation, name, scope);
      }
    } else refuse(evaluation, each, 'a function that makes layers may declare constants, call, and return');
  }
  return undefined;
}

function force(evaluation: Evaluation, name: ts.BindingName, scope: Scope): void {
  const { typescript } = evaluation;
  if (typescript.isIdentifier(name)) void scope.get(name.text)?.();
  else for (const each of name.elements) if (typescript.isBindingElement(each)) force(evaluation, each.name, scope);
}

/** Adds functions or constants to the scope that they stand in and see. */
export function declare(evaluation: Evaluation, statement: ts.Statement, scope: OpenScope): void {
  const { typescript } = evaluation;
  if (typescript.isFunctionDeclaration(statement) && statement.name !== undefined) {
    scope.set(statement.name.text, () => functionOf(evaluation, statement, scope));
  }
  if (!typescript.isVariableStatement(statement)) return;
  const isConstant = (statement.declarationList.flags & typescript.NodeFlags.Const) !== 0;
  for (const { name, initializer } of statement.declarationList.declarations) {
    bind(evaluation, name, once(evaluation, name, () => {
      if (isConstant && initializer !== undefined) return evaluate(evaluation, initializer, scope);
      return refuse(evaluation, name, 'only constants are evaluated', 'declare it with `const`');
    }), scope);
  }
}

/** Each constant is evaluated once, and never inside of itself. */
function once(evaluation: Evaluation, node: ts.Node, make: () => unknown): () => unknown {
  let state: 'new' | 'running' | 'done' = 'new';
  let value: unknown;
  return () => {
    if (state === 'running') refuse(evaluation, node, 'this constant is defined by itself');
    if (state === 'done') return value;
    state = 'running';
    try {
      value = make();
      state = 'done';
    } finally {
      if (state === 'running') state = 'new';
    }
    return value;
  };
}
