/**
 * The layers of a `.ts` file: texts in `` ssm`…` `` templates anywhere in it, and layers that calls of
 * the builder make outside of functions. The file is read, never run; places are those of the file.
 */
import type ts from 'typescript';
import type { Typescript } from '../../backends/ts/index.ts';
import type { LayerSyntax } from '../../dsl/ast.ts';
import { createExpressions, isExpression } from '../../dsl/builder/expressions.ts';
import { createFunctions } from '../../dsl/builder/functions.ts';
import { createLayerBuilder } from '../../dsl/builder/layers.ts';
import { numberText } from '../../dsl/builder/tag.ts';
import type { LayerSource } from '../../dsl/builder/index.ts';
import type { ParseOutcome } from '../../dsl/index.ts';
import { makeDiagnostic, SsmError, type Diagnostic } from '../../support/diagnostic.ts';
import type { SourceFile, Span } from '../../support/source.ts';
import { declare, evaluate, type Evaluation, type EvaluatorHooks, type OpenScope, type Scope } from './static-values.ts';
import { parseTemplate, type Piece } from './template.ts';

/** Where the builder is imported from. */
const builderModule = 'statefuse/builder';

/** The names under which a file knows the builder. */
type BuilderNames = { readonly layer: ReadonlySet<string>; readonly tag: ReadonlySet<string>; readonly scope: Scope };

/** Every layer of a `.ts` file. Nothing in it is run, and nothing it imports is read. */
export function readTypescriptLayers(typescript: Typescript, file: SourceFile): ParseOutcome {
  try {
    return readLayers(typescript, file);
  } catch (error) {
    // TypeScript's own parser has no limit but the stack
    if (!(error instanceof RangeError)) throw error;
    return { tree: { file, layers: [] }, diagnostics: [nestingError(file)] };
  }
}

function nestingError(file: SourceFile): Diagnostic {
  return makeDiagnostic({
    code: 'SSM1004', message: 'the TypeScript is nested too deeply', primary: { file, span: { start: 0, end: 0 }, text: 'somewhere in this file' },
    help: 'give parts of deep expressions names of their own',
  });
}

function readLayers(typescript: Typescript, file: SourceFile): ParseOutcome {
  const kind = /x$/.test(file.name) ? typescript.ScriptKind.TSX : typescript.ScriptKind.TS;
  const source = typescript.createSourceFile(file.name, file.text, typescript.ScriptTarget.Latest, true, kind);
  const broken = syntaxErrors(typescript, source, file);
  if (broken.length > 0) return { tree: { file, layers: [] }, diagnostics: broken };
  const reader = createReader(typescript, source, file);
  const layers = new Set<LayerSyntax>();
  const diagnostics = new Map<string, Diagnostic>();
  for (const node of reader.candidates()) {
    try {
      const value = reader.evaluate(node);
      if (isLayerSource(value)) for (const each of value.tree.layers) layers.add(each);
    } catch (error) {
      if (!(error instanceof SsmError)) throw error;
      // a layer that fails fails again wherever it is used
      for (const each of error.diagnostics) diagnostics.set(`${each.code} ${each.primary?.span.start ?? -1} ${each.message}`, each);
    }
  }
  return { tree: { file, layers: [...layers] }, diagnostics: [...diagnostics.values()] };
}

function isLayerSource(value: unknown): value is LayerSource {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'tree') && Object.hasOwn(value, 'name');
}

function syntaxErrors(typescript: Typescript, source: ts.SourceFile, file: SourceFile): readonly Diagnostic[] {
  // not in the public types, and the only way to them without a program
  const { parseDiagnostics = [] } = source as unknown as { readonly parseDiagnostics?: readonly ts.DiagnosticWithLocation[] };
  return parseDiagnostics.slice(0, 20).map(({ start, length, messageText }) => makeDiagnostic({
    code: 'SSM1001', message: `TypeScript: ${typescript.flattenDiagnosticMessageText(messageText, ' ')}`,
    primary: { file, span: { start, end: start + length }, text: 'here' }, help: 'correct the TypeScript first',
  }));
}

type Reader = { readonly candidates: () => readonly ts.Expression[]; readonly evaluate: (node: ts.Expression) => unknown };

function createReader(typescript: Typescript, source: ts.SourceFile, file: SourceFile): Reader {
  let current: Span = { start: 0, end: 0 };
  const here = (): Span => current;
  const maker = createExpressions(here);
  const builder: Readonly<Record<string, unknown>> = { ...createFunctions(here, maker), layer: createLayerBuilder(here, maker, file) };
  const names = builderNames(typescript, source, builder);
  const known = new Map<ts.Node, unknown>();
  const remember = <Value>(node: ts.Node, make: () => Value): Value => {
    if (!known.has(node)) known.set(node, make());
    return known.get(node) as Value;
  };
  const hooks: EvaluatorHooks = {
    at(span, run) {
      const before = current;
      current = span;
      try {
        return run();
      } finally {
        current = before;
      }
    },
    place: (value) => {
      if (!isExpression(value) || value.syntax.kind !== 'name') return value;
      return 'axis' in value ? maker.axis(value.syntax.name) : maker.reference(value.syntax.name);
    },
    template: (node, scope) => remember(node, () => {
      if (!isTag(typescript, node, names)) throw notATag(node, source, file);
      return templateSource(evaluation, node, scope);
    }),
  };
  const evaluation: Evaluation = { typescript, tree: source, file, hooks, count: { steps: 0, depth: 0 } };
  const scope = moduleScope(evaluation, names);
  return {
    candidates: () => findCandidates(typescript, source, names),
    evaluate: (node) => remember(node, () => evaluate(evaluation, declaredAs(typescript, node) ?? node, scope)),
  };
}

/** A call that a constant is made of is read through the constant, so that it is evaluated once. */
function declaredAs(typescript: Typescript, node: ts.Expression): ts.Identifier | null {
  const { parent } = node;
  return typescript.isVariableDeclaration(parent) && parent.initializer === node && typescript.isIdentifier(parent.name) ? parent.name : null;
}

function notATag(node: ts.TaggedTemplateExpression, source: ts.SourceFile, file: SourceFile): SsmError {
  const span = { start: node.tag.getStart(source), end: node.tag.getEnd() };
  return new SsmError([makeDiagnostic({
    code: 'SSM1007', message: 'only `ssm` templates are read', primary: { file, span, text: 'not known without running the program' },
    help: `import \`ssm\` from '${builderModule}'`,
  })]);
}

function templateSource(evaluation: Evaluation, node: ts.TaggedTemplateExpression, scope: Scope): LayerSource {
  const { typescript, tree: source, file } = evaluation;
  const { template } = node;
  const isPlain = typescript.isNoSubstitutionTemplateLiteral(template);
  const texts = isPlain ? [template] : [template.head, ...template.templateSpans.map((each) => each.literal)];
  const values = isPlain ? [] : template.templateSpans.map((each) => each.expression);
  const pieces = texts.flatMap((each, at): readonly Piece[] => {
    const start = each.getStart(source) + 1;
    const end = each.getEnd() - (at === texts.length - 1 ? '`' : '${').length;
    const text: Piece = { kind: 'text', text: file.text.slice(start, end), start, end };
    const value = values[at];
    if (value === undefined) return [text];
    const number: Piece = { kind: 'value', text: valueText(evaluation, value, scope), start: value.getStart(source), end: value.getEnd() };
    return [text, number];
  });
  const tree = parseTemplate(file, pieces);
  return { name: tree.layers.at(-1)?.name.text ?? '', tree };
}

function valueText(evaluation: Evaluation, node: ts.Expression, scope: Scope): string {
  const value = evaluate(evaluation, node, scope);
  if (typeof value === 'number' && Number.isFinite(value)) return numberText(value);
  const span = { start: node.getStart(evaluation.tree), end: node.getEnd() };
  throw new SsmError([makeDiagnostic({
    code: 'SSM1007', message: 'a text takes numbers only', primary: { file: evaluation.file, span, text: 'not a number' },
    help: 'put a constant number there',
  })]);
}

function builderNames(typescript: Typescript, source: ts.SourceFile, builder: Readonly<Record<string, unknown>>): BuilderNames {
  const layer = new Set<string>();
  const tag = new Set<string>();
  const scope = new Map<string, () => unknown>();
  for (const each of source.statements) {
    if (!typescript.isImportDeclaration(each) || !typescript.isStringLiteral(each.moduleSpecifier)) continue;
    if (each.moduleSpecifier.text !== builderModule) continue;
    const bindings = each.importClause?.namedBindings;
    if (bindings === undefined) continue;
    if (typescript.isNamespaceImport(bindings)) {
      scope.set(bindings.name.text, () => builder);
      layer.add(`${bindings.name.text}.layer`);
      tag.add(`${bindings.name.text}.ssm`);
      continue;
    }
    for (const { name, propertyName } of bindings.elements) {
      const imported = (propertyName ?? name).text;
      if (imported === 'ssm') tag.add(name.text);
      if (imported === 'layer') layer.add(name.text);
      if (Object.hasOwn(builder, imported)) scope.set(name.text, () => builder[imported]);
    }
  }
  return { layer, tag, scope };
}

function moduleScope(evaluation: Evaluation, names: BuilderNames): Scope {
  const { typescript, tree } = evaluation;
  const scope: OpenScope = new Map(names.scope);
  for (const each of tree.statements) {
    if (typescript.isVariableStatement(each) || typescript.isFunctionDeclaration(each)) declare(evaluation, each, scope);
  }
  return scope;
}

function isTag(typescript: Typescript, node: ts.TaggedTemplateExpression, { tag }: BuilderNames): boolean {
  return tag.has(dottedName(typescript, node.tag));
}

/** `layer` or `builder.layer`; empty for anything else. */
function dottedName(typescript: Typescript, node: ts.Expression): string {
  if (typescript.isIdentifier(node)) return node.text;
  if (!typescript.isPropertyAccessExpression(node) || !typescript.isIdentifier(node.expression)) return '';
  return `${node.expression.text}.${node.name.text}`;
}

/** Templates anywhere, and calls outside of functions that make layers themselves or by functions of the file. */
function findCandidates(typescript: Typescript, source: ts.SourceFile, names: BuilderNames): readonly ts.Expression[] {
  const makers = layerMakers(typescript, source, names);
  const found: ts.Expression[] = [];
  const visit = (node: ts.Node, isInFunction: boolean): void => {
    if (typescript.isTaggedTemplateExpression(node) && isTag(typescript, node, names)) found.push(node);
    if (!isInFunction && typescript.isCallExpression(node) && makers.has(dottedName(typescript, node.expression))) {
      found.push(node);
      return;
    }
    const enters = typescript.isFunctionLike(node) || typescript.isClassLike(node);
    typescript.forEachChild(node, (each) => visit(each, isInFunction || enters));
  };
  visit(source, false);
  return found;
}

/** The builder's `layer`, and functions of the file in which it is called, at once or through others. */
function layerMakers(typescript: Typescript, source: ts.SourceFile, names: BuilderNames): ReadonlySet<string> {
  const makers = new Set(names.layer);
  const functions = functionsOf(typescript, source);
  const callsMaker = (node: ts.Node): boolean => {
    if (typescript.isCallExpression(node) && makers.has(dottedName(typescript, node.expression))) return true;
    return typescript.forEachChild(node, (each) => callsMaker(each) || undefined) ?? false;
  };
  for (let before = -1; before !== makers.size;) {
    before = makers.size;
    for (const [name, node] of functions) if (!makers.has(name) && callsMaker(node)) makers.add(name);
  }
  return makers;
}

/** The functions of a file by name: declared, or constants. */
function functionsOf(typescript: Typescript, source: ts.SourceFile): ReadonlyMap<string, ts.Node> {
  const found = new Map<string, ts.Node>();
  for (const each of source.statements) {
    if (typescript.isFunctionDeclaration(each) && each.name !== undefined) found.set(each.name.text, each);
    if (!typescript.isVariableStatement(each)) continue;
    for (const { name, initializer } of each.declarationList.declarations) {
      if (initializer === undefined || !typescript.isIdentifier(name)) continue;
      if (typescript.isArrowFunction(initializer) || typescript.isFunctionExpression(initializer)) found.set(name.text, initializer);
    }
  }
  return found;
}
