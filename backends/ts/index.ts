/**
 * TypeScript as a host: a module that carries a layer's kernels and manifest for some targets and gives
 * it the types of its text. It runs on `statefuse/runtime` alone. Built with the TypeScript compiler's
 * factory and printer, which also make the JavaScript and the declarations of it.
 */
import type ts from 'typescript';
import type { Artifact, TargetName } from '../artifact.ts';
import { required } from '../../support/invariant.ts';
import { base64Of, floatBytes } from './base64.ts';
import { layerTypes, loadedType } from './layer-types.ts';
import { createSyntax, type Syntax, type Typescript } from './syntax.ts';

export type { Typescript } from './syntax.ts';

/** One layer of a module. */
export type ModuleLayer = {
  /** at least one; the manifests differ in their launches only */
  readonly artifacts: readonly Artifact[];
  /** values to carry, by parameter; null to carry none */
  readonly initialParameters: ReadonlyMap<string, Float64Array> | null;
};

export type ModuleOptions = {
  /** where the module imports the runtime from */
  readonly runtime: string;
};

/** The same module three times: for TypeScript, for JavaScript, and the declarations of that. */
export type ModuleTexts = { readonly typescript: string; readonly javascript: string; readonly declarations: string };

const runtimeTypes: readonly string[] = [
  'Artifact', 'ExecutionDevice', 'LayerModule', 'LayerState', 'TensorInput', 'TensorOutput', 'TypedCall', 'TypedGradientCall',
  'TypedGradientResult', 'TypedResult',
];

/** The words that cannot name a constant or a type of a module. */
const reservedNames: ReadonlySet<string> = new Set([
  ...('break case catch class const continue debugger default delete do else enum export extends false finally for function if '
    + 'import in instanceof new null return super switch this throw true try typeof var void while with yield await let static '
    + 'implements interface package private protected public arguments eval any unknown never object string number boolean symbol '
    + 'bigint undefined type namespace declare module defineLayer load device Promise Partial Float32Array Disposable').split(' '),
  ...runtimeTypes,
]);

/** Prints the module of some layers, in order. The last one is also what `load` loads. */
export function emitModule(typescript: Typescript, layers: readonly ModuleLayer[], options: ModuleOptions): ModuleTexts {
  const header = headerOf(layers);
  const text = `${header}\n${printModule(typescript, layers, options)}`;
  const compilerOptions: ts.CompilerOptions = {
    target: typescript.ScriptTarget.ES2022, module: typescript.ModuleKind.ESNext, verbatimModuleSyntax: true, isolatedDeclarations: true, declaration: true,
  };
  const javascript = typescript.transpileModule(text, { compilerOptions, fileName: 'layer.ts' }).outputText;
  const declarations = typescript.transpileDeclaration(text, { compilerOptions, fileName: 'layer.ts' }).outputText;
  return { typescript: text, javascript, declarations: `${header}\n${declarations}` };
}

function printModule(typescript: Typescript, layers: readonly ModuleLayer[], { runtime }: ModuleOptions): string {
  const { factory } = typescript;
  const syntax = createSyntax(typescript);
  const locals = new Map<string, string>();
  const statements: ts.Statement[] = [...runtimeImports(typescript, runtime)];
  for (const layer of layers) {
    const { manifest } = required(layer.artifacts[0], 'artifact');
    const local = localName(manifest.layer, locals);
    locals.set(manifest.layer, local);
    statements.push(...layerStatements(typescript, syntax, local, layer));
  }
  const [last] = [...locals.values()].slice(-1);
  if (last !== undefined && !locals.has('load')) statements.push(loadFunction(typescript, syntax, last));
  const renamed = [...locals].filter(([name, local]) => name !== local);
  if (renamed.length > 0) statements.push(factory.createExportDeclaration(undefined, false, factory.createNamedExports(
    renamed.map(([name, local]) => factory.createExportSpecifier(false, local, factory.createIdentifier(name))),
  )));
  const file = factory.createSourceFile(statements, factory.createToken(typescript.SyntaxKind.EndOfFileToken), typescript.NodeFlags.None);
  return typescript.createPrinter({ newLine: typescript.NewLineKind.LineFeed }).printFile(file);
}

/** A layer may be called what no constant can be called; it is exported under its own name then. */
function localName(name: string, taken: ReadonlyMap<string, string>): string {
  let local = name;
  while (reservedNames.has(local) || [...taken.values()].includes(local)) local = `${local}_`;
  return local;
}

function headerOf(layers: readonly ModuleLayer[]): string {
  const manifests = layers.flatMap((each) => each.artifacts.map(({ manifest }) => manifest));
  const compiler = manifests[0]?.compiler ?? 'statefuse';
  const contents = manifests.map(({ layer, target, mode, contentHash }) => `// layer ${layer}, ${target}, mode ${mode}, content ${contentHash}`);
  return [`// Generated by ${compiler}; changes will be lost.`, ...contents].join('\n');
}

function runtimeImports({ factory, SyntaxKind }: Typescript, runtime: string): readonly ts.Statement[] {
  const from = (): ts.StringLiteral => factory.createStringLiteral(runtime, true);
  const specifiers = (names: readonly string[]): ts.NamedImports => factory.createNamedImports(
    names.map((each) => factory.createImportSpecifier(false, undefined, factory.createIdentifier(each))),
  );
  return [
    factory.createImportDeclaration(undefined, factory.createImportClause(undefined, undefined, specifiers(['defineLayer'])), from()),
    factory.createImportDeclaration(
      undefined, factory.createImportClause(SyntaxKind.TypeKeyword, undefined, specifiers(runtimeTypes)), from(),
    ),
  ];
}

function packedArtifact(typescript: Typescript, syntax: Syntax, { manifest, code }: Artifact): ts.Expression {
  const held: readonly [string, ts.Expression] = code.kind === 'wasm'
    ? ['module', syntax.text(base64Of(code.module))]
    : ['kernels', syntax.object([...code.kernels].map(([name, text]) => [name, syntax.text(text)]))];
  return syntax.object([['manifest', syntax.text(JSON.stringify(manifest))], ['code', syntax.object([held])]]);
}

function packedLayer(typescript: Typescript, syntax: Syntax, { artifacts, initialParameters }: ModuleLayer): ts.Expression {
  const byTarget = artifacts.map((each): readonly [TargetName, ts.Expression] => [each.manifest.target, packedArtifact(typescript, syntax, each)]);
  const members: (readonly [string, ts.Expression])[] = [
    ['name', syntax.text(required(artifacts[0], 'artifact').manifest.layer)], ['artifacts', syntax.object(byTarget)],
  ];
  if (initialParameters !== null) members.push(['initialParameters', syntax.object(
    [...initialParameters].map(([name, values]) => [name, syntax.text(base64Of(floatBytes(values)))]),
  )]);
  return syntax.object(members);
}

/** A constant, a type and a namespace of one name: the layer's module, the loaded layer, its tensors. */
function layerStatements(typescript: Typescript, syntax: Syntax, local: string, layer: ModuleLayer): readonly ts.Statement[] {
  const { factory, SyntaxKind, NodeFlags } = typescript;
  const { manifest } = required(layer.artifacts[0], 'artifact');
  const exported = local === manifest.layer ? [factory.createModifier(SyntaxKind.ExportKeyword)] : [];
  const carries = layer.initialParameters !== null;
  const types = layerTypes(syntax, manifest, carries).map(({ name, type, comment }) => syntax.comment(
    factory.createTypeAliasDeclaration([factory.createModifier(SyntaxKind.ExportKeyword)], name, undefined, type), comment,
  ));
  const moduleType = factory.createIntersectionTypeNode([
    syntax.reference('LayerModule', [syntax.reference(local)]),
    ...(carries ? [syntax.record([{ name: 'initialParameters', type: factory.createFunctionTypeNode(undefined, [], syntax.member(local, 'InitialParameters')) }])] : []),
  ]);
  const value = typescript.addSyntheticLeadingComment(
    factory.createCallExpression(factory.createIdentifier('defineLayer'), [moduleType], [packedLayer(typescript, syntax, layer)]),
    SyntaxKind.MultiLineCommentTrivia, ' @__PURE__ ', false,
  );
  const loaded = factory.createIntersectionTypeNode([syntax.reference('Disposable'), loadedType(syntax, local, manifest)]);
  return [
    syntax.comment(factory.createModuleDeclaration(
      [...exported, factory.createModifier(SyntaxKind.DeclareKeyword)], factory.createIdentifier(local), factory.createModuleBlock(types), NodeFlags.Namespace,
    ), 'The tensors of the layer.'),
    syntax.comment(factory.createTypeAliasDeclaration(exported, local, undefined, loaded), 'The layer on a device.'),
    syntax.comment(factory.createVariableStatement(exported, factory.createVariableDeclarationList(
      [factory.createVariableDeclaration(local, undefined, moduleType, value)], NodeFlags.Const,
    )), 'The layer with its kernels, to be loaded on a device.'),
  ];
}

function loadFunction({ factory, SyntaxKind }: Typescript, syntax: Syntax, local: string): ts.Statement {
  const device = factory.createParameterDeclaration(undefined, undefined, 'device', undefined, syntax.reference('ExecutionDevice'));
  const call = factory.createCallExpression(
    factory.createPropertyAccessExpression(factory.createIdentifier(local), 'load'), undefined, [factory.createIdentifier('device')],
  );
  return syntax.comment(factory.createFunctionDeclaration(
    [factory.createModifier(SyntaxKind.ExportKeyword)], undefined, 'load', undefined, [device],
    syntax.reference('Promise', [syntax.reference(local)]), factory.createBlock([factory.createReturnStatement(call)], true),
  ), 'The layer on a device, to be disposed of by the caller.');
}
