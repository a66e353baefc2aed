/** Checks TypeScript texts as a user's strict project would, with this package's sources behind its entry points. */
import { resolve } from 'node:path';
import ts from 'typescript';

export type ProjectOptions = { readonly resolution?: 'bundler' | 'nodenext'; readonly options?: ts.CompilerOptions };

const entryPoints: Readonly<Record<string, string>> = {
  statefuse: 'index.ts', 'statefuse/runtime': 'runtime/index.ts', 'statefuse/runtime/wasm': 'runtime/wasm/index.ts',
  'statefuse/runtime/webgpu': 'runtime/webgpu/index.ts', 'statefuse/builder': 'dsl/builder/index.ts', 'statefuse/vite': 'tools/bundler/vite.ts',
};

/** Messages about some files of a folder that exists only in memory, by file, and code of the message. */
export function checkProject(files: Readonly<Record<string, string>>, { resolution = 'bundler', options = {} }: ProjectOptions = {}): readonly string[] {
  const folder = resolve('test/backends/ts/in-memory');
  const texts = new Map(Object.entries(files).map(([name, text]) => [`${folder}/${name}`, text]));
  const compilerOptions: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022, lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts', 'lib.dom.d.ts'], strict: true, exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true, verbatimModuleSyntax: true, isolatedModules: true, isolatedDeclarations: true, declaration: true,
    erasableSyntaxOnly: true, noEmit: true, skipLibCheck: true, allowImportingTsExtensions: true, types: ['node', '@webgpu/types'],
    module: resolution === 'bundler' ? ts.ModuleKind.ESNext : ts.ModuleKind.NodeNext,
    moduleResolution: resolution === 'bundler' ? ts.ModuleResolutionKind.Bundler : ts.ModuleResolutionKind.NodeNext,
    paths: Object.fromEntries(Object.entries(entryPoints).map(([name, path]) => [name, [resolve(path)]])),
    ...options,
  };
  const host = ts.createCompilerHost(compilerOptions);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (name) => texts.has(name) || fileExists.call(host, name);
  host.readFile = (name) => texts.get(name) ?? readFile.call(host, name);
  host.directoryExists = undefined as never;
  host.getSourceFile = (name, version, ...rest) => {
    const text = texts.get(name);
    return text === undefined ? getSourceFile.call(host, name, version, ...rest) : ts.createSourceFile(name, text, version, true);
  };
  const program = ts.createProgram([...texts.keys()].filter((name) => /\.[cm]?tsx?$/.test(name)), compilerOptions, host);
  return [...texts.keys()].flatMap((name) => {
    const file = program.getSourceFile(name);
    if (file === undefined) return [];
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file), ...program.getDeclarationDiagnostics(file)];
    return found.map((each) => {
      const line = each.start === undefined ? 0 : file.getLineAndCharacterOfPosition(each.start).line + 1;
      return `${name.slice(folder.length + 1)}:${line} TS${each.code} ${ts.flattenDiagnosticMessageText(each.messageText, ' ')}`;
    });
  });
}
