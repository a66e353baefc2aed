/**
 * What a program's names and comments may do to emitted text: nothing. The same program is emitted with
 * harmless names and with hostile ones, and both texts are read as their target reads them; they must be
 * one text up to a renaming of identifiers.
 */
import fc from 'fast-check';
import { spawnSync } from 'node:child_process';
import ts from 'typescript';
import { compileSpec } from '../../backends/compile.ts';
import type { TargetName } from '../../backends/artifact.ts';
import { compileModuleLayer } from '../../backends/ts/compile-module.ts';
import { emitModule } from '../../backends/ts/index.ts';
import { emitTorchPackage } from '../../backends/torch/index.ts';
import { filesOf } from '../../cli/commands/compile.ts';
import { parse } from '../../dsl/index.ts';
import { tokensOf } from '../../dsl/parse.ts';
import { layerOf } from './corpus.ts';

/** Names that the language takes and some target, or its tools, would not. */
export const hostileNames: readonly string[] = [
  'asm', 'template', 'NULL', 'M_PI', 'INT_MAX', 'INFINITY', 'NAN', 'linux', 'unix', 'self', 'class', 'await', 'async', '__x', '_', '__', '__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty',
  'lambda', 'def', 'None', 'True', 'nonlocal', 'pass', 'yield', 'main', 'threadIdx', 'blockDim', 'float', 'int', 'double', 'f32', 'i32', 'vec2', 'array', 'fn', 'var', 'struct', 'switch', 'discard', 'loop', 'override', 'enable',
  'arguments', 'eval', 'import', 'export', 'default', 'delete', 'new', 'this', 'null', 'undefined', 'forward', 'backward', 'step', 'torch', 'params', 'inputs', 'outputs', 'initial', 'final', 'artifact', 'dispose', 'load', 'name',
  'CON', 'nul', 'tanh', 'min', 'x_scan_0', 'grad_x_0', 'uniforms_0', 'batch_0', 'dtype', 'device', 'weight', 'register_buffer', 'train', 'type', 'id', 'print', 'Function', 'Float32Array', 'Map', 'half', '__half', '__global__', '__init__', 'size_t',
  `q${'0'.repeat(3000)}`, 'e1', 'E', 'O0', 'l1', 'Il1', 'iL1',
];

/** Comments that would end early, swallow what follows, or steer a tool (directives of type checkers) in some target. */
export const hostileComments: readonly string[] = [
  '*/ evil(); /*', '""" + evil() + """', "''' evil()", '${evil()}', '`evil`', '\\', '\\\\', 'evil\u000bevil()', 'evil\u000cevil()', 'evil\u0085evil()', 'evil\u2028evil()', 'evil\u2029evil()', '#include "/etc/hostname"', '?>', '</script>', '--> <!--',
  '%s %n {0} {evil}', '\u0000', '@evil', '# type: ignore', '@ts-ignore', '/// <reference path="x" />', "'", '"',
];

/** How the names of a program are exchanged, and which comment stands on every line of its own. */
export type Disguise = { readonly names: readonly string[]; readonly comment: string };

export const disguises: fc.Arbitrary<Disguise> = fc.record({ names: fc.shuffledSubarray([...hostileNames], { minLength: 30 }), comment: fc.constantFrom(...hostileComments) });

/** Names that a text declares, in order. */
function declaredNames(text: string): readonly string[] {
  const names = new Set<string>();
  for (const layer of parse({ name: '', text }).tree.layers) {
    names.add(layer.name.text);
    layer.axes.forEach((each) => names.add(each.name.text));
    for (const item of layer.items) {
      if (item.kind === 'input' || item.kind === 'param' || item.kind === 'state' || item.kind === 'output') names.add(item.tensor.name.text);
      if (item.kind === 'let' || item.kind === 'axis') names.add(item.name.text);
    }
  }
  return [...names];
}

/** `dx` where `x` is known. */
function differentialOf(image: string | undefined, known: ReadonlyMap<string, string>): string | undefined {
  const state = image?.startsWith('d') === true ? known.get(image.slice(1)) : undefined;
  return state === undefined ? undefined : `d${state}`;
}

/** The text with other names, and a comment before and behind every line. */
export function disguised(text: string, { names, comment }: Disguise): string {
  const used = new Set(tokensOf(text).map((each) => each.image));
  const free = names.filter((each) => !used.has(each));
  const known = new Map(declaredNames(text).map((name, at) => [name, free[at] ?? `harmless${at}`]));
  const tokens = tokensOf(text);
  let [result, end] = ['', 0];
  tokens.forEach(({ image, startOffset }, at) => {
    // `dx/dt`: the first names the state, the second is time whatever else is called so
    const isTime = tokens[at - 1]?.image === '/' && differentialOf(tokens[at - 2]?.image, known) !== undefined;
    const isQuotient = tokens[at + 1]?.image === '/';
    const name = isTime ? image : known.get(image) ?? (isQuotient ? differentialOf(image, known) : undefined) ?? image;
    result += text.slice(end, startOffset) + name;
    end = startOffset + image.length;
  });
  return `/// ${comment}\n${(result + text.slice(end)).split('\n').map((line) => (line.includes('//') ? line : `${line} // ${comment}`)).join('\n')}`;
}

/** Names of the same number and order that no target minds. */
export const harmless: Disguise = { names: Array.from({ length: 60 }, (_, at) => `name${String(at).padStart(2, '0')}z`), comment: 'harmless' };

/** A file of what was emitted. */
export type Emitted = { readonly name: string; readonly text: string };

/** Kernels and headers, or the text form of WebAssembly. */
export function emitKernels(text: string, target: TargetName): readonly Emitted[] {
  const { artifact } = compileSpec(layerOf(text), { target, entries: 'all' });
  return filesOf(artifact).flatMap(({ name, content }) => (typeof content === 'string' && name !== 'manifest.json' ? [{ name, text: content }] : []));
}

/** Whether a file holds one kernel, or declarations: names are fresh in each kernel, so all of them in one file have no shape. */
export function isOneScope({ name }: Emitted): boolean {
  return !(name.startsWith('statefuse_') && name.endsWith('.cu'));
}

/** The typed module. */
export function emitTypescript(text: string): string {
  return emitModule(ts, [compileModuleLayer(layerOf(text), { targets: ['wasm'], seed: 1, entries: 'forward-only' })], { runtime: 'statefuse/runtime' }).typescript;
}

/** The PyTorch package. */
export function emitPython(text: string): readonly Emitted[] {
  const spec = layerOf(text);
  const { artifact } = compileSpec(spec, { target: 'cuda', entries: 'all' });
  return emitTorchPackage(spec, [{ storage: 'f32', artifact, few: null }]).files.map(({ name, content }) => ({ name, text: content }));
}

/** How a target reads comments; C++ joins lines before that. */
const comments: Readonly<Record<TargetName, RegExp>> = {
  wgsl: /\/\/[^\n\v\f\r\u0085\u2028\u2029]*|\/\*[^]*?\*\//g,
  cuda: /\/\/[^\n]*|\/\*[^]*?\*\//g,
  wasm: /;;[^\n]*|\(;[^]*?;\)/g,
};

/** Tokens with identifiers and strings numbered by their first occurrence; comments are gone. */
export function shapeOf(text: string, target: TargetName): string {
  const joined = target === 'cuda' ? text.replace(/\\\r?\n/g, '') : text;
  const numbers = new Map<string, number>();
  // names of the text form of WebAssembly have dots
  const words = target === 'wasm' ? /"(?:[^"\\\n]|\\.)*"|[\p{L}_$][\p{L}\p{N}_$.]*|[0-9][\w.]*|[^\s]/gu : /"(?:[^"\\\n]|\\.)*"|[\p{L}_$][\p{L}\p{N}_$]*|[0-9][\w.]*|[^\s]/gu;
  return (joined.replace(comments[target], ' ').match(words) ?? []).map((token) => {
    if (!/^[\p{L}_$"]/u.test(token)) return token;
    if (!numbers.has(token)) numbers.set(token, numbers.size);
    return `#${numbers.get(token) ?? 0}`;
  }).join(' ');
}

/** Where two shapes part, for messages; empty where they are equal. */
export function differenceOf(found: readonly string[], expected: readonly string[]): string {
  if (found.length !== expected.length) return `${found.length} texts, not ${expected.length}`;
  for (const [at, text] of found.entries()) {
    const [left, right] = [text.split(' '), (expected[at] ?? '').split(' ')];
    const place = left.findIndex((token, index) => token !== right[index]);
    if (place >= 0 || left.length !== right.length) return `text ${at}, token ${place}: ${left.slice(place - 8, place + 8).join(' ')} | ${right.slice(place - 8, place + 8).join(' ')}`;
  }
  return '';
}

/** Kinds of all nodes of a TypeScript text, without its names and strings. */
export function typescriptShape(text: string): string {
  const kinds: string[] = [];
  const visit = (node: ts.Node): void => {
    // a layer that is called like a reserved word is exported under that name apart from its declaration
    if (ts.isExportDeclaration(node) || node.kind === ts.SyntaxKind.ExportKeyword) return;
    // a property may be quoted or not
    const kind = ts.isStringLiteral(node) || ts.isIdentifier(node) ? 'Word' : ts.SyntaxKind[node.kind];
    kinds.push(kind);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('module.ts', text, ts.ScriptTarget.Latest, true));
  return kinds.join(' ');
}

const pythonCheck = `
import ast, json, sys, warnings
warnings.simplefilter('error')
def shape(text, name):
    tree = compile(text, name, 'exec', ast.PyCF_ONLY_AST)
    compile(text, name, 'exec')
    return ' '.join(type(node).__name__ for node in ast.walk(tree))
print(json.dumps([shape(each['text'], each['name']) for each in json.load(sys.stdin)]))
`;

export const hasPython: boolean = spawnSync('python3', ['--version']).status === 0;

/** Kinds of all nodes of Python files, which Python compiles with warnings as errors; throws where it does not. */
export function pythonShapes(files: readonly Emitted[]): readonly string[] {
  const sources = files.filter((each) => each.name.endsWith('.py'));
  const { status, stdout, stderr } = spawnSync('python3', ['-W', 'error', '-c', pythonCheck], { input: JSON.stringify(sources), encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as readonly string[];
}
