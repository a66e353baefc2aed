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

export type Evaluator = {
  /** the value of an expression; throws an SsmError with its place */
  readonly evaluate: (node: ts.Expression, scope: Scope) => unknown;
  /** adds functions or constants to the scope that they stand in and see */
  readonly declare: (statement: ts.Statement, scope: OpenScope) => void;
};

export type EvaluatorHooks = {
  /** tagged templates, which the caller knows */
  readonly template: (node: ts.TaggedTemplateExpression, scope: Scope) => unknown;
  /** a name's value, put where the name stands */
  readonly place: (value: unknown) => unknown;
  /** runs something whose results stand at a place */
  readonly at: <Result>(span: Span, run: () => Result) => Result;
};

/** Nodes that one file may take: functions may call themselves. */
const stepLimit = 200_000;
const depthLimit = 200;

type Callable = (...values: readonly unknown[]) => unknown;

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** An evaluator for one file. */
export function createEvaluator(typescript: Typescript, tree: ts.SourceFile, file: SourceFile, hooks: EvaluatorHooks): Evaluator {
  const { SyntaxKind } = typescript;
  let steps = 0;
  let depth = 0;
  const spanOf = (node: ts.Node): Span => ({ start: node.getStart(tree), end: node.getEnd() });

  const refuse = (node: ts.Node, message: string, help = 'write numbers, constants of this file, and calls of the builder'): never => {
    throw new SsmError([makeDiagnostic({
      code: 'SSM1007', message, primary: { file, span: spanOf(node), text: 'not known without running the program' }, help,
    })]);
  };

  const lookUp = (node: ts.Identifier, scope: Scope): unknown => {
    const found = scope.get(node.text);
    if (found !== undefined) return hooks.at(spanOf(node), () => hooks.place(found()));
    if (node.text === 'undefined') return undefined;
    if (node.text === 'Math') return Math;
    return refuse(node, `\`${node.text}\` is not a constant, a function or an import of the builder in this file`);
  };

  const member = (node: ts.Node, object: unknown, key: unknown): unknown => {
    const isKey = typeof key === 'string' || typeof key === 'number';
    if ((isRecord(object) || Array.isArray(object)) && isKey && Object.hasOwn(object, key)) return (object as Readonly<Record<string | number, unknown>>)[key];
    return refuse(node, `\`${String(key)}\` is not a property that is known here`);
  };

  /** Failures inside of the builder get the place of the call. */
  const call = (node: ts.CallExpression, scope: Scope): unknown => {
    const callee = evaluate(node.expression, scope);
    if (typeof callee !== 'function') return refuse(node.expression, 'this is not a function that is known here');
    const values = list(node.arguments, scope);
    try {
      return hooks.at(spanOf(node), () => (callee as Callable)(...values));
    } catch (error) {
      const diagnostics = error instanceof SsmError ? error.diagnostics : [];
      if (diagnostics.some((each) => each.primary !== null)) throw error;
      const [first] = diagnostics;
      const message = first?.message ?? 'the builder cannot be called like this';
      throw new SsmError([makeDiagnostic({
        code: first?.code ?? 'SSM1007', message, primary: { file, span: spanOf(node), text: 'in this call' }, help: first?.help ?? 'let TypeScript check the call',
      })]);
    }
  };

  const list = (nodes: readonly ts.Expression[], scope: Scope): readonly unknown[] => nodes.flatMap((each) => {
    if (!typescript.isSpreadElement(each)) return [evaluate(each, scope)];
    const values = evaluate(each.expression, scope);
    return Array.isArray(values) ? values as readonly unknown[] : [refuse(each, 'only arrays can be spread here')];
  });

  const record = (node: ts.ObjectLiteralExpression, scope: Scope): Readonly<Record<string, unknown>> => {
    const entries: [string, unknown][] = [];
    for (const each of node.properties) {
      if (typescript.isShorthandPropertyAssignment(each)) entries.push([each.name.text, lookUp(each.name, scope)]);
      else if (typescript.isPropertyAssignment(each)) entries.push([keyOf(each.name), evaluate(each.initializer, scope)]);
      else if (typescript.isSpreadAssignment(each)) entries.push(...Object.entries(evaluate(each.expression, scope) as object));
      else refuse(each, 'methods and accessors are not evaluated');
    }
    return Object.fromEntries(entries);
  };

  const keyOf = (name: ts.PropertyName): string => {
    if (typescript.isIdentifier(name) || typescript.isStringLiteral(name) || typescript.isNumericLiteral(name)) return name.text;
    return refuse(name, 'the name of a property must be written out');
  };

  const bind = (name: ts.BindingName, value: () => unknown, into: OpenScope): void => {
    if (typescript.isIdentifier(name)) {
      into.set(name.text, value);
      return;
    }
    name.elements.forEach((element, at) => {
      if (!typescript.isBindingElement(element)) return;
      if (element.dotDotDotToken !== undefined || element.initializer !== undefined) refuse(element, 'defaults and rests are not evaluated');
      const key = typescript.isArrayBindingPattern(name) ? at
        : element.propertyName !== undefined ? keyOf(element.propertyName) : typescript.isIdentifier(element.name) ? element.name.text : '';
      bind(element.name, () => member(element, value(), key), into);
    });
  };

  const functionOf = (node: ts.ArrowFunction | ts.FunctionExpression | ts.FunctionDeclaration, scope: Scope): Callable => (...values) => {
    if (++depth > depthLimit) refuse(node, 'functions call each other too deeply');
    try {
      const inner = new Map(scope);
      node.parameters.forEach((each, at) => {
        const given = values[at];
        const fallback = each.initializer;
        bind(each.name, () => (given === undefined && fallback !== undefined ? evaluate(fallback, scope) : given), inner);
      });
      if (node.body === undefined) return undefined;
      return typescript.isBlock(node.body) ? run(node.body, inner) : evaluate(node.body, inner);
    } finally {
      depth--;
    }
  };

  const run = (block: ts.Block, scope: OpenScope): unknown => {
    for (const each of block.statements) {
      if (typescript.isReturnStatement(each)) return each.expression === undefined ? undefined : evaluate(each.expression, scope);
      if (typescript.isExpressionStatement(each)) evaluate(each.expression, scope);
      else if (typescript.isVariableStatement(each) || typescript.isFunctionDeclaration(each)) {
        declare(each, scope);
        // declarations of the builder are made where they stand
        if (typescript.isVariableStatement(each)) for (const { name } of each.declarationList.declarations) force(name, scope);
      } else refuse(each, 'a function that makes layers may declare constants, call, and return');
    }
    return undefined;
  };

  const force = (name: ts.BindingName, scope: Scope): void => {
    if (typescript.isIdentifier(name)) void scope.get(name.text)?.();
    else for (const each of name.elements) if (typescript.isBindingElement(each)) force(each.name, scope);
  };

  const declare = (statement: ts.Statement, scope: OpenScope): void => {
    if (typescript.isFunctionDeclaration(statement) && statement.name !== undefined) scope.set(statement.name.text, () => functionOf(statement, scope));
    if (!typescript.isVariableStatement(statement)) return;
    const isConstant = (statement.declarationList.flags & typescript.NodeFlags.Const) !== 0;
    for (const { name, initializer } of statement.declarationList.declarations) {
      bind(name, once(() => {
        if (!isConstant || initializer === undefined) return refuse(name, 'only constants are evaluated', 'declare it with `const`');
        return evaluate(initializer, scope);
      }, name), scope);
    }
  };

  /** Each constant is evaluated once, and never inside of itself. */
  const once = (make: () => unknown, node: ts.Node): (() => unknown) => {
    let state: 'new' | 'running' | 'done' = 'new';
    let value: unknown;
    return () => {
      if (state === 'running') refuse(node, 'this constant is defined by itself');
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
  };

  const arithmetic = (node: ts.BinaryExpression, scope: Scope): unknown => {
    const [left, right] = [evaluate(node.left, scope), evaluate(node.right, scope)];
    if (typeof left !== 'number' || typeof right !== 'number') {
      return refuse(node, 'operators take numbers here', 'values of a layer are combined by `add`, `multiply`, … or `.plus`, `.times`, …');
    }
    switch (node.operatorToken.kind) {
      case SyntaxKind.PlusToken: return left + right;
      case SyntaxKind.MinusToken: return left - right;
      case SyntaxKind.AsteriskToken: return left * right;
      case SyntaxKind.SlashToken: return left / right;
      case SyntaxKind.PercentToken: return left % right;
      case SyntaxKind.AsteriskAsteriskToken: return left ** right;
      default: return refuse(node.operatorToken, 'this operator is not evaluated');
    }
  };

  const evaluate = (node: ts.Expression, scope: Scope): unknown => {
    if (++steps > stepLimit) return refuse(node, 'this takes too long to evaluate');
    if (typescript.isNumericLiteral(node)) return Number(node.text);
    if (typescript.isStringLiteralLike(node)) return node.text;
    if (typescript.isIdentifier(node)) return lookUp(node, scope);
    if (typescript.isCallExpression(node)) return call(node, scope);
    if (typescript.isPropertyAccessExpression(node)) return member(node.name, evaluate(node.expression, scope), node.name.text);
    if (typescript.isElementAccessExpression(node)) return member(node, evaluate(node.expression, scope), evaluate(node.argumentExpression, scope));
    if (typescript.isArrayLiteralExpression(node)) return list(node.elements, scope);
    if (typescript.isObjectLiteralExpression(node)) return record(node, scope);
    if (typescript.isArrowFunction(node) || typescript.isFunctionExpression(node)) return functionOf(node, scope);
    if (typescript.isTaggedTemplateExpression(node)) return hooks.template(node, scope);
    if (typescript.isParenthesizedExpression(node) || typescript.isAsExpression(node) || typescript.isSatisfiesExpression(node) || typescript.isNonNullExpression(node)) {
      return evaluate(node.expression, scope);
    }
    if (typescript.isPrefixUnaryExpression(node) && node.operator === SyntaxKind.MinusToken) {
      const value = evaluate(node.operand, scope);
      return typeof value === 'number' ? -value : refuse(node, 'only numbers can be negated by `-`', 'write `negate(…)`');
    }
    if (typescript.isBinaryExpression(node)) return arithmetic(node, scope);
    if (node.kind === SyntaxKind.NullKeyword) return null;
    if (node.kind === SyntaxKind.TrueKeyword || node.kind === SyntaxKind.FalseKeyword) return node.kind === SyntaxKind.TrueKeyword;
    return refuse(node, 'this kind of expression is not evaluated');
  };

  return { evaluate, declare };
}
